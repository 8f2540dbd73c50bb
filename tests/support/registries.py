"""Prompts for the tests of the registry, and damage to what is stored."""

from __future__ import annotations

from obstore.store import LocalStore, S3Store

from lightner.store.artifact import PromptArtifact
from tests.support.tiny import tiny_artifact, tiny_backbone

BACKBONE = tiny_backbone()


def artifact(seed: int = 0, domain: str = "movies") -> PromptArtifact:
    return tiny_artifact(BACKBONE, domain, seed=seed)


def seed_of(found: tuple[str, PromptArtifact]) -> object:
    return found[1].card.tuning["seed"]


def flip(store: LocalStore | S3Store, path: str, position: int) -> None:
    broken = bytearray(store.get(path).bytes())
    broken[position] ^= 1
    store.put(path, bytes(broken))
