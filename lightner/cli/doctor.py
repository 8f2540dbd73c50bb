"""`lightner doctor`: report what this machine has, what is missing or broken, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from lightner.cli import checks, values
from lightner.cli.checks import Finding, State
from lightner.cli.parameters import Command, Parsed, backbone_option, example, json_option, registry_option
from lightner.jobs import command

_MARKS = {State.SOUND: "ok", State.WARNING: "warning", State.BROKEN: "BROKEN"}


@click.command(cls=Command, epilog=example("lightner doctor", "lightner doctor --registry s3://bucket/prompts --json"))
@registry_option
@click.option(
    "--storage",
    type=Parsed(values.place, completes="dir"),
    default=lambda: str(command.home() / "runs"),
    metavar="URL",
    help="checkpoints of tuning (default: ~/.lightner/runs)",
)
@backbone_option
@click.option(
    "--port", type=Parsed(values.at_least(1)), default=8000, metavar="N", help="of lightner serve (default: 8000)"
)
@click.option("--quick", is_flag=True, help="do not start a Ray, which takes about ten seconds")
@json_option
def doctor(registry: str, storage: str, backbone: str | None, port: int, quick: bool, as_json: bool) -> int:
    """Check this machine: versions, memory, disk, ports, Ray, prompt store, GPU, backbone.

    Says for each problem how to mend it, and changes nothing; in a store on object storage it writes an object to try
    whether that works. Exit status 1 if something is broken.
    """
    findings = [
        *checks.versions(),
        checks.memory(),
        *checks.disk([str(command.home()), "/tmp"]),  # noqa: S108 - Ray's folder for what does not fit into memory
        checks.port(port),
        checks.ray(start=not quick),
        checks.registry(registry),
        checks.storage(storage),
        checks.gpu(),
        checks.backbone(backbone),
    ]
    click.echo(_json(findings) if as_json else "\n".join(_lines(findings)))
    return int(any(each.state is State.BROKEN for each in findings))


def _json(findings: list[Finding]) -> str:
    return json.dumps([{**asdict(each), "state": _MARKS[each.state].lower()} for each in findings], indent=2)


def _lines(findings: list[Finding]) -> list[str]:
    wide = max(len(each.subject) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{_MARKS[each.state]:<7}  {each.subject:<{wide}}  {each.found}")
        if each.remedy:
            lines.append(f"{'':<7}  {'':<{wide}}  -> {each.remedy}")
    return lines
