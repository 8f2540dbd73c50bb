"""References between objects: secrets and their keys, settings, accounts, and the pods of a selector."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cluster_check.containers import variables as variables_of
from scripts.cluster_check.findings import Finding, Tree, documents, walk


@dataclass(frozen=True, slots=True)
class Known:
    """Keys of the secrets and settings that will exist, by name; `offered`: those of the examples."""

    secrets: dict[str, frozenset[str]]
    settings: dict[str, frozenset[str]]
    offered: dict[str, frozenset[str]]


def check(objects: Iterable[tuple[Path, Tree]], kustomization: Tree, folder: Path) -> Iterator[Finding]:
    """Objects with their files, in a folder whose kustomization makes secrets and settings."""
    objects = list(objects)
    known = _known([each for _, each in objects], kustomization, folder)
    accounts = _accounts(objects, folder)
    pods = [labels for _, each in objects for labels in _pod_labels(each)]
    for file, document in objects:
        name = f"{document.get('kind')} {(document.get('metadata') or {}).get('name')}"
        for path, node in walk(document):
            for key, message in [*_secret(node, known), *_account(node, accounts)]:
                yield Finding(file, f"{name}: {path}.{key}", message)
        if document.get("kind") in ("NetworkPolicy", "PodDisruptionBudget", "PodMonitor"):
            for key, message in _selected(document, pods):
                yield Finding(file, f"{name}: {key}", message)


def variables(cluster: Tree) -> frozenset[str]:
    """Names of environment variables that every Ray container in a cluster's specification has."""
    found = [
        frozenset(str(each.get("name")) for each in container.get("env") or () if isinstance(each, dict))
        for _, node in walk(cluster)
        for container in node.get("containers") or ()
        if isinstance(container, dict)
    ]
    return frozenset.intersection(*found) if found else frozenset()


@contextmanager
def with_example_secrets(folder: Path) -> Iterator[Path]:
    """A copy of the folder and its surroundings in the checkout, with the example's secrets for missing ones."""
    root = next((each for each in (folder, *folder.parents) if (each / "pyproject.toml").exists()), folder.parent)
    with tempfile.TemporaryDirectory() as copied:
        for name in ("cluster", "examples"):
            if (root / name).is_dir():
                shutil.copytree(root / name, Path(copied) / name)
        own = Path(copied) / folder.resolve().relative_to(root.resolve())
        if not own.exists():
            shutil.copytree(folder, own)
        for example in Path(copied).rglob("secrets.example.env"):
            if not (wanted := example.with_name("secrets.env")).exists():
                shutil.copy(example, wanted)
        yield own


def _known(objects: list[Tree], kustomization: Tree, folder: Path) -> Known:
    generators = {kind: kustomization.get(f"{kind}Generator") or () for kind in ("secret", "configMap")}
    secrets, settings = ({each["name"]: _keys(each, folder) for each in those} for those in generators.values())
    offered = {each["name"]: _offered(each, folder) for those in generators.values() for each in those}
    for each in objects:
        kept = frozenset({**(each.get("data") or {}), **(each.get("stringData") or {})})
        if each.get("kind") == "Secret":
            secrets[each["metadata"]["name"]] = kept
        if each.get("kind") == "ConfigMap":
            settings[each["metadata"]["name"]] = kept
    return Known(secrets, settings, offered)


def _keys(generator: Tree, folder: Path) -> frozenset[str]:
    """Keys of a generator's secrets or settings; if the secrets are missing, those of the example next to them."""
    found = {each.partition("=")[0] for each in generator.get("literals") or ()}
    found |= {each.partition("=")[0].rpartition("/")[2] for each in generator.get("files") or ()}
    for name in generator.get("envs") or ():
        file = folder / name
        found |= variables_of(file if file.exists() else _example(file))
    return frozenset(found)


def _offered(generator: Tree, folder: Path) -> frozenset[str]:
    """Keys that the examples name."""
    return frozenset().union(*(variables_of(_example(folder / name)) for name in generator.get("envs") or ()))


def _example(file: Path) -> Path:
    return file.with_name(f"{file.stem}.example{file.suffix}")


def _secret(node: Tree, known: Known) -> Iterator[tuple[str, str]]:
    """Check the secrets and settings that a mapping of a document names."""
    for field, kept in (("secretKeyRef", known.secrets), ("configMapKeyRef", known.settings)):
        if isinstance(named := node.get(field), dict):
            if named.get("name") not in kept:
                yield f"{field}.name", _missing(field, named.get("name"), kept)
                continue
            offered = known.offered.get(named["name"], frozenset()) if named.get("optional") else frozenset()
            if named.get("key") not in (keys := kept[named["name"]] | offered):
                yield f"{field}.key", _missing("key", named.get("key"), keys)
    for field, kept in (("secretRef", known.secrets), ("configMapRef", known.settings), ("configMap", known.settings)):
        if isinstance(named := node.get(field), dict) and named.get("name") not in kept:
            yield f"{field}.name", _missing(field, named.get("name"), kept)
    if isinstance(named := node.get("secretName"), str):
        if named not in known.secrets:
            yield "secretName", _missing("secret", named, known.secrets)
        elif "mode" in node and "auth_token" not in known.secrets[named]:
            yield "secretName", f"the secret {named} has no key auth_token, which is Ray's token"


def _account(node: Tree, accounts: frozenset[str]) -> Iterator[tuple[str, str]]:
    named = node.get("serviceAccountName")
    if isinstance(named, str) and named not in accounts:
        yield "serviceAccountName", _missing("account", named, accounts)


def _missing(what: str, found: Any, known: Iterable[str]) -> str:
    return f"{what}: found {found!r}, expected one of {sorted(known)}"


def _accounts(objects: list[tuple[Path, Tree]], folder: Path) -> frozenset[str]:
    """Accounts of these objects, and of the folder `../base`, which is applied before."""
    beside = folder.parent / "base" / "service-accounts.yaml"
    found = [each for _, each in objects] + (documents(beside)[0] if beside.exists() else [])
    return frozenset(each["metadata"]["name"] for each in found if each.get("kind") == "ServiceAccount")


def _pod_labels(document: Tree) -> Iterator[dict[str, str]]:
    for path, node in walk(document):
        template = node.get("template")
        if isinstance(template, dict) and "containers" in (template.get("spec") or {}):
            labels = dict((template.get("metadata") or {}).get("labels") or {})
            if str(document.get("apiVersion", "")).startswith("ray.io/"):
                kind = "head" if path.endswith("headGroupSpec") else "worker"
                labels |= {"ray.io/node-type": kind, "ray.io/group": str(node.get("groupName", "headgroup"))}
            yield labels


def _selected(document: Tree, pods: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Findings for selectors that match no pod of ours, because of a misspelt label for example."""
    for path, node in walk(document.get("spec") or {}):
        if path.rpartition(".")[2] not in ("selector", "podSelector"):
            continue
        wanted = node.get("matchLabels") or {}
        if not any(wanted.items() <= pod.items() for pod in pods):
            yield f"spec.{path}.matchLabels", f"found {wanted}, which no pod here has"
