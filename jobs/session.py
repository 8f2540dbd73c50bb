"""How a job joins Ray: the cluster it was submitted to, else a local Ray of its own."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ray

CHECKOUT = Path(__file__).resolve().parent.parent
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def connect() -> None:
    """Join Ray. Workers find this checkout: through the job's working directory, or on their path.

    Token authentication is the cluster's choice; a Ray that starts here is local, and gets none unless asked for,
    since it would otherwise leave a token in the user's home that changes every later Ray.
    """
    logging.basicConfig(level=logging.WARNING)
    submitted = _SUBMITTED in os.environ
    if not submitted and "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    environment = {} if submitted else {"env_vars": {"PYTHONPATH": str(CHECKOUT)}}
    ray.init(runtime_env=environment, log_to_driver=False, logging_level=logging.WARNING)


def training_slots(*, gpu: bool) -> int:
    """How many training workers the cluster has room for now, at least one."""
    return max(1, int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
