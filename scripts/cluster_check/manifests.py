"""A folder for `kubectl apply -k`: every object against its schema, Ray's included.

Kubernetes' schemas come with a package. Those of KubeRay do not: `crds` is a folder with its CustomResourceDefinitions
(`ray-operator/config/crd/bases` of its repository). Without it only the pods in Ray's objects are checked.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

from scripts.cluster_check import references, service
from scripts.cluster_check.findings import Finding, Skipped, Tree, documents, walk
from scripts.cluster_check.schemas import faults, strict

KUBERNETES = "1.34"
_RAY = "ray.io/"
_KUSTOMIZATION = "kustomization.yaml"
# Folders with files that are not objects: named in a kustomization.
_RESOURCES, _CONFIGURATIONS = "resources", "configurations"


def check(folder: Path, *, crds: Path | None) -> Iterator[Finding | Skipped]:
    """A folder with a kustomization.yaml."""
    kustomization, wrong = _kustomization(folder)
    yield from wrong
    if kustomization is None:
        return
    named = [*kustomization.get(_RESOURCES, ()), *kustomization.get(_CONFIGURATIONS, ())]
    for file in sorted(folder.glob("*.yaml")):
        if file.name != _KUSTOMIZATION and file.name not in named:
            yield Finding(folder / _KUSTOMIZATION, _RESOURCES, f"{file.name} is beside it and not named")
    objects = []
    for name in kustomization.get(_RESOURCES, ()):
        if (folder / name).is_file():
            found, wrong = documents(folder / name)
            yield from wrong
            objects += [(folder / name, each) for each in found]
        elif not (folder / name).is_dir():
            yield Finding(folder / _KUSTOMIZATION, _RESOURCES, f"found {name!r}, expected a file or a folder")
    for file, document in objects:
        yield from check_object(document, file, crds=crds)
    if objects:
        yield from references.check(objects, kustomization, folder)
    yield from _rendered(folder)


def check_object(document: Tree, file: Path, *, crds: Path | None) -> Iterator[Finding | Skipped]:
    """One object of a file."""
    group, kind = str(document.get("apiVersion", "")), str(document.get("kind", ""))
    name = f"{kind} {(document.get('metadata') or {}).get('name', '?')}"
    if group.startswith(_RAY):
        yield from _ray_object(document, file, name, crds=crds)
    elif group.startswith("monitoring.coreos.com/") and kind == "PodMonitor":
        for key, message in faults(_pod_monitor(), document):
            yield Finding(file, f"{name}: {key}", message)
    else:
        yield from _validated(document, file, name, under="")


def _ray_object(document: Tree, file: Path, name: str, *, crds: Path | None) -> Iterator[Finding | Skipped]:
    kind = str(document["kind"])
    if crds is None:
        yield Skipped("schemas of KubeRay", "found no folder with its CustomResourceDefinitions (see --kuberay-crds)")
    else:
        schema = _definition(crds, kind)
        if schema is None:
            yield Finding(file, f"{name}: kind", f"found {kind!r}, expected one that {crds} defines")
        else:
            for key, message in faults(schema, document):
                yield Finding(file, f"{name}: {key}", message)
    for path, node in walk(document):
        for template in ("template", "submitterPodTemplate"):
            if isinstance(pod := node.get(template), dict) and "containers" in (pod.get("spec") or {}):
                made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **(pod.get("metadata") or {})}}
                place = f"{path}.{template}".lstrip(".")
                yield from _validated({**made, "spec": pod["spec"]}, file, name, under=place)
    spec = document.get("spec") or {}
    if isinstance(text := spec.get("serveConfigV2"), str):
        variables = references.variables(spec.get("rayClusterConfig") or {})
        try:
            config = yaml.safe_load(text)
        except yaml.YAMLError as error:
            yield Finding(file, f"{name}: spec.serveConfigV2", " ".join(str(error).split()))
        else:
            place = f"{name}: spec.serveConfigV2"
            yield from service.check_config(config, file, place, variables=variables)


def _validated(document: Tree, file: Path, name: str, *, under: str) -> Iterator[Finding]:
    """Validate against Kubernetes' own schema, one fault at a time."""
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(filter(None, [under, *map(str, error.path)]))
        message = str(error.message)
        yield Finding(file, f"{name}: {path or 'whole object'}", message if len(message) < 200 else "wrong type")
    except kubernetes_validate.SchemaNotFoundError:
        wrong = (
            f"found {document.get('apiVersion')} {document.get('kind')}, which Kubernetes {KUBERNETES} does not have"
        )
        yield Finding(file, f"{name}: kind", wrong)


def _kustomization(folder: Path) -> tuple[Tree | None, list[Finding]]:
    file = folder / _KUSTOMIZATION
    if not file.exists():
        return None, [Finding(file, "whole file", "found none, expected the list of what is applied")]
    found, wrong = documents(file)
    return (found[0] if found else None), wrong


def _rendered(folder: Path) -> Iterator[Finding | Skipped]:
    """Errors of kubectl itself for the folder, with the example in place of missing secrets."""
    tool = shutil.which("kubectl") or shutil.which("kustomize")
    if tool is None:
        yield Skipped("kubectl kustomize", "found neither kubectl nor kustomize")
        return
    with references.with_example_secrets(folder) as copied:
        command = [tool, "kustomize" if tool.endswith("kubectl") else "build", str(copied)]
        done = subprocess.run(
            [*command, "--load-restrictor", "LoadRestrictionsNone"], capture_output=True, text=True, timeout=120
        )
    if done.returncode:
        message = done.stderr.strip().splitlines()[-1].replace(f"{copied.parent}/", "")
        yield Finding(folder / _KUSTOMIZATION, "whole file", message)


@cache
def _definition(crds: Path, kind: str) -> Any:
    """The strict schema of a kind; None if no definition in the folder has it."""
    for file in sorted(crds.glob("*.yaml")):
        found = yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if isinstance(found, dict) and (found.get("spec") or {}).get("names", {}).get("kind") == kind:
            served = next(each for each in found["spec"]["versions"] if each["name"] == "v1")
            schema = strict(served["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            return schema
    return None


@cache
def _pod_monitor() -> Any:
    schema = strict(PodMonitor.model_json_schema(by_alias=True))
    schema["properties"]["metadata"] = {"type": "object"}
    return schema
