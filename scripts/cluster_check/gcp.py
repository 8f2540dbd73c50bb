"""Checks of a cluster-launcher file for Google Cloud: node settings against its own description of an instance.

The description of Compute Engine's interface comes with google-api-python-client. Nothing is asked of Google, so
whether a machine type or an image exists is not checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from scripts.cluster_check.findings import Finding, Tree
from scripts.cluster_check.schemas import faults, strict

_DOCUMENT = "discovery_cache/documents/compute.v1.json"
# Settings that Ray removes before it requests an instance.
_OF_RAY = ("sourceInstanceTemplate",)


def check(config: Tree, file: Path) -> Iterator[Finding]:
    """A configuration that Ray has prepared."""
    for name, node in config["available_node_types"].items():
        place = f"available_node_types.{name}"
        own = {key: value for key, value in node["node_config"].items() if key not in _OF_RAY}
        yield from (Finding(file, key, message) for key, message in faults(_instance(), own, f"{place}.node_config"))
        for key, message in _gpus(node):
            yield Finding(file, f"{place}.{key}", message)
    zone, region = config["provider"].get("availability_zone", ""), config["provider"].get("region", "")
    if not str(zone).startswith(f"{region}-"):
        yield Finding(file, "provider.availability_zone", f"found {zone!r}, expected a zone of {region!r}")


def _gpus(node: Tree) -> Iterator[tuple[str, str]]:
    """Check the stated GPUs: Ray does not ask Google what a machine has, so the file must be right."""
    own = node["node_config"]
    kind = re.fullmatch(r"g2-standard-(\d+)", str(own.get("machineType")))
    with_gpu = kind is not None or "guestAccelerators" in own
    found = node.get("resources", {})
    if with_gpu and not found.get("GPU"):
        yield "resources.GPU", f"found none, but {own['machineType']} has GPUs: Ray would never use them"
    if kind and found.get("CPU") != int(kind[1]):
        yield "resources.CPU", f"found {found.get('CPU')}, but {own['machineType']} has {kind[1]}"
    scheduling = own.get("scheduling")
    if with_gpu and (not isinstance(scheduling, dict) or scheduling.get("onHostMaintenance") != "TERMINATE"):
        yield "node_config.scheduling.onHostMaintenance", "expected TERMINATE: a machine with a GPU cannot be moved"


@cache
def _instance() -> Any:
    """JSON schema of an instance, from Google's description."""
    text = resources.files("googleapiclient").joinpath(_DOCUMENT).read_text(encoding="utf-8")
    known = {name: _translated(schema) for name, schema in json.loads(text)["schemas"].items()}
    return strict({"$ref": "#/$defs/Instance", "$defs": known})


def _translated(node: Any) -> Any:
    """Google's dialect as JSON schema: references by name, long numbers as text or number, no special keywords."""
    if isinstance(node, list):
        return [_translated(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": f"#/$defs/{node['$ref']}"}
    if node.get("type") == "string" and node.get("format") in ("int64", "uint64"):
        return {"type": ["string", "integer"]}
    kept = {name: value for name, value in node.items() if name in ("type", "enum", "items", "additionalProperties")}
    made = {name: _translated(value) if name != "enum" else value for name, value in kept.items()}
    if "properties" in node:
        made["properties"] = {name: _translated(value) for name, value in node["properties"].items()}
    return made
