"""The runs that a store remembers: which there are, which one is meant, how far they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from itertools import pairwise

from jobtest.core.errors import Problem, StateError
from jobtest.reports.history.text import columns, counts, one_line, took, when
from jobtest.reports.times import iso_utc, micro
from jobtest.state.store import Owner, RunRecord, Store

__all__ = [
    "Listed",
    "RunState",
    "Runs",
    "find_run",
    "list_runs",
    "record_data",
    "runs_data",
    "runs_text",
    "short_ids",
    "state_of",
]

SHORTEST = 8
"""Characters of a run id that are shown at least."""


class RunState(Enum):
    """How far a run came."""

    ENDED = "ended"
    RUNNING = "running"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Listed:
    """One run in a list.

    Attributes:
        record: What the store says of it.
        short: The beginning of its id that no other run shares.
        state: How far it came.
        totals: Outcome to number of jobs that ended so, so far.
    """

    record: RunRecord
    short: str
    state: RunState
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs, newest first, and how many older ones there are."""

    listed: Sequence[Listed]
    more: int


def list_runs(store: Store, limit: int | None = None) -> Runs:
    """Return the newest runs, at most `limit`. Journals of runs that have ended are not read."""
    records = store.runs()
    shown = records[:limit]
    short, owner, latest = short_ids(records), store.owner(), _latest_unended(records)
    return Runs(
        [
            Listed(
                record,
                short[record.id],
                _state(record, latest, owner),
                record.totals if record.ended_at is not None else store.outcomes(record.id),
            )
            for record in shown
        ],
        len(records) - len(shown),
    )


def find_run(store: Store, text: str) -> RunRecord:
    """Return the run that is meant: by its whole id, by a beginning that no other run has, or by `last`.

    Raises:
        StateError: none is meant, or more than one.
    """
    if text == "last":
        found = store.runs(1)
    else:
        exact = store.run(text)
        found = [exact] if exact is not None else [one for one in store.runs() if one.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        what, fix = f"no run begins with {text!r}", "`jobtest runs` lists those that there are"
        if text == "last":
            what, fix = "there is no run yet", "run something, or say which project with --root"
        raise StateError([Problem(what=what, at=(store.url,), fix=fix)])
    named = ", ".join(one.id for one in found[:SHORTEST])
    what = f"{len(found)} runs begin with {text!r}: {named}{', ...' if len(found) > SHORTEST else ''}"
    raise StateError([Problem(what=what, at=(store.url,), fix="give more of the id")])


def state_of(store: Store, record: RunRecord) -> RunState:
    """Return how far a run came."""
    if record.ended_at is not None:
        return RunState.ENDED
    return _state(record, _latest_unended(store.runs()), store.owner())


def _latest_unended(records: Sequence[RunRecord]) -> str:
    return next((record.id for record in records if record.ended_at is None), "")


def _state(record: RunRecord, latest: str, owner: Owner | None) -> RunState:
    """Return how far a run came; it is under way if its own process holds the store."""
    if record.ended_at is not None:
        return RunState.ENDED
    if owner is None or record.id != latest:
        return RunState.KILLED
    known = record.pid and owner.pid
    other = known and (record.host, record.pid) != (owner.host, owner.pid)
    return RunState.KILLED if other else RunState.RUNNING


def short_ids(records: Sequence[RunRecord]) -> dict[str, str]:
    """Return the beginning of each id, all of one length, by which no two are the same."""
    ids = sorted(record.id for record in records)
    shared = max((_shared(one, other) for one, other in pairwise(ids)), default=0)
    length = max(SHORTEST, shared + 1)
    return {id: id[:length] if id[length - 1 : length] != "-" else id[: length + 1] for id in ids}


def _shared(one: str, other: str) -> int:
    """Return how many characters two ids have in common from their beginning."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)


def record_data(record: RunRecord, state: RunState, totals: Mapping[str, int]) -> dict[str, object]:
    """Return a run as JSON data: times UTC, durations seconds, what is not known null."""
    ended = record.ended_at
    said = {field.name: getattr(record, field.name) for field in fields(record)}
    return {
        **said,
        **{name: said[name] or None for name in ("context", "resumed_from", "revision")},
        "argv": list(record.argv),
        "state": state.value,
        "started_at": iso_utc(record.started_at),
        "ended_at": None if ended is None else iso_utc(ended),
        "seconds": None if ended is None else micro(ended - record.started_at),
        "totals": dict(totals),
    }


def runs_data(runs: Runs) -> dict[str, object]:
    """Return runs as JSON data."""
    listed = [record_data(one.record, one.state, one.totals) for one in runs.listed]
    return {"schema": 1, "runs": listed, "more": runs.more}


def runs_text(runs: Runs) -> str:
    """Return runs as a table."""
    if not runs.listed:
        return "no runs yet\n"
    short = {one.record.id: one.short for one in runs.listed}
    head = ("run", "started", "command", "context", "took", "state", "jobs")
    rows = [head, *(_row(one, short) for one in runs.listed)]
    if not any(one.record.context for one in runs.listed):
        rows = [(*row[:3], *row[4:]) for row in rows]
    more = [f"... {runs.more} more; --limit {len(runs.listed) + runs.more} lists all"] if runs.more else []
    return "".join(f"{line}\n" for line in [*columns(rows), *more])


def _row(one: Listed, short: Mapping[str, str]) -> tuple[str, ...]:
    record = one.record
    return (
        one.short,
        when(record.started_at),
        one_line(record.command),
        one_line(record.context),
        took(None if record.ended_at is None else record.ended_at - record.started_at),
        f"exit {record.exit_status}" if one.state is RunState.ENDED else one.state.value,
        ", ".join(_jobs(one, short)),
    )


def _jobs(one: Listed, short: Mapping[str, str]) -> Iterator[str]:
    record, ended = one.record, sum(one.totals.values())
    if ended:
        yield counts(one.totals)
    if ended < record.jobs:
        yield f"{record.jobs - ended} not ended"
    if record.resumed_from:
        yield f"goes on with {short.get(record.resumed_from, record.resumed_from)}"
