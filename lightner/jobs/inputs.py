"""Inputs of a tuning job: sentences, labels, pins, and how they are split. Knows neither Ray nor models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from lightner.data import inspection
from lightner.data.formats import Corpus, labels_of, read_corpus
from lightner.data.inspection import DataReport
from lightner.data.sampling import at_most
from lightner.jobs import rows
from lightner.jobs.label_files import described, read_text
from lightner.jobs.options import EXAMPLES, TuneOptions
from lightner.jobs.taught import examples_of, open_texts
from lightner.store import lineage
from lightner.store.card import JSON
from lightner.tuning import rules
from lightner.tuning.cross_validation import Fold, folds_of
from lightner.tuning.rules import Plan, Scheme
from lightner.tuning.self_training import MOST_READ, sentences_of
from lightner.types import InputError, LabelSet, Sentence
from lightner.words import in_parts

_OF_SCHEME, _OF_PLAN = ({field.name for field in fields(kind)} for kind in (Scheme, Plan))


@dataclass(frozen=True)
class Material:
    """Sentences that a job learns from, their split for the scan, and sentences to measure on at the end."""

    everything: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    folds: tuple[Fold, ...]
    test: tuple[Sentence, ...]
    labels: LabelSet
    report: DataReport
    source: Mapping[str, JSON]
    """Of the training file, for the card: its fingerprint, and how it was read where that took a decision."""
    read: tuple[str, ...]
    """How the files were read, in words: which columns, what was mended."""
    scheme: Scheme
    pins: Mapping[str, Any]
    """Of the plans."""
    seed: int
    """Of the folds."""
    unlabelled: tuple[Sentence, ...] = ()


def material_of(options: TuneOptions) -> Material:
    """Read the files, or the examples, that the options name. Raises InputError if anything is wrong with them."""
    taught = examples_of(options) if options.train == EXAMPLES else None
    train = taught.corpus if taught else _corpus(options, options.train)
    source = _fingerprint(options.train, train.sentences)
    texts = train.sentences
    everything = tuple(part for text in texts for part in in_parts(text))
    given = [(file, _corpus(options, file)) for file in (options.dev, options.test) if file is not None]
    others = dict(given)
    dev = others[options.dev].sentences if options.dev is not None else ()
    test = others[options.test].sentences if options.test is not None else taught.test if taught else ()
    report = inspection.inspect(everything, dev, test)
    if report.errors:
        raise InputError(f"{options.train}: " + " ".join(report.errors))
    words = described(label_words=options.label_words, descriptions=options.descriptions)
    names = labels_of([*everything, *dev])
    if taught:
        words = {**{name: those for name, those in taught.words.items() if name in names}, **words}
    labels = LabelSet.of(names, words)
    pins = {} if options.pin is None else _pins(options.pin)
    scheme, folds = _scheme(options, everything, dev, pins)
    plan_pins = {name: value for name, value in pins.items() if name not in _OF_SCHEME}
    report = replace(report, warnings=(*inspection.cut_warnings(texts, everything), *report.warnings))
    said = tuple(line for file, corpus in ((options.train, train), *given) for line in corpus.said(file))
    if said or options.repairs:
        source |= {"read": train.as_dict()}
    unlabelled = _unlabelled(options, (*everything, *dev, *test))
    return Material(
        everything, dev, folds, test, labels, report, source, said, scheme, plan_pins, options.seed, unlabelled
    )


def _unlabelled(options: TuneOptions, labelled: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """Sentences of the options' texts, if any, none of which is labelled; of many a sample."""
    file = options.unlabelled
    if file is None:
        return ()
    texts = open_texts(options) if file == EXAMPLES else (row.given for row in rows.rows_of(file))
    found = sentences_of(texts, labelled)
    if not found:
        raise InputError(f"{file}: found no sentence that is new and no longer than labelled ones, expected some")
    return at_most(found, count=MOST_READ, seed=options.seed)


def _corpus(options: TuneOptions, file: str) -> Corpus:
    return read_corpus(file, columns=options.columns, repairs=options.repairs)


@contextmanager
def naming(file: str | None) -> Iterator[None]:
    """Add the name of the file of pins, if given, to errors within: only pins can be at fault there."""
    try:
        yield
    except InputError as error:
        if file is None:
            raise
        raise InputError(f"{file}: {error}") from error


def _fingerprint(file: str, sentences: Sequence[Sentence]) -> dict[str, JSON]:
    """The sha256 at reading, since the source may change before the prompt is published.

    For a file that of its bytes; for a folder, a data set on the hub or a pipe that of the sentences read.
    """
    path = Path(file)
    if path.is_file():
        return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {"sentences_sha256": lineage.digest_of(sentences)}


def _scheme(
    options: TuneOptions, everything: Sequence[Sentence], dev: Sequence[Sentence], pins: Mapping[str, Any]
) -> tuple[Scheme, tuple[Fold, ...]]:
    own = rules.scheme(len({sentence.words for sentence in everything}), dev=bool(dev))
    with naming(options.pin):
        scheme = own.with_pins({name: value for name, value in pins.items() if name in _OF_SCHEME})
        folds = folds_of(everything, dev, seed=options.seed, count=scheme.folds)
    return replace(scheme, workers=options.workers or scheme.workers), folds


def _pins(file: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: found no YAML ({error}), expected a mapping of settings") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: found {type(found).__name__}, expected a mapping of settings")
    if unknown := set(found) - _OF_SCHEME - _OF_PLAN:
        raise InputError(
            f"{file}: found settings {sorted(map(str, unknown))}, expected some of {sorted(_OF_SCHEME | _OF_PLAN)}"
        )
    return found
