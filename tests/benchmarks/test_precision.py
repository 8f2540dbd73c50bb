"""Weights in bfloat16: close to the exact answers, on the same prompts, offline and served; and their benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import encoders, precision
from lightner.model.untuned import label_prompt
from lightner.service.messages import Answer, Ask
from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.tagger import Tagger, tag_words
from lightner.types import TaggedText
from tests.support.eight import EIGHT
from tests.support.serving import TEXTS, prepare
from tests.support.tiny import tiny_backbone


@pytest.mark.anyio
async def test_a_service_in_bfloat16_finds_what_the_library_finds_in_bfloat16(tmp_path: Path) -> None:
    place = prepare(tmp_path)
    settings = Settings.model_validate({**place.settings.model_dump(), "dtype": "bfloat16"})
    replica = BackboneReplica(settings)
    assert {each.dtype for each in replica._backbone.model.parameters()} == {torch.bfloat16}
    [answer] = await replica.tag([Ask("movies", TEXTS)])
    assert isinstance(answer, Answer)
    folder = f"{place.registry.url}/movies/versions/v000001"
    tagger = Tagger.load(folder, backbone=str(place.folder), dtype=torch.bfloat16)
    assert tagger.backbone.embedding.dtype == tagger.prompt.label_vectors.dtype == torch.bfloat16
    found = 0
    for text, tagged in zip(TEXTS, answer.texts, strict=True):
        assert isinstance(tagged, TaggedText)
        # One text at a time: sums in bfloat16 depend on the other rows of a batch, so only most answers are the same.
        [alone] = tagger.tag([text])
        found += len({(e.start, e.end, e.label) for e in alone} & {(e.start, e.end, e.label) for e in tagged.entities})
    assert found > 0


def test_the_benchmark_compares_answers_of_both_precisions() -> None:
    whole, half = tiny_backbone(), tiny_backbone()
    half.model.to(torch.bfloat16)
    ways = precision.ways_of({"float32": whole, "bfloat16": half}, precision.learned(whole, EIGHT), [])
    row = precision.compare(ways, EIGHT, 1)
    assert row["test_sentences"] == len(EIGHT)
    assert abs(row["f1"]["float32"] - row["f1"]["bfloat16"]) <= 30
    assert 0.5 <= row["same_answers"]["bfloat16"] <= row["same_answers"]["float32"] == 1
    assert row["speed_up, list"].keys() == row["speed_up, alone"].keys() == {"float32", "bfloat16"}


def test_an_exported_graph_of_the_encoder_answers_as_the_encoder_does() -> None:
    base = tiny_backbone()
    prompt = precision.learned(base, EIGHT)
    graph = encoders.with_encoder(base, prompt.guidance, lambda program: program.module())
    rows = [(prompt, sentence.words) for sentence in EIGHT]
    assert tag_words(graph, rows) == tag_words(base, rows)
    other = label_prompt(base, prompt.labels)  # has no feed-forward slots: the encoder itself reads it
    assert tag_words(graph, [(other, rows[0][1])]) == tag_words(base, [(other, rows[0][1])])
