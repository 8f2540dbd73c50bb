"""Messages between the ingress and the backbone replicas: frozen values that know no ray, no torch and no HTTP.

A refusal is a value instead of an exception, so that it crosses process borders whole and one domain's refusal does not
affect the answers of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from lightner.texts import Text
from lightner.types import Calibration, LabelSet, TaggedText

HELD_DOMAINS = "domains"
"""The key of a replica's routing statistics under which Ray's router finds the domains that it holds."""


class Reason(Enum):
    """Why something was refused."""

    UNKNOWN_PROMPT = "unknown-prompt"
    UNUSABLE_PROMPT = "unusable-prompt"
    REGISTRY_UNAVAILABLE = "registry-unavailable"
    DOMAIN_EXISTS = "domain-exists"
    UNUSABLE_LABELS = "unusable-labels"
    LABELS_OVERLOADED = "labels-overloaded"
    OVERLOADED = "overloaded"
    UNREADABLE_TEXT = "unreadable-text"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was refused, with the domain and its prompt's version as far as they are known.

    `detail` says what is wrong with labels, since they are the caller's; for all else details are in the log only.
    """

    reason: Reason
    domain: str | None = None
    version: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Texts to be read with one prompt: of a domain, whose alias or version is `ref` (None: live), or of `labels`."""

    domain: str | None
    texts: tuple[Text, ...]
    ref: str | None = None
    labels: LabelSet | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Each text of an `Ask`, tagged or refused, all by the same version of the prompt; labels have no version.

    `labels` are those that the prompt finds, `calibration` has the thresholds that were fitted with it.
    """

    domain: str | None
    version: str | None
    texts: tuple[TaggedText | Refusal, ...]
    labels: tuple[str, ...] = ()
    calibration: Calibration = Calibration()  # noqa: RUF009 a frozen value


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
    """A metric's name, kind ("counter", "gauge" or "histogram"), help and figures."""

    name: str
    kind: str
    description: str
    figures: tuple[Figure, ...]


class Reader(Protocol):
    """What the HTTP routes call: a backbone replica, in this process or through Ray."""

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        """An answer or a refusal for each ask, in their order."""

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        """The card of a domain's prompt."""

    async def domains(self) -> list[str] | Refusal:
        """Names of all published domains, sorted."""

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        """Publish the first version of a new domain, from its labels; calling it twice refuses the second time."""

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        """Let an alias name a published version; calling it twice does no harm."""

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        """Let an alias name again what it named before; calling it twice goes back twice."""

    async def metrics(self) -> list[Family]:
        """The metrics of all replicas; raises if one of them does not report."""

    async def backbone(self) -> str:
        """The backbone's name; answers only once texts can be read."""
