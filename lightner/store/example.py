"""One labelled example of a domain: a text, the spans that people gave it, and every revision of them.

Pure values and their JSON; knows no store. Offsets are characters of the text, as people mark it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from lightner.types import InputError, Sentence, Span, crossing
from lightner.words import split_words

FORMAT_VERSION = 1
MAX_CHARACTERS = 10_000
MAX_HISTORY = 100
ID = re.compile(r"[0-9a-f]{32}")
_MAX_BYTES = 2**22  # of an example as JSON; the oldest revisions are dropped first


class State(StrEnum):
    """What has happened to an example."""

    OPEN = "open"
    """Nobody has decided on it yet."""
    DONE = "done"
    """Its spans are right: the domain learns from it."""
    SKIPPED = "skipped"
    TEST = "test"
    """Its spans are right, and no prompt may learn from it."""


FINISHED = frozenset({State.DONE, State.TEST})


class Provenance(StrEnum):
    """Where the spans of a revision come from."""

    ADDED = "added"
    """From nobody: the text was added without spans."""
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    """A model proposed them, and a person left them as they were."""
    CORRECTED = "corrected"
    """A person gave or changed them."""
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Characters `[start, end)` of a text, and their label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Revision:
    """What an example was from a time on (ISO 8601, UTC), and the name of the key with which it was made so.

    `restores`: the revision whose content an undo brought back. `source`: what it is in another tool.
    """

    number: int
    marks: tuple[Mark, ...]
    state: State
    provenance: Provenance
    who: str
    when: str
    restores: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its revisions, the oldest first. `place` orders texts that were added at one time."""

    id: str
    text: str
    added: str
    place: int
    revisions: tuple[Revision, ...]

    @property
    def now(self) -> Revision:
        """The present revision."""
        return self.revisions[-1]

    @property
    def order(self) -> tuple[str, int, str]:
        """The sort key of the order in which examples were added."""
        return self.added, self.place, self.id

    def revised(self, **changes: Any) -> Example:
        """With one more revision: the present one, numbered on, with these changes."""
        last = self.now
        new = replace(last, number=last.number + 1, when=now(), **{"restores": None, "source": None, **changes})
        return replace(self, revisions=(*self.revisions, new)[-MAX_HISTORY:])

    def undone(self, who: str) -> Example:
        """With what was before the last change that was not an undo. Raises InputError where nothing was.

        The test set is fixed: an undo brings back spans and leaves `test` as it is. An example that has left it and was
        done since may have been learned from, and does not return.
        """
        last = self.now
        reached = last.number if last.restores is None else last.restores
        earlier = [each for each in self.revisions if each.number < reached]
        if not earlier:
            raise InputError(f"example {self.id}: found no earlier revision, expected one to return to")
        before = earlier[-1]
        since = {each.state for each in self.revisions if each.number > before.number}
        if before.state is State.TEST and State.DONE in since:
            raise InputError(
                f"example {self.id}: found it done since it left the test set, so a prompt may have learned from it;"
                " expected an undo that does not lead back into the test set"
            )
        state = State.TEST if last.state is State.TEST else before.state
        source = before.number if before.restores is None else before.restores
        return self.revised(
            marks=before.marks, state=state, provenance=before.provenance, who=who, restores=min(source, before.number)
        )

    def sentence(self) -> Sentence:
        """The words of the text with its spans, for learning; its place is the id."""
        return Sentence(
            tuple(word.text for word in split_words(self.text)),
            spans_of(self.text, self.now.marks),
            self.id,
            self.text,
        )


def new_example(
    text: str,
    *,
    who: str,
    when: str,
    place: int = 0,
    marks: Iterable[Mark] = (),
    state: State = State.OPEN,
    provenance: Provenance = Provenance.ADDED,
    source: str | None = None,
) -> Example:
    """The first revision of a text, trimmed of white space. Raises InputError for one that cannot be labelled."""
    begin = len(text) - len(text.lstrip())
    moved = tuple(Mark(each.start - begin, each.end - begin, each.label) for each in marks)
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"text: found {len(text)} characters, expected at most {MAX_CHARACTERS}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError("text: found half of a surrogate pair, expected text that UTF-8 can hold")
    first = Revision(1, checked(text, moved), state, provenance, who, when, source=source)
    return Example(id_of(text), text, when, place, (first,))


def id_of(text: str) -> str:
    """The id of a text: a hash of its words, so that a text with other white space is found as a duplicate."""
    words = [word.text for word in split_words(text)]
    if not words:
        raise InputError("text: found no words, expected at least one")
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def check_id(given: str) -> str:
    """`given`, if it can be the id of an example; it then cannot leave the domain's folder. Raises InputError."""
    if not isinstance(given, str) or not ID.fullmatch(given):
        raise InputError(f"example: found id {given!r:.80}, expected 32 digits and letters a to f")
    return given


def checked(text: str, marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """The spans in order of position. Raises InputError, which names the first that is no span of whole words.

    One may lie within another, but none may cross the end of one, or be given twice.
    """
    given = list(marks)
    words = split_words(text)
    starts, ends = {word.start for word in words}, {word.end for word in words}
    for place, mark in enumerate(given):
        found = f"spans.{place}: found [{mark.start}, {mark.end})"
        if not 0 <= mark.start < mark.end <= len(text):
            raise InputError(f"{found}, expected 0 <= start < end <= {len(text)}, the text's length")
        if mark.start not in starts or mark.end not in ends:
            raise InputError(f"{found} {text[mark.start : mark.end]!r:.80}, expected the start and the end of words")
    ordered = sorted(given)
    if len(set(ordered)) < len(ordered):
        twice = next(one for one, other in pairwise(ordered) if one == other)
        raise InputError(f"spans: found [{twice.start}, {twice.end}) {twice.label!r:.80} twice, expected it once")
    if (wrong := crossing(Span(mark.start, mark.end, mark.label) for mark in ordered)) is not None:
        found = " and ".join(f"[{each.start}, {each.end})" for each in wrong)
        raise InputError(f"spans: found {found}, expected spans that share no word, or lie within one another")
    return tuple(ordered)


def spans_of(text: str, marks: Sequence[Mark]) -> tuple[Span, ...]:
    """Checked spans of characters in words of the text."""
    words = split_words(text)
    starts = {word.start: number for number, word in enumerate(words)}
    ends = {word.end: number + 1 for number, word in enumerate(words)}
    return tuple(Span(starts[mark.start], ends[mark.end], mark.label) for mark in marks)


def marks_of(text: str, spans: Iterable[Span]) -> tuple[Mark, ...]:
    """The inverse of `spans_of`."""
    words = split_words(text)
    return tuple(Mark(words[span.start].start, words[span.end - 1].end, span.label) for span in spans)


def labels_in(examples: Iterable[Example]) -> tuple[str, ...]:
    """The labels that present spans have, sorted."""
    return tuple(sorted({mark.label for each in examples for mark in each.now.marks}))


def check_labels(marks: Sequence[Mark], known: Collection[str]) -> None:
    """Raises InputError for a span whose label is not `known`."""
    for place, mark in enumerate(marks):
        if mark.label not in known:
            raise InputError(f"spans.{place}.label: found {mark.label!r:.80}, expected one of {sorted(known)}")


def now() -> str:
    """This moment as revisions state it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def to_record(example: Example) -> dict[str, Any]:
    """The example as JSON holds it, with its history."""
    revisions = []
    for each in example.revisions:
        row = asdict(each) | {"spans": [[mark.start, mark.end, mark.label] for mark in each.marks]}
        del row["marks"]
        revisions.append({key: value for key, value in row.items() if value is not None})
    return {
        "format_version": FORMAT_VERSION,
        "id": example.id,
        "text": example.text,
        "added": example.added,
        "place": example.place,
        "revisions": revisions,
    }


def from_record(found: Mapping[str, Any], *, where: str) -> Example:
    """The inverse of `to_record`. InputError names `where` if it is anything else."""
    try:
        if found["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {found['format_version']!r}")
        text, id_, added, place = found["text"], found["id"], found["added"], found["place"]
        if id_ != id_of(text) or text != text.strip() or not isinstance(added, str) or not isinstance(place, int):
            raise ValueError("an id that is not the text's")
        revisions = tuple(_revision(text, row) for row in found["revisions"])
        if not revisions or any(later.number <= earlier.number for earlier, later in pairwise(revisions)):
            raise ValueError("no revisions in order")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: found no example ({error}), expected one as this package writes it") from error
    return Example(id_, text, added, place, revisions)


def to_json(example: Example) -> bytes:
    """The object of an example."""
    content = json.dumps(to_record(example), ensure_ascii=False).encode()
    if len(content) <= _MAX_BYTES or len(example.revisions) <= 2:
        return content
    return to_json(replace(example, revisions=example.revisions[len(example.revisions) // 2 :]))


def _revision(text: str, row: Mapping[str, Any]) -> Revision:
    marks = checked(text, [Mark(int(start), int(end), str(label)) for start, end, label in row["spans"]])
    return Revision(
        int(row["number"]),
        marks,
        State(row["state"]),
        Provenance(row["provenance"]),
        str(row["who"]),
        str(row["when"]),
        row.get("restores"),
        row.get("source"),
    )
