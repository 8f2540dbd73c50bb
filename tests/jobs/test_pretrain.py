"""The pretraining job before and after Ray: refusals, the identity of a run, and replacing a checkpoint."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.jobs import pretrain_run
from lightner.jobs.on_ray import session
from lightner.jobs.options import PretrainOptions
from lightner.jobs.pretrain_worker import left_out, material
from lightner.model.embedded import write_manifest
from lightner.types import InputError
from tests.support.options import pretrain_options


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an example of each input of a run."""
    contents = {
        "start/model.safetensors": "weights",
        "start/manifest.json": "{}",
        "start/README.md": "a card",
        "sets/news/train.conll": "Ana B-PER\n",
        "sets/held/test.conll": "Oslo B-LOC\n",
        "raw.txt": "A text.",
        "wordnet/data.noun": "nouns",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def words(place: Path, *more: str) -> list[str]:
    paths = {"start": "start", "sets": "sets", "raw": "raw.txt", "wordnet": "wordnet", "out": "made", "storage": "runs"}
    given = [word for option, name in paths.items() for word in (f"--{option}", str(place / name))]
    return [*given, "--steps", "8", "--leave-out", "held", *more]


def options(place: Path, *more: str) -> PretrainOptions:
    return pretrain_options(words(place, *more))


def begin(place: Path, *more: str) -> None:
    chosen = options(place, *more)
    pretrain_run.begin(place / "runs" / chosen.name, pretrain_run.traits(chosen), steps=chosen.steps)


def keep_a_state(place: Path, step: int) -> None:
    (place / "runs" / "pretrain" / f"step_{step:07d}").mkdir(parents=True)


def test_the_same_command_resumes_a_run_with_more_steps_and_other_workers(place: Path) -> None:
    begin(place)
    keep_a_state(place, 8)
    begin(place)
    begin(place, "--steps", "12", "--workers", "5", "--threads", "3", "--save-every", "2", "--out", "elsewhere")
    (place / "start" / "README.md").write_text("a better card")
    begin(place)


@pytest.mark.parametrize(
    ("more", "edited", "named"),
    [
        (["--rate", "1e-3", "--seed", "2"], None, "--rate and --seed"),
        (["--batch-size", "3"], None, "--batch-size"),
        (["--decoder-layers", "3"], None, "--decoder-layers"),
        (["--bf16"], None, "--bf16"),
        (["--leave-out", "news"], None, "--leave-out"),
        ([], "sets/news/train.conll", "--sets"),
        ([], "sets/other/train.conll", "--sets"),
        ([], "start/model.safetensors", "--start"),
        ([], "raw.txt", "--raw"),
        ([], "wordnet/data.noun", "--wordnet"),
    ],
)
def test_another_run_of_the_same_name_is_refused_by_what_differs(
    place: Path, more: list[str], edited: str | None, named: str
) -> None:
    begin(place)
    keep_a_state(place, 4)
    if edited:
        (place / edited).parent.mkdir(exist_ok=True)
        (place / edited).write_text("other content")
    with pytest.raises(InputError) as caught:
        begin(place, *more)
    assert f"runs/pretrain: found a run that was begun with another {named}, expected the same" in str(caught.value)
    begin(place, *more, "--name", "second")


def test_a_run_that_kept_nothing_is_begun_with_whatever_is_wanted_next(place: Path) -> None:
    begin(place)
    begin(place, "--seed", "1")
    keep_a_state(place, 4)
    begin(place, "--seed", "1")
    with pytest.raises(InputError, match="another --seed"):
        begin(place)


def test_a_run_is_not_made_shorter_than_it_is(place: Path) -> None:
    begin(place)
    keep_a_state(place, 8)
    keep_a_state(place, 12)
    with pytest.raises(InputError, match="--steps: found 8, expected at least the 12"):
        begin(place)


def test_a_state_of_unknown_origin_is_not_resumed(place: Path) -> None:
    keep_a_state(place, 4)
    with pytest.raises(InputError, match=r"does not say in begun\.json"):
        begin(place)


def test_bad_options_are_one_line_before_ray(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "connect", lambda *_: pytest.fail("a Ray was joined"))
    (place / "file").write_text("")
    (place / "letters").mkdir()
    (place / "letters" / "to.txt").write_text("dear")
    sets = "expected some, but not all, of the sets ['held', 'news']"
    for more, said in (
        (["--leave-out", "hled"], f"--leave-out: found ['hled'], {sets} in {place / 'sets'}"),
        (["--leave-out", "news", "held"], f"--leave-out: found ['held', 'news'], {sets}"),
        (["--sets", str(place / "none")], f"--sets: found '{place / 'none'}' (No such file or directory)"),
        (["--start", str(place / "none")], f"--start: found '{place / 'none'}' (No such file or directory)"),
        (["--raw", str(place / "none")], f"--raw: found '{place / 'none'}' (No such file or directory)"),
        (["--out", str(place / "file")], f"--out: found the file {place / 'file'}"),
        (["--out", str(place / "letters")], f"--out: found other files in {place / 'letters'}"),
        (["--out", "/proc"], "--out: found the mount point /proc"),
    ):
        assert main(["pretrain", *words(place, *more)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {said}"), line
    assert not (place / "runs").exists(), "nothing is begun"


def checkpoint(folder: Path, **contents: str) -> Path:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(content)
    write_manifest(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_checkpoint_is_replaced_whole_and_other_files_stay(tmp_path: Path) -> None:
    made = checkpoint(tmp_path / "made", README__md="new", config__json="new", **{"model-1-of-1__safetensors": "new"})
    shards = {f"model-{number}-of-2__safetensors": "old" for number in (1, 2)}
    out = checkpoint(tmp_path / "out", README__md="old", default_prompt__safetensors="old", **shards)
    (out / "model-3-of-3.safetensors").write_text("of a mixture that a kill left")
    (out / ".gitattributes").write_text("mine")
    (out / "notes").mkdir()
    (out / "notes" / "one").write_text("mine")
    pretrain_run.put(made, out)
    assert contents(out) == {**contents(made), ".gitattributes": "mine"}
    assert (out / "notes" / "one").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "out"]
    pretrain_run.put(made, tmp_path / "first")
    assert contents(tmp_path / "first") == contents(made)


@pytest.mark.parametrize("failing", ["copy", "rename"])
def test_a_full_disk_leaves_the_old_checkpoint_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    made, out = checkpoint(tmp_path / "made", config__json="new"), checkpoint(tmp_path / "out", config__json="old")
    before, rename = contents(out), Path.rename

    def copy_half(_: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text("n")
        raise OSError(28, "No space left on device", str(target))

    def rename_old_ones(source: Path, target: Path) -> Path:
        if source.name == ".out.new":
            raise OSError(28, "No space left on device", str(target))
        return rename(source, target)

    if failing == "copy":
        monkeypatch.setattr(shutil, "copytree", copy_half)
    else:
        monkeypatch.setattr(Path, "rename", rename_old_ones)
    with pytest.raises(OSError, match="No space left on device"):
        pretrain_run.put(made, out)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "out"]


@pytest.mark.parametrize("renamed", [False, True])
def test_the_next_run_clears_up_after_a_kill(tmp_path: Path, renamed: bool) -> None:
    made, out = checkpoint(tmp_path / "made", config__json="new"), checkpoint(tmp_path / "out", config__json="old")
    (out / ".mine").write_text("mine")
    checkpoint(tmp_path / ".out.new", half="written")
    if renamed:
        out.rename(tmp_path / ".out.old")
    else:
        checkpoint(tmp_path / ".out.old", config__json="older")
    pretrain_run.put(made, out)
    assert contents(out) == {**contents(made), ".mine": "mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "out"]


def test_a_damaged_manifest_is_named_before_the_run(tmp_path: Path) -> None:
    out = checkpoint(tmp_path / "out", config__json="old")
    assert json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"out/manifest\.json: found it damaged"):
        pretrain_run.check_place(out)


def test_sets_need_not_be_left_out(place: Path) -> None:
    assert left_out(place / "sets", []) == []
    [held] = left_out(place / "sets", ["held"])
    assert [each.words for each in held] == [("Oslo",)]
    given = [word for word in words(place) if word not in ("--raw", str(place / "raw.txt"))]
    everything, kept_out = material(replace(pretrain_options(given), leave_out=()))
    assert (everything.sources, kept_out) == (("held", "news"), {"sets": [], "groups": []})
