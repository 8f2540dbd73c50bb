"""The whole chain on this machine: tune two example domains by `ray job submit`, serve both, query them over HTTP.

Starts a private Ray (own ports, own temporary folder) and stops all that it started; other Rays stay untouched. The
tuned prompts stay in `demo-out/`, so that a second run only serves.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # a script's own folder is on its path, the package around it is not

from lightner.jobs.on_ray import local  # noqa: E402

OUT = CHECKOUT / "demo-out"
DOMAINS = {
    "recipes": ("examples/recipes/train.conll", "examples/recipes/test.conll"),
    "support_tickets": ("examples/support_tickets/train.jsonl", "examples/support_tickets/test.jsonl"),
}
QUERIES = (
    ("recipes", "Whisk 150 g of sugar with two eggs in a copper bowl for five minutes."),
    ("support_tickets", "Since the update to 4.2.1 my laptop on Windows 11 shows 'disk quota exceeded'."),
    ("recipes", "Bake the bread at 220 degrees until the crust is dark."),
    ("support_tickets", "Maria from sales cannot log in to the portal on macOS Sonoma."),
)


def main() -> int:
    """Run the chain; returns the exit status."""
    began = time.monotonic()
    OUT.mkdir(exist_ok=True)
    with local_ray() as head:
        say(f"Ray is up after {time.monotonic() - began:.0f} s, dashboard {head.dashboard}")
        for domain, (train, test) in DOMAINS.items():
            tune(head, domain, train, test)
        port = free_port(8000)
        serve(head, port)
        say(f"serving {len(DOMAINS)} domains from one replica at http://127.0.0.1:{port} (OpenAPI at /docs)")
        query(port)
    say(f"done in {time.monotonic() - began:.0f} s; prompts stay in {OUT / 'registry'}")
    return 0


def tune(head: local.Head, domain: str, train: str, test: str) -> None:
    """Submit the tuning job of one domain and show its log."""
    say(f"tuning {domain}: scan, final run, held-out test sentences")
    entry = ["python", "jobs/tune.py", "--domain", domain, "--train", train, "--test", test]
    entry += ["--registry", str(OUT / "registry"), "--storage", str(OUT / "runs")]
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.dashboard]
    done = subprocess.run([*command, "--working-dir", ".", "--", *entry], cwd=CHECKOUT, env=environment(head))
    if done.returncode:
        raise SystemExit(f"error: the job ended with status {done.returncode}; see the lines above")


def serve(head: local.Head, port: int) -> None:
    """Deploy serve/config.yaml with this machine's port and registry, and wait until it answers."""
    config = yaml.safe_load((CHECKOUT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    config["http_options"] = {**config.get("http_options", {}), "host": "127.0.0.1", "port": port}
    application = config["applications"][0]
    application["args"] = {**application.get("args", {}), "registry": str(OUT / "registry")}
    application["runtime_env"] = {"env_vars": {"PYTHONPATH": str(CHECKOUT)}}
    file = OUT / "serve.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    say("deploying the service")
    subprocess.run(
        [sys.executable, "-m", "ray.serve.scripts", "deploy", "-a", head.dashboard, str(file)],
        check=True,
        cwd=CHECKOUT,
        env=environment(head),
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/readyz"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(1)
    raise SystemExit(f"error: {url} did not answer within 180 s; see {OUT}")


def query(port: int) -> None:
    """One request with sentences of both domains, which share a forward pass."""
    items = [{"domain": domain, "text": text} for domain, text in QUERIES]
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/entities", json={"items": items}, timeout=60)
    answer.raise_for_status()
    for (domain, text), result in zip(QUERIES, answer.json()["results"], strict=True):
        print(f"\n[{domain}] {text}")
        for entity in result["entities"]:
            print(f"    {entity['label']:18s} {entity['text']!r} ({entity['score']:.2f})")
    print()


@contextlib.contextmanager
def local_ray() -> Iterator[local.Head]:
    """A private Ray head, open only to holders of its token; stopped in the end."""
    head = local.start(token=local.new_token())
    try:
        yield head
    finally:
        local.stop(head)


def environment(head: local.Head) -> dict[str, str]:
    """For commands that ask the head for something."""
    return {**local.environment(), **head.variables}


def free_port(wanted: int) -> int:
    """The port `wanted`, or any free one if it is taken."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", wanted)):
            return wanted
    port = local.free_ports(1)[0]
    say(f"port {wanted} is taken, using {port}")
    return port


def say(text: str) -> None:
    """A headline of the demo."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
