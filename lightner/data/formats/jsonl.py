"""JSON <-> sentences: an object per line, or one array of them; tokens with tags or a text with character offsets.

Understands what Hugging Face datasets, doccano, spaCy, Prodigy and Label Studio export; keys it does not know are left
alone.
"""

from __future__ import annotations

import json
import logging
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from lightner.data.formats import label_studio
from lightner.data.formats._findings import Findings
from lightner.data.formats._tags import Tagged, check_flat, decode, encode
from lightner.data.formats._text import write_text
from lightner.types import InputError, Sentence, Span
from lightner.words import Word, split_words

SPAN_KEYS = ("label", "labels", "entities", "spans", "ents")
OFFSET_KEYS = (("start", "end"), ("start_offset", "end_offset"))

_logger = logging.getLogger(__name__)


def parse_jsonl(text: str, name: str, findings: Findings) -> tuple[Sentence, ...]:
    """Sentences of a file called `name` (for messages), one per line, those without entities too.

    A line is `{"tokens": [word], "ner_tags": [tag]}` or `{"text": text, KEY: [span]}` with a KEY of SPAN_KEYS; a span
    is `[start, end, label]` or `{"start": ..., "end": ..., "label": ...}` in characters, end exclusive. White space at
    the ends of a span is dropped. Or it is a task of Label Studio. Prodigy's records whose answer is not "accept", and
    tasks that are not annotated, are left out.
    Raises InputError `name:line: found ..., expected ...`.
    """
    lines = enumerate(text.split("\n"), start=1)
    return _sentences(
        [(_record(line, f"{name}:{number}"), f"{name}:{number}") for number, line in lines if line.strip()],
        name,
        findings,
    )


def parse_array(text: str, name: str, findings: Findings) -> tuple[Sentence, ...]:
    """Sentences of a file that is one JSON array of what `parse_jsonl` takes per line.

    Raises InputError `name: record 0: found ..., expected ...`.
    """
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        expected = "one JSON array of objects"
        raise InputError(
            f"{name}:{error.lineno}: found {error.msg!r} at column {error.colno}, expected {expected}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: found JSON that cannot be read ({error}), expected an array of objects") from error
    return _sentences([(record, f"{name}: record {index}") for index, record in enumerate(records)], name, findings)


def _sentences(records: Sequence[tuple[Any, str]], name: str, findings: Findings) -> tuple[Sentence, ...]:
    """Of records, each with its place for messages."""
    parsed: list[Sentence | Tagged] = []
    left_out = 0
    for index, (record, where) in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{where}: found {_quote(record)}, expected a JSON object")
        accepted = record.get("answer", "accept") == "accept"
        taken = label_studio.plain(record, where) if label_studio.is_task(record) else record
        if accepted and taken is not None:
            parsed.append(_sentence(taken, where, index))
        else:
            left_out += 1
    if left_out:
        _logger.warning(
            "%s: left out %d records that are not annotated, or whose answer is not 'accept'", name, left_out
        )
    if not parsed:
        raise InputError(f"{name}: found no records to use, expected JSON objects with labelled sentences")
    tagged = [row for row in parsed if isinstance(row, Tagged)]
    decoded = decode(tagged, lambda row, tag: f"{row.place}: ner_tags[{tag}]", findings)
    findings.notes()
    return tuple(decoded[row.number] if isinstance(row, Tagged) else row for row in parsed)


def write_jsonl(path: str | os.PathLike[str], sentences: Iterable[Sentence]) -> None:
    """Writes `{"tokens", "ner_tags"}` (IOB2) per line, in one step; `formats.read` gives the same sentences back.

    Raises InputError for no sentences, a sentence without words, a blank word, an empty label, overlapping spans.
    """
    lines = []
    for index, sentence in enumerate(sentences):
        where = f"{os.fspath(path)}: sentence {index}"
        _check_words(sentence.words, where)
        if any(not span.label for span in sentence.spans):
            raise InputError(f"{where}: found an empty label, expected a name")
        record = {"tokens": sentence.words, "ner_tags": encode(sentence, where)}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    if not lines:
        raise InputError(f"{os.fspath(path)}: found no sentences to write, expected at least one")
    write_text(path, "".join(lines))


_SURROGATE = re.compile("[\ud800-\udfff]")


def _record(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        expected = "one JSON object per line"
        raise InputError(f"{where}: found {error.msg!r} at column {error.colno}, expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: found JSON that cannot be read ({error}), expected one object per line") from error


def _sentence(record: dict[str, Any], where: str, number: int) -> Sentence | Tagged:
    if "tokens" in record and "ner_tags" in record:
        words = _strings(record["tokens"], f"{where}: tokens")
        tags = _strings(record["ner_tags"], f"{where}: ner_tags")
        _check_words(words, where)
        if len(words) != len(tags):
            raise InputError(f"{where}: found {len(words)} tokens and {len(tags)} ner_tags, expected one tag per token")
        return Tagged(words, tags, where, number)
    keys = [key for key in SPAN_KEYS if isinstance(record.get(key), list)]
    if "text" not in record or not keys:
        expected = f"'tokens' and 'ner_tags', or 'text' and a list {' or '.join(map(repr, SPAN_KEYS))}"
        raise InputError(f"{where}: found keys {sorted(record)}, expected {expected}")
    if len(keys) > 1:
        raise InputError(f"{where}: found spans under {' and '.join(map(repr, keys))}, expected one of these keys")
    return _annotated(_string(record["text"], f"{where}: text"), record[keys[0]], where=where, key=keys[0])


def _annotated(text: str, items: Sequence[object], *, where: str, key: str) -> Sentence:
    words = split_words(text)
    if not words:
        raise InputError(f"{where}: found text {_quote(text)} without words, expected at least one word")
    spans = tuple(_span(item, text, words, where=f"{where}: {key}[{index}]") for index, item in enumerate(items))
    sentence = Sentence(tuple(word.text for word in words), spans, where)
    check_flat(sentence, where)
    return sentence


def _span(item: object, text: str, words: Sequence[Word], *, where: str) -> Span:
    """The words that the characters of `item` cover."""
    start, end, label = _offsets(item, where)
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"{where}: found [{start}, {end}), expected 0 <= start < end <= {len(text)}, the text's length"
        )
    found = f"[{start}, {end}) {_quote(text[start:end])}"
    first = bisect_right(words, start, key=lambda word: word.end)
    beyond = bisect_left(words, end, key=lambda word: word.start)
    if first < len(words):
        _check_boundary(words[first], start, f"{where}: found {found}")
    if beyond:
        _check_boundary(words[beyond - 1], end, f"{where}: found {found}")
    if first >= beyond:
        raise InputError(f"{where}: found {found}, expected at least one word")
    return Span(first, beyond, label)


def _check_boundary(word: Word, offset: int, found: str) -> None:
    if word.start < offset < word.end:
        nearest = word.start if offset - word.start <= word.end - offset else word.end
        cut = f"which cuts the word {_quote(word.text)} at {offset}"
        raise InputError(f"{found}, {cut}, expected a word boundary: the nearest is {nearest}")


def _offsets(item: object, where: str) -> tuple[int, int, str]:
    parts: list[object] = []
    if isinstance(item, list):
        parts = item
    elif isinstance(item, dict):
        keys = next((keys for keys in OFFSET_KEYS if keys[0] in item), OFFSET_KEYS[0])
        missing = [key for key in (*keys, "label") if key not in item]
        if missing:
            raise InputError(f"{where}: found keys {sorted(item)}, expected also {missing}")
        parts = [item[key] for key in (*keys, "label")]
    match parts:
        case [int(start), int(end), str(label)] if label and not isinstance(start, bool) and not isinstance(end, bool):
            return start, end, _string(label, where)
    raise InputError(f"{where}: found {_quote(item)}, expected [start, end, label] with whole numbers and a name")


def _strings(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(f"{where}: found {_quote(value)}, expected a list of strings")
    return tuple(_string(item, f"{where}[{index}]") for index, item in enumerate(value))


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        hint = ", the name of a class and not its number" if isinstance(value, int) else ""
        raise InputError(f"{where}: found {_quote(value)}, expected a string{hint}")
    if _SURROGATE.search(value):
        raise InputError(f"{where}: found a lone surrogate in {_quote(value)}, expected text")
    return value


def _check_words(words: Sequence[str], where: str) -> None:
    if not words:
        raise InputError(f"{where}: found no words, expected at least one")
    blank = next((word for word in words if not word.strip(" \t\r\n")), None)
    if blank is not None:
        raise InputError(f"{where}: found the blank word {blank!r}, expected words")


def _quote(value: object) -> str:
    """`value` as a message shows it: on one line, not too long."""
    shown = ascii(value) if isinstance(value, str) and _SURROGATE.search(value) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
