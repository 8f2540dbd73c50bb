"""Texts to entities with one backbone and any mix of prompts.

A `WindowedText` cuts a text into rows and puts what was found in them together again; `prepare`, `infer` and `finish`
read the rows. Library, evaluation, annotation and service all go through these, so what is served equals what is
computed offline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from os import PathLike
from typing import Any, Self

import torch

import lightner
from lightner.labels import GivenLabels, label_set
from lightner.model import backbone as backbones
from lightner.model import batching, forward, merging
from lightner.model.backbone import Backbone
from lightner.model.batching import Batch, Example
from lightner.model.decoding import Decoded, greedy
from lightner.model.pointers import Grammar, Space
from lightner.model.prompts import Guidance, Prompt, stack
from lightner.model.untuned import label_prompt
from lightner.texts import Text, checked_texts
from lightner.thresholds import GivenThreshold, Thresholds
from lightner.types import Entity, InputError, Reach, TaggedText
from lightner.words import (
    ReadWords,
    Word,
    join_words,
    read_words,
    sentence_ranges,
    spans_to_entities,
    split_words,
    windows,
)

WINDOW_OVERLAP = 30
"""Words that neighbouring windows share, at most; a quarter of a window where that is less."""
BATCH_SIZE = 32

ScoredSpans = merging.ScoredSpans


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a text, as scored spans in its words, and the mean log-probability of the steps that wrote it.

    Of several windows the mean of the one that is least sure; 0 of a text without words.
    """

    spans: ScoredSpans
    mean_log_p: float


@dataclass(frozen=True)
class Row:
    """One window of words and the prompt that reads it."""

    prompt: Prompt
    words: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """A batch ready for the model: rows of any prompts, padded and stacked on the backbone's device.

    Rows are sorted by length; `places[n]` is the index of the caller's row n among them.
    """

    rows: tuple[Row, ...]
    places: tuple[int, ...]
    batch: Batch
    guidance: Guidance
    labels: forward.Labels


@dataclass(frozen=True)
class Inferred:
    """The decoded rows of a `Work`, and the candidate space of their ids."""

    decoded: tuple[Decoded, ...]
    space: Space


@dataclass(frozen=True, slots=True)
class WindowedText:
    """A text, its words, and the windows `[start, end)` of words in which it is read.

    `read` are the words that the model sees. They are those of the text; where words were given (`given`), in which
    the answer is, they are those split as text would be. In a `nested` one entities may lie within one another.
    """

    text: str
    words: tuple[Word, ...]
    read: tuple[str, ...]
    windows: tuple[tuple[int, int], ...]
    given: ReadWords | None
    nested: bool = False

    @classmethod
    def of(cls, given: Text, reach: Reach, *, nested: bool = False) -> Self:
        """The text `given`, as a string or as words, in windows of a prompt's `reach`."""
        if isinstance(given, str):
            words = split_words(given)
            return cls(given, words, tuple(word.text for word in words), cut(given, words, reach), None, nested)
        text, words = join_words(given)
        read = read_words(given)
        seen = tuple(word.text for word in read.words)
        return cls(text, words, seen, cut(read.text, read.words, reach), read, nested)

    def rows(self, prompt: Prompt) -> list[Row]:
        """One row per window, for `prompt` to read."""
        return [Row(prompt, self.read[start:end]) for start, end in self.windows]

    def spans(self, found: Sequence[ScoredSpans]) -> ScoredSpans:
        """Spans in the words of the whole text, from those found in each of its rows."""
        spans = merging.merge(self.windows, found, nested=self.nested)
        if self.given is None or self.given.same:
            return spans
        given = [(self.given.given(span), score) for span, score in spans]
        return merging.likeliest_nested(given) if self.nested else merging.likeliest(given)

    def reading(self, windows: Sequence[Reading]) -> Reading:
        """What was found in the whole text, from what was found in each of its rows."""
        mean_log_p = min((window.mean_log_p for window in windows), default=0.0)
        return Reading(self.spans([window.spans for window in windows]), mean_log_p)

    def tagged(self, spans: ScoredSpans, *, mean_log_p: float = 0.0) -> TaggedText:
        """The text's answer, from spans in its words and how sure the model is of all of it."""
        entities = spans_to_entities(self.text, self.words, spans)
        if self.given is not None:
            entities = [
                replace(entity, start_word=span.start, end_word=span.end)
                for entity, (span, _) in zip(entities, spans, strict=True)
            ]
        return TaggedText(tuple(entities), max(1, len(self.windows)), mean_log_p)


@dataclass(frozen=True)
class Tagger:
    """A backbone and one domain's prompt; `stored` gives the files that the prompt was loaded from, if it was."""

    backbone: Backbone
    prompt: Prompt
    stored: Callable[[], Mapping[str, bytes]] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        *,
        backbone: str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tagger:
        """`lightner.load`: the prompt in `folder` on `backbone` (hub name, folder, or the embedded one)."""
        tagger: Tagger = lightner.load(folder, backbone=backbone, device=device, dtype=dtype)
        return tagger

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike[str],
        *,
        backbone: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tagger:
        """`lightner.from_pretrained`: the prompt of a folder, or of a repository on the Hugging Face hub."""
        tagger: Tagger = lightner.from_pretrained(
            name, backbone=backbone, revision=revision, token=token, device=device, dtype=dtype
        )
        return tagger

    def save_pretrained(
        self, folder: str | PathLike[str], *, language: str | None = None, license: str | None = None
    ) -> None:
        """`lightner.save_pretrained`: the prompt, without its backbone, as a repository on the hub has it."""
        lightner.save_pretrained(self, folder, language=language, license=license)

    def push_to_hub(self, name: str, **given: Any) -> str:
        """`lightner.push_to_hub`: the prompt into the repository `org/name` on the hub, whose address is returned."""
        address: str = lightner.push_to_hub(self, name, **given)
        return address

    @classmethod
    def from_labels(
        cls,
        labels: GivenLabels,
        *,
        backbone: str | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tagger:
        """A tagger of labels that nothing was tuned for: names, or a mapping from each to a description or its words.

        Raises:
            InputError: a label is malformed, or the backbone cannot tell it from another one.
        """
        named = label_set(labels)
        loaded = backbones.load(backbone, device=device, dtype=dtype)
        return cls(loaded, label_prompt(loaded, named))

    def tag(
        self,
        texts: Iterable[str | Sequence[str]],
        *,
        threshold: GivenThreshold = 0.0,
        thresholds: Mapping[str, float] | None = None,
    ) -> list[list[Entity]]:
        """Entities of each text, in order of position, with character offsets; a text may be given as its words.

        Entities of a nested domain may lie within one another; of one start the shorter comes first.

        Entities whose score is below `threshold` are left out, or below their label's own one in `thresholds`.
        "tuned" takes the thresholds that were fitted with the prompt; where none were, all entities stay.

        Raises:
            InputError: `texts` are no texts; the message names the first place and what was found there. A threshold
                is not a number from 0 to 1, or is that of an unknown label.
        """
        least = Thresholds.of(threshold, thresholds)
        least.check_labels(self.prompt.labels.names)
        pairs = [(self.prompt, text) for text in checked_texts(texts)]
        fitted = self.prompt.calibration
        return [
            [entity for entity in tagged.entities if least.keeps(entity, fitted)]
            for tagged in tag_texts(self.backbone, pairs)
        ]


def tag_texts(backbone: Backbone, texts: Sequence[tuple[Prompt, Text]]) -> list[TaggedText]:
    """Entities of texts, each read with its own prompt; long texts in overlapping windows, merged."""
    windowed = [(prompt, WindowedText.of(text, prompt.reach, nested=prompt.nested)) for prompt, text in texts]
    found = read_texts(backbone, windowed)
    return [
        text.tagged(reading.spans, mean_log_p=reading.mean_log_p)
        for (_, text), reading in zip(windowed, found, strict=True)
    ]


def tag_words(
    backbone: Backbone, sentences: Sequence[tuple[Prompt, Text]], *, batch_size: int = BATCH_SIZE
) -> list[ScoredSpans]:
    """Scored spans in the words of sentences of any length, each with its own prompt, in their order."""
    windowed = [(prompt, WindowedText.of(given, prompt.reach, nested=prompt.nested)) for prompt, given in sentences]
    return find_spans(backbone, windowed, batch_size=batch_size)


def find_spans(
    backbone: Backbone, texts: Sequence[tuple[Prompt, WindowedText]], *, batch_size: int = BATCH_SIZE
) -> list[ScoredSpans]:
    """Scored spans in the words of each text, each read with its own prompt, in the order of the texts."""
    return [reading.spans for reading in read_texts(backbone, texts, batch_size=batch_size)]


def read_texts(
    backbone: Backbone, texts: Sequence[tuple[Prompt, WindowedText]], *, batch_size: int = BATCH_SIZE
) -> list[Reading]:
    """What each text's own prompt finds in it, in the order of the texts; rows of about one length share a batch."""
    rows = [row for prompt, text in texts for row in text.rows(prompt)]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].words))
    read: dict[int, Reading] = {}
    for begin in range(0, len(order), batch_size):
        indices = order[begin : begin + batch_size]
        work = prepare(backbone, [rows[index] for index in indices])
        read.update(zip(indices, readings(work, infer(backbone, work)), strict=True))
    found = iter([read[index] for index in range(len(rows))])
    return [text.reading(list(islice(found, len(text.windows)))) for _, text in texts]


def cut(text: str, words: Sequence[Word], reach: Reach) -> tuple[tuple[int, int], ...]:
    """Windows `[start, end)` of a text's words, none of more than a prompt's reach.

    Whole sentences share a window as far as the reach allows; only a sentence that is longer is cut, into windows of
    the usual length that overlap by half.
    """
    if not reach.sentences:
        return windows(len(words), reach.words, _overlap(reach.words))
    found: list[tuple[int, int]] = []
    sentences = 0
    for start, end in sentence_ranges(text, words):
        fits = found and sentences < reach.sentences and end - found[-1][0] <= reach.words
        if fits:
            found[-1] = (found[-1][0], end)
            sentences += 1
            continue
        parts = _parts(end - start, reach)
        found += [(start + first, start + last) for first, last in parts]
        sentences = 1 if len(parts) == 1 else reach.sentences
    return tuple(found)


def _parts(count: int, reach: Reach) -> tuple[tuple[int, int], ...]:
    """The windows of a sentence of so many words: one, if it is no longer than those that were learned."""
    if count <= reach.words or not reach.usual:
        return windows(count, reach.words, _overlap(reach.words))
    return windows(count, reach.usual, reach.usual // 2)


def _overlap(words: int) -> int:
    return min(WINDOW_OVERLAP, words // 4)


def prepare(backbone: Backbone, rows: Sequence[Row]) -> Work:
    """Tokenise, order, pad and stack rows of any mix of prompts."""
    special = backbone.tokenizer.num_special_tokens_to_add()
    fitted = [
        _fitted(example, backbone.max_pieces, special)
        for example in batching.encode(backbone.tokenizer, [row.words for row in rows])
    ]
    order = sorted(range(len(rows)), key=lambda row: len(fitted[row].pieces))
    places = tuple(sorted(range(len(rows)), key=order.__getitem__))
    rows, examples = [rows[row] for row in order], [fitted[row] for row in order]
    prompts: dict[int, Prompt] = {id(row.prompt): row.prompt for row in rows}
    position = {key: index for index, key in enumerate(prompts)}
    which = [position[id(row.prompt)] for row in rows]
    batch = batching.collate(examples, pad=backbone.tokenizer.pad_token_id, device=backbone.device)
    guidance = stack([prompt.guidance for prompt in prompts.values()], which)
    labels = forward.stack_labels([prompt.label_vectors for prompt in prompts.values()], which)
    return Work(tuple(rows), places, batch, guidance, labels)


def infer(backbone: Backbone, work: Work) -> Inferred:
    """Run the model: encode, then decode under the grammar."""
    with torch.inference_mode():
        encoded = forward.encode(backbone, work.batch, work.guidance, work.labels)
        grammars = [Grammar(row.prompt.nested) for row in work.rows]
        taggers = [row.prompt.draft_tagger for row in work.rows]
        return Inferred(tuple(greedy(backbone, encoded, work.guidance, grammars, taggers)), encoded.space)


def finish(work: Work, inferred: Inferred) -> list[ScoredSpans]:
    """Spans of each row in the caller's order, in the words of that row, with calibrated scores."""
    return [reading.spans for reading in readings(work, inferred)]


def readings(work: Work, inferred: Inferred) -> list[Reading]:
    """What was found in each row, as `finish` gives it, and how sure the model is of it."""
    return [_calibrated(inferred.decoded[place], work.rows[place].prompt, inferred.space) for place in work.places]


def _calibrated(decoded: Decoded, prompt: Prompt, space: Space) -> Reading:
    probability = prompt.calibration.probability
    spans = [(span, probability(score)) for span, score in decoded.spans(prompt.labels.names, space)]
    return Reading(spans, decoded.mean_log_p)


def _fitted(example: Example, most: int, special: int) -> Example:
    """The example, cut to the encoder's `most` positions by dropping the last sub-words of its longest words.

    A window only overflows if it holds very long words (base64, URLs). Each word keeps at least one sub-word, so that
    it can be pointed at; the tokenizer's `special` tokens stay.
    """
    if len(example.pieces) <= most:
        return example
    room = most - special
    if len(example.word_first) > room:
        raise InputError(f"sentence: found {len(example.word_first)} words, expected at most {room}")
    trailing = special - example.word_first[0]
    bounds = [*example.word_first, len(example.pieces) - trailing]
    sizes = [after - before for before, after in pairwise(bounds)]
    limit = max(size for size in range(1, room + 1) if sum(min(size, s) for s in sizes) <= room)
    pieces: list[int] = [*example.pieces[: bounds[0]]]
    first = []
    for begin, size in zip(bounds, sizes, strict=False):
        first.append(len(pieces))
        pieces += example.pieces[begin : begin + min(size, limit)]
    return Example((*pieces, *example.pieces[bounds[-1] :]), tuple(first))
