"""Letter case for an uncased tokenizer: a mark after every word that begins with a capital or is all capitals.

MiniLM's vocabulary is lower-cased, and case is a signal for names. The marks are in the tokenizer itself, as a
sub-word of the word that they follow: using the checkpoint needs no extra code, a word's first sub-word stays the
same, and offsets are kept. Expects words that are already split, as `batching.encode` gives them.
"""

from __future__ import annotations

import json

from tokenizers import Regex, Tokenizer, normalizers
from transformers import PreTrainedTokenizerFast

CAPITALISED = "⇧"
ALL_CAPITALS = "⇪"
_SPARE = {"[unused0]": CAPITALISED, "[unused1]": ALL_CAPITALS}
_LONGEST = 24


def with_case_marks(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Add marks for letter case to the tokenizer; one that already has them is returned unchanged.

    The marks take the ids of unused entries of the vocabulary, so that no table of a model has to grow. Words of more
    than 24 characters get no mark.
    """
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = stored["model"]["vocab"]
    if CAPITALISED in vocabulary:
        return tokenizer
    missing = sorted(_SPARE.keys() - vocabulary.keys())
    assert not missing, f"the vocabulary has no {missing} to spare"
    stored["model"]["vocab"] = {_SPARE.get(token, token): place for token, place in vocabulary.items()}
    backend = Tokenizer.from_str(json.dumps(stored))
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.BertNormalizer(lowercase=False, strip_accents=True),
            _mark(r"[^\p{Ll}]", ALL_CAPITALS, fewest=1),
            _mark(rf"[^{ALL_CAPITALS}]", CAPITALISED, fewest=0),
            normalizers.Lowercase(),
        ]
    )
    special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **special)


def _mark(others: str, mark: str, *, fewest: int) -> normalizers.Replace:
    """A rule that puts `mark` after a word of one capital followed by `others`.

    It replaces the empty string at the end of the word, so the word itself does not change. The tokenizer's regular
    expressions support look-behind only with alternatives of fixed length, hence one alternative for each length.
    """
    lengths = "|".join(rf"\A\p{{Lu}}{others * count}" for count in range(fewest, _LONGEST))
    return normalizers.Replace(Regex(rf"(?<={lengths})\z"), f" {mark}")
