"""The command as a whole: parsed values, imports, and answers to mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from lightner.cli import main
from lightner.cli.program import EXTRAS, group
from lightner.data.formats import write_conll
from lightner.data.formats.options import Columns, Repair
from lightner.jobs.command import SUBMITTED
from lightner.jobs.options import (
    AnnotateOptions,
    CreateOptions,
    EvaluateOptions,
    PretrainOptions,
    SuggestOptions,
    TuneOptions,
)
from lightner.tuning import rules
from lightner.types import Sentence, Span
from tests.support.options import annotate_options, pretrain_options, tune_options
from tests.support.paths import CHECKOUT
from tests.support.serving import prepare

HEAVY = ("torch", "transformers", "tokenizers", "ray", "datasets", "fastapi", "pydantic", "numpy", "pandas", "pyarrow")
TUNE = ["--train", "a.conll", "--domain", "x"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("create", CreateOptions),
        ("tune", TuneOptions),
        ("suggest", SuggestOptions),
        ("evaluate", EvaluateOptions),
        ("annotate", AnnotateOptions),
        ("pretrain", PretrainOptions),
    ],
)
def test_a_jobs_options_are_all_that_its_command_takes(name: str, kind: type) -> None:
    assert {each.name for each in group.commands[name].params} == {each.name for each in fields(kind)}


def test_an_option_that_is_not_given_has_the_jobs_own_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTNER_HOME", str(tmp_path))
    monkeypatch.delenv("LIGHTNER_REGISTRY", raising=False)
    home = {"registry": f"{tmp_path}/registry", "storage": f"{tmp_path}/runs"}
    assert tune_options(TUNE) == TuneOptions(train="a.conll", domain="x", **home)
    monkeypatch.setenv("LIGHTNER_REGISTRY", "s3://b/prompts")
    assert annotate_options(["f.txt", "/g", "--out", "o"]) == AnnotateOptions(
        files=(Path("f.txt").resolve(), Path("/g")), out=Path("o").resolve(), registry="s3://b/prompts"
    )
    words = ["--start", "s", "--open", "p", "--out", "o", "--steps", "3"]
    here = Path.cwd()
    assert pretrain_options(words) == PretrainOptions(
        start=here / "s", open=here / "p", out=here / "o", steps=3,
        storage=Path("~/ray_results").expanduser(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "lengths", "rates", "log"),
    [
        ([], rules.PROMPT_LENGTHS, rules.LEARNING_RATES, ()),
        (["--lengths", "8", "16", "--rates", "0.01", "0.03"], (8, 16), (0.01, 0.03), ()),
        (["--lengths=4", "--log", "mlflow", "wandb", "--rates", "1e-3"], (4,), (1e-3,), ("mlflow", "wandb")),
        (["--lengths", "2", "--lengths", "3", "4"], (3, 4), rules.LEARNING_RATES, ()),
    ],
)
def test_several_values_follow_one_option_and_the_last_of_a_name_counts(
    words: list[str], lengths: tuple[int, ...], rates: tuple[float, ...], log: tuple[str, ...]
) -> None:
    for given in ([*TUNE, *words], [*words, *TUNE]):
        options = tune_options(given)
        assert (options.train, options.domain) == ("a.conll", "x")
        assert (options.lengths, options.rates, options.log) == (lengths, rates, log)


def test_columns_and_repairs_are_parsed_once() -> None:
    for words in (["grow-to-word", "drop-span"], ["grow-to-word,drop-span"]):
        options = tune_options([*TUNE, "--columns", "word=1,tag=ner", "--repair", *words])
        assert options.columns == Columns(word=1, tag="ner")
        assert options.repairs == {Repair.GROW_TO_WORD, Repair.DROP_SPAN}
    assert annotate_options(["f.txt", "--out", "o", "--columns", "word=2"]).columns == "word=2"


def test_a_closed_output_is_not_an_error(tmp_path: Path) -> None:
    words = ["prompts", "list", "--registry", str(tmp_path)]
    code = f"from lightner.cli import main; import sys; sys.exit(main({words!r}))"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run([sys.executable, "-uc", code], cwd=CHECKOUT, stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_files_may_stand_anywhere_and_after_two_dashes_nothing_is_an_option() -> None:
    options = annotate_options(["a.txt", "--out", "o", "b.txt", "--", "--domain"])
    assert [path.name for path in options.files] == ["a.txt", "b.txt", "--domain"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["tune", *TUNE, "--lenghts", "8"],
            "No such option '--lenghts'. Did you mean '--lengths'? (lightner tune --help",
        ),
        (["tune", "--domain", "x"], "Missing option '--train' (lightner tune --help lists all options)"),
        (["tune", *TUNE, "--rates", "--gpu"], "--rates: found no value, expected at least 1 (lightner tune --help"),
        (["tune", *TUNE, "--rates", "0.1", "-1"], "--rates: found '-1', expected a number above 0 and below 1 ("),
        (["tune", *TUNE, "--columns", "wrd=1"], "--columns: found 'wrd=1'"),
        (["evaluate", "--repair", "keep-longest", "gow"], "--repair: found 'gow', expected some of"),
        (["annotate", "--columns", "word"], "--columns: found 'word'"),
        (["tune", *TUNE, "more"], "Got unexpected extra argument (more) (lightner tune --help"),
        (["annotate", "--out", "o"], "Missing argument 'FILE...' (lightner annotate --help"),
        (["annotate", "s3://b/f", "--out", "o"], "FILE...: found 's3://b/f', expected a path that every node sees"),
        (["tnue"], "No such command 'tnue'"),
        (["--hlep"], "No such option '--hlep'"),
    ],
)
def test_a_mistake_in_the_words_is_one_line_and_status_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert line.startswith(f"error: {said}")
    assert shown.out == ""


def test_no_command_shows_them_all_and_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert all(f"  {name} " in shown for name in group.commands)


def commands(parent: click.Group, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, each in parent.commands.items():
        found += commands(each, *path, name) if isinstance(each, click.Group) else [((*path, name), each)]
    return found


@pytest.mark.parametrize("path", [path for path, _ in commands(group)], ids=" ".join)
def test_every_command_has_help_for_every_option_and_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: lightner {' '.join(path)} " in shown
    assert f"Example:\n    lightner {' '.join(path)}" in shown
    found = dict(commands(group))[path]
    assert all(each.help for each in found.params if isinstance(each, click.Option))


def loaded(*lines: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    """Run command lines in one separate process, until one fails; it prints the heavy modules that they imported."""
    code = (
        f"import sys\n{before}\nfrom lightner.cli import main\n"
        f"status = next(filter(None, map(main, {lines!r})), 0)\n"
        f"print('heavy:', *(name for name in {HEAVY!r} if sys.modules.get(name)))\nsys.exit(status)"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "status"),
    [("--help", 0), ("--version", 0), ("tune --help", 0), ("tune --lenghts 8", 2), ("prmopts", 2), ("tune", 2)],
)
def test_help_and_a_mistyped_word_import_nothing_heavy(line: str, status: int) -> None:
    done = loaded(line.split())
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, "heavy:"), done.stderr


@pytest.mark.parametrize(
    ("here", "submitted", "then"), [(None, False, "10000"), ("7", False, "7"), (None, True, None), ("7", True, "7")]
)
def test_threads_soon_sleep_beside_other_programs(
    here: str | None, submitted: bool, then: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("GOMP_SPINCOUNT", here), (SUBMITTED, "{}" if submitted else None)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    assert main(["data", "check", "nowhere.conll"]) == 2
    assert os.environ.get("GOMP_SPINCOUNT") == then


def test_a_missing_extra_is_one_line_that_says_how_to_install_it() -> None:
    done = loaded(["tune", *TUNE], before="sys.modules['ray'] = None")
    assert done.returncode == 2
    line = "error: found no package 'ray', which this command needs: pip install 'lightner-ray[ray]'\n"
    assert done.stderr == line


def test_commands_of_the_base_need_no_extra(tmp_path: Path) -> None:
    place = prepare(tmp_path)
    write_conll(file := tmp_path / "test.conll", [Sentence(("ada", "likes", "soup"), (Span(0, 1, "PER"),))] * 2)
    (notes := tmp_path / "notes.txt").write_text("Ada likes soup.\n")
    # Packages that transformers and datasets bring are not only in the extras.
    brought = ("httpx", "tokenizers", "tqdm", "yaml")
    before = f"sys.modules.update(dict.fromkeys({sorted(set(EXTRAS) - {*brought})!r}))"
    at = ["--registry", place.registry.url]
    done = loaded(
        ["tag", "--domain", "movies", "--backbone", str(place.folder), *at, "Ada likes soup."],
        ["create", "begun", "--labels", "person, city", "--backbone", str(place.folder), *at],
        ["suggest", "--domain", "begun", "--texts", str(notes), "--backbone", str(place.folder), *at],
        ["evaluate", "--domain", "movies", "--backbone", str(place.folder), *at, "--test", str(file)],
        ["prompts", "verify", *at],
        ["data", "kshot", str(file), "--k", "1", "--out", str(tmp_path / "one.conll")],
        ["doctor", "--quick", "--backbone", str(place.folder), *at],
        before=before,
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_package_that_no_extra_brings_is_our_own_mistake() -> None:
    done = loaded(["prompts", "list", "--registry", "."], before="sys.modules['numpy'] = None")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("name", ["tune", "evaluate", "annotate", "pretrain"])
def test_a_door_takes_the_same_options_and_says_how_it_is_called(name: str, tmp_path: Path) -> None:
    door = str(CHECKOUT / "jobs" / f"{name}.py")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    shown = [
        subprocess.run([sys.executable, *words, "--help"], cwd=where, env=environment, capture_output=True, text=True)
        for words, where in (([door], tmp_path), (["-m", "lightner", name], CHECKOUT))
    ]
    by_door, by_name = (done.stdout for done in shown)
    assert by_door.startswith(f"Usage: python jobs/{name}.py [OPTIONS]")
    assert by_door.split("\n", 1)[1].strip() == by_name.split("\n", 1)[1].strip()
    done = subprocess.run(
        [sys.executable, door, "--hlep"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"(python jobs/{name}.py --help lists all options)" in done.stderr


def test_the_shell_completes_commands_options_and_files() -> None:
    def completed(*words: str) -> list[str]:
        environment = {
            **os.environ,
            "_LIGHTNER_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("lightner", *words)),
        }
        environment["COMP_CWORD"] = str(len(words))
        code = "import sys; from lightner.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert completed("tu") == ["plain,tune"]
    assert completed("tune", "--runs") == ["plain,--runs-per-gpu"]
    assert completed("tune", "--train", "ex") == ["file,ex"]
    assert completed("tune", "--log", "ml") == ["plain,mlflow"]
    assert completed("annotate", "--out", "ta") == ["dir,ta"]
