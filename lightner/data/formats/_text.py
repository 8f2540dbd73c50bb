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
        expected = "a readable file, or a name on the hub such as org/name:train"
        raise InputError(f"{os.fspath(path)}: found {error.strerror!r}, expected {expected}") from error
    check_content(content, os.fspath(path))
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(_not_utf8(path, error)) from error
    if text.lstrip()[:14].lower() == "<!doctype html":
        raise InputError(f"{os.fspath(path)}: found a web page, perhaps from a failed download, expected sentences")
    if not text.strip():
        raise InputError(f"{os.fspath(path)}: found an empty file, expected sentences")
    return text


def check_content(content: bytes, name: str) -> None:
    """Raises InputError if the `content` of the file `name` is known not to be text: an archive, a database, ..."""
    head = content[:_HEAD_BYTES]
    found = next((what for magic, what in _NO_TEXT.items() if head.startswith(magic)), None)
    if found is None and head[257:262] == b"ustar":
        found = "a tar archive"
    if found is None and head.startswith(b"PAR1") and content.endswith(b"PAR1"):
        found = "a Parquet file without the suffix .parquet"
    if found is None and head[:3] == b"BZh" and head[4:10] == b"1AY&SY":
        found = "a bzip2 archive"
    if found is not None:
        raise InputError(f"{name}: found {found}, expected a text file of labelled sentences")


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
    write_bytes(target, content)


def write_bytes(target: Path, content: bytes) -> None:
    """Writes a file in one step, as `write_text` does; a device or pipe directly, which a new file would remove."""
    if target.exists() and not (target.is_file() or target.is_dir()):
        target.write_bytes(content)
        return
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


_HEAD_BYTES = 512
_NO_TEXT = {
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS to a file that was not fetched (`git lfs pull`)",
    b"/annex/objects/": "a pointer of git-annex to a file that was not fetched (`git annex get`)",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"ARROW1\x00\x00": "an Arrow file without the suffix .arrow",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF-": "a PDF document",
}


def _not_utf8(path: str | os.PathLike[str], error: UnicodeDecodeError) -> str:
    content = error.object
    line = content.count(b"\n", 0, error.start) + 1
    column = error.start - content.rfind(b"\n", 0, error.start)
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    hint = " (the file begins like UTF-16)" if utf16 else ""
    found = f"byte 0x{content[error.start]:02x} at byte {column} of the line{hint}"
    return f"{os.fspath(path)}:{line}: found {found}, expected UTF-8"
