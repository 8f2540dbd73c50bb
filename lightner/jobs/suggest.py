"""What to label next: texts of every label that a domain's prompt is least sure of, with what it finds in them.

docs/rules.md has the rule. Knows no Ray.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lightner.data.active_learning import Unlabelled, choose
from lightner.data.formats import write_text
from lightner.data.formats.documents import Document
from lightner.data.formats.writing import text_of
from lightner.jobs import command, rows
from lightner.jobs.options import SuggestOptions
from lightner.model import backbone as backbones
from lightner.store.card import Card
from lightner.store.lineage import has_record, recogniser
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import Reading, WindowedText, read_texts
from lightner.texts import Text
from lightner.types import InputError, Sentence
from lightner.words import in_parts, sentence_ranges


def main(options: SuggestOptions) -> int:
    """Run the job; returns the exit status."""
    return command.exit_status(lambda: suggest(options))


def suggest(options: SuggestOptions) -> None:
    """Read the texts, leave out what is known, tag the rest, write those that are most worth labelling.

    Raises:
        InputError: the domain is not published or does not record what it has learned from; a text cannot be read or
            names another domain; no text is new.
    """
    if options.out is not None and Path(options.out).exists() and Path(options.out).samefile(options.texts):
        raise InputError(f"--out: found the file {options.texts} that is read, expected another one")
    registry = Registry.open(options.registry).must_exist()
    version, artifact = registry.fetch(options.domain, options.reference)
    cards = _cards(registry, options.domain, artifact.card, version)
    texts = _texts(options)
    base = backbones.load(options.backbone)
    prompt = prompt_for(artifact, base)
    windowed = [WindowedText.of(text, prompt.reach, nested=prompt.nested) for text in texts]
    known = recogniser(cards)
    new = [each for each in _distinct(windowed) if not learned(each, known)]
    if not new:
        raise InputError(f"{options.texts}: found no text that {options.domain} has not learned from, expected some")
    readings = read_texts(base, [(prompt, each) for each in new])
    chosen = choose([_unlabelled(*each) for each in zip(new, readings, strict=True)], options.n)
    found_by = f"{options.domain} {version}"
    suggested = [_suggested(new[place], readings[place], found_by) for place in chosen]
    content = text_of(suggested, options.to, name=options.out or "suggestions")
    if options.out is None:
        sys.stdout.write(content)
    else:
        write_text(options.out, content)
    print(f"{len(chosen)} of {len(texts)} texts; {len(texts) - len(new)} are learned, blank or twice", file=sys.stderr)


def learned(text: WindowedText, known: Callable[[Sequence[str]], bool]) -> bool:
    """Whether the text is one that was learned from: as a whole, in parts, or every sentence of it is `known`.

    However it was split into words: as raw text is, as given, or at white space.
    """
    return any(all(map(known, parts)) for parts in _forms(text))


def _forms(text: WindowedText) -> Iterator[list[tuple[str, ...]]]:
    splits = dict.fromkeys([text.read, tuple(word.text for word in text.words), tuple(text.text.split())])
    for words in splits:
        yield [words]
        yield [part.words for part in in_parts(Sentence(words))]
    yield [tuple(word.text for word in text.words[start:end]) for start, end in sentence_ranges(text.text, text.words)]


def _distinct(texts: Sequence[WindowedText]) -> list[WindowedText]:
    """The texts that have words, each once."""
    return list({each.read: each for each in reversed(texts) if each.words}.values())[::-1]


def _unlabelled(text: WindowedText, reading: Reading) -> Unlabelled:
    labels = (span.label for span, _ in reading.spans)
    return Unlabelled.of((word.text for word in text.words), reading.mean_log_p, labels)


def _suggested(text: WindowedText, reading: Reading, found_by: str) -> Document:
    certainty = math.exp(reading.mean_log_p)
    return Document(text.text, text.words, tuple(reading.spans), certainty=certainty, found_by=found_by)


def _cards(registry: Registry, domain: str, card: Card, version: str) -> list[Card]:
    """The card of the prompt, and those of all other versions, for what the domain has ever learned from."""
    if not has_record(card):
        raise InputError(
            f"{domain} {version}: found no record of the sentences that it learned from, expected one, since what was "
            "learned must not be suggested"
        )
    found = [card]
    for other in registry.versions(domain):
        if other == version:
            continue
        try:
            found.append(registry.card(domain, other))
            missing = "" if has_record(found[-1]) else "its card does not say"
        except InputError as error:
            missing = str(error)
        if missing:
            print(f"warning: what {domain} {other} has learned from is not known: {missing}", file=sys.stderr)
    return found


def _texts(options: SuggestOptions) -> list[Text]:
    found: list[Text] = []
    for row in rows.rows_of(options.texts, kind=options.kind, columns=options.columns):
        if row.domain not in (None, options.domain):
            where = f"{options.texts}:{row.line}"
            raise InputError(f"{where}: domain: found {row.domain!r}, expected {options.domain!r} or none")
        found.append(row.given)
    return found
