"""What changes about a job in the course of a run. Changed by the scheduler, and by nobody else.

States of a job, and what moves it:

| state | left by |
|---|---|
| waiting | upstream satisfied -> ready, or idle if it only runs on demand; upstream failed -> deciding |
| idle | a consumer wants its value -> waiting or ready; none can any more -> deciding |
| ready | `PhaseStarted` -> active; an upstream job failed after all -> deciding |
| active | `PhaseEnded` -> deciding |
| resting | values that it took earlier known -> ready, idle or deciding; upstream failed -> deciding |
| deciding | next `PhaseStarted` -> active, `AttemptSuspended` -> waiting, idle or resting, |
| | `RetryPlanned` -> backoff, `JobEnded` -> ended |
| backoff | `BackoffEnded` -> ready |
| ended | nothing; `BodyEnded` frees what an abandoned body held |

An upstream job satisfies when it has ended well. One that is idle satisfies those that take its value: they
are asked whether they want it. Those that need it, or come after it, wait until it has ended, or until
nothing else can go on: its check held. `RunStopped` moves whatever is not active to deciding.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jobtest.core.events import JobEnded
from jobtest.core.model import Job, Outcome, Phase
from jobtest.core.planner import Decision
from jobtest.core.policies import Progress

__all__ = ["Live", "State"]


class State(Enum):
    """Where a job is; the table of this module."""

    WAITING = "waiting"
    IDLE = "idle"
    RESTING = "resting"
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
        pending: Upstream jobs whose values are being made for it, or that it rests for.
        takers: Consumers of its value, or of what it holds open, that have not ended, or hold something open
            themselves.
        resting: How many of these rest until it has ended, and wait for nothing else.
        rested: It has rested, and does not do so again.
        counted: Those that take its value have counted it as satisfied.
        passed: So have those that need it or come after it.
        released: It idles, and those that need it go on all the same, as nothing else can.
        not_before: When its next attempt may begin, left by an earlier run; 0 if at once.
        turn: Number of its last run phase among all that have started, until one of them was entered.
        entered: Its run phase has been entered in this run.
        holds: Its run phase holds something open, for all that is known.
        lingers: A body of it was abandoned, and goes on; it keeps its resources.
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
    resting: int = 0
    rested: bool = False
    not_before: float = 0.0
    counted: bool = False
    passed: bool = False
    released: bool = False
    turn: int = 0
    entered: bool = False
    holds: bool = False
    lingers: bool = False
    doomed: JobEnded | None = None
    outcome: Outcome | None = None
