"""The service's settings, and the file that deploys it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import yaml
from ray.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema

from lightner.service.app import build
from lightner.service.ingress import ADMIN_KEY, ANNOTATE_KEY, READ_KEY, keys
from lightner.service.middleware import Keys
from lightner.service.settings import Limits, Settings
from lightner.types import InputError
from tests.support.paths import CHECKOUT

CONFIG = CHECKOUT / "serve" / "config.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return found


class TestSettings:
    def test_a_registry_is_enough(self) -> None:
        settings = Settings(registry="s3://bucket/prompts")
        assert (settings.backbone, settings.torch_device) == (None, "cpu")

    def test_the_device_follows_the_resources_unless_it_is_given(self) -> None:
        assert Settings(registry="/r", num_gpus=0.5).torch_device == "cuda"
        assert Settings(registry="/r", num_gpus=1, device="cuda:1").torch_device == "cuda:1"

    @pytest.mark.parametrize(
        ("args", "name"),
        [
            ({}, "registry"),
            ({"registry": "prompts"}, "registry"),
            ({"registry": "../prompts"}, "registry"),
            ({"registry": "/r", "num_gpu": 1}, "num_gpu"),
            ({"registry": "/r", "num_gpus": -1}, "num_gpus"),
            ({"registry": "/r", "num_cpus": "many"}, "num_cpus"),
            ({"registry": "/r", "tuning": {}}, "tuning.storage"),
            ({"registry": "/r", "tuning": {"storage": "runs"}}, "tuning.storage"),
            ({"registry": "/r", "tuning": {"storage": "/runs", "entrypoint": "x"}}, "tuning.entrypoint"),
        ],
    )
    def test_missing_misspelt_and_wrong_settings_are_named(self, args: dict[str, Any], name: str) -> None:
        with pytest.raises(InputError, match=rf"service: {name}: .*expected \["):
            build(args)

    def test_values_of_a_command_line_are_read(self) -> None:
        assert build({"registry": "/r", "num_cpus": "2", "require_key": "false"}) is not None


class TestKey:
    def test_a_node_without_the_key_does_not_start_where_one_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(READ_KEY, "")
        with pytest.raises(InputError, match=READ_KEY):
            keys(required=True)
        assert keys(required=False).read is None
        monkeypatch.delenv(READ_KEY)
        with pytest.raises(InputError, match=READ_KEY):
            keys(required=True)
        monkeypatch.setenv(READ_KEY, "a key")
        assert keys(required=True) == keys(required=False) == Keys("a key", None)

    def test_the_keys_are_two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(READ_KEY, "a key")
        monkeypatch.setenv(ADMIN_KEY, "another")
        assert keys(required=True) == Keys("a key", "another")
        monkeypatch.setenv(ADMIN_KEY, "a key")
        with pytest.raises(InputError, match=f"{ADMIN_KEY}: found the key of {READ_KEY}"):
            keys(required=False)

    def test_the_annotate_key_is_a_third(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ADMIN_KEY, "another")
        monkeypatch.setenv(ANNOTATE_KEY, "a third")
        assert keys(required=False).annotate == "a third"
        monkeypatch.setenv(ANNOTATE_KEY, "another")
        with pytest.raises(InputError, match=f"{ANNOTATE_KEY}: found the key of {ADMIN_KEY}"):
            keys(required=False)

    @pytest.mark.parametrize("name", [READ_KEY, ADMIN_KEY, ANNOTATE_KEY])
    @pytest.mark.parametrize("key", [" a", "a\n", "é", "a\tb"])
    def test_a_key_that_no_header_carries_unchanged_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, name: str, key: str
    ) -> None:
        monkeypatch.delenv(READ_KEY, raising=False)
        monkeypatch.setenv(name, key)
        with pytest.raises(InputError, match=f"{name}: found white space") as caught:
            keys(required=False)
        assert key.strip() not in str(caught.value)[len(name) :] or key.strip() == "a"

    def test_a_key_is_not_shown(self) -> None:
        assert "secret" not in repr(Keys("secret", "secret too"))

    def test_a_key_where_the_service_is_built_makes_it_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(READ_KEY, raising=False)
        assert requires_key(build({"registry": "/r", "require_key": True}))
        assert not requires_key(build({"registry": "/r"}))
        monkeypatch.setenv(READ_KEY, "a key")
        assert requires_key(build({"registry": "/r"}))


class TestConfig:
    def test_ray_accepts_the_file(self, config: dict[str, Any]) -> None:
        deployed = ServeDeploySchema.model_validate(config)
        assert [app.import_path for app in deployed.applications] == ["lightner.service.app:build"]

    def test_a_checkout_has_another_name_for_the_same(self) -> None:
        assert importlib.import_module("serve.app").build is build

    def test_no_key_is_misspelt(self, config: dict[str, Any]) -> None:
        assert unknown_keys(config) == []

    def test_the_check_finds_what_ray_lets_pass(self, config: dict[str, Any]) -> None:
        config["applications"][0]["deployments"][0]["max_ongoing_requsts"] = 5
        config["applications"][0]["route"] = "/"
        ServeDeploySchema.model_validate(config)
        assert unknown_keys(config) == ["route", "max_ongoing_requsts"]

    def test_its_arguments_and_limits_are_those_of_the_service(self, config: dict[str, Any]) -> None:
        (application,) = config["applications"]
        build({**application["args"], "registry": "s3://bucket/registry"})
        backbone, ingress = application["deployments"]
        assert (backbone["name"], ingress["name"]) == ("Backbone", "Ingress")
        Limits.model_validate(backbone["user_config"])

    @pytest.mark.parametrize("file", ["serve/config.yaml", "cluster/kuberay/base/ray-service.yaml"])
    def test_the_unchanged_configuration_names_the_setting_to_change_and_reads_no_store(self, file: str) -> None:
        document = yaml.safe_load((CHECKOUT / file).read_text())
        served = yaml.safe_load(document["spec"]["serveConfigV2"]) if "spec" in document else document
        with pytest.raises(
            InputError, match=r"registry: found the placeholder 's3://CHANGE-ME/registry', expected the"
        ):
            build(served["applications"][0]["args"])


def requires_key(application: Any) -> bool:
    required: bool = application._bound_deployment.init_kwargs["require_key"]
    return required


def unknown_keys(config: dict[str, Any]) -> list[str]:
    known = {model: set(model.model_fields) for model in (ServeDeploySchema, ServeApplicationSchema, DeploymentSchema)}
    found = [key for key in config if key not in known[ServeDeploySchema]]
    for application in config["applications"]:
        found += [key for key in application if key not in known[ServeApplicationSchema]]
        for deployment in application["deployments"]:
            found += [key for key in deployment if key not in known[DeploymentSchema]]
    return found


def test_processes_that_only_speak_http_stay_without_torch() -> None:
    code = "import sys, lightner.service.ingress, lightner.service.routing; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=CHECKOUT)
