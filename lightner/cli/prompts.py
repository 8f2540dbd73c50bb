"""`lightner prompts`: published prompts, and their live versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lightner.cli import values
from lightner.cli.parameters import Command, Decorated, Parsed, example, json_option, registry_option
from lightner.jobs import command
from lightner.jobs.options import LIVE

if TYPE_CHECKING:
    from lightner.store.registry import Registry


@click.group()
def prompts() -> None:
    """List, inspect and verify published prompts; move and roll back aliases; remove old versions."""


def alias_option(function: Decorated) -> Decorated:
    """`--alias`: what is moved."""
    return click.option("--alias", default=LIVE, metavar="NAME", help=f"(default: {LIVE})")(function)


@prompts.command("list", cls=Command, epilog=example("lightner prompts list", "lightner prompts list recipes --json"))
@click.argument("domain", required=False, metavar="[DOMAIN]")
@registry_option
@json_option
def list_prompts(domain: str | None, registry: str, as_json: bool) -> int:
    """List the domains with their live version, or the versions of DOMAIN with their aliases."""

    def work() -> None:
        found = _opened(registry)
        _print(_versions(found, domain) if domain else _domains(found), as_json=as_json)

    return command.exit_status(work)


@prompts.command(
    cls=Command, epilog=example("lightner prompts show recipes", "lightner prompts show recipes v000001 --json")
)
@click.argument("domain")
@click.argument("reference", default=LIVE, metavar="[REF]")
@registry_option
@json_option
def show(domain: str, reference: str, registry: str, as_json: bool) -> int:
    """Print the card of a version: labels, backbone, how it was tuned, its scores. REF is an alias or a version."""

    def work() -> None:
        from lightner.store import card as cards

        version, artifact = _opened(registry).fetch(domain, reference)
        if as_json:
            card = json.loads(cards.to_json(artifact.card))
            click.echo(json.dumps({"domain": domain, "version": version, "card": card}, ensure_ascii=False, indent=2))
        else:
            click.echo(f"{domain} {version}\n\n{cards.readme(artifact.card).strip()}")

    return command.exit_status(work)


@prompts.command(cls=Command, epilog=example("lightner prompts verify", "lightner prompts verify recipes v000001"))
@click.argument("domain", required=False, metavar="[DOMAIN]")
@click.argument("version", required=False, metavar="[VERSION]")
@registry_option
@json_option
def verify(domain: str | None, version: str | None, registry: str, as_json: bool) -> int:
    """Read every byte of one version, a domain's, or the whole registry's versions; compare it with their manifests.

    Exit status 1 if one is damaged.
    """
    rows: list[dict[str, Any]] = []

    def work() -> None:
        from lightner.types import InputError

        found = _opened(registry)
        for each in (domain,) if domain else found.domains():
            for one in (version,) if version else found.versions(each):
                found.resolve(each, one)  # a missing version is a mistake of the caller, a damaged one is not
                try:
                    found.verify(each, one)
                    fault = ""
                except InputError as error:
                    fault = str(error)
                rows.append({"domain": each, "version": one, "sound": not fault, "fault": fault})
        _print(rows, as_json=as_json)

    return command.exit_status(work) or int(not all(row["sound"] for row in rows))


@prompts.command(
    cls=Command,
    epilog=example("lightner prompts promote recipes candidate", "lightner prompts promote recipes v000002"),
)
@click.argument("domain")
@click.argument("reference", metavar="REF")
@alias_option
@registry_option
def promote(domain: str, reference: str, alias: str, registry: str) -> int:
    """Let an alias name the version REF (a version, or what another alias names); a running service follows."""

    def work() -> None:
        found = _opened(registry)
        version = found.resolve(domain, reference)
        found.set_alias(domain, alias, version)
        click.echo(f"{domain} {version} is {alias} in {registry}")

    return command.exit_status(work)


@prompts.command(cls=Command, epilog=example("lightner prompts rollback recipes"))
@click.argument("domain")
@alias_option
@registry_option
def rollback(domain: str, alias: str, registry: str) -> int:
    """Let an alias name the version that it named before. Repeated, it goes back once more."""

    def work() -> None:
        version = _opened(registry).rollback(domain, alias)
        click.echo(f"{domain} {version} is {alias} in {registry}")

    return command.exit_status(work)


@prompts.command(cls=Command, epilog=example("lightner prompts gc recipes --keep 5"))
@click.argument("domain")
@click.option("--keep", required=True, type=Parsed(values.at_least(1)), metavar="N", help="the newest N versions stay")
@registry_option
@json_option
def gc(domain: str, keep: int, registry: str, as_json: bool) -> int:
    """Delete old versions of DOMAIN, except those that an alias names or that a rollback would return to."""

    def work() -> None:
        found = _opened(registry)
        found.versions(domain)
        deleted = found.collect_garbage(domain, keep=keep)
        if as_json:
            click.echo(json.dumps({"domain": domain, "deleted": list(deleted)}))
        else:
            click.echo(f"deleted {len(deleted)} versions of {domain}" + "".join(f" {each}" for each in deleted))

    return command.exit_status(work)


def _opened(url: str) -> Registry:
    from lightner.store.registry import Registry

    return Registry.open(url).must_exist()


def _domains(registry: Registry) -> list[dict[str, Any]]:
    rows = []
    for domain in registry.domains():
        versions, aliases = registry.versions(domain), _aliases(registry, domain)
        live = aliases.get(LIVE)
        backbone = _backbone(registry, domain, live) if live else None
        counted = {"versions": len(versions), "aliases": aliases}
        rows.append({"domain": domain, "live": live, **counted, "backbone": backbone})
    return rows


def _versions(registry: Registry, domain: str) -> list[dict[str, Any]]:
    versions, aliases = registry.versions(domain), _aliases(registry, domain)
    return [
        {
            "version": version,
            "aliases": [name for name, named in aliases.items() if named == version],
            "backbone": _backbone(registry, domain, version),
        }
        for version in versions
    ]


def _backbone(registry: Registry, domain: str, version: str) -> str:
    """The backbone that the version was tuned on; `unreadable` if its card is damaged, which `verify` explains."""
    from lightner.types import InputError

    try:
        return registry.card(domain, version).backbone_label
    except InputError:
        return "unreadable"


def _aliases(registry: Registry, domain: str) -> dict[str, str]:
    """The aliases; empty if none was ever set, since a version is published before its alias."""
    from lightner.store.registry import UnknownPrompt

    try:
        return dict(registry.aliases(domain))
    except UnknownPrompt:
        return {}


def _print(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print JSON, or columns under their names."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    if not rows:
        click.echo("nothing is published here")
        return
    names = list(rows[0])
    lines = [names, *([_cell(row[name]) for name in names] for row in rows)]
    wide = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, wide, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={named}" for name, named in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "-")
