"""The pretraining job on a real Ray: from relative paths, resumed, to a checkpoint that loads and a curve."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from lightner.data.formats import write_conll
from lightner.jobs.on_ray import local
from lightner.model import embedded
from lightner.model.backbone import load, prepare
from lightner.pretraining.case_marks import ALL_CAPITALS, CAPITALISED
from lightner.pretraining.objective import Pretrainer
from lightner.types import Calibration
from tests.support.paths import CHECKOUT
from tests.support.sentences import sentence
from tests.support.tiny import tiny_backbone, tiny_tokenizer
from tests.support.wordnet import write_database

pytestmark = pytest.mark.ray
JOB = CHECKOUT / "jobs" / "pretrain.py"
OPTIONS = (
    "--start start --open open --sets sets --raw raw.txt --wordnet wordnet --storage runs --out made --leave-out held "
    "--hold-out-groups 0.5 --batch-size 4 --report-every 2 --save-every 4 --average-every 2"
)
PASSAGE = {
    "source": "ours",
    "text": "Ada likes soup in Rome.",
    "entities": [[0, 3, ["cook", "person"]], [10, 14, ["food"]]],
}
GROUP = {"labels": {"food": ["dish"]}, "sentences": [{"text": "Ada likes soup.", "entities": [[10, 14, "food"]]}]}


def marked_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokenizer with two of its entries as case marks, so that the job leaves it unchanged."""
    tiny = tiny_tokenizer()
    stored = json.loads(tiny.backend_tokenizer.to_str())
    marks = {"!": CAPITALISED, "?": ALL_CAPITALS}
    stored["model"]["vocab"] = {marks.get(piece, piece): place for piece, place in stored["model"]["vocab"].items()}
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(stored)), **special)


def write_material(folder: Path) -> None:
    model, tokenizer = tiny_backbone().model, marked_tokenizer()
    default = Pretrainer(prepare("tiny", model, tokenizer), []).default()
    embedded.save(folder / "start", model, tokenizer, default, "A start.\n")
    for name in ("news", "held"):
        (folder / "sets" / name).mkdir(parents=True)
        write_conll(folder / "sets" / name / "train.conll", [sentence(number) for number in range(12)])
    text = "The bird saw a scientist walk through the city of Paris in a new chair . "
    (folder / "raw.txt").write_text("\n".join(text + f"A robin saw {number} scientists ." for number in range(9)))
    write_database(folder / "wordnet")
    (folder / "open").mkdir()
    (folder / "open" / "passages.jsonl").write_text(f"{json.dumps(PASSAGE)}\n" * 9)
    groups = [{"domain": f"kitchen {number}", "register": "notes", **GROUP} for number in range(2)]
    (folder / "open" / "groups.jsonl").write_text("".join(f"{json.dumps(group)}\n" for group in groups))


def pretrain(folder: Path, address: str, steps: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(JOB), *OPTIONS.split(), "--steps", str(steps), *more]
    return subprocess.run(
        command,
        cwd=folder,
        env={**local.environment(), "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_run_with_relative_paths_is_resumed_by_a_longer_one(tmp_path: Path, head: local.Head) -> None:
    write_material(tmp_path)
    done = pretrain(tmp_path, head.address, 4)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"checkpoint: {tmp_path / 'made'}" in done.stdout
    shown = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert [line.partition(" loss ")[0] for line in shown] == ["step 2 of 4", "step 4 of 4"]
    assert "sentences/s" in shown[0]
    assert " f1 groups " in shown[1]
    first = embedded.load(tmp_path / "made")
    assert first.default.length == 16
    other = pretrain(tmp_path, head.address, 8, "--seed", "5", "--out", "other")
    assert other.returncode == 2
    assert "runs/pretrain: found a run that was begun with another --seed" in other.stderr
    assert not (tmp_path / "other").exists()
    done = pretrain(tmp_path, head.address, 8)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    curve = [json.loads(line) for line in (tmp_path / "made.curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [2, 4, 6, 8]
    assert [set(line) > {"f1_sets", "f1_groups"} for line in curve] == [False, True, False, True]
    assert all(line["left_s"] >= 0 and line["sentences_per_s"] > 0 for line in curve)
    assert (tmp_path / "made.curve.png").read_bytes().startswith(b"\x89PNG")
    assert load(str(tmp_path / "made")).calibration != Calibration()
    second = embedded.load(tmp_path / "made").model.state_dict()
    changed = [name for name, tensor in first.model.state_dict().items() if not tensor.equal(second[name])]
    assert any("decoder.layers" in name for name in changed)
