"""The start and the end of a tuning job: versions that exist already, and the alias of a new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lightner.jobs import tune
from lightner.jobs.gate import CANDIDATE, Verdict
from lightner.jobs.options import TuneOptions
from lightner.jobs.publish import Standing
from lightner.store.artifact import PromptArtifact
from lightner.store.registry import LIVE, AliasMoved, Registry
from lightner.types import InputError
from tests.support.tiny import tiny_artifact, tiny_backbone

MADE = tiny_artifact(tiny_backbone())


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(str(tmp_path / "registry"))


def options(registry: Registry, *, force: bool, budget: float | None = None) -> TuneOptions:
    return TuneOptions(
        train="-", domain="movies", registry=registry.url, storage="-", force=force, budget_minutes=budget
    )


def of_run(key: str) -> PromptArtifact:
    return replace(MADE, card=replace(MADE.card, tuning={"run": key}))


@pytest.mark.parametrize(
    ("passed", "force", "alias", "held_back"),
    [
        (True, False, LIVE, ""),
        (False, True, LIVE, ""),
        (False, False, CANDIDATE, " as candidate only: it is worse (--force lets this one go live)"),
    ],
)
def test_a_version_that_the_gate_holds_back_is_a_candidate_unless_forced(
    registry: Registry, capsys: pytest.CaptureFixture[str], passed: bool, force: bool, alias: str, held_back: str
) -> None:
    pictures = {"scan.png": b"a picture"}
    verdict = Verdict(passed, "3 against 4", "it is worse")
    tune._publish(registry, options(registry, force=force), MADE, lambda: (verdict, None), pictures)
    assert registry.aliases("movies") == {alias: "v000001"}
    assert (Path(registry.url) / "movies" / "versions" / "v000001" / "scan.png").read_bytes() == b"a picture"
    said = ["gate: 3 against 4", f"published movies v000001 into {registry.url}{held_back}"]
    assert capsys.readouterr().out.splitlines() == said


def test_a_live_version_is_tuned_again_only_by_force(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.publish(of_run("this"))
    live = Standing("v000001", of_run("this"))
    assert tune._is_done(registry, options(registry, force=False), live, "this")
    assert capsys.readouterr().out.startswith("nothing to do: movies v000001 is live with this data and these rules (")
    assert not tune._is_done(registry, options(registry, force=True), live, "this")
    assert not tune._is_done(registry, options(registry, force=False), live, "another")
    assert not tune._is_done(registry, options(registry, force=False), None, "this")
    assert capsys.readouterr().out == ""
    assert registry.aliases("movies") == {LIVE: "v000001"}


def test_a_held_back_version_waits_until_force_lets_it_go_live(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.publish(of_run("better"))
    registry.publish(of_run("this"), alias=CANDIDATE)
    live = Standing("v000001", of_run("better"))
    assert not tune._is_done(registry, options(registry, force=True), live, "another")
    assert tune._is_done(registry, options(registry, force=False), live, "this")
    assert registry.resolve("movies") == "v000001"
    assert tune._is_done(registry, options(registry, force=True), live, "this")
    assert registry.resolve("movies") == "v000002"
    waits, moved = capsys.readouterr().out.splitlines()
    assert waits.startswith("nothing to do: movies v000002 is the candidate with this data and these rules")
    assert moved.endswith(f"now it is live in {registry.url}")


def test_a_version_that_went_live_meanwhile_is_compared_with_as_well(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.publish(of_run("first"))
    verdicts = iter([Verdict(True, "97 against 60"), Verdict(False, "97 against 98", "it is worse")])

    def judged() -> tuple[Verdict, str | None]:
        live = registry.resolve("movies")
        if live == "v000001":
            registry.publish(of_run("another job's"))  # after this job looked, before it moves the alias
        return next(verdicts), live

    tune._publish(registry, options(registry, force=False), MADE, judged, {})
    assert registry.aliases("movies") == {LIVE: "v000002", CANDIDATE: "v000003"}
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "gate: 97 against 60"
    assert said[1].startswith("another version went live meanwhile (")
    assert said[2] == "gate: 97 against 98"
    assert said[-1].endswith("as candidate only: it is worse (--force lets this one go live)")


def test_an_alias_is_moved_only_from_the_version_it_is_expected_to_name(registry: Registry) -> None:
    registry.publish(MADE)
    registry.publish(MADE, alias=None)
    with pytest.raises(AliasMoved, match="found v000001, expected v000009: it was moved meanwhile"):
        registry.set_alias("movies", LIVE, "v000002", instead_of="v000009")
    with pytest.raises(AliasMoved, match="found v000001, expected None"):
        registry.set_alias("movies", LIVE, "v000002", instead_of=None)
    registry.set_alias("movies", LIVE, "v000002", instead_of="v000001")
    registry.set_alias("movies", LIVE, "v000002", instead_of="v000001")  # a repeated request finds its own first
    assert registry.resolve("movies") == "v000002"
    assert registry.history("movies") == ("v000001",)
    assert registry.card("movies", "v000001") == MADE.card


def damage(registry: Registry) -> None:
    (Path(registry.url) / "movies" / "versions" / "v000001" / "prompt.safetensors").write_bytes(b"cut off")


def test_an_unreadable_live_version_is_refused_before_time_is_spent_unless_forced(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.publish(MADE)
    damage(registry)
    with pytest.raises(InputError, match=r"the live version of movies cannot be read .*rollback movies .*--force"):
        tune._live(registry, options(registry, force=False))
    assert tune._live(registry, options(registry, force=True)) is None
    assert "warning: the live version cannot be read" in capsys.readouterr().out


def test_nothing_goes_live_over_a_version_that_became_unreadable(registry: Registry) -> None:
    registry.publish(MADE)
    damage(registry)
    verdict, live = tune._judged(registry, options(registry, force=False), MADE, outcome=None, base=None)  # type: ignore[arg-type]
    assert (verdict.passed, live) == (False, "v000001")
    assert "cannot be read" in verdict.comparison
