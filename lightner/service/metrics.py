"""The service's metrics: an observer that turns a replica's events into named values, and hands them to sinks.

Knows no ray. `prometheus` is a sink in memory, `ray_metrics` one that Ray exports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lightner.service.messages import Family, Reason
from lightner.service.observers import REQUEST_LABELS

MAX_DOMAINS = 500
"""Domains with their own label; later ones share `OTHER_DOMAINS`, since labels must not grow without bound."""
OTHER_DOMAINS = "(others)"
UNKNOWN_DOMAIN = "(unknown)"
ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's kind ("counter", "gauge" or "histogram"), its help, labels, and a histogram's upper bounds."""

    kind: str
    description: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75)

METRICS = {
    "lightner_requests": Metric("counter", "requests for texts of one domain, by outcome", ("domain", "outcome")),
    "lightner_texts": Metric("counter", "texts in answered requests", ("domain",)),
    "lightner_request_seconds": Metric("histogram", "time of a request in the replica", ("outcome",), _SECONDS),
    "lightner_queue_rows": Metric("gauge", "rows that wait for a batch"),
    "lightner_batch_rows": Metric("histogram", "rows of a batch", (), _ROWS),
    "lightner_batch_domains": Metric("histogram", "prompts, each of one domain, in a batch", (), _ROWS),
    "lightner_batch_padding_share": Metric("histogram", "share of a batch that is padding, in words", (), _SHARES),
    "lightner_batch_seconds": Metric("histogram", "time of a batch", (), _SECONDS),
    "lightner_prompt_lookups": Metric("counter", "prompts asked for, by whether they were resident", ("result",)),
    "lightner_prompt_loads": Metric("counter", "prompts that came onto the device, by where from", ("source",)),
    "lightner_prompt_load_seconds": Metric("histogram", "time of such a load", ("source",), _SECONDS),
    "lightner_prompt_failures": Metric("counter", "prompts that could not be had, by reason", ("reason",)),
    "lightner_prompt_evictions": Metric("counter", "prompts that made room for others", ("tier",)),
    "lightner_prompts_resident": Metric("gauge", "prompts in memory", ("tier",)),
    "lightner_prompt_bytes": Metric("gauge", "bytes of prompts in memory", ("tier",)),
}


class HasPrompt(Protocol):
    """A row of a batch."""

    @property
    def prompt(self) -> object: ...


class Sink(Protocol):
    """Receives values: a counter's are added up, a gauge's replace the last one, a histogram's go into its buckets."""

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        """A value of `METRICS[name]`."""


class ReadableSink(Sink, Protocol):
    """A sink whose values can be read back."""

    def families(self) -> list[Family]:
        """Everything that was recorded."""


class MetricsObserver:
    """An `observers.Observer` of one process that records to `readable` and to `others`."""

    def __init__(self, readable: ReadableSink, *others: Sink) -> None:
        self._readable = readable
        self._sinks: tuple[Sink, ...] = (readable, *others)
        self._domains: set[str] = set()

    def families(self) -> list[Family]:
        return self._readable.families()

    def on_queue(self, rows: int) -> None:
        self._record("lightner_queue_rows", rows)

    def on_batch(self, rows: Sequence[HasPrompt], padding_share: float, seconds: float) -> None:
        self._record("lightner_batch_rows", len(rows))
        self._record("lightner_batch_domains", len({id(row.prompt) for row in rows}))
        self._record("lightner_batch_padding_share", padding_share)
        self._record("lightner_batch_seconds", seconds)

    def on_lookup(self, *, hit: bool) -> None:
        self._record("lightner_prompt_lookups", 1, result="hit" if hit else "miss")

    def on_label_lookup(self, *, hit: bool) -> None:
        self._record("lightner_prompt_lookups", 1, result="labels-hit" if hit else "labels-miss")

    def on_load(self, source: str, seconds: float) -> None:
        self._record("lightner_prompt_loads", 1, source=source)
        self._record("lightner_prompt_load_seconds", seconds, source=source)

    def on_failure(self, reason: Reason) -> None:
        self._record("lightner_prompt_failures", 1, reason=reason.value)

    def on_eviction(self, tier: str) -> None:
        self._record("lightner_prompt_evictions", 1, tier=tier)

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        self._record("lightner_prompts_resident", prompts, tier=tier)
        self._record("lightner_prompt_bytes", nbytes, tier=tier)

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        label, outcome = self.label(domain), ANSWERED if reason is None else reason.value
        self._record("lightner_requests", 1, domain=label, outcome=outcome)
        self._record("lightner_request_seconds", seconds, outcome=outcome)
        # Ray's counters refuse 0.
        if reason is None and texts:
            self._record("lightner_texts", texts, domain=label)

    def label(self, domain: str | None) -> str:
        """A domain's label: its name for the first `MAX_DOMAINS`. No name can look like the other labels."""
        if domain is None or domain == REQUEST_LABELS:
            return domain or UNKNOWN_DOMAIN
        if domain not in self._domains and len(self._domains) >= MAX_DOMAINS:
            return OTHER_DOMAINS
        self._domains.add(domain)
        return domain

    def _record(self, name: str, value: float, **labels: str) -> None:
        for sink in self._sinks:
            sink.record(name, value, labels)
