"""Ray Train's snapshot of a run, which names the states that the run resumes from: internals of Ray 2.60."""

from __future__ import annotations

from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
from ray.train.v2._internal.exceptions import CheckpointManagerInitializationError

from lightner.jobs.on_ray import storage


def names_lost_states(error: Exception) -> bool:
    """Whether a run failed to begin since states that its snapshot names are gone."""
    return CheckpointManagerInitializationError.__name__ in str(error)


def remove(run: str) -> None:
    """Remove the snapshot of the run in that folder or at that URL, so that it begins anew."""
    files, path = storage.opened(run)
    files.delete_file(f"{path}/{CHECKPOINT_MANAGER_SNAPSHOT_FILENAME}")
