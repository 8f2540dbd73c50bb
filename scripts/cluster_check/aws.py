"""Checks of a cluster-launcher file for AWS, as far as they are possible without an account.

Settings of nodes are compared with the parameters of RunInstances, instance types with AWS's list, and Ray's own
preparation runs with a simulated AWS (moto).
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import boto3  # type: ignore[import-untyped]
from botocore.session import get_session  # type: ignore[import-untyped]
from botocore.validate import ParamValidator  # type: ignore[import-untyped]
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

from scripts.cluster_check.findings import Finding, Tree


def check(config: Tree, file: Path) -> Iterator[Finding]:
    """A configuration that Ray has prepared."""
    wrong = list(_parameters(config, file))
    yield from wrong
    if not wrong:
        yield from _bootstrap(config, file)


def _parameters(config: Tree, file: Path) -> Iterator[Finding]:
    shape = get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, node in config["available_node_types"].items():
        given = {"MinCount": 1, "MaxCount": 1, **node["node_config"]}
        place = f"available_node_types.{name}.node_config"
        report = ParamValidator().validate(given, shape)
        for line in filter(None, report.generate_report().splitlines()):
            yield Finding(file, place, line.strip())


def _bootstrap(config: Tree, file: Path) -> Iterator[Finding]:
    profiles = {
        str(node["node_config"].get("IamInstanceProfile", {}).get("Name"))
        for node in config["available_node_types"].values()
    }
    region = config["provider"]["region"]
    with _simulated():
        try:
            iam = boto3.client("iam", region)
            for profile in profiles - {"None"}:
                iam.create_instance_profile(InstanceProfileName=profile)
            filled = AWSNodeProvider.fillout_available_node_types_resources(config)
            bootstrap_aws(filled)
        except (Exception, SystemExit) as error:
            yield Finding(file, "provider", f"Ray cannot prepare AWS: {' '.join(str(error).split())}")


@contextlib.contextmanager
def _simulated() -> Iterator[None]:
    """AWS as simulated by moto, and a temporary home folder, where Ray leaves the key pair that it makes."""
    with tempfile.TemporaryDirectory() as home:
        own = {"HOME": home, "AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated"}
        with mock.patch.dict(os.environ, own), mock_aws(), contextlib.redirect_stdout(io.StringIO()):
            yield
