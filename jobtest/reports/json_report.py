"""The JSON report, schema 1 (PRODUCT 12): one run, whole, for programs and for whoever looks for the cause.

Additions to the schema as PRODUCT prints it: `environment`, `close` of a job (what became of what it held
open) and `injected` (faults), `log` of an attempt, `text` of a phase (the traceback). Times are UTC,
durations seconds. A job that never started has null as `order` and `started_at`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping

from jobtest.core.model import Command, EdgeKind, Job, Outcome
from jobtest.core.summary import AttemptRecord, JobRecord, PhaseRecord, Summary
from jobtest.reports.files import write_whole
from jobtest.reports.plain_data import NotPlain, plain_data
from jobtest.reports.times import iso_utc, micro
from jobtest.state.store import RunRecord

__all__ = ["SCHEMA", "report_data", "write_json"]

SCHEMA = 1
ENVIRONMENT = ("cwd", "revision", "host", "version", "python", "platform")
"""What a report tells of where a run was made; `version` is that of jobtest."""

ONLY_OF_PLANS = (Outcome.WOULD_RUN, Outcome.UNKNOWN)
"""Outcomes that only a plan gives; they appear in the totals only when there are any."""


def report_data(
    summary: Summary,
    values: Mapping[str, object],
    *,
    context: str | None = None,
    resumed_from: str | None = None,
    exit_status: int | None = None,
    record: RunRecord | None = None,
) -> dict[str, object]:
    """Return a run as JSON data; the same summary and values always give the same data.

    Args:
        summary: What the run came to, whole or so far. A job without an outcome has `null` there.
        values: By job id. What JSON cannot hold is `null` in the report, with a note that names its type.
        context: Name of the context, if there is one.
        resumed_from: Id of the run that this one goes on with, if it does.
        exit_status: Of the process, if it is known better than the summary knows.
        record: Who ran it, where, with what; becomes `environment`.
    """
    return {
        "schema": SCHEMA,
        "run_id": summary.run_id,
        "command": summary.plan.verb if summary.command is Command.VERB else summary.command.value,
        "context": context,
        "resumed_from": resumed_from,
        "exit_status": summary.exit_status if exit_status is None else exit_status,
        "started_at": iso_utc(summary.started_at) if summary.run_id else None,
        "seconds": micro(summary.seconds),
        "workers": summary.workers,
        "totals": _totals(summary),
        "critical_path": summary.critical_path(),
        "environment": {name: getattr(record, name) for name in ENVIRONMENT} if record is not None else None,
        "jobs": [_job(summary, job, values) for job in summary.plan.graph],
    }


def write_json(path: str | os.PathLike[str], data: Mapping[str, object]) -> None:
    """Write a report as JSON in ASCII, a line for each job; the file is there whole or as it was before.

    Raises:
        OSError: it cannot be written.
        ValueError: `data` holds what JSON cannot.
    """
    write_whole(path, "".join(_lines(data)))


def _lines(data: Mapping[str, object]) -> Iterator[str]:
    between = "{\n"
    for key, value in data.items():
        yield f"{between} {_dump(key)}: "
        between = ",\n"
        if key == "jobs" and isinstance(value, list) and value:
            yield "[\n  "
            yield ",\n  ".join(_dump(job) for job in value)
            yield "\n ]"
        else:
            yield _dump(value)
    yield "\n}\n" if data else "{}\n"


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _totals(summary: Summary) -> dict[str, int]:
    totals = summary.totals()
    return {
        outcome.value: totals[outcome]
        for outcome in Outcome
        if totals[outcome] or outcome not in ONLY_OF_PLANS
    }


def _job(summary: Summary, job: Job, values: Mapping[str, object]) -> dict[str, object]:
    record = summary.jobs[job.id]
    value, notes = _value(job.id, values)
    return {
        "id": job.id,
        "name": job.name,
        "params": {name: _param(value) for name, value in job.params.items()},
        "outcome": record.outcome.value if record.outcome is not None else None,
        "reason": record.reason,
        "needs": _needs(summary, job),
        "blocked_by": list(record.causes),
        "order": record.order,
        "started_at": iso_utc(record.started_at) if record.started_at is not None else None,
        "seconds": micro(record.seconds),
        "waited": _waited(record),
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "value": value,
        "notes": [*record.notes, *notes],
        "injected": record.injected,
        "cleanup": _tail(record.cleanup),
        "close": _tail(record.close),
        "rollback": _tail(record.rollback or record.earlier_rollback),
        "kind": record.kind.value if record.kind is not None else None,
    }


def _value(job: str, values: Mapping[str, object]) -> tuple[object, Iterable[str]]:
    try:
        return plain_data(values.get(job)), ()
    except NotPlain as what:
        return None, (f"its value cannot be stored: {what}",)


def _param(value: object) -> object:
    try:
        return plain_data(value)
    except NotPlain as what:
        return f"<{what}>"


def _needs(summary: Summary, job: Job) -> list[str]:
    edges = summary.plan.graph.upstream(job.id)
    return list(dict.fromkeys(edge.upstream for edge in edges if edge.kind is not EdgeKind.AFTER))


def _waited(record: JobRecord) -> dict[str, float]:
    return {
        "upstream": micro(record.waited_upstream),
        "resource": micro(record.waited_resource),
        "backoff": micro(record.waited_backoff),
        "worker": micro(record.waited_worker),
    }


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    return {
        "number": attempt.number,
        "phases": [_phase(phase) for phase in attempt.phases],
        "stdout": attempt.stdout,
        "stderr": attempt.stderr,
        "log": attempt.log,
    }


def _phase(phase: PhaseRecord) -> dict[str, object]:
    failure = phase.failure
    return {
        "phase": phase.phase.value,
        "ok": phase.ok,
        "seconds": micro(phase.seconds),
        "message": str(failure) if failure is not None else None,
        "text": failure.text or None if failure is not None else None,
    }


def _tail(phase: PhaseRecord | None) -> dict[str, object] | None:
    if phase is None:
        return None
    return {"ok": phase.ok, "message": str(phase.failure) if phase.failure is not None else None}
