"""Prompts and backbones on the Hugging Face hub: a repository is the files of one, its README a model card.

All that is sent and fetched goes through huggingface_hub: its cache, its token, its endpoint (`HF_ENDPOINT`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import huggingface_hub
import torch
from huggingface_hub import EvalResult, HfApi, ModelCardData

from lightner.model import backbone as backbones
from lightner.model import embedded
from lightner.model.hub_checkpoints import FAILURES, HUB_NAME, reason
from lightner.model.languages import split_language
from lightner.store import artifact as artifacts
from lightner.store import card as cards
from lightner.store.artifact import FILES, PromptArtifact
from lightner.store.card import JSON, Card
from lightner.store.loading import load, prompt_for, tagger_of
from lightner.store.untuned import artifact_from
from lightner.tagger import Tagger
from lightner.types import DISTRIBUTION, EMBEDDED, InputError

TAGS = ("lightner", "named-entity-recognition", "few-shot", "prompt-tuning")
_TASK = "token-classification"
_METRICS = ("precision", "recall", "f1")
_DOMAIN = "labels"  # of a prompt that was made of labels and never published


def from_pretrained(
    name: str | os.PathLike[str],
    *,
    backbone: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tagger:
    """A tagger from a prompt's folder, or from its repository on the hub, at a `revision` if one is given.

    Without `backbone`, the one that the prompt was tuned on, if it is the embedded one or has a name on the hub.

    Raises:
        InputError: there is no such folder or repository, the prompt is damaged, or was tuned on another backbone.
    """
    if Path(name).is_dir():
        return load(name, backbone=backbone, device=device, dtype=dtype)
    found = _fetched(os.fspath(name), revision, token)
    theirs = found.card.backbone_name
    chosen = backbone or (theirs if theirs != EMBEDDED and _on_hub(theirs) else None)
    base = backbones.load(chosen, device=device, dtype=dtype)
    return tagger_of(base, prompt_for(found, base), found)


def save_pretrained(
    tagger: Tagger, folder: str | os.PathLike[str], *, language: str | None = None, license: str | None = None
) -> None:
    """Write a tagger's prompt, without its backbone, into a new folder, as a repository on the hub has it.

    `language` and `license` are for the model card; the language is that of the backbone unless said.
    Raises InputError for a folder that exists.
    """
    artifacts.save_files(_files(tagger, language, license), folder)


def push_to_hub(
    tagger: Tagger,
    name: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    message: str = "Add a LightNER prompt",
    language: str | None = None,
    license: str | None = None,
) -> str:
    """Send a tagger's prompt to the repository `org/name`, which is made if it does not exist; returns its address.

    All files are one commit. Raises InputError for what the hub refuses.
    """
    with tempfile.TemporaryDirectory(prefix="lightner-hub-") as made:
        folder = Path(made) / "prompt"
        save_pretrained(tagger, folder, language=language, license=license)
        return _send(folder, name, private=private, revision=revision, token=token, message=message)


def push_backbone_to_hub(
    folder: str | os.PathLike[str],
    name: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    message: str = "Add a backbone for LightNER",
    language: str | None = None,
    license: str | None = None,
) -> str:
    """Send a backbone that `lightner pretrain` made to the repository `org/name`, as `push_to_hub` does a prompt.

    It is then loaded by that name. Raises InputError for a folder of another form, a damaged one, or what the hub
    refuses.
    """
    source = Path(folder)
    if not embedded.is_checkpoint(source):
        expected = "one that lightner pretrain made (transformers sends its own by model.push_to_hub)"
        raise InputError(f"{folder}: found no such backbone, expected {expected}")
    embedded.verify(source)
    header = ModelCardData(
        language=language, license=license, library_name=DISTRIBUTION, tags=[*TAGS, "backbone"]
    ).to_yaml()
    with tempfile.TemporaryDirectory(prefix="lightner-hub-") as made:
        sent = Path(made) / "backbone"
        shutil.copytree(source, sent, ignore=shutil.ignore_patterns(".*"))
        card = (source / embedded.CARD).read_text(encoding="utf-8")
        (sent / embedded.CARD).write_text(f"---\n{header}\n---\n\n{card}", encoding="utf-8")
        embedded.write_manifest(sent)
        return _send(sent, name, private=private, revision=revision, token=token, message=message)


def _send(
    folder: Path, name: str, *, private: bool | None, revision: str | None, token: str | bool | None, message: str
) -> str:
    """Make the repository if it is not there and commit the folder's files; returns the repository's address."""
    hub = HfApi(token=token)
    try:
        address = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, revision=revision, commit_message=message)
    except FAILURES as error:
        raise InputError(f"{name}: found a hub that refused it ({reason(error)}), expected to write there") from error
    return str(address)


def metadata(card: Card, *, language: str | None = None, license: str | None = None) -> ModelCardData:
    """What the hub reads of a model card: task, tags, language, backbone, and scores as its `model-index`."""
    place, marked = split_language(card.backbone_name)
    own = "en" if card.backbone_name == EMBEDDED else marked and marked.partition("_")[0]
    return ModelCardData(
        language=language or own,
        license=license,
        library_name=DISTRIBUTION,
        pipeline_tag=_TASK,
        tags=list(TAGS),
        base_model=place if _on_hub(place) else None,
        model_name=card.domain,
        eval_results=_results(card) or None,
    )


def _on_hub(backbone: str) -> bool:
    """Whether a backbone has a name on the hub, with or without a language."""
    return HUB_NAME.fullmatch(split_language(backbone)[0]) is not None


def _results(card: Card) -> list[EvalResult]:
    on: JSON = card.metrics.get("measured_on")
    return [
        EvalResult(
            task_type=_TASK,
            dataset_type=card.domain,
            dataset_name=on if isinstance(on, str) else card.domain,
            metric_type=metric,
            metric_value=value,
        )
        for metric in _METRICS
        if isinstance(value := card.metrics.get(metric), float)
    ]


def _files(tagger: Tagger, language: str | None, license: str | None) -> Mapping[str, bytes]:
    """The files of a tagger's prompt, the README with the hub's metadata before it."""
    if tagger.stored is not None:
        files = tagger.stored()
        card = artifacts.card_of(files, where="prompt")
    else:
        made = artifact_from(_DOMAIN, tagger.prompt, tagger.backbone)
        files, card = artifacts.to_files(made), made.card
    header = metadata(card, language=language, license=license).to_yaml()
    return artifacts.with_readme(files, f"---\n{header}\n---\n\n{cards.readme(card)}".encode())


def _fetched(name: str, revision: str | None, token: str | bool | None) -> PromptArtifact:
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, token=token, allow_patterns=list(FILES), library_name=DISTRIBUTION
        )
        there: Sequence[str] = [each for each in FILES if (Path(folder) / each).is_file()]
        files = {each: (Path(folder) / each).read_bytes() for each in there}
    except FAILURES as error:
        said = f"found no such folder, nor a prompt of that name on the hub ({reason(error)})"
        raise InputError(f"{name}: {said}, expected one of them") from error
    if sorted(files) != sorted(FILES):
        raise InputError(f"{name}: found files {sorted(files)}, expected a prompt: {sorted(FILES)}")
    return artifacts.from_edited(files, where=name)
