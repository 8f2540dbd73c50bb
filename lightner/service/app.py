"""Build the Ray Serve application, an ingress and a backbone: what `serve deploy serve/config.yaml` imports."""

from __future__ import annotations

import os
from typing import Any

from pydantic import ValidationError
from ray import serve as ray_serve
from ray.serve import Application
from ray.serve.config import RequestRouterConfig

from lightner.service.ingress import READ_KEY, Ingress
from lightner.service.ray_metrics import metrics_observer
from lightner.service.replica import BackboneReplica
from lightner.service.routing import PromptRouter
from lightner.service.settings import PLACEHOLDER, Limits, Settings
from lightner.types import InputError

# Requests wait in the replica's own queue, where they can be batched and counted, not in Ray's router.
MAX_ONGOING_REQUESTS = 1024
INGRESS_CPUS = 0.1
SHUTDOWN_MARGIN_S = 10.0
ROUTING_STATS_PERIOD_S = 2.0


def build(args: dict[str, Any]) -> Application:
    """The service for `settings.Settings` given as a mapping.

    Raises:
        InputError: an unknown key, a bad value, or a registry that has not been set; the message names it.
    """
    settings = _checked(args)
    # A replica that is taken down finishes its requests; Ray ends it only after the longest request has ended.
    patience_s = settings.requests.timeout_s + SHUTDOWN_MARGIN_S
    backbone = ray_serve.deployment(
        BackboneReplica,
        name="Backbone",
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        health_check_period_s=5,
        graceful_shutdown_timeout_s=patience_s,
        request_router_config=RequestRouterConfig(
            request_router_class=PromptRouter, request_routing_stats_period_s=ROUTING_STATS_PERIOD_S
        ),
        user_config=Limits().model_dump(mode="json"),
        ray_actor_options={"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus},
    )
    ingress = ray_serve.deployment(
        Ingress,
        name="Ingress",
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        graceful_shutdown_timeout_s=patience_s,
        ray_actor_options={"num_cpus": INGRESS_CPUS},
    )
    # A key in the environment here means that the service must not be open: a node that lacks the key must not start.
    require_key = settings.require_key or bool(os.environ.get(READ_KEY))
    return ingress.bind(backbone.bind(settings, metrics_observer), settings=settings, require_key=require_key)


def _checked(args: dict[str, Any]) -> Settings:
    try:
        settings = Settings.model_validate(args)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise InputError(f"service: {'; '.join(faults)}; expected {sorted(Settings.model_fields)}") from error
    if PLACEHOLDER in settings.registry:
        raise InputError(
            f"service: registry: found the placeholder {settings.registry!r}, expected the address that prompts are "
            "published to (--registry of the tuning job), as `registry` in the file that is deployed"
        )
    return settings
