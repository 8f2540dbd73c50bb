"""Tune a prompt for a domain and publish it: `python jobs/tune.py --train FILE --domain NAME`.

Scans prompt length and learning rate by cross-validation, learns the winner again on all sentences, and publishes the
result into the prompt registry. The same command goes on where a killed one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # a script's own folder is on its path, the package around it is not

from jobs import command, plot, publish, rehearsal, repeats, scan, session, storage, transfer  # noqa: E402
from jobs.gate import CANDIDATE, Measured, Verdict, judge  # noqa: E402
from jobs.material import Material, material_of, plans_of, run_key  # noqa: E402
from jobs.transfer import Source  # noqa: E402
from jobs.trials import learned, run_all  # noqa: E402
from jobs.worker import Run  # noqa: E402
from lightner import backbone, metrics, rules  # noqa: E402
from lightner.artifact import PromptArtifact, prompt_for  # noqa: E402
from lightner.backbone import Backbone  # noqa: E402
from lightner.bootstrap import f1_interval  # noqa: E402
from lightner.card import check_name  # noqa: E402
from lightner.registry import LIVE, Registry  # noqa: E402
from lightner.selection import Fold, held_in, measured_on, trial_plan  # noqa: E402
from lightner.training import evaluate, fit  # noqa: E402
from lightner.types import Scores  # noqa: E402

say = partial(print, flush=True)  # a job's log is a file: what is said must be there when the job is killed


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
    material = material_of(options)
    base = backbone.load(options.backbone)
    source = transfer.find(Registry.open(options.registry), options.source, base) if options.source else None
    plans = plans_of(options, material, source.lengths if source else None)
    _refuse_unlearnable(base, material, plans[0], source)
    if options.dry_run:
        say(rehearsal.describe(material, plans, rehearsal.measure(base, material, plans)))
        return
    for warning in material.report.warnings:
        say(f"warning: {warning}")
    registry = Registry.open(options.registry)
    key = run_key(material, plans, base.fingerprint, source.reference if source else None)
    live = publish.standing(registry, options.domain, LIVE)
    if _is_done(registry, options, live, key):
        return
    made, verdict = _tune(options, material, plans, base=base, key=key, live=live, source=source)
    if material.test:
        scores = evaluate(base, prompt_for(made, base), material.test)
        say(f"test: {options.test}\n{metrics.report(scores)}")
    _publish(registry, options, made, verdict)


def _is_done(registry: Registry, options: argparse.Namespace, live: publish.Standing | None, key: str) -> bool:
    """Whether the registry has the result of this run; then what is left to do is done."""
    same, domain = "with this data and these rules", options.domain
    if live and live.came_from(key):
        if not options.force:
            say(f"nothing to do: {domain} {live.version} is live {same} (--force tunes again)")
        return not options.force
    waiting = publish.standing(registry, domain, CANDIDATE)
    if waiting is None or not waiting.came_from(key):
        return False
    if options.force:
        registry.set_alias(domain, LIVE, waiting.version)
        say(f"{domain} {waiting.version} was the {CANDIDATE} {same}; now it is live in {options.registry}")
    else:
        say(f"nothing to do: {domain} {waiting.version} is the {CANDIDATE} {same} (--force lets it go live)")
    return True


def _publish(registry: Registry, options: argparse.Namespace, made: PromptArtifact, verdict: Verdict) -> None:
    """Under the alias that the gate allows; the last line says which."""
    say(f"gate: {verdict.comparison}")
    passed = verdict.passed or options.force
    published = registry.publish(made, alias=LIVE if passed else CANDIDATE)
    say(
        f"published {options.domain} {published.version} into {options.registry}"
        + ("" if passed else f" as {CANDIDATE} only: the live version is better (--force lets this one go live)")
    )


def _tune(
    options: argparse.Namespace,
    material: Material,
    plans: Sequence[rules.Plan],
    *,
    base: Backbone,
    key: str,
    live: publish.Standing | None,
    source: Source | None,
) -> tuple[PromptArtifact, Verdict]:
    """The learned prompt, and whether it may go live."""
    storage.check(options.storage)
    session.connect()
    again = live.version if live and live.came_from(key) else None
    # Tuning again is a new run, which a killed one resumes just as well.
    name = "-after-".join(filter(None, [f"{options.domain}-{key[:12]}", again]))
    task = _task(options, material, plans, name=name)
    if source:
        say(f"starting from {source.reference}")
        task = replace(task, source=source.prompt, started_from=source.reference)
    outcome = _learn(options, material, plans, task)
    measured = Measured(held_in(material.folds), outcome.chosen.chosen.sentences)
    verdict = judge(measured, live.artifact if live else None, base, seed=options.seed)
    sha256 = hashlib.sha256(Path(options.train).read_bytes()).hexdigest()
    data = {"sha256": sha256, "warnings": material.report.warnings}
    return publish.make(options.domain, base, outcome, verdict=verdict, key=key, source=data), verdict


def _learn(options: argparse.Namespace, material: Material, plans: Sequence[rules.Plan], task: Run) -> publish.Outcome:
    """Scan, measure the winner again if asked to, then learn it on everything for as many rounds as were best."""
    folds, sentences = material.folds, len(material.everything)
    at_once = _at_once(options)
    say(f"{sentences} sentences, {len(plans)} trials, each measured on {measured_on(folds)}")
    trials = scan.scan(task, [trial_plan(plan, folds, of=sentences) for plan in plans], at_once=at_once)
    chosen = scan.best(trials)
    say(scan.table(trials, chosen))
    say(f"kept as {plot.PICTURE} and {plot.TABLE} in {plot.keep(task.storage, task.name, trials, chosen)}")
    say(f"by the trial marked *, on {measured_on(folds)}\n{metrics.report(chosen.chosen.scores or Scores())}")
    interval = f1_interval(chosen.chosen.sentences, seed=options.seed)
    say(f"f1 {100 * chosen.f1:.1f}, 95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}")
    plan = next(each for each in plans if scan.pair(each) == chosen.pair)
    again: tuple[float, ...] = ()
    if options.seeds:
        again = repeats.repeat(task, plan, material, last=chosen.rounds, seeds=options.seeds, at_once=at_once)
        say(repeats.describe(again))
    say(f"learning the winner on all {sentences} sentences, {chosen.rounds} of {plan.rounds} rounds")
    whole = (Fold(material.everything, ()),)
    final = replace(task, name="final", folds=whole, plan=plan, last=chosen.rounds)
    [end] = run_all(f"{task.name}-final", [final], at_once=1)
    return publish.Outcome(trials, chosen, folds, again, final, learned(end))


def _task(options: argparse.Namespace, material: Material, plans: Sequence[rules.Plan], *, name: str) -> Run:
    """What all trials have in common."""
    plan = trial_plan(plans[0], material.folds, of=len(material.everything))
    return Run(
        name=name,
        storage=options.storage,
        backbone=_resolved(options.backbone),
        labels=material.labels,
        folds=material.folds,
        plan=plan,
        last=plan.rounds,
        workers=options.workers,
        gpu=options.gpu,
    )


def _at_once(options: argparse.Namespace) -> int:
    """How many runs the cluster has room for."""
    slots = session.training_slots(gpu=options.gpu)
    if slots < options.workers:
        kind = "GPUs" if options.gpu else "CPUs"
        say(f"warning: the cluster has {slots} {kind} now, a run needs {options.workers}: waiting for more to join")
    return max(1, slots // int(options.workers))


def _refuse_unlearnable(base: Backbone, material: Material, plan: rules.Plan, source: Source | None) -> None:
    """A run of no steps: whatever a run would refuse is refused here, before any time is spent."""
    prompt = source.prompt if source else None
    fit(base, material.labels, material.everything, (), replace(plan, steps=0), source=prompt)


def _resolved(name: str | None) -> str | None:
    """A folder by its full path, since workers run in folders of their own; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).is_dir() else name


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--train", required=True, metavar="FILE", help="labelled sentences: CoNLL columns or JSON Lines")
    add("--domain", required=True, metavar="NAME", help="name under which the prompt is published")
    add("--dev", metavar="FILE", help="sentences to select on (default: cross-validation on those of --train)")
    add("--test", metavar="FILE", help="sentences to report the published prompt on; nothing is selected on them")
    add("--backbone", metavar="NAME", help="hub name or folder (default: the one that comes with the package)")
    add("--registry", type=command.place, default=command.default_registry(), metavar="URL")
    add(
        "--storage",
        type=command.place,
        default=str(command.home() / "runs"),
        metavar="URL",
        help="checkpoints; a folder that all nodes share, or s3://bucket/runs (docs/storage.md)",
    )
    add(
        "--from",
        dest="source",
        metavar="DOMAIN[@REF]",
        help="start from the prompt of another domain, whatever its labels; its lengths are not scanned",
    )
    add("--label-words", metavar="FILE", help='JSON: {"label": ["word", ...]} (default: from the label names)')
    lengths, rates = list(rules.PROMPT_LENGTHS), list(rules.LEARNING_RATES)
    add("--lengths", type=command.at_least(0), nargs="+", default=lengths, help="prompt lengths to scan")
    add("--rates", type=command.rate, nargs="+", default=rates, help="learning rates to scan")
    add("--pin", metavar="FILE", help="YAML with values in place of the rules', for experts")
    add("--workers", type=command.at_least(1), default=1, help="data-parallel workers of each run")
    add("--gpu", action="store_true", help="train on GPUs")
    add("--seed", type=int, default=0)
    add(
        "--seeds",
        type=command.at_least(2),
        default=0,
        metavar="N",
        help="measure the winner again with N other seeds, for mean and spread of its F1",
    )
    add("--dry-run", action="store_true", help="say what would be done and how long it would take, then end")
    add("--force", action="store_true", help="tune although nothing has changed, publish although live is better")
    return parser


if __name__ == "__main__":
    sys.exit(main())
