"""Prompts whose scores are calibrated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lightner.store.artifact import PromptArtifact

BY: dict[str, Any] = {"temperature": 2.5, "offset": -0.5, "threshold": 0.3, "thresholds": {"PER": 0.4}}


def with_calibration(made: PromptArtifact, **fitted: Any) -> PromptArtifact:
    """The artefact with these values on its card, by default BY."""
    return replace(made, card=replace(made.card, metrics={"f1": 0.5, "calibration": fitted or BY}))
