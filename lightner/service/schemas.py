"""The wire contract: the forms of requests and answers and their limits. Knows no ray and no torch."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
)

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 100_000
MAX_TOTAL_CHARACTERS = 400_000
MAX_LABELS = 200
MAX_NAME_CHARACTERS = 100
MAX_DESCRIPTION_CHARACTERS = 300
# Of all different label sets of a request, their words and descriptions included.
MAX_LABEL_CHARACTERS = 20_000
# The most that a request of MAX_TOTAL_CHARACTERS can need: twelve bytes for a character written as two \u escapes.
MAX_BODY_BYTES = 12 * MAX_TOTAL_CHARACTERS + 2**18

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,127}$"
VERSION_PATTERN = r"^v[0-9]{6,40}$"
# No white space around it. Regular expressions disagree on whether these two code points are white space.
WORD_PATTERN = r"^[^\s\u0085\ufeff]([\s\S]*[^\s\u0085\ufeff])?$"
# pydantic adds these to the location of an error; they are not part of the request.
FORMS = TEXT, WORDS, NAME_ALONE, NAMES, DESCRIBED, DOMAIN_ITEM, LABELS_ITEM, NUMBER, FITTED = (
    "<text>", "<words>", "<name alone>", "<names>", "<described>", "<domain>", "<labels>", "<number>", "<fitted>"
)  # fmt: skip


def characters_of(text: str | Sequence[str]) -> int:
    """Characters of a text; pre-split words have one space between each two."""
    return len(text) if isinstance(text, str) else sum(map(len, text)) + max(0, len(text) - 1)


def characters_of_labels(labels: Labels) -> int:
    """Characters of names, words and descriptions, and one for what separates each from the next."""
    if isinstance(labels, list):
        return sum(len(name) + 1 for name in labels)
    return sum(len(name) + 1 + characters_of(words or "") for name, words in labels.items())


def content_of(labels: Labels) -> Hashable:
    """A value that is equal for the same labels in any order."""
    if isinstance(labels, list):
        return frozenset(labels)
    return frozenset((name, tuple(words) if isinstance(words, list) else words) for name, words in labels.items())


def _bounded_words(words: list[str], most: int = MAX_TEXT_CHARACTERS) -> list[str]:
    if (found := characters_of(words)) > most:
        raise ValueError(f"found {found} characters, expected at most {most}")
    return words


def _no_version(alias: str) -> str:
    if re.fullmatch(VERSION_PATTERN, alias):
        raise ValueError(f"found {alias!r}, expected a name that does not look like a version")
    return alias


def _bounded_description(words: list[str]) -> list[str]:
    return _bounded_words(words, MAX_DESCRIPTION_CHARACTERS)


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("found a name twice, expected distinct names")
    return names


def _bounded_labels(labels: Labels) -> Labels:
    _check_labels(characters_of_labels(labels))
    return labels


def _labels_form(labels: object) -> str | None:
    return NAMES if isinstance(labels, list) else DESCRIBED if isinstance(labels, dict) else None


def _item_form(item: object) -> str | None:
    given = item if isinstance(item, dict) else vars(item) if isinstance(item, BaseModel) else {}
    if ("labels" in given) == ("domain" in given):
        return None
    return LABELS_ITEM if "labels" in given else DOMAIN_ITEM


def _words_form(words: object) -> str | None:
    return NAME_ALONE if words is None else _form(words)


def _threshold_form(threshold: object) -> str:
    return FITTED if isinstance(threshold, str) else NUMBER


def _form(text: object) -> str | None:
    return WORDS if isinstance(text, list) else TEXT if isinstance(text, str) else None


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Version = Annotated[str, StringConstraints(pattern=VERSION_PATTERN)]
Alias = Annotated[Name, AfterValidator(_no_version), Field(description="any name but one that looks like a version")]
Word = Annotated[str, StringConstraints(pattern=WORD_PATTERN)]
Words = Annotated[list[Word], Field(max_length=MAX_TEXT_CHARACTERS, fail_fast=True), AfterValidator(_bounded_words)]
Text = Annotated[
    Annotated[Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)], Tag(TEXT)]
    | Annotated[Words, Tag(WORDS)],
    Discriminator(
        _form,
        custom_error_type="text_type",
        custom_error_message="Input should be a valid string or a list of words",
    ),
    Field(description="a string, or its words: a list of strings that are neither empty nor padded with white space"),
]
LabelName = Annotated[Word, StringConstraints(max_length=MAX_NAME_CHARACTERS)]
LabelWords = Annotated[
    list[Word],
    Field(min_length=1, max_length=MAX_DESCRIPTION_CHARACTERS, fail_fast=True),
    AfterValidator(_bounded_description),
]
Description = Annotated[str, StringConstraints(min_length=1, max_length=MAX_DESCRIPTION_CHARACTERS)]
Labels: TypeAlias = list[str] | dict[str, str | list[str] | None]
LabelsField = Annotated[
    Annotated[
        list[LabelName],
        Field(min_length=1, max_length=MAX_LABELS, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_distinct),
        Tag(NAMES),
    ]
    | Annotated[
        dict[
            LabelName,
            Annotated[
                Annotated[Description, Tag(TEXT)]
                | Annotated[LabelWords, Tag(WORDS)]
                | Annotated[None, Tag(NAME_ALONE)],
                Discriminator(
                    _words_form,
                    custom_error_type="words_type",
                    custom_error_message="Input should be a description, a list of words, or null",
                ),
            ],
        ],
        Field(min_length=1, max_length=MAX_LABELS, json_schema_extra={"additionalProperties": False}),
        Tag(DESCRIBED),
    ],
    Discriminator(
        _labels_form,
        custom_error_type="labels_type",
        custom_error_message="Input should be a list of names, or an object of names and descriptions",
    ),
    AfterValidator(_bounded_labels),
    Field(
        description="names, or an object in which each name has a description, a list of words, or null where the name "
        "itself says enough; their order changes nothing",
        examples=[["person", "city"]],
    ),
]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Output: TypeAlias = Literal["entities", "entity_group"]

_OUTPUT: Any = Field(
    default="entities", description="`entity_group`: entities as transformers' token-classification pipeline names them"
)
Threshold = Annotated[
    Annotated[Probability, Tag(NUMBER)] | Annotated[Literal["tuned"], Tag(FITTED)], Discriminator(_threshold_form)
]
_THRESHOLD: Any = Field(
    default=0.0,
    description="entities with a lower score are left out; `tuned`: the thresholds that were fitted with each prompt, "
    "0 where none were",
)
_THRESHOLDS: Any = Field(
    default_factory=dict,
    max_length=MAX_LABELS,
    description="thresholds of single labels, in place of `threshold`",
    examples=[{}],
)
_PROMPT = Field(default=None, description="alias or version of the prompt; nothing: the live one", examples=[None])


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EntitiesRequest(_Message):
    """Texts of one domain."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS, examples=[["Ada lives in Paris."]])
    threshold: Threshold = _THRESHOLD
    thresholds: dict[str, Probability] = _THRESHOLDS
    output: Output = _OUTPUT
    prompt: Name | None = _PROMPT

    @field_validator("texts")
    @classmethod
    def _bounded(cls, texts: list[str | list[str]]) -> list[str | list[str]]:
        _check_total(sum(map(characters_of, texts)))
        return texts


class Item(_Message):
    """A text and the domain that reads it."""

    domain: Name
    text: Text
    prompt: Name | None = _PROMPT


class LabelsItem(_Message):
    """A text, and the labels by which it is read."""

    labels: LabelsField
    text: Text


AnyItem = Annotated[
    Annotated[Item, Tag(DOMAIN_ITEM)] | Annotated[LabelsItem, Tag(LABELS_ITEM)],
    Discriminator(
        _item_form,
        custom_error_type="item_type",
        custom_error_message="Input should be an object with either domain or labels, and not with both",
    ),
]


class MixedRequest(_Message):
    """Texts that each name a domain or bring labels, read together."""

    items: list[AnyItem] = Field(min_length=1, max_length=MAX_TEXTS)
    threshold: Threshold = _THRESHOLD
    thresholds: dict[str, Probability] = _THRESHOLDS
    output: Output = _OUTPUT

    @field_validator("items")
    @classmethod
    def _bounded(cls, items: list[Item | LabelsItem]) -> list[Item | LabelsItem]:
        given = [item.labels for item in items if isinstance(item, LabelsItem)]
        labels = sum(map(characters_of_labels, given))
        _check_total(sum(characters_of(item.text) for item in items) + labels)
        if labels > MAX_LABEL_CHARACTERS:
            different = {content_of(each): each for each in given}
            _check_labels(sum(map(characters_of_labels, different.values())))
        return items


class DomainRequest(_Message):
    """A new domain and its labels."""

    domain: Name
    labels: LabelsField


class AliasRequest(_Message):
    """The version that an alias is to name."""

    alias: Alias = "live"
    version: Version


class RollbackRequest(_Message):
    """The alias that is to name again the version that it named before."""

    alias: Alias = "live"


class FoundEntity(_Message):
    """An entity: characters `[start, end)` of the text, and its probability.

    If the text was given as words, also words `[start_word, end_word)`; the characters are then those of the words with
    one space between each two.
    """

    start: int
    end: int
    start_word: int | None = None
    end_word: int | None = None
    text: str
    label: str
    score: float


class GroupedEntity(_Message):
    """An entity in the fields of transformers' token-classification pipeline; `word` is its text, unchanged."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int
    start_word: int | None = None
    end_word: int | None = None


Entities: TypeAlias = list[FoundEntity] | list[GroupedEntity]


class TextResult(_Message):
    """Entities in order of position, and the number of windows in which the text was read (1 except for long texts)."""

    entities: Entities
    windows: int


class EntitiesResponse(_Message):
    """A result for each text, in their order, all by the same version of the prompt."""

    domain: str
    prompt_version: str
    results: list[TextResult]


class ProblemField(_Message):
    """A field of the request and what is wrong with it."""

    field: str = Field(examples=["body.texts.3"])
    message: str


class Problem(_Message):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:lightner:problem:unknown-prompt"])
    title: str
    status: int
    detail: str
    domain: str | None = None
    prompt_version: str | None = None
    errors: list[ProblemField] | None = None


class ItemResult(_Message):
    """One item's result. If it was read by labels, `domain` is null and `prompt_version` is absent."""

    domain: str | None
    prompt_version: str | None = None
    entities: Entities
    windows: int


class ItemProblem(_Message):
    """Why this item was not read; other items are not affected."""

    domain: str | None
    problem: Problem


class MixedResponse(_Message):
    """A result or a problem for each item, in their order."""

    results: list[ItemResult | ItemProblem]


class DomainsResponse(_Message):
    domains: list[str]


class DomainResponse(_Message):
    """A domain's card and the version that it belongs to."""

    domain: str
    prompt_version: str
    card: dict[str, Any]


class AliasResponse(_Message):
    """The version that the alias names from now on."""

    domain: str
    alias: str
    version: str


class Health(_Message):
    status: str
    backbone: str | None = None


def _check_labels(characters: int) -> None:
    if characters > MAX_LABEL_CHARACTERS:
        raise ValueError(f"found {characters} characters in labels, expected at most {MAX_LABEL_CHARACTERS}")


def _check_total(characters: int) -> None:
    if characters > MAX_TOTAL_CHARACTERS:
        raise ValueError(f"found {characters} characters in all, expected at most {MAX_TOTAL_CHARACTERS}")
