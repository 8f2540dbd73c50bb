"""Labelled examples of domains, on the object storage of their prompts; two writers at once lose nothing.

Layout below the registry's address, beside a domain's versions:

    <domain>/examples/items/<id>.json      one example with its history; the id is a hash of its words
    <domain>/examples/labels.json          the labels that are taught, so that a domain needs no prompt yet
    .teaching/<domain>                     empty; one for each domain with such labels, so that one listing finds them

Every write states the revision that it was made from and is refused as `Conflict`, with the present value, if there is
a newer one: compare-and-swap, as for aliases (`lightner.store.registry` says what two kinds of stores cannot do). A
deleted example leaves an object without its text, so that no late writer brings it back by mistake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, NoReturn, TypeVar

from lightner.data.sampling import hold_out
from lightner.store import example, taught
from lightner.store.example import FINISHED, Example, Mark, Provenance, State, check_id, from_record, to_json
from lightner.store.objects import Listed, Objects, json_object, open_objects
from lightner.store.taught import Taught
from lightner.types import NAME, InputError, Sentence, check_name

MAX_EXAMPLES = 50_000
_MAX_BYTES = 2**24
_DELETED = b'{"deleted": true}'
_TAUGHT = ".teaching/"  # no domain has such a name
V = TypeVar("V")


class UnknownExample(InputError, LookupError):  # noqa: N818
    """There is no such example."""


class Damaged(InputError):  # noqa: N818
    """An object in the store is not what this package writes."""


class Conflict(InputError, Generic[V]):  # noqa: N818
    """Somebody else changed it meanwhile; `present` is what it is now."""

    def __init__(self, message: str, present: V) -> None:
        super().__init__(message)
        self.present = present


@dataclass(frozen=True, slots=True)
class Added:
    """An example, and whether it is new: of a text that was there already nothing is changed."""

    example: Example
    new: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of revision `revision` of an example."""

    revision: int
    marks: tuple[Mark, ...]
    state: State
    provenance: Provenance = Provenance.CORRECTED
    source: str | None = None


class Examples:
    """The examples at a registry's address; made by `Examples.open`. May be used from several threads.

    All methods raise RegistryUnavailable where the store fails, and InputError for names and ids that cannot be any and
    for content that is corrupt. What was read once is kept, and read again only if its tag in the listing has changed.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._read: dict[str, tuple[str, Example | None]] = {}
        self._lock = Lock()

    @classmethod
    def open(cls, url: str, *, timeout_s: float = 10.0) -> Examples:
        """The examples in the registry at `url`. A failing request is repeated for at most `timeout_s` seconds."""
        return cls(open_objects(url, timeout_s=timeout_s))

    @property
    def url(self) -> str:
        return self._objects.url

    def domains(self) -> tuple[str, ...]:
        """Domains that have labels for teaching: a request per 1,000 of them, whatever else the registry has."""
        names = (each.path.removeprefix(_TAUGHT) for each in self._objects.list(_TAUGHT))
        return tuple(sorted(name for name in names if NAME.fullmatch(name)))

    def labels(self, domain: str) -> Taught | None:
        """The labels that are taught in a domain; None if nobody has stated any."""
        stored = self._objects.get(_labels_path(check_name(domain, "domain")), _MAX_BYTES)
        return None if stored is None else self._parse_labels(domain, stored.content)

    def put_labels(self, domain: str, labels: Taught, *, revision: int) -> Taught:
        """Replace the labels of revision `revision` (0: there are none yet) by `labels`, and return them.

        Raises Conflict if there is another revision, InputError if an example's span has a label that is left out.
        """
        check_name(domain, "domain")
        used = set(example.labels_in(self.all(domain)))
        if lost := sorted(used - set(labels.names)):
            raise InputError(f"labels: found none of {lost}, expected those that spans of examples have")
        new = replace(labels, revision=revision + 1, when=example.now())

        def change(content: bytes | None) -> bytes | None:
            present = None if content is None else self._parse_labels(domain, content)
            if present == new:
                return None
            if (present.revision if present else 0) != revision:
                raise Conflict(f"labels of {domain}: {_changed(present.revision if present else 0, revision)}", present)
            # First what makes the domain found: labels that no listing names would look lost.
            self._objects.create(f"{_TAUGHT}{domain}", b"")
            return taught.to_json(new)

        self._objects.update(_labels_path(domain), _MAX_BYTES, change)
        return new

    def add(self, domain: str, examples: Sequence[Example]) -> list[Added]:
        """Store new examples; one whose text is there already is left as it is. In the order given."""
        check_name(domain, "domain")
        self._refuse_too_many(domain, len(examples))
        first = {each.id: each for each in reversed(examples)}
        found = dict(
            zip(first, self._objects.together(lambda each: self._add(domain, each), first.values()), strict=True)
        )
        seen: set[str] = set()
        added = []
        for each in examples:
            stored = found[each.id]
            added.append(replace(stored, new=stored.new and each.id not in seen))
            seen.add(each.id)
        return added

    def get(self, domain: str, id_: str) -> Example:
        """An example. Raises UnknownExample."""
        stored = self._objects.get(_path(domain, id_), _MAX_BYTES)
        found = None if stored is None else self._parse(domain, id_, stored.content)
        return found or self._refuse(domain, id_)

    def all(self, domain: str) -> tuple[Example, ...]:
        """All examples of a domain in the order in which they were added."""
        check_name(domain, "domain")
        listed = self._objects.list(_items(domain))
        with self._lock:
            current = {each.path for each in listed}
            for path in [path for path in self._read if path.startswith(_items(domain)) and path not in current]:
                del self._read[path]
            read = {each.path: self._read.get(each.path, ("", None)) for each in listed}
        # What is known takes no thread: handing 3,000 of them to threads took longer than listing them.
        known = {each.path: read[each.path][1] for each in listed if read[each.path][0] == _tag(each)}
        unread = [each for each in listed if each.path not in known]
        found = [*known.values(), *self._objects.together(lambda each: self._fetched(domain, each), unread)]
        return tuple(sorted((each for each in found if each), key=lambda each: each.order))

    def sentences(self, domain: str, state: State) -> tuple[Sentence, ...]:
        """The sentences of one state, each with its example's id as its place."""
        return tuple(each.sentence() for each in self.all(domain) if each.now.state is state)

    def put(self, domain: str, id_: str, change: Change, *, who: str) -> Example:
        """Change an example and return it. Raises UnknownExample, Conflict, and InputError for a state it cannot have.

        Of the test set no example may become one to learn from, and none may be added to it (see `hold_out`).
        """

        def changed(present: Example) -> Example:
            if (present.now.state is State.TEST) != (change.state is State.TEST) and not _left_out(present, change):
                raise InputError(
                    f"state: found {change.state} for one that is {present.now.state}, expected the test set to stay as"
                    f" it is ({State.SKIPPED} takes an example out of it)"
                )
            marks = example.checked(present.text, change.marks)
            made = {"provenance": change.provenance, "source": change.source, "who": who}
            return present.revised(marks=marks, state=change.state, **made)

        return self._changed(domain, id_, change.revision, changed)

    def undo(self, domain: str, id_: str, revision: int, *, who: str) -> Example:
        """Return an example to what it was before its last change. Raises as `put` does, also if nothing was before."""
        return self._changed(domain, id_, revision, lambda present: present.undone(who))

    def delete(self, domain: str, id_: str, revision: int) -> None:
        """Remove an example with its history. Raises UnknownExample and Conflict."""

        def change(content: bytes | None) -> bytes | None:
            present = None if content is None else self._parse(domain, id_, content)
            if present is None:
                return None if deleted else self._refuse(domain, id_)
            self._expect(present, revision)
            deleted.append(present)
            return _DELETED

        deleted: list[Example] = []
        self._objects.update(_path(domain, id_), _MAX_BYTES, change)

    def hold_out(
        self, domain: str, *, share: float, seed: int, who: str, learned: Callable[[Sentence], bool]
    ) -> tuple[Example, ...]:
        """Move a share of the finished examples into the fixed test set, stratified by label; returns those moved.

        One that a prompt has `learned` from stays. Raises InputError if too few are left to choose from.
        """
        finished = [each for each in self.all(domain) if each.now.state is State.DONE]
        free = [sentence for each in finished if not learned(sentence := each.sentence())]
        if len(free) < 2:
            found = f"found {len(free)} of {len(finished)} finished examples that no prompt has learned from"
            raise InputError(f"examples of {domain}: {found}, expected at least 2 to hold some out")
        _, held = hold_out(free, fraction=share, seed=seed)
        chosen = {sentence.place for sentence in held}
        moved = [each for each in finished if each.id in chosen]

        def move(each: Example) -> Example:
            return self._changed(
                domain, each.id, each.now.number, lambda present: present.revised(state=State.TEST, who=who)
            )

        return self._objects.together(move, moved)

    def _add(self, domain: str, new: Example) -> Added:
        tried: list[Example] = []
        found: list[Example] = []

        def change(content: bytes | None) -> bytes | None:
            present = None if content is None else self._parse(domain, new.id, content)
            if present is not None:
                found[:] = [present]
                return None
            tried.append(new)
            return to_json(new)

        self._objects.update(_path(domain, new.id), _MAX_BYTES, change)
        # A repeated request may have met its own first write.
        met = found[0] if found else new
        return Added(met, bool(tried) and met == new)

    def _changed(self, domain: str, id_: str, revision: int, change: Callable[[Example], Example]) -> Example:
        tried: list[Example] = []

        def update(content: bytes | None) -> bytes | None:
            present = None if content is None else self._parse(domain, id_, content)
            if present is None:
                self._refuse(domain, id_)
            # A repeated request may meet its own first write: then it is done.
            if tried and present == tried[-1]:
                return None
            self._expect(present, revision)
            tried.append(change(present))
            return to_json(tried[-1])

        self._objects.update(_path(domain, id_), _MAX_BYTES, update)
        return tried[-1]

    def _expect(self, present: Example, revision: int) -> None:
        if present.now.number != revision:
            raise Conflict(f"example {present.id}: {_changed(present.now.number, revision)}", present)

    def _fetched(self, domain: str, each: Listed) -> Example | None:
        tag = _tag(each)
        id_ = each.path.removeprefix(_items(domain)).removesuffix(".json")
        stored = self._objects.get(_path(domain, id_), _MAX_BYTES)
        found = None if stored is None else self._parse(domain, id_, stored.content)
        if stored and stored.state.get("e_tag", tag) == tag:  # otherwise it was changed between the two requests
            with self._lock:
                self._read[each.path] = (tag, found)
        return found

    def _parse(self, domain: str, id_: str, content: bytes) -> Example | None:
        """The example; None for one that was deleted."""
        if content == _DELETED:
            return None
        try:
            return from_record(json_object(content), where=f"{self.url}/{_path(domain, id_)}")
        except InputError as error:
            raise Damaged(str(error)) from error

    def _parse_labels(self, domain: str, content: bytes) -> Taught:
        try:
            return taught.from_record(json_object(content), where=f"{self.url}/{_labels_path(domain)}")
        except InputError as error:
            raise Damaged(str(error)) from error

    def _refuse(self, domain: str, id_: str) -> NoReturn:
        raise UnknownExample(f"{self.url}: found no example {id_} of domain {domain!r}, expected one that was added")

    def _refuse_too_many(self, domain: str, more: int) -> None:
        count = len(self._objects.list(_items(domain)))
        if count + more > MAX_EXAMPLES:
            raise InputError(f"examples of {domain}: found {count} and {more} more, expected at most {MAX_EXAMPLES}")


def counted(examples: Iterable[Example]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many examples have each state; of the finished ones how many have each label, and how many spans do."""
    states: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    mentions: Counter[str] = Counter()
    for each in examples:
        states[each.now.state.value] += 1
        if each.now.state in FINISHED:
            mentions.update(mark.label for mark in each.now.marks)
            sentences.update({mark.label for mark in each.now.marks})
    return states, sentences, mentions


def _tag(each: Listed) -> str:
    return each.tag or each.modified.isoformat()


def _left_out(present: Example, change: Change) -> bool:
    return present.now.state is State.TEST and change.state is State.SKIPPED


def _changed(found: int, expected: int) -> str:
    return f"found revision {found}, expected {expected}: it was changed meanwhile"


def _items(domain: str) -> str:
    return f"{domain}/examples/items/"


def _path(domain: str, id_: str) -> str:
    return f"{_items(check_name(domain, 'domain'))}{check_id(id_)}.json"


def _labels_path(domain: str) -> str:
    return f"{domain}/examples/labels.json"
