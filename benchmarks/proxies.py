"""Requests per second through Ray's own proxy, through HAProxy, and with Ray Serve's settings for throughput.

    OMP_NUM_THREADS=1 python -m benchmarks.proxies --folder FOLDER --out FILE.json

Every setting is a deployed service of its own, one after another, since Ray reads them when it starts; the default
comes first and last, so that it shows where the machine changed meanwhile. `/healthz` reaches the ingress only: what
the way there costs. Clients share the machine with the service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.few_shot import circumstances
from benchmarks.places import Service, name, service, texts, tuned, variant
from lightner.model import backbone
from lightner.store.registry import Registry

HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"}
OPTIMIZED = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "HAProxy": HAPROXY,
    "HAProxy, optimized": HAPROXY | OPTIMIZED,
    "default again": {},
}
# By which a process that this one's Ray started is known.
MARK = "LIGHTNER_BENCHMARK"
CLIENTS = 16
# Texts of a request, None for /healthz.
SIZES = (None, 1, 16)


def main() -> None:
    """Measure every setting, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registry")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    registry = Registry.open(str((options.folder / "proxied").resolve()))
    if not registry.domains():
        registry.publish(variant(tuned(base, options.folder, steps=options.steps), 0))
    rows = {}
    for setting, variables in SETTINGS.items():
        os.environ.update({**variables, MARK: str(os.getpid())})
        try:
            with service(registry.url) as running:
                rows[setting] = measured(running, options)
        finally:
            end_haproxy()
            for variable in (*variables, MARK):
                del os.environ[variable]
        print(json.dumps({setting: rows[setting]}), flush=True)
    text = json.dumps({**circumstances(base), "options": vars(options), "settings": rows}, indent=2, default=str)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def end_haproxy() -> None:
    """End what outlives the Ray that started it: it keeps its ports, and the next Ray could not start its own."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"haproxy" in (process / "cmdline").read_bytes() and mark in (process / "environ").read_bytes().split(
                b"\0"
            ):
                os.kill(int(process.name), signal.SIGKILL)


def measured(running: Service, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of requests per second and of milliseconds by the kind of request, and whether /metrics answers."""
    rates: dict[str, list[tuple[float, float]]] = {}
    for turn in range(options.turns + 1):
        for size in SIZES:
            found = asyncio.run(_closed(running, size, options.seconds))
            if turn:
                rates.setdefault("/healthz" if size is None else f"texts: {size}", []).append(found)
    medians = {
        kind: [statistics.median(column) for column in zip(*those, strict=True)] for kind, those in rates.items()
    }
    metrics = httpx.get(f"{running.url}/metrics", timeout=60)
    return {
        "metrics": metrics.status_code,
        **{kind: {"requests_per_second": rate, "p50_ms": wait} for kind, (rate, wait) in medians.items()},
    }


async def _closed(running: Service, size: int | None, seconds: float) -> tuple[float, float]:
    """Requests per second of clients that ask again as soon as they are answered, and their median wait in ms."""
    waits: list[float] = []
    over_s = time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:

        async def client() -> None:
            while (began := time.perf_counter()) < over_s:
                answer = await (http.get("/healthz") if size is None else _tag(http, size))
                answer.raise_for_status()
                waits.append(1000 * (time.perf_counter() - began))

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return len(waits) / (time.perf_counter() - began), statistics.median(waits)


async def _tag(http: httpx.AsyncClient, size: int) -> httpx.Response:
    return await http.post(f"/v1/domains/{name(0)}/entities", json={"texts": texts()[:size]})


if __name__ == "__main__":
    main()
