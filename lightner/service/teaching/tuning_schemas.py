"""The wire contract of tunings: what may be asked for, and what is answered. Knows no ray, no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from lightner.service.schemas import Problem
from lightner.service.teaching.schemas import SpanForm

ID_PATTERN = r"^[0-9]{8}t[0-9]{6}-[0-9a-f]{6}$"
MAX_MINUTES = 24 * 60
MAX_LENGTH = 256
MAX_TRIALS_A_SIDE = 8

TuningState: TypeAlias = Literal["waiting", "running", "finished", "failed", "stopped"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TuningRequest(_Message):
    """Options of `lightner tune` that a caller may choose; left out, each is as the rules have it."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    budget_minutes: Annotated[float, Field(gt=0, le=MAX_MINUTES, allow_inf_nan=False)] | None = None
    lengths: list[Annotated[int, Field(ge=0, le=MAX_LENGTH)]] | None = Field(
        default=None, min_length=1, max_length=MAX_TRIALS_A_SIDE, description="prompt lengths to scan"
    )
    rates: list[Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]] | None = Field(
        default=None, min_length=1, max_length=MAX_TRIALS_A_SIDE, description="learning rates to scan"
    )
    force: bool = Field(default=False, description="go live although the live version is better; needs the admin key")


class PointForm(_Message):
    """The best F1 after so many seconds."""

    seconds: float
    f1: float


class ProgressForm(_Message):
    """How far a tuning is; `seconds_left` is an estimate for its stage."""

    stage: str
    rounds_done: int
    rounds_planned: int
    f1: float | None
    curve: list[PointForm]
    seconds: float
    seconds_left: float | None
    when: str


class Compared(_Message):
    """F1 of the version that was live, and of the new one."""

    before: float | None
    after: float | None


class ComparedLabel(Compared):
    """The same of one label, and the sentences that have it."""

    sentences: int


class Confusion(_Message):
    """How often entities of one label were taken for another."""

    gold: str
    found: str
    count: int


class Disagreement(_Message):
    """An example that a prompt which had not learned from it reads otherwise: perhaps its label is a mistake.

    Spans are those of `text`.
    """

    id: str
    text: str
    labelled: list[SpanForm]
    found: list[SpanForm]


class ResultForm(_Message):
    """What came of a tuning; of one that changed nothing, only `verdict` and `version`."""

    outcome: Literal["live", "candidate", "unchanged"]
    version: str | None
    verdict: str
    seconds: float
    f1: Compared
    labels: dict[str, ComparedLabel]
    confusions: list[Confusion]
    errors: dict[str, int]
    disagreements: list[Disagreement]


class TuningAnswer(_Message):
    """A tuning and how it goes. `attempt` counts its jobs: one that dies is resumed."""

    id: str
    domain: str
    state: TuningState
    options: dict[str, Any]
    who: str
    started: str
    attempt: int
    reason: str | None
    progress: ProgressForm | None
    result: ResultForm | None


class TuningsAnswer(_Message):
    """The tunings of a domain, the newest first."""

    tunings: list[TuningAnswer]


class PlanAnswer(_Message):
    """What a tuning would learn from. `seconds`: what the last finished tuning took."""

    possible: bool
    why: str | None
    sentences: int
    test: int
    labels: dict[str, int]
    thin: list[str]
    seconds: float | None


class InProgressProblem(Problem):
    """Another tuning of the domain has not ended."""

    tuning: str
