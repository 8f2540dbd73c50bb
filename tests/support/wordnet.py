"""A WordNet of two dozen synsets, written as the database files of WordNet 3.0 (wndb(5WN))."""

from __future__ import annotations

from pathlib import Path

# Lexicographer file (lexnames(5WN)), lemmas, hypernym, and what it is an instance of.
NOUNS = {
    "entity": (3, "entity", "", ""),
    "organism": (3, "organism being", "entity", ""),
    "person": (3, "person individual", "organism", ""),
    "animal": (5, "animal beast", "organism", ""),
    "bird": (5, "bird", "animal", ""),
    "robin": (5, "robin", "bird", ""),
    "location": (15, "location", "entity", ""),
    "city": (15, "city metropolis", "location", ""),
    "Paris": (15, "Paris City_of_Light", "", "city"),
    "scientist": (18, "scientist", "person", ""),
    "Curie": (18, "Curie Marie_Curie", "", "scientist"),
    "New York": (15, "New_York", "", "city"),
    "prime minister": (18, "prime_minister", "person", ""),
    "walk": (4, "walk", "entity", ""),
    "goose": (5, "goose", "bird", ""),
    "artifact": (6, "artifact", "entity", ""),
    "chair": (6, "chair", "artifact", ""),
    "mixture": (10, "mixture", "entity", ""),
    "mixture 2": (6, "mixture", "artifact", ""),
    "china": (6, "china", "artifact", ""),
    "China": (15, "China", "", "location"),
    "fox": (5, "fox", "animal", ""),
    "attorney general": (18, "attorney_general", "person", ""),
}
VERBS = ("walk", "see", "build")
COUNTS = (
    ("bird%1:05:00::", 1, 9), ("chair%1:06:00::", 1, 5), ("city%1:15:00::", 1, 20), ("goose%1:05:00::", 1, 3),
    ("robin%1:05:00::", 1, 2), ("walk%1:04:00::", 1, 4), ("walk%2:38:00::", 1, 40),
)  # fmt: skip
LICENCE = "  1 This software and database is provided as is\n"


def write_database(folder: Path) -> Path:
    """Write the files of a WordNet with `NOUNS`, `VERBS` and the adjective "parisian"."""
    folder.mkdir(exist_ok=True)
    offsets: dict[str, int] = {}
    place = len(LICENCE)
    for name in NOUNS:  # a line is as long whatever the offsets in it
        offsets[name] = place
        place += len(_noun_line(name, offsets={}))
    index: dict[str, list[int]] = {}
    for name, (_, lemmas, _, _) in NOUNS.items():
        for lemma in lemmas.lower().split():
            index.setdefault(lemma, []).append(offsets[name])
    _write(folder, "data.noun", [_noun_line(name, offsets=offsets) for name in NOUNS])
    _write(folder, "index.noun", [_index_line(lemma, "n", places) for lemma, places in sorted(index.items())])
    verbs = {verb: f"{{:08d}} 38 v 01 {verb} 0 000 01 + 02 00 | to {verb}  \n" for verb in sorted(VERBS)}
    adjectives = {"parisian": "{:08d} 01 a 01 parisian 0 000 | of Paris  \n"}
    for part, mark, entries in (("verb", "v", verbs), ("adj", "a", adjectives), ("adv", "r", {})):
        lines, at = [], {}
        for lemma, line in entries.items():
            at[lemma] = len(LICENCE) + sum(map(len, lines))
            lines.append(line.format(at[lemma]))
        _write(folder, f"data.{part}", lines)
        _write(folder, f"index.{part}", [_index_line(lemma, mark, [place]) for lemma, place in at.items()])
    (folder / "cntlist.rev").write_text("".join(f"{key} {rank} {count}\n" for key, rank, count in COUNTS))
    exceptions = {
        "noun": "attorneys_general attorney_general\ngeese goose\n",
        "verb": "saw see\n",
        "adj": "",
        "adv": "",
    }
    for part, text in exceptions.items():
        (folder / f"{part}.exc").write_text(text)
    return folder


def _noun_line(name: str, *, offsets: dict[str, int]) -> str:
    file, lemmas, above, instance_of = NOUNS[name]
    words = lemmas.split()
    pointers = [(symbol, target) for symbol, target in (("@", above), ("@i", instance_of)) if target]
    fields = [f"{offsets.get(name, 0):08d} {file:02d} n {len(words):02x}", *(f"{word} 0" for word in words)]
    fields += [f"{len(pointers):03d}", *(f"{symbol} {offsets.get(to, 0):08d} n 0000" for symbol, to in pointers)]
    return " ".join([*fields, "| a gloss  \n"])


def _index_line(lemma: str, part: str, places: list[int]) -> str:
    count = len(places)
    return f"{lemma} {part} {count} 1 @ {count} 0 {' '.join(f'{place:08d}' for place in places)}  \n"


def _write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).write_text(LICENCE + "".join(lines), encoding="ascii")
