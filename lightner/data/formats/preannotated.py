"""Texts with entities that a model has found -> what annotation tools import, to be corrected there by people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightner.data.formats.conll import conll_text
from lightner.types import Entity, Sentence, Span
from lightner.words import Word, spans_to_entities

LABEL_STUDIO, DOCCANO, PRODIGY, JSONL, CONLL = TOOLS = ("label_studio", "doccano", "prodigy", "jsonl", "conll")


@dataclass(frozen=True, slots=True)
class Preannotated:
    """A text, its words, the scored spans found in them, how sure the model is of all of it, and its name.

    `certainty`: a probability, the geometric mean over the steps that wrote the answer.
    """

    text: str
    words: tuple[Word, ...]
    spans: tuple[tuple[Span, float], ...]
    certainty: float
    found_by: str

    @property
    def entities(self) -> list[Entity]:
        """In characters of the text."""
        return spans_to_entities(self.text, self.words, self.spans)


def rendered(texts: Sequence[Preannotated], tool: str, *, where: str) -> str:
    """The content of a file for the tool, one of TOOLS.

    Scores are in it as far as the tool has room for them: in CoNLL columns there is none. Raises InputError, which
    begins with `where`, for a word or label that columns cannot hold.
    """
    if tool == CONLL:
        spans = (tuple(span for span, _ in each.spans) for each in texts)
        words = (tuple(word.text for word in each.words) for each in texts)
        return conll_text([Sentence(*pair) for pair in zip(words, spans, strict=True)], where)
    if tool == LABEL_STUDIO:
        return json.dumps([_label_studio(each) for each in texts], ensure_ascii=False, indent=2) + "\n"
    return _lines(map(_RECORDS[tool], texts))


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _plain(each: Preannotated) -> dict[str, Any]:
    entities = [
        {"start": e.start, "end": e.end, "text": e.text, "label": e.label, "score": e.score} for e in each.entities
    ]
    return {"text": each.text, "entities": entities, "certainty": each.certainty, "found_by": each.found_by}


def _doccano(each: Preannotated) -> dict[str, Any]:
    entities = each.entities
    scores = {"certainty": each.certainty, "scores": [entity.score for entity in entities]}
    return {
        "text": each.text,
        "label": [[e.start, e.end, e.label] for e in entities],
        "found_by": each.found_by,
    } | scores


def _prodigy(each: Preannotated) -> dict[str, Any]:
    """Words are given, so that people mark whole ones; of a span `token_end` is its last word."""
    ends = [*(word.start for word in each.words[1:]), len(each.text)]
    tokens = [
        {"text": word.text, "start": word.start, "end": word.end, "id": place, "ws": end > word.end}
        for place, (word, end) in enumerate(zip(each.words, ends, strict=True))
    ]
    spans = [
        {"start": e.start, "end": e.end, "token_start": span.start, "token_end": span.end - 1, "label": e.label}
        | {"score": e.score}
        for e, (span, _) in zip(each.entities, each.spans, strict=True)
    ]
    meta = {"certainty": each.certainty, "found_by": each.found_by}
    return {"text": each.text, "tokens": tokens, "spans": spans, "meta": meta}


def _label_studio(each: Preannotated) -> dict[str, Any]:
    """A task with a prediction. Label Studio counts UTF-16 units; `label` and `text` are the names in its templates."""

    def units(characters: int) -> int:
        return len(each.text[:characters].encode("utf-16-le", "surrogatepass")) // 2

    results = [
        {
            "id": f"e{place}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {"start": units(e.start), "end": units(e.end), "text": e.text, "labels": [e.label]},
            "score": e.score,
        }
        for place, e in enumerate(each.entities)
    ]
    prediction = {"model_version": each.found_by, "score": each.certainty, "result": results}
    return {"data": {"text": each.text}, "predictions": [prediction]}


_RECORDS: Mapping[str, Callable[[Preannotated], dict[str, Any]]] = {
    JSONL: _plain,
    DOCCANO: _doccano,
    PRODIGY: _prodigy,
}
