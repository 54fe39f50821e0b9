"""One run, job by job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from jobtest.core.model import Outcome
from jobtest.core.summary import JobRecord, PhaseRecord
from jobtest.reports.history.loading import Loaded, values_of
from jobtest.reports.history.runs import RunState, record_data, state_of
from jobtest.reports.history.text import (
    SYMBOLS,
    attempt_lines,
    columns,
    counts,
    one_line,
    tail_lines,
    took,
    when,
)
from jobtest.reports.json_report import report_data
from jobtest.state.in_context import InContext
from jobtest.state.store import RunRecord, Store

__all__ = ["show_data", "show_text", "totals_of"]

INDENT = "    "
MANY = 20
"""Jobs that are named in a line at most."""


def show_data(store: Store, loaded: Loaded) -> dict[str, object]:
    """Return a run as the JSON report (schema 1), and what the store says of it under `run`."""
    record = loaded.record
    report = report_data(
        loaded.summary,
        values_of(store, loaded),
        context=record.context or None,
        resumed_from=record.resumed_from or None,
        exit_status=record.exit_status,
        record=record,
    )
    return {**report, "run": record_data(record, state_of(store, record), totals_of(loaded))}


def totals_of(loaded: Loaded) -> dict[str, int]:
    """Return how many jobs ended in each way, by the name of the outcome."""
    return {outcome.value: number for outcome, number in loaded.summary.totals().items()}


def show_text(store: Store, loaded: Loaded) -> str:
    """Return a run as text: what it was, each job in the order of the plan, what it came to, what is left."""
    state = state_of(store, loaded.record)
    sections = (
        _head(loaded, state),
        _jobs(loaded, state),
        _titled("notes", _notes(loaded)),
        _titled("root causes", _root_causes(loaded)),
        _titled(_IN_FLIGHT[state], _in_flight(loaded)),
        _titled("rollbacks that it owes", _owed_rollbacks(store, loaded)),
        _titled("cleanups that it owes", _owed(store, loaded)),
        [_recap(loaded)],
    )
    return "\n".join("".join(f"{line}\n" for line in section) for section in map(list, sections) if section)


_IN_FLIGHT = {
    RunState.ENDED: "not ended",
    RunState.RUNNING: "under way",
    RunState.KILLED: "under way when it was killed",
}


def _titled(title: str, lines: Iterator[str]) -> Sequence[str]:
    found = [f"  {line}" for line in lines]
    return [f"{title}:", *found] if found else []


def _head(loaded: Loaded, state: RunState) -> Iterator[str]:
    record = loaded.record
    lasted = "" if record.ended_at is None else f", took {took(record.ended_at - record.started_at)}"
    ended = f"exit {record.exit_status}" if state is RunState.ENDED else state.value
    rows = [
        ("run", record.id),
        ("command", record.command),
        ("started", f"{when(record.started_at)}{lasted}"),
        ("state", f"{ended}{f': {loaded.summary.stopped}' if loaded.summary.stopped else ''}"),
        ("goes on with", record.resumed_from),
        ("context", record.context),
        ("called as", shlex.join(record.argv)),
        ("in", record.cwd),
        ("revision", record.revision),
        ("by", _by(record)),
    ]
    return columns([(name, one_line(said)) for name, said in rows if said])


def _by(record: RunRecord) -> str:
    """Return what carried it out, as far as that is known: versions, machine, process, workers."""
    parts = [
        f"jobtest {record.version}" if record.version else "",
        f"Python {record.python}" if record.python else "",
        record.platform,
        f"on {record.host}" if record.host else "",
        f"pid {record.pid}" if record.pid else "",
        f"{record.workers} worker{'s' if record.workers != 1 else ''}",
    ]
    return ", ".join(part for part in parts if part)


def _jobs(loaded: Loaded, state: RunState) -> Iterator[str]:
    graph, jobs = loaded.plan.graph, loaded.summary.jobs
    rows = [_row(graph[id].label, jobs[id], state) for id in loaded.plan.order]
    for id, line in zip(loaded.plan.order, columns(rows), strict=True):
        yield line
        record = jobs[id]
        if len(record.attempts) > 1 or record.outcome in (Outcome.FAILED, None):
            yield from attempt_lines(record.attempts, INDENT)
        yield from tail_lines(record, INDENT)


def _row(label: str, record: JobRecord, state: RunState) -> tuple[str, ...]:
    none_yet = "running" if state is RunState.RUNNING and record.attempts else "not ended"
    return (
        SYMBOLS[record.outcome],
        one_line(label),
        record.outcome.value if record.outcome is not None else none_yet,
        took(record.seconds if record.attempts else None),
        one_line(record.reason),
    )


def _notes(loaded: Loaded) -> Iterator[str]:
    for id in loaded.plan.order:
        for note in loaded.summary.jobs[id].notes:
            yield one_line(f"{loaded.plan.graph[id].label}: {note}")


def _root_causes(loaded: Loaded) -> Iterator[str]:
    graph = loaded.plan.graph
    for root, blocked in loaded.summary.root_causes().items():
        yield one_line(f"{graph[root].label}: {loaded.summary.jobs[root].reason}")
        if blocked:
            more = f", ... {len(blocked) - MANY} more" if len(blocked) > MANY else ""
            yield one_line(f"  blocks {', '.join(graph[id].label for id in blocked[:MANY])}{more}")


def _in_flight(loaded: Loaded) -> Iterator[str]:
    for id in loaded.plan.order:
        record, label = loaded.summary.jobs[id], loaded.plan.graph[id].label
        if record.outcome is None and record.attempts:
            attempt = record.attempts[-1]
            yield one_line(f"{label}: attempt {attempt.number}, {_how_far(attempt.phases[-1])}")
        for phase in record.tails:
            if phase.ended_at is None:
                yield one_line(f"{label}: {_how_far(phase)}")


def _how_far(phase: PhaseRecord) -> str:
    if phase.ended_at is None:
        return f"{phase.phase.value} since {when(phase.started_at)}"
    return f"after its {phase.phase.value}, which ended {when(phase.ended_at)}"


def _owed_rollbacks(store: Store, loaded: Loaded) -> Iterator[str]:
    graph = loaded.plan.graph
    pasts = InContext(store, loaded.record.context).pasts().items()
    due = [
        (past.rollback.turn, id)
        for id, past in pasts
        if past.rollback and past.rollback.run == loaded.record.id
    ]
    for _, id in sorted(due):
        yield one_line(graph[id].label if id in graph else id)


def _owed(store: Store, loaded: Loaded) -> Iterator[str]:
    graph = loaded.plan.graph
    for owed in InContext(store, loaded.record.context).owed():
        if owed.run == loaded.record.id:
            yield one_line(graph[owed.job].label if owed.job in graph else owed.job)


def _recap(loaded: Loaded) -> str:
    number = len(loaded.summary.jobs)
    totals = totals_of(loaded)
    rest = number - sum(totals.values())
    said = [counts(totals), f"{rest} not ended" if rest else ""]
    listed = ", ".join(part for part in said if part) or "nothing to do"
    return f"{number} job{'s' if number != 1 else ''}: {listed} in {loaded.summary.seconds:.1f}s"
