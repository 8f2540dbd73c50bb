"""nltk's reader over a folder of WordNet's database files, as Debian's `wordnet-base` installs them.

The reader is made for nltk's own download of WordNet, which also has `lexnames` (written out here) and a mapping to
other languages (not needed here). tests/pretraining/test_wordnet.py reads a database with it.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader, WordNetError

from lightner.types import InputError

_LEXNAMES_TEXT = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)  # lexnames(5WN), which is the same in all of WordNet 3
# Raised by nltk for missing or damaged files; its warnings are about synsets that do not exist.
_FAULTS = (
    OSError, WordNetError, ValueError, LookupError, AttributeError, AssertionError, RuntimeError, StopIteration,
    UserWarning,
)  # fmt: skip


class Reader(WordNetCorpusReader):  # type: ignore[misc] # nltk is untyped
    """nltk's reader, without its files that the database lacks; `streams` closes the files that it opens."""

    def __init__(self, root: str, streams: ExitStack) -> None:
        self._streams = streams
        super().__init__(root, None)

    def open(self, file: str) -> Any:
        """Open a file of the folder; for `lexnames` a stream of the standard names."""
        if file != "lexnames":
            return self._streams.enter_context(closing(super().open(file)))
        lines = (f"{number:02d}\t{name}\t0\n" for number, name in enumerate(_LEXNAMES_TEXT.split()))
        return io.StringIO("".join(lines))

    def map_wn(self, version: str = "wordnet") -> None:
        """No mapping to another WordNet: only other languages would need it, which are not read."""


@contextmanager
def reading(folder: str | os.PathLike[str]) -> Iterator[Reader]:
    """A reader of the folder's database, open during the block.

    Raises InputError for missing or damaged files, also when the block meets them.
    """
    root = os.path.realpath(folder)
    nltk.data.path.append(root)  # nltk reads only in folders that are listed here
    try:
        with warnings.catch_warnings(), ExitStack() as streams:
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="The multilingual functions are not available")
            yield Reader(root, streams)
    except _FAULTS as error:
        if isinstance(error, InputError):
            raise
        found = str(error) or f"a damaged line ({type(error).__name__})"
        expected = "a WordNet 3.x database (index.*, data.*, *.exc, cntlist.rev)"
        raise InputError(f"{os.fspath(folder)}: found {found}, expected {expected}") from error
    finally:
        nltk.data.path.remove(root)
