"""The tuning job on a real Ray: submitted, killed, resumed, refused; and what it prints and publishes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import local, scan
from lightner import backbone, metrics
from lightner.artifact import prompt_for
from lightner.formats import read, write_conll
from lightner.registry import Registry
from lightner.tagger import tag_words
from lightner.types import Counts, Scores, Sentence, Span
from tests.tiny import tiny_backbone

ROOT = Path(__file__).resolve().parent.parent
PIN = "{steps: 16, rounds: 4, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"
SLOW = "{steps: 120, rounds: 30, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"


@pytest.fixture(scope="module")
def head() -> Iterator[local.Head]:
    started = local.start()
    yield started
    local.stop(started)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny backbone, sentences and pins."""
    folder = tmp_path_factory.mktemp("jobs")
    tiny = tiny_backbone()
    tiny.model.save_pretrained(folder / "tiny")
    tiny.tokenizer.save_pretrained(folder / "tiny")
    names = ("Ana", "Bob", "Eve", "Max")
    sentences = [
        Sentence((names[n % 4], "saw", "the", "red", f"house{n}"), (Span(0, 1, "person"), Span(4, 5, "building")))
        for n in range(20)
    ]
    write_conll(folder / "train.conll", sentences)
    (folder / "pin.yaml").write_text(PIN)
    (folder / "slow.yaml").write_text(SLOW)
    return folder


def words(place: Path, domain: str, *more: str, pin: str = "pin.yaml", train: str = "train.conll") -> list[str]:
    return [
        "jobs/tune.py", "--train", str(place / train), "--domain", domain, "--backbone", str(place / "tiny"),
        "--registry", str(place / "registry"), "--storage", str(place / "runs"), "--pin", str(place / pin),
        "--lengths", "2", "--rates", "0.01", *more,
    ]  # fmt: skip


def start(head: local.Head, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {**local.environment(), "RAY_ADDRESS": head.address}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes], *, within_s: float = 240) -> None:
    deadline = time.monotonic() + within_s
    while not re.search(pattern, log.read_text(errors="replace")):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.2)


def descendants(title: str, head: local.Head) -> list[int]:
    """Processes of that head whose title begins with `title`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            belongs = str(head.folder).encode() in (entry / "environ").read_bytes()
            belongs |= any(head.folder.name in os.readlink(link) for link in (entry / "fd").iterdir())
        except OSError:
            continue
        if command.startswith(title.encode()) and belongs:
            found.append(int(entry.name))
    return found


@pytest.mark.ray
def test_a_submitted_job_publishes_and_does_nothing_the_second_time(head: local.Head, place: Path) -> None:
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.dashboard]
    submit += ["--working-dir", ".", "--", "python", *words(place, "houses", "--test", str(place / "train.conll"))]

    def run() -> str:
        done = subprocess.run(submit, cwd=ROOT, env=local.environment(), capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = run()
    assert "published houses v000001" in first
    assert re.search(r"length +rate +rounds +precision +recall +f1", first)
    _, artifact = Registry.open(str(place / "registry")).fetch("houses")
    assert artifact.card.labels == ("building", "person")
    assert len(artifact.card.tuning["scan"]) == 1
    assert artifact.card.data["sentences"] == 20
    assert "nothing to do: houses v000001" in run()
    assert Registry.open(str(place / "registry")).versions("houses") == ("v000001",)

    evaluated = subprocess.run(
        [sys.executable, "jobs/evaluate.py", "--domain", "houses", "--test", str(place / "train.conll"),
         "--registry", str(place / "registry"), "--backbone", str(place / "tiny")],
        cwd=ROOT, env=local.environment(), capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    sentences = read(place / "train.conll")
    base = backbone.load(str(place / "tiny"))
    found = tag_words(base, [(prompt_for(artifact, base), sentence.words) for sentence in sentences])
    predicted = [[span for span, _ in spans] for spans in found]
    expected = metrics.report(metrics.score([s.spans for s in sentences], predicted, artifact.card.labels))
    assert expected in evaluated.stdout
    assert expected in first


@pytest.mark.ray
def test_a_killed_worker_is_replaced_and_the_job_finishes(head: local.Head, place: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(head, *words(place, "killed", pin="slow.yaml"), log=log)
    wait_for(log, r"scan .* round [2-9] ", process)
    workers = descendants("ray::RayTrainWorker", head)
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    before = log.read_text().count("round 1 ")
    assert process.wait(timeout=400) == 0, log.read_text()
    assert "published killed v000001" in log.read_text()
    assert log.read_text().count("round 1 ") == before, "it began again instead of going on"


@pytest.mark.ray
def test_a_killed_driver_goes_on_by_the_same_command(head: local.Head, place: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    process = start(head, *words(place, "resumed", pin="slow.yaml"), log=first)
    wait_for(first, r"scan .* round [5-9] ", process)
    process.kill()
    process.wait()
    process = start(head, *words(place, "resumed", pin="slow.yaml"), log=second)
    assert process.wait(timeout=400) == 0, second.read_text()
    assert "published resumed v000001" in second.read_text()
    assert not re.search(r"scan .* round 1 ", second.read_text()), "it began again instead of going on"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--train", "nowhere.conll"], "nowhere.conll"),
        (["--domain", "No Name"], "--domain: found 'No Name'"),
        (["--rates", "-1"], "found '-1', expected a number above 0"),
        (["--lengths", "many"], "found 'many', expected a whole number"),
        (["--pin", "bad.yaml"], "stepps"),
        (["--train", "bad.conll"], "bad.conll:1: found"),
        (["--label-words", "words.json"], "['nobody']"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(place: Path, more: list[str], said: str) -> None:
    (place / "bad.yaml").write_text("{stepps: 3}")
    (place / "bad.conll").write_text("lonely\n")
    (place / "words.json").write_text('{"nobody": ["word"]}')
    files = [str(place / word) if word.endswith((".conll", ".yaml", ".json")) else word for word in more]
    done = subprocess.run(
        [sys.executable, *words(place, "refused"), *files],
        cwd=ROOT, env=local.environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stderr
    assert "refused" not in Registry.open(str(place / "registry")).domains()


def trial(f1_hits: int, *, length: int = 8, rate: float = 1e-3, finished: bool = True) -> scan.Trial:
    return scan.Trial(length, rate, 4, Scores({"x": Counts(f1_hits, 10, 10)}), 1.0, finished)


def test_the_best_trial_has_finished_and_ties_go_to_the_shorter_then_the_slower() -> None:
    early = trial(9, finished=False)
    assert scan.best([trial(5), early, trial(7)]) == trial(7)
    assert scan.best([trial(7, length=16), trial(7), trial(7, rate=1e-2)]) == trial(7)
    shown = scan.table([trial(7), early], trial(7)).splitlines()
    assert shown[1].endswith("(stopped early)")
    assert shown[2].startswith("*")
