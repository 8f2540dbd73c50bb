"""What a tuning job is given: sentences, labels, pins, and the plans that follow. Knows neither Ray nor models."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from lightner.data import inspection
from lightner.data.formats import labels_of, read
from lightner.data.inspection import DataReport
from lightner.jobs.keys import described, key_of
from lightner.jobs.sources import Choice, SourcePrompt
from lightner.tuning import rules
from lightner.tuning.cross_validation import Fold, folds_of
from lightner.tuning.rules import Plan, Scheme
from lightner.types import InputError, LabelSet, Sentence

_OF_SOURCE = {"prompt_length", "feed_forward_slots"}
_OF_SCHEME, _OF_PLAN = ({field.name for field in fields(kind)} for kind in (Scheme, Plan))


@dataclass(frozen=True)
class Material:
    """What a job learns from, how that is split for the scan, and what is measured at the end."""

    everything: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    folds: tuple[Fold, ...]
    test: tuple[Sentence, ...]
    labels: LabelSet
    report: DataReport
    fingerprint: Mapping[str, str]
    """The training file's, for the card."""
    scheme: Scheme
    pins: Mapping[str, Any]
    """Of the plans."""
    seed: int
    """Of the folds."""


def material_of(options: argparse.Namespace) -> Material:
    """Read the files that the options name. Raises InputError for whatever is wrong with them."""
    everything, fingerprint = read(options.train), _fingerprint(options.train)
    dev = () if options.dev is None else read(options.dev)
    test = () if options.test is None else read(options.test)
    report = inspection.inspect(everything, dev, test)
    if report.errors:
        raise InputError(f"{options.train}: " + " ".join(report.errors))
    words = {} if options.label_words is None else _label_words(options.label_words)
    labels = LabelSet.of(labels_of([*everything, *dev]), words)
    pins = {} if options.pin is None else _pins(options.pin)
    scheme, folds = _scheme(options, everything, dev, pins)
    plan_pins = {name: value for name, value in pins.items() if name not in _OF_SCHEME}
    return Material(everything, dev, folds, test, labels, report, fingerprint, scheme, plan_pins, options.seed)


def _fingerprint(file: str) -> dict[str, str]:
    """Taken when the file is read: it may have changed when the prompt is published. A pipe has none."""
    path = Path(file)
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}


def _scheme(
    options: argparse.Namespace, everything: Sequence[Sentence], dev: Sequence[Sentence], pins: Mapping[str, Any]
) -> tuple[Scheme, tuple[Fold, ...]]:
    own = rules.scheme(len({sentence.words for sentence in everything}), dev=bool(dev))
    with _naming(options.pin):
        scheme = own.with_pins({name: value for name, value in pins.items() if name in _OF_SCHEME})
        folds = folds_of(everything, dev, seed=options.seed, count=scheme.folds)
    return replace(scheme, workers=options.workers or scheme.workers), folds


def choices_of(
    options: argparse.Namespace, material: Material, sources: Sequence[SourcePrompt | None]
) -> tuple[Choice, ...]:
    """What the trials try: for each source the scanned pairs, as plans of a final run by all the sentences.

    Of a source the length is not scanned: a prompt that starts from it is as long. Raises InputError for pins that no
    run can have, or that all sources decide.
    """
    if all(sources) and (fixed := _OF_SOURCE & set(material.pins)):
        raise InputError(f"{options.pin}: found {sorted(fixed)}, expected neither with --from: they are the source's")
    return tuple(Choice(plan, source) for source in sources for plan in _plans(options, material, source))


def _plans(options: argparse.Namespace, material: Material, source: SourcePrompt | None) -> list[Plan]:
    fixed = source.lengths if source else {}
    pins = {**material.pins, **fixed}
    with _naming(options.pin):
        plans = [
            rules.plan(material.everything, prompt_length=length, learning_rate=rate, seed=options.seed, pins=pins)
            for length in options.lengths
            for rate in options.rates
        ]
    return list(dict.fromkeys(plans))  # a pinned or given length, or a pinned rate, makes some of them equal


def milestones_of(material: Material, plans: Sequence[Plan]) -> tuple[int, ...]:
    """The rounds at which the trials by these plans are compared, and the last one."""
    return rules.milestones(plans[0].rounds, len(plans) if material.scheme.early_stopping else 1)


def run_key(material: Material, choices: Sequence[Choice], fingerprint: str) -> str:
    """Names a run by all that determines its result, so that the same command finds its own traces."""
    labels = material.labels
    return key_of(
        {
            "version": 1,
            "backbone": fingerprint,
            "labels": [[name, list(words)] for name, words in zip(labels.names, labels.words, strict=True)],
            "folds": [{"train": described(fold.train), "held": described(fold.held)} for fold in material.folds],
            "choices": [{"plan": choice.plan.as_dict(), "started_from": choice.started_from} for choice in choices],
            "early_stopping": material.scheme.early_stopping,
        }
    )


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


def _pins(file: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: found no YAML ({error}), expected a mapping of settings") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: found {type(found).__name__}, expected a mapping of settings")
    if unknown := set(found) - _OF_SCHEME - _OF_PLAN:
        raise InputError(
            f"{file}: found settings {sorted(map(str, unknown))}, expected some of {sorted(_OF_SCHEME | _OF_PLAN)}"
        )
    return found


@contextmanager
def _naming(file: str | None) -> Iterator[None]:
    """Errors within name the file of pins where there is one: only pins can be at fault."""
    try:
        yield
    except InputError as error:
        if file is None:
            raise
        raise InputError(f"{file}: {error}") from error


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: found no readable text ({error}), expected a UTF-8 file") from error
