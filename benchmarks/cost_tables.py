"""Tables of what things cost, for `benchmarks.tables`."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.markdown import ms, one, read, table

LIBRARIES = {
    "ours": "ours",
    "gliner": "GLiNER",
    "gliner_bi": "GLiNER, labels read ahead",
    "token_classifier": "token classifier",
    "spacy": "spaCy",
}
_PLACES = {"folder": "a folder", "s3": "S3 (moto, in another process)", "host": "host memory"}


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
        times = [f"{ms(each[which])} ms" for which in ("here_s", "other_s")]
        rows.append([way, *times, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"])
    return table(("", "stage C", "stage B", "ratio", "middle half of the rounds"), rows)


def peers(results: str = "peers") -> str:
    """Texts a second, and how many times as fast ours is as other libraries."""
    found = read(results)
    others = [name for name in list(LIBRARIES)[1:] if name in found["libraries"]]
    header = ("threads", "texts at once", "words", "labels", "ours, texts/s", *(LIBRARIES[name] for name in others))
    order = ("threads", "batch", "words", "labels")
    rows = []
    for row in sorted(found["cells"], key=lambda row: [row["cell"][key] for key in order]):
        clocks = [row["times_as_fast"][name] for name in others]
        times = [f"{each['processor_s']:.2f} ({each['clock_s']:.2f})" for each in clocks]
        ours = row["texts_per_second"]["ours"]["processor_s"]
        rows.append([*(str(row["cell"][key]) for key in order), one(ours), *times])
    return table(header, rows)


def peers_memory() -> str:
    """Memory and cold start of each library."""
    found = read("peers")
    rows = []
    for name, said in ((name, LIBRARIES[name]) for name in found["libraries"]):
        start_s = statistics.median(each["seconds"][name] for each in found["cold_start"])
        small, large = (
            max((row["peak_megabytes"][name] for row in found["cells"] if row["cell"]["batch"] == batch), default=0)
            for batch in (1, 32)
        )
        rows.append([said, found["libraries"][name], f"{small:.0f}", f"{large:.0f}", one(start_s)])
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
        others = "" if found["others_mean_ms"] is None else one(found["others_mean_ms"])
        figures = [one(found[figure]) for figure in ("mean_ms", "p50_ms", "p95_ms")]
        rows.append([said, f"{found['texts']:,}", *figures, others, str(found["label_sets_read"])])
    return table(header, rows)


def growth_of_tuning() -> str:
    """Processor time of a step, and of all steps, by the size of what is learned."""
    header = ("grows", "sentences", "labels", "words", "a step, ms", "batch", "steps", "all steps, s")
    rows = []
    for row in read("growth")["tuning"]:
        sizes = [f"{row[size]:,}" for size in ("sentences", "labels", "words")]
        steps = [ms(row["step_s"]), str(row["batch_size"]), f"{row['steps']:,}"]
        rows.append([row["grows"], *sizes, *steps, f"{row['all_s']:,.0f}"])
    return table(header, rows)


def growth_of_serving() -> str:
    """Processor time of a text by the number of domains, or label sets, that a replica is asked for."""
    found = read("growth")["serving"]
    counts = sorted({row["count"] for row in found})
    costs = {(row["grows"], row["count"]): ms(row["text_s"]) for row in found}
    kinds = dict.fromkeys(row["grows"] for row in found)
    rows = [[kind, *(costs[kind, count] for count in counts)] for kind in kinds]
    return table(("asked for", *(f"{count:,}" for count in counts)), rows)


def growth_of_registry() -> str:
    """Milliseconds by the clock of each operation by the number of versions and domains."""
    found = read("growth")["registry"]
    operations = [key for key in found[0] if key not in ("store", "count")]
    rows = [[row["store"], f"{row['count']:,}", *(ms(row[each]) for each in operations)] for row in found]
    return table(("store", "versions and domains", *(f"{each}, ms" for each in operations)), rows)


def growth_fits() -> str:
    """The line through each cost, where it bends, and how far off it is at most."""
    rows = []
    for row in read("growth")["fits"]:
        if row["first"] is not None:
            bend = "" if row["bend"] is None else f"{row['bend']:,.0f}"
            line = [f"{1000 * row['first']:,.1f}", f"{1000 * row['each']:,.4f}"]
            rows.append([row["grows"], row["cost"].removesuffix("_s"), *line, bend, f"{100 * row['error']:.0f} %"])
    return table(("grows", "cost", "begins at, ms", "each further one, ms", "bends at", "largest error"), rows)


def serving() -> str:
    """Texts a second for many domains against those for one."""
    found = read("serving")
    domains, cached = found["options"]["domains"], found["options"]["cached"]
    zipf = f"replica, {domains:,} domains by Zipf, room for {cached}"
    ways = [
        ("batches of 32 rows, as many domains", found["batches"], "one", "mixed", "0.95"),
        (zipf, found["zipf"], "one", "zipf", "0.90"),
        ("the same with a host tier that has read all", found["zipf"], "one", "zipf_host", "0.90"),
    ]
    rows = []
    for way, measured, few, many, sought in ways:
        *rates, clock, processor = _compared(measured, few, many)
        rows.append([way, *rates, f"**{clock}** ({processor})", sought])
    return table(("", "one domain, texts/s", "many, texts/s", "many against one", "sought"), rows)


def serving_lengths() -> str:
    """Rows a second of short and long rows in one batch, and apart."""
    rows = []
    for count, measured in read("serving")["lengths"].items():
        *rates, clock, processor = _compared(measured, "one", "apart")
        rows.append([count, *rates, f"{clock} ({processor})"])
    return table(("rows", "one batch", "apart", "apart against one batch"), rows)


def _compared(measured: Any, first: str, second: str) -> list[str]:
    """Both rates by the clock, and the second against the first by the clock and by processor time."""
    rates = measured["clock"]["per_second"]
    ratios = [measured[by][f"{second} against {first}"] for by in ("clock", "processor")]
    return [one(rates[first]), one(rates[second]), *(f"{ratio:.2f}" for ratio in ratios)]


def serving_loads() -> str:
    """Milliseconds to load a prompt, by where it is."""
    rows = [
        [_PLACES[place], one(each["clock_ms"]), one(each["processor_ms"])]
        for place, each in read("serving")["loads"].items()
    ]
    return table(("from", "clock, ms", "processor, ms"), rows)


def serving_http() -> str:
    """Latency of requests of one text over HTTP, by the number of domains and the load."""
    rows = []
    for row in read("serving_http")["latency"]:
        latency = [f"{row[f'p{share}_ms']:.0f}" for share in (50, 95, 99)]
        counts = [f"{row['domains']:,}", f"{100 * row['load']:.0f} %", one(row["offered_per_second"])]
        rows.append([*counts, str(row["requests"]), *latency])
    return table(("domains", "load", "requests/s offered", "requests", "p50, ms", "p95, ms", "p99, ms"), rows)


def _cost_row(row: Any) -> list[str]:
    times = [ms(row[way]["processor_s"]) for way in ("labels_read", "one_text", "batch_of_32")]
    return [str(row["labels"]), f"{row['prompt_bytes'] / 1000:,.0f}", *times]
