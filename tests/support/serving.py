"""A backbone in a folder, three published domains and their offline answers, for tests of the service."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.labels import GivenLabels, label_set
from lightner.model import backbone as backbones
from lightner.model.backbone import Backbone
from lightner.model.untuned import label_prompt
from lightner.service.messages import Answer, Ask, Description, Family, Named, Reader, Refusal
from lightner.service.middleware import Keys
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits, Settings
from lightner.service.teaching.desk import Desk
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from lightner.texts import Text
from lightner.types import Entity, LabelSet, TaggedText
from tests.support.teaching import desk_of
from tests.support.tiny import save, tiny_artifact, tiny_backbone

# Domains of different prompt lengths and label sets.
DOMAINS = {
    "movies": (LabelSet.of(["PER", "LOC"]), 3, 2),
    "recipes": (LabelSet.of(["food", "time", "city group"]), 5, 0),
    "tickets": (LabelSet.of(["person"]), 0, 4),
}
TEXTS = (
    "Ada lives in Paris and likes soup.",
    "",
    "mary",
    "Emil\tand Mary of Oslo, on Monday: bread to Rome!",
    "the city of Rome " * 70 + "likes Ada",
)


@dataclass(frozen=True)
class Place:
    """A backbone in a folder, a registry next to it, and the settings that serve both."""

    backbone: Backbone
    folder: Path
    registry: Registry

    @property
    def settings(self) -> Settings:
        return Settings(registry=self.registry.url, backbone=str(self.folder))

    def artifact(self, domain: str, seed: int = 1) -> PromptArtifact:
        labels, length, slots = DOMAINS.get(domain, DOMAINS["movies"])
        return tiny_artifact(self.backbone, domain, labels=labels, length=length, slots=slots, seed=seed)

    def publish(self, domain: str, seed: int = 1) -> str:
        return self.registry.publish(self.artifact(domain, seed)).version

    def offline(self, domain: str, text: Text, seed: int = 1) -> TaggedText:
        """The library's answers, one text at a time."""
        prompt = prompt_for(self.artifact(domain, seed), self.backbone)
        return tag_texts(self.backbone, [(prompt, text)])[0]

    def offline_labels(self, labels: GivenLabels, text: Text) -> TaggedText:
        """The library's answers with labels alone, one text at a time."""
        return tag_texts(self.backbone, [(label_prompt(self.backbone, label_set(labels)), text)])[0]

    def corrupt(self, domain: str, version: str) -> None:
        """Change one byte of a published prompt."""
        path = Path(self.registry.url) / domain / "versions" / version / "prompt.safetensors"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


# A batch's other rows change how a float32 sum is rounded; a tiny random model magnifies that.
SCORE_TOLERANCE = 1e-4


def prepare(root: Path) -> Place:
    """A tiny random backbone and a registry of `DOMAINS` below `root`."""
    tiny = tiny_backbone()
    folder = root / "backbone"
    save(tiny, folder)
    place = Place(backbones.load(str(folder)), folder, Registry.open(os.fspath(root / "prompts")))
    for domain in DOMAINS:
        place.publish(domain)
    return place


def prepare_with_damage(root: Path) -> Place:
    """`prepare`, and a domain `damaged` whose only version is corrupt."""
    place = prepare(root)
    place.corrupt("damaged", place.publish("damaged"))
    return place


def entities_of(tagged: TaggedText) -> list[dict[str, object]]:
    """A text's entities in JSON form; scores within `SCORE_TOLERANCE`."""
    return [
        {
            "start": each.start,
            "end": each.end,
            "text": each.text,
            "label": each.label,
            "score": pytest.approx(each.score, rel=SCORE_TOLERANCE),
        }
        for each in tagged.entities
    ]


def roughly(scored: Mapping[str, Any]) -> dict[str, Any]:
    """What has a score in JSON form, its score within `SCORE_TOLERANCE`."""
    return {**scored, "score": pytest.approx(scored["score"], rel=SCORE_TOLERANCE)}


def connect(
    reader: Reader,
    *,
    read: str | None = None,
    admin: str | None = None,
    limits: RequestLimits | None = None,
    desk: Desk | None = None,
    annotate: str | None = None,
    root_path: str = "",
) -> httpx.AsyncClient:
    """A client of the service over `reader`, in this process; the service's own address is below `root_path`."""
    app = create_app(
        reader,
        keys=Keys(read, admin, annotate),
        limits=limits or RequestLimits(),
        desk=desk or desk_of("memory:///", reader),
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path=root_path), base_url="http://service")


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """The problem document, if it is the expected one."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    document = answer.json()
    assert (document["status"], document["type"]) == (status, f"urn:lightner:problem:{kind}")
    assert document["detail"]
    assert document["title"]
    return document


HOSTILE = """<img src=x onerror="document.title='taken'"><script>document.title='taken'</script> mary & <b>Oslo</b>"""


class Hostile:
    """A reader in which every name is an attack."""

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        entity = Entity(0, 4, "mary", HOSTILE, 0.5)
        return [Answer(HOSTILE, HOSTILE, (TaggedText((entity,), 1),)) for _ in asks]

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        return Description(domain, HOSTILE, {"labels": [HOSTILE, "\u202ereversed", "__proto__"]})

    async def domains(self) -> list[str] | Refusal:
        return ["movies", HOSTILE, "../../x?y#z"]

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        raise AssertionError("not asked here")

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        raise AssertionError("not asked here")

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        raise AssertionError("not asked here")

    async def metrics(self) -> list[Family]:
        raise AssertionError("not asked here")

    async def backbone(self) -> str:
        return HOSTILE
