"""What the ingress and the backbone replica say to each other: plain frozen values, no ray, no torch, no HTTP.

A refusal is a value, not an exception, so that it crosses process borders whole and one domain's never touches
another's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from lightner.types import TaggedText
from lightner.words import Text

HELD_DOMAINS = "domains"
"""Under which key a replica tells Ray's router what it holds."""


class Reason(Enum):
    """Why something was refused."""

    UNKNOWN_PROMPT = "unknown-prompt"
    UNUSABLE_PROMPT = "unusable-prompt"
    REGISTRY_UNAVAILABLE = "registry-unavailable"
    OVERLOADED = "overloaded"
    UNREADABLE_TEXT = "unreadable-text"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused and why; with the domain and the version of its prompt where they are known."""

    reason: Reason
    domain: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Texts to be read with one prompt of a domain; `ref` is an alias or a version, None for the live one."""

    domain: str
    texts: tuple[Text, ...]
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Each text of an `Ask`, tagged or refused, all by the same version of the prompt."""

    domain: str
    version: str
    texts: tuple[TaggedText | Refusal, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """A domain's card, as JSON, and the version that it belongs to."""

    domain: str
    version: str
    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """The version that an alias of a domain names from now on."""

    domain: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of Prometheus' text format."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric's name and kind ("counter", "gauge" or "histogram"), what it is, and its figures."""

    name: str
    kind: str
    description: str
    figures: tuple[Figure, ...]


class Reader(Protocol):
    """What HTTP is a face of: a backbone replica, in this process or behind Ray."""

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        """An answer or a refusal for each ask, in their order."""

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        """The card of a domain's prompt."""

    async def domains(self) -> list[str] | Refusal:
        """Names of all published domains, sorted."""

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        """Let an alias name a published version; asking twice does no harm."""

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        """Let an alias name again what it named before; asking twice goes back twice."""

    async def metrics(self) -> list[Family]:
        """What has been counted, by every replica there is; raises where one of them does not say."""

    async def backbone(self) -> str:
        """The backbone's name; answers only where texts could be read."""
