"""Progress of a pretraining run, sent by its first worker: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeAlias

from ray.exceptions import RayError
from ray.util.queue import Queue
from tqdm import tqdm

Metrics: TypeAlias = Mapping[str, float]
"""Of a report, as it is kept in the curve."""


@contextmanager
def shown(steps: int) -> Iterator[Queue]:
    """A queue of reports; each is shown when it comes, until the block ends."""
    reports = Queue(actor_options={"num_cpus": 0})
    reader = Thread(target=_show, args=(reports, steps), daemon=True)
    reader.start()
    try:
        yield reports
    finally:
        with suppress(RayError):
            reports.put(None)
            reader.join()
            reports.shutdown()


def send(reports: Queue, metrics: Metrics) -> None:
    """Show a report where the job runs; training goes on if the queue was lost with its node."""
    with suppress(RayError):
        reports.put(metrics)


def line_of(metrics: Metrics, steps: int) -> str:
    """A report in a line."""
    return (
        f"step {metrics['step']} of {steps} loss {metrics['loss']:.3f} {metrics['sentences_per_s']:.1f} sentences/s "
        f"{metrics['left_s'] / 60:.0f} min left{_scores(metrics)}"
    )


def _show(reports: Queue, steps: int) -> None:
    bar: Any = None
    with suppress(RayError):
        while (metrics := reports.get()) is not None:
            if not sys.stderr.isatty():
                print(line_of(metrics, steps), flush=True)
                continue
            # Steps from before a resume were not made at this speed.
            bar = bar or tqdm(total=steps, initial=metrics["step"], desc="pretraining", unit="step", dynamic_ncols=True)
            bar.set_postfix_str(f"loss {metrics['loss']:.3f}{_scores(metrics)}", refresh=False)
            bar.update(metrics["step"] - bar.n)
    if bar is not None:
        bar.close()


def _scores(metrics: Metrics) -> str:
    return "".join(f" {key.replace('_', ' ')} {100 * f1:.1f}" for key, f1 in metrics.items() if key.startswith("f1_"))
