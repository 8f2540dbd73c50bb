"""Join Ray (the cluster that a job was submitted to, otherwise its own local Ray), and stop a job."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import ray
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from lightner.jobs.command import SPIN, SUBMITTED
from lightner.jobs.on_ray import _authentication, _coordinator, local
from lightner.jobs.options import WANDB

_ADDRESS = "RAY_ADDRESS"
# Against noise: no watcher that serves only programs that ask it (and writes an error line per run), no second copy of
# what workers print, no tables next to our own lines, no warning that small states are saved often. The controller
# looks for a finished round more often than every two seconds, since its workers wait for that. A stopped trial has a
# minute instead of two seconds to leave its process to the next one, which would fail otherwise. Tune has no handler
# for Ctrl-C, after which a trial that was cut off looks like one that ended (see `interrupt`).
_SETTINGS = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    **dict([SPIN]),
}
# The state of all trials is saved twice a second: a killed job resumes from the checkpoints in that state, and learns
# anything later again. To a URL Tune saves every ten seconds, and after every few rounds of a trial: each time it sends
# all small files of all trials again, in three requests each.
_TO_A_FOLDER = {"TUNE_GLOBAL_CHECKPOINT_S": "0.5"}
_CHATTY = ("ray.tune.tune", "ray.tune.analysis")  # how to restore by hand, which trials have no results yet
# `ray job stop` kills three seconds after its first signal. All state is saved long before that, but Ray may be slow
# to end its actors, which end with this process anyway.
_PATIENCE_S = 2.5
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
_asked, _hurried, _told = threading.Event(), threading.Event(), threading.Event()  # the process's, as signals are


class Stopped(KeyboardInterrupt):
    """The job was asked to stop, by SIGTERM (which `ray job stop` sends) or Ctrl-C; its state is kept.

    From a signal handler, `ray.get` passes on KeyboardInterrupt and SystemExit only.
    """


def connect(kept: str, *, runs: str = "", trackers: Sequence[str] = ()) -> int:
    """Join Ray. Workers find this package if it is installed, in the job's working directory or on their path.

    Without an address the job starts its own Ray, which ends with it. From now on SIGTERM raises Stopped, and a job
    that is slow to end after it is ended with `stopped(kept)`. `runs`: the folder or URL in which Tune keeps them;
    `trackers`: the trackers that the job logs to.

    Returns:
        The CPUs that only this job uses: those of its own Ray, 0 on a shared cluster.
    """
    logging.basicConfig(level=logging.WARNING)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    submitted = SUBMITTED in os.environ
    own = not submitted and _ADDRESS not in os.environ
    if own:
        _start_own()
    # Settings that are there win. A submitted job's are its workers' as well, and Ray refuses one that is given twice.
    settings = _SETTINGS if "://" in runs else {**_SETTINGS, **_TO_A_FOLDER}
    wanted = {name: value for name, value in settings.items() if not (submitted and name in os.environ)}
    variables = {name: os.environ.get(name, value) for name, value in wanted.items()}
    os.environ.update(variables)
    address = os.environ.get(_ADDRESS, "")
    if address and "://" not in address:
        # On a machine with several Rays, Train's clean-up finds its own only by this variable; otherwise the resources
        # of stopped trials would stay taken for ever.
        variables[_ADDRESS] = address
    if not submitted:
        variables |= local.code_path()
    if WANDB in trackers:
        variables |= _for_wandb()
    _join(variables)
    _coordinator.keep_on_this_node()
    signal.signal(signal.SIGTERM, partial(_stop, kept))
    return training_slots(gpu=False) if own else 0


@retry(retry=retry_if_exception_type(ConnectionError), stop=stop_after_attempt(2), reraise=True)
def _join(variables: Mapping[str, str]) -> None:
    """Join, and try once more: in a test run a running head did not answer within the minute that Ray waits."""
    ray.init(runtime_env={"env_vars": dict(variables)}, log_to_driver=False, logging_level=logging.WARNING)


def _for_wandb() -> dict[str, str]:
    """W&B's settings in this environment, for the actor that writes to W&B, which would have its node's environment.

    Ray logs these, so they must hold no secret (`_wandb` passes the key in another way).
    """
    found = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    return {name: value for name, value in found.items() if not any(word in name for word in _SECRET)}


def training_slots(*, gpu: bool) -> int:
    """How many training workers fit into the cluster now, perhaps 0."""
    return int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0))


def stop_if_asked() -> None:
    """Raise Stopped if the job was asked to stop while it could not be interrupted."""
    if _asked.is_set():
        raise Stopped


def interrupt(*_: object) -> None:
    """Handle Ctrl-C while Tune runs: the first stops Tune with its state saved; the second leaves it at once."""
    if _asked.is_set():
        raise Stopped
    _asked.set()
    _pass_on()


def _start_own() -> None:
    head = local.start(token=local.new_token())
    _authentication.take_up({_ADDRESS: head.address, **head.variables})

    def end() -> None:
        ray.shutdown()  # first, or it would complain of the lost head
        local.stop(head)

    atexit.register(end)


@contextmanager
def to_the_end() -> Iterator[None]:
    """Delay requests to stop: for short work that must not be left half done or wrongly reported."""
    before = {asked: signal.signal(asked, signal.SIG_IGN) for asked in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)


def stopped(kept: str) -> int:
    """Print, as the last line, that the job was stopped and what state is kept; returns its exit status."""
    if not _told.is_set():
        _told.set()
        print(f"stopped: {kept}; the same command resumes from here", file=sys.stderr, flush=True)
    return 128 + signal.SIGTERM


def _stop(kept: str, *_: object) -> None:
    _asked.set()
    if not _hurried.is_set():
        _hurried.set()
        timer = threading.Timer(_PATIENCE_S, lambda: os._exit(stopped(kept)))
        timer.daemon = True
        timer.start()
    _pass_on()


def _pass_on() -> None:
    # While Tune runs, SIGUSR1 stops it with its state saved; its handler exists only then.
    if callable(signal.getsignal(signal.SIGUSR1)):
        os.kill(os.getpid(), signal.SIGUSR1)
    else:
        raise Stopped
