"""Warnings about how a backbone reads labelled sentences: labels it cannot tell apart, words it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from lightner.data.inspection import DataReport
from lightner.model.verbalizer import label_pieces, labels_alike
from lightner.model.vocabulary import Coverage, coverage
from lightner.types import LabelSet, Sentence
from lightner.words import as_read

WARNED_FROM = 0.01
"""The share of unknown sub-words from which on they are warned of."""
_SHOWN = 5


def covered(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sentence]) -> Coverage:
    """The coverage of sentences in the words in which they are read."""
    return coverage(tokenizer, (as_read(sentence).words for sentence in sentences))


def with_warnings(
    report: DataReport, found: Coverage, *, labels: LabelSet, tokenizer: PreTrainedTokenizerBase
) -> DataReport:
    """The report with a warning for each group of labels read as the same words, and one for many unknown sub-words."""
    alike = [] if not labels.names else labels_alike(labels, label_pieces(tokenizer, labels))
    warnings = [
        f"The backbone reads the labels {', '.join(map(repr, group))} as the same words: only examples tell them apart."
        " Give each words of its own with --label-words."
        for group in alike
    ]
    if found.share >= WARNED_FROM:
        shown = ", ".join(map(repr, found.words[:_SHOWN]))
        warnings.append(
            f"The backbone does not know {found.share:.1%} of the sub-words, such as {shown}: it reads them all alike."
            " A backbone of the texts' language (--backbone) may know them."
        )
    return replace(report, warnings=(*report.warnings, *warnings))
