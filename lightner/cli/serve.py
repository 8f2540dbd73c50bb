"""`lightner serve`: the service on this machine, with its own Ray, which ends with it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lightner.cli import values
from lightner.cli.parameters import Command, OneOf, Parsed, backbone_option, example, registry_option
from lightner.jobs import command
from lightner.types import InputError

if TYPE_CHECKING:
    from lightner.jobs.on_ray import local

_LOOK_S = 0.2


@click.command(
    cls=Command,
    epilog=example("lightner serve", "lightner serve --registry s3://bucket/prompts --port 8080"),
)
@registry_option
@backbone_option
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default: 127.0.0.1)")
@click.option(
    "--port", type=Parsed(values.at_least(0)), default=8000, metavar="N", help="0 is any free one (default: 8000)"
)
@click.option("--gpu", is_flag=True, help="compute on a GPU")
@click.option(
    "--dtype", type=OneOf(["float32", "bfloat16"]), default="float32", help="of the weights (default: float32)"
)
def serve(host: str, port: int, gpu: bool, **given: Any) -> int:
    """Serve the prompts of a registry over HTTP, on this machine, until Ctrl-C or SIGTERM.

    Starts its own Ray and stops all that it started. Callers need a key if LIGHTNER_READ_KEY is set (docs/serving.md).
    On a cluster: `serve deploy serve/config.yaml`.
    """
    if importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError("no ray", name="ray")
    return command.exit_status(lambda: _serve(host, port, gpu=gpu, **given), RuntimeError)


def _serve(host: str, port: int, *, gpu: bool, **given: Any) -> None:
    from lightner.jobs.on_ray.local import code_path
    from lightner.service import single_machine
    from lightner.service.settings import Settings
    from lightner.store.registry import Registry

    registry = Registry.open(given["registry"]).must_exist()
    domains = registry.domains()
    if gpu:
        from lightner.jobs import devices  # with torch, which this process does not need otherwise

        devices.device(gpu=True)
    cpus = len(os.sched_getaffinity(0))
    settings = Settings(
        registry=registry.url,
        backbone=command.backbone_name(given["backbone"]),
        dtype=given["dtype"],
        num_cpus=cpus,
        num_gpus=1 if gpu else 0,
    )
    config = single_machine.configuration(settings, host=host, port=_free(host, port), variables=code_path())
    click.echo("starting Ray and the service ...", err=True)
    # One more CPU, for everything but the backbone.
    with _ended_by_signals(), _own_ray(cpus + 1) as head:
        dashboard = single_machine.Dashboard(head.dashboard, head.headers)
        single_machine.deploy(dashboard, config, alive=lambda: head.process.poll() is None)
        click.echo(f"http://{host}:{config['http_options']['port']}")
        click.echo(f"serving {', '.join(domains) or 'no domain yet'} of {registry.url}; Ctrl-C ends it", err=True)
        while head.process.poll() is None:
            time.sleep(_LOOK_S)
        raise RuntimeError("the service's Ray has ended by itself")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block without an error."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _own_ray(cpus: int) -> Iterator[local.Head]:
    from lightner.jobs.on_ray import local

    head = local.start(cpus=cpus, token=local.new_token())
    try:
        yield head
    finally:
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
        click.echo("stopping ...", err=True)
        local.stop(head)
        for each, handler in before.items():
            signal.signal(each, handler)


def _free(host: str, port: int) -> int:
    """The port, if no process listens on it; any free one for 0."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed a moment ago is free
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise InputError(f"--host {host} --port {port}: found {said!r}, expected a free port") from error
        number: int = probe.getsockname()[1]
        return number
