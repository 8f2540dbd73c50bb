"""Jobs and service on a real Ray with a real GPU; skipped without a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from benchmarks.places import service
from lightner.data.formats import read
from lightner.evaluation.scoring import evaluate
from lightner.jobs.on_ray import local
from lightner.model import backbone
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from tests.support.paths import CHECKOUT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.ray,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
]
EXAMPLE = CHECKOUT / "examples" / "recipes"
PIN = "{steps: 32, rounds: 4, warm_up_steps: 2}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def printed(home: Path) -> str:
    """The output of a job whose four trials share the GPU."""
    (home / "pin.yaml").write_text(PIN)
    command = [sys.executable, "jobs/tune.py", "--train", str(EXAMPLE / "train.conll"), "--domain", "recipes"]
    command += ["--gpu", "--pin", str(home / "pin.yaml")]
    environment = {**local.environment(), "LIGHTNER_HOME": str(home)}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_trials_that_share_a_gpu_publish_a_prompt_that_a_cpu_can_use(printed: str, home: Path) -> None:
    assert "published recipes v000001" in printed
    assert len(re.findall(r"^scan \[0/4 done\]", printed, re.MULTILINE)) > 1, "trials did not run side by side"
    _, artifact = Registry.open(str(home / "registry")).fetch("recipes")
    tuning: Any = artifact.card.tuning
    assert sorted(len(row["f1_by_round"]) for row in tuning["scan"]) == [1, 1, 2, 4]
    found = {}
    for device in ("cpu", "cuda"):
        base = backbone.load(None, device=torch.device(device))
        found[device] = evaluate(base, prompt_for(artifact, base), read(str(EXAMPLE / "test.conll"))).micro.f1
    assert found["cuda"] == pytest.approx(found["cpu"], abs=0.01)
    assert found["cpu"] > 0.5, "the default prompt alone has more"


def test_a_replica_on_a_gpu_answers_as_the_library_does(printed: str, home: Path) -> None:
    assert printed
    registry = Registry.open(str(home / "registry"))
    base = backbone.load(None)
    prompt = prompt_for(registry.fetch("recipes")[1], base)
    texts = [" ".join(sentence.words) for sentence in read(str(EXAMPLE / "test.conll"))][:16]
    with service(registry.url, gpus=1) as running:
        answer = httpx.post(f"{running.url}/v1/domains/recipes/entities", json={"texts": texts}, timeout=60)
        assert answer.status_code == 200, answer.text
        with_replica, _ = torch.cuda.mem_get_info()
    without, _ = torch.cuda.mem_get_info()
    assert without > with_replica, "the replica's backbone was not on the GPU"
    offline = tag_texts(base, [(prompt, text) for text in texts])
    found = [{(e["start"], e["end"], e["label"]) for e in row["entities"]} for row in answer.json()["results"]]
    expected = [{(e.start, e.end, e.label) for e in tagged.entities} for tagged in offline]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= len(texts) - 1, "rounding may turn one"
