"""The tuning job: scan, learn, evaluate, judge, publish.

Scans prompt length and learning rate by cross-validation, learns the winner again on all sentences, and publishes the
result into the prompt registry. The same call resumes where a killed one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from lightner.evaluation import reports
from lightner.jobs import command, dry_run, finish, progress, publish, reading, recording, sources, tuned
from lightner.jobs.choices import Choice, choices_of, run_key
from lightner.jobs.gate import CANDIDATE, Opponents, Verdict, judge
from lightner.jobs.inputs import Material, material_of
from lightner.jobs.learn import Outcome, learn, say
from lightner.jobs.on_ray import session, storage
from lightner.jobs.options import AUTO, TuneOptions
from lightner.jobs.recording import Recorder
from lightner.jobs.sources import SourcePrompt
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact, to_files
from lightner.store.card import JSON
from lightner.store.registry import ANY, LIVE, AliasMoved, Registry
from lightner.tuning import rules
from lightner.tuning.cross_validation import held_in
from lightner.tuning.training import fit, folded_tensors
from lightner.types import InputError, check_name

_KEPT = "nothing was published"  # of a job that is stopped


def main(options: TuneOptions) -> int:
    """Run the job; returns the exit status."""
    try:
        return command.exit_status(lambda: tune_domain(options))
    except KeyboardInterrupt:
        return session.stopped(_KEPT)


def tune_domain(options: TuneOptions) -> None:
    """Check, scan, learn, evaluate and publish; what came of it is recorded where the options ask for that."""
    check_name(options.domain, "--domain")
    recorder = recording.recorder_of(options)
    try:
        result = _tune_domain(options, recorder)
    except InputError as error:
        if recorder:
            recorder.failed(str(error))
        raise
    if recorder and result:
        recorder.result(result)


def _tune_domain(options: TuneOptions, recorder: Recorder | None) -> Mapping[str, JSON] | None:
    """The result as `tuned` describes it; None of a dry run."""
    progress.check(options.log)
    material = material_of(options)
    for line in material.read:
        say(line)
    if options.shard and material.scheme.workers < 2:
        raise InputError(f"--shard: found {material.scheme.workers} workers, expected at least 2 (--workers)")
    base = backbone.load(options.backbone)
    material = _with_reading_checked(material, base)
    sources = _sources(options, base, material)
    choices = choices_of(options, material, sources)
    _refuse_unlearnable(options.domain, base, material, choices)
    if any(sources):
        say("starting from " + " or ".join(source.reference if source else "label words alone" for source in sources))
    leaks = _leaks(material, choices)
    for warning in leaks:
        say(f"warning: {warning}")
    if options.dry_run:
        plans = [choice.plan for choice in choices]
        say(dry_run.describe(material, plans, dry_run.measure(base, material, plans)))
        return None
    for warning in material.report.warnings:
        say(f"warning: {warning}")
    registry = Registry.open(options.registry)
    key = run_key(material, choices, base.fingerprint)
    live = _live(registry, options)
    if done := _is_done(registry, options, live, key):
        return done
    registry.must_be_writable()
    outcome = _tune(options, material, choices, base=base, key=key, live=live, recorder=recorder)
    if recorder:
        recorder.begin(recording.PUBLISHING, rounds=0)
    data = {**material.source, "warnings": (*material.report.warnings, *leaks)}
    made = publish.make(options.domain, base, outcome, key=key, budget=options.budget_minutes, source=data)
    finished = finish.finish(made, outcome.final, material.test, base)
    if material.test:
        spans = [sentence.spans for sentence in material.test]
        say(f"test: {options.test or options.train}\n{reports.report(spans, finished.found)}")
    judged = partial(_judged, registry, options, made, outcome, base)
    version, verdict, went_live = _publish(registry, options, finished.artifact, judged, outcome.pictures)
    before = live.artifact.card if live else None
    return tuned.summary(outcome, before, verdict, version=version, live=went_live)


def _judged(
    registry: Registry, options: TuneOptions, made: PromptArtifact, outcome: Outcome, base: Backbone
) -> tuple[Verdict, str | None]:
    """The gate's verdict against the version that is live now, which may be new since the start; and that version."""
    try:
        live = publish.standing(registry, options.domain, LIVE)
    except InputError as error:
        version = registry.aliases(options.domain).get(LIVE)
        return Verdict(False, f"the live version cannot be read ({error})", "nothing can be compared with it"), version
    opponents = Opponents(live.artifact if live else None, publish.earlier_cards(registry, options.domain))
    labels, source = made.card.labels, outcome.source
    verdict = judge(outcome.measured, labels, opponents, base, seed=options.seed, source=source)
    return verdict, live.version if live else None


def _live(registry: Registry, options: TuneOptions) -> publish.Standing | None:
    """The live version at the start. An unreadable one is refused unless forced: nothing can be compared with it."""
    try:
        return publish.standing(registry, options.domain, LIVE)
    except InputError as error:
        if not options.force:
            hint = f"lightner prompts rollback {options.domain} names the one before; --force publishes over it"
            raise InputError(f"the live version of {options.domain} cannot be read ({error}); {hint}") from error
        say(f"warning: the live version cannot be read, and is not compared with: {error}")
        return None


def _is_done(
    registry: Registry, options: TuneOptions, live: publish.Standing | None, key: str
) -> dict[str, JSON] | None:
    """Of a run whose result the registry already has, what came of it, after what was left to do; None of others."""
    same, domain = "with this data and these rules", options.domain
    if live and live.came_from(key, budget=options.budget_minutes):
        if not options.force:
            further = "--force tunes again, jobs/evaluate.py scores it"
            say(f"nothing to do: {domain} {live.version} is live {same} ({further})")
            return tuned.unchanged(live.version, f"Nothing has changed: {live.version} is live {same}.")
        return None
    waiting = publish.readable(registry, domain, CANDIDATE)
    if waiting is None or not waiting.came_from(key, budget=options.budget_minutes):
        return None
    if options.force:
        registry.set_alias(domain, LIVE, waiting.version)
        say(f"{domain} {waiting.version} was the {CANDIDATE} {same}; now it is live in {options.registry}")
        return tuned.unchanged(waiting.version, f"{waiting.version}, which was kept before {same}, is live now.")
    say(f"nothing to do: {domain} {waiting.version} is the {CANDIDATE} {same} (--force lets it go live)")
    return tuned.unchanged(waiting.version, f"Nothing has changed: {waiting.version} was kept {same} and is not live.")


def _publish(
    registry: Registry,
    options: TuneOptions,
    made: PromptArtifact,
    judged: Callable[[], tuple[Verdict, str | None]],
    pictures: Mapping[str, bytes],
) -> tuple[str, Verdict, bool]:
    """Publish under the alias that the gate allows, with the scan's pictures; the last line names the alias.

    Returns the version, the verdict and whether it went live.

    The alias is moved only if it still names the version that was compared with; otherwise the gate decides again.
    """
    verdict, live = judged()
    with session.to_the_end():
        version = registry.publish(publish.judged(made, verdict), alias=None, attachments=pictures).version
        while True:
            say(f"gate: {verdict.comparison}")
            passed = verdict.passed or options.force
            try:
                alias, expected = (LIVE, live) if passed else (CANDIDATE, ANY)
                registry.set_alias(options.domain, alias, version, instead_of=expected)
                break
            except AliasMoved as moved:
                say(f"another version went live meanwhile ({moved}); comparing with that one")
                verdict, live = judged()
        held_back = f" as {CANDIDATE} only: {verdict.reason} (--force lets this one go live)"
        say(f"published {options.domain} {version} into {options.registry}" + ("" if passed else held_back))
    return version, verdict, passed


def _tune(
    options: TuneOptions,
    material: Material,
    choices: Sequence[Choice],
    *,
    base: Backbone,
    key: str,
    live: publish.Standing | None,
    recorder: Recorder | None,
) -> Outcome:
    """Join Ray, scan and learn."""
    storage.check(options.storage)
    cpus = session.connect(_KEPT, runs=options.storage, trackers=options.log)
    again = live.version if live and live.came_from(key, budget=options.budget_minutes) else None
    # Tuning again is a new run, which also resumes after a kill.
    name = "-after-".join(filter(None, [f"{options.domain}-{key[:12]}", again]))
    per_gpu = options.runs_per_gpu or rules.runs_per_gpu(base.model.num_parameters())
    return learn(
        options,
        material,
        choices,
        name=name,
        base=base,
        per_gpu=per_gpu,
        cpus=cpus,
        recorder=recorder,
    )


def _sources(options: TuneOptions, base: Backbone, material: Material) -> tuple[SourcePrompt | None, ...]:
    """Sources that the trials start from."""
    if options.source is None:
        return (None,)
    registry = Registry.open(options.registry)
    if options.source != AUTO:
        return (sources.find(registry.must_exist(), options.source, base, sentences=held_in(material.folds)),)
    seen = [*material.everything, *material.dev]
    return (None, *sources.likely(registry, base, domain=options.domain, labels=material.labels, sentences=seen))


def _with_reading_checked(material: Material, base: Backbone) -> Material:
    """The material, its report with warnings about how the backbone reads its labels and its words."""
    known = reading.covered(base.tokenizer, material.everything)
    report = reading.with_warnings(material.report, known, labels=material.labels, tokenizer=base.tokenizer)
    return replace(material, report=report)


def _leaks(material: Material, choices: Sequence[Choice]) -> tuple[str, ...]:
    """Warnings about sources of the trials that have learned from sentences that trials are measured on."""
    tried = list(dict.fromkeys(choice.source for choice in choices))
    return sources.warnings(tried, measured=len(held_in(material.folds)))


def _refuse_unlearnable(domain: str, base: Backbone, material: Material, choices: Sequence[Choice]) -> None:
    """Try runs of no steps, so that whatever a run or the registry would refuse is refused before any time is spent."""
    by_length = sorted(choices, key=lambda choice: choice.plan.prompt_length)
    for source, plan in {choice.source: choice.plan for choice in by_length}.items():  # the longest of each source
        prompt = source.prompt if source else None
        tuned = fit(base, material.labels, material.everything, (), replace(plan, steps=0), source=prompt)
        to_files(publish.bare(domain, base, material.labels, folded_tensors(tuned), sentences=material.everything))
