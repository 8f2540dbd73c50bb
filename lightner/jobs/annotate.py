"""The annotation job: files of any size, tagged.

Reads JSON Lines (`{"text": ...}` or `{"tokens": [...]}`, each perhaps with its own `"domain"`), plain text (a row per
line) and CoNLL columns (a row per sentence); writes FOLDER/FILE.jsonl with one line per row, in order, with the answers
that the service gives. A row's other fields are kept; its own "entities", "windows" or "prompt_version" as
"own_entities" and so on. The same call resumes after a kill, with the prompts that it began with. FILE and FOLDER
have to be where every node sees them, and FILE must not change until its output is complete.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import ray.data
from tqdm import tqdm

from lightner.jobs import annotation, command, devices, rows
from lightner.jobs.annotation import AnnotationPlan, Annotator, Request, Target
from lightner.jobs.on_ray import session
from lightner.jobs.options import AnnotateOptions
from lightner.store.registry import Registry
from lightner.types import InputError, check_name

_Job = tuple[Target, AnnotationPlan]
_KEPT = "finished blocks are kept"  # of a job that is stopped
_FAULTS: Mapping[str, type[Exception]] = {kind.__name__: kind for kind in command.FAULTS}


def main(options: AnnotateOptions) -> int:
    """Run the job; returns the exit status."""
    try:
        return command.exit_status(lambda: annotate(options))
    except KeyboardInterrupt:
        return session.stopped(_KEPT)


def annotate(options: AnnotateOptions) -> None:
    """Plan every file, do the unfinished blocks, put the outputs together."""
    targets = _targets(options)
    with ExitStack() as stack:
        stack.enter_context(_alone(options.out))
        registry = Registry.open(options.registry).must_exist()
        jobs = [(target, _planned(_request(path, options), target, registry)) for path, target in targets.items()]
        for target in targets.values():
            annotation.clear(target)
        open_jobs = [(target, plan) for target, plan in jobs if not target.output.exists()]
        todo = [(target, index) for target, plan in open_jobs for index in _missing(target, plan)]
        if todo:
            session.connect(_KEPT)
            _run(todo, open_jobs, options)
        for target, plan in open_jobs:
            annotation.assemble(plan, target)
    for target, plan in jobs:
        print(f"{target.output}: {plan.rows} rows")


def _run(todo: Sequence[tuple[Target, int]], jobs: Sequence[_Job], options: AnnotateOptions) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    items = [{"output": str(target.output), "block": index} for target, index in todo]
    workers = min(options.workers or session.training_slots(gpu=options.gpu), len(items))
    if not workers:
        raise InputError(f"--gpu: found a cluster without {'GPUs' if options.gpu else 'CPUs'}, expected at least one")
    done = ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Worker,
        fn_constructor_args=(command.backbone_name(options.backbone), options.registry, options.gpu),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=0 if options.gpu else 1,
        num_gpus=1 if options.gpu else 0,
    )
    plans = dict(jobs)
    total = sum(plan.rows for plan in plans.values())
    before = total - sum(plans[target].blocks[index].rows for target, index in todo)
    with tqdm(total=total, initial=before, unit="row", smoothing=0.05) as bar:
        for each in done.iter_rows():
            if fault := each["fault"]:
                raise _FAULTS[fault](each["said"])
            bar.update(each["rows"])


class _Worker:
    """`annotation.Annotator` on a node. Errors come back as values: Ray would bury exceptions in tracebacks."""

    def __init__(self, backbone: str | None, registry: str, gpu: bool) -> None:
        self._backbone, self._registry, self._gpu = backbone, registry, gpu
        self._annotator: Annotator | None = None  # made by the first block: a constructor returns no value

    def __call__(self, item: dict[str, object]) -> dict[str, object]:
        answer: dict[str, object] = {"rows": 0, "fault": "", "said": ""}
        try:
            self._annotator = self._annotator or self._made()
            rows_done = self._annotator.annotate(Target(Path(str(item["output"]))), int(str(item["block"])))
        except command.FAULTS as error:
            fault = next(name for name, kind in _FAULTS.items() if isinstance(error, kind))
            return {**answer, "fault": fault, "said": str(error)}
        return {**answer, "rows": rows_done}

    def _made(self) -> Annotator:
        return Annotator(self._backbone, self._registry, str(devices.device(gpu=self._gpu)))


def _targets(options: AnnotateOptions) -> dict[Path, Target]:
    targets: dict[Path, Target] = {}
    for path in options.files:
        target = Target(options.out / f"{path.name}.jsonl")
        if target in targets.values():
            raise InputError(f"{path}: found a second file {path.name!r}, expected different names for {options.out}")
        targets[path] = target
    return targets


def _request(path: Path, options: AnnotateOptions) -> Request:
    try:
        about = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: found {error.strerror!r}, expected a readable file") from error
    if options.domain is not None:
        check_name(options.domain, "--domain")
    return Request(
        source=str(path),
        size=about.st_size,
        modified_ns=about.st_mtime_ns,
        kind=options.kind or rows.kind_of(path),
        columns=options.columns,
        domain=options.domain,
        ref=options.reference,
        registry=options.registry,
        backbone=command.backbone_name(options.backbone),
    )


def _planned(request: Request, target: Target, registry: Registry) -> AnnotationPlan:
    """The plan of a started job, or a new plan; a new one also replaces a plan of which no block was done."""
    if target.plan.exists():
        plan = annotation.read_plan(target)
        if plan.request == request:
            return plan
        if annotation.begun(target):
            differs = [name for name in request.__slots__ if getattr(request, name) != getattr(plan.request, name)]
            raise InputError(
                f"{target.state}: found what was begun with another {' and '.join(differs)}, "
                "expected the same, or that this folder and its output are removed, or another --out"
            )
    elif target.output.exists():
        raise InputError(f"{target.output}: found a file of another origin, expected another --out")
    plan = annotation.make_plan(request, registry)
    annotation.write_plan(plan, target)
    return plan


def _missing(target: Target, plan: AnnotationPlan) -> list[int]:
    return [index for index in range(len(plan.blocks)) if not target.part(index).exists()]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the output folder: two jobs in it would assemble each other's parts."""
    (folder / annotation.STATE).mkdir(parents=True, exist_ok=True)
    with open(folder / annotation.STATE / ".lock", "ab") as lock:
        try:
            with annotation.named(Path(lock.name)):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"--out: found another job at work in {folder}, expected none") from error
        yield
