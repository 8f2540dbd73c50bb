"""A component of spaCy: `nlp.add_pipe("lightner", config={"domain": "recipes", "registry": "s3://bucket/prompts"})`.

It adds a prompt's entities to `doc.ents`, each with its score in `span._.score`. spaCy finds it by the entry point
`spacy_factories`; importing this module registers it as well. docs/spacy.md has its options and rules.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span

from lightner.data.formats.spacy import SPANS_KEY
from lightner.labels import label_set
from lightner.model import backbone as backbones
from lightner.store import artifact as artifacts
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.store.untuned import untuned_artifact
from lightner.tagger import BATCH_SIZE, Tagger
from lightner.thresholds import GivenThreshold, Thresholds
from lightner.types import Entity, InputError

_logger = logging.getLogger(__name__)

ALIGNMENTS = ("expand", "contract", "strict")
SCORE = "score"
_OF_LABELS = "labels"  # what a prompt made of labels is called


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A component's configuration. Raises InputError for one that cannot be used."""

    domain: str | None
    labels: tuple[str, ...]
    registry: str | None
    prompt: str
    backbone: str | None
    device: str
    threshold: GivenThreshold
    alignment: str
    overwrite_ents: bool
    spans_key: str | None

    def __post_init__(self) -> None:
        if (self.domain is None) == (not self.labels):
            found = "neither" if self.domain is None else "both"
            raise InputError(f"lightner: found {found} of 'domain' and 'labels', expected one of them")
        if self.domain is not None and self.registry is None:
            raise InputError("lightner: found no 'registry', expected a folder or an address, or LIGHTNER_REGISTRY")
        if self.alignment not in ALIGNMENTS:
            raise InputError(f"lightner: alignment: found {self.alignment!r}, expected one of {list(ALIGNMENTS)}")
        Thresholds.of(self.threshold)


class Component:
    """Tags documents with one prompt, which is loaded when it is first needed.

    So a pipeline that was saved with its prompt is loaded without the registry. The backbone is never saved.
    """

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self._artifact: PromptArtifact | None = None
        self._tagger: Tagger | None = None
        self._process = os.getpid()
        if not Span.has_extension(SCORE):
            Span.set_extension(SCORE, default=None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the prompt; before it is loaded those given. spaCy asks while it loads a pipeline."""
        return self.options.labels if self._artifact is None else self._artifact.card.labels

    def __call__(self, doc: Doc) -> Doc:
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = BATCH_SIZE) -> Iterator[Doc]:
        """Tag documents, several at a time, in their order."""
        docs = iter(stream)
        while batch := list(islice(docs, batch_size)):
            tagger = self._loaded()
            options = self.options
            if tagger.prompt.nested and options.spans_key is None:
                options = replace(options, spans_key=SPANS_KEY)
            found = tagger.tag([doc.text for doc in batch], threshold=options.threshold)
            for doc, entities in zip(batch, found, strict=True):
                annotate(doc, entities, options)
                yield doc

    def to_disk(self, path: str | os.PathLike[str], *, exclude: Sequence[str] = ()) -> None:
        """Write the prompt's files into a folder; the backbone stays where it is."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self._files().items():
            (folder / name).write_bytes(content)

    def from_disk(self, path: str | os.PathLike[str], *, exclude: Sequence[str] = ()) -> Component:
        """Take the prompt from what `to_disk` wrote. Raises InputError if it is damaged."""
        return self._with(artifacts.load(path))

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """The prompt's files as bytes."""
        content: bytes = srsly.msgpack_dumps(self._files())
        return content

    def from_bytes(self, content: bytes, *, exclude: Sequence[str] = ()) -> Component:
        """Take the prompt from what `to_bytes` gave. Raises InputError if it is damaged."""
        return self._with(artifacts.from_files(srsly.msgpack_loads(content), where=self.name))

    def __getstate__(self) -> Mapping[str, Any]:
        """For other processes: all but the model, which each loads for itself."""
        return {"name": self.name, "options": self.options, "files": self._files()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["name"], state["options"])  # type: ignore[misc]
        self._with(artifacts.from_files(state["files"], where=self.name))

    def _with(self, artifact: PromptArtifact) -> Component:
        self._artifact, self._tagger = artifact, None
        return self

    def _files(self) -> dict[str, bytes]:
        if self._artifact is None:
            self._loaded()
        assert self._artifact is not None
        return artifacts.to_files(self._artifact)

    def _loaded(self) -> Tagger:
        if os.getpid() != self._process:
            # A forked process (`nlp.pipe(..., n_process=2)`) has none of the threads that torch would wait for.
            torch.set_num_threads(1)
            self._process = os.getpid()
        if self._tagger is None:
            options = self.options
            base = backbones.load(options.backbone, device=options.device)
            if self._artifact is None:
                self._artifact = _found(options) or untuned_artifact(_OF_LABELS, label_set(options.labels), base)
            self._tagger = Tagger(base, prompt_for(self._artifact, base))
        return self._tagger


@Language.factory(  # type: ignore[untyped-decorator]
    "lightner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", f"span._.{SCORE}"],
    default_config={
        "domain": None, "labels": [], "registry": None, "prompt": "live", "backbone": None, "device": "cpu",
        "threshold": 0.0, "alignment": "expand", "overwrite_ents": False, "spans_key": None,
    },
)  # fmt: skip
def make(
    nlp: Language,
    name: str,
    *,
    domain: str | None,
    labels: list[str],
    registry: str | None,
    prompt: str,
    backbone: str | None,
    device: str,
    threshold: float | str,
    alignment: str,
    overwrite_ents: bool,
    spans_key: str | None,
) -> Component:
    """The component for a pipeline's configuration. Raises InputError for one that cannot be used."""
    options = Options(
        domain=domain,
        labels=tuple(labels),
        registry=registry or os.environ.get("LIGHTNER_REGISTRY"),
        prompt=prompt,
        backbone=backbone,
        device=device,
        threshold=cast("GivenThreshold", threshold),
        alignment=alignment,
        overwrite_ents=overwrite_ents,
        spans_key=spans_key,
    )
    return Component(name, options)


def _found(options: Options) -> PromptArtifact | None:
    """The published prompt; None if labels are given in place of a domain."""
    if options.domain is None or options.registry is None:
        return None
    return Registry.open(options.registry).must_exist().fetch(options.domain, options.prompt)[1]


def annotate(doc: Doc, entities: Sequence[Entity], options: Options) -> None:
    """Add entities to `doc.ents`: no two share a token, and which one counts is a rule of docs/spacy.md."""
    spans = [(_aligned(doc, entity, options.alignment), entity.score) for entity in entities]
    placed = [(span, score) for span, score in spans if span is not None]
    for span, score in placed:
        span._.set(SCORE, score)
    if options.spans_key is not None:
        doc.spans[options.spans_key] = [span for span, _ in placed]
    likeliest = [span for span, _ in sorted(placed, key=lambda pair: -pair[1])]
    before = list(doc.ents)
    kept: list[Any] = []
    for span in [*likeliest, *before] if options.overwrite_ents else [*before, *likeliest]:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    doc.set_ents(sorted(kept, key=lambda span: int(span.start)), default="outside")
    if left_out := len(entities) + len(before) - len(kept):
        _logger.info("%d of %d entities left out of doc.ents", left_out, len(entities) + len(before))


def _aligned(doc: Doc, entity: Entity, alignment: str) -> Any:
    """The tokens of an entity; None if `alignment` leaves none."""
    return doc.char_span(entity.start, entity.end, label=entity.label, alignment_mode=alignment)
