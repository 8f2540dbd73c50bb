"""The cluster-launcher file for Google Cloud as Ray and a shell read it, without requests to Google."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.gcp.config import get_node_type
from ray.autoscaler._private.gcp.node import GCPCompute, GCPNodeType
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from tests.support.launcher import CHECKOUT, home_of, run

Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    text = (CHECKOUT / "cluster" / "gcp-gpu.yaml").read_text(encoding="utf-8")
    prepared: Config = prepare_config(yaml.safe_load(text))
    validate_config(prepared)
    return prepared


class _Calls:
    """Records the instance that Ray requests, in place of Google's client."""

    _http = None

    def __init__(self) -> None:
        self.asked: Config = {}

    def instances(self) -> _Calls:
        return self

    def insert(self, **asked: Any) -> _Calls:
        self.asked = asked
        return self

    def execute(self, **_: Any) -> Config:
        return {"name": "operation"}


def test_ray_asks_for_nodes_with_their_accounts_network_and_price(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GCPCompute, "get_new_authorized_http", lambda *_: None)
    calls = _Calls()
    provider = config["provider"]
    compute = GCPCompute(calls, provider["project_id"], provider["availability_zone"], config["cluster_name"])
    asked = {}
    for name, group in config["available_node_types"].items():
        assert get_node_type(group["node_config"]) is GCPNodeType.COMPUTE
        labels = {"ray-node-name": "ray-node", "ray-node-type": "worker"}
        compute.create_instance(group["node_config"], labels, wait_for_operation=False)
        asked[name] = copy.deepcopy(calls.asked["body"])
    accounts = {name: each["serviceAccounts"][0]["email"].partition("@")[0] for name, each in asked.items()}
    assert accounts == {"head": "lightner-head", "gpu-on-demand": "lightner-worker", "gpu-spot": "lightner-worker"}
    assert asked["gpu-spot"]["scheduling"]["provisioningModel"] == "SPOT"
    assert "provisioningModel" not in asked["gpu-on-demand"]["scheduling"]
    for each in asked.values():
        assert each["labels"]["ray-cluster-name"] == config["cluster_name"]
        assert each["networkInterfaces"][0]["subnetwork"].endswith("/lightner")
        assert each["machineType"].startswith(f"zones/{provider['availability_zone']}/machineTypes/")
        assert len({str(other["disks"]) for other in asked.values()}) == 1


def test_the_head_does_no_work_and_no_worker_stays(config: Config) -> None:
    types = config["available_node_types"]
    head = types.pop("head")
    assert (head["resources"], head["max_workers"]) == ({"CPU": 0}, 0)
    assert {name: group["min_workers"] for name, group in types.items()} == {"gpu-on-demand": 0, "gpu-spot": 0}
    assert 0 < config["idle_timeout_minutes"] <= 30
    assert config["provider"]["cache_stopped_nodes"] is False


def test_nodes_come_with_work_and_spot_goes_first(config: Config) -> None:
    driver, worker = {"CPU": 0.01}, {"CPU": 1.0, "GPU": 1.0}
    assert _planned(config, []) == {}
    assert _planned(config, [driver, worker, worker]) == {"gpu-spot": 2}
    assert _planned(config, [worker] * 20) == {"gpu-spot": 8}


def test_both_clouds_run_the_same_commands_and_mount_the_same_files(config: Config) -> None:
    text = (CHECKOUT / "cluster" / "aws-gpu.yaml").read_text(encoding="utf-8")
    other = prepare_config(yaml.safe_load(text))
    for key in ("file_mounts", "head_start_ray_commands", "worker_start_ray_commands"):
        assert config[key] == other[key]
    own, theirs = config["setup_commands"][1:-1], other["setup_commands"][1:-1]
    assert own == theirs


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_every_node_starts_ray_with_the_token_and_the_registry(config: Config, tmp_path: Path, kind: str) -> None:
    home = home_of(tmp_path)
    run(config["setup_commands"], home)
    run(config["setup_commands"], home)
    run(config[f"{kind}_start_ray_commands"], home)
    calls = (home / "calls").read_text(encoding="utf-8").splitlines()
    seen = dict(line.partition("=")[::2] for line in (home / "environment-of-ray").read_text().splitlines())
    assert ("--head" in calls[-1].split()) == (kind == "head")
    assert seen["RAY_AUTH_MODE"] == "token"
    assert Path(seen["RAY_AUTH_TOKEN_PATH"]) == home / ".lightner/ray-token"
    assert (home / ".lightner/ray-token").stat().st_mode & 0o077 == 0
    assert seen["LIGHTNER_REGISTRY"].startswith("gs://")
    install, _ = dict.fromkeys(line for line in calls if line.startswith("pip "))
    assert "google-api-python-client" in install
    assert f"-c {home}/lightner-ray/requirements.txt" in install


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_ray_does_not_start_without_its_environment(config: Config, tmp_path: Path, kind: str) -> None:
    home = home_of(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        run(config[f"{kind}_start_ray_commands"], home)
    assert not (home / "calls").exists()


def _planned(config: Config, requests: list[dict[str, float]]) -> dict[str, int]:
    """Nodes that Ray's scheduler starts for `requests` on an empty cluster."""
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=AutoscalingConfig(config, skip_content_hash=True).get_node_type_configs(),
        max_num_nodes=config["max_workers"],
        resource_requests=ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(each) for each in requests]),
    )
    return {node.instance_type: node.count for node in ResourceDemandScheduler(None).schedule(request).to_launch}
