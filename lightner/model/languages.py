"""Languages of multilingual backbones (the mBART family): the token that marks a text's language, and how it is chosen.

A backbone's name may end in a language, as in `facebook/mbart-large-50:zh_CN`. Knows no prompts, and imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightner.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NAMED = re.compile(r"(?P<name>.+):(?P<language>\w+)")
_MOST_NAMED = 60
_ANY_WORD = "a"


def split_language(name: str) -> tuple[str, str | None]:
    """A backbone's name without the language after its last colon, and that language; what exists on disk has none."""
    found = None if Path(name).exists() else _NAMED.fullmatch(name)
    return (name, None) if found is None else (found["name"], found["language"])


def absolute(name: str) -> str:
    """A folder as its absolute path, with its language; other names unchanged."""
    plain, language = split_language(name)
    if not Path(plain).is_dir():
        return name
    return str(Path(plain).resolve()) + ("" if language is None else f":{language}")


def languages_of(tokenizer: PreTrainedTokenizerBase) -> Mapping[str, int]:
    """The languages that a tokenizer marks texts with, sorted, and the id of each one's token; none for most."""
    codes = getattr(tokenizer, "lang_code_to_id", {})
    ids = {code: tokenizer.convert_tokens_to_ids(code) for code in sorted(codes)}
    return {code: number for code, number in ids.items() if number not in (None, tokenizer.unk_token_id)}


def speak(name: str, language: str | None, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a loaded backbone mark texts with `language`, and let its decoder start there; by default with its own.

    The decoder starts with the token that the model's settings name; where they name none, or a language and another
    one is chosen, with the token of the language that is chosen. Raises InputError for a language it does not have.
    """
    known = languages_of(tokenizer)
    if language is not None and language not in known:
        some = f"one of {list(known)[:_MOST_NAMED]}" if known else "none: its tokenizer marks no languages"
        raise InputError(f"backbone {name!r}: found language {language!r}, expected {some}")
    if language is not None and language != tokenizer.src_lang:
        tokenizer.src_lang = language
    start = getattr(model.config, "decoder_start_token_id", None)
    own: str = getattr(tokenizer, "src_lang", "")
    chosen = known.get(language or own)
    if start is None or (language is not None and start in known.values()):
        model.config.decoder_start_token_id = chosen


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The ids of the special tokens before and after a text, language tokens included."""
    found = tokenizer([[_ANY_WORD]], is_split_into_words=True)
    ids, words = found["input_ids"][0], found.word_ids(0)
    first, last = words.index(0), len(words) - words[::-1].index(0)
    return list(ids[:first]), list(ids[last:])
