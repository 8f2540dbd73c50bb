"""Score a published prompt on labelled sentences: `python jobs/evaluate.py --domain NAME --test FILE`.

Prints precision, recall and F1 per type and overall (seqeval's, strict, entity level), and what the errors are;
a warning where the prompt has learned from some of the sentences.
"""

from __future__ import annotations

import argparse
import sys

from lightner.data.formats import read
from lightner.evaluation import confusions, reports
from lightner.evaluation.scoring import predict
from lightner.jobs import command
from lightner.model import backbone
from lightner.store.lineage import learned_from
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry


def main() -> int:
    """Run the job; returns the exit status."""
    options = _parser().parse_args()
    return command.exit_status(lambda: report(options))


def report(options: argparse.Namespace) -> None:
    """Fetch, score, print."""
    sentences = read(options.test)
    version, found = Registry.open(options.registry).fetch(options.domain, options.prompt)
    base = backbone.load(options.backbone)
    prompt = prompt_for(found, base)
    gold, predicted = [sentence.spans for sentence in sentences], predict(base, prompt, sentences)
    if seen := learned_from(sentences, found.card):
        print(f"warning: the prompt has learned from {seen} of these {len(sentences)} sentences: scores are too high")
    print(f"{options.domain} {version} on {options.test}\n{reports.report(gold, predicted)}")
    print(confusions.describe(confusions.errors(gold, predicted)))


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--domain", required=True, metavar="NAME")
    add("--test", required=True, metavar="FILE", help="labelled sentences: CoNLL columns or JSON")
    add("--prompt", default="live", metavar="REF", help="alias or version (default: live)")
    add("--backbone", metavar="NAME", help="hub name or folder (default: the one that comes with the package)")
    add("--registry", type=command.place, default=command.default_registry(), metavar="URL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
