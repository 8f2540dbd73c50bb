"""The only file that knows the inside of Ray's callback for W&B (Ray 2.60): how its actor gets the API key."""

from __future__ import annotations

import os
from typing import Any

from ray.air.integrations.wandb import WANDB_ENV_VAR, WandbLoggerCallback


class WandbCallback(WandbLoggerCallback):  # type: ignore[misc] # ray is untyped
    """Ray's callback, which hands the key to its actor in the actor's environment, which Ray logs in clear text.

    Here the key is an argument of the actor. This object lacks it too, since Tune writes it into the run's storage.
    """

    def _start_logging_actor(self, trial: Any, exclude_results: list[str], **options: Any) -> None:
        key = os.environ.pop(WANDB_ENV_VAR, None)
        if key is None:
            super()._start_logging_actor(trial, exclude_results, **options)
            return
        try:
            super()._start_logging_actor(trial, exclude_results, **options, settings={"api_key": key})
        finally:
            os.environ[WANDB_ENV_VAR] = key
