"""Write the tables of pages that show results, from the JSON files beside the notes of the benchmarks.

    python -m benchmarks.tables

A table of a page lies between `<!-- table: NAME -->` and `<!-- end of table -->`; `tests/docs/test_tables.py` fails
where one differs from its JSON. Figures of F1 are strict, micro, in percent, means over the seeds that the JSON has.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scipy.stats import t as student

from benchmarks import cost_tables, learning_tables, report, slot_tables
from benchmarks.markdown import Row, one, percent, read, table
from benchmarks.names import METHODS, NAMES

PAGES = (
    "README.md",
    "README.zh-CN.md",
    "docs/results.md",
    "benchmarks/results/ablations.md",
    "benchmarks/results/baselines.md",
    "benchmarks/results/few_shot.md",
    "benchmarks/results/checkouts.md",
    "benchmarks/results/full_data.md",
    "benchmarks/results/growth.md",
    "benchmarks/results/labels.md",
    "benchmarks/results/labelling_order.md",
    "benchmarks/results/precision.md",
    "benchmarks/results/pretraining_ablations.md",
    "benchmarks/results/self_training.md",
    "benchmarks/results/slots.md",
    "benchmarks/results/serving.md",
    "benchmarks/results/peers.md",
    "benchmarks/results/transfer.md",
    "benchmarks/results/tuned_scores.md",
    "benchmarks/results/zero_shot.md",
)
BY_THE_RULES = "as the rules"
ON_README = ("recipes", "support", "movie10", "politics")
_FIGURES = ("test_precision", "test_recall", "test_f1")
_BESIDE = {"sought": "sought", "stage B": "stage_b", "paper": "paper"}
"""Columns of figures that were not measured in the same runs, by their name in `published.json`."""
_SELF_TRAINED = (
    "set", "seeds", "labelled", "unlabelled", "without", "as many steps", "from 0.5", "from 0.8", "from 0.95",
)  # fmt: skip
_TABLE = re.compile(r"(<!-- table: (?P<name>[^>]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main() -> None:
    """Write every table."""
    for page in PAGES:
        path = report.CHECKOUT / page
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")


def rendered(page: str) -> str:
    """The page with its tables as the results make them."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found['name']]()}\n\n{found[3]}", page)


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
            rows.append([whole(name), way, *map(one, by_number.values())])
    return table(("set", "sentences are", "10", "20"), rows)


def precision() -> str:
    """F1 and speed of each way against float32."""
    rows = []
    for row in read("precision")["rows"]:
        for way, f1 in row["f1"].items():
            same = f"{100 * row['same_answers'][way]:.0f} %"
            speeds = [f"{row[f'speed_up, {how}'][way]:.2f}" for how in ("list", "alone")]
            rows.append([NAMES[row["name"]], way, one(f1), same, *speeds])
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
    plain = [one(means[figure]) for figure in ("without", "without, as many steps")]
    taught = [f"{means[f'from {least}']:.1f} ({means[f'kept from {least}']:.0f})" for least in (0.5, 0.8, 0.95)]
    return [*plain, *taught]


def tuned_scores() -> str:
    """Calibration error and F1 of tuned prompts, of all entities and of those above the fitted thresholds."""
    found = read("tuned_scores")
    header = ("set", "seeds", "entities found", "raw", "calibrated", "by chance", "F1", "F1, tuned thresholds")
    rows = []
    for name, runs in report.by_set(found["runs"]).items():
        entities = statistics.fmean(run["found"] for run in runs)
        figures = map(one, found["means"][name].values())
        rows.append([NAMES[name], str(len(runs)), f"{entities:,.0f}", *figures])
    return table(header, rows)


def baselines() -> str:
    """Test F1 of prompt tuning and of what a user would do instead, on the same sets and seeds, and the differences."""
    runs, prompts = report.by_set(read("baselines")["runs"]), dict(_few_shot())
    methods = sorted({run["method"] for of_set in runs.values() for run in of_set}, key=list(METHODS).index)
    rows, ahead = [], dict[str, list[float]]()
    for name, of_set in runs.items():
        ours = {run["seed"]: run["test_f1"] for run in prompts[name]}
        cells = [f"{percent(statistics.fmean(ours.values()))} ({len(ours)})"]
        for method in methods:
            own = [run for run in of_set if run["method"] == method and run["seed"] in ours]
            more = [100 * (ours[run["seed"]] - run["test_f1"]) for run in own]
            ahead.setdefault(method, []).extend([statistics.fmean(more)] if more else [])
            cells.append(_against([run["test_f1"] for run in own], more))
        rows.append([NAMES[name], *cells])
    last = ["mean of the differences, 95 % interval over sets", "", *(_mean_of(ahead[method]) for method in methods)]
    return table(("set", "prompt tuning", *(METHODS[method] for method in methods)), [*rows, last])


def _against(f1: Sequence[float], more: Sequence[float]) -> str:
    """Mean F1 of a method, the number of its seeds, and what prompt tuning has more on the same seeds."""
    return f"{percent(statistics.fmean(f1))} ({len(f1)}), {statistics.fmean(more):+.1f}" if f1 else ""


def _mean_of(differences: Sequence[float]) -> str:
    mean, deviation = report.spread(differences)
    if deviation is None:
        return f"{mean:+.1f}"
    half = float(student.ppf(0.975, len(differences) - 1)) * deviation / len(differences) ** 0.5
    return f"**{mean:+.1f}** ({mean - half:+.1f} to {mean + half:+.1f})"


def ablations() -> str:
    """F1 with one part or rule changed, by set, and the mean difference from the rules."""
    means: Mapping[str, Mapping[str, float]] = read("ablations")["means"]
    sets = [name for name in means[BY_THE_RULES] if name != "all"]
    rows = []
    for way, of_sets in changes().items():
        cells = [one(means[way][name]) if name in means[way] else "" for name in sets]
        rows.append([way, *cells, f"{statistics.fmean(of_sets):+.1f}"])
    return table(("way", *(NAMES[name] for name in sets), "mean difference"), rows)


def few_shot_samples() -> str:
    """F1 of other samples of the same sets, beside that of the first one with the same seed."""
    seeds = dict(_few_shot())
    samples: dict[str, list[report.Run]] = {}
    for run in read("few_shot_samples")["runs"]:
        name = run["name"].rsplit("-", 1)[0]
        samples.setdefault(name, [run for run in seeds[name] if run["seed"] == 0]).append(run)
    rows = []
    for name, runs in samples.items():
        mean, *deviations = (*_spread(runs), _spread(seeds[name])[1])
        counts = ", ".join(str(run["train_sentences"]) for run in runs)
        each = ", ".join(percent(run["test_f1"]) for run in runs)
        rows.append([NAMES[name], counts, each, f"**{mean}**", *deviations])
    header = ("set", "sentences", "F1 of each sample", "mean", "deviation of samples", "deviation of seeds")
    return table(header, rows)


def few_shot_from_source() -> str:
    """F1 with CoNLL-2003 as source domain, beside that without on the same seeds, and the paper's."""
    # The source has 32 feed-forward slots, as all prompts had then; later ones of the same seed would not compare.
    of_then = [*read("few_shot")["runs"], *read("few_shot_32_slots")["runs"]]
    without = {(run["name"], run["seed"]): run["test_f1"] for run in of_then}
    rows = []
    for name, runs in report.by_set(read("few_shot_from_conll2003")["runs"]).items():
        pairs = [(without[key], run["test_f1"]) for run in runs if (key := (name, run["seed"])) in without]
        before, after = (statistics.fmean(f1) for f1 in zip(*pairs, strict=True))
        paper = [_published(source, name) for source in ("paper", "paper, from CoNLL-2003")]
        means = [percent(before), percent(after), f"{100 * (after - before):+.1f}"]
        rows.append([NAMES[name], str(len(pairs)), *means, *paper])
    header = ("set", "seeds", "without", "from CoNLL-2003", "gain", "paper, without", "paper, from CoNLL-2003")
    return table(header, rows)


def changes() -> dict[str, list[float]]:
    """Of each way of tuning the difference in F1 from the rules, on every set that it was measured on.

    It is the mean over the seeds that the way has, each beside the run of the rules with the same seed.
    """
    runs = {(run["way"], run["name"], run["seed"]): run["f1"] for run in read("ablations")["runs"]}
    found: dict[str, dict[str, list[float]]] = {}
    for (way, name, seed), f1 in runs.items():
        if (BY_THE_RULES, name, seed) in runs:
            found.setdefault(way, {}).setdefault(name, []).append(f1 - runs[BY_THE_RULES, name, seed])
    return {way: [statistics.fmean(of_seeds) for of_seeds in sets.values()] for way, sets in found.items()}


def pretraining_ablations() -> str:
    """F1 of each way of pretraining: with a tuned prompt on each set, its mean, and the mean from label names alone."""
    found = read("pretraining_ablations")
    sets = report.by_set(found["runs"])
    rows = []
    for way, means in found["means"].items():
        own = [next(one(run["f1"]) for run in runs if run["way"] == way) for runs in sets.values()]
        rows.append([way, *own, one(means["f1"]), one(means["f1_names"])])
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
    figures = [one(row[figure]) for figure in ("precision", "recall")]
    return [whole(row["name"]), f"{row['sentences']:,}", *figures, f"**{one(row['f1'])}**", one(row["seen"])]


TABLES: dict[str, Callable[[], str]] = {
    "ablations": ablations,
    "baselines": baselines,
    "few-shot": few_shot,
    "few-shot, short": lambda: few_shot_short(
        ("domain", "tuned on", "test sentences", "precision", "recall", "F1"), " sentences"
    ),
    "few-shot, short, Chinese": lambda: few_shot_short(
        ("领域", "调优用的句子", "测试句数", "精确率", "召回率", "F1"), " 句"
    ),
    "few-shot, samples": few_shot_samples,
    "few-shot, seeds": few_shot_seeds,
    "few-shot, source": few_shot_from_source,
    "checkouts": cost_tables.checkouts,
    "full data": learning_tables.full_data,
    "full data, classes": learning_tables.full_data_classes,
    "growth, fits": cost_tables.growth_fits,
    "growth, registry": cost_tables.growth_of_registry,
    "growth, serving": cost_tables.growth_of_serving,
    "growth, tuning": cost_tables.growth_of_tuning,
    "label cost": cost_tables.label_cost,
    "label load": cost_tables.label_load,
    "labelling order": labelling_order,
    "precision": precision,
    "pretraining ablations": pretraining_ablations,
    "self-training": self_training,
    "serving": cost_tables.serving,
    "serving, http": cost_tables.serving_http,
    "serving, lengths": cost_tables.serving_lengths,
    "serving, loads": cost_tables.serving_loads,
    "slots": slot_tables.gains,
    "slots, cost": slot_tables.costs,
    "slots, cost before": lambda: slot_tables.costs("slots_before"),
    "transfer": learning_tables.transfer,
    "transfer, chosen": learning_tables.transfer_chosen,
    "transfer, pairs": learning_tables.transfer_pairs,
    "tuned scores": tuned_scores,
    "peers": cost_tables.peers,
    "peers, labels read ahead": lambda: cost_tables.peers("peers_bi_encoder"),
    "peers, memory and start": cost_tables.peers_memory,
    "zero-shot": zero_shot,
    "zero-shot, development": zero_shot_development,
}


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
    return [percent(report.spread([run[figure] for run in runs])[0]) for figure in _FIGURES]


def _seeds_row(name: str, runs: Sequence[report.Run]) -> list[str]:
    each = [", ".join(percent(run[figure]) for run in runs) for figure in _FIGURES]
    mean, deviation = _spread(runs)
    chosen = ", ".join(percent(run["cross_validated_f1"]) for run in runs)
    beside = [_published(source, name) for source in _BESIDE.values()]
    return [NAMES[name], str(len(runs)), *each, f"**{mean}**", deviation, chosen, *beside]


def _spread(runs: Sequence[report.Run]) -> list[str]:
    """Mean and deviation of F1 on the test sentences; of one run there is no deviation."""
    mean, deviation = report.spread([run["test_f1"] for run in runs])
    return [percent(mean), "" if deviation is None else percent(deviation)]


def _published(source: str, name: str) -> str:
    found = published()[source]["f1"].get(name)
    return "" if found is None else str(found)


if __name__ == "__main__":
    main()
