"""Failed requests and wrong answers during failures: counts per scenario, on a deployed service.

    OMP_NUM_THREADS=1 python -m benchmarks.chaos --folder FOLDER --out FILE.json [--only SCENARIO ...]

Users send requests all the time, and compare every answer with the library's result for the version that the answer
names. Wrong answers must be 0 in every scenario; each scenario says which requests may fail. Prompts are on an S3
server (moto), reached through a line that can be cut and slowed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from obstore.store import S3Store

from benchmarks import report
from benchmarks.line import Line
from benchmarks.places import BUCKET, Service, name, object_store, service, texts, tuned, variant
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts

USERS = 4
DOMAINS = 6
TEXTS = 4
SCORE_TOLERANCE = 1e-2


class Truth:
    """The library's offline results for a domain, a version's seed and a text."""

    def __init__(self, base: Backbone, original: PromptArtifact) -> None:
        self._base, self._original = base, original
        self._seeds: dict[tuple[str, str], tuple[int, int]] = {}
        self._found: dict[tuple[int, int], list[list[tuple[int, int, str, float]]]] = {}

    def publish(self, registry: Registry, number: int, seed: int) -> str:
        """Publish a new version of a domain; its answers are computed before anyone can ask for it."""
        made = variant(self._original, number, version=seed)
        prompt = prompt_for(made, self._base)
        tagged = tag_texts(self._base, [(prompt, text) for text in texts()[:TEXTS]])
        self._found[number, seed] = [[(e.start, e.end, e.label, e.score) for e in each.entities] for each in tagged]
        version = registry.publish(made, alias=None).version
        self._seeds[name(number), version] = number, seed
        registry.set_alias(name(number), "live", version)
        return version

    def agrees(self, answer: dict[str, Any], text: int) -> bool:
        """Whether an answer equals the library's for the version that it names."""
        key = self._seeds[answer["domain"], answer["prompt_version"]]
        expected = self._found[key][text]
        (result,) = answer["results"]
        found = [(e["start"], e["end"], e["label"], e["score"]) for e in result["entities"]]
        return len(found) == len(expected) and all(
            one[:3] == other[:3] and abs(one[3] - other[3]) < SCORE_TOLERANCE
            for one, other in zip(found, expected, strict=True)
        )


class Users:
    """Threads that send requests without pause; `counts` has answers by status, and "wrong"."""

    def __init__(self, url: str, truth: Truth) -> None:
        self.counts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._url, self._truth = url, truth
        self._over = threading.Event()
        self._lock = threading.Lock()

    def ask(self, http: httpx.Client, number: int, text: int) -> None:
        """Send one request and count its answer."""
        began = time.monotonic()
        try:
            answer = http.post(f"/v1/domains/{name(number)}/entities", json={"texts": [texts()[text]]})
            outcome = str(answer.status_code)
            if answer.status_code == httpx.codes.OK and not self._truth.agrees(answer.json(), text):
                outcome = "wrong"
        except httpx.TransportError as error:
            outcome = type(error).__name__
        with self._lock:
            self.counts[outcome] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    @contextmanager
    def at_work(self, users: int = USERS) -> Iterator[None]:
        """Let users send requests while the block runs."""
        with ThreadPoolExecutor(users) as pool:
            for seed in range(users):
                pool.submit(self._work, random.Random(seed))
            try:
                yield
            finally:
                self._over.set()

    def _work(self, chance: random.Random) -> None:
        with httpx.Client(base_url=self._url, timeout=90) as http:
            while not self._over.is_set():
                self.ask(http, chance.randrange(DOMAINS), chance.randrange(TEXTS))


def main() -> None:
    """Run the scenarios, print one JSON object; the exit status is 1 if an answer was wrong."""
    options = options_of()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    original = tuned(base, options.folder, steps=options.steps)
    truth = Truth(base, original)
    with object_store(options.folder) as port:
        registry = Registry.open(f"s3://{BUCKET}/prompts")
        for number in range(DOMAINS):
            truth.publish(registry, number, 0)
        line = Line(port)
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{line.port}"
        with service(f"s3://{BUCKET}/prompts") as running:
            stage = Stage(running, registry, line, truth, options)
            rows = [SCENARIOS[each](stage) for each in options.only]
        line.close()
    found = {**report.circumstances(base), "options": vars(options), "scenarios": rows}
    report.print_and_write(found, options.out)
    raise SystemExit(any(row["wrong"] for row in rows))


class Stage:
    """The service, store and users that a scenario acts on."""

    def __init__(
        self, running: Service, registry: Registry, line: Line, truth: Truth, options: argparse.Namespace
    ) -> None:
        self.running, self.registry, self.line, self.truth = running, registry, line, truth
        self.seconds: float = options.seconds
        self.requests: int = options.requests
        with httpx.Client(base_url=running.url, timeout=90) as http:
            users = Users(running.url, truth)
            for number in range(DOMAINS):
                users.ask(http, number, 0)
        assert set(users.counts) == {"200"}, users.counts

    def under(self, what: str, disturb: Callable[[Users], dict[str, Any] | None]) -> dict[str, Any]:
        """Counts of the users' answers during an action."""
        users = Users(self.running.url, self.truth)
        with users.at_work():
            more = disturb(users) or {}
        counts = dict(users.counts)
        wrong, answered = counts.pop("wrong", 0), counts.pop("200", 0)
        return {
            "scenario": what,
            "answered": answered,
            "failed": counts,
            "wrong": wrong,
            "slowest_s": round(users.slowest_s, 2),
            **more,
        }


def replica_killed(stage: Stage) -> dict[str, Any]:
    """SIGKILL of the only backbone replica."""

    def disturb(users: Users) -> dict[str, Any]:
        pid = stage.running.backbone_pid()
        time.sleep(2)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while stage.running.backbone_pid() in (pid, 0):
            time.sleep(0.2)
        back_s = time.monotonic() - began
        time.sleep(2)
        return {"replaced_after_s": round(back_s, 1)}

    return stage.under("replica killed", disturb)


def store_down(stage: Stage) -> dict[str, Any]:
    """Every connection to the store fails; requests are for resident domains."""

    def disturb(users: Users) -> dict[str, Any]:
        stage.line.cut = True
        with httpx.Client(base_url=stage.running.url, timeout=90) as http:
            answer = http.post(f"/v1/domains/{name(77)}/entities", json={"texts": ["a"]})
        time.sleep(stage.seconds)
        stage.line.cut = False
        time.sleep(1)
        return {"a domain that is not resident": answer.status_code}

    return stage.under("store down", disturb)


def store_slow(stage: Stage) -> dict[str, Any]:
    """Every answer of the store takes a second longer; requests are for cold domains, too."""
    cold = range(20, 24)
    for number in cold:
        stage.truth.publish(stage.registry, number, 0)

    def disturb(users: Users) -> dict[str, Any]:
        stage.line.delay_s = 1.0
        others = Users(stage.running.url, stage.truth)
        with httpx.Client(base_url=stage.running.url, timeout=90) as http:
            for number in cold:
                others.ask(http, number, 0)
        time.sleep(stage.seconds)
        stage.line.delay_s = 0.0
        assert not others.counts["wrong"], others.counts
        return {"cold domains": dict(others.counts)}

    return stage.under("store slow", disturb)


def corrupt_prompt(stage: Stage) -> dict[str, Any]:
    """A published prompt has a byte flipped in the store, and is asked for."""
    number = 30
    version = stage.truth.publish(stage.registry, number, 0)
    store = S3Store.from_url(f"s3://{BUCKET}/prompts", client_options={"allow_http": True})
    path = f"{name(number)}/versions/{version}/prompt.safetensors"
    content = bytearray(store.get(path).bytes())
    content[len(content) // 2] ^= 1
    store.put(path, bytes(content))

    def disturb(users: Users) -> dict[str, Any]:
        others = Users(stage.running.url, stage.truth)
        over_s = time.monotonic() + stage.seconds
        with httpx.Client(base_url=stage.running.url, timeout=90) as http:
            while time.monotonic() < over_s:
                others.ask(http, number, 0)
        return {"the corrupt domain": dict(others.counts)}

    return stage.under("corrupt prompt", disturb)


def publish_and_roll_back(stage: Stage) -> dict[str, Any]:
    """New versions and rollbacks of the requested domains."""

    def disturb(users: Users) -> dict[str, Any]:
        over_s, moves = time.monotonic() + stage.seconds, 0
        while time.monotonic() < over_s:
            number = moves % DOMAINS
            if moves % 3 < 2:
                stage.truth.publish(stage.registry, number, 1 + moves)
            else:
                stage.registry.rollback(name(number - 1))
            moves += 1
        return {"moves": moves}

    return stage.under("publish and roll back", disturb)


def overload(stage: Stage) -> dict[str, Any]:
    """Ten times as many users, and room for few rows: requests beyond are refused with 503."""
    limits = stage.running.user_config["batch"]
    before = dict(limits)
    limits["max_queue_rows"] = 16
    stage.running.deploy()

    def disturb(users: Users) -> None:
        others = Users(stage.running.url, stage.truth)
        with others.at_work(9 * USERS):
            time.sleep(stage.seconds)
        users.counts.update(others.counts)

    found = stage.under("10x overload", disturb)
    limits |= before
    stage.running.deploy()
    return found


def disconnects(stage: Stage) -> dict[str, Any]:
    """Clients that go away before they are answered."""

    def disturb(users: Users) -> dict[str, Any]:
        over_s, gone = time.monotonic() + stage.seconds, 0
        chance = random.Random(0)
        while time.monotonic() < over_s:
            with suppress(httpx.TransportError), httpx.Client(base_url=stage.running.url) as http:
                body = {"texts": texts()[:16]}
                http.post(f"/v1/domains/{name(0)}/entities", json=body, timeout=chance.uniform(0.001, 0.05))
                continue
            gone += 1
        return {"clients gone": gone}

    return stage.under("disconnects", disturb)


def unknown_domains(stage: Stage) -> dict[str, Any]:
    """A flood of domains that do not exist."""

    def disturb(users: Users) -> dict[str, Any]:
        over_s, seen = time.monotonic() + stage.seconds, Counter[int]()
        with httpx.Client(base_url=stage.running.url, timeout=90) as http:
            while time.monotonic() < over_s:
                answer = http.post(f"/v1/domains/unknown-{seen.total()}/entities", json={"texts": ["a"]})
                seen[answer.status_code] += 1
        return {"unknown domains": dict(seen)}

    return stage.under("unknown domains", disturb)


def memory(stage: Stage) -> dict[str, Any]:
    """Resident memory of the replica after each quarter of many requests."""

    def disturb(users: Users) -> dict[str, Any]:
        pid, sizes = stage.running.backbone_pid(), list[int]()
        start = users.counts.total()
        for quarter in range(5):
            while users.counts.total() - start < quarter * stage.requests / 4:
                time.sleep(0.1)
            sizes.append(_resident_mib(pid))
        return {"resident_mib": sizes}

    return stage.under("memory", disturb)


def _resident_mib(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) // 1024


SCENARIOS: Mapping[str, Callable[[Stage], dict[str, Any]]] = {
    each.__name__: each
    for each in (
        replica_killed,
        store_down,
        store_slow,
        corrupt_prompt,
        publish_and_roll_back,
        overload,
        disconnects,
        unknown_domains,
        memory,
    )
}


def options_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each disturbance")
    parser.add_argument("--requests", type=int, default=2000, help="of the memory measurement")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these, in this order")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
