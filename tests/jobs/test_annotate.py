"""Annotating whole files: equal answers, kills, and messages about bad input."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.cli import main
from lightner.jobs import annotate, annotation
from lightner.jobs.annotation import Annotator, Target, make_plan, write_plan
from lightner.jobs.on_ray import local, session
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.service.messages import Answer, Ask
from lightner.service.replica import BackboneReplica
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.texts import Text
from lightner.types import Entity, InputError, TaggedText
from tests.support.annotating import command, request
from tests.support.options import annotate_options
from tests.support.paths import CHECKOUT
from tests.support.serving import DOMAINS, SCORE_TOLERANCE, TEXTS, Place, entities_of, prepare


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("a place"))


def served(place: Place, pairs: list[tuple[str, Text]]) -> list[TaggedText]:
    """A replica's answers."""

    async def ask() -> list[TaggedText]:
        answers = await BackboneReplica(place.settings).tag([Ask(domain, (text,)) for domain, text in pairs])
        tagged = [answer.texts[0] for answer in answers if isinstance(answer, Answer)]
        return [each for each in tagged if isinstance(each, TaggedText)]

    return asyncio.run(ask())


def check_served(place: Place, records: list[dict[str, Any]]) -> int:
    """Check that every record equals the service's answer; returns the number of entities."""
    texts: list[Text] = [tuple(each["tokens"]) if "tokens" in each else each["text"] for each in records]
    answers = served(place, list(zip((each["domain"] for each in records), texts, strict=True)))
    entities = 0
    for record, answer in zip(records, answers, strict=True):
        assert record["windows"] == answer.windows
        found = [Entity(**each) for each in record["entities"]]
        assert [replace(each, score=0) for each in found] == [replace(each, score=0) for each in answer.entities]
        scores = [each.score for each in answer.entities]
        assert [each.score for each in found] == pytest.approx(scores, rel=SCORE_TOLERANCE)
        assert all(("start_word" in each) == ("tokens" in record) for each in record["entities"])
        entities += len(found)
    return entities


def test_blocks_cover_the_file_and_give_the_answers_of_the_service(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotation, "BLOCK_BYTES", 300)
    texts = [{"text": text} for text in TEXTS] + [{"tokens": text.split()} for text in TEXTS]
    given = [{**text, "domain": domain, "id": n} for text in texts for n, domain in enumerate(DOMAINS)]
    source = tmp_path / "mixed.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in given))
    target = Target(tmp_path / "mixed.jsonl.jsonl")
    plan = make_plan(request(place, source), place.registry)
    assert plan.rows == len(given)
    assert len(plan.blocks) > 3
    assert plan.versions == dict.fromkeys(DOMAINS, "v000001")
    write_plan(plan, target)
    annotator = Annotator(str(place.folder), place.registry.url, "cpu")
    for index in reversed(range(len(plan.blocks))):
        assert annotator.annotate(target, index) == plan.blocks[index].rows
    annotation.assemble(plan, target)
    records = [json.loads(line) for line in target.output.read_text().splitlines()]
    assert [{name: record[name] for name in row} for record, row in zip(records, given, strict=True)] == given
    assert {record["prompt_version"] for record in records} == {"v000001"}
    assert check_served(place, records) > 40
    assert sorted(each.name for each in target.state.iterdir()) == ["plan.json"]


@pytest.fixture
def mixed(place: Place, tmp_path: Path) -> Target:
    """The planned annotation of one block whose rows take turns among all domains."""
    source = tmp_path / "turns.jsonl"
    source.write_text("".join(json.dumps({"text": text, "domain": each}) + "\n" for text in TEXTS for each in DOMAINS))
    write_plan(make_plan(request(place, source), place.registry), target := Target(tmp_path / "turns.jsonl.jsonl"))
    return target


def test_prompts_in_memory_are_bounded_by_their_bytes(
    place: Place, mixed: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    Annotator(str(place.folder), place.registry.url, "cpu").annotate(mixed, 0)
    expected = [json.loads(line) for line in mixed.part(0).read_text().splitlines()]
    loaded: list[weakref.ref[Prompt]] = []
    alive: list[int] = []

    def watched(artifact: PromptArtifact, backbone: Backbone) -> Prompt:
        loaded.append(weakref.ref(prompt := prompt_for(artifact, backbone)))
        alive.append(sum(each() is not None for each in loaded))
        return prompt

    sizes = [prompt_for(place.artifact(each), place.backbone).nbytes for each in DOMAINS]
    monkeypatch.setattr(annotation, "prompt_for", watched)
    monkeypatch.setattr(annotation, "PROMPT_BYTES", max(sizes))
    Annotator(str(place.folder), place.registry.url, "cpu").annotate(mixed, 0)
    found = [json.loads(line) for line in mixed.part(0).read_text().splitlines()]
    assert check_served(place, found) > 20
    assert [(each["domain"], each["text"]) for each in found] == [(each["domain"], each["text"]) for each in expected]
    assert alive == [1, 2, 2]  # the prompt in use and the one that replaces it


def test_a_prompt_is_loaded_once_for_all_blocks_that_want_it_at_one_time(
    place: Place, mixed: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def slow(artifact: PromptArtifact, backbone: Backbone) -> Prompt:
        loaded.append(artifact.card.domain)
        time.sleep(0.2)
        return prompt_for(artifact, backbone)

    monkeypatch.setattr(annotation, "prompt_for", slow)
    annotator = Annotator(str(place.folder), place.registry.url, "cpu")
    with ThreadPoolExecutor(4) as users:
        assert len({each.result() for each in [users.submit(annotator.annotate, mixed, 0) for _ in range(4)]}) == 1
    assert sorted(loaded) == sorted(DOMAINS)


def test_given_words_stay_words(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "words.conll"
    source.write_text("Ada O\nlives O\nin O\nParis. O\n\nmary O\n")
    target = Target(tmp_path / "out")
    write_plan(make_plan(request(place, source, domain="movies"), place.registry), target)
    Annotator(str(place.folder), place.registry.url, "cpu").annotate(target, 0)
    first, second = (json.loads(line) for line in target.part(0).read_text().splitlines())
    assert (first["tokens"], second["tokens"]) == (["Ada", "lives", "in", "Paris."], ["mary"])
    assert first["entities"]
    for entity in first["entities"]:
        assert entity["text"] == " ".join(first["tokens"][entity["start_word"] : entity["end_word"]])
        assert entity["text"] == "Ada lives in Paris."[entity["start"] : entity["end"]]


@pytest.mark.parametrize(
    ("content", "domain", "said"),
    [
        ('{"text": "a", "domain": "movies"}\n{"text": "b"}\n', None, ":2: found no domain"),
        ('{"text": "a", "domain": "nowhere"}\n', "movies", ":1: .*no alias 'live' of domain 'nowhere'"),
        ('{"text": "a"}\nnot json\n', "movies", ":2: found"),
    ],
)
def test_a_whole_file_is_checked_before_any_of_it_is_tagged(
    place: Place, tmp_path: Path, content: str, domain: str | None, said: str
) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_text(content)
    with pytest.raises(InputError, match=f"bad.jsonl{said}"):
        make_plan(request(place, source, domain=domain), place.registry)


def test_a_requested_version_is_used_instead_of_the_live_one(place: Place, tmp_path: Path) -> None:
    for seed in (1, 2):
        place.publish("renewed", seed=seed)
    (source := tmp_path / "in.txt").write_text(TEXTS[0])
    found = {}
    for number, more in enumerate(([], ["--prompt", "v000001"])):
        words = command(place, tmp_path, str(source), "--domain", "renewed", *more)[2:]
        plan = make_plan(annotate._request(source, annotate_options(words)), place.registry)
        write_plan(plan, target := Target(tmp_path / f"out{number}"))
        Annotator(str(place.folder), place.registry.url, "cpu").annotate(target, 0)
        record = json.loads(target.part(0).read_text())
        found[record["prompt_version"]] = record["entities"]
    offline = {f"v00000{seed}": entities_of(place.offline("renewed", TEXTS[0], seed)) for seed in (2, 1)}
    assert found == offline
    assert found["v000001"] != found["v000002"]


def test_a_damaged_prompt_and_a_changed_file_are_named(place: Place, tmp_path: Path) -> None:
    version = place.publish("damaged")
    source = tmp_path / "in.txt"
    source.write_text("Ada\n")
    target = Target(tmp_path / "out")
    write_plan(make_plan(request(place, source, domain="damaged"), place.registry), target)
    place.corrupt("damaged", version)
    annotator = Annotator(str(place.folder), place.registry.url, "cpu")
    with pytest.raises(InputError, match=r"damaged/versions/v000001/prompt.safetensors"):
        annotator.annotate(target, 0)
    source.write_text("")
    with pytest.raises(InputError, match="found it changed"):
        annotator.annotate(target, 0)
    assert not target.part(0).exists()


def test_bad_input_is_one_line_and_starts_no_ray(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("Ada\n")
    (tmp_path / "in.txt.jsonl").write_text("something else")
    monkeypatch.setattr(session, "connect", lambda *_, **__: pytest.fail("a Ray was joined"))
    for more, said in (
        ([str(source)], "in.txt.jsonl: found a file of another origin"),
        ([str(tmp_path / "none.txt"), "--domain", "movies"], "none.txt: found 'No such file"),
        ([str(source), str(source.parent / "x" / "in.txt"), "--domain", "movies"], "found a second file 'in.txt'"),
        ([str(source), "--domain", "../movies"], "--domain: found '../movies'"),
    ):
        assert main(["annotate", *command(place, tmp_path, *more)[2:]]) == 2
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert said in line
    assert (tmp_path / "in.txt.jsonl").read_text() == "something else"


def test_a_refused_command_ends_with_its_status_and_no_traceback(place: Place, tmp_path: Path) -> None:
    done = subprocess.run(
        command(place, tmp_path, str(tmp_path / "none.txt"), "--domain", "movies"), cwd=CHECKOUT,
        env={**local.environment(), "RAY_ADDRESS": "127.0.0.1:1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "none.txt: found 'No such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.ray
def test_on_ray_a_wrong_backbone_is_one_line(head: local.Head, place: Place, tmp_path: Path) -> None:
    (source := tmp_path / "in.txt").write_text("Ada lives in Paris\n")
    environment = {**local.environment(), "RAY_ADDRESS": head.address}
    words = command(place, tmp_path / "out", str(source), "--domain", "movies", "--backbone", "embedded")
    done = subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "error: prompt 'movies': found backbone 'embedded'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.ray
def test_a_stopped_and_killed_job_resumes_with_the_same_command(head: local.Head, tmp_path: Path) -> None:
    place = prepare(tmp_path / "own")
    first, second = tmp_path / "first.txt", tmp_path / "second.jsonl"
    text = "\n".join(f"Ada lives in Paris and likes soup number {n}" for n in range(8000))
    first.write_text(text + "\n")
    lines = [json.dumps({"text": f"{n} mary of Oslo", "domain": [*DOMAINS][n % 3]}) for n in range(50)]
    second.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    words = command(place, out, str(first), str(second), "--domain", "movies", "--workers", "1")
    environment = {**local.environment(), "RAY_ADDRESS": head.address}
    state = Target(out / "first.txt.jsonl").state
    said = ended_by(signal.SIGINT, words, environment, state, blocks=2)
    assert said.splitlines()[-1] == "stopped: finished blocks are kept; the same command resumes from here"
    assert "Traceback" not in said
    ended_by(signal.SIGKILL, words, environment, state, blocks=1 + len(list(state.glob("part-*"))))
    assert not (out / "first.txt.jsonl").exists()
    done = {part.name: part.stat().st_mtime_ns for part in state.glob("part-*")}
    blocks = len(annotation.read_plan(Target(out / "first.txt.jsonl")).blocks)
    assert 3 <= len(done) < blocks
    place.publish("movies", seed=2)
    resumed = subprocess.Popen(
        words, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    kept: dict[str, int] = {}
    deadline = time.monotonic() + 200
    while resumed.poll() is None:
        assert time.monotonic() < deadline
        try:
            kept |= {name: (state / name).stat().st_mtime_ns for name in done}
        except FileNotFoundError:
            break
        time.sleep(0.05)
    printed, progress = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, progress
    assert kept == done, "finished blocks were done again"
    assert "8050/8050" in progress
    assert printed.splitlines()[-2:] == [f"{out}/first.txt.jsonl: 8000 rows", f"{out}/second.jsonl.jsonl: 50 rows"]
    records = [json.loads(line) for line in (out / "first.txt.jsonl").read_text().splitlines()]
    assert [record["text"] for record in records] == text.split("\n")
    assert {record["prompt_version"] for record in records} == {"v000001"}, "a job ends with the prompts it began with"
    place.registry.set_alias("movies", "live", "v000001")
    mixed = [json.loads(line) for line in (out / "second.jsonl.jsonl").read_text().splitlines()]
    assert check_served(place, records[:20] + records[-20:] + mixed) > 20
    again = subprocess.run(words, cwd=CHECKOUT, env={**environment, "RAY_ADDRESS": "127.0.0.1:1"}, capture_output=True)
    assert again.returncode == 0, "finished files need no Ray"
    assert Registry.open(place.registry.url).resolve("movies") == "v000001"


def ended_by(
    signalled: signal.Signals, words: list[str], environment: dict[str, str], state: Path, *, blocks: int
) -> str:
    """What a job said that got a signal when so many blocks were finished."""
    with (log := state.parent.parent.parent / "log").open("wb") as output:
        process = subprocess.Popen(words, cwd=CHECKOUT, env=environment, stdout=output, stderr=output)
    deadline = time.monotonic() + 200
    while len(list(state.glob("part-*"))) < blocks:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    process.send_signal(signalled)
    expected = -signal.SIGKILL if signalled is signal.SIGKILL else 128 + signal.SIGTERM
    assert process.wait(timeout=60) == expected
    return log.read_text()
