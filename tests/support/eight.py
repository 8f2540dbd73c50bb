"""Eight sentences that a tiny backbone can memorise, and a plan with which it does."""

from __future__ import annotations

from dataclasses import replace

from lightner.tuning.rules import plan
from lightner.types import LabelSet, Sentence, Span


def sentence(text: str, *spans: tuple[int, int, str]) -> Sentence:
    return Sentence(tuple(text.split()), tuple(Span(start, end, label) for start, end, label in spans))


EIGHT = (
    sentence("ada lives in paris", (0, 1, "person"), (3, 4, "place")),
    sentence("emil likes soup", (0, 1, "person"), (2, 3, "food")),
    sentence("the bread of rome", (1, 2, "food"), (3, 4, "place")),
    sentence("mary and ada", (0, 1, "person"), (2, 3, "person")),
    sentence("the city of oslo on monday", (0, 4, "place"), (5, 6, "time")),
    sentence("the group likes the city"),
    sentence("soup and bread on monday", (0, 3, "food"), (4, 5, "time")),
    sentence("in rome , emil lives .", (1, 2, "place"), (3, 4, "person")),
)
LABELS = LabelSet.of(["person", "place", "food", "time"], {"place": ["city", "a", "place"]})
SHORT = replace(
    plan(EIGHT, prompt_length=2, learning_rate=1e-2),
    batch_size=3,
    steps=12,
    rounds=4,
    warm_up_steps=2,
    feed_forward_slots=3,
    reparametrisation_width=8,
    dropout=0.2,
)
