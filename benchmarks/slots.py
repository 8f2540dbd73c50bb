"""What more feed-forward slots cost: bytes, loads, texts alone, batches of one domain and of many.

    OMP_NUM_THREADS=1 python -m benchmarks.slots --folder FOLDER --out FILE.json

One prompt is tuned on examples/recipes for some steps, with its draft tagger; others have its slots and more of them,
so small that outputs stay the same. All numbers of slots take turns in one process; times are medians of processor
time.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import report
from benchmarks.places import name, texts, tuned, variant
from benchmarks.serving import publish, tag
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact, to_files
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import BATCH_SIZE, Row
from lightner.words import split_words

ALONE, LOADED = 12, 20
_SMALL = 1e-3


def main() -> None:
    """Measure all numbers of slots in turns; print and write."""
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registries")
    parser.add_argument("--slots", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    original = tuned(base, options.folder, steps=options.steps)
    found = {str(slots): measured(base, original, slots, options.folder) for slots in options.slots}
    spent = turns(base, original, options)
    for slots, row in found.items():
        row["milliseconds"] = {way: 1000 * statistics.median(costs) for way, costs in spent[slots].items()}
    report.write({**report.circumstances(base), "options": vars(options), "slots": found}, options.out)


def measured(base: Backbone, original: PromptArtifact, slots: int, folder: Path) -> dict[str, Any]:
    """Bytes of such a prompt, and milliseconds of processor time to load one from a folder."""
    artifact, registry = widened(original, slots), Registry.open(str(folder / f"slots-{slots}"))
    publish(artifact, registry, LOADED + 1)
    spent = []
    for number in range(LOADED + 1):
        began = report.now()
        prompt_for(registry.fetch(name(number))[1], base)
        spent.append(report.since(began)[1])
    return {
        "memory_bytes": prompt_for(artifact, base).nbytes,
        "file_bytes": sum(map(len, to_files(artifact).values())),
        "load_ms": 1000 * statistics.median(spent[1:]),
    }


def turns(base: Backbone, original: PromptArtifact, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Seconds of processor time of every round, of each number of slots and each way of reading."""
    sentences = [tuple(word.text for word in split_words(text)) for text in texts()[:BATCH_SIZE]]
    ways: dict[tuple[str, str], list[list[Row]]] = {}
    for slots in map(str, options.slots):
        wide = widened(original, int(slots))
        prompts = [prompt_for(variant(wide, number), base) for number in range(len(sentences))]
        ways[slots, "alone"] = [[Row(prompts[0], words)] for words in sentences[:ALONE]]
        ways[slots, "one"] = [[Row(prompts[0], words) for words in sentences]]
        ways[slots, "mixed"] = [[Row(prompt, words) for prompt, words in zip(prompts, sentences, strict=True)]]
    spent: dict[str, dict[str, list[float]]] = {slots: {} for slots, _ in ways}
    for turn in range(options.rounds + 1):
        for (slots, way), batches in ways.items():
            began = report.now()
            for rows in batches:
                tag(base, rows)
            if turn:
                spent[slots].setdefault(way, []).append(report.since(began)[1])
    return spent


def widened(original: PromptArtifact, slots: int) -> PromptArtifact:
    """The prompt with further feed-forward slots, up to so many, whose values are next to nothing."""
    generator = torch.Generator().manual_seed(slots)
    tensors = {}
    for key, array in original.tensors.items():
        if key.startswith("slot_"):
            layers, rows, own, width = array.shape
            scale = _SMALL if key.startswith("slot_value") else width**-0.5
            more = scale * torch.randn((layers, rows, slots - own, width), generator=generator).numpy()
            array = np.concatenate([array, more.astype(array.dtype)], axis=2)
        tensors[key] = array
    return PromptArtifact(replace(original.card, slots=slots), tensors)


if __name__ == "__main__":
    main()
