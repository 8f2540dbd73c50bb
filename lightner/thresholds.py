"""Which entities of an answer are kept, by their scores, as callers ask for it. Pure: the client uses it too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, Self, TypeAlias

from lightner.types import Calibration, Entity, InputError

TUNED: Literal["tuned"] = "tuned"
"""In place of a number: the thresholds that were fitted with the prompt; 0 where none were."""
GivenThreshold: TypeAlias = float | Literal["tuned"]


@dataclass(frozen=True)
class Thresholds:
    """Lowest scores of kept entities: of all labels (`TUNED`: as fitted), and `own` ones of labels in place of that."""

    every: GivenThreshold = 0.0
    own: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, threshold: object = 0.0, thresholds: object = None) -> Self:
        """From what a caller gives. Raises InputError for what is neither a number from 0 to 1 nor `TUNED`."""
        every: GivenThreshold = TUNED if threshold == TUNED else _number(threshold, "threshold", f" or {TUNED!r}")
        if thresholds is None:
            return cls(every)
        if not isinstance(thresholds, Mapping) or not all(isinstance(label, str) for label in thresholds):
            raise InputError(f"thresholds: found {thresholds!r:.80}, expected a mapping of labels to numbers")
        return cls(every, {label: _number(least, f"thresholds[{label!r}]") for label, least in thresholds.items()})

    @property
    def plain(self) -> dict[str, Any]:
        """As a request has them."""
        return {"threshold": self.every, **({"thresholds": dict(self.own)} if self.own else {})}

    def keeps(self, entity: Entity, fitted: Calibration) -> bool:
        """Whether an entity is kept that was found by a prompt with this calibration."""
        every = fitted.least(entity.label) if self.every == TUNED else self.every
        assert not isinstance(every, str), "only TUNED is no number"
        return entity.score >= self.own.get(entity.label, every)

    def unknown(self, labels: Collection[str]) -> tuple[str, ...]:
        """Labels with an own threshold that are not among these."""
        return tuple(sorted(set(self.own) - set(labels)))

    def check_labels(self, labels: Collection[str]) -> None:
        """Raises InputError where a label has an own threshold that nobody finds."""
        if unknown := self.unknown(labels):
            raise InputError(f"thresholds: found labels {list(unknown)}, expected some of {sorted(labels)}")


def _number(value: object, where: str, other: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise InputError(f"{where}: found {value!r:.80}, expected a number from 0 to 1{other}")
    return float(value)
