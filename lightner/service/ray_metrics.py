"""A replica's metrics on Ray: exported through Ray's own Prometheus endpoint, and kept in memory for `/metrics`.

Ray puts `ray_` before each name and adds the labels deployment, replica and application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray import serve as ray_serve
from ray.serve import metrics

from lightner.service.metrics import METRICS, Metric, MetricsObserver
from lightner.service.prometheus import Figures


def metrics_observer() -> MetricsObserver:
    """The observer of the replica in this process."""
    own = ray_serve.get_replica_context()
    labels = {"deployment": own.deployment, "replica": own.replica_tag, "application": own.app_name}
    return MetricsObserver(Figures(labels), RaySink())


class RaySink:
    """A `metrics.Sink` that Ray exports."""

    def __init__(self) -> None:
        self._recorders = {name: _recorder(name, metric) for name, metric in METRICS.items()}

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        self._recorders[name](value, tags=dict(labels))


def _recorder(name: str, metric: Metric) -> Callable[..., Any]:
    common = {"description": metric.description, "tag_keys": metric.labels}
    if metric.kind == "counter":
        return metrics.Counter(name, **common).inc  # type: ignore[no-any-return]
    if metric.kind == "gauge":
        return metrics.Gauge(name, **common).set  # type: ignore[no-any-return]
    return metrics.Histogram(name, boundaries=list(metric.bounds), **common).observe  # type: ignore[no-any-return]
