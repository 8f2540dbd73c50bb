"""Tables of what things cost, for `benchmarks.tables`."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.markdown import ms, one, read, table

LIBRARIES = {"ours": "ours", "gliner": "GLiNER", "token_classifier": "token classifier", "spacy": "spaCy"}


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
        rows.append([*(str(row["cell"][key]) for key in order), one(ours), *times])
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


def _cost_row(row: Any) -> list[str]:
    times = [ms(row[way]["processor_s"]) for way in ("labels_read", "one_text", "batch_of_32")]
    return [str(row["labels"]), f"{row['prompt_bytes'] / 1000:,.0f}", *times]
