"""Properties of the CPU path also hold on a GPU; skipped without a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lightner.model.backbone import Backbone
from lightner.store.loading import prompt_for
from lightner.tagger import Row, ScoredSpans, finish, infer, prepare
from lightner.types import LabelSet
from tests.support.tiny import tiny_artifact, tiny_backbone

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")]
SENTENCES = (("ada", "lives", "in", "paris"), ("mary",), ("emil", "likes", "the", "soup", "of", "rome"))


def on(device: str, dtype: torch.dtype = torch.float32) -> Backbone:
    base = tiny_backbone()
    base.model.to(device=device, dtype=dtype)
    return replace(base, default=base.default.to(device, dtype))


def answers(base: Backbone, *, mixed: bool) -> list[ScoredSpans]:
    labels = (LabelSet.of(["PER", "LOC"]), LabelSet.of(["food", "time", "city group"]))
    prompts = [
        prompt_for(tiny_artifact(base, f"domain{n}", labels=each, length=3 + n, seed=n), base)
        for n, each in enumerate(labels)
    ]
    rows = [Row(prompt, words) for words in SENTENCES for prompt in prompts]
    batches = [rows] if mixed else [[row] for row in rows]
    works = [prepare(base, batch) for batch in batches]
    return [spans for work in works for spans in finish(work, infer(base, work))]


def test_a_gpu_finds_what_the_cpu_finds() -> None:
    expected, found = answers(on("cpu"), mixed=True), answers(on("cuda"), mixed=True)
    assert [[span for span, _ in each] for each in found] == [[span for span, _ in each] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert [score for _, score in one] == pytest.approx([score for _, score in other], rel=1e-3)


def test_mixed_domains_equal_one_row_at_a_time() -> None:
    base = on("cuda")
    together, alone = answers(base, mixed=True), answers(base, mixed=False)
    assert [[span for span, _ in each] for each in together] == [[span for span, _ in each] for each in alone]


def test_bfloat16_answers_every_row() -> None:
    found = answers(on("cuda", torch.bfloat16), mixed=True)
    assert len(found) == 2 * len(SENTENCES)
