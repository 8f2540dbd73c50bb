"""The benchmark of two checkouts: ratios are of rounds, and a process that ends is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks import checkouts
from benchmarks.checkouts import Checkout


class Answers:
    """A checkout with given times."""

    def __init__(self, *seconds: float) -> None:
        self._left: Iterator[float] = iter(seconds)

    def spent(self, way: str) -> float:
        return next(self._left)


def test_ratios_are_of_the_rounds_after_the_first() -> None:
    here, other = Answers(9.0, 1.0, 2.0, 6.0), Answers(1.0, 2.0, 2.0, 3.0)
    found = checkouts.compared(here, other, "load", 3)  # type: ignore[arg-type]
    assert found == {"here_s": 2.0, "other_s": 2.0, "ratio": 1.0, "quartiles": [0.5, 2.0]}


def test_a_checkout_without_the_package_is_reported(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    with ExitStack() as stack, pytest.raises(RuntimeError, match="ended"):
        Checkout(tmp_path, tmp_path / "folder", stack)
