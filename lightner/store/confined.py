"""Binary files of labelled sentences, read in a process of its own that has little memory and time.

Native code unpacks what such a file claims to hold: a small one can fill the memory or end the process that reads it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightner.data.formats import Columns, Repair
from lightner.store.example import State, from_record, to_record
from lightner.store.exchange import Imported, check_file_name, read_path
from lightner.types import InputError

MAX_BYTES = 3 * 2**20
MEMORY_BYTES = 2**30
"""What the process may allocate; the libraries themselves take a fifth of it."""
TIME_S = 40
MAX_ANSWER_BYTES = 64 * 2**20
# What libraries need of the environment; keys and credentials are not theirs.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
# Arrow's own allocator takes a GiB before it is asked for anything.
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_log = logging.getLogger(__name__)


def read_bytes(
    name: str, content: bytes, *, state: State, who: str, columns: Columns | None, repairs: frozenset[Repair]
) -> Imported:
    """As `exchange.read_file`, for the bytes of a file of any format.

    Raises InputError also for a file that takes more memory or time than the process has, or that ends it.
    """
    check_file_name(name)
    if len(content) > MAX_BYTES:
        raise InputError(f"{name}: found {len(content)} bytes, expected at most {MAX_BYTES}")
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "file" / name, Path(folder) / "answer.json"
        path.parent.mkdir()
        path.write_bytes(content)
        task = {
            "path": str(path),
            "answer": str(answer),
            "memory": MEMORY_BYTES,
            "state": state,
            "who": who,
            "columns": None if columns is None else asdict(columns),
            "repairs": sorted(repairs),
        }
        found = json.loads(answer.read_text(encoding="utf-8")) if _ran(task, name, home=folder) else None
    if found is None:
        what = f"content that cannot be read with {MEMORY_BYTES >> 20} MiB of memory in {TIME_S} s"
        raise InputError(f"{name}: found {what}, expected a smaller file, or a whole one")
    if (refused := found.get("refused")) is not None:
        raise InputError(refused)
    examples = tuple(from_record(record, where=name) for record in found["examples"])
    return Imported(examples, tuple(found["notes"]))


def _ran(task: Mapping[str, Any], name: str, *, home: str) -> bool:
    """Let the process do the task; whether it came to an answer."""
    environment = {key: os.environ[key] for key in _PASSED if key in os.environ}
    environment |= {**_SETTINGS, "HF_HOME": home, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # -P: a module is never sought in the present folder.
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, input=json.dumps(task).encode(), env=environment, capture_output=True, timeout=TIME_S
        )
    except subprocess.TimeoutExpired:
        _log.warning("reading %s took more than %d s", name, TIME_S)
        return False
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        _log.warning("reading %s ended with status %d: %.300s", name, done.returncode, said)
    return done.returncode == 0


def main() -> None:
    """Do the task that standard input has, within the limits, and write the answer to the file that it names."""
    task = json.load(sys.stdin)
    for kind, most in (
        (resource.RLIMIT_DATA, task["memory"]),
        (resource.RLIMIT_CPU, TIME_S),
        (resource.RLIMIT_FSIZE, MAX_ANSWER_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    Path(task["answer"]).write_text(json.dumps(_answer(task)), encoding="utf-8")


def _answer(task: Mapping[str, Any]) -> dict[str, Any]:
    path = Path(task["path"])
    try:
        read = read_path(
            path,
            state=State(task["state"]),
            who=task["who"],
            columns=None if task["columns"] is None else Columns(**task["columns"]),
            repairs=frozenset(map(Repair, task["repairs"])),
        )
    except InputError as error:
        return {"refused": str(error)}
    except ModuleNotFoundError as error:
        return {
            "refused": f"{path.name}: found no package {error.name} to read it by, expected it where the service is"
        }
    return {"examples": [to_record(each) for each in read.examples], "notes": read.notes}


if __name__ == "__main__":
    main()
