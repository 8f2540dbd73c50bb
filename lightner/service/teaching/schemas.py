"""The wire contract of teaching: labels, examples, import and export. Offsets are characters."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from lightner.service.schemas import (
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TEXTS,
    MAX_TOTAL_CHARACTERS,
    Description,
    FoundEntity,
    LabelName,
    LabelWords,
    Problem,
)
from lightner.store.confined import MAX_BYTES

ID_PATTERN = r"^[0-9a-f]{32}$"
COLOUR_PATTERN = r"^#[0-9a-f]{6}$"
MAX_LISTED = 200
MAX_FILE_CHARACTERS = MAX_TOTAL_CHARACTERS
_MAX_BASE64 = MAX_BYTES * 4 // 3  # less than a body may have
_FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,199}$"

State: TypeAlias = Literal["open", "done", "skipped", "test"]
Provenance: TypeAlias = Literal["added", "proposed", "accepted", "corrected", "imported"]
Order: TypeAlias = Literal["added", "changed", "suggested"]
Export: TypeAlias = Literal[
    "examples", "tokens", "label_studio", "jsonl", "doccano", "prodigy", "spacy-jsonl", "gliner", "conll", "conll-iob1",
    "conll-bioes", "conll-bilou",
]  # fmt: skip
Revision = Annotated[int, Field(ge=0, le=2**31, description="the revision that this is made from")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LabelForm(_Message):
    """A label: its name, what it means where the name says too little, and its colour."""

    name: LabelName
    words: Description | LabelWords | None = None
    colour: Annotated[str, StringConstraints(pattern=COLOUR_PATTERN)] | None = None


class LabelsRequest(_Message):
    """All labels of a domain, in place of those of `revision` (0: there are none yet)."""

    revision: Revision
    labels: list[LabelForm] = Field(min_length=1, max_length=MAX_LABELS)


class LabelsAnswer(_Message):
    """The labels of a domain. Those of revision 0 are its live prompt's: nobody has stated any for teaching."""

    domain: str
    revision: int
    who: str | None
    when: str | None
    labels: list[LabelForm]


class TaughtDomains(_Message):
    """Domains that have labels for teaching, with or without a prompt."""

    domains: list[str]


class SpanForm(_Message):
    """Characters `[start, end)` of a text, whole words, and their label."""

    start: Annotated[int, Field(ge=0, le=MAX_TEXT_CHARACTERS)]
    end: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARACTERS)]
    label: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS)]


Spans = Annotated[list[SpanForm], Field(max_length=MAX_TEXT_CHARACTERS)]


class NewExample(_Message):
    """A text to add. With `spans` it is done unless `state` says otherwise."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
    spans: Spans | None = None
    state: Literal["open", "done", "skipped"] | None = None


class AddRequest(_Message):
    """Texts to add; with `split` each sentence of a text becomes an example."""

    examples: list[NewExample] = Field(min_length=1, max_length=MAX_TEXTS)
    split: bool = False

    @field_validator("examples")
    @classmethod
    def _bounded(cls, examples: list[NewExample]) -> list[NewExample]:
        if (found := sum(len(each.text) for each in examples)) > MAX_TOTAL_CHARACTERS:
            raise ValueError(f"found {found} characters in all, expected at most {MAX_TOTAL_CHARACTERS}")
        return examples

    @model_validator(mode="after")
    def _whole(self) -> AddRequest:
        if self.split and any(each.spans is not None for each in self.examples):
            raise ValueError("found spans of texts that are to be split, expected none")
        return self


class AddedExample(_Message):
    """An example of the request; `new` is false for a text that was there already, which is left as it is."""

    id: str
    text: str
    new: bool


class AddAnswer(_Message):
    examples: list[AddedExample]
    added: int
    duplicates: int


class ExampleAnswer(_Message):
    """An example as it is now."""

    id: str
    text: str
    spans: list[SpanForm]
    state: State
    revision: int
    provenance: Provenance
    who: str
    when: str
    added: str
    certainty: float | None = Field(default=None, description="of the prompt that orders suggestions; null: not read")


class PastRevision(_Message):
    """What an example was; `restores` is the revision that an undo brought back."""

    revision: int
    spans: list[SpanForm]
    state: State
    provenance: Provenance
    who: str
    when: str
    restores: int | None


class Proposals(_Message):
    """What the live prompt finds, or without one (`prompt_version` null) the labels alone."""

    prompt_version: str | None
    certainty: float
    entities: list[FoundEntity]


class WholeExample(ExampleAnswer):
    """An example with its words (character ranges), its history, the oldest revision first, and proposals."""

    tokens: list[tuple[int, int]]
    history: list[PastRevision]
    proposals: Proposals | None


class ListAnswer(_Message):
    """Some examples of a domain, and how many there are of the state that was asked for."""

    examples: list[ExampleAnswer]
    total: int


class ChangeRequest(_Message):
    """What an example is to become."""

    revision: Revision
    spans: Spans
    state: State
    provenance: Literal["accepted", "corrected"] = "corrected"


class RevisionRequest(_Message):
    revision: Revision


class DeleteAnswer(_Message):
    id: str
    deleted: bool


class LabelCount(_Message):
    """Finished sentences that have a label, and how often they have it."""

    sentences: int
    mentions: int


class CountsAnswer(_Message):
    """Examples by state; by label those that are done or in the test set."""

    total: int
    states: dict[str, int]
    labels: dict[str, LabelCount]


class HoldOutRequest(_Message):
    """The share of the done examples that becomes the fixed test set."""

    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class HoldOutAnswer(_Message):
    held: list[str]
    done: int
    test: int


class ImportRequest(_Message):
    """A file of labelled sentences in any format of docs/formats.md; its name says which, where content does not.

    The content of a file of text is `content`, that of a binary one (.parquet, .arrow, .spacy) `content_base64`.
    """

    name: Annotated[str, StringConstraints(pattern=_FILE_PATTERN)] = Field(examples=["recipes.conll"])
    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_FILE_CHARACTERS)] | None = None
    content_base64: Annotated[str, StringConstraints(min_length=4, max_length=_MAX_BASE64)] | None = Field(
        default=None, json_schema_extra={"contentEncoding": "base64"}
    )
    state: Literal["open", "done"] = "done"
    columns: Annotated[str, StringConstraints(max_length=200)] | None = Field(default=None, examples=["word=1,tag=4"])
    repairs: list[Annotated[str, StringConstraints(max_length=40)]] = Field(default=[], max_length=8)

    @field_validator("content_base64")
    @classmethod
    def _decodable(cls, given: str | None) -> str | None:
        if given is not None:
            base64.b64decode(given, validate=True)
        return given

    @model_validator(mode="after")
    def _one_content(self) -> ImportRequest:
        if (self.content is None) == (self.content_base64 is None):
            found = "neither" if self.content is None else "both"
            raise ValueError(f"found {found} of content and content_base64, expected one of them")
        return self

    @property
    def given(self) -> str | bytes:
        """The content, decoded."""
        return self.content if self.content is not None else base64.b64decode(self.content_base64 or "")


class ImportAnswer(_Message):
    """What was added, labels that are new to the domain, and what reading the file found."""

    added: int
    duplicates: int
    labels: list[str]
    notes: list[str]


class ChangedProblem(Problem):
    """Somebody else changed it meanwhile: `present` is what it is now (of an example or of labels)."""

    present: dict[str, Any]
