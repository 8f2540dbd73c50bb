"""Write the tables of pages that show results, from the JSON files beside the notes of the benchmarks.

    python -m benchmarks.tables

A table of a page lies between `<!-- table: NAME -->` and `<!-- end of table -->`; `tests/docs/test_tables.py` fails
where one differs from its JSON. Figures of F1 are strict, micro, in percent, means over the seeds that the JSON has.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks import report

RESULTS = report.CHECKOUT / "benchmarks" / "results"
PAGES = (
    "README.md",
    "README.zh-CN.md",
    "docs/results.md",
    "benchmarks/results/few_shot.md",
    "benchmarks/results/checkouts.md",
    "benchmarks/results/labels.md",
    "benchmarks/results/labelling_order.md",
    "benchmarks/results/precision.md",
    "benchmarks/results/pretraining_ablations.md",
    "benchmarks/results/self_training.md",
    "benchmarks/results/peers.md",
    "benchmarks/results/tuned_scores.md",
    "benchmarks/results/zero_shot.md",
)
NAMES = {
    "recipes": "`examples/recipes`",
    "support": "`examples/support_tickets`",
    "movie": "MIT Movie",
    "movie10": "MIT Movie 10-shot",
    "movie20": "MIT Movie 20-shot",
    "movie50": "MIT Movie 50-shot",
    "movie100": "MIT Movie 100-shot",
    "movie200": "MIT Movie 200-shot",
    "movie500": "MIT Movie 500-shot",
    "politics": "CrossNER politics 10-shot",
    "ai": "CrossNER AI 10-shot",
    "music": "CrossNER music 10-shot",
}
LIBRARIES = {"ours": "ours", "gliner": "GLiNER", "token_classifier": "token classifier", "spacy": "spaCy"}
ON_README = ("recipes", "support", "movie10", "politics")
_FIGURES = ("test_precision", "test_recall", "test_f1")
_BESIDE = {"sought": "sought", "stage B": "stage_b", "paper": "paper"}
"""Columns of figures that were not measured in the same runs, by their name in `published.json`."""
_SELF_TRAINED = (
    "set", "seeds", "labelled", "unlabelled", "without", "as many steps", "from 0.5", "from 0.8", "from 0.95",
)  # fmt: skip
_TABLE = re.compile(r"(<!-- table: (?P<name>[^>]+) -->\n\n).*?(\n\n<!-- end of table -->)", re.DOTALL)
Row = Sequence[str]


def main() -> None:
    """Write every table."""
    for page in PAGES:
        path = report.CHECKOUT / page
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")


def rendered(page: str) -> str:
    """The page with its tables as the results make them."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found["name"]]() + found[3], page)


def table(header: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("|" + "|".join("---" if cell == "---" else f" {cell} " for cell in line) + "|" for line in lines)


def few_shot() -> str:
    """Every set that was tuned on, with the number of seeds."""
    header = ("domain", "tuned on", "test sentences", "seeds", "precision", "recall", "F1")
    return table(header, ([*_few_shot_row(name, runs), *_means(runs)] for name, runs in _few_shot()))


def few_shot_short(header: Row, sentences: str) -> str:
    """The sets that README shows."""
    shown = [(name, runs) for name, runs in _few_shot() if name in ON_README]
    return table(header, (_short_row(name, runs, sentences) for name, runs in shown))


def few_shot_seeds() -> str:
    """Every seed of every set, beside what was sought and what an earlier backbone had."""
    header = ("set", "seeds", "precision", "recall", "F1 of each", "mean", "deviation", "cross-validated", *_BESIDE)
    return table(header, map(_seeds_row, *zip(*_few_shot(), strict=True)))


def labelling_order() -> str:
    """F1 by number of sentences, suggested or drawn at random."""
    rows = []
    for name, means in read("labelling_order")["means"].items():
        for way, by_number in means.items():
            rows.append([whole(name), way, *map(_one, by_number.values())])
    return table(("set", "sentences are", "10", "20"), rows)


def precision() -> str:
    """F1 and speed of each way against float32."""
    rows = []
    for row in read("precision")["rows"]:
        for way, f1 in row["f1"].items():
            same = f"{100 * row['same_answers'][way]:.0f} %"
            speeds = [f"{row[f'speed_up, {how}'][way]:.2f}" for how in ("list", "alone")]
            rows.append([NAMES[row["name"]], way, _one(f1), same, *speeds])
    return table(("set", "way", "F1", "sentences with the same answer", "speed, one list", "speed, one by one"), rows)


def self_training() -> str:
    """F1 without and with unlabelled sentences, and how many were learned from."""
    found = read("self_training")
    runs = report.by_set(found["runs"])
    rows = []
    for name, of_set in runs.items():
        first, means = of_set[0], found["means"][name]
        sizes = [str(len(of_set)), str(first["labelled"]), str(first["unlabelled"])]
        rows.append([NAMES[name], *sizes, *_self_trained(means)])
    return table(_SELF_TRAINED, [*rows, ["mean of the sets", "", "", "", *_self_trained(found["means"]["all"])]])


def _self_trained(means: Mapping[str, float]) -> list[str]:
    plain = [_one(means[figure]) for figure in ("without", "without, as many steps")]
    taught = [f"{means[f'from {least}']:.1f} ({means[f'kept from {least}']:.0f})" for least in (0.5, 0.8, 0.95)]
    return [*plain, *taught]


def tuned_scores() -> str:
    """Calibration error and F1 of tuned prompts, of all entities and of those above the fitted thresholds."""
    found = read("tuned_scores")
    header = ("set", "seeds", "entities found", "raw", "calibrated", "by chance", "F1", "F1, tuned thresholds")
    rows = []
    for name, runs in report.by_set(found["runs"]).items():
        entities = statistics.fmean(run["found"] for run in runs)
        figures = map(_one, found["means"][name].values())
        rows.append([NAMES[name], str(len(runs)), f"{entities:,.0f}", *figures])
    return table(header, rows)


def pretraining_ablations() -> str:
    """F1 of each way of pretraining: with a tuned prompt on each set, its mean, and the mean from label names alone."""
    found = read("pretraining_ablations")
    sets = report.by_set(found["runs"])
    rows = []
    for way, means in found["means"].items():
        own = [next(_one(run["f1"]) for run in runs if run["way"] == way) for runs in sets.values()]
        rows.append([way, *own, _one(means["f1"]), _one(means["f1_names"])])
    return table(("pretraining", *map(whole, sets), "mean", "mean, label names alone"), rows)


def zero_shot() -> str:
    """F1 from label names alone, beside what others published."""
    peers = [name for name in published() if name.startswith("GLiNER")]
    header = ("set", "sentences", "precision", "recall", "F1", "seen", *peers)
    rows = []
    for row in read("zero_shot")["rows"]:
        rows.append([*_zero_shot_row(row), *(_published(peer, row["name"]) for peer in peers)])
    return table(header, rows)


def zero_shot_development() -> str:
    """F1 from label names alone on development sentences."""
    header = ("set", "sentences", "precision", "recall", "F1", "seen")
    return table(header, map(_zero_shot_row, read("zero_shot_development")["rows"]))


def _zero_shot_row(row: Any) -> list[str]:
    figures = [_one(row[figure]) for figure in ("precision", "recall")]
    return [whole(row["name"]), f"{row['sentences']:,}", *figures, f"**{_one(row['f1'])}**", _one(row["seen"])]


def checkouts() -> str:
    """What a checkout costs against an earlier one."""
    found = read("checkouts")
    size = found["prompt_bytes"]
    rows = [
        [
            "bytes of a prompt's files",
            f"{size['here']:,}",
            f"{size['other']:,}",
            f"{size['here'] / size['other']:.2f}",
            "",
        ]
    ]
    for way, each in found["ways"].items():
        ratio, (low, high) = each["ratio"], each["quartiles"]
        times = [f"{_ms(each[which])} ms" for which in ("here_s", "other_s")]
        rows.append([way, *times, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"])
    return table(("", "stage C", "stage B", "ratio", "middle half of the rounds"), rows)


def peers() -> str:
    """Texts a second, and how many times as fast ours is as other libraries."""
    others = list(LIBRARIES)[1:]
    header = ("threads", "texts at once", "words", "labels", "ours, texts/s", *(LIBRARIES[name] for name in others))
    order = ("threads", "batch", "words", "labels")
    rows = []
    for row in sorted(read("peers")["cells"], key=lambda row: [row["cell"][key] for key in order]):
        clocks = [row["times_as_fast"][name] for name in others]
        times = [f"{each['processor_s']:.2f} ({each['clock_s']:.2f})" for each in clocks]
        ours = row["texts_per_second"]["ours"]["processor_s"]
        rows.append([*(str(row["cell"][key]) for key in order), _one(ours), *times])
    return table(header, rows)


def peers_memory() -> str:
    """Memory and cold start of each library."""
    found = read("peers")
    rows = []
    for name, said in LIBRARIES.items():
        start_s = statistics.median(each["seconds"][name] for each in found["cold_start"])
        small, large = (
            max((row["peak_megabytes"][name] for row in found["cells"] if row["cell"]["batch"] == batch), default=0)
            for batch in (1, 32)
        )
        rows.append([said, found["libraries"][name], f"{small:.0f}", f"{large:.0f}", _one(start_s)])
    return table(("", "version", "alone, MB", "32 together, MB", "cold start, s"), rows)


def label_cost() -> str:
    """Milliseconds of processor time by the number of labels."""
    header = ("labels", "prompt, kB", "labels read, ms", "one text, ms", "batch of 32 texts, ms")
    return table(header, map(_cost_row, read("labels")["cost"]))


def label_load() -> str:
    """Latency of tuned domains beside other requests."""
    header = ("other requests", "texts", "mean, ms", "p50, ms", "p95, ms", "mean of the others, ms", "label sets read")
    load, rows = read("labels")["load"], []
    for way, said in (("alone", "none"), ("domains", "of other domains"), ("labels", "with one of 1,000 label sets")):
        found = load[way]
        others = "" if found["others_mean_ms"] is None else _one(found["others_mean_ms"])
        figures = [_one(found[figure]) for figure in ("mean_ms", "p50_ms", "p95_ms")]
        rows.append([said, f"{found['texts']:,}", *figures, others, str(found["label_sets_read"])])
    return table(header, rows)


TABLES: dict[str, Callable[[], str]] = {
    "few-shot": few_shot,
    "few-shot, short": lambda: few_shot_short(
        ("domain", "tuned on", "test sentences", "precision", "recall", "F1"), " sentences"
    ),
    "few-shot, short, Chinese": lambda: few_shot_short(
        ("领域", "调优用的句子", "测试句数", "精确率", "召回率", "F1"), " 句"
    ),
    "few-shot, seeds": few_shot_seeds,
    "checkouts": checkouts,
    "label cost": label_cost,
    "label load": label_load,
    "labelling order": labelling_order,
    "precision": precision,
    "pretraining ablations": pretraining_ablations,
    "self-training": self_training,
    "tuned scores": tuned_scores,
    "peers": peers,
    "peers, memory and start": peers_memory,
    "zero-shot": zero_shot,
    "zero-shot, development": zero_shot_development,
}


def read(name: str) -> Any:
    """The results of one benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def whole(name: str) -> str:
    """A set's name where more is read of it than a 10-shot sample."""
    return NAMES[name].removesuffix(" 10-shot")


def published() -> dict[str, Any]:
    """Figures that were not measured here, and what earlier backbones had."""
    return dict(read("published"))


def _few_shot() -> list[tuple[str, list[report.Run]]]:
    return list(report.by_set(read("few_shot")["runs"]).items())


def _few_shot_row(name: str, runs: Sequence[report.Run]) -> list[str]:
    first = runs[0]
    return [NAMES[name], f"{first['train_sentences']} sentences", f"{first['test_sentences']:,}", str(len(runs))]


def _short_row(name: str, runs: Sequence[report.Run], sentences: str) -> list[str]:
    first = runs[0]
    return [NAMES[name], f"{first['train_sentences']}{sentences}", f"{first['test_sentences']:,}", *_means(runs)]


def _means(runs: Sequence[report.Run]) -> list[str]:
    return [_percent(report.spread([run[figure] for run in runs])[0]) for figure in _FIGURES]


def _seeds_row(name: str, runs: Sequence[report.Run]) -> list[str]:
    each = [", ".join(_percent(run[figure]) for run in runs) for figure in _FIGURES]
    mean, deviation = report.spread([run["test_f1"] for run in runs])
    chosen = ", ".join(_percent(run["cross_validated_f1"]) for run in runs)
    beside = [_published(source, name) for source in _BESIDE.values()]
    spread = "" if deviation is None else _percent(deviation)
    return [NAMES[name], str(len(runs)), *each, f"**{_percent(mean)}**", spread, chosen, *beside]


def _published(source: str, name: str) -> str:
    found = published()[source]["f1"].get(name)
    return "" if found is None else str(found)


def _cost_row(row: Any) -> list[str]:
    times = [_ms(row[way]["processor_s"]) for way in ("labels_read", "one_text", "batch_of_32")]
    return [str(row["labels"]), f"{row['prompt_bytes'] / 1000:,.0f}", *times]


def _ms(seconds: float) -> str:
    return _one(1000 * seconds)


def _percent(share: float) -> str:
    return _one(100 * share)


def _one(percent: float) -> str:
    return f"{percent:.1f}"


if __name__ == "__main__":
    main()
