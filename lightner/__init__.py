"""Few-shot named-entity recognition by prompt tuning of one frozen encoder-decoder (LightNER, Chen et al. 2022).

The rooms, from the ground up; each uses only those above it in this list (docs/tour.md walks through them):

    types, texts    values that travel between layers; texts as callers give them
    thresholds      which entities are kept, by their scores
    words           raw text to words and sentences, and back
    labels          label names and their words as callers give them
    data            file formats, sampling, inspection of a data set
    model           backbone, prompts, forward pass, decoding
    tagger          texts to entities: what service, annotation and evaluation all call
    evaluation      scores, intervals, calibration, confusions
    tuning          rules, training, cross-validation
    store           prompts on object storage: artefact, card, registry, lineage; on the hub
    pipelines       answers in the form of transformers' pipelines
    pretraining     how the embedded backbone is made
    spacy           a component of spaCy's pipelines
    jobs, service   what runs on Ray: tuning, annotation, pretraining; the HTTP service
    cli             the `lightner` command

`client` talks to a running service and needs none of these. Names below are imported when they are first used, so that
`import lightner` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightner.pipelines import pipeline as pipeline
    from lightner.store.hub import from_pretrained as from_pretrained
    from lightner.store.hub import push_backbone_to_hub as push_backbone_to_hub
    from lightner.store.hub import push_to_hub as push_to_hub
    from lightner.store.hub import save_pretrained as save_pretrained
    from lightner.store.loading import load as load
    from lightner.tagger import Tagger as Tagger
    from lightner.types import InputError as InputError

__version__ = "0.2.0"
__all__ = [
    "InputError", "Tagger", "__version__", "from_pretrained", "load", "pipeline", "push_backbone_to_hub", "push_to_hub",
    "save_pretrained",
]  # fmt: skip

_HOMES = {
    "InputError": "lightner.types",
    "Tagger": "lightner.tagger",
    "from_pretrained": "lightner.store.hub",
    "load": "lightner.store.loading",
    "pipeline": "lightner.pipelines",
    "push_backbone_to_hub": "lightner.store.hub",
    "push_to_hub": "lightner.store.hub",
    "save_pretrained": "lightner.store.hub",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
