"""Facts of a run, in the past tense. The only thing that changes a run is one of these.

An event holds neither time nor live objects; `Entry` adds when and where. To data and back is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from jobtest.core.data import from_data, to_data, to_text
from jobtest.core.model import Command, Failure, Kind, Outcome, Phase, Verdict

__all__ = [
    "AttemptSuspended",
    "BackoffEnded",
    "BodyEnded",
    "Entry",
    "Event",
    "JobEnded",
    "PhaseEnded",
    "PhaseStarted",
    "RetryPlanned",
    "RunEnded",
    "RunStarted",
    "RunStopped",
    "event_from_data",
    "event_to_data",
    "event_to_text",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began."""

    command: Command
    jobs: int
    workers: int


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase is about to call the user's code.

    `held_by` names what a first phase waited for: `resource`, or empty for a worker.
    """

    job: str
    attempt: int
    phase: Phase
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """A phase came to a verdict.

    Attributes:
        job: Id of the job.
        attempt: Number of the attempt, from 1.
        phase: Which phase.
        verdict: What came of it.
        failure: What went wrong, if anything did.
        has_value: The job has a value after this phase.
        stdout: What the phase printed.
        stderr: What it printed there.
        log: What it logged.
        notes: What the user should know about it.
        value: Digest of the value that it made, if that can be stored; else empty.
    """

    job: str
    attempt: int
    phase: Phase
    verdict: Verdict
    failure: Failure | None = None
    has_value: bool = False
    stdout: str = ""
    stderr: str = ""
    log: str = ""
    notes: tuple[str, ...] = ()
    value: str = ""


@dataclass(frozen=True, slots=True)
class AttemptSuspended:
    """A check said that its job is to run, and values it takes have yet to be made.

    The attempt begins anew after them. With nothing to wait for, or if it `rests`, the check held: it waits
    until somebody wants its value, or until it is known whether values that it once took have changed.
    """

    job: str
    attempt: int
    waits_for: tuple[str, ...]
    rests: bool = False


@dataclass(frozen=True, slots=True)
class RetryPlanned:
    """An attempt failed and another follows after `delay` seconds."""

    job: str
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class BackoffEnded:
    """The delay before the next attempt of a job is over."""

    job: str


@dataclass(frozen=True, slots=True)
class BodyEnded:
    """A body that had been abandoned came to its end; what its job held is free again."""

    job: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job ended.

    Attributes:
        job: Id of the job.
        outcome: How it ended.
        reason: One line that says why.
        kind: Kind of a failure, else None.
        causes: For `blocked` and `skipped`: ids of the jobs it comes from, root causes first.
        notes: What the user should know beside the reason.
    """

    job: str
    outcome: Outcome
    reason: str = ""
    kind: Kind | None = None
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStopped:
    """Nothing new starts any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over."""

    exit_status: int


Event = (
    RunStarted
    | PhaseStarted
    | PhaseEnded
    | AttemptSuspended
    | RetryPlanned
    | BackoffEnded
    | BodyEnded
    | JobEnded
    | RunStopped
    | RunEnded
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place in the journal.

    Attributes:
        seq: Number in the run, from 0, without gaps.
        at: Seconds since the epoch, never going back within a run.
        run: Id of the run.
        event: What happened.
    """

    seq: int
    at: float
    run: str
    event: Event


_BY_NAME: Mapping[str, type] = {cls.__name__: cls for cls in get_args(Event)}


def event_to_data(event: Event) -> dict[str, object]:
    """Return the event as JSON data; fields that have their default are left out."""
    return {"event": type(event).__name__, **to_data(event)}


def event_to_text(event: Event) -> str:
    """Return `event_to_data` as JSON text in ASCII."""
    return to_text(event, f'"event":"{type(event).__name__}",')


def event_from_data(data: Mapping[str, object]) -> Event:
    """Return the event that `event_to_data` made `data` from; fields of later versions are passed over.

    Raises:
        ValueError: `data` is not an event.
    """
    cls = _BY_NAME.get(str(data.get("event")))
    if cls is None:
        raise ValueError(f"not an event of jobtest: {data!r}")
    made: Event = from_data(cls, data)
    return made
