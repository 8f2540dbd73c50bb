"""The few-shot protocol: hold-outs, folds and k-shot samples, seeded.

What is chosen depends on the sentences and the seed, not on the order of the sentences; what is returned keeps that
order. Sentences with the same words are never on both sides of a split. Knows spans, neither files nor models.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightner.types import InputError, Sentence, Span

Sentences = tuple[Sentence, ...]


def hold_out(sentences: Sequence[Sentence], *, fraction: float, seed: int) -> tuple[Sentences, Sentences]:
    """(train, held): about `fraction` of the sentences and of each type's mentions are held out.

    Every type that occurs in two different sentences is on both sides, even if that takes more than `fraction`,
    except where types exclude each other; a type of one sentence stays in train. Neither side is empty.
    Raises InputError for a fraction outside (0, 1) or fewer than two different sentences.
    """
    if not 0 < fraction < 1:
        raise InputError(f"hold-out: found fraction {fraction}, expected 0 < fraction < 1")
    units = _units(sentences, seed)
    if len(units) < 2:
        raise InputError(f"hold-out: found {len(units)} different sentences, expected at least 2")
    wanted = {}
    for name, total in _totals(units).items():
        held = min(max(fraction * total, 1.0), total - 1.0)
        wanted[name] = [total - held, held]
    parts = _repair(units, _stratify(units, wanted), lack=_lacks_a_side, count=2, seed=seed)
    train, held_out = _cut(sentences, units, parts, count=2)
    return train, held_out


def folds(sentences: Sequence[Sentence], *, count: int, seed: int) -> tuple[tuple[Sentences, Sentences], ...]:
    """`count` pairs (train, held); every sentence is held in exactly one, each type in as many as possible.

    Greedy iterative stratification (Sechidis et al. 2011): the rarest type first, each sentence to the fold that
    lacks most of it. Raises InputError for a count below 2 or more folds than different sentences.
    """
    if count < 2:
        raise InputError(f"folds: found count {count}, expected at least 2")
    units = _units(sentences, seed)
    if len(units) < count:
        raise InputError(f"folds: found {len(units)} different sentences, expected at least {count}, one for each fold")
    wanted = {name: [total / count] * count for name, total in _totals(units).items()}
    parts = _repair(units, _stratify(units, wanted), lack=_lacks_folds, count=count, seed=seed)
    part_of = {index: part for unit, part in zip(units, parts, strict=True) for index in unit.members}
    train = (tuple(each for i, each in enumerate(sentences) if part_of[i] != fold) for fold in range(count))
    return tuple(zip(train, _cut(sentences, units, parts, count=count), strict=True))


def k_shot(sentences: Sequence[Sentence], *, k: int, seed: int) -> Sentences:
    """A sample with at least `k` mentions of every type (all of them if there are fewer) and few more than that.

    Greedy: for the rarest type that still lacks mentions, take the next sentence in seeded order that brings no type
    above `k`, or else the one that does so least; at the end, drop sentences that the others make needless. An exact
    sample need not exist, since sentences are whole. Sentences without entities are not sampled; of those with the same
    words, only the one with the most mentions is.
    Raises InputError for k below 1 or no entities.
    """
    if k < 1:
        raise InputError(f"k-shot sample: found k {k}, expected at least 1")
    distinct = _distinct(sentences)
    units = _units(distinct, seed)
    goals = {name: min(k, total) for name, total in _totals(units).items() if name != _SENTENCES}
    if not goals:
        raise InputError("k-shot sample: found no entities, expected labelled sentences")
    sample = _without_needless(units, _greedy_sample(units, goals), goals)
    return tuple(distinct[index] for index in sorted(index for taken in sample for index in units[taken].members))


_SENTENCES = ""  # counted like a type (a label is never empty), so that sizes are balanced as mentions are
_REPAIR_STEPS = 1000  # a type that still lacks a side then shares its sentences with others that want them elsewhere
_REPAIR_NOISE = 0.2  # the share of random moves: without them the walk can cycle


@dataclass(frozen=True, slots=True)
class _Unit:
    """Sentences with the same words: their indices, and their mentions of each type and of _SENTENCES."""

    members: tuple[int, ...]
    mentions: Mapping[str, int]


_Lack = Callable[[Sequence[int]], int]


def at_most(sentences: Sequence[Sentence], *, count: int, seed: int) -> Sentences:
    """At most `count` of different sentences."""
    ranked = sorted(range(len(sentences)), key=lambda place: _rank(sentences[place].words, seed))
    return tuple(sentences[place] for place in sorted(ranked[:count]))


def _units(sentences: Sequence[Sentence], seed: int) -> list[_Unit]:
    """Units in a seeded order that does not depend on the order of `sentences`."""
    members: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, sentence in enumerate(sentences):
        members[sentence.words].append(index)
    units = []
    for words in sorted(members, key=lambda words: (_rank(words, seed), words)):
        mentions = Counter(span.label for index in members[words] for span in sentences[index].spans)
        mentions[_SENTENCES] = len(members[words])
        units.append(_Unit(tuple(members[words]), mentions))
    return units


def _rank(words: Sequence[str], seed: int) -> bytes:
    return hashlib.blake2b("\n".join([str(seed), *words]).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _totals(units: Sequence[_Unit]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for unit in units:
        totals.update(unit.mentions)
    return totals


def _holders(units: Sequence[_Unit]) -> dict[str, list[int]]:
    """The units with mentions of each type."""
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for index, unit in enumerate(units):
        for name in unit.mentions:
            holders[name].append(index)
    return dict(holders)


def _cut(sentences: Sequence[Sentence], units: Sequence[_Unit], parts: Sequence[int], *, count: int) -> list[Sentences]:
    """The sentences of each part, in their order."""
    indices: list[list[int]] = [[] for _ in range(count)]
    for unit, part in zip(units, parts, strict=True):
        indices[part].extend(unit.members)
    return [tuple(sentences[index] for index in sorted(those)) for those in indices]


def _stratify(units: Sequence[_Unit], wanted: Mapping[str, Sequence[float]]) -> list[int]:
    """The part of each unit. `wanted`: mentions of each type (and of _SENTENCES) that each part should have."""
    still = {name: list(amounts) for name, amounts in wanted.items()}
    holders = _holders(units)
    left = {name: len(indices) for name, indices in holders.items()}
    parts = [-1] * len(units)
    while left:
        rarest = min(left, key=lambda name: (left[name], name))
        for index in holders[rarest]:
            if parts[index] >= 0:
                continue
            needs = zip(still[rarest], still[_SENTENCES], strict=True)
            parts[index] = max(enumerate(needs), key=lambda part: (part[1], -part[0]))[0]
            for name, amount in units[index].mentions.items():
                still[name][parts[index]] -= amount
                if name in left:
                    left[name] -= 1
        del left[rarest]
    return parts


def _distinct(sentences: Sequence[Sentence]) -> list[Sentence]:
    """One sentence for each sequence of words, the one with the most mentions, in order."""
    kept: dict[tuple[str, ...], int] = {}
    for index, sentence in enumerate(sentences):
        before = kept.setdefault(sentence.words, index)
        if _fullest_first(sentence) < _fullest_first(sentences[before]):
            kept[sentence.words] = index
    return [sentences[index] for index in sorted(kept.values())]


def _fullest_first(sentence: Sentence) -> tuple[int, tuple[Span, ...]]:
    return -len(sentence.spans), sentence.spans


def _greedy_sample(units: Sequence[_Unit], goals: Mapping[str, int]) -> list[int]:
    """Units with at least the mentions in `goals`, in the order in which they were taken."""
    totals = _totals(units)
    have: Counter[str] = Counter()
    taken: list[int] = []

    def excess(index: int) -> int:
        """How many mentions the unit adds beyond the goals."""
        mentions = ((name, amount) for name, amount in units[index].mentions.items() if name != _SENTENCES)
        return sum(max(0, min(amount, have[name] + amount - goals[name])) for name, amount in mentions)

    for name in sorted(goals, key=lambda name: (totals[name], name)):
        before = set(taken)
        heavy = []
        for index, unit in enumerate(units):
            if have[name] >= goals[name]:
                break
            if name not in unit.mentions or index in before:
                continue
            if excess(index):  # and it stays so: `have` only grows
                heavy.append(index)
            else:
                taken.append(index)
                have.update(unit.mentions)
        while have[name] < goals[name]:
            lightest = min(heavy, key=excess)
            heavy.remove(lightest)
            taken.append(lightest)
            have.update(units[lightest].mentions)
    return taken


def _without_needless(units: Sequence[_Unit], taken: Sequence[int], goals: Mapping[str, int]) -> list[int]:
    """`taken` without the units, latest first, that the `goals` do not need."""
    have: Counter[str] = Counter()
    for index in taken:
        have.update(units[index].mentions)
    kept = []
    for index in reversed(taken):
        mentions = units[index].mentions
        if all(have[name] - amount >= goals.get(name, 0) for name, amount in mentions.items()):
            have.subtract(mentions)
        else:
            kept.append(index)
    return kept


def _lacks_a_side(places: Sequence[int]) -> int:
    """How many of (train, held) miss a type with `places` units there; a type of one unit wants train only."""
    return (places[0] == 0) + (places[1] == 0 and sum(places) > 1)


def _lacks_folds(places: Sequence[int]) -> int:
    """How many more folds a type with `places` units in each could be in."""
    return min(len(places), sum(places)) - sum(place > 0 for place in places)


def _repair(units: Sequence[_Unit], parts: Sequence[int], *, lack: _Lack, count: int, seed: int) -> list[int]:
    """Move units in a bounded random walk until no type lacks a part; returns the best parts that it saw.

    The greedy pass serves one type at a time and so may put both sentences of another into one part.
    """
    generator = random.Random(seed)
    current = list(parts)
    holders = _holders(units)
    places = {name: [0] * count for name in holders}
    for name, indices in holders.items():
        for index in indices:
            places[name][current[index]] += 1
    best, fewest = list(parts), _cost(places, places, lack)
    for _ in range(_REPAIR_STEPS):
        if fewest == 0:
            break
        name = generator.choice(sorted(name for name in places if lack(places[name])))
        moves = [(index, part) for index in holders[name] for part in range(count) if part != current[index]]
        index, part = _choose(moves, units=units, parts=current, places=places, lack=lack, generator=generator)
        _shift(places, units[index], current[index], part)
        current[index] = part
        cost = _cost(places, places, lack)
        if cost < fewest:
            best, fewest = list(current), cost
    return best


def _choose(
    moves: Sequence[tuple[int, int]],
    *,
    units: Sequence[_Unit],
    parts: Sequence[int],
    places: Mapping[str, list[int]],
    lack: _Lack,
    generator: random.Random,
) -> tuple[int, int]:
    """The move (unit, its new part) after which types lack least, or now and then a random one."""
    if generator.random() < _REPAIR_NOISE:
        return generator.choice(moves)

    def price(move: tuple[int, int]) -> tuple[int, int, int, float]:
        index, part = move
        unit = units[index]
        _shift(places, unit, parts[index], part)
        cost = _cost(places, unit.mentions, lack)
        _shift(places, unit, part, parts[index])
        before = _cost(places, unit.mentions, lack)
        return cost - before, len(unit.members), places[_SENTENCES][part], generator.random()

    return min(moves, key=price)


def _cost(places: Mapping[str, Sequence[int]], names: Mapping[str, object], lack: _Lack) -> int:
    """What the types `names` lack; an empty part is worse than anything that types can lack."""
    empty = len(places) * len(places[_SENTENCES])
    return sum(lack(places[name]) * (empty if name == _SENTENCES else 1) for name in names)


def _shift(places: Mapping[str, list[int]], unit: _Unit, before: int, after: int) -> None:
    for name in unit.mentions:
        places[name][before] -= 1
        places[name][after] += 1
