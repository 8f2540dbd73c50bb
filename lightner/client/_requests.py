"""What the client sends: values checked before anything is sent, and split into requests that the service takes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lightner.texts import checked_list, checked_text, has_lone_surrogate
from lightner.types import InputError, check_name

# Limits of one request, as in the service.
MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 100_000
MAX_TOTAL_CHARACTERS = 400_000
MAX_LABEL_CHARACTERS = 20_000

Labels: TypeAlias = Iterable[str] | Mapping[str, str | Iterable[str] | None]
"""Names; or each name's description, its words, or None where the name itself says enough."""


@dataclass(frozen=True, slots=True)
class Item:
    """A text and the domain that reads it, or the labels; `prompt` is an alias or a version, None for the live one."""

    domain: str | None = None
    text: str | Sequence[str] | None = None
    prompt: str | None = None
    labels: Labels | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Characters of an item, those of its labels among them, and a key that equal labels share."""

    characters: int
    label_characters: int = 0
    labels: Hashable = None


@dataclass(frozen=True, slots=True)
class Sendable:
    """An item as the service takes it, and its size."""

    body: Mapping[str, Any]
    size: Size


def sendable(item: object, where: str) -> Sendable:
    """The item, if a service could accept it; otherwise InputError, which says `where` it was found."""
    if not isinstance(item, Item):
        raise InputError(f"{where}: found {item!r:.80} ({type(item).__name__}), expected an Item")
    if (item.domain is None) == (item.labels is None):
        found = "neither a domain nor labels" if item.labels is None else "both a domain and labels"
        raise InputError(f"{where}: found {found}, expected one of them")
    text = checked_text(item.text, f"{where}.text")
    characters = characters_of(text, f"{where}.text")
    if item.labels is None:
        assert item.domain is not None
        check_name(item.domain, f"{where}.domain")
        prompt = checked_prompt(item.prompt, f"{where}.prompt")
        return Sendable({"domain": item.domain, "text": text, "prompt": prompt}, Size(characters))
    if item.prompt is not None:
        raise InputError(f"{where}.prompt: found {item.prompt!r} beside labels, expected none")
    labels = checked_labels(item.labels, f"{where}.labels")
    size = _label_characters(labels)
    return Sendable({"labels": labels, "text": text}, Size(characters + size, size, repr(labels)))


def checked_labels(labels: object, where: str) -> list[str] | dict[str, str | list[str] | None]:
    """Labels as JSON has them; what a name or a description may be is the service's to say."""
    if isinstance(labels, Mapping):
        found = {_text(name, where): _words(words, f"{where}[{name!r}]") for name, words in labels.items()}
        size = _label_characters(found)
    else:
        names = [_text(name, where) for name in checked_list(labels, where)]
        found, size = dict.fromkeys(names), _label_characters(names)
    if size > MAX_LABEL_CHARACTERS:
        raise InputError(f"{where}: found {size} characters, expected at most {MAX_LABEL_CHARACTERS}")
    return found if isinstance(labels, Mapping) else names


def checked_prompt(prompt: str | None, where: str) -> str | None:
    return None if prompt is None else check_name(prompt, where)


def characters_of(text: str | Sequence[str], where: str) -> int:
    """The number of characters of a text. Raises InputError if the service would not accept it."""
    joined = text if isinstance(text, str) else " ".join(text)
    if len(joined) > MAX_TEXT_CHARACTERS:
        raise InputError(f"{where}: found {len(joined)} characters, expected at most {MAX_TEXT_CHARACTERS}; split it")
    _text(joined, where)
    return len(joined)


def portions(sizes: Sequence[Size], most: int) -> Iterator[tuple[int, int]]:
    """Ranges `[start, end)` that cover all items: of at most `most`, and of as many characters as a request may have,
    those of label sets that differ among them."""
    start, characters = 0, 0
    sets: dict[Hashable, int] = {}
    for place, size in enumerate(sizes):
        more = {**sets, size.labels: size.label_characters}
        too_long = characters + size.characters > MAX_TOTAL_CHARACTERS or sum(more.values()) > MAX_LABEL_CHARACTERS
        if place - start == most or (too_long and place > start):
            yield start, place
            start, characters, more = place, 0, {size.labels: size.label_characters}
        characters += size.characters
        sets = more
    if start < len(sizes):
        yield start, len(sizes)


def _label_characters(labels: list[str] | dict[str, str | list[str] | None]) -> int:
    """As the service counts them: one more for what separates each from the next."""
    words = labels.values() if isinstance(labels, dict) else ()
    joined = (each if isinstance(each, str) else " ".join(each or ()) for each in words)
    return sum(len(name) + 1 for name in labels) + sum(map(len, joined))


def _words(words: object, where: str) -> str | list[str] | None:
    if words is None or isinstance(words, str):
        return words if words is None else _text(words, where)
    return [_text(word, where) for word in checked_list(words, where)]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: found {value!r:.80} ({type(value).__name__}), expected a string")
    if has_lone_surrogate(value):
        raise InputError(f"{where}: found half of a surrogate pair, expected text that UTF-8 can hold")
    return value
