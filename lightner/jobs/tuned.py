"""What came of a tuning, as JSON for a page: the verdict in plain words, F1 before and after, errors, likely mistakes.

Knows no Ray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from lightner.evaluation.confusions import errors
from lightner.jobs.gate import Verdict
from lightner.jobs.learn import Outcome
from lightner.store.card import Card
from lightner.tuning.cross_validation import held_in
from lightner.types import Scores, Sentence, Span
from lightner.words import placed_words

LIVE, CANDIDATE, UNCHANGED = "live", "candidate", "unchanged"
_MOST_CONFUSIONS = 10
_MOST_DISAGREEMENTS = 50


def unchanged(version: str, verdict: str) -> dict[str, Any]:
    """The result of a tuning on examples from which the version was made already."""
    nothing = {"f1": {"before": None, "after": None}, "labels": {}, "confusions": [], "errors": {}, "disagreements": []}
    return {"outcome": UNCHANGED, "version": version, "verdict": verdict, **nothing}


def summary(outcome: Outcome, before: Card | None, verdict: Verdict, *, version: str, live: bool) -> dict[str, Any]:
    """The result of a tuning that was published; `before` is the card of the version that was live."""
    chosen, held = outcome.chosen.chosen, held_in(outcome.folds)
    found = errors([sentence.spans for sentence in held], chosen.found)
    ranked = sorted(found.confused.items(), key=lambda item: (-item[1], item[0]))
    return {
        "outcome": LIVE if live else CANDIDATE,
        "version": version,
        "verdict": _in_words(verdict, live=live),
        "f1": {"before": _f1(before), "after": outcome.chosen.f1},
        "labels": _labels(before, chosen.scores or Scores(), held),
        "confusions": [
            {"gold": gold, "found": guess, "count": count} for (gold, guess), count in islice(ranked, _MOST_CONFUSIONS)
        ],
        "errors": {name: getattr(found, name) for name in ("right", "wrong_type", "wrong_words", "spurious", "missed")},
        "disagreements": disagreements(held, chosen.found),
    }


def disagreements(held: Sequence[Sentence], found: Sequence[Sequence[Span]]) -> list[dict[str, Any]]:
    """Sentences that the prompt which had not learned from them reads otherwise than they are labelled.

    Those with the most differences first: where a model sure of the rest disagrees, the label may be a mistake. Spans
    are in characters of the text of the example.
    """
    differing = [
        (len(set(sentence.spans) ^ set(spans)), place)
        for place, (sentence, spans) in enumerate(zip(held, found, strict=True))
        if set(sentence.spans) != set(spans)
    ]
    ranked = sorted(differing, key=lambda pair: (-pair[0], pair[1]))[:_MOST_DISAGREEMENTS]
    return [_disagreement(held[place], found[place]) for _, place in ranked]


def _disagreement(sentence: Sentence, found: Sequence[Span]) -> dict[str, Any]:
    text, words = placed_words(sentence)

    def shown(spans: Sequence[Span]) -> list[dict[str, Any]]:
        return [
            {"start": words[span.start].start, "end": words[span.end - 1].end, "label": span.label} for span in spans
        ]

    return {"id": sentence.place, "text": text, "labelled": shown(sentence.spans), "found": shown(sorted(found))}


def _labels(before: Card | None, after: Scores, held: Sequence[Sentence]) -> dict[str, Any]:
    types = before.metrics.get("types") if before else None
    known = types if isinstance(types, Mapping) else {}
    return {
        name: {
            "before": _type_f1(known.get(name)),
            "after": counts.f1,
            "sentences": sum(any(span.label == name for span in sentence.spans) for sentence in held),
        }
        for name, counts in sorted(after.types.items())
    }


def _type_f1(row: object) -> float | None:
    found = row.get("f1") if isinstance(row, Mapping) else None
    return found if isinstance(found, float) else None


def _f1(card: Card | None) -> float | None:
    found = card.metrics.get("f1") if card else None
    return found if isinstance(found, float) else None


def _in_words(verdict: Verdict, *, live: bool) -> str:
    if live and verdict.passed:
        return f"The new version is live: {verdict.comparison}."
    if live:
        return f"The new version is live because that was forced, although {verdict.reason}: {verdict.comparison}."
    return f"The new version was kept and is not live, since {verdict.reason}: {verdict.comparison}."
