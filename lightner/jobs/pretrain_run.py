"""The inputs that define a pretraining run, and moving its checkpoint into place. Knows no Ray."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightner.jobs.options import PretrainOptions
from lightner.model import embedded
from lightner.types import InputError

BEGUN = "begun.json"
FINAL, CURVE, PICTURE = "checkpoint", "curve.jsonl", "curve.png"
STATE = "step_"
"""What the folders of a run's states begin with; the step follows."""
_WEIGHTS = ("*.safetensors", "*.json")
_WORDNET = ("index.*", "data.*", "cntlist.rev", "*.exc")


def check_sources(options: PretrainOptions) -> None:
    """Raise InputError if there is nothing to learn from, or if `--leave-out` names missing sets or all sets."""
    if not (options.open or options.sets or options.raw):
        raise InputError("found no --open, --sets or --raw, expected at least one of them to learn from")
    if not options.sets:
        if options.leave_out:
            raise InputError(f"--leave-out: found {sorted(options.leave_out)}, expected none without --sets")
        return
    folder, left = options.sets, set(options.leave_out)
    try:
        sets = {each.name for each in folder.iterdir() if each.is_dir()}
    except OSError as error:
        raise InputError(f"--sets: found {str(folder)!r} ({error.strerror}), expected a folder") from error
    if not left < sets:
        raise InputError(
            f"--leave-out: found {sorted(left)}, expected some, but not all, of the sets {sorted(sets)} in {folder}"
        )


def check_place(out: Path) -> None:
    """Raise InputError if a checkpoint cannot or should not replace what is at `out`."""
    if os.path.ismount(out):
        raise InputError(f"--out: found the mount point {out}, which nothing can replace, expected a folder in it")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: found the file {out}, expected a folder or nothing yet")
    if out.exists() and any(out.iterdir()) and not _listed(out):
        raise InputError(f"--out: found other files in {out}, expected a checkpoint, an empty folder or nothing yet")


def traits(options: PretrainOptions) -> dict[str, Any]:
    """All that determines the result of a run, as JSON: settings, and the sha256 of all that is read.

    Raises InputError if a file cannot be read.
    """
    start, folder = options.start, options.wordnet
    folders = sorted(options.sets.iterdir()) if options.sets else []
    sets = {each.name: each.glob("*.conll") for each in folders if each.is_dir()}
    weights = [path for pattern in _WEIGHTS for path in start.glob(pattern) if path.name != embedded.MANIFEST]
    thesaurus = [p for pattern in _WORDNET for p in folder.glob(pattern)] or [folder]
    openly = sorted(options.open.glob("*.jsonl")) or [options.open] if options.open else []
    # Without the hardware, and without `steps`: a run may be made longer while it is under way.
    settings = {
        "decoder_layers": options.decoder_layers,
        "rate": options.rate,
        "constant": options.constant,
        "batch_size": options.batch_size,
        "average_every": options.average_every,
        "hold_out_groups": options.hold_out_groups,
        "bf16": options.bf16,
        "seed": options.seed,
    }
    return {
        "start": _sha256("--start", weights or [start]),
        "open": _sha256("--open", openly),
        "sets": {name: _sha256("--sets", files) for name, files in sets.items()},
        "raw": _sha256("--raw", [options.raw]) if options.raw else None,
        "wordnet": _sha256("--wordnet", thesaurus) if options.raw else None,
        "leave_out": sorted(set(options.leave_out)),
        **settings,
    }


def begin(run: Path, wanted: Mapping[str, Any], *, steps: int) -> None:
    """Record the inputs of the run in this folder; if it already has a state, check that they are the same.

    Raises:
        InputError: the folder has another run, or one that has done more steps than are wanted.
    """
    states = sorted(run.glob(f"{STATE}*"))
    if not states:
        run.mkdir(parents=True, exist_ok=True)
        (run / BEGUN).write_text(json.dumps(wanted, indent=1), encoding="utf-8")
        return
    expected = "expected the same, another --name, or that this folder is removed"
    if not (run / BEGUN).exists():
        raise InputError(f"{run}: found a run that does not say in {BEGUN} what it was begun with, {expected}")
    before = json.loads((run / BEGUN).read_text(encoding="utf-8"))
    differs = [f"--{name.replace('_', '-')}" for name in wanted if wanted[name] != before.get(name)]
    if differs:
        raise InputError(f"{run}: found a run that was begun with another {' and '.join(differs)}, {expected}")
    done = int(states[-1].name.removeprefix(STATE))
    if steps < done:
        raise InputError(f"--steps: found {steps}, expected at least the {done} that the run in {run} has done")


def put(made: Path, out: Path) -> None:
    """Put the checkpoint `made` at `out`, whole or not at all. Other files at `out` are kept.

    Raises OSError if it cannot be written; the old contents are then unchanged.
    """
    new, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    if old.exists() and not out.exists():  # a job was killed between the two renames
        old.rename(out)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        shutil.copytree(made, new)
        for each in _strangers(out, new):
            _copy(each, new / each.name)
        if out.exists():
            out.rename(old)
        new.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _strangers(out: Path, new: Path) -> list[Path]:
    """Files in `out` that belong neither to its checkpoint nor to the `new` one, and cannot be taken for weights."""
    if not out.exists():
        return []
    known = {*_listed(out), *(each.name for each in new.iterdir())}
    return [each for each in out.iterdir() if each.name not in known and not each.match("model-*.safetensors")]


def _listed(folder: Path) -> set[str]:
    """Files of the folder's checkpoint; empty if it has no checkpoint. Raises InputError for a damaged manifest."""
    manifest = folder / embedded.MANIFEST
    if not manifest.exists():
        return set()
    try:
        return {*dict(json.loads(manifest.read_text(encoding="utf-8"))), embedded.MANIFEST}
    except (ValueError, TypeError) as error:
        raise InputError(f"{manifest}: found it damaged ({error}), expected a checkpoint's manifest") from error


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _sha256(option: str, files: Iterable[Path]) -> str:
    """The sha256 of the names and contents of files, in any order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            content = embedded.sha256(path)
        except OSError as error:
            raise InputError(f"{option}: found {str(path)!r} ({error.strerror}), expected readable files") from error
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()
