"""Tunings over HTTP, with jobs that no Ray runs: what is asked of Ray, and what is made of its answers."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lightner.jobs.tuned import unchanged
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.service.teaching import tuner, tunings
from lightner.service.teaching.tuner import JobState
from lightner.store.registry import RegistryUnavailable
from lightner.store.tunings import Ending, Progress, Record, Tunings
from tests.support.serving import Place, bearer, connect, problem
from tests.support.teaching import ADMIN, ANNOTATE, READ, NamedJobs, desk_of

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

pytestmark = pytest.mark.anyio
TUNINGS = "/v1/domains/dishes/tunings"
ID = "20261129t144400-1a2b3c"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", f"{TUNINGS}/plan", None),
    ("POST", TUNINGS, {}),
    ("GET", TUNINGS, None),
    ("GET", f"{TUNINGS}/{ID}", None),
    ("DELETE", f"{TUNINGS}/{ID}", None),
    ("GET", f"{TUNINGS}/{ID}/events", None),
]


@pytest.fixture
def jobs() -> NamedJobs:
    return NamedJobs()


@pytest.fixture
def store(tmp_path: Path) -> Tunings:
    return Tunings.open(str(tmp_path / "registry"))


@pytest.fixture
async def client(place: Place, tmp_path: Path, jobs: NamedJobs) -> AsyncIterator[httpx.AsyncClient]:
    replica = BackboneReplica(place.settings)
    desk = desk_of(str(tmp_path / "registry"), replica, jobs=jobs)
    async with connect(replica, read=READ, admin=ADMIN, annotate=ANNOTATE, desk=desk) as client:
        client.headers.update(bearer(ANNOTATE))
        yield client


async def label(client: httpx.AsyncClient, count: int = 12) -> None:
    body: Any = {"revision": 0, "labels": [{"name": "dish"}, {"name": "place"}]}
    assert (await client.put("/v1/domains/dishes/labels", json=body)).status_code == 200
    spans = [{"start": 0, "end": 4, "label": "dish"}]
    body = {"examples": [{"text": f"soup {number}", "spans": spans} for number in range(count)]}
    assert (await client.post("/v1/domains/dishes/examples", json=body)).status_code == 201


async def start(client: httpx.AsyncClient, **options: Any) -> Any:
    answer = await client.post(TUNINGS, json=options)
    assert answer.status_code == 201, answer.text
    return answer.json()


def tuner_of(store: Tunings, jobs: NamedJobs) -> tuner.Tuner:
    """That of another process of the service, which needs no backbone."""
    desk = desk_of(store._objects.url, BackboneReplica.__new__(BackboneReplica), jobs=jobs)
    assert desk.tuner is not None
    return desk.tuner


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_the_read_key_can_neither_see_nor_start(
    client: httpx.AsyncClient, method: str, path: str, body: Any
) -> None:
    problem(await client.request(method, path, json=body, headers=bearer(READ)), 403, "forbidden")
    problem(await client.request(method, path, json=body, headers={"authorization": ""}), 401, "unauthorized")
    assert (await client.request(method, path, json=body)).status_code in (200, 404, 422)


async def test_every_route_of_tuning_is_among_them(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    described = {
        (method.upper(), path.replace("{domain}", "dishes").replace("{id}", ID))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "tuning" in operation["tags"]
    }
    assert described == {(method, path) for method, path, _ in ROUTES}


async def test_a_tuning_is_our_own_command_with_the_numbers_that_were_asked_for(
    client: httpx.AsyncClient, jobs: NamedJobs, tmp_path: Path
) -> None:
    await label(client)
    begun = await start(client, seed=3, budget_minutes=1.5, lengths=[0, 8], rates=[0.01, 1e-05])
    [(name, entrypoint)] = jobs.entrypoints.items()
    assert name == f"lightner-dishes-{begun['id']}-1"
    assert shlex.split(entrypoint) == [
        *(sys.executable, "-m", "lightner", "tune", "--train", "examples:", "--domain", "dishes"),
        *("--registry", str(tmp_path / "registry"), "--storage", "/runs", "--tuning", begun["id"]),
        *("--seed", "3", "--budget", "1.5", "--lengths", "0", "8", "--rates", "0.01", "1e-05"),
    ]
    assert (begun["state"], begun["who"], begun["attempt"]) == ("waiting", "annotate", 1)
    assert begun["options"] == {
        "seed": 3, "budget_minutes": 1.5, "lengths": [0, 8], "rates": [0.01, 1e-05], "force": False
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"entrypoint": "rm"},
        {"train": "/etc/passwd"},
        {"pin": "/tmp/pin.yaml"},
        {"storage": "/tmp"},
        {"backbone": "/tmp"},
        {"env": {"A": "b"}},
        {"seed": "0; rm"},
        {"lengths": ["8; rm"]},
        {"rates": ["--force"]},
        {"budget_minutes": 0},
        {"lengths": []},
        {"lengths": list(range(9))},
    ],
)
async def test_nothing_else_can_be_asked_for(client: httpx.AsyncClient, jobs: NamedJobs, options: Any) -> None:
    await label(client)
    problem(await client.post(TUNINGS, json=options), 422, "invalid-request")
    assert jobs.entrypoints == {}


async def test_only_the_admin_key_forces_a_version_to_go_live(client: httpx.AsyncClient, jobs: NamedJobs) -> None:
    await label(client)
    problem(await client.post(TUNINGS, json={"force": True}), 403, "forbidden")
    assert (await client.post(TUNINGS, json={"force": True}, headers=bearer(ADMIN))).status_code == 201
    assert [each.endswith(" --force") for each in jobs.entrypoints.values()] == [True]


async def test_there_is_one_tuning_of_a_domain_at_a_time(
    client: httpx.AsyncClient, jobs: NamedJobs, store: Tunings
) -> None:
    await label(client)
    first = await start(client)
    refused = problem(await client.post(TUNINGS, json={}), 409, "tuning-in-progress")
    assert refused["tuning"] == first["id"]
    store.end("dishes", first["id"], Ending.FINISHED)
    second = await start(client)
    listed = (await client.get(TUNINGS)).json()["tunings"]
    assert {each["id"] for each in listed} == {first["id"], second["id"]}


async def test_a_tuning_whose_job_died_is_resumed_and_after_three_has_failed(
    client: httpx.AsyncClient, jobs: NamedJobs
) -> None:
    await label(client)
    begun = await start(client, seed=1)
    path = f"{TUNINGS}/{begun['id']}"
    for attempt in (1, 2):
        jobs.states[f"lightner-dishes-{begun['id']}-{attempt}"] = JobState.DIED
        seen = (await client.get(path)).json()
        assert (seen["state"], seen["attempt"]) == ("waiting", attempt + 1)
    jobs.words = "out of memory"
    jobs.states[f"lightner-dishes-{begun['id']}-3"] = JobState.DIED
    seen = (await client.get(path)).json()
    assert (seen["state"], seen["reason"]) == ("failed", "its job died 3 times; the last one said: out of memory")
    assert len(set(jobs.entrypoints.values())) == 1
    await start(client)


async def test_a_job_that_the_cluster_has_lost_is_resumed_once_it_cannot_be_on_its_way(
    client: httpx.AsyncClient, jobs: NamedJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await label(client)
    begun = await start(client)
    jobs.states.clear()
    assert (await client.get(f"{TUNINGS}/{begun['id']}")).json()["attempt"] == 1
    monkeypatch.setattr(tuner, "SUBMISSION", tuner.SUBMISSION * 0)
    assert (await client.get(f"{TUNINGS}/{begun['id']}")).json()["attempt"] == 2


async def test_a_tuning_whose_job_died_is_resumed_once_although_nobody_asks_and_two_processes_look(
    client: httpx.AsyncClient, place: Place, jobs: NamedJobs, store: Tunings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuner, "ATTEND_S", 0.02)
    await label(client)
    begun = await start(client)
    jobs.states = dict.fromkeys(jobs.states, JobState.DIED)
    replica = BackboneReplica(place.settings)
    async with AsyncExitStack() as running:
        for _ in range(2):
            desk = desk_of(store._objects.url, replica, jobs=jobs)
            app = create_app(replica, keys=Keys(None, None), limits=RequestLimits(), desk=desk)
            await running.enter_async_context(app.router.lifespan_context(app))
        async with asyncio.timeout(20):
            while len(jobs.entrypoints) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert list(jobs.entrypoints) == [f"lightner-dishes-{begun['id']}-{attempt}" for attempt in (1, 2)]


async def test_a_job_that_another_process_resumes_while_one_looks_is_not_resumed_twice(
    client: httpx.AsyncClient, jobs: NamedJobs, store: Tunings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await label(client)
    await start(client)
    jobs.states = dict.fromkeys(jobs.states, JobState.DIED)
    slow, [record], state = tuner_of(store, jobs), store.unfinished(), jobs.state

    def overtaken(name: str) -> JobState | None:
        seen = state(name)
        monkeypatch.setattr(jobs, "state", state)
        assert slow.look(record).record.attempt == 2
        return seen

    monkeypatch.setattr(jobs, "state", overtaken)
    seen = slow.look(record)
    assert (seen.record.attempt, seen.state, len(jobs.entrypoints)) == (2, "waiting", 2)


async def test_a_cluster_or_a_store_that_is_out_ends_no_attendance(
    client: httpx.AsyncClient, jobs: NamedJobs, store: Tunings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await label(client)
    await start(client)
    jobs.states = dict.fromkeys(jobs.states, JobState.DIED)
    looking = tuner_of(store, jobs)
    jobs.out = True
    attending = asyncio.create_task(tuner.attend(looking, every_s=0.01))
    await asyncio.sleep(0.1)
    jobs.out = False
    with monkeypatch.context() as cut:
        cut.setattr(Tunings, "unfinished", _out)
        await asyncio.sleep(0.1)
    monkeypatch.setattr(tuner, "SUBMISSION", tuner.SUBMISSION * 0)
    async with asyncio.timeout(20):
        while len(jobs.entrypoints) < 2:
            await asyncio.sleep(0.01)
    assert not attending.done()
    attending.cancel()


def _out(_: Tunings) -> tuple[Record, ...]:
    raise RegistryUnavailable("no answer")


@pytest.mark.s3
async def test_a_store_that_is_cut_off_loses_nothing_and_says_so_to_each(
    place: Place, s3: S3Server, s3_url: str, jobs: NamedJobs
) -> None:
    replica = BackboneReplica(place.settings)
    desk = desk_of(s3_url, replica, jobs=jobs, timeout_s=2)
    async with connect(replica, annotate=ANNOTATE, desk=desk) as client:
        client.headers.update(bearer(ANNOTATE))
        await label(client)
        [first, *_] = (await client.get("/v1/domains/dishes/examples")).json()["examples"]
        begun = await start(client)
        jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
        change = {"revision": 1, "spans": [], "state": "done"}
        path = f"/v1/domains/dishes/examples/{first['id']}"
        s3.fails = lambda method, path: True
        for method, route, body in (
            ("PUT", path, change),
            ("GET", path, None),
            ("POST", TUNINGS, {}),
            ("GET", TUNINGS, None),
        ):
            answer = await client.request(method, route, json=body)
            problem(answer, 503, "registry-unavailable")
            assert answer.headers["retry-after"]
        s3.behave()
        assert (await client.get(path)).json()["revision"] == 1
        assert (await client.put(path, json=change)).json()["revision"] == 2
        assert (await client.get("/v1/domains/dishes/examples")).json()["total"] == 12
        assert (await client.get(f"{TUNINGS}/{begun['id']}")).json()["state"] == "running"
        assert problem(await client.post(TUNINGS, json={}), 409, "tuning-in-progress")["tuning"] == begun["id"]


async def test_a_tuning_is_stopped_and_another_may_start(client: httpx.AsyncClient, jobs: NamedJobs) -> None:
    await label(client)
    begun = await start(client)
    stopped = (await client.delete(f"{TUNINGS}/{begun['id']}")).json()
    assert stopped["state"] == "stopped"
    assert set(jobs.states.values()) == {JobState.STOPPED}
    assert (await client.get(f"{TUNINGS}/{begun['id']}")).json() == stopped
    await start(client)


async def test_a_cluster_that_does_not_take_the_job_leaves_no_turn_taken(
    client: httpx.AsyncClient, jobs: NamedJobs
) -> None:
    await label(client)
    jobs.out = True
    problem(await client.post(TUNINGS, json={}), 503, "jobs-unavailable")
    jobs.out = False
    [failed] = (await client.get(TUNINGS)).json()["tunings"]
    assert (failed["state"], failed["reason"]) == ("failed", "the cluster did not take the job")
    await start(client)


async def test_progress_and_result_are_answered(client: httpx.AsyncClient, jobs: NamedJobs, store: Tunings) -> None:
    await label(client)
    begun = await start(client)
    jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
    store.write_progress("dishes", begun["id"], Progress("scan", 3, 8, 0.5, 3.0, 5.0, "2026-11-29T10:00:00+00:00"))
    seen = (await client.get(f"{TUNINGS}/{begun['id']}")).json()
    assert (seen["state"], seen["progress"]["rounds_done"], seen["progress"]["seconds_left"]) == ("running", 3, 5.0)
    store.write_result("dishes", begun["id"], {**unchanged("v000001", "Nothing has changed."), "seconds": 7.0})
    store.end("dishes", begun["id"], Ending.FINISHED)
    seen = (await client.get(f"{TUNINGS}/{begun['id']}")).json()
    assert (seen["state"], seen["result"]["verdict"]) == ("finished", "Nothing has changed.")


async def test_events_say_each_change_until_the_end(
    client: httpx.AsyncClient, jobs: NamedJobs, store: Tunings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunings, "LOOK_S", 0.01)
    monkeypatch.setattr(tunings, "QUIET_S", 0.02)
    await label(client)
    begun = await start(client)
    desk = desk_of(store._objects.url, BackboneReplica.__new__(BackboneReplica), jobs=jobs)
    first = await tunings._look(desk, "dishes", begun["id"])
    states, quiet = [], 0
    async for event in tunings._events(desk, "dishes", first):
        if event.startswith(":"):
            quiet += 1
            if states[-1] == "waiting":
                jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
            elif quiet > 3:
                store.end("dishes", begun["id"], Ending.FAILED, reason="why")
            continue
        name, data = event.rstrip("\n").split("\n")
        assert name == "event: tuning"
        states.append(json.loads(data.removeprefix("data: "))["state"])
    assert states == ["waiting", "running", "failed"]
    async with client.stream("GET", f"{TUNINGS}/{begun['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join([part async for part in answer.aiter_text()])
    assert text.count("event: tuning") == 1


async def test_a_plan_says_what_is_thin_and_too_few_are_refused(client: httpx.AsyncClient) -> None:
    await label(client, 7)
    plan = (await client.get(f"{TUNINGS}/plan")).json()
    assert (plan["possible"], plan["sentences"], plan["labels"], plan["thin"]) == (
        False, 7, {"dish": 7, "place": 0}, ["place"]
    )  # fmt: skip
    assert "found 7 done examples" in problem(await client.post(TUNINGS, json={}), 422, "too-few-examples")["detail"]


async def test_a_service_without_a_place_for_runs_tunes_nothing(place: Place, tmp_path: Path) -> None:
    replica = BackboneReplica(place.settings)
    async with connect(replica, annotate=ANNOTATE, desk=desk_of(str(tmp_path), replica)) as client:
        client.headers.update(bearer(ANNOTATE))
        await label(client)
        problem(await client.post(TUNINGS, json={}), 403, "tuning-disabled")
        assert (await client.get(f"{TUNINGS}/plan")).json()["possible"] is False


@pytest.mark.parametrize("id_", ["..%2Flabels", "%2e%2e", ID + "x", "plan2"])
async def test_no_id_leads_out_of_the_folder(client: httpx.AsyncClient, tmp_path: Path, id_: str) -> None:
    for method in ("GET", "DELETE"):
        assert (await client.request(method, f"{TUNINGS}/{id_}")).status_code in (404, 405, 422)
    problem(await client.get(f"{TUNINGS}/{ID}"), 404, "unknown-tuning")
    assert list(tmp_path.rglob("*.json")) == []


async def test_nothing_is_held_out_while_a_tuning_learns_from_it(client: httpx.AsyncClient) -> None:
    await label(client)
    begun = await start(client)
    refused = await client.post("/v1/domains/dishes/examples/hold-out", json={"share": 0.3})
    assert problem(refused, 409, "tuning-in-progress")["tuning"] == begun["id"]
    assert (await client.delete(f"{TUNINGS}/{begun['id']}")).json()["state"] == "stopped"
    held = await client.post("/v1/domains/dishes/examples/hold-out", json={"share": 0.3})
    assert held.json()["test"] > 0
