"""The only file that knows Ray's AutoscalingCoordinator, an internal of Ray Data that Ray Train uses (Ray 2.60).

The first training run of a cluster starts this actor on its own node; for a trial's run that is a GPU node, where the
actor outlives the job. A node with an actor is never idle, so that GPU node would stay for ever.
"""

from __future__ import annotations

from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator


def keep_on_this_node() -> None:
    """Start the actor here, on the node of a job's driver, which is the head; does nothing if it already exists."""
    get_or_create_autoscaling_coordinator()
