"""Text files at the edge: strict UTF-8 in, whole files out. Knows no format."""

from __future__ import annotations

import codecs
import os
import secrets
from pathlib import Path

from lightner.types import InputError


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, without its byte order mark; line ends as they are.

    Raises InputError for a file that cannot be opened, is empty or is not UTF-8 (with line and byte).
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: found {error.strerror!r}, expected a readable file") from error
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(_not_utf8(path, error)) from error
    if not text.strip():
        raise InputError(f"{os.fspath(path)}: found an empty file, expected sentences")
    return text


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8 in one step: a reader sees the old file or all of the new one, never a part.

    Raises InputError for text that UTF-8 cannot hold (a lone surrogate).
    """
    target = Path(path)
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise InputError(f"{target}: found the lone surrogate {found!r} in a word or label, expected text") from error
    # Not tempfile: its files are readable by their owner only, and the mode would survive the rename.
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _not_utf8(path: str | os.PathLike[str], error: UnicodeDecodeError) -> str:
    content = error.object
    line = content.count(b"\n", 0, error.start) + 1
    column = error.start - content.rfind(b"\n", 0, error.start)
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    hint = " (the file begins like UTF-16)" if utf16 else ""
    found = f"byte 0x{content[error.start]:02x} at byte {column} of the line{hint}"
    return f"{os.fspath(path)}:{line}: found {found}, expected UTF-8"
