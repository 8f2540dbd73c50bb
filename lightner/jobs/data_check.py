"""Reports what tuning would find in labelled files, without tuning: counts, lengths, what is not understood."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from lightner.data import inspection
from lightner.data.formats import Corpus, labels_of, read_corpus
from lightner.data.inspection import DataReport
from lightner.jobs import command, reading
from lightner.jobs.label_files import described
from lightner.jobs.options import CheckOptions
from lightner.model import backbone
from lightner.model.vocabulary import Coverage
from lightner.types import MOST_WORDS, InputError, LabelSet, Sentence
from lightner.words import in_parts


@dataclass(frozen=True, slots=True)
class Check:
    """How a file was read, the report of tuning on it, the words of its texts, and what the backbone knows of it."""

    file: str
    corpus: Corpus
    read: tuple[str, ...]
    report: DataReport
    lengths: tuple[int, ...]
    coverage: Coverage


def main(options: CheckOptions) -> int:
    """Run the check; returns the exit status."""
    return command.exit_status(lambda: run(options))


def run(options: CheckOptions) -> None:
    """Read, check and print. Raises InputError for a file that cannot be read or learned from, after the report."""
    checked = check(options)
    print(json.dumps(as_json(checked)) if options.as_json else describe(checked))
    if checked.report.errors:
        raise InputError(f"{options.file}: " + " ".join(checked.report.errors))


def check(options: CheckOptions) -> Check:
    """Read the files and inspect them as tuning does. Raises InputError."""
    given = [(file, _corpus(options, file)) for file in (options.file, options.dev, options.test) if file is not None]
    corpora = dict(given)
    texts = corpora[options.file].sentences
    dev, test = (() if file is None else corpora[file].sentences for file in (options.dev, options.test))
    everything = tuple(part for text in texts for part in in_parts(text))
    words = described(label_words=options.label_words, descriptions=options.descriptions)
    tokenizer = backbone.load(options.backbone).tokenizer
    coverage = reading.covered(tokenizer, everything)
    report = inspection.inspect(everything, dev, test)
    labels = LabelSet.of(labels_of([*everything, *dev]), words)
    report = replace(report, warnings=(*inspection.cut_warnings(texts, everything), *report.warnings))
    report = reading.with_warnings(report, coverage, labels=labels, tokenizer=tokenizer)
    read = tuple(line for file, corpus in given for line in corpus.said(file))
    return Check(options.file, corpora[options.file], read, report, _lengths(texts), coverage)


def _corpus(options: CheckOptions, file: str) -> Corpus:
    return read_corpus(file, columns=options.columns, repairs=options.repairs)


def describe(checked: Check) -> str:
    """The check as plain text."""
    known, lengths = checked.coverage, checked.lengths
    long = sum(length > MOST_WORDS for length in lengths)
    return "\n".join(
        [
            f"{checked.file}: {checked.corpus.kind}",
            *checked.read,
            f"texts of {lengths[0]} to {lengths[-1]} words, half of them of at most {median(lengths):g};"
            f" {long} of more than {MOST_WORDS}",
            f"{known.unknown} of {known.pieces} sub-words are unknown to the backbone ({known.share:.1%})",
            inspection.describe(checked.report),
        ]
    )


def as_json(checked: Check) -> dict[str, Any]:
    """The check for programs."""
    report, known, lengths = checked.report, checked.coverage, checked.lengths
    return {
        "file": checked.file,
        "read_as": checked.corpus.kind,
        **checked.corpus.as_dict(),
        **asdict(report),
        "texts": len(lengths),
        "words_of_texts": {"least": lengths[0], "median": median(lengths), "most": lengths[-1]},
        "sub_words": {"all": known.pieces, "unknown": known.unknown, "unknown_words": list(known.words)},
    }


def _lengths(texts: Sequence[Sentence]) -> tuple[int, ...]:
    """Words of each text, sorted."""
    return tuple(sorted(len(text.words) for text in texts))
