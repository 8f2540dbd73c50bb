"""Metrics of one replica in its own memory, and metrics of several replicas as Prometheus' text format.

Knows neither ray nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric as Exposed

from lightner.service.messages import Family, Figure
from lightner.service.metrics import METRICS, Metric

_CREATED = "_created"


class Figures:
    """A `metrics.ReadableSink`; `labels` name this replica and are part of every figure."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = tuple(labels.items())
        self._registry = CollectorRegistry()
        self._recorders = {name: _recorder(name, metric, self._registry) for name, metric in METRICS.items()}

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        self._recorders[name](value, labels)

    def families(self) -> list[Family]:
        return [self._family(each) for each in self._registry.collect()]

    def _family(self, exposed: Exposed) -> Family:
        figures = (
            Figure(sample.name, (*self._labels, *sample.labels.items()), sample.value)
            for sample in exposed.samples
            # The time at which each series began, which doubles the lines and which Prometheus does not need.
            if not sample.name.endswith(_CREATED)
        )
        return Family(exposed.name, exposed.type, exposed.documentation, tuple(figures))


def exposition(families: Iterable[Family]) -> str:
    """Prometheus' text format; families of one name, as each replica has one, become one."""
    merged: dict[str, Exposed] = {}
    for family in families:
        exposed = merged.setdefault(family.name, Exposed(family.name, family.description, family.kind))
        for figure in family.figures:
            exposed.add_sample(figure.name, dict(figure.labels), figure.value)
    return generate_latest(_Collected(merged.values())).decode()


class _Collected:
    """A collector of metrics that have been collected already."""

    def __init__(self, exposed: Iterable[Exposed]) -> None:
        self._exposed = tuple(exposed)

    def collect(self) -> Iterable[Exposed]:
        return self._exposed


def _recorder(name: str, metric: Metric, registry: CollectorRegistry) -> Callable[[float, Mapping[str, str]], None]:
    """A function that records a value with labels; the library accepts labels only for metrics that have some."""
    if metric.kind == "counter":
        counter = Counter(name, metric.description, metric.labels, registry=registry)
        return lambda by, labels: (counter.labels(**labels) if labels else counter).inc(by)
    if metric.kind == "gauge":
        gauge = Gauge(name, metric.description, metric.labels, registry=registry)
        return lambda value, labels: (gauge.labels(**labels) if labels else gauge).set(value)
    histogram = Histogram(name, metric.description, metric.labels, registry=registry, buckets=metric.bounds)
    return lambda value, labels: (histogram.labels(**labels) if labels else histogram).observe(value)
