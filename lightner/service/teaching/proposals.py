"""What a domain's prompt proposes for texts, and which of them are most worth labelling next.

The live prompt reads them; without one, the labels that are taught. Knows no HTTP; belongs to one event loop.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lightner.data.active_learning import Unlabelled, choose
from lightner.labels import content_key
from lightner.service.messages import Answer, Ask, Reader, Reason, Refusal
from lightner.store.example import Example
from lightner.store.taught import Taught
from lightner.types import TaggedText
from lightner.words import split_words

READ_AT_ONCE = 64
"""Examples that one request for suggestions reads at most; what was read is kept, so that each is read once."""
MAX_REMEMBERED = 100_000
_RANKED = 4  # times as many as are wanted: how many of the least sure are compared with each other


@dataclass(frozen=True, slots=True)
class Proposed:
    """What was found in a text, and by which version (None: by the labels alone)."""

    version: str | None
    tagged: TaggedText

    @property
    def certainty(self) -> float:
        """A probability: the geometric mean over the steps that wrote the answer."""
        return math.exp(self.tagged.mean_log_p)


class _Read(NamedTuple):
    """What ranks a text: how sure the reader was of it, and the labels that were found, each once."""

    mean_log_p: float
    labels: tuple[str, ...]


class Proposer:
    """Proposals by `reader`; remembers how sure it was of each text, and which labels it found."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: OrderedDict[tuple[str, str, str], _Read] = OrderedDict()

    async def propose(self, domain: str, taught: Taught | None, examples: Sequence[Example]) -> list[Proposed | None]:
        """Proposals for the examples; None where none can be made: no labels, a busy backbone, an unreadable text."""
        answer = await self.read(domain, taught, [each.text for each in examples])
        if isinstance(answer, Refusal):
            return [None] * len(examples)
        reader = _reader(answer, taught)
        for each, tagged in zip(examples, answer.texts, strict=True):
            if not isinstance(tagged, Refusal):
                self._remember((domain, reader, each.id), tagged)
        version = answer.version
        return [None if isinstance(tagged, Refusal) else Proposed(version, tagged) for tagged in answer.texts]

    async def read(self, domain: str, taught: Taught | None, texts: Sequence[str]) -> Answer | Refusal:
        """What the live prompt finds in the texts; without one, what the labels alone find."""
        answer = await self._tagged(Ask(domain, tuple(texts)))
        if isinstance(answer, Refusal) and answer.reason is Reason.UNKNOWN_PROMPT and taught and taught.labels:
            return await self._tagged(Ask(None, tuple(texts), labels=taught.label_set()))
        return answer

    async def suggested(
        self, domain: str, taught: Taught | None, examples: Sequence[Example], count: int
    ) -> list[tuple[Example, float | None]]:
        """The examples, the `count` that are most worth labelling first, each with how sure the reader is of it.

        Reads at most `READ_AT_ONCE` of those not read before; the rest comes last, in the order given.
        """
        reader = await self.present(domain, taught)
        unread = [each for each in examples if (domain, reader, each.id) not in self._known]
        if unread:
            await self.propose(domain, taught, unread[:READ_AT_ONCE])
            reader = await self.present(domain, taught)
        looked_up = [(each, self._known.get((domain, reader, each.id))) for each in examples]
        ranked = sorted(
            ((each, read) for each, read in looked_up if read is not None), key=lambda pair: pair[1].mean_log_p
        )
        places = choose([Unlabelled.of(_words(each), *read) for each, read in ranked[: _RANKED * count]], count)
        rest = sorted({*range(len(ranked))} - {*places})
        known = [(each, math.exp(read.mean_log_p)) for each, read in (ranked[place] for place in (*places, *rest))]
        return [*known, *((each, None) for each, read in looked_up if read is None)]

    async def present(self, domain: str, taught: Taught | None) -> str:
        """What would read texts now: the live version, or the labels."""
        found = await self._reader.describe(domain, None)
        if not isinstance(found, Refusal):
            return found.version
        return content_key(taught.label_set()) if taught and taught.labels else ""

    async def _tagged(self, ask: Ask) -> Answer | Refusal:
        [answer] = await self._reader.tag([ask])
        return answer

    def _remember(self, key: tuple[str, str, str], tagged: TaggedText) -> None:
        labels = sorted({entity.label for entity in tagged.entities})
        self._known[key] = _Read(tagged.mean_log_p, tuple(labels))
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)


def _reader(answer: Answer, taught: Taught | None) -> str:
    if answer.version is not None:
        return answer.version
    assert taught is not None, "without a version the labels have read"
    return content_key(taught.label_set())


def _words(each: Example) -> list[str]:
    return [word.text for word in split_words(each.text)]
