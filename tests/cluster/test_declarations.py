"""The cluster-launcher file as Ray, AWS and a shell read it, without an account and without a network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from botocore.exceptions import ParamValidationError  # type: ignore[import-untyped]
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from tests.support.launcher import CHECKOUT, home_of, run
from tests.support.s3 import S3Server

CLUSTER = CHECKOUT / "cluster"
ROLES = ("lightner-head", "lightner-worker")
WORKERS = ("gpu-spot", "gpu-on-demand")
POLICIES = ("trust.json", "bucket.json", "head.json")
WORLD = "0.0.0.0/0"
OFFICE = "198.51.100.7/32"

Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    loaded: Config = yaml.safe_load((CLUSTER / "aws-gpu.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """An empty AWS account with the two roles of cluster/README.md; yields its EC2 client."""
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps the key pair that it makes in ~/.ssh
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        iam = boto3.client("iam", "us-east-1")
        for role in ROLES:
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=_policy("trust.json"))
            iam.put_role_policy(RoleName=role, PolicyName="bucket", PolicyDocument=_policy("bucket.json"))
            iam.create_instance_profile(InstanceProfileName=role)
            iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        iam.put_role_policy(RoleName="lightner-head", PolicyName="nodes", PolicyDocument=_policy("head.json"))
        yield boto3.client("ec2", "us-east-1")


@pytest.fixture(scope="module")
def filled() -> Config:
    """The file with each node's resources as AWS lists them; asking takes seconds, so it is done once."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        loaded = yaml.safe_load((CLUSTER / "aws-gpu.yaml").read_text(encoding="utf-8"))
        return _filled(loaded)


@pytest.fixture
def server() -> Iterator[S3Server]:
    running = S3Server()
    yield running
    running.stop()


def test_ray_accepts_the_file(config: Config) -> None:
    validate_config(prepare_config(config))


def _misspell_top(config: Config) -> None:
    config["idle_timeout_minute"] = config.pop("idle_timeout_minutes")


def _misspell_in_group(config: Config) -> None:
    config["available_node_types"]["gpu-spot"]["min_worker"] = 0


def _misspell_in_provider(config: Config) -> None:
    config["provider"]["security_group"]["GroupNames"] = "lightner"


def _text_for_number(config: Config) -> None:
    config["available_node_types"]["gpu-spot"]["max_workers"] = "8"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_misspell_top, "idle_timeout_minute"),
        (_misspell_in_group, "min_worker"),
        (_misspell_in_provider, "GroupNames"),
        (_text_for_number, "'8' is not of type 'integer'"),
    ],
)
def test_ray_refuses_a_wrong_key_by_name(config: Config, change: Callable[[Config], None], named: str) -> None:
    change(config)
    with pytest.raises(jsonschema.ValidationError, match=named):
        validate_config(prepare_config(config))


def test_ray_refuses_a_head_that_is_no_node_type(config: Config) -> None:
    config["head_node_type"] = "haed"
    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(prepare_config(config))


def test_the_head_does_no_work_and_no_worker_stays(config: Config) -> None:
    types = prepare_config(config)["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert (head["min_workers"], head["max_workers"]) == (0, 0)
    assert sorted(types) == sorted(WORKERS)
    assert {name: group["min_workers"] for name, group in types.items()} == dict.fromkeys(WORKERS, 0)
    assert 0 < config["idle_timeout_minutes"] <= 30
    assert config["provider"]["cache_stopped_nodes"] is False


def test_nodes_get_the_token_the_wheel_and_the_versions_and_no_checkout(config: Config) -> None:
    token = "~/.lightner/ray-token"
    assert config["file_mounts"].pop(token) == token
    # The wheel is in dist, where `make wheel` puts it.
    assert config["file_mounts"] == {f"~/lightner-ray/{name}": name for name in ("dist", "requirements.txt")}


@pytest.mark.parametrize("file", POLICIES)
def test_policies_are_json_with_the_actions_spelled_out(file: str) -> None:
    for statement in json.loads(_policy(file))["Statement"]:
        assert {action for action in _listed(statement["Action"]) if {"*", "?"} & set(action)} <= {"ec2:Describe*"}


def test_no_role_may_be_passed_on_but_the_workers() -> None:
    statements = [each for file in POLICIES for each in json.loads(_policy(file))["Statement"]]
    [passing] = [each for each in statements if any(action.startswith("iam:") for action in _listed(each["Action"]))]
    assert _listed(passing["Action"]) == ["iam:PassRole"]
    [resource] = _listed(passing["Resource"])
    assert resource.endswith(":role/lightner-worker")


@pytest.mark.ray
def test_aws_starts_every_kind_of_node(filled: Config, account: Any) -> None:
    bootstrapped = bootstrap_aws(filled)
    assert bootstrapped["available_node_types"]["head"]["resources"] == {"CPU": 0}
    for name in WORKERS:
        resources = bootstrapped["available_node_types"][name]["resources"]
        assert (resources["CPU"], resources["GPU"], resources["accelerator_type:L4"]) == (4, 1, 1)
    head, spot, on_demand = (_launch(bootstrapped, account, name) for name in ("head", *WORKERS))
    assert [_role(node) for node in (head, spot, on_demand)] == ["lightner-head", "lightner-worker", "lightner-worker"]
    assert spot["InstanceLifecycle"] == "spot"
    assert "InstanceLifecycle" not in head
    assert "InstanceLifecycle" not in on_demand
    for node in (head, spot, on_demand):
        assert node["MetadataOptions"]["HttpTokens"] == "required"
        assert node["KeyName"] == "ray-autoscaler_us-east-1"


@pytest.mark.ray
def test_a_group_made_beforehand_keeps_the_world_out(filled: Config, account: Any) -> None:
    [network] = account.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    made = account.create_security_group(GroupName="lightner", Description="nodes", VpcId=network["VpcId"])["GroupId"]
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": made}]}
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": OFFICE}]}
    account.authorize_security_group_ingress(GroupId=made, IpPermissions=[inside, ssh])
    before = _rules(account, made)
    for group in bootstrap_aws(filled)["available_node_types"].values():
        assert group["node_config"]["SecurityGroupIds"] == [made]
    assert _rules(account, made) == before
    assert _open_ports(before, WORLD) == []
    assert _open_ports(before, OFFICE) == [(22, 22)]


@pytest.mark.ray
def test_a_group_that_ray_makes_opens_nothing_but_ssh(filled: Config, account: Any) -> None:
    [made] = bootstrap_aws(filled)["available_node_types"]["head"]["node_config"]["SecurityGroupIds"]
    assert _open_ports(_rules(account, made), WORLD) == [(22, 22)]


@pytest.mark.ray
def test_an_instance_type_that_aws_lacks_is_named(config: Config, account: Any) -> None:
    config["available_node_types"]["gpu-spot"]["node_config"]["InstanceType"] = "g6.xlrage"
    with pytest.raises(ValueError, match=r"g6\.xlrage"):
        _filled(config)


@pytest.mark.ray
def test_wrong_settings_of_a_node_fail_at_its_start(filled: Config, account: Any) -> None:
    bootstrapped = bootstrap_aws(filled)
    bootstrapped["available_node_types"]["gpu-spot"]["node_config"]["BlockDeviceMapping"] = []
    bootstrapped["available_node_types"]["gpu-on-demand"]["node_config"]["IamInstanceProfile"] = {"Name": "nobody"}
    with pytest.raises(ParamValidationError, match="BlockDeviceMapping"):
        _launch(bootstrapped, account, "gpu-spot")
    with pytest.raises(NodeLaunchException, match="nobody"):
        _launch(bootstrapped, account, "gpu-on-demand")


@pytest.mark.ray
def test_nodes_come_with_work_and_spot_goes_first(filled: Config) -> None:
    driver, worker = {"CPU": 0.01}, {"CPU": 1.0, "GPU": 1.0}
    assert _planned(filled, []) == {}
    assert _planned(filled, [driver]) == {"gpu-spot": 1}
    assert _planned(filled, [driver, worker, worker]) == {"gpu-spot": 2}
    assert _planned(filled, [worker] * 20) == {"gpu-spot": 8}
    assert _planned(filled, [worker], without={"gpu-spot": 0.0}) == {"gpu-on-demand": 1}


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_every_node_starts_ray_with_the_token_and_the_registry(config: Config, tmp_path: Path, kind: str) -> None:
    home = home_of(tmp_path)
    prepared = prepare_config(config)
    run(prepared["setup_commands"], home)
    run(prepared["setup_commands"], home)
    run(prepared[f"{kind}_start_ray_commands"], home)
    calls = (home / "calls").read_text(encoding="utf-8").splitlines()
    seen = dict(line.partition("=")[::2] for line in (home / "environment-of-ray").read_text().splitlines())
    started = calls[-1].split()
    assert calls[-2] == "ray stop"
    assert started[:2] == ["ray", "start"]
    assert ("--head" in started) == (kind == "head")
    assert "--address=10.0.0.1:6379" in started or kind == "head"
    assert seen["RAY_AUTH_MODE"] == "token"
    assert Path(seen["RAY_AUTH_TOKEN_PATH"]) == home / ".lightner/ray-token"
    assert (home / ".lightner/ray-token").stat().st_mode & 0o077 == 0
    assert seen["LIGHTNER_REGISTRY"].startswith("s3://")
    assert seen["AWS_DEFAULT_REGION"] == config["provider"]["region"]
    assert "PYTHONPATH" not in seen
    assert (home / ".bashrc").read_text(encoding="utf-8").count("lightner/environment") == 1


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_ray_does_not_start_without_its_environment(config: Config, tmp_path: Path, kind: str) -> None:
    home = home_of(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        run(config[f"{kind}_start_ray_commands"], home)
    assert not (home / "calls").exists()


def test_all_nodes_install_the_pinned_versions(config: Config, tmp_path: Path) -> None:
    home = home_of(tmp_path)
    prepared = prepare_config(config)
    run(prepared["worker_setup_commands"], home)
    calls = (home / "calls").read_text(encoding="utf-8").splitlines()
    install, again = [line for line in calls if line.startswith("pip ")]
    newest = f"{home}/lightner-ray/dist/lightner_ray-0.0.9-py3-none-any.whl"
    assert f"-c {home}/lightner-ray/requirements.txt" in install
    assert install.endswith(f" {newest}[ray]")
    assert "torch==2.13.0" in install
    assert again == f"pip install -q --force-reinstall --no-deps {newest}"
    assert prepared["worker_setup_commands"] == prepared["head_setup_commands"][: len(prepared["setup_commands"])]


@pytest.mark.s3
def test_ray_up_ends_where_the_registry_does_not_answer(config: Config, tmp_path: Path, server: S3Server) -> None:
    home = home_of(tmp_path)
    run(config["setup_commands"], home)
    file = home / ".lightner/environment"
    server.create_bucket("prompts")
    store = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": server.url}
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(config["head_setup_commands"], home, store)
    assert "CHANGE-ME" in failed.value.stderr
    file.write_text(file.read_text().replace("CHANGE-ME", "prompts"), encoding="utf-8")
    assert "nothing is published here" in run(config["head_setup_commands"], home, store)


def _policy(file: str) -> str:
    return (CLUSTER / "aws-iam" / file).read_text(encoding="utf-8").replace("BUCKET", "some-bucket")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _filled(config: Config) -> Config:
    """The first steps of `ray up`, before `bootstrap_aws`."""
    filled: Config = AWSNodeProvider.fillout_available_node_types_resources(prepare_config(config))
    validate_config(filled)
    return filled


def _launch(bootstrapped: Config, account: Any, name: str) -> Config:
    """Start one node as Ray does, and describe it as AWS does."""
    provider = AWSNodeProvider(bootstrapped["provider"], bootstrapped["cluster_name"])
    made = provider.create_node(bootstrapped["available_node_types"][name]["node_config"], {"ray-node-name": name}, 1)
    [found] = account.describe_instances(InstanceIds=list(made))["Reservations"]
    node: Config = found["Instances"][0]
    return node


def _role(node: Config) -> str:
    return str(node["IamInstanceProfile"]["Arn"]).rpartition("/")[2]


def _rules(account: Any, group: str) -> list[Config]:
    [found] = account.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    rules: list[Config] = found["IpPermissions"]
    return rules


def _open_ports(rules: list[Config], address: str) -> list[tuple[int, int]]:
    """Port ranges that `address` may reach; all ports are (-1, -1)."""
    return [
        (rule.get("FromPort", -1), rule.get("ToPort", -1))
        for rule in rules
        if address in [each["CidrIp"] for each in rule["IpRanges"]] or rule.get("Ipv6Ranges")
    ]


def _planned(
    filled: Config, requests: list[dict[str, float]], *, without: dict[str, float] | None = None
) -> dict[str, int]:
    """Nodes that Ray's scheduler starts for `requests` on an empty cluster; `without` lacks capacity at AWS."""
    wanted = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(request) for request in requests])
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=AutoscalingConfig(filled, skip_content_hash=True).get_node_type_configs(),
        max_num_nodes=filled["max_workers"],
        resource_requests=wanted,
        recoverable_resource_availabilities=without or {},
    )
    return {node.instance_type: node.count for node in ResourceDemandScheduler(None).schedule(request).to_launch}
