"""The finished examples of a domain in the registry, as a tuning job learns from them. Knows neither Ray nor models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightner.data.formats import Corpus
from lightner.jobs.options import EXAMPLES, TuneOptions
from lightner.store.example import State
from lightner.store.examples import Examples
from lightner.types import InputError, Sentence


@dataclass(frozen=True)
class TaughtExamples:
    """Sentences to learn from, those of the fixed test set, and the words that people gave the labels.

    The place of each sentence is its example's id.
    """

    corpus: Corpus
    test: tuple[Sentence, ...]
    words: Mapping[str, tuple[str, ...]]


def examples_of(options: TuneOptions) -> TaughtExamples:
    """The examples of the options' domain. Raises InputError if none is finished, or for options of files."""
    for name, given in (("--columns", options.columns), ("--repair", options.repairs)):
        if given:
            raise InputError(f"{name}: found it with --train {EXAMPLES}, expected it with files only")
    store = Examples.open(options.registry)
    learned = store.sentences(options.domain, State.DONE)
    if not learned:
        raise InputError(f"--train {EXAMPLES}: found no finished example of {options.domain!r}, expected some")
    taught = store.labels(options.domain)
    labels = taught.label_set() if taught else None
    words = dict(zip(labels.names, labels.words, strict=True)) if labels else {}
    return TaughtExamples(Corpus(learned, ()), store.sentences(options.domain, State.TEST), words)


def open_texts(options: TuneOptions) -> list[str]:
    """Texts of the options' domain that nobody has decided on yet."""
    every = Examples.open(options.registry).all(options.domain)
    return [each.text for each in every if each.now.state is State.OPEN]
