"""The training part of a tuning job, after it has joined Ray: scan, repeats if asked for, final run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from lightner.evaluation import reports
from lightner.evaluation.calibration import Calibrated, calibrate
from lightner.evaluation.intervals import f1_interval
from lightner.jobs import command, other_seeds, plot, recording, scan, self_training
from lightner.jobs.choices import Choice, milestones_of
from lightner.jobs.inputs import Material
from lightner.jobs.on_ray import session, storage
from lightner.jobs.options import TuneOptions
from lightner.jobs.progress import Watch
from lightner.jobs.recording import Recorder
from lightner.jobs.scan import Scan, Trial
from lightner.jobs.self_training import SelfTrained
from lightner.jobs.trials import Ended, learned, run_all
from lightner.jobs.worker import Cost, Run
from lightner.model.backbone import Backbone
from lightner.store.card import Card
from lightner.store.lineage import Measured
from lightner.tuning.cross_validation import Fold, held_in, measured_on, trial_plan
from lightner.tuning.rules import rounds_of_scan
from lightner.types import InputError, Scores

say = partial(print, flush=True)  # a job's log is a file: every line must be in it when the job is killed


@dataclass(frozen=True, eq=False)
class Outcome:
    """Results of a job: the scan, the pictures, the chosen trial, its F1 with other seeds and how its scores are
    calibrated, what unlabelled sentences changed; the final run, the card of what it started from, cost and tensors."""

    scan: Scan
    pictures: Mapping[str, bytes]
    chosen: Trial
    folds: tuple[Fold, ...]
    repeats: tuple[float, ...]
    calibrated: Calibrated | None
    self_trained: SelfTrained | None
    final: Run
    source: Card | None
    cost: Cost
    tensors: Mapping[str, Tensor]

    @property
    def measured(self) -> Measured:
        """The chosen trial's counts on its held-out sentences."""
        return Measured(held_in(self.folds), self.chosen.chosen.sentences)


def learn(
    options: TuneOptions,
    material: Material,
    choices: Sequence[Choice],
    *,
    name: str,
    base: Backbone,
    per_gpu: int,
    cpus: int,
    recorder: Recorder | None = None,
) -> Outcome:
    """Scan, measure the winner again if asked to, then train it on all sentences for the best number of rounds.

    State is kept in the storage under `name`, from where the same call resumes. Raises InputError and Stopped as
    `trials.run_trials` does.
    """
    task = _task(options, material, choices, name=name, fingerprint=base.fingerprint)
    task = replace(task, per_gpu=per_gpu, cpus=cpus)
    count = len(material.everything)
    at_once, watch = _at_once(options, task), Watch(options.domain, options.log, recorder)
    milestones = milestones_of(material, [choice.plan for choice in choices])
    if recorder:
        recorder.begin(recording.SCAN, rounds=rounds_of_scan(milestones, len(choices)))
    say(f"{count} sentences, {len(choices)} trials, each measured on {measured_on(material.folds)}")
    scanned = scan.scan(
        task,
        [choice.by(trial_plan(choice.plan, material.folds, of=count)) for choice in choices],
        milestones=milestones,
        watch=watch,
        at_once=at_once,
        budget_s=None if options.budget_minutes is None else 60 * options.budget_minutes,
    )
    chosen = scan.best(scanned.trials)
    files = plot.contents(name, scanned.trials, chosen)
    where = plot.keep(options.storage, name, files)
    _report(options, material, scanned, chosen, where=where)
    choice = next(each for each in choices if scan.key(each) == chosen.key)
    task = scan.run_of(task, choice, name=name)
    again: tuple[float, ...] = ()
    if options.seeds:
        seeds = range(1, options.seeds + 1)
        again = other_seeds.repeat(task, material, last=chosen.rounds, seeds=seeds, watch=watch, at_once=at_once)
        say(other_seeds.describe(again))
    tried = self_training.try_it(task, material, chosen, watch=watch)
    if tried:
        say(tried.describe())
    final, end, chosen = _final(task, material, chosen, tried, watch=watch)
    pictures = {file: files[file] for file in (plot.PICTURE, plot.PAGE)}  # the table is in the prompt's README
    calibrated = _calibrated(chosen, base)
    if calibrated is not None:
        pictures[plot.CALIBRATION] = plot.calibration_picture(calibrated)
    source = choice.source.card if choice.source else None
    folds, tensors = material.folds, learned(end)
    return Outcome(scanned, pictures, chosen, folds, again, calibrated, tried, final, source, end.cost, tensors)


def _final(
    task: Run, material: Material, chosen: Trial, tried: SelfTrained | None, *, watch: Watch
) -> tuple[Run, Ended, Trial]:
    """The final run, how it ended, and the trial that says how good it is."""
    last, rounds = chosen.rounds, task.plan.rounds
    say(f"learning the winner on all {len(material.everything)} sentences, {last} of {rounds} rounds")
    if watch.recorder:
        watch.recorder.begin(recording.LEARNING, rounds=last)
    run = replace(task, name="everything", folds=(Fold(material.everything, ()),), last=last)
    [end] = run_all("final", [run], title="final run", watch=watch, at_once=1)
    if tried is None or not tried.helps:
        return run, end, chosen
    return *self_training.final(task, material, end, last=tried.trial.rounds, watch=watch), tried.trial


def _calibrated(chosen: Trial, base: Backbone) -> Calibrated | None:
    """The calibration by the entities that the folds of the chosen trial found; says how good it is."""
    done = chosen.chosen
    gold = (done.scores or Scores()).micro.gold
    found = calibrate(done.guesses, gold=gold, untuned=base.calibration)
    if found is not None:
        say(
            f"calibrated on {found.guesses} entities: expected calibration error {100 * found.error_before:.1f} before,"
            f" {100 * found.error_after:.1f} after; f1 {100 * found.f1:.1f}, with tuned thresholds"
            f" {100 * found.f1_tuned:.1f}"
        )
    return found


def _report(options: TuneOptions, material: Material, scanned: Scan, chosen: Trial, *, where: str) -> None:
    """Print what the scan found, and where it is kept."""
    trials = scanned.trials
    for trial, error in scanned.errors.items():
        say(f"warning: trial {trial} failed again and again and is left out: {error}")
    if scanned.cut_short:
        finished = sum(trial.finished for trial in trials)
        say(f"the budget ran out: {finished} of {scanned.planned} trials finished, the best of the furthest is used")
    say(scan.table(trials, chosen))
    say(f"kept as {plot.PICTURE}, {plot.PAGE} and {plot.TABLE} in {where}")
    pooled = reports.table(reports.rows_of(chosen.chosen.scores or Scores()))
    say(f"by the trial marked *, on {measured_on(material.folds)}\n{pooled}")
    interval = f1_interval([scores.micro for scores in chosen.chosen.sentences], seed=options.seed)
    say(f"f1 {100 * chosen.f1:.1f}, 95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}")


def _task(options: TuneOptions, material: Material, choices: Sequence[Choice], *, name: str, fingerprint: str) -> Run:
    """The settings that all trials share."""
    plan = choices[0].plan
    return Run(
        name=name,
        storage=storage.inside(options.storage, name),
        backbone=command.backbone_name(options.backbone),
        fingerprint=fingerprint,
        labels=material.labels,
        folds=material.folds,
        plan=plan,
        last=plan.rounds,
        workers=material.scheme.workers,
        gpu=options.gpu,
        shard=options.shard,
    )


def _at_once(options: TuneOptions, task: Run) -> int:
    """How many runs fit at once. Raises InputError if no run can ever fit into the Ray that the job started."""
    slots, kind = session.training_slots(gpu=options.gpu), "GPUs" if options.gpu else "CPUs"
    if slots < task.workers:
        if task.cpus:
            raise InputError(
                f"this machine: found {slots} {kind}, expected {task.workers}, one for each worker of a run"
            )
        say(f"warning: the cluster has {slots} {kind} now, a run needs {task.workers}: waiting for more to join")
    return max(1, slots // task.workers)
