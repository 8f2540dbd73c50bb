"""Serve configurations: Ray's own schema, keys that it ignores, our application's settings, and the read key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    LoggingConfig,
    ServeApplicationSchema,
    ServeDeploySchema,
)

from lightner.service.settings import Limits, Settings
from scripts.cluster_check.findings import Finding, Tree, documents

READ_KEY = "LIGHTNER_READ_KEY"
_OURS = ("lightner.service.app:build", "serve.app:build")


def check(file: Path) -> Iterator[Finding]:
    """A file for `serve deploy`."""
    found, wrong = documents(file)
    yield from wrong
    for document in found:
        yield from check_config(document, file, "")


def check_config(config: Any, file: Path, under: str, *, variables: frozenset[str] | None = None) -> Iterator[Finding]:
    """Check a configuration at key `under` of a file; `variables` are those of the nodes, if known."""
    if not isinstance(config, Mapping):
        yield Finding(file, under or "whole file", "expected a mapping")
        return
    faults = [*_unknown(dict(config)), *_invalid(ServeDeploySchema, config, ())]
    for path, message in faults:
        yield Finding(file, _key(under, path), message)
    for number, application in enumerate(config.get("applications") or ()):
        if isinstance(application, Mapping) and application.get("import_path") in _OURS:
            for path, message in _ours(dict(application), variables):
                yield Finding(file, _key(under, ("applications", number, *path)), message)


def _unknown(config: Tree) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Keys that Ray's schema silently drops."""
    yield from _extra(config, ServeDeploySchema, ())
    yield from _extra(config.get("http_options"), HTTPOptionsSchema, ("http_options",))
    yield from _extra(config.get("logging_config"), LoggingConfig, ("logging_config",))
    for number, application in enumerate(config.get("applications") or ()):
        place = ("applications", number)
        yield from _extra(application, ServeApplicationSchema, place)
        if not isinstance(application, Mapping):
            continue
        for index, deployment in enumerate(application.get("deployments") or ()):
            yield from _extra(deployment, DeploymentSchema, (*place, "deployments", index))


def _extra(node: Any, model: type[pydantic.BaseModel], place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if not isinstance(node, Mapping):
        return
    known = {name for name, each in model.model_fields.items()} | {
        each.alias for each in model.model_fields.values() if each.alias
    }
    for name in sorted(set(node) - known):
        yield (*place, name), f"unknown key, expected one of {sorted(known)}"


def _ours(application: Tree, variables: frozenset[str] | None) -> Iterator[tuple[tuple[Any, ...], str]]:
    settings = application.get("args") or {}
    yield from _invalid(Settings, settings, ("args",))
    for number, deployment in enumerate(application.get("deployments") or ()):
        if isinstance(deployment, Mapping) and deployment.get("user_config") is not None:
            yield from _invalid(Limits, deployment["user_config"], ("deployments", number, "user_config"))
    needs_key = isinstance(settings, Mapping) and settings.get("require_key")
    if needs_key and variables is not None and READ_KEY not in variables:
        yield ("args", "require_key"), f"the service needs {READ_KEY}, and its nodes have no such variable"


def _invalid(
    model: type[pydantic.BaseModel], document: Any, place: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], str]]:
    try:
        model.model_validate(document)
    except pydantic.ValidationError as error:
        for each in error.errors():
            message = "unknown key" if each["type"] == "extra_forbidden" else each["msg"]
            yield (*place, *each["loc"]), message


def _key(under: str, path: tuple[Any, ...]) -> str:
    return ".".join(map(str, [*filter(None, [under]), *path])) or "whole file"
