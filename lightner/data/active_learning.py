"""Which texts are most worth labelling next: those that a model is least sure of, kept diverse.

docs/rules.md has the rule. Pure; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ALIKE = 0.5
"""Share of words in common from which on two texts are alike."""


def choose(texts: Sequence[tuple[Iterable[str], float]], count: int) -> list[int]:
    """Places of the texts, given by their words and mean log-probability, that are most worth labelling, best first.

    The least sure first; one that is alike one before it, whatever the case of letters, comes after all that are not.
    """
    words = [frozenset(map(str.casefold, those)) for those, _ in texts]
    order = sorted(range(len(texts)), key=lambda place: (texts[place][1], place))
    chosen: list[int] = []
    passed: list[int] = []
    for place in order:
        if len(chosen) == count:
            break
        alike = any(_alike(words[place], words[other]) for other in chosen)
        (passed if alike else chosen).append(place)
    return [*chosen, *passed][:count]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)
