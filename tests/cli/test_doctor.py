"""`lightner doctor`: findings that are ok or broken, and their remedies."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from lightner.cli import checks, main
from lightner.cli.checks import State
from lightner.model import embedded
from tests.support.serving import Place


def doctor(place: Place, capsys: pytest.CaptureFixture[str], *words: str, status: int) -> dict[str, dict[str, Any]]:
    given = ["--registry", place.registry.url, "--backbone", str(place.folder), "--storage", place.registry.url]
    assert main(["doctor", "--quick", "--json", *given, *words]) == status
    return {each["subject"]: each for each in json.loads(capsys.readouterr().out)}


def test_a_sound_machine_is_said_to_be_sound(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = doctor(place, capsys, status=0)
    assert {"python", "lightner", "torch", "ray", "memory", "disk", "port", "registry", "storage", "gpu"} <= set(found)
    assert found["torch"]["found"] == metadata.version("torch")
    assert found["registry"]["found"] == f"{place.registry.url}: 3 domains, writable"
    assert found["backbone"]["found"].startswith(f"{place.folder}, 0 million parameters, ")
    assert all(each["state"] == "ok" for name, each in found.items() if name in ("torch", "registry", "backbone"))


def test_broken_findings_have_a_remedy_and_status_1(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(place.folder / "config.json")
    found = doctor(place, capsys, "--registry", file, "--storage", f"{file}/runs", "--backbone", "none", status=1)
    for name in ("registry", "storage", "backbone"):
        assert found[name]["state"] == "broken"
        assert found[name]["remedy"]
    assert main(["doctor", "--quick", "--registry", file]) == 1
    lines = capsys.readouterr().out.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("BROKEN")]
    assert f"registry: found the file {file}, expected a folder" in lines[at]
    assert lines[at + 1].split()[0] == "->"


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    assert "made by the first job" in checks.registry(str(tmp_path / "registry")).found
    assert "made by the first job" in checks.storage(str(tmp_path / "runs" / "of" / "mine")).found
    assert not list(tmp_path.iterdir())


def test_a_damaged_backbone_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(embedded.FOLDER, folder := tmp_path / "checkpoint")
    weights = next(folder.glob("model-*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr(embedded.load, "__defaults__", (folder,))
    found = checks.backbone(None)
    assert (found.state, weights.name in found.found) == (State.BROKEN, True)
    assert "--force-reinstall" in found.remedy


def test_packages_are_compared_with_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "click>=1",
        "torch>=99",
        "no-such-package",
        'ray==0.1; extra == "ray"',
        'tenacity>=1; extra == "ray"',
        'tenacity>=1; extra == "client"',
        'no-such-extra>=2; extra == "client"',
        'numpy>=99; extra == "dev"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda _: asked)
    found = checks.versions()[2:]
    assert [(each.subject, each.state) for each in found] == [
        ("click", State.SOUND),
        ("torch", State.BROKEN),
        ("no-such-package", State.BROKEN),
        ("ray", State.BROKEN),
        ("tenacity", State.SOUND),
        ("no-such-extra", State.WARNING),
    ]
    assert found[3].remedy == "pip install 'lightner-ray[ray]'"
    assert found[5].found == "not installed, expected no-such-extra>=2"


def test_a_python_in_a_folder_with_a_space_cannot_start_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/ana/my projects/python")
    assert checks.versions()[0].state is State.BROKEN


def test_a_port_that_is_taken_is_a_warning() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = checks.port(taken.getsockname()[1])
    assert found.state is State.WARNING
    assert "--port" in found.remedy


def test_a_ray_address_that_nobody_answers_at_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(checks, "_TIMEOUT_S", 3)
    found = checks.ray(start=True)
    assert found.state is State.BROKEN
    assert "RAY_ADDRESS" in found.remedy


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert checks.gpu().state is State.SOUND
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert checks.gpu().state is State.WARNING


def test_too_little_memory_or_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "_LEAST_MEMORY", 2**60)
    monkeypatch.setattr(checks, "_LEAST_DISK", 2**60)
    assert checks.memory().state is State.WARNING
    assert [each.state for each in checks.disk([str(tmp_path / "none" / "yet")])] == [State.WARNING]
