"""Joining Ray, and work that cannot be interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune import Callback
from ray.tune.tune import air_usage

from lightner.jobs import trials
from lightner.jobs.command import SUBMITTED
from lightner.jobs.on_ray import local, session
from lightner.types import InputError
from tests.support.paths import CHECKOUT


def test_a_head_that_does_not_answer_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def init(**options: Any) -> None:
        asked.append(options)
        if len(asked) < answers_at:
            raise ConnectionError("nobody")

    monkeypatch.setattr(ray, "init", init)
    answers_at = 2
    session._join({"NAME": "value"})
    assert len(asked) == 2
    assert asked[0]["runtime_env"] == {"env_vars": {"NAME": "value"}}
    asked.clear()
    answers_at = 3
    with pytest.raises(ConnectionError, match="nobody"):
        session._join({})
    assert len(asked) == 2


def test_no_ray_is_started_by_a_python_in_a_folder_with_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/ana/my projects/.venv/bin/python")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(InputError, match=r"found '/home/ana/my projects/\.venv/bin/python', expected a path without"):
        local.start()


def test_work_that_must_finish_cannot_be_stopped() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with session.to_the_end():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_these_tests_hear_an_interrupt_where_they_were_started_in_the_background() -> None:
    one = "tests/jobs/test_annotate_faults.py::test_a_stop_is_one_line_and_a_status"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one],
        cwd=CHECKOUT,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


class Tuner:
    """Tune's behaviour at Ctrl-C: it receives SIGUSR1, and then reports that all its trials have ended."""

    def __init__(self, *, interrupts: int) -> None:
        self._interrupts = interrupts
        self.heard = 0

    def fit(self) -> SimpleNamespace:
        signal.signal(signal.SIGUSR1, self._hear)
        for _ in range(self._interrupts):
            signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(num_terminated=1, num_errors=0)

    def _hear(self, *_: object) -> None:
        self.heard += 1


class Results(list[object]):
    """Tune's results of no trial."""

    num_terminated = num_errors = 0


class Recorder:
    """Tune's way to begin: it records which trackers are in use."""

    def fit(self) -> Results:
        assert not air_usage.tag_callbacks([Callback()])
        return Results()


def test_no_tracker_is_imported_to_record_which_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(air_usage, "_count_callbacks", lambda _: pytest.fail("all trackers were imported"))
    before = air_usage.tag_callbacks
    assert trials._fit(Recorder()) == []
    assert air_usage.tag_callbacks is before


@pytest.mark.parametrize("interrupts", [1, 2])
def test_trials_that_ctrl_c_cut_off_are_not_taken_for_ended_ones(
    interrupts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_asked", threading.Event())
    before, tuner = signal.getsignal(signal.SIGINT), Tuner(interrupts=interrupts)
    with pytest.raises(session.Stopped):
        trials._fit(tuner)
    assert tuner.heard == 1, "the second time Tune is left as it is"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)) == (before, signal.SIG_DFL)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What workers are told by each `connect`, which joins no Ray and finds none of its settings in the environment."""
    told: list[dict[str, str]] = []
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    for name in (*session._SETTINGS, *session._TO_A_FOLDER):
        monkeypatch.setenv(name, "")  # first, so that what `connect` sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(session, "_join", told.append)
    monkeypatch.setattr(session._coordinator, "keep_on_this_node", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return told


@pytest.mark.parametrize(
    ("here", "submitted", "passed"),
    [(None, False, "10000"), ("7", False, "7"), (None, True, "10000"), ("7", True, None)],
)
def test_workers_get_the_settings_and_those_that_are_there_win(
    here: str | None,
    submitted: bool,
    passed: str | None,
    joined: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A submitted job's workers have its settings from Ray, which refuses to be told them again."""
    if submitted:
        monkeypatch.setenv(SUBMITTED, "{}")
    if here is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", here)
    session.connect("")
    assert joined[0].get("GOMP_SPINCOUNT") == passed
    assert joined[0]["RAY_AIR_NEW_OUTPUT"] == "0"
    assert os.environ["GOMP_SPINCOUNT"] == (here or "10000")


@pytest.mark.parametrize(("runs", "passed"), [("/runs", "0.5"), ("s3://bucket/runs?scheme=http", None)])
def test_states_are_saved_twice_a_second_to_a_folder_and_as_tune_does_to_a_url(
    runs: str, passed: str | None, joined: list[dict[str, str]]
) -> None:
    session.connect("", runs=runs)
    assert joined[0].get("TUNE_GLOBAL_CHECKPOINT_S") == passed
    assert os.environ.get("TUNE_GLOBAL_CHECKPOINT_S") == passed


def test_a_job_that_logs_to_wandb_passes_on_its_variables_but_no_secret(
    joined: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MODE", "offline"), ("ENTITY", "us"), ("API_KEY", "key"), ("IDENTITY_TOKEN_FILE", "file")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    for trackers in ((), ("mlflow",), ("mlflow", "wandb")):
        session.connect("", trackers=trackers)
    found = [{name: value for name, value in each.items() if name.startswith("WANDB")} for each in joined]
    assert found == [{}, {}, {"WANDB_MODE": "offline", "WANDB_ENTITY": "us"}]


def test_workers_find_a_checkout_by_their_path_and_an_installed_package_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/more")
    assert local.code_path() == {"PYTHONPATH": f"{CHECKOUT}{os.pathsep}/more"}
    monkeypatch.delenv("PYTHONPATH")
    assert local.code_path() == {"PYTHONPATH": str(CHECKOUT)}
    monkeypatch.setattr(local, "PARENT", Path("/usr/lib/python3/dist-packages"))
    assert local.code_path() == {}


@pytest.mark.ray
def test_a_jobs_own_ray_is_for_the_job_alone_and_leaves_the_home_folder_as_it_was(tmp_path: Path) -> None:
    """Everyone on the machine reaches the loopback interface; jobs submitted there run as the job's user."""
    code = (
        "import os, ray\n"
        "from lightner.jobs.on_ray import session\n"
        "print(session.connect('') > 0, flush=True)\n"
        "print(ray.get(ray.remote(lambda: os.environ['RAY_AUTH_MODE']).remote()), flush=True)\n"
        "print(ray.get(ray.remote(lambda: os.environ['GOMP_SPINCOUNT']).remote()), flush=True)\n"
        "print(os.environ['RAY_ADDRESS'], os.environ['RAY_AUTH_TOKEN'], flush=True)\n"
        "input()\n"
    )
    home = {**local.environment(), "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        assert [job.stdout.readline() for _ in range(3)] == ["True\n", "token\n", "10000\n"]
        address, token = job.stdout.readline().split()
        knock = f"import ray; ray.init('{address}', logging_level='ERROR'); print(len(ray.nodes()))"
        found = {
            given: subprocess.run(
                [sys.executable, "-c", knock], capture_output=True, text=True, timeout=120,
                env={**home, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": given},
            )
            for given in (token, "0" * len(token))
        }  # fmt: skip
        assert found[token].stdout == "1\n", found[token].stderr
        wrong = found["0" * len(token)]
        assert wrong.returncode != 0
        assert "token" in wrong.stderr.lower()
        job.communicate("\n", timeout=60)
    assert job.returncode == 0
    assert [path for path in tmp_path.rglob("*") if "auth" in path.name or path.name == ".ray"] == []
