"""`lightner.pipeline("ner", ...)`: a tagger that is called, and answers, as a pipeline of transformers does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict, overload

import torch

from lightner.store.hub import from_pretrained
from lightner.tagger import Tagger
from lightner.thresholds import GivenThreshold
from lightner.types import Entity, InputError

TASKS = ("ner", "token-classification")
STRATEGIES = ("simple", "first", "average", "max")
"""Ways in which pipelines of transformers make entities of sub-words; here an entity is one from the start."""


class Group(TypedDict):
    """An entity as pipelines of transformers give it."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Pipeline:
    """A tagger behind the interface of a token-classification pipeline."""

    tagger: Tagger
    threshold: GivenThreshold = 0.0

    @overload
    def __call__(self, inputs: str) -> list[Group]: ...  # type: ignore[overload-overlap]  # a text is one, too
    @overload
    def __call__(self, inputs: Iterable[str]) -> list[list[Group]]: ...

    def __call__(self, inputs: str | Iterable[str]) -> list[Group] | list[list[Group]]:
        """The entities of a text, or a list of those of each text. Raises InputError for what is no text."""
        if isinstance(inputs, str):
            return self._found([inputs])[0]
        return self._found(inputs)

    def _found(self, texts: Iterable[str]) -> list[list[Group]]:
        return [[_group(each) for each in entities] for entities in self.tagger.tag(texts, threshold=self.threshold)]


def pipeline(
    task: str,
    model: str | os.PathLike[str] | Tagger,
    *,
    aggregation_strategy: str = "simple",
    backbone: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    device: str | torch.device = "cpu",
    threshold: GivenThreshold = 0.0,
) -> Pipeline:
    """A pipeline of a tagger, or of the prompt in a folder or in a repository on the hub.

    Raises:
        InputError: another task, a strategy that gives single sub-words, or a prompt that cannot be loaded.
    """
    if task not in TASKS:
        raise InputError(f"task: found {task!r}, expected one of {list(TASKS)}")
    if aggregation_strategy not in STRATEGIES:
        expected = f"one of {list(STRATEGIES)}: entities are whole, and all of these give the same"
        raise InputError(f"aggregation_strategy: found {aggregation_strategy!r}, expected {expected}")
    if not isinstance(model, Tagger):
        model = from_pretrained(model, backbone=backbone, revision=revision, token=token, device=device)
    return Pipeline(model, threshold)


def _group(entity: Entity) -> Group:
    return Group(entity_group=entity.label, score=entity.score, word=entity.text, start=entity.start, end=entity.end)
