"""Tune a prompt for a domain and publish it: `python jobs/tune.py --train FILE --domain NAME`.

Scans prompt length and learning rate on held-out sentences, learns the winner again on all of them, and publishes
the result into the prompt registry. The same command goes on where a killed one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # a script's own folder is on its path, the package around it is not

from jobs import command, publish, scan, session  # noqa: E402
from jobs.worker import Run, learned, run  # noqa: E402
from lightner import backbone, check, metrics, rules  # noqa: E402
from lightner.artifact import PromptArtifact, prompt_for  # noqa: E402
from lightner.backbone import Backbone  # noqa: E402
from lightner.card import check_name  # noqa: E402
from lightner.formats import labels_of, read  # noqa: E402
from lightner.registry import Registry  # noqa: E402
from lightner.sampling import hold_out  # noqa: E402
from lightner.training import evaluate, fit  # noqa: E402
from lightner.types import InputError, LabelSet, Sentence  # noqa: E402

say = partial(print, flush=True)  # a job's log is a file: what is said must be there when the job is killed


@dataclass(frozen=True)
class Material:
    """What a job learns from, how that is split for the scan, and what is measured at the end."""

    everything: tuple[Sentence, ...]
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    labels: LabelSet
    warnings: tuple[str, ...]


def main() -> int:
    """Run the job; returns the exit status."""
    options = _parser().parse_args()
    try:
        return command.exit_status(lambda: tune_domain(options))
    except KeyboardInterrupt:
        return session.stopped()


def tune_domain(options: argparse.Namespace) -> None:
    """Check, scan, learn, evaluate and publish."""
    check_name(options.domain, "--domain")
    material = _material(options)
    plans = _plans(options, material)
    for warning in material.warnings:
        say(f"warning: {warning}")
    base = backbone.load(options.backbone)
    _rehearse(base, material, plans[0])
    registry = Registry.open(options.registry)
    key = _run_key(material, plans, base.fingerprint)
    live = publish.live_version(registry, options.domain, key)
    if live and not options.force:
        say(f"nothing to do: {options.domain} {live} is live with this data and these rules (--force tunes again)")
        return
    made = _tune(options, material, plans, base=base, key=key, live=live)
    if material.test:
        scores = evaluate(base, prompt_for(made, base), material.test)
        say(f"test: {options.test}\n{metrics.report(scores)}")
    published = registry.publish(made)
    say(f"published {options.domain} {published.version} into {options.registry}")


def _tune(
    options: argparse.Namespace,
    material: Material,
    plans: Sequence[rules.Plan],
    *,
    base: Backbone,
    key: str,
    live: str | None,
) -> PromptArtifact:
    """Scan, then learn the winner on everything."""
    session.connect()
    task = Run(
        # Tuning again is a new run, which a killed one resumes just as well.
        name="-after-".join(filter(None, [f"{options.domain}-{key[:12]}", live])),
        storage=options.storage,
        backbone=_resolved(options.backbone),
        labels=material.labels,
        train=material.train,
        dev=material.dev,
        plan=plans[0],
        workers=options.workers,
        gpu=options.gpu,
    )
    slots = session.training_slots(gpu=options.gpu)
    if slots < options.workers:
        kind = "GPUs" if options.gpu else "CPUs"
        say(f"warning: the cluster has {slots} {kind} now, a run needs {options.workers}: waiting for more to join")
    say(f"{len(task.train)} sentences to learn from, {len(task.dev)} held out, {len(plans)} trials")
    trials = scan.scan(task, plans, at_once=max(1, slots // options.workers))
    chosen = scan.best(trials)
    say(scan.table(trials, chosen))
    say(f"held out: {len(task.dev)} sentences, by the trial marked *\n{metrics.report(chosen.scores)}")
    plan = next(each for each in plans if scan.pair(each) == chosen.pair)
    say(f"learning the winner on all {len(material.everything)} sentences")
    final = replace(task, name=f"{task.name}-final", train=material.everything, dev=(), plan=plan)
    tensors = learned(run(final), plan)
    source = {"sha256": hashlib.sha256(Path(options.train).read_bytes()).hexdigest(), "warnings": material.warnings}
    return publish.make(options.domain, base, final, tensors, trials=trials, chosen=chosen, key=key, source=source)


def _material(options: argparse.Namespace) -> Material:
    everything = read(options.train)
    dev = () if options.dev is None else read(options.dev)
    test = () if options.test is None else read(options.test)
    report = check.inspect(everything, dev)
    if report.errors:
        raise InputError(f"{options.train}: " + " ".join(report.errors))
    words = {} if options.label_words is None else _label_words(options.label_words)
    labels = LabelSet.of(labels_of([*everything, *dev]), words)
    train = everything
    if not dev:
        train, dev = hold_out(everything, fraction=rules.HELD_OUT, seed=options.seed)
    return Material(everything, tuple(train), tuple(dev), test, labels, report.warnings)


def _label_words(file: str) -> dict[str, list[str]]:
    try:
        found = json.loads(_text(file))
    except ValueError as error:
        raise InputError(f"{file}: found no JSON ({error}), expected an object of lists of words") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: found {type(found).__name__}, expected an object of lists of words")
    for name, words in found.items():
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise InputError(f"{file}: found {words!r} for label {name!r}, expected a list of words")
    return found


def _plans(options: argparse.Namespace, material: Material) -> list[rules.Plan]:
    """One plan per scanned pair, by all the sentences: the scan must try what the final run will do."""
    pins = {} if options.pin is None else _pins(options.pin)
    pairs = [(length, rate) for length in options.lengths for rate in options.rates]
    plans = [
        rules.plan(material.everything, prompt_length=length, learning_rate=rate, seed=options.seed).with_pins(pins)
        for length, rate in pairs
    ]
    return list(dict.fromkeys(plans))  # a pinned length or rate makes some of them equal


def _pins(file: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: found no YAML ({error}), expected a mapping of settings") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: found {type(found).__name__}, expected a mapping of settings")
    return found


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: found no readable text ({error}), expected a UTF-8 file") from error


def _rehearse(base: Backbone, material: Material, plan: rules.Plan) -> None:
    """A run of no steps: whatever a run would refuse is refused here, before any time is spent."""
    fit(base, material.labels, material.everything, (), replace(plan, steps=0))


def _run_key(material: Material, plans: Sequence[rules.Plan], fingerprint: str) -> str:
    """Names a run by all that determines its result, so that the same command finds its own traces."""
    digest = hashlib.sha256(fingerprint.encode())
    digest.update(repr((material.train, material.dev, material.labels, [plan.as_dict() for plan in plans])).encode())
    return digest.hexdigest()


def _resolved(name: str | None) -> str | None:
    """A folder by its full path, since workers run in folders of their own; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).is_dir() else name


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--train", required=True, metavar="FILE", help="labelled sentences: CoNLL columns or JSON Lines")
    add("--domain", required=True, metavar="NAME", help="name under which the prompt is published")
    add("--dev", metavar="FILE", help="sentences to select on (default: a quarter of --train is held out)")
    add("--test", metavar="FILE", help="sentences to report the published prompt on; nothing is selected on them")
    add("--backbone", metavar="NAME", help="hub name or folder (default: the one that comes with the package)")
    add("--registry", type=command.place, default=command.default_registry(), metavar="URL")
    add(
        "--storage",
        type=command.place,
        default=str(command.home() / "runs"),
        metavar="DIR",
        help="checkpoints; a folder or address that all nodes share",
    )
    add("--label-words", metavar="FILE", help='JSON: {"label": ["word", ...]} (default: from the label names)')
    lengths, rates = list(rules.PROMPT_LENGTHS), list(rules.LEARNING_RATES)
    add("--lengths", type=command.at_least(0), nargs="+", default=lengths, help="prompt lengths to scan")
    add("--rates", type=command.rate, nargs="+", default=rates, help="learning rates to scan")
    add("--pin", metavar="FILE", help="YAML with values in place of the rules', for experts")
    add("--workers", type=command.at_least(1), default=1, help="data-parallel workers of each run")
    add("--gpu", action="store_true", help="train on GPUs")
    add("--seed", type=int, default=0)
    add("--force", action="store_true", help="tune again although nothing has changed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
