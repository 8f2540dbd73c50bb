"""Values of the store of examples in the forms of answers, and spans of requests as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lightner.service.entities import found_entity
from lightner.service.teaching.proposals import Proposed
from lightner.service.teaching.schemas import (
    ExampleAnswer,
    LabelForm,
    LabelsAnswer,
    PastRevision,
    Proposals,
    SpanForm,
    WholeExample,
)
from lightner.store.example import Example, Mark
from lightner.store.taught import Label, Taught
from lightner.words import split_words


def labels_answer(domain: str, taught: Taught) -> LabelsAnswer:
    """The labels of a domain."""
    labels = [
        LabelForm(
            name=each.name, words=list(each.words) if isinstance(each.words, tuple) else each.words, colour=each.colour
        )
        for each in taught.labels
    ]
    return LabelsAnswer(domain=domain, revision=taught.revision, who=taught.who, when=taught.when, labels=labels)


def labels_of(forms: Iterable[LabelForm], *, who: str) -> Taught:
    """The labels of a request. Raises InputError for such as no domain can have."""
    labels = tuple(
        Label(each.name, tuple(each.words) if isinstance(each.words, list) else each.words, each.colour)
        for each in forms
    )
    return Taught(labels, who=who)


def marks_of(spans: Iterable[SpanForm]) -> tuple[Mark, ...]:
    """The spans of a request."""
    return tuple(Mark(each.start, each.end, each.label) for each in spans)


def example_answer(example: Example, certainty: float | None = None) -> ExampleAnswer:
    """An example as it is now."""
    now = example.now
    return ExampleAnswer(
        id=example.id,
        text=example.text,
        spans=_spans(now.marks),
        state=now.state.value,
        revision=now.number,
        provenance=now.provenance.value,
        who=now.who,
        when=now.when,
        added=example.added,
        certainty=certainty,
    )


def whole_example(example: Example, proposed: Proposed | None) -> WholeExample:
    """An example with its words, its history and what is proposed for it."""
    history = [
        PastRevision(
            revision=each.number,
            spans=_spans(each.marks),
            state=each.state.value,
            provenance=each.provenance.value,
            who=each.who,
            when=each.when,
            restores=each.restores,
        )
        for each in example.revisions
    ]
    tokens = [(word.start, word.end) for word in split_words(example.text)]
    plain = dict(example_answer(example))
    return WholeExample(**plain, tokens=tokens, history=history, proposals=_proposals(proposed))


def _proposals(proposed: Proposed | None) -> Proposals | None:
    if proposed is None:
        return None
    entities = list(map(found_entity, proposed.tagged.entities))
    return Proposals(prompt_version=proposed.version, certainty=proposed.certainty, entities=entities)


def _spans(marks: Sequence[Mark]) -> list[SpanForm]:
    return [SpanForm(start=each.start, end=each.end, label=each.label) for each in marks]
