"""The evaluation job: score a published prompt on labelled sentences. Uses no Ray.

Prints precision, recall and F1 per type and overall (seqeval's, strict, entity level), and the kinds of errors;
warns if the prompt has learned from some of the sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from lightner.data.formats import labels_of, read_corpus
from lightner.evaluation import confusions, reports
from lightner.evaluation.scoring import predict
from lightner.jobs import command
from lightner.jobs.options import EvaluateOptions
from lightner.model import backbone
from lightner.store.lineage import learned_from
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry


def main(options: EvaluateOptions) -> int:
    """Run the job; returns the exit status."""
    return command.exit_status(lambda: report(options))


def report(options: EvaluateOptions) -> None:
    """Fetch the prompt, score it, print the report."""
    corpus = read_corpus(options.test, columns=options.columns, repairs=options.repairs)
    sentences = corpus.sentences
    for line in corpus.said(options.test):
        print(line)
    version, found = Registry.open(options.registry).must_exist().fetch(options.domain, options.reference)
    base = backbone.load(options.backbone)
    prompt = prompt_for(found, base)
    gold, predicted = [sentence.spans for sentence in sentences], predict(base, prompt, sentences)
    if unknown := sorted({*labels_of(sentences)} - {*prompt.labels.names}):
        mentions = sum(span.label in unknown for sentence in sentences for span in sentence.spans)
        print(f"warning: the prompt has no label {_listed(unknown)}: none of their {mentions} entities can be found")
    if seen := learned_from(sentences, found.card):
        print(f"warning: the prompt has learned from {seen} of these {len(sentences)} sentences: scores are too high")
    print(f"{options.domain} {version} on {options.test}\n{reports.report(gold, predicted)}")
    print(confusions.describe(confusions.errors(gold, predicted)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
