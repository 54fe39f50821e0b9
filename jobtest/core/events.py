"""Facts of a run, in the past tense. The only thing that changes a run is one of these.

An event holds neither time nor live objects; `Entry` adds when and where. To data and back is the identity.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from jobtest.core.model import Command, Failure, Kind, Outcome, Phase, Verdict

__all__ = [
    "AttemptSuspended",
    "BackoffEnded",
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


@dataclass(frozen=True, slots=True)
class AttemptSuspended:
    """A check said that its job is to run, and values it takes have yet to be made.

    The attempt begins anew after them.
    """

    job: str
    attempt: int
    waits_for: tuple[str, ...]


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
_FIELDS: dict[type, tuple[tuple[str, object, Any], ...]] = {}


def event_to_data(event: Event) -> dict[str, object]:
    """Return the event as JSON data; fields that have their default are left out."""
    return {"event": type(event).__name__, **_to_fields(event)}


def event_from_data(data: Mapping[str, object]) -> Event:
    """Return the event that `event_to_data` made `data` from; fields of later versions are passed over.

    Raises:
        ValueError: `data` is not an event.
    """
    cls = _BY_NAME.get(str(data.get("event")))
    if cls is None:
        raise ValueError(f"not an event of jobtest: {data!r}")
    try:
        made: Event = _from_fields(cls, data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a {cls.__name__}: {data!r}") from error
    return made


def _to_fields(value: Event | Failure) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, default, _ in _fields_of(type(value)):
        this = getattr(value, name)
        if default is MISSING or this != default:
            out[name] = _to_json(this)
    return out


def _to_json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_json(one) for one in value]
    if isinstance(value, Failure):
        return _to_fields(value)
    return value


def _fields_of(cls: type) -> tuple[tuple[str, object, Any], ...]:
    """Return name, default and type hint of each field."""
    if cls not in _FIELDS:
        hints = get_type_hints(cls)
        _FIELDS[cls] = tuple((field.name, field.default, hints[field.name]) for field in fields(cls))
    return _FIELDS[cls]


def _from_fields(cls: type, data: Mapping[str, object]) -> Any:  # noqa: ANN401 - the class is the caller's
    known = {name: _from_json(hint, data[name]) for name, _, hint in _fields_of(cls) if name in data}
    return cls(**known)


def _from_json(hint: Any, value: object) -> object:  # noqa: ANN401 - a type hint has no type of its own
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is Failure and isinstance(value, Mapping):
        return _from_fields(Failure, value)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    return value
