"""Checks of `lightner doctor`: each reports what it found, in what state that is, and how to mend it."""

from __future__ import annotations

import enum
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import lightner
from lightner.types import DISTRIBUTION, InputError

_GIB = 2**30
# A Ray with its dashboard, a driver and a worker with torch and the embedded backbone.
_LEAST_MEMORY = 2 * _GIB
_LEAST_DISK = 2 * _GIB
_TIMEOUT_S = 60
_NO_RAY = "RAY_ADDRESS must name a running Ray of the same version, RAY_AUTH_TOKEN be its token; or unset RAY_ADDRESS"
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


class State(enum.Enum):
    """The state of what was found."""

    SOUND = enum.auto()
    WARNING = enum.auto()
    BROKEN = enum.auto()


@dataclass(frozen=True, slots=True)
class Finding:
    """The subject of a check, what was found, its state, and the remedy if it is not ok."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def versions() -> list[Finding]:
    """Python, and every required package; packages of extras only if they are installed."""
    at = f"{lightner.__version__} at {Path(lightner.__file__).parent}"
    try:
        wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        remedy = f"pip install {DISTRIBUTION}, or pip install --editable . in a checkout"
        return [_python(), Finding("lightner", State.WARNING, f"{at}, not installed", remedy)]
    packages: dict[str, Finding] = {}
    for extra in ("", "ray", "client", "log", "pretrain"):
        for each in (one for one in wanted if _belongs(one, extra)):
            packages.setdefault(each.name, _package(each, extra))
    return [_python(), Finding("lightner", State.SOUND, at), *packages.values()]


def memory() -> Finding:
    """Free memory now."""
    free = _available_bytes()
    state = State.SOUND if free >= _LEAST_MEMORY else State.WARNING
    remedy = "" if state is State.SOUND else f"Ray and one worker need {_gib(_LEAST_MEMORY)}: end other programs"
    return Finding("memory", state, f"{_gib(free)} free", remedy)


def disk(folders: Sequence[str]) -> list[Finding]:
    """Free disk space in a folder."""
    found = []
    for folder in folders:
        free = shutil.disk_usage(_nearest(Path(folder))).free
        state = State.SOUND if free >= _LEAST_DISK else State.WARNING
        remedy = "" if state is State.SOUND else "remove what is not needed, or set LIGHTNER_HOME to another disk"
        found.append(Finding("disk", state, f"{_gib(free)} free for {folder}", remedy))
    return found


def port(number: int) -> Finding:
    """Whether `lightner serve` can use the port. Ray's own ports are chosen among free ones."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except (OSError, OverflowError) as error:
            remedy = "end the program that listens there, or lightner serve --port with another number"
            return Finding("port", State.WARNING, f"{number}: {error}", remedy)
    return Finding("port", State.SOUND, f"{number} is free")


def ray(*, start: bool) -> Finding:
    """The Ray that a job would join, or a private one that is started and stopped again."""
    from lightner.jobs.on_ray import local

    if (found := _version("ray")) is None:
        remedy = "pip install 'lightner-ray[ray]'; tag, evaluate, prompts and data work without"
        return Finding("ray", State.WARNING, "not installed", remedy)
    if address := os.environ.get("RAY_ADDRESS"):
        return _running_ray(address)
    if not start:
        return Finding("ray", State.SOUND, f"{found}, not started (--quick)")
    try:
        local.stop(local.start(token=local.new_token()))
    except (InputError, RuntimeError, OSError) as error:
        return Finding("ray", State.BROKEN, str(error), "the lines above are Ray's own; docs/operating.md")
    return Finding("ray", State.SOUND, f"{found} starts and stops")


def registry(url: str) -> Finding:
    """Whether prompts can be read and, as far as a check without changes shows it, written."""
    from lightner.store.objects import RegistryUnavailable
    from lightner.store.registry import Registry

    try:
        opened = Registry.open(url)
        if "://" not in url:
            return _folder("registry", Path(opened.url), f"{len(opened.domains())} domains")
        domains = len(opened.domains())
        opened.must_be_writable()
    except (InputError, RegistryUnavailable) as error:
        remedy = "the address, its bucket, credentials and AWS_ENDPOINT_URL must fit; docs/storage.md"
        return Finding("registry", State.BROKEN, str(error), remedy)
    return Finding("registry", State.SOUND, f"{url}: {domains} domains, writable")


def storage(place: str) -> Finding:
    """Whether checkpoints can be written."""
    if "://" not in place:
        return _folder("storage", Path(place), "")
    from lightner.jobs.on_ray import storage as storages

    try:
        storages.check(place)
    except InputError as error:
        return Finding("storage", State.BROKEN, str(error), "docs/storage.md")
    return Finding("storage", State.SOUND, f"{place}, writable")


def gpu() -> Finding:
    """The GPU, as torch sees it."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("gpu", State.SOUND, f"{', '.join(names)} (CUDA {torch.version.cuda})")
    if not shutil.which("nvidia-smi"):
        return Finding("gpu", State.SOUND, "none; all runs on the CPU")
    built = f"torch {torch.__version__} finds none, although nvidia-smi is here"
    remedy = (
        "the driver is older than torch's CUDA, or hidden by CUDA_VISIBLE_DEVICES; compare with nvidia-smi"
        if torch.version.cuda
        else "this torch is built without CUDA: pip install another build of it"
    )
    return Finding("gpu", State.WARNING, built, remedy)


def backbone(name: str | None) -> Finding:
    """Load the backbone; compare every byte of the embedded one with its manifest."""
    from lightner.model import backbone as backbones

    try:
        loaded = backbones.load(name)
    except InputError as error:
        remedy = "pip install --force-reinstall --no-deps lightner-ray" if name is None else "another --backbone"
        return Finding("backbone", State.BROKEN, str(error), remedy)
    parameters = loaded.model.num_parameters() / 1e6
    found = f"{loaded.name}, {parameters:.0f} million parameters, {loaded.fingerprint[:12]}"
    return Finding("backbone", State.SOUND, found)


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    if " " not in sys.executable:
        return Finding("python", State.SOUND, found)
    remedy = "Ray starts its processes by unquoted paths: make the environment in a folder without a space"
    return Finding("python", State.BROKEN, found, remedy)


def _belongs(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if not extra:
        return marker is None or marker.evaluate({"extra": ""})
    return marker is not None and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra})


def _package(wanted: Requirement, extra: str) -> Finding:
    found = _version(wanted.name)
    asked = f"{wanted.name}{wanted.specifier}"
    install = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install --upgrade {DISTRIBUTION}"
    if found is None:
        state = State.WARNING if extra else State.BROKEN
        return Finding(wanted.name, state, f"not installed, expected {asked}", install)
    if not wanted.specifier.contains(found, prereleases=True):
        return Finding(wanted.name, State.BROKEN, f"{found}, expected {asked}", install)
    return Finding(wanted.name, State.SOUND, found)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _running_ray(address: str) -> Finding:
    """Ask a running Ray from a separate process, since a process that joins Ray cannot leave it."""
    code = "import ray; ray.init(log_to_driver=False); print(ray.cluster_resources().get('CPU', 0))"
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("ray", State.BROKEN, f"{address}: no answer in {_TIMEOUT_S} s", _NO_RAY)
    if done.returncode:
        [said] = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        return Finding("ray", State.BROKEN, f"{address}: {said}", _NO_RAY)
    return Finding("ray", State.SOUND, f"{address} answers, {float(done.stdout.split()[-1]):g} CPUs")


def _folder(subject: str, folder: Path, more: str) -> Finding:
    nearest = _nearest(folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        remedy = f"make {folder} a folder that you may write to, or name another one"
        return Finding(subject, State.BROKEN, f"{nearest} is not writable", remedy)
    said = ", ".join(filter(None, [more, "writable"])) if folder.is_dir() else "made by the first job that needs it"
    return Finding(subject, State.SOUND, f"{folder}: {said}")


def _nearest(folder: Path) -> Path:
    """The folder, or the innermost one around it that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    [available] = [line for line in lines if line.startswith("MemAvailable:")]
    free = int(available.split()[1]) * 1024
    if _LIMIT.exists() and (limit := _LIMIT.read_text(encoding="ascii").strip()).isdecimal():  # of a container
        free = min(free, int(limit) - int(_USED.read_text(encoding="ascii")))
    return free


def _gib(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
