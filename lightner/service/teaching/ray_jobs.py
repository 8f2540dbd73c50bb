"""Jobs of the Ray that the service runs on, through its job API; the cluster's token comes from the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import ray
import requests
from ray.job_submission import JobStatus, JobSubmissionClient

from lightner.service.teaching.tuner import JobState, JobsUnavailable

# Time for a job that is stopped to keep its state, after which Ray kills it.
_STOP_WAIT_S = "30"
_STATES = {
    JobStatus.PENDING: JobState.WAITING,
    JobStatus.RUNNING: JobState.RUNNING,
    JobStatus.SUCCEEDED: JobState.DONE,
    JobStatus.FAILED: JobState.DIED,
    JobStatus.STOPPED: JobState.STOPPED,
}
_UNKNOWN = "does not exist"


class RayJobs:
    """`tuner.Jobs` on this process's Ray."""

    def submit(self, name: str, entrypoint: str) -> None:
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": _STOP_WAIT_S}
        # A checkout is found by the service's own path; an installed package needs none.
        if path := os.environ.get("PYTHONPATH"):
            variables["PYTHONPATH"] = path
        with _answering():
            self._client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env={"env_vars": variables})

    def state(self, name: str) -> JobState | None:
        with _answering():
            try:
                return _STATES[self._client.get_job_status(name)]
            except RuntimeError as error:
                if _UNKNOWN in str(error):
                    return None
                raise

    def stop(self, name: str) -> None:
        with _answering():
            try:
                self._client.stop_job(name)
            except RuntimeError as error:
                if _UNKNOWN not in str(error):
                    raise

    def last_words(self, name: str) -> str:
        try:
            with _answering():
                lines = [line for line in self._client.get_job_logs(name).splitlines() if line.strip()]
        except JobsUnavailable:
            return ""
        return lines[-1].strip()[:300] if lines else ""

    @cached_property
    def _client(self) -> JobSubmissionClient:
        # Not by RAY_ADDRESS, which a replica need not have: this process is in the cluster.
        return JobSubmissionClient(ray.get_runtime_context().gcs_address)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, RuntimeError, requests.RequestException) as error:
        raise JobsUnavailable(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
