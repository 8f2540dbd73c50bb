"""The wire contract: what requests and answers look like, and how large they may be. No ray, no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 100_000
MAX_TOTAL_CHARACTERS = 400_000
# The most that a request of MAX_TOTAL_CHARACTERS can need: twelve bytes for a character written as two \u escapes.
MAX_BODY_BYTES = 12 * MAX_TOTAL_CHARACTERS + 2**18

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,127}$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARACTERS)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_THRESHOLD = Field(default=0.0, description="entities with a lower score are left out")
_PROMPT = Field(default=None, description="alias or version of the prompt; nothing: the live one", examples=[None])


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EntitiesRequest(_Message):
    """Texts of one domain."""

    texts: list[Text] = Field(min_length=1, max_length=MAX_TEXTS, examples=[["Ada lives in Paris."]])
    threshold: Probability = _THRESHOLD
    prompt: Name | None = _PROMPT

    @field_validator("texts")
    @classmethod
    def _bounded(cls, texts: list[str]) -> list[str]:
        _check_total(sum(map(len, texts)))
        return texts


class Item(_Message):
    """A text and the domain that reads it."""

    domain: Name
    text: Text
    prompt: Name | None = _PROMPT


class MixedRequest(_Message):
    """Texts of any domains, read together."""

    items: list[Item] = Field(min_length=1, max_length=MAX_TEXTS)
    threshold: Probability = _THRESHOLD

    @field_validator("items")
    @classmethod
    def _bounded(cls, items: list[Item]) -> list[Item]:
        _check_total(sum(len(item.text) for item in items))
        return items


class FoundEntity(_Message):
    """An entity: characters `[start, end)` of the text, and its probability."""

    start: int
    end: int
    text: str
    label: str
    score: float


class TextResult(_Message):
    """Entities in order of position, and in how many windows the text was read (1 for all but long texts)."""

    entities: list[FoundEntity]
    windows: int


class EntitiesResponse(_Message):
    """A result for each text, in their order, all by the same version of the prompt."""

    domain: str
    prompt_version: str
    results: list[TextResult]


class ProblemField(_Message):
    """A field of the request that is at fault."""

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
    """One item's result, or the problem of its domain."""

    domain: str
    prompt_version: str
    entities: list[FoundEntity]
    windows: int


class ItemProblem(_Message):
    """Why this item was not read; the others are not concerned."""

    domain: str
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


class Health(_Message):
    status: str
    backbone: str | None = None


def _check_total(characters: int) -> None:
    if characters > MAX_TOTAL_CHARACTERS:
        raise ValueError(f"found {characters} characters in all, expected at most {MAX_TOTAL_CHARACTERS}")
