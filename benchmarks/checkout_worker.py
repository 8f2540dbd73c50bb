"""The part of `benchmarks.checkouts` that runs in a checkout; uses only what earlier ones have too.

Reads a way a line, runs it once and writes its processor time in seconds; first it writes the bytes of a prompt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.places import texts, tuned
from lightner.data.formats import labels_of, read
from lightner.model import backbone
from lightner.store import artifact as artifacts
from lightner.store.loading import prompt_for
from lightner.tagger import tag_words
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet

STEPS = 8


def main(folder: Path) -> None:
    """Answer until there are no more lines."""
    base = backbone.load()
    made = tuned(base, folder, steps=80)
    prompt = prompt_for(made, base)
    rows = [(prompt, tuple(text.split())) for text in texts()]
    train = read(Path("examples/recipes/train.conll"))
    plan = rules.plan(train, prompt_length=8, learning_rate=0.01).with_pins({"steps": STEPS, "rounds": 1})
    labels = LabelSet.of(labels_of(train))
    ways: dict[str, Callable[[], object]] = {
        "eight steps": lambda: fit(base, labels, train, (), plan),
        "load": lambda: prompt_for(artifacts.load(folder / "tuned"), base),
        "40 texts, together": lambda: tag_words(base, rows),
        "40 texts, one by one": lambda: [tag_words(base, [row]) for row in rows],
    }
    print(sum(each.stat().st_size for each in (folder / "tuned").iterdir()), flush=True)
    for line in sys.stdin:
        began = time.process_time()
        ways[line.strip()]()
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
