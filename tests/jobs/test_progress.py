"""Progress of a job on a real Ray: the bar in a terminal, TensorBoard, MLflow and W&B; and early refusals."""

from __future__ import annotations

import importlib.util
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import ray
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightner.jobs import progress
from lightner.jobs.on_ray import local
from lightner.store.registry import Registry
from lightner.types import InputError
from tests.support.jobs import words
from tests.support.paths import CHECKOUT


def test_a_tracker_that_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--log mlflow: found no package mlflow, .*pip install mlflow-skinny"):
        progress.check(["mlflow"])
    progress.check([])


def test_writing_to_wandb_takes_a_key_unless_it_is_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    progress.check(["wandb"])
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(InputError, match="--log wandb: found no API key"):
        progress.check(["wandb"])
    monkeypatch.setenv("WANDB_API_KEY", "somebody's")
    progress.check(["wandb"])


@pytest.mark.ray
def test_a_job_in_a_terminal_shows_a_bar_and_every_tracker_gets_the_scores(
    local_ray: local.Head, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path.joinpath("mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    key = "0123456789abcdef" * 4
    environment = {
        **local.environment(), "RAY_ADDRESS": local_ray.address, "MLFLOW_TRACKING_URI": store, "WANDB_MODE": "offline",
        "WANDB_API_KEY": key,
    }  # fmt: skip
    shown = in_terminal(words(place, "watched", "--log", "mlflow", "wandb"), environment)
    assert "published watched v000001" in shown
    assert "scan: 100%" in shown
    assert "final run: 100%" in shown
    assert "best f1" in shown
    assert "round 1 of" not in shown, "lines are for logs"

    [row] = _scan(place)
    curve = row["f1_by_round"]
    [folder] = place.joinpath("runs").glob("watched-*/scan-to-*/length-2-rate-0.01")
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [event.value for event in events.Scalars("ray/tune/f1")] == pytest.approx(curve)
    assert list(place.glob("runs/watched-*/final-*/everything/events.out.tfevents.*"))
    assert list(folder.glob("wandb/offline-run-*/run-*.wandb"))
    logs = Path(ray._private.worker.global_worker.node.get_session_dir_path()) / "logs"
    written = [path for where in (logs, place, tmp_path) for path in where.rglob("*") if path.is_file()]
    assert any("offline" in path.read_text(errors="replace") for path in logs.glob("runtime_env*"))
    assert [path for path in written if key.encode() in path.read_bytes()] == []
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("watched")
    assert experiment
    runs = {run.data.params["run/name"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"length-2-rate-0.01", "everything"}
    scanned = runs["length-2-rate-0.01"]
    assert scanned.data.params["run/learning_rate"] == "0.01"
    history = client.get_metric_history(scanned.info.run_id, "f1")
    assert [metric.value for metric in history] == pytest.approx(curve)


def in_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """The output of a job in a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=CHECKOUT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while block := os.read(ours, 65536):
            shown += block
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown.decode()


def _scan(place: Path) -> list[dict[str, list[float]]]:
    card = Registry.open(str(place / "registry")).fetch("watched")[1].card
    rows = card.tuning["scan"]
    assert isinstance(rows, list)
    return rows
