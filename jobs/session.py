"""How a job joins Ray: the cluster it was submitted to, else a local Ray of its own."""

from __future__ import annotations

import atexit
import logging
import os
from pathlib import Path

import ray

from jobs import local

CHECKOUT = Path(__file__).resolve().parent.parent
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def connect() -> None:
    """Join the cluster of `RAY_ADDRESS` (a submitted job has it), else a Ray of our own that ends with this process.

    Workers find this checkout through the job's working directory, or on their path. They are told the address too:
    Ray Train's clean-up of stopped trials looks for it, and finds none where several Rays share a machine.
    """
    logging.basicConfig(level=logging.WARNING)
    submitted = _SUBMITTED in os.environ
    if "RAY_ADDRESS" not in os.environ:
        head = local.start()
        atexit.register(local.stop, head)
        os.environ |= {"RAY_ADDRESS": head.address, "RAY_AUTH_MODE": "disabled"}
    variables = {"RAY_ADDRESS": os.environ["RAY_ADDRESS"]}
    if not submitted:
        variables["PYTHONPATH"] = str(CHECKOUT)
    ray.init(runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.WARNING)


def training_slots(*, gpu: bool) -> int:
    """How many training workers the cluster has room for now, at least one."""
    return max(1, int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
