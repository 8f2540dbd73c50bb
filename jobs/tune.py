"""Tune a prompt for a domain and publish it: `python jobs/tune.py --train FILE --domain NAME`.

Scans prompt length and learning rate on held-out sentences, learns the winner again on all of them, and publishes
the result into the prompt registry. The same command goes on where a killed one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # a script's own folder is on its path, the package around it is not

from jobs import publish, scan, session  # noqa: E402
from jobs.worker import Run, learned, run  # noqa: E402
from lightner import backbone, check, metrics, rules  # noqa: E402
from lightner.artifact import prompt_for  # noqa: E402
from lightner.card import check_name  # noqa: E402
from lightner.formats import labels_of, read  # noqa: E402
from lightner.registry import Registry  # noqa: E402
from lightner.sampling import hold_out  # noqa: E402
from lightner.training import evaluate  # noqa: E402
from lightner.types import InputError, LabelSet, Sentence  # noqa: E402


@dataclass(frozen=True)
class Material:
    """What a job learns from: everything, and how it is split for the scan."""

    everything: tuple[Sentence, ...]
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    labels: LabelSet
    warnings: tuple[str, ...]


def main() -> int:
    """Run the job; bad input is answered on standard error with exit status 2."""
    options = _parser().parse_args()
    try:
        tune_domain(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def tune_domain(options: argparse.Namespace) -> None:
    """Check, scan, learn, evaluate and publish."""
    check_name(options.domain, "--domain")
    material = _material(options)
    for warning in material.warnings:
        print(f"warning: {warning}")
    base = backbone.load(options.backbone)
    registry = Registry.open(options.registry)
    plans = _plans(options, material)
    key = _run_key(options, material, plans, base.fingerprint)
    if not options.force and publish.is_live(registry, options.domain, key):
        print(f"nothing to do: {options.domain} is live with this data and these rules (--force publishes again)")
        return
    session.connect()
    slots = session.training_slots(gpu=options.gpu)
    task = Run(
        name=f"{options.domain}-{key[:12]}",
        storage=options.storage,
        backbone=options.backbone,
        labels=material.labels,
        train=material.train,
        dev=material.dev,
        plan=plans[0],
        workers=options.workers,
        gpu=options.gpu,
    )
    print(
        f"{len(material.train)} sentences to learn from, {len(material.dev)} held out, {len(plans)} trials", flush=True
    )
    trials = scan.scan(task, plans, at_once=max(1, slots // options.workers))
    chosen = scan.best(trials)
    print(scan.table(trials, chosen))
    plan = _plan(options, material.everything, chosen.prompt_length, chosen.learning_rate)
    print(f"learning the winner on all {len(material.everything)} sentences", flush=True)
    final = replace(task, name=f"{task.name}-final", train=material.everything, dev=(), plan=plan)
    made = publish.make(
        options.domain,
        base,
        final,
        learned(run(final)),
        trials=trials,
        chosen=chosen,
        key=key,
        warnings=material.warnings,
    )
    if options.test is not None:
        scores = evaluate(base, prompt_for(made, base), read(options.test))
        print(f"test: {options.test}\n{metrics.report(scores)}")
    published = registry.publish(made)
    print(f"published {options.domain} {published.version} into {options.registry}")


def _material(options: argparse.Namespace) -> Material:
    everything = read(options.train)
    dev = () if options.dev is None else read(options.dev)
    report = check.inspect(everything, dev)
    if report.errors:
        raise InputError(f"{options.train}: " + "; ".join(report.errors))
    words = None if options.label_words is None else json.loads(Path(options.label_words).read_text(encoding="utf-8"))
    labels = LabelSet.of(labels_of([*everything, *dev]), words)
    train = everything
    if not dev:
        train, dev = hold_out(everything, fraction=rules.HELD_OUT, seed=options.seed)
    return Material(everything, tuple(train), tuple(dev), labels, report.warnings)


def _plans(options: argparse.Namespace, material: Material) -> list[rules.Plan]:
    """One plan per scanned pair, by all the sentences: the scan must try what the final run will do."""
    return [_plan(options, material.everything, length, rate) for length in options.lengths for rate in options.rates]


def _plan(options: argparse.Namespace, sentences: Sequence[Sentence], length: int, rate: float) -> rules.Plan:
    plan = rules.plan(sentences, prompt_length=length, learning_rate=rate, seed=options.seed)
    if options.pin is None:
        return plan
    pins = yaml.safe_load(Path(options.pin).read_text(encoding="utf-8"))
    if not isinstance(pins, dict):
        raise InputError(f"{options.pin}: found {type(pins).__name__}, expected a mapping of settings")
    return plan.with_pins(pins)


def _run_key(options: argparse.Namespace, material: Material, plans: Sequence[rules.Plan], fingerprint: str) -> str:
    """Names a run by all that determines its result, so that the same command finds its own traces."""
    digest = hashlib.sha256(fingerprint.encode())
    digest.update(repr((material.train, material.dev, material.labels, [plan.as_dict() for plan in plans])).encode())
    return digest.hexdigest()


def home() -> Path:
    """Where prompts and runs are kept unless told otherwise."""
    return Path(os.environ.get("LIGHTNER_HOME", Path.home() / ".lightner"))


def default_registry() -> str:
    """URL or folder of the prompt registry unless told otherwise."""
    return os.environ.get("LIGHTNER_REGISTRY", str(home() / "registry"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--train", required=True, metavar="FILE", help="labelled sentences: CoNLL columns or JSON Lines")
    add("--domain", required=True, metavar="NAME", help="name under which the prompt is published")
    add("--dev", metavar="FILE", help="sentences to select on (default: a quarter of --train is held out)")
    add("--test", metavar="FILE", help="sentences to report the published prompt on; nothing is selected on them")
    add("--backbone", metavar="NAME", help="hub name or folder (default: the one that comes with the package)")
    add("--registry", default=default_registry(), metavar="URL")
    add("--storage", default=str(home() / "runs"), metavar="DIR", help="checkpoints; a folder that all nodes share")
    add("--label-words", metavar="FILE", help='JSON: {"label": ["word", ...]} (default: from the label names)')
    add("--lengths", type=int, nargs="+", default=list(rules.PROMPT_LENGTHS), help="prompt lengths to scan")
    add("--rates", type=float, nargs="+", default=list(rules.LEARNING_RATES), help="learning rates to scan")
    add("--pin", metavar="FILE", help="YAML with values in place of the rules', for experts")
    add("--workers", type=int, default=1, help="data-parallel workers of each run")
    add("--gpu", action="store_true", help="train on GPUs")
    add("--seed", type=int, default=0)
    add("--force", action="store_true", help="tune again although nothing has changed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
