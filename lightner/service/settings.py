"""Settings of the service: those that a deployment is built from, and those that may change while it runs.

Unknown keys are errors. Knows no ray and no torch.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lightner.service.schemas import NAME_PATTERN

PLACEHOLDER = "CHANGE-ME"
"""The bucket in serve/config.yaml and cluster/ until it is set. Stores refuse capitals, so no bucket has this name."""

Seconds = Annotated[float, Field(gt=0, le=3600)]
ShortTime = Annotated[float, Field(ge=0, le=10)]
Count = Annotated[int, Field(ge=1)]
Domain = Annotated[str, Field(pattern=NAME_PATTERN)]


class RequestLimits(BaseModel):
    """Limits of an ingress; health, metrics and the page's files are exempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_at_once: Count = Field(
        default=512, description="requests that one ingress has in progress before it refuses others"
    )
    timeout_s: Seconds = Field(default=50.0, description="the most that a request may take, its body included")


class TuningSettings(BaseModel):
    """Of tunings that are started over HTTP; who may start one chooses none of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage: str = Field(description="checkpoints: s3://bucket/runs or an absolute folder that all nodes share")
    workers: Count | None = Field(default=None, description="data-parallel workers of each run")
    gpu: bool = Field(default=False, description="train on GPUs")
    pin: str | None = Field(default=None, description="YAML on every node with values in place of the rules'")

    @field_validator("storage")
    @classmethod
    def _absolute(cls, url: str) -> str:
        return _absolute(url)


class Settings(BaseModel):
    """The arguments of `app.build`; a change restarts the replicas."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: str = Field(description="where prompts are: s3://, gs://, az:// or an absolute folder")
    backbone: str | None = Field(default=None, description="hub name or absolute folder; nothing: the embedded one")
    device: str | None = Field(default=None, description="torch device; nothing: cuda if GPUs are asked for, else cpu")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the weights; bfloat16 is faster where a device has it, and not exact"
    )
    num_cpus: Annotated[float, Field(gt=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0)] = 0.0
    registry_timeout_s: Seconds = 10.0
    requests: RequestLimits = RequestLimits()
    require_key: bool = Field(default=False, description="do not start without LIGHTNER_READ_KEY")
    tuning: TuningSettings | None = Field(default=None, description="nothing: no tuning is started over HTTP")

    @field_validator("registry")
    @classmethod
    def _absolute(cls, url: str) -> str:
        return _absolute(url)

    @property
    def torch_device(self) -> str:
        return self.device or ("cuda" if self.num_gpus else "cpu")


def _absolute(url: str) -> str:
    # Replicas and jobs run in folders of Ray's choice: a relative path would silently be an empty place.
    if "://" not in url and not PurePath(url).is_absolute():
        raise ValueError(f"found {url!r}, expected an absolute folder or <scheme>://<bucket>/<prefix>")
    return url


class BatchLimits(BaseModel):
    """Limits of the micro-batcher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_rows: Count = Field(default=32, description="rows of one forward pass")
    max_tokens: Count = Field(
        default=4096, description="words of one forward pass with padding: rows times the longest; a row always goes"
    )
    max_wait_s: ShortTime = Field(default=0.002, description="how long a row waits for others to share its batch")
    max_queue_rows: Count = Field(default=4096, description="rows that may wait before requests are refused")
    between_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="share of the time for reading labels of requests while rows wait"
    )
    stuck_s: Seconds = Field(default=300.0, description="a forward pass longer than this makes the replica unhealthy")


class CacheLimits(BaseModel):
    """Limits of the prompt cache."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: Count = Field(default=2**30, description="bytes of prompts kept on the device")
    max_host_bytes: Annotated[int, Field(ge=0)] = Field(
        default=0, description="bytes of prompts kept in host memory beneath it; on CPU the one tier is enough"
    )
    max_label_bytes: Annotated[int, Field(ge=0)] = Field(
        default=2**28, description="bytes of prompts of labels in requests kept on the device, beside max_bytes"
    )
    max_label_sets: Count = Field(
        default=32, description="label sets that are read or wait to be before new ones are refused"
    )
    pinned: tuple[Domain, ...] = Field(default=(), description="domains whose live prompt is never evicted")
    preload: tuple[Domain, ...] = Field(default=(), description="domains loaded at the start, as pinned ones are")
    preload_wait_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=10.0, description="how long a start waits for them; the rest loads while requests are answered"
    )
    load_timeout_s: Seconds = Field(default=20.0, description="how long the store may take for one prompt")
    alias_ttl_s: Seconds = Field(default=5.0, description="how soon a moved alias is noticed")
    patience_s: ShortTime = Field(
        default=0.25, description="how long a request waits for news of its alias while an older version could answer"
    )
    refusal_ttl_s: Seconds = Field(default=5.0, description="how long an unknown or unusable prompt is known as such")
    outage_ttl_s: Seconds = Field(default=1.0, description="how long a store that failed is left alone")


class Limits(BaseModel):
    """The backbone deployment's `user_config`; a change reaches running replicas."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: BatchLimits = BatchLimits()
    prompts: CacheLimits = CacheLimits()
