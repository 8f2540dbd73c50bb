"""Which texts are most worth labelling next: those that a model is least sure of, of every label, kept diverse.

docs/rules.md has the rule. Pure; knows no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ALIKE = 0.5
"""Share of words in common from which on two texts are alike."""


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A text as a model has read it: its words, in lower case, how sure the model is, and the labels that it found.

    `mean_log_p` is the mean log-probability of the steps that wrote the answer. A text in which nothing was found has
    the label "" alone.
    """

    words: frozenset[str]
    mean_log_p: float
    labels: frozenset[str]

    @classmethod
    def of(cls, words: Iterable[str], mean_log_p: float, labels: Iterable[str]) -> Unlabelled:
        """A text of `words` in which `labels` were found, each perhaps more than once."""
        return cls(frozenset(map(str.casefold, words)), mean_log_p, frozenset(labels) or frozenset({""}))


def choose(texts: Sequence[Unlabelled], count: int) -> list[int]:
    """Places of the texts that are most worth labelling, best first.

    Each time a text of the label that was chosen least often so far, and of these the one that the model is least sure
    of. One that is alike one before it comes after all that are not.
    """
    order = sorted(range(len(texts)), key=lambda place: (texts[place].mean_log_p, place))
    fresh, chosen = order, list[int]()
    times: Counter[str] = Counter()
    while fresh and len(chosen) < count:
        taken = min(fresh, key=lambda place: min(times[label] for label in texts[place].labels))
        chosen.append(taken)
        times.update(texts[taken].labels)
        words = texts[taken].words
        fresh = [place for place in fresh if place != taken and not _alike(texts[place].words, words)]
    named = {*chosen}
    return [*chosen, *(place for place in order if place not in named)][:count]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)
