"""The service with its own Ray on this machine, for as long as a command runs."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lightner.cli import values
from lightner.cli.parameters import Decorated, Parsed
from lightner.types import InputError

if TYPE_CHECKING:
    from lightner.jobs.on_ray import local
    from lightner.service.settings import Settings

_LOOK_S = 0.2


def listen_options(function: Decorated) -> Decorated:
    """`--host` and `--port`."""
    port = click.option(
        "--port", type=Parsed(values.at_least(0)), default=8000, metavar="N", help="0 is any free one (default: 8000)"
    )
    host = click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default: 127.0.0.1)")
    return host(port(function))


def must_have_ray() -> None:
    """Raise ModuleNotFoundError where Ray is not installed, before anything else is done."""
    if importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError("no ray", name="ray")


def must_see_gpu() -> None:
    """Raise InputError where this process sees no GPU."""
    from lightner.jobs import devices  # with torch, which this process does not need otherwise

    devices.device(gpu=True)


def machine_cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def serve_here(settings: Settings, *, host: str, port: int, cpus: int, ready: Callable[[str], None]) -> None:
    """Start a Ray of so many CPUs and the service in it, call `ready` with its address once it answers, and end both
    with Ctrl-C or SIGTERM.

    Raises InputError for an address that cannot be had, RuntimeError if Ray or the service does not start, or ends.
    """
    from lightner.jobs.on_ray.local import code_path
    from lightner.service import single_machine

    config = single_machine.configuration(settings, host=host, port=_free(host, port), variables=code_path())
    click.echo("starting Ray and the service ...", err=True)
    with _ended_by_signals(), _own_ray(cpus) as head:
        dashboard = single_machine.Dashboard(head.dashboard, head.headers)
        single_machine.deploy(dashboard, config, alive=lambda: head.process.poll() is None)
        ready(f"http://{host}:{config['http_options']['port']}")
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
