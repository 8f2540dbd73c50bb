"""Cluster-launcher files: Ray's own validation, then the cloud's checks of each kind of node, then our own rules."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
from ray.autoscaler._private.util import prepare_config, validate_config

import lightner
from scripts.cluster_check import aws, gcp
from scripts.cluster_check.findings import Finding, Skipped, Tree, documents

WHEELS = "dist"
_CLOUDS = {"aws": aws.check, "gcp": gcp.check}
_TOKEN_PATH = re.compile(r'RAY_AUTH_TOKEN_PATH="?(?:\$HOME|~)/([^"\s]+)')


def check(file: Path, *, checkout: Path) -> Iterator[Finding | Skipped]:
    """A file for `ray up`, started in `checkout`."""
    found, wrong = documents(file)
    yield from wrong
    if len(found) != 1:
        return
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray prints here that it mounts single files
            config = prepare_config(found[0])
            validate_config(config)
    except jsonschema.ValidationError as error:
        yield Finding(file, ".".join(map(str, error.absolute_path)) or "whole file", error.message)
        return
    except Exception as error:
        yield Finding(file, "whole file", " ".join(str(error).split()))
        return
    ours = [Finding(file, key, message) for key, message in [*_rules(config), *_mounts(config, checkout)]]
    ours += [Finding(file, *wrong) for wrong in _wheel(checkout)]
    yield from ours
    if not (checkout / WHEELS).exists():
        yield Skipped("the wheel that nodes install", f"found no {WHEELS}/, which `make wheel` makes before `ray up`")
    if ours:
        return  # a cloud takes long to simulate, and its findings can wait
    cloud = _CLOUDS.get(config["provider"]["type"])
    if cloud is None:
        yield Finding(file, "provider.type", f"found {config['provider']['type']!r}, expected {sorted(_CLOUDS)}")
    else:
        yield from cloud(config, file)


def _rules(config: Tree) -> Iterator[tuple[str, str]]:
    head = config["head_node_type"]
    node = config["available_node_types"][head]
    place = f"available_node_types.{head}"
    if node.get("resources") != {"CPU": 0}:
        yield f"{place}.resources", f"found {node.get('resources')}, expected {{'CPU': 0}}: the head does no work"
    for name, each in config["available_node_types"].items():
        if name != head and each.get("min_workers", 0) > each.get("max_workers", 0):
            yield f"available_node_types.{name}.max_workers", "less than min_workers"
    shell = "\n".join(config["setup_commands"])
    if "RAY_AUTH_MODE=token" not in shell:
        yield "setup_commands", "found no RAY_AUTH_MODE=token: whoever reaches a port may run code on the cluster"
    token = _TOKEN_PATH.search(shell)
    if token is None:
        yield "setup_commands", "found no RAY_AUTH_TOKEN_PATH in the home folder: nodes would start without the token"
    elif f"~/{token[1]}" not in config["file_mounts"]:
        yield "file_mounts", f"the secret ~/{token[1]}, which RAY_AUTH_TOKEN_PATH names, is copied to no node"


def _mounts(config: Tree, checkout: Path) -> Iterator[tuple[str, str]]:
    for target, source in config["file_mounts"].items():
        made = str(source) == WHEELS
        if not made and not str(source).startswith(("~", "/")) and not (checkout / str(source)).exists():
            yield f"file_mounts.{target}", f"found {source!r}, expected a path of the checkout"


def _wheel(checkout: Path) -> Iterator[tuple[str, str]]:
    """Check the wheel that `make wheel` has built, if any: nodes install the newest file there."""
    found = sorted(each.name for each in (checkout / WHEELS).glob("*"))
    wanted = f"lightner_ray-{lightner.__version__}-"
    if (checkout / WHEELS).exists() and not (len(found) == 1 and found[0].startswith(wanted)):
        yield f"file_mounts.{WHEELS}", f"found {found}, expected the wheel of {lightner.__version__} alone: make wheel"
