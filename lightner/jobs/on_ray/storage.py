"""The storage of runs: a folder or a URL, whose query (`s3://bucket/runs?endpoint_override=host`) stays at its end."""

from __future__ import annotations

import pyarrow
import pyarrow.fs

from lightner.types import InputError

_PROBE = ".writable"


def inside(storage: str, name: str) -> str:
    """The folder or URL of `name` in the storage."""
    place, mark, query = storage.partition("?") if "://" in storage else (storage, "", "")
    return f"{place.rstrip('/')}/{name}{mark}{query}"


def opened(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Open a folder or URL: its file system, and the path in it."""
    if "://" not in place:
        return pyarrow.fs.LocalFileSystem(), place
    files, path = pyarrow.fs.FileSystem.from_uri(place)
    return files, path


def check(storage: str) -> None:
    """Make the storage's folder, so that mistakes are reported before any time is spent.

    Raises:
        InputError: the place does not exist, or cannot be written to.
    """
    try:
        files, path = opened(storage)
        files.create_dir(path, recursive=True)
        with files.open_output_stream(f"{path}/{_PROBE}"):
            pass
        files.delete_file(f"{path}/{_PROBE}")
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"--storage: found {storage!r} ({str(error).splitlines()[0]}), expected a folder or an address such as "
            "s3://bucket/runs of a bucket that exists and can be written to"
        ) from error
