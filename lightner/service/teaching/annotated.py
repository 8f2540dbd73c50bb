"""Annotations of Label Studio as examples of a domain: labelling interfaces, and what an event changes in the store.

Knows no HTTP; what asks the store blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from lightner.data.formats.label_studio import marks_of
from lightner.store import example
from lightner.store.example import Example, Mark, Provenance, State, new_example
from lightner.store.examples import Change, Conflict, Examples
from lightner.texts import has_lone_surrogate
from lightner.types import InputError

ATTEMPTS = 5
_DECLARATION = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interface:
    """Of a labelling interface: the names of its labels' and its text's tag, the text's name in tasks, its labels."""

    from_name: str
    to_name: str
    key: str
    labels: tuple[str, ...]

    def text(self, data: Mapping[str, Any], where: str) -> str:
        """The text of a task. Raises InputError for a task without one."""
        found = data.get(self.key)
        if not isinstance(found, str):
            raise InputError(f"{where}.data: found {sorted(data)!r:.80}, expected a text under {self.key!r}")
        if has_lone_surrogate(found):
            raise InputError(f"{where}.data: found half of a surrogate pair, expected text that UTF-8 can hold")
        return found


def interface_of(config: str) -> Interface:
    """The first `<Labels>` of plain `<Text>` in a labelling interface. Raises InputError if there is none."""
    expected = 'expected <Labels name="..." toName="..."> with labels, and the <Text name="..." value="$..."> it names'
    if _DECLARATION.search(config):
        raise InputError(f"label_config: found a declaration of a document type or an entity, {expected}")
    try:
        root = ElementTree.fromstring(config)  # noqa: S314 # without declarations there is nothing to expand
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"label_config: found no XML ({error}), {expected}") from error
    texts = {each.get("name"): each.get("value", "") for each in root.iter("Text")}
    for each in root.iter("Labels"):
        name, to_name = each.get("name"), each.get("toName")
        value = texts.get(to_name, "")
        labels = tuple(dict.fromkeys(label.get("value", "") for label in each.iter("Label")))
        if name and to_name and value.startswith("$") and all(labels):
            return Interface(name, to_name, value.removeprefix("$"), labels)
    raise InputError(f"label_config: found no labels of a plain text, {expected}")


def source_of(project: int, created: str, annotation: int) -> str:
    """The name of an annotation, which no other one has on any server, as the revision that it made states it."""
    return f"label-studio {created} {project} {annotation}"


def example_of(text: str, annotation: Mapping[str, Any], *, who: str, source: str) -> Example:
    """A text with what an annotation says, as a new example. Raises InputError for spans that it cannot have."""
    found = () if annotation.get("was_cancelled") else marks_of(text, annotation, "annotation")
    marks = sorted({Mark(each.start, each.end, each.label) for each in found})
    state = State.SKIPPED if annotation.get("was_cancelled") else State.DONE
    when = example.now()
    return new_example(
        text, who=who, when=when, marks=marks, state=state, provenance=Provenance.IMPORTED, source=source
    )


def put(store: Examples, domain: str, given: Example, *, who: str) -> Example:
    """Store an annotated text: as a new example, or as the next revision of the one with the same words.

    Of two changes at once the annotation is the later one: Label Studio cannot be asked again, and the history keeps
    both. An example of the test set stays there.
    """
    for _ in range(ATTEMPTS):
        [added] = store.add(domain, [given])
        present = added.example
        if added.new or (present.now.source == given.now.source and _alike(present, given)):
            return present
        marks = example.marks_of(present.text, example.spans_of(given.text, given.now.marks))
        test = present.now.state is State.TEST and given.now.state is State.DONE
        state = State.TEST if test else given.now.state
        change = Change(present.now.number, marks, state, Provenance.CORRECTED, given.now.source)
        try:
            return store.put(domain, present.id, change, who=who)
        except Conflict:
            continue
    raise InputError(f"example {given.id}: found it changed by others {ATTEMPTS} times in a row")


def reopen(store: Examples, domain: str, sources: Iterable[str], *, who: str) -> list[Example]:
    """Take back what annotations said that were deleted, where nobody has changed the example since.

    Such an example is open again; one of the test set is skipped, since it cannot return there.
    """
    deleted = set(sources)
    changed = []
    for each in store.all(domain):
        if each.now.source in deleted:
            state = State.SKIPPED if each.now.state is State.TEST else State.OPEN
            change = Change(each.now.number, (), state)
            changed.append(store.put(domain, each.id, change, who=who))
    return changed


def _alike(present: Example, given: Example) -> bool:
    one, other = present.now, given.now
    return example.spans_of(present.text, one.marks) == example.spans_of(given.text, other.marks) and (
        one.state is other.state or (one.state is State.TEST and other.state is State.DONE)
    )
