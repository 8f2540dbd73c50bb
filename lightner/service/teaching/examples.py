"""The routes of labels and labelled examples: add, list, change, undo, delete, hold out. Knows no ray, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from lightner.service import problems
from lightner.service.messages import Reason, Refusal
from lightner.service.middleware import AnnotateRoute, key_name
from lightner.service.openapi import ANNOTATE_KEY, DomainPath, conflicts, documented
from lightner.service.problems import ProblemError
from lightner.service.teaching.desk import Desk, about, asked
from lightner.service.teaching.forms import example_answer, labels_answer, labels_of, marks_of, whole_example
from lightner.service.teaching.schemas import (
    ID_PATTERN,
    MAX_LISTED,
    AddAnswer,
    AddedExample,
    AddRequest,
    ChangedProblem,
    ChangeRequest,
    CountsAnswer,
    DeleteAnswer,
    ExampleAnswer,
    HoldOutAnswer,
    HoldOutRequest,
    LabelCount,
    LabelsAnswer,
    LabelsRequest,
    ListAnswer,
    NewExample,
    Order,
    RevisionRequest,
    State,
    TaughtDomains,
    WholeExample,
)
from lightner.service.teaching.tuning_schemas import InProgressProblem
from lightner.store import example
from lightner.store.example import Example, Provenance, new_example
from lightner.store.example import State as Is
from lightner.store.examples import Change, counted
from lightner.store.lineage import recogniser
from lightner.store.registry import UnknownPrompt
from lightner.store.taught import Taught
from lightner.types import Sentence
from lightner.words import in_parts, sentence_ranges, split_words

IdPath = Annotated[str, Path(pattern=ID_PATTERN, description="id of an example")]
COMMON = documented(401, 403, 404, 413, 422, 429, 502, 503, 504)
CHANGED = conflicts(ChangedProblem)


def router(desk: Desk) -> APIRouter:
    """All routes of labels and examples. Paths of one name come before those of ids."""
    routes = APIRouter(tags=["teaching"], dependencies=[ANNOTATE_KEY], route_class=AnnotateRoute, responses=COMMON)
    for add in (_labels, _adding, _listing, _summary, _one, _changing):
        add(routes, desk)
    return routes


def _labels(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/teaching")
    async def taught_domains() -> TaughtDomains:
        """Domains that have labels for teaching, with or without a prompt."""
        return TaughtDomains(domains=list(await asked("", desk.examples.domains)))

    @routes.get("/v1/domains/{domain}/labels")
    async def labels(domain: DomainPath) -> LabelsAnswer:
        """The labels that are taught in a domain; of a published one without any, those of its live prompt."""
        return labels_answer(domain, await known_labels(desk, domain))

    @routes.put("/v1/domains/{domain}/labels", responses=CHANGED)
    async def put_labels(domain: DomainPath, request: LabelsRequest, caller: Request) -> LabelsAnswer:
        """Replace all labels. A label that spans of examples have cannot be left out."""

        def put() -> Taught:
            given = labels_of(request.labels, who=key_name(caller))
            return desk.examples.put_labels(domain, given, revision=request.revision)

        return labels_answer(domain, await asked(domain, put))


def _adding(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/v1/domains/{domain}/examples", status_code=HTTPStatus.CREATED)
    async def add_examples(domain: DomainPath, request: AddRequest, caller: Request) -> AddAnswer:
        """Add texts; one that is there already is reported and left as it is."""
        if any(each.spans for each in request.examples):
            names = (await known_labels(desk, domain)).names
            for place, each in enumerate(request.examples):
                _check_labels(each, names, place)
        made = await asked(domain, lambda: list(_made(request, who=key_name(caller))))
        added = await asked(domain, lambda: desk.examples.add(domain, made))
        shown = [AddedExample(id=each.example.id, text=each.example.text, new=each.new) for each in added]
        new = sum(each.new for each in added)
        return AddAnswer(examples=shown, added=new, duplicates=len(shown) - new)


def _listing(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/domains/{domain}/examples")
    async def list_examples(
        domain: DomainPath,
        state: State | None = None,
        order: Order = "added",
        offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50,
    ) -> ListAnswer:
        """Examples, perhaps of one state: as added, those changed last first, or of the open ones those that are most
        worth labelling first."""
        found = await asked(domain, lambda: desk.examples.all(domain))
        wanted = "open" if order == "suggested" else state
        those = [each for each in found if wanted is None or each.now.state.value == wanted]
        return ListAnswer(examples=await _ordered(desk, domain, those, order, offset, limit), total=len(those))


def _summary(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/domains/{domain}/examples/counts")
    async def count_examples(domain: DomainPath) -> CountsAnswer:
        """How many examples there are of each state, and how many finished ones have each label."""
        states, sentences, mentions = counted(await asked(domain, lambda: desk.examples.all(domain)))
        taught = await desk.labels(domain)
        names = sorted({*sentences, *(taught.names if taught else ())})
        labels = {name: LabelCount(sentences=sentences[name], mentions=mentions[name]) for name in names}
        return CountsAnswer(total=states.total(), states={each.value: states[each.value] for each in Is}, labels=labels)

    @routes.post("/v1/domains/{domain}/examples/hold-out", responses=conflicts(InProgressProblem))
    async def hold_out(domain: DomainPath, request: HoldOutRequest, caller: Request) -> HoldOutAnswer:
        """Move a share of the done examples into the fixed test set, stratified by label.

        Only such as no version of the domain has learned from: they are never learned from afterwards either. Not
        while a tuning is learning from them.
        """

        def move() -> tuple[Example, ...]:
            if desk.tuner is not None:
                desk.tuner.must_rest(domain)
            return desk.examples.hold_out(
                domain, share=request.share, seed=request.seed, who=key_name(caller), learned=_learned(desk, domain)
            )

        moved = await asked(domain, move)
        states, _, _ = counted(await asked(domain, lambda: desk.examples.all(domain)))
        return HoldOutAnswer(held=[each.id for each in moved], done=states["done"], test=states["test"])


def _one(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/domains/{domain}/examples/{id}")
    async def example_by_id(domain: DomainPath, id: IdPath, proposals: bool = True) -> WholeExample:
        """An example with its history; if it is open, with what the live prompt or the labels alone propose."""
        found = await asked(domain, lambda: desk.examples.get(domain, id))
        proposed = None
        if proposals and found.now.state is Is.OPEN:
            [proposed] = await desk.proposer.propose(domain, await desk.labels(domain), [found])
        return whole_example(found, proposed)


def _changing(routes: APIRouter, desk: Desk) -> None:
    @routes.put("/v1/domains/{domain}/examples/{id}", responses=CHANGED)
    async def put_example(domain: DomainPath, id: IdPath, request: ChangeRequest, caller: Request) -> ExampleAnswer:
        """Give an example its spans and state. Of the test set none is learned from: it stays, or is skipped."""
        if request.spans:
            _check_known(marks_of(request.spans), (await known_labels(desk, domain)).names, "body")
        change = Change(request.revision, marks_of(request.spans), Is(request.state), Provenance(request.provenance))
        who = key_name(caller)
        return example_answer(await asked(domain, lambda: desk.examples.put(domain, id, change, who=who)))

    @routes.post("/v1/domains/{domain}/examples/{id}/undo", responses=CHANGED)
    async def undo_example(domain: DomainPath, id: IdPath, request: RevisionRequest, caller: Request) -> ExampleAnswer:
        """Return to what was before the last change; undone again, to what was before that."""
        who = key_name(caller)
        return example_answer(await asked(domain, lambda: desk.examples.undo(domain, id, request.revision, who=who)))

    @routes.delete("/v1/domains/{domain}/examples/{id}", responses=CHANGED)
    async def delete_example(
        domain: DomainPath, id: IdPath, revision: Annotated[int, Query(ge=1, le=2**31)]
    ) -> DeleteAnswer:
        """Remove an example with its text and history."""
        await asked(domain, lambda: desk.examples.delete(domain, id, revision))
        return DeleteAnswer(id=id, deleted=True)


async def known_labels(desk: Desk, domain: str) -> Taught:
    """The labels of a domain, or the problem that there is no such domain."""
    found = await desk.labels(domain)
    if found is None:
        raise ProblemError(problems.of_refusal(Refusal(Reason.UNKNOWN_PROMPT, domain)))
    return found


async def _ordered(
    desk: Desk, domain: str, those: Sequence[Example], order: Order, offset: int, limit: int
) -> list[ExampleAnswer]:
    if order == "suggested":
        ranked = await desk.proposer.suggested(domain, await desk.labels(domain), those, offset + limit)
        return [example_answer(each, certainty) for each, certainty in ranked[offset : offset + limit]]
    if order == "changed":
        those = sorted(those, key=lambda each: (each.now.when, *each.order), reverse=True)
    return [example_answer(each) for each in those[offset : offset + limit]]


def _made(request: AddRequest, *, who: str) -> Iterator[Example]:
    """The examples of a request, all of one moment. Raises InputError, which names the text at fault."""
    when, place = example.now(), 0
    for number, given in enumerate(request.examples):
        for text in _sentences(given.text) if request.split else [given.text]:
            with about(f"body.examples.{number}"):
                made = _example(given, text, who=who, when=when, place=place)
            yield made
            place += 1


def _example(given: NewExample, text: str, *, who: str, when: str, place: int) -> Example:
    if given.spans is None:
        return new_example(text, who=who, when=when, place=place, state=Is(given.state or "open"))
    return new_example(
        text,
        who=who,
        when=when,
        place=place,
        marks=marks_of(given.spans),
        state=Is(given.state or "done"),
        provenance=Provenance.CORRECTED,
    )


def _sentences(text: str) -> list[str]:
    words = split_words(text)
    return [text[words[start].start : words[end - 1].end] for start, end in sentence_ranges(text, words)]


def _check_labels(given: NewExample, names: Sequence[str], place: int) -> None:
    _check_known(marks_of(given.spans or ()), names, f"body.examples.{place}")


def _check_known(marks: Sequence[example.Mark], names: Sequence[str], field: str) -> None:
    with about(field):
        example.check_labels(marks, names)


def _learned(desk: Desk, domain: str) -> Callable[[Sentence], bool]:
    """Says whether a version of the domain has learned from a sentence, or from a part of it."""
    try:
        versions = desk.registry.versions(domain)
    except UnknownPrompt:
        return lambda _: False
    known = recogniser(desk.registry.card(domain, version) for version in versions)
    return lambda sentence: any(known(part.words) for part in in_parts(sentence))
