"""Findings of one reading of a source: faults that end it, and notes on what was repaired or left out.

Knows no format. All faults of a source are reported at once, by kind, with how many there are and where the first is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightner.data.formats.options import Repair
from lightner.types import InputError

SENTENCES_LEFT_OUT = "sentences with a fault left out (drop-sentence)"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was repaired, skipped or decided while reading: what, how often, and the first place."""

    kind: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.count}, first at {self.first}"


class FormatError(InputError):
    """A fault at one place of a source. Faults of one `kind` are counted together; any of `repairs` would mend it."""

    def __init__(self, place: str, said: str, *, kind: str, repairs: Sequence[Repair] = ()) -> None:
        super().__init__(f"{place}: {said}")
        self.place, self.kind, self.repairs = place, kind, tuple(repairs)


class Findings:
    """Collects the notes and faults of one source, and knows which repairs are allowed."""

    def __init__(self, repairs: frozenset[Repair] = frozenset()) -> None:
        self.repairs = repairs
        self._notes: dict[str, Note] = {}
        self._faults: dict[str, list[FormatError]] = {}

    def note(self, kind: str, place: str, count: int = 1) -> None:
        """Count something under its kind, keeping the first place."""
        before = self._notes.get(kind, Note(kind, 0, place))
        self._notes[kind] = Note(kind, before.count + count, before.first)

    def refuse(self, faults: Iterable[FormatError]) -> None:
        """Record the faults of one sentence or record, which is not used; with `drop-sentence` they become a note."""
        found = tuple(faults)
        if found and Repair.DROP_SENTENCE in self.repairs:
            self.note(SENTENCES_LEFT_OUT, found[0].place)
            return
        for fault in found:
            self._faults.setdefault(fault.kind, []).append(fault)

    def notes(self) -> tuple[Note, ...]:
        """The notes, in the order in which their kinds were found. Raises InputError if there are faults."""
        if self._faults:
            said = [_of_one_kind(faults) for faults in self._faults.values()]
            if len(said) == 1:
                raise InputError(said[0])
            raise InputError("\n".join([f"found faults of {len(said)} kinds:", *(f"- {each}" for each in said)]))
        return tuple(self._notes.values())


def _of_one_kind(faults: Sequence[FormatError]) -> str:
    """The first fault in full, how many there are, and what would repair them."""
    said = str(faults[0])
    if len(faults) > 1:
        said += f" ({len(faults)} such places: {faults[0].kind})"
    return f"{said}; to read the rest: --repair {' or '.join([*faults[0].repairs, Repair.DROP_SENTENCE])}"
