"""Notebooks of the checkout, and a kernel that runs their cells as a user of the wheel would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.support.wheel import Installed

_KERNEL = "wheel"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of code: its place among all cells, its source, and once it has run what it printed and its value."""

    place: int
    source: str
    printed: str = ""


def cells(notebook: Path) -> list[Cell]:
    """The cells of code, in order."""
    found = nbformat.read(notebook, as_version=4).cells
    return [Cell(place, each.source) for place, each in enumerate(found) if each.cell_type == "code"]


@contextmanager
def running(
    notebook: Path, installed: Installed, folder: Path, environment: Mapping[str, str]
) -> Iterator[Iterator[Cell]]:
    """Run a notebook in a folder with a kernel of that environment, a cell at a time; the kernel ends afterwards.

    Each cell is given once it has run; one that raises ends the test.
    """
    opened = nbformat.read(notebook, as_version=4)
    manager = AsyncKernelManager(kernel_name=_KERNEL, kernel_spec_manager=_specs(folder.parent, installed))
    client = NotebookClient(opened, km=manager, timeout=600)
    with client.setup_kernel(env=dict(environment), cwd=str(folder), cleanup_kc=True):
        yield (_run(client, cell) for cell in cells(notebook))


def _run(client: NotebookClient, cell: Cell) -> Cell:
    done = client.execute_cell(client.nb.cells[cell.place], cell.place)
    printed = [_text(each) for each in done.outputs if each.get("name") != "stderr"]
    return Cell(cell.place, cell.source, "".join(printed))


def _text(output: Mapping[str, Any]) -> str:
    """What a reader sees of an output: a stream, or the value of the last line."""
    return str(output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"])


def _specs(folder: Path, installed: Installed) -> KernelSpecManager:
    spec = {
        "argv": [str(installed.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": _KERNEL,
        "language": "python",
    }
    place = folder / "kernels" / _KERNEL
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return KernelSpecManager(kernel_dirs=[str(place.parent)])
