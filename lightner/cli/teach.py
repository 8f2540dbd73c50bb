"""`lightner teach`: the service and its page on this machine, to label, tune and try in the browser."""

from __future__ import annotations

import os
import secrets
import webbrowser
from typing import Any
from urllib.parse import quote

import click

from lightner.cli import values
from lightner.cli.own_service import listen_options, machine_cpus, must_have_ray, must_see_gpu, serve_here
from lightner.cli.parameters import Command, Parsed, backbone_option, example, registry_option
from lightner.jobs import command

_KEY = "LIGHTNER_ADMIN_KEY"
_KEY_BYTES = 24


@click.command(
    cls=Command,
    epilog=example("lightner teach", "lightner teach --registry FOLDER --port 8080 --no-browser"),
)
@registry_option
@backbone_option
@click.option(
    "--storage",
    type=Parsed(values.place, completes="dir"),
    default=lambda: str(command.home() / "runs"),
    metavar="URL",
    help="checkpoints of tunings (default: ~/.lightner/runs)",
)
@listen_options
@click.option("--gpu", is_flag=True, help="tune on a GPU; the service computes on the CPU")
@click.option("--no-browser", is_flag=True, help="only print the address")
def teach(**given: Any) -> int:
    """Teach a domain in the browser: name labels, correct what is proposed, tune, try.

    Starts its own Ray and the service on a registry that may be empty, prints the address with the key that opens it,
    opens the browser there, and ends with Ctrl-C or SIGTERM.
    """
    must_have_ray()
    return command.exit_status(lambda: _teach(**given), RuntimeError)


def _teach(*, host: str, port: int, gpu: bool, no_browser: bool, **given: Any) -> None:
    from lightner.service.settings import Settings, TuningSettings
    from lightner.store.registry import Registry
    from lightner.types import check_key

    registry = Registry.open(given["registry"])
    registry.must_be_writable()
    if gpu:
        must_see_gpu()
    # Ray's processes inherit it; in their configuration it would be shown to whoever may see that.
    key = os.environ.setdefault(_KEY, secrets.token_urlsafe(_KEY_BYTES))
    check_key(key, _KEY)
    cpus = machine_cpus()
    settings = Settings(
        registry=registry.url,
        backbone=command.backbone_name(given["backbone"]),
        num_cpus=cpus,
        tuning=TuningSettings(storage=given["storage"], gpu=gpu),
    )

    def ready(address: str) -> None:
        opened = f"{address}/teach#key={quote(key, safe='')}"
        click.echo(opened)
        click.echo(f"teaching into {registry.url}; Ctrl-C ends it", err=True)
        if not no_browser:
            webbrowser.open(opened)

    # As many CPUs again for tunings, which share the machine's with the service, and one for everything else.
    serve_here(settings, host=host, port=port, cpus=2 * cpus + 1, ready=ready)
