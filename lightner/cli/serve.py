"""`lightner serve`: the service on this machine, with its own Ray, which ends with it."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli.own_service import listen_options, machine_cpus, must_have_ray, must_see_gpu, serve_here
from lightner.cli.parameters import Command, OneOf, backbone_option, example, registry_option
from lightner.jobs import command


@click.command(
    cls=Command,
    epilog=example("lightner serve", "lightner serve --registry s3://bucket/prompts --port 8080"),
)
@registry_option
@backbone_option
@listen_options
@click.option("--gpu", is_flag=True, help="compute on a GPU")
@click.option(
    "--dtype", type=OneOf(["float32", "bfloat16"]), default="float32", help="of the weights (default: float32)"
)
def serve(host: str, port: int, gpu: bool, **given: Any) -> int:
    """Serve the prompts of a registry over HTTP, on this machine, until Ctrl-C or SIGTERM.

    Starts its own Ray and stops all that it started. Callers need a key if LIGHTNER_READ_KEY is set (docs/serving.md).
    On a cluster: `serve deploy serve/config.yaml`.
    """
    must_have_ray()
    return command.exit_status(lambda: _serve(host, port, gpu=gpu, **given), RuntimeError)


def _serve(host: str, port: int, *, gpu: bool, **given: Any) -> None:
    from lightner.service.settings import Settings
    from lightner.store.registry import Registry

    registry = Registry.open(given["registry"]).must_exist()
    domains = registry.domains()
    if gpu:
        must_see_gpu()
    cpus = machine_cpus()
    settings = Settings(
        registry=registry.url,
        backbone=command.backbone_name(given["backbone"]),
        dtype=given["dtype"],
        num_cpus=cpus,
        num_gpus=1 if gpu else 0,
    )

    def ready(address: str) -> None:
        click.echo(address)
        click.echo(f"serving {', '.join(domains) or 'no domain yet'} of {registry.url}; Ctrl-C ends it", err=True)

    # One more CPU, for everything but the backbone.
    serve_here(settings, host=host, port=port, cpus=cpus + 1, ready=ready)
