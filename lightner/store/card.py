"""The card of a prompt: what it finds, on which backbone, how it was tuned and how good it is.

As a value, as strict JSON and as a README for people. Knows neither tensors nor files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from lightner.store.calibration import calibration_in, calibration_section
from lightner.types import (
    DISTRIBUTION,
    EMBEDDED,
    MOST_WORDS,
    Calibration,
    InputError,
    LabelSet,
    Reach,
    Scores,
    check_name,
)

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""1: prompts whose label vectors are averages of embeddings; 2: prompts that hold their label vectors."""
UNTUNED: Mapping[str, JSON] = {"tuned_on": 0}
"""`tuning` of a prompt that was made from label words alone."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OBJECTS = ("tuning", "metrics", "data", "versions")


@dataclass(frozen=True)
class Card:
    """All about a prompt but its numbers. `length` and `slots` count its attention and its feed-forward slots.

    `reach`: how much text it reads at once; of format version 1 up to 120 words, whatever sentences they are.
    `nested`: entities may lie within one another, as they did in what it has learned from.

    `tuning` (prompt_length, learning_rate, scan, steps, seed, ...), `metrics` (see `metrics_of`), `data` (sha256 of the
    training file, sentences, mentions per type, warnings) and `versions` are free JSON objects. `created` is an
    ISO 8601 time in UTC. Raises InputError for a field that is none of this.
    """

    domain: str
    labels: tuple[str, ...]
    label_words: tuple[tuple[str, ...], ...]
    backbone_name: str
    backbone_fingerprint: str
    length: int
    slots: int
    reach: Reach = Reach()  # noqa: RUF009 a frozen value
    tuning: Mapping[str, JSON] = field(default_factory=dict)
    metrics: Mapping[str, JSON] = field(default_factory=dict)
    data: Mapping[str, JSON] = field(default_factory=dict)
    versions: Mapping[str, JSON] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    format_version: int = FORMAT_VERSION
    nested: bool = False

    def __post_init__(self) -> None:
        check_name(self.domain, "domain")
        known = self.format_version in READABLE_VERSIONS
        _expect(known, "format_version", self.format_version, f"one of {list(READABLE_VERSIONS)}")
        _expect(len(self.labels) > 0, "labels", list(self.labels), "at least one")
        for text in (self.backbone_name, *self.labels, *(word for words in self.label_words for word in words)):
            _expect(text != "" and text.isprintable(), "a name, label or label word", text, "printable text")
        fingerprint = _SHA256.fullmatch(self.backbone_fingerprint) is not None
        _expect(fingerprint, "backbone fingerprint", self.backbone_fingerprint, "64 hexadecimal digits")
        _expect(min(self.length, self.slots) >= 0, "length and slots", (self.length, self.slots), "numbers >= 0")
        _expect(_is_utc(self.created), "created", self.created, "an ISO 8601 time in UTC")
        LabelSet(self.labels, self.label_words)
        for name in _OBJECTS:
            object.__setattr__(self, name, _plain_json(getattr(self, name), name))
        calibration_in(self.metrics)  # answers depend on it

    @property
    def calibration(self) -> Calibration:
        """How raw scores become probabilities; a card of an earlier package has none, which changes no score."""
        return calibration_in(self.metrics)

    @property
    def label_set(self) -> LabelSet:
        return LabelSet(self.labels, self.label_words)

    @property
    def backbone_label(self) -> str:
        """The backbone's name; of the embedded one also the version of the package that it comes with."""
        version = self.versions.get(DISTRIBUTION)
        named = f"{self.backbone_name} of {DISTRIBUTION} {version}"
        return named if self.backbone_name == EMBEDDED and isinstance(version, str) else self.backbone_name

    @property
    def untuned(self) -> bool:
        """Whether the prompt was made from label words alone."""
        return self.tuning.get("tuned_on") == UNTUNED["tuned_on"]


def metrics_of(scores: Scores) -> dict[str, JSON]:
    """Scores as a card holds them: micro precision, recall, f1 and support, and the same of each type in `types`."""
    named = {"": scores.micro, **{name: scores.types[name] for name in sorted(scores.types)}}
    rows = {
        name: {"precision": each.precision, "recall": each.recall, "f1": each.f1, "support": each.gold}
        for name, each in named.items()
    }
    return {**rows.pop(""), "types": rows}


_NESTED = {
    "backbone": {"name": "backbone_name", "fingerprint": "backbone_fingerprint"},
    "prompt": {"length": "length", "slots": "slots"},
}
_INSIDE = {name for keys in _NESTED.values() for name in keys.values()}
_FLAT = sorted({each.name for each in fields(Card)} - _INSIDE - {"reach", "nested"})
_NESTED_ENTITIES = "nested"
_NUMBERS = ("format_version", "length", "slots")


def to_json(card: Card) -> bytes:
    """The card as `card.json` holds it; `from_json` is the inverse."""
    flat = {name: getattr(card, name) for name in _FLAT}
    nested = {group: {key: getattr(card, name) for key, name in keys.items()} for group, keys in _NESTED.items()}
    reach = {} if card.format_version == 1 else {"reach": asdict(card.reach)}
    # Said only where it is so: earlier packages, which cannot read such a prompt, refuse it by this key.
    inner = {_NESTED_ENTITIES: True} if card.nested else {}
    return write_json({**flat, **nested, **reach, **inner})


def from_json(content: bytes) -> Card:
    """The card in the text of a `card.json`; InputError names the key that is unknown, missing or wrong."""
    found = read_json(content)
    inner = isinstance(found, dict) and _NESTED_ENTITIES in found
    if inner:
        said = found.pop(_NESTED_ENTITIES)
        _expect(said is True, _NESTED_ENTITIES, said, "true, or no such key")
    first = isinstance(found, dict) and repr(found.get("format_version")) == "1"  # True is no version
    _check_keys(found, [*_FLAT, *_NESTED, *([] if first else ["reach"])], "top level")
    values = {name: found[name] for name in _FLAT}
    for group, keys in _NESTED.items():
        _check_keys(found[group], list(keys), group)
        values |= {name: found[group][key] for key, name in keys.items()}
    for name in set(values) - {"labels", "label_words"}:
        kind = int if name in _NUMBERS else dict if name in _OBJECTS else str
        _expect(type(values[name]) is kind, name, values[name], f"a value of type {kind.__name__}")
    if not first:
        values["reach"] = _reach(found["reach"])
    values["labels"] = _texts(values["labels"], "labels")
    _expect(isinstance(values["label_words"], list), "label_words", values["label_words"], "a list of lists of text")
    values["label_words"] = tuple(_texts(words, "label_words") for words in values["label_words"])
    return Card(**values, nested=inner)


def _reach(found: object) -> Reach:
    if isinstance(found, dict):
        found = {"usual": 0, **found}  # cards of package 0.1 have none
    _check_keys(found, [each.name for each in fields(Reach)], "reach")
    match found:
        case {"words": int(words), "sentences": int(sentences), "usual": int(usual)} if (
            0 <= usual <= words <= MOST_WORDS and words > 0 and sentences >= 0
        ):
            return Reach(words, sentences, usual)
    expected = f"expected 1 to {MOST_WORDS} words, 0 to as many usual ones, and sentences of at least 0"
    raise InputError(f"reach: found {found!r}, {expected}")


def read_json(content: bytes) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN or infinity, no excessive depth; otherwise InputError."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"found no JSON ({error}), expected UTF-8 JSON") from error


def write_json(value: object) -> bytes:
    """JSON for people and programs alike: indented, UTF-8, a newline at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def readme(card: Card) -> str:
    """The card for people, in Markdown."""
    prompt = f"{card.length} attention slots and {card.slots} feed-forward slots"
    parts = [
        f"# Prompt `{card.domain}`",
        f"A LightNER prompt that finds {', '.join(_cell(label) for label in card.labels)}: {prompt} for the frozen "
        f"backbone {_cell(card.backbone_label)}. It works with no other backbone.",
        "Its entities may lie within one another." if card.nested else "",
        _UNTUNED_REMARK if card.untuned else "",
        f"- backbone fingerprint: `{card.backbone_fingerprint}`\n- created: {card.created}",
        _scores_table(card),
        calibration_section(card.metrics),
        _scan_table(card.tuning.get("scan")),
        *(_section(title, getattr(card, name)) for title, name in _SECTIONS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_UNTUNED_REMARK = (
    "It was made from label names and their words alone: it has learned from no sentence, and its F1 has not been "
    "measured. Its scores are calibrated as those of any labels: by the backbone, on the data it was developed on. "
    "Tuning on labelled sentences makes the domain's next version."
)
_SECTIONS = (("How it was tuned", "tuning"), ("Training data", "data"), ("Versions", "versions"))
_TABLES = ("scan",)  # shown as such
_LONG = 400
_SCANNED = ("prompt_length", "learning_rate", "started_from", "rounds", "best_round", "precision", "recall", "f1")
_COLUMNS = ("precision", "recall", "f1", "support")


def _scores_table(card: Card) -> str:
    if not card.metrics:
        return "## Scores\n\nNot measured."
    types = card.metrics.get("types")
    rows: list[tuple[str, Any]] = [("all", card.metrics), *(types.items() if isinstance(types, Mapping) else ())]
    lines = ["| type | precision | recall | F1 | support |", "|---|---|---|---|---|"]
    for name, row in rows:
        scores = row if isinstance(row, Mapping) else {}
        lines.append(f"| {_cell(name)} | {' | '.join(_number(scores.get(column)) for column in _COLUMNS)} |")
    return "\n\n".join(["## Scores", "\n".join(lines), *_remarks(card.metrics)])


def _scan_table(scan: JSON) -> str:
    """The scanned trials, those that came furthest first, of these the highest F1; nothing where none are listed."""
    rows = [row for row in scan if isinstance(row, Mapping)] if isinstance(scan, Sequence) else []
    columns = [name for name in _SCANNED if any(name in row for row in rows)]
    if not columns:
        return ""
    rows.sort(key=lambda row: (_size(row.get("rounds")), _size(row.get("f1"))), reverse=True)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(_cell(_short(row.get(name))) for name in columns)} |" for row in rows]
    return "## Scan\n\n" + "\n".join(lines)


def _size(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _short(value: JSON) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _remarks(metrics: Mapping[str, JSON]) -> list[str]:
    """On what the scores were measured and how sure they are, where the card says so."""
    found = []
    if isinstance(on := metrics.get("measured_on"), str):
        found.append(f"Measured on {_cell(on)}.")
    interval = metrics.get("f1_interval")
    if isinstance(interval, Mapping):
        low, high = (_number(interval.get(end)) for end in ("low", "high"))
        found.append(f"F1 lies between {low} and {high} in 95 % of resamples of those sentences.")
    seeds = metrics.get("other_seeds")
    if isinstance(seeds, Mapping) and isinstance(each := seeds.get("f1"), Sequence):
        mean, spread = (_number(seeds.get(name)) for name in ("f1_mean", "f1_stdev"))
        found.append(f"With {len(each)} other seeds, which chose nothing, F1 is {mean} (standard deviation {spread}).")
    return [" ".join(found)] if found else []


def _section(title: str, values: Mapping[str, JSON]) -> str:
    told = {name: value for name, value in values.items() if name not in _TABLES and value != ""}
    lines = [f"- {_cell(name)}: {_cell(_shown(value))}" for name, value in told.items()]
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _shown(value: JSON) -> str:
    """As JSON; of a text that is not for people, such as many hashes in a row, the beginning."""
    if isinstance(value, str) and len(value) > _LONG:
        return f"{json.dumps(value[: _LONG // 4], ensure_ascii=False)}... ({len(value)} characters, all in card.json)"
    return json.dumps(value, ensure_ascii=False)


def _number(value: JSON) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value) if isinstance(value, int) else ""


def _cell(text: str) -> str:
    # Labels are the user's: they must neither end a table cell nor become markup.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def _expect(holds: bool, what: str, found: object, expected: str) -> None:
    if not holds:
        raise InputError(f"{what}: found {found!r}, expected {expected}")


def _is_utc(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _plain_json(value: object, what: str) -> Any:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # without indents, which take ten times
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{what}: found no plain JSON ({error}), expected text, finite numbers and lists") from error
    _expect(text.startswith(b"{"), what, value, "a JSON object")
    return json.loads(text)


def _texts(found: object, what: str) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(f"{what}: found {found!r}, expected a list of text")
    return tuple(found)


def _check_keys(found: object, expected: Sequence[str], where: str) -> None:
    if not isinstance(found, dict):
        raise InputError(f"{where}: found {type(found).__name__}, expected an object with keys {sorted(expected)}")
    if unknown := sorted(set(found) - set(expected)):
        raise InputError(f"{where}: found unknown keys {unknown}, expected only {sorted(expected)}")
    if missing := sorted(set(expected) - set(found)):
        raise InputError(f"{where}: found no keys {missing}, expected {sorted(expected)}")


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InputError(f"found a key twice in {[name for name, _ in pairs]}, expected distinct keys")
    return found


def _no_constant(name: str) -> None:
    raise InputError(f"found {name}, expected finite numbers")
