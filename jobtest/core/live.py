"""What changes about a job in the course of a run. Changed by the scheduler, and by nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jobtest.core.events import JobEnded
from jobtest.core.model import Job, Outcome, Phase
from jobtest.core.planner import Decision
from jobtest.core.policies import Progress

__all__ = ["Live", "State"]


class State(Enum):
    """Where a job is; the table of `jobtest.core.scheduler`."""

    WAITING = "waiting"
    IDLE = "idle"
    READY = "ready"
    ACTIVE = "active"
    DECIDING = "deciding"
    BACKOFF = "backoff"
    ENDED = "ended"


@dataclass(slots=True)
class Live:
    """What changes about a job.

    Attributes:
        missing: Upstream edges that are not satisfied.
        pending: Upstream jobs whose values are being made for it.
        takers: Consumers of its value, or of what it holds open, that have not ended, or hold something open
            themselves.
        counted: It has been counted as satisfied by those that wait for it.
        turn: Number of its last run phase among all that have started, until one of them was entered.
        holds: Its run phase holds something open, for all that is known.
        doomed: How it ends for the sake of an upstream job, as soon as it can.
    """

    job: Job
    decision: Decision
    position: int
    missing: int
    takers: int
    progress: Progress
    state: State = State.WAITING
    phase: Phase | None = None
    pending: set[str] | None = None
    counted: bool = False
    turn: int = 0
    holds: bool = False
    doomed: JobEnded | None = None
    outcome: Outcome | None = None
