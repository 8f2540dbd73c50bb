"""The calibration of a prompt as its card holds it, in `metrics`: a card of an earlier package has none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lightner.types import Calibration, InputError

if TYPE_CHECKING:
    from lightner.evaluation.calibration import Calibrated

KEY = "calibration"
_FITTED = ("temperature", "offset", "threshold", "thresholds")
_DIGITS = 4


def calibration_json(found: Calibrated) -> dict[str, Any]:
    """What was fitted, and how good it is: errors, the reliability diagram, precision and recall by threshold."""
    fitted = found.calibration
    return {
        "temperature": fitted.temperature,
        "offset": fitted.offset,
        "threshold": fitted.threshold,
        "thresholds": dict(fitted.thresholds),
        "entities": found.guesses,
        "expected_calibration_error": {"before": _rounded(found.error_before), "after": _rounded(found.error_after)},
        "f1": {"all": _rounded(found.f1), "tuned_thresholds": _rounded(found.f1_tuned)},
        "reliability": {
            "before": [_row(each) for each in found.bins_before],
            "after": [_row(each) for each in found.bins_after],
        },
        "by_threshold": [_row(each) for each in found.curve],
    }


def calibration_in(metrics: Mapping[str, Any]) -> Calibration:
    """The calibration in a card's metrics; without one, that which changes nothing.

    Raises:
        InputError: there is something else in its place.
    """
    if KEY not in metrics:
        return Calibration()
    found = metrics[KEY]
    if not isinstance(found, Mapping) or not {*_FITTED} <= {*found}:
        raise InputError(f"{KEY}: found {found!r:.80}, expected an object with {', '.join(_FITTED)}")
    own = found["thresholds"]
    if not isinstance(own, Mapping):
        raise InputError(f"{KEY}: found thresholds {own!r:.80}, expected an object of numbers")
    for value in (found["temperature"], found["offset"], found["threshold"], *own.values()):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{KEY}: found {value!r:.80}, expected a number")
    return Calibration(float(found["temperature"]), float(found["offset"]), float(found["threshold"]), dict(own))


def calibration_section(metrics: Mapping[str, Any]) -> str:
    """For people, in Markdown; nothing where there is none."""
    if KEY not in metrics:
        return ""
    fitted, found = calibration_in(metrics), metrics[KEY]
    error, f1 = _pair(found, "expected_calibration_error"), _pair(found, "f1")
    lines = [
        "## Calibration",
        f"`score` is the probability that an entity is right: sigmoid(logit / {fitted.temperature:g} +"
        f" {fitted.offset:g}) of the raw one. Expected calibration error before and after, on {found.get('entities')}"
        f" entities that it was not fitted to: {error}.",
        f"With `threshold: tuned` entities below {fitted.threshold:g} are left out (by label: {_by_label(fitted)});"
        f" F1 without and with that: {f1}.",
        _table(found.get("reliability"), ("start", "score", "right", "count")),
        _table({"after": found.get("by_threshold")}, ("threshold", "precision", "recall")),
    ]
    return "\n\n".join(line for line in lines if line)


def _by_label(fitted: Calibration) -> str:
    return ", ".join(f"{_plain(label)} {value:g}" for label, value in fitted.thresholds.items()) or "none of its own"


def _pair(found: Mapping[str, Any], name: str) -> str:
    values = found.get(name)
    return ", ".join(f"{value:.4f}" for value in values.values()) if isinstance(values, Mapping) else "not recorded"


def _table(found: object, columns: tuple[str, ...]) -> str:
    """The calibrated rows of a diagram."""
    rows = found.get("after") if isinstance(found, Mapping) else None
    if not isinstance(rows, list) or not rows:
        return ""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(f'{row.get(name, 0):g}' for name in columns)} |" for row in rows]
    return "\n".join(lines)


def _plain(label: str) -> str:
    return label.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _row(value: Any) -> dict[str, Any]:
    return {name: _rounded(each) for name, each in asdict(value).items()}


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
