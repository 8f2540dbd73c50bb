"""The preflight check: our files pass, and a broken copy of each kind fails with file and key."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import lightner
from scripts.cluster_check import __main__ as cluster_check
from scripts.cluster_check import containers, launcher, manifests, service, style
from scripts.cluster_check.findings import Finding, Skipped
from tests.support.paths import CHECKOUT

KUBERAY = CHECKOUT / "cluster" / "kuberay"
CRDS = "LIGHTNER_KUBERAY_CRDS"
Outcomes = list[Finding | Skipped]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of all checked files, for tests to break."""
    shutil.copytree(CHECKOUT / "cluster", tmp_path / "cluster")
    (tmp_path / "serve").mkdir()
    shutil.copy(CHECKOUT / "serve" / "config.yaml", tmp_path / "serve")
    for name in (".yamllint.yaml", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("lightner", "jobs", "examples"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    return tmp_path


@pytest.fixture(scope="session")
def crds() -> Path:
    """KubeRay's definitions: the folder that the environment names, or one called kuberay-crds near the checkout."""
    beside = [*CHECKOUT.parent.glob("kuberay-crds"), *CHECKOUT.parent.glob("*/kuberay-crds")]
    for folder in [Path(os.environ[CRDS])] if os.environ.get(CRDS) else beside:
        if list(folder.glob("ray.io_*.yaml")):
            return folder
    pytest.skip(f"KubeRay's CustomResourceDefinitions are not here; {CRDS} names a folder with them")


def replace(file: Path, old: str, new: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r} to break"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


def wrong(outcomes: Outcomes) -> str:
    """All findings as text, with the name of their file only."""
    return "\n".join(f"{each.file.name}: {each.key}: {each.message}" for each in outcomes if isinstance(each, Finding))


@pytest.mark.ray
def test_every_file_of_ours_passes_and_skipped_checks_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(CRDS, raising=False)
    status, said = cluster_check.main([]), capsys.readouterr().out
    assert status == 0, said
    assert "cluster-check: all files are well" in said
    assert "wrong" not in said
    assert "skipped: schemas of KubeRay" in said
    assert "skipped: hadolint" not in said


def test_every_object_of_ours_passes_kuberays_schemas(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], crds: Path
) -> None:
    # These need no schemas and take long.
    monkeypatch.setattr(launcher, "check", lambda file, checkout: [])
    status, said = cluster_check.main(["--kuberay-crds", str(crds)]), capsys.readouterr().out
    assert status == 0, said
    assert "wrong" not in said
    assert "skipped: schemas of KubeRay" not in said


@pytest.mark.parametrize("folder", ["base", "eks", "gke", "job"])
def test_manifests_pass_without_kuberays_schemas_and_say_so(folder: str) -> None:
    outcomes = list(manifests.check(KUBERAY / folder, crds=None))
    assert wrong(outcomes) == ""
    reasons = [str(each) for each in outcomes if isinstance(each, Skipped) and "KubeRay" in each.check]
    assert bool(reasons) == (folder in ("base", "job"))
    assert all("--kuberay-crds" in each for each in reasons)


def test_a_broken_checkout_ends_with_status_one_and_the_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("aws-gpu.yaml", "gcp-gpu.yaml"):
        (checkout / "cluster" / name).unlink()
    file = replace(checkout / "serve" / "config.yaml", "max_surge_percent: 100", "max_surge_percnt: 100")
    monkeypatch.setattr(cluster_check, "CHECKOUT", checkout)
    monkeypatch.delenv(CRDS, raising=False)
    assert cluster_check.main([]) == 1
    said = capsys.readouterr().out
    assert f"wrong: {file}: applications.0.deployments.0.max_surge_percnt: unknown key" in said
    assert "cluster-check: 1 wrong" in said


def test_a_folder_without_schemas_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cluster_check.main(["--kuberay-crds", str(tmp_path)])
    assert str(tmp_path) in capsys.readouterr().err


LAUNCHER = [
    ("aws-gpu.yaml", "idle_timeout_minutes", "idle_timeout_minute", "idle_timeout_minute"),
    ("aws-gpu.yaml", "max_workers: 8 # CHANGE\n", "max_workers: '8'\n", "gpu-spot.max_workers: '8' is not of type"),
    ("aws-gpu.yaml", "InstanceMarketOptions", "InstanceMarketOption", "gpu-spot.node_config: Unknown parameter"),
    ("aws-gpu.yaml", "VolumeSize: 150", "VolumeSize: big", "Invalid type for parameter"),
    ("aws-gpu.yaml", '"~/.lightner/ray-token": "~/.lightner/ray-token"', "#", "file_mounts: the secret"),
    ("aws-gpu.yaml", "RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "setup_commands: found no RAY_AUTH_MODE=token"),
    ("aws-gpu.yaml", "resources: { CPU: 0 }", "resources: { CPU: 4 }", "head.resources: found {'CPU': 4}"),
    ("aws-gpu.yaml", ": requirements.txt\n", ": requirement.txt\n", "found 'requirement.txt', expected"),
    ("gcp-gpu.yaml", "provisioningModel", "provisionModel", "gpu-spot.node_config.scheduling.provisionModel: unknown"),
    ("gcp-gpu.yaml", "provisioningModel: SPOT", "provisioningModel: SPOTS", "provisioningModel: 'SPOTS' is not one of"),
    ("gcp-gpu.yaml", "automaticRestart: false }", "automaticRestart: never }", "automaticRestart: 'never' is not of"),
    ("gcp-gpu.yaml", "{ CPU: 4, GPU: 1,", "{ CPU: 8, GPU: 1,", "resources.CPU: found 8, but g2-standard-4 has 4"),
    ("gcp-gpu.yaml", "us-central1-a", "us-west1-a", "provider.availability_zone: found 'us-west1-a'"),
    ("gcp-gpu.yaml", "export RAY_AUTH_TOKEN_PATH", "export TOKEN_PATH", "setup_commands: found no RAY_AUTH_TOKEN_PATH"),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), LAUNCHER, ids=[each[2] for each in LAUNCHER])
def test_a_wrong_launcher_file_is_named_with_its_key(checkout: Path, name: str, old: str, new: str, said: str) -> None:
    file = replace(checkout / "cluster" / name, old, new)
    found = wrong(list(launcher.check(file, checkout=checkout)))
    assert found.startswith(f"{name}: ")
    assert said in found


def test_nodes_install_the_wheel_of_this_version_alone(checkout: Path) -> None:
    file = checkout / "cluster" / "gcp-gpu.yaml"
    [skipped] = [each for each in launcher.check(file, checkout=checkout) if isinstance(each, Skipped)]
    assert "`make wheel`" in skipped.reason
    (checkout / "dist").mkdir()
    (wheel := checkout / "dist" / f"lightner_ray-{lightner.__version__}-py3-none-any.whl").touch()
    assert list(launcher.check(file, checkout=checkout)) == []
    wheel.rename(other := wheel.with_name("lightner_ray-0.0.9-py3-none-any.whl"))
    assert f"found ['{other.name}'], expected the wheel of" in wrong(list(launcher.check(file, checkout=checkout)))
    wheel.touch()
    assert "make wheel" in wrong(list(launcher.check(file, checkout=checkout)))


def test_images_have_the_version_of_the_package() -> None:
    folder = CHECKOUT / "cluster"
    files = [path for path in folder.rglob("*") if path.is_file()]
    tagged = r'(?:lightner-[cg]pu:|newTag: ")(\d+\.\d+\.\d+)'
    found = {str(path.relative_to(folder)): set(re.findall(tagged, path.read_text(encoding="utf-8"))) for path in files}
    named = {name: versions for name, versions in found.items() if versions}
    base = {"README.md", "compose.yaml", "Dockerfile.cpu", "Dockerfile.gpu"}
    assert {*base, "kuberay/base/kustomization.yaml", "kuberay/job/kustomization.yaml"} <= set(named)
    assert all(versions == {lightner.__version__} for versions in named.values())


MANIFESTS = [
    ("ray-service.yaml", "require_key: true", "requires_key: true", "serveConfigV2.applications.0.args.requires_key"),
    ("ray-service.yaml", "            max_ongoing_requests", "            max_ongoing_requsts", "max_ongoing_requsts"),
    ("ray-service.yaml", "alias_ttl_s: 5", "alias_ttl_s: soon", "user_config.prompts.alias_ttl_s"),
    ("ray-service.yaml", "name: LIGHTNER_READ_KEY", "name: LIGHTNER_READ", "the service needs LIGHTNER_READ_KEY"),
    ("ray-service.yaml", "key: read-key", "key: readkey", "secretKeyRef.key: key: found 'readkey'"),
    ("ray-service.yaml", "key: admin-key", "key: adminkey", "secretKeyRef.key: key: found 'adminkey'"),
    ("ray-service.yaml", "key: annotate-key", "key: annotatekey", "secretKeyRef.key: key: found 'annotatekey'"),
    ("ray-service.yaml", "max_at_once", "max_at_onc", "serveConfigV2.applications.0.args.requests.max_at_onc"),
    ("ray-service.yaml", "name: lightner-secrets, key: redis", "name: secrets, key: redis", "found 'secrets'"),
    ("secrets.example.env", "auth_token=", "token=", "the secret lightner-secrets has no key auth_token"),
    ("secrets.example.env", "redis-password=", "password=", "found 'redis-password'"),
    ("ray-cluster.yaml", "initialDelaySeconds", "initialDelay", "'initialDelay' was unexpected"),
    ("ray-cluster.yaml", "containerPort: 8080", 'containerPort: "8080"', "containerPort: '8080' is not of type"),
    ("ray-cluster.yaml", "lightner-head", "lightner-haed", "serviceAccountName: account: found 'lightner-haed'"),
    ("redis.yaml", "volumeClaimTemplates", "volumeClaimTemplate", "'volumeClaimTemplate' was unexpected"),
    ("redis.yaml", "replicas: 1", "replicas: one", "StatefulSet lightner-redis: spec.replicas: 'one' is not of type"),
    ("network-policy.yaml", "  ingress:", "  ingres:", "'ingres' was unexpected"),
    ("network-policy.yaml", "component: serving }", "component: serve }", "which no pod here has"),
    ("disruption-budget.yaml", "node-type: worker", "node-type: wroker", "PodDisruptionBudget lightner-serving: spec"),
    ("pod-monitor.yaml", "podMetricsEndpoints", "podMetricEndpoints", "spec.podMetricEndpoints: unknown key"),
    ("kustomization.yaml", "  - pod-monitor.yaml\n", "", "resources: pod-monitor.yaml is beside it and not named"),
    ("kustomization.yaml", "secretGenerator:", "secretsGenerator:", "lightner-secrets"),
    ("namespace.yaml", "kind: Namespace", "kind: NameSpace", "NameSpace"),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"), MANIFESTS, ids=[each[2].strip() or "none" for each in MANIFESTS]
)
def test_a_wrong_manifest_is_named_with_its_key(checkout: Path, name: str, old: str, new: str, said: str) -> None:
    folder = checkout / "cluster" / "kuberay" / "base"
    replace(folder / name, old, new)
    assert said in wrong(list(manifests.check(folder, crds=None)))


def test_a_key_that_may_be_left_out_is_not_missed_and_another_is(checkout: Path) -> None:
    folder = checkout / "cluster" / "kuberay" / "base"
    keys = "auth_token=a\nread-key=b\nredis-password=c\n"
    (folder / "secrets.env").write_text(keys, encoding="utf-8")
    assert wrong(list(manifests.check(folder, crds=None))) == ""
    (folder / "secrets.env").write_text(keys.replace("read-key", "reading-key"), encoding="utf-8")
    assert "secretKeyRef.key: key: found 'read-key'" in wrong(list(manifests.check(folder, crds=None)))


OF_RAY = [
    ("ray-cluster.yaml", "groupName: gpu\n", "groupname: gpu\n", "workerGroupSpecs.0.groupname: unknown key"),
    ("ray-cluster.yaml", "maxReplicas: 4 ", 'maxReplicas: "4" ', "workerGroupSpecs.0.maxReplicas: '4' is not of type"),
    ("ray-cluster.yaml", "mode: token", "mode: tokens", "spec.authOptions.mode: 'tokens' is not one of"),
    ("ray-service.yaml", "redisAddress", "redisAdress", "gcsFaultToleranceOptions.redisAdress: unknown key"),
    ("ray-service.yaml", "    enableInTreeAutoscaling: true", "    enableInTreeAutoscaling: 1", "is not of type"),
]


@pytest.mark.parametrize(("name", "old", "new", "said"), OF_RAY, ids=[each[2].strip() for each in OF_RAY])
def test_a_wrong_object_of_ray_is_named_with_its_key(
    checkout: Path, crds: Path, name: str, old: str, new: str, said: str
) -> None:
    folder = checkout / "cluster" / "kuberay" / "base"
    replace(folder / name, old, new)
    assert f"{name}: Ray" in (found := wrong(list(manifests.check(folder, crds=crds))))
    assert said in found


def test_a_wrong_job_is_named_with_its_key(checkout: Path, crds: Path) -> None:
    folder = checkout / "cluster" / "kuberay" / "job"
    file = replace(folder / "ray-job.yaml", "backoffLimit: 2", "backofLimit: 2")
    replace(file, "configMap: { name: training-data }", "configMap: { name: training }")
    found = wrong(list(manifests.check(folder, crds=crds)))
    assert "RayJob lightner-tune-support-tickets: spec.backofLimit: unknown key" in found
    assert "configMap.name: configMap: found 'training'" in found


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not here")
def test_refusals_of_kubectl_are_reported(checkout: Path) -> None:
    folder = checkout / "cluster" / "kuberay" / "eks"
    replace(folder / "kustomization.yaml", "/spec/workerGroupSpecs/1/", "/spec/workerGroupSpecs/7/")
    assert wrong(list(manifests.check(folder, crds=None))).startswith("kustomization.yaml: whole file: ")


SERVE = [
    ("request_timeout_s", "request_timeout", "http_options.request_timeout: unknown key"),
    ("max_ongoing_requests: 1024", "max_ongoing_requsts: 1024", "deployments.0.max_ongoing_requsts: unknown key"),
    ("num_gpus: 0", "num_gpu: 0", "applications.0.args.num_gpu: unknown key"),
    ("num_cpus: 1", "num_cpus: none", "applications.0.args.num_cpus: Input should be a valid number"),
    ("max_rows: 32", "max_row: 32", "deployments.0.user_config.batch.max_row: unknown key"),
    ("port: 8000", "port: http", "http_options.port: Input should be a valid integer"),
    ("  - name: lightner", "  - nam: lightner", "applications.0.nam: unknown key"),
    ("proxy_location: EveryNode", "proxy_location: [", "line "),
]


@pytest.mark.parametrize(("old", "new", "said"), SERVE, ids=[each[1] for each in SERVE])
def test_a_wrong_serve_file_is_named_with_its_key(checkout: Path, old: str, new: str, said: str) -> None:
    file = replace(checkout / "serve" / "config.yaml", old, new)
    assert f"config.yaml: {said}" in wrong(list(service.check(file))).replace(
        "applications.0.deployments", "deployments"
    )


DOCKERFILE = [
    ("FROM python:3.11.13-slim-bookworm\n", "FROM python\n", "DL3006"),
    ("USER 1000:1000", "USER root", "USER: found none but root"),
    ("HEALTHCHECK", "# HEALTHCHECK", "HEALTHCHECK: found none"),
    ("COPY lightner lightner", "COPY lihgtner lightner", "found lihgtner, expected a path of the checkout"),
    ("ENTRYPOINT", "ENV LIGHTNER_ADMIN_KEY=abc\nENTRYPOINT", "a secret would stay in the image"),
    ("ENTRYPOINT", "ENV LIGHTNER_ANNOTATE_KEY=abc\nENTRYPOINT", "a secret would stay in the image"),
    ("ENTRYPOINT", "ENV READ_KEY=abc\nENTRYPOINT", "a secret would stay in the image"),
    ("WORKDIR /home/ray", "WORKDIRS /home/ray", "line "),
]


@pytest.mark.parametrize(("old", "new", "said"), DOCKERFILE, ids=[each[1].split("\n")[0] for each in DOCKERFILE])
@pytest.mark.parametrize("name", ["Dockerfile.cpu", "Dockerfile.gpu"])
def test_a_wrong_dockerfile_is_named_with_its_line(checkout: Path, name: str, old: str, new: str, said: str) -> None:
    file = replace(checkout / "cluster" / name, old, new)
    found = wrong(list(containers.check_dockerfile(file, checkout=checkout)))
    assert found.startswith(f"{name}: ")
    assert said in found


COMPOSE = [
    ("    ports:", "    prots:", "services.ray.prots: unknown key"),
    ("shm_size: 1gb", "shm_size: [1gb]", "services.ray.shm_size"),
    ("      retries: 12", "      retry: 12", "services.s3.healthcheck.retry: unknown key"),
    ("LIGHTNER_READ_KEY:?", "LIGHTNER_READER_KEY:?", "LIGHTNER_READER_KEY: the secret or setting is missing"),
    ("${LIGHTNER_ADMIN_KEY:-}", "${LIGHTNER_ADMINKEY:-}", "LIGHTNER_ADMINKEY: the secret or setting is missing"),
    ("./compose/prometheus.yaml", "./compose/prometheus.yml", "services.prometheus.volumes.0: found ./compose"),
    ("cluster/Dockerfile.cpu", "cluster/Dockerfile.cpus", "services.ray.build.dockerfile"),
    ("depends_on: [prometheus]", "depends_on: [prometeus]", "services.grafana.depends_on: found prometeus"),
]


@pytest.mark.parametrize(("old", "new", "said"), COMPOSE, ids=[each[1].strip() for each in COMPOSE])
def test_a_wrong_compose_file_is_named_with_its_key(checkout: Path, old: str, new: str, said: str) -> None:
    file = checkout / "cluster" / "compose.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    place = text.index(old, text.index("  ray:")) if old.strip() == "ports:" else text.index(old)
    file.write_text(text[:place] + text[place:].replace(old, new, 1), encoding="utf-8")
    found = wrong(list(containers.check_compose(file, example=file.parent / "compose" / "example.env")))
    assert found.startswith("compose.yaml: ")
    assert said in found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "max_workers: 9\n", "duplication of key"),
        (lambda text: text.replace("max_workers: 8", "max_workers:  8", 1), "too many spaces"),
    ],
)
def test_yaml_that_is_badly_written_is_named_with_its_line(
    checkout: Path, change: Callable[[str], str], said: str
) -> None:
    file = checkout / "cluster" / "gcp-gpu.yaml"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    found = wrong(list(style.check([file], rules=CHECKOUT / ".yamllint.yaml")))
    assert found.startswith("gcp-gpu.yaml: line ")
    assert said in found
