"""One job, over the runs in which it took part: what became of it, why, and what is known of it now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobtest.core.data import from_data
from jobtest.core.errors import Problem, ProjectError, UsageError, did_you_mean
from jobtest.core.graph import Graph
from jobtest.core.model import Command, EdgeKind, Job, Outcome
from jobtest.core.past import Past
from jobtest.core.planner import Decision, Plan
from jobtest.core.summary import JobRecord, Summary
from jobtest.reports.history.loading import damaged, kept_plan, stored_value
from jobtest.reports.history.runs import RunState, short_ids, state_of
from jobtest.reports.history.text import (
    SYMBOLS,
    attempt_lines,
    clipped,
    columns,
    one_line,
    tail_lines,
    took,
    when,
)
from jobtest.reports.json_report import report_data
from jobtest.reports.times import iso_utc, micro
from jobtest.state.in_context import InContext
from jobtest.state.store import RunRecord, Store

__all__ = ["Explained", "TookPart", "explain", "explain_data", "explain_text"]

MOST_RUNS = 10
"""Runs of a job that are told."""

NAMES_FROM = 100
"""The newest runs, in which names are looked for."""

DIGEST = 12
"""Characters of a digest that a text shows."""

_WANTS = {EdgeKind.VALUE: "takes its value", EdgeKind.NEEDS: "needs it", EdgeKind.AFTER: "comes after it"}


@dataclass(frozen=True, slots=True)
class TookPart:
    """A run in which the job took part.

    Attributes:
        record: The run.
        short: The beginning of its id that no other run shares.
        state: How far the run came.
        decision: What its plan said of the job.
        job: What became of it.
        data: The same as the JSON report has it.
        causes: Labels of the jobs that it was blocked or skipped for.
    """

    record: RunRecord
    short: str
    state: RunState
    decision: Decision
    job: JobRecord
    data: Mapping[str, object]
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of a job.

    Attributes:
        job: As the newest run defines it; only its id if no run that is kept does.
        waits_for: Label and kind of each of its edges, by id of the upstream job.
        past: Its last success, and what else is remembered; None if nothing is.
        value: Its value then as plain JSON data, in a tuple; empty if there is none or it is not kept.
        owed_by: Id of the run that owes its cleanup, or empty.
        runs: Newest first.
        context: In which context; empty: in none.
    """

    job: Job
    waits_for: Mapping[str, tuple[str, EdgeKind]]
    past: Past | None
    value: tuple[object] | tuple[()]
    owed_by: str
    runs: tuple[TookPart, ...]
    context: str = ""


def explain(store: Store, name: str, context: str | None = None) -> Explained:
    """Return what is known of the job that is meant by its name, label, id, or the end of its id.

    Args:
        store: What remembers it.
        name: Of the job.
        context: In which context; empty: in none; None: in that of the newest run.

    Raises:
        UsageError: no job is meant, or more than one; with the nearest name, or all that are meant.
    """
    short = short_ids(store.runs())
    if context is None:
        context = next((record.context for record in store.runs(1)), "")
    store = InContext(store, context)
    runs, pasts = store.runs(), store.pasts()
    labels = _labels(store, runs[:NAMES_FROM])
    for id in (*pasts, *(owed.job for owed in store.owed())):
        labels.setdefault(id, (id, id))
    id = _find(name, labels, store.url)
    took_part = tuple(_took_part(store, runs, short, id))
    job = took_part[0][1] if took_part else Job(id=id, name=labels[id][0])
    past = pasts.get(id)
    return Explained(
        job,
        {edge.upstream: (labels.get(edge.upstream, ("", edge.upstream))[1], edge.kind) for edge in job.edges},
        past,
        stored_value(store, past.value) if past is not None and past.value else (),
        next((owed.run for owed in store.owed() if owed.job == id), ""),
        tuple(one for one, _ in took_part),
        context,
    )


def _labels(store: Store, records: Iterable[RunRecord]) -> dict[str, tuple[str, str]]:
    """Return name and label of jobs by id; the newest run that has a job counts."""
    found: dict[str, tuple[str, str]] = {}
    for record in records:
        for data in _jobs_of(store, record.id, kept_plan(store, record.id)):
            if str(data["id"]) not in found:
                job = _named(data)
                found[job.id] = job.name, job.label
    return found


def _named(data: Mapping[str, object]) -> Job:
    """Return a job with nothing but its names."""
    params = data.get("params")
    params = params if isinstance(params, dict) else {}
    return Job(id=str(data["id"]), name=str(data.get("name", "")), params=params)


def _jobs_of(store: Store, run: str, plan: Mapping[str, object]) -> list[dict[str, object]]:
    jobs = plan.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(one, dict) and "id" in one for one in jobs):
        raise damaged(store, run, "its plan is no plan of jobtest")
    return jobs


def _find(name: str, labels: Mapping[str, tuple[str, str]], url: str) -> str:
    """Return the id that is meant, by the first way of naming a job by which any is."""
    ways = (
        [id for id in labels if id == name],
        [id for id, (_, label) in labels.items() if label == name],
        [id for id, (bare, _) in labels.items() if bare == name],
        [id for id in labels if name and id.endswith(name)],
    )
    found = next((ids for ids in ways if ids), [])
    if len(found) == 1:
        return found[0]
    if found:
        what = f"{len(found)} jobs are meant by {name!r}"
        fix = "give one of these ids, or an end of it that is its own"
        raise UsageError([Problem(what=what, at=tuple(sorted(found)[:MOST_RUNS]), fix=fix)])
    known = {spelled for id, said in labels.items() for spelled in (id, *said)}
    fix = did_you_mean(name, known) or "nothing has run yet"
    raise UsageError([Problem(what=f"no run has a job {name!r}", at=(url,), fix=fix)])


def _took_part(
    store: Store, records: Sequence[RunRecord], short: Mapping[str, str], id: str
) -> Iterator[tuple[TookPart, Job]]:
    """Yield the newest runs of a job, each with the job as it was then."""
    left = MOST_RUNS
    for record in records:
        plan = kept_plan(store, record.id)
        jobs = _jobs_of(store, record.id, plan)
        at = next((at for at, job in enumerate(jobs) if job["id"] == id), None)
        if at is None:
            continue
        try:
            job = from_data(Job, jobs[at])
            decision = from_data(Decision, plan["decisions"][at])  # type: ignore[index]  # what is no list, raises
            made, data, causes = _told(store, record.id, job, decision, jobs)
        except (ValueError, TypeError, AttributeError, LookupError, ProjectError) as error:
            raise damaged(store, record.id, "its plan and its journal do not fit") from error
        state = state_of(store, record)
        yield TookPart(record, short[record.id], state, decision, made, data, causes), job
        left -= 1
        if not left:
            return


def _told(
    store: Store, run: str, job: Job, decision: Decision, jobs: Iterable[Mapping[str, object]]
) -> tuple[JobRecord, Mapping[str, object], tuple[str, ...]]:
    """Fold the events of one job alone; how long it waited for others cannot be told from these."""
    alone = replace(job, edges=(), takes=(), early=frozenset())
    summary = Summary(Plan(Graph([alone]), {job.id: decision}, {}))
    for entry in store.entries(run, job.id):
        summary.apply(entry)
    data: Any = report_data(summary, {})["jobs"]
    made = summary.jobs[job.id]
    labels = {str(one["id"]): _named(one).label for one in jobs} if made.causes else {}
    return made, data[0], tuple(labels.get(cause, cause) for cause in made.causes)


def explain_data(explained: Explained) -> dict[str, object]:
    """Return it as JSON data: times UTC, durations seconds."""
    job, past = explained.job, explained.past
    return {
        "schema": 1,
        "id": job.id,
        "name": job.name,
        "label": job.label,
        "context": explained.context or None,
        "at": job.at or None,
        "description": job.description or None,
        "waits_for": [
            {"id": id, "label": label, "kind": kind.value}
            for id, (label, kind) in explained.waits_for.items()
        ],
        "last_success": _success_data(explained) if past is not None and past.run else None,
        "last_changed": (
            {"run": past.changed_run, "at": iso_utc(past.changed_at)} if past and past.changed_run else None
        ),
        "gone_at": iso_utc(past.gone_at) if past is not None and past.gone else None,
        "rollback_owed_by": past.rollback.run if past is not None and past.rollback else None,
        "in_doubt_since": past.doubt or None if past is not None else None,
        "cleanup_owed_by": explained.owed_by or None,
        "runs": [_run_data(one) for one in explained.runs],
    }


def _success_data(explained: Explained) -> dict[str, object]:
    past = explained.past or Past()
    run, at = _last_success(explained, past)
    return {
        "run": run,
        "at": iso_utc(at),
        "definition": past.definition,
        "digest": past.value or None,
        "value": explained.value[0] if explained.value else None,
        "inputs": dict(past.inputs),
        "files": dict(past.files),
        "check_seconds": micro(past.check_seconds),
        "run_seconds": None if past.run_seconds is None else micro(past.run_seconds),
    }


def _last_success(explained: Explained, past: Past) -> tuple[str, float]:
    """Return run and time of the last success: what is remembered is not renewed by each check that holds."""
    for one in explained.runs:
        asked = one.record.command == Command.APPLY.value and one.job.attempts
        if asked and one.job.outcome in (Outcome.CHANGED, Outcome.UNCHANGED) and one.job.ended_at:
            return one.record.id, one.job.ended_at
    return past.run, past.at


_OF_THE_RUN = (
    "outcome",
    "reason",
    "kind",
    "blocked_by",
    "seconds",
    "attempts",
    "notes",
    "cleanup",
    "close",
    "rollback",
)


def _run_data(one: TookPart) -> dict[str, object]:
    return {
        "run": one.record.id,
        "command": one.record.command,
        "state": one.state.value,
        "started_at": iso_utc(one.record.started_at),
        "decision": one.decision.reason,
        **{name: one.data[name] for name in _OF_THE_RUN},
    }


def explain_text(explained: Explained) -> str:
    """Return it as text."""
    job = explained.job
    head = job.id if job.label == job.id else f"{job.label}: {job.id}"
    lines = [one_line(head), *_known(explained), "", *_table(explained.runs)]
    return "".join(f"{line}\n" for line in lines)


def _known(explained: Explained) -> Iterator[str]:
    job, past = explained.job, explained.past
    rows = [
        ("context", explained.context),
        ("does", job.description),
        ("defined at", job.at),
        ("waits for", ", ".join(f"{label} ({_WANTS[kind]})" for label, kind in explained.waits_for.values())),
        *(_success_rows(explained, past) if past is not None and past.run else [("last success", "never")]),
        ("owes", f"its cleanup, of run {_short(explained, explained.owed_by)}" if explained.owed_by else ""),
        ("gone", f"since {when(past.gone_at)}" if past and past.gone else ""),
        (
            "owes also",
            f"its rollback, of run {_short(explained, past.rollback.run)}" if past and past.rollback else "",
        ),
        (
            "in doubt",
            f"run {_short(explained, past.doubt)} was killed while it ran" if past and past.doubt else "",
        ),
    ]
    return columns([(one_line(name), one_line(said)) for name, said in rows if said])


def _short(explained: Explained, run: str) -> str:
    return next((one.short for one in explained.runs if one.record.id == run), run)


def _success_rows(explained: Explained, past: Past) -> Iterator[tuple[str, str]]:
    run, at = _last_success(explained, past)
    ran = f"; its run phase takes {took(past.run_seconds)}" if past.run_seconds is not None else ""
    checked = f"; its check takes {took(past.check_seconds)}" if past.check_seconds else ""
    yield "last success", f"{when(at)} in run {_short(explained, run)}{ran}{checked}"
    if past.changed_run and past.changed_run != run:
        yield "last changed", f"{when(past.changed_at)} in run {_short(explained, past.changed_run)}"
    if past.value and explained.value != (None,):
        value = clipped(json.dumps(explained.value[0])) if explained.value else "not kept"
        yield "its value", f"{value} (digest {past.value[:DIGEST]})"
    labels = explained.waits_for
    inputs = (
        f"{labels[id][0] if id in labels else id} {digest[:DIGEST]}" for id, digest in past.inputs.items()
    )
    yield "it took", ", ".join(inputs)
    yield "files", ", ".join(f"{path} {digest[:DIGEST]}" for path, digest in past.files.items())


def _table(runs: Iterable[TookPart]) -> Iterator[str]:
    told = list(runs)
    if not told:
        yield "no run that is kept has it"
        return
    rows = [("run", "started", "", "outcome", "took", "reason"), *map(_row, told)]
    head, *lines = columns(rows)
    yield head
    for one, line in zip(told, lines, strict=True):
        yield line
        if one.decision.reason not in ("", one.job.reason):
            yield f"    planned: {one_line(one.decision.reason)}"
        yield from attempt_lines(one.job.attempts, "    ")
        yield from tail_lines(one.job, "    ")


def _row(one: TookPart) -> tuple[str, ...]:
    outcome = one.job.outcome
    none = {RunState.RUNNING: "not yet", RunState.KILLED: "killed"}.get(one.state, "not ended")
    causes = f" ({', '.join(one.causes)})" if one.causes else ""
    return (
        one.short,
        when(one.record.started_at),
        SYMBOLS[outcome],
        outcome.value if outcome is not None else none,
        took(one.job.seconds if one.job.attempts else None),
        one_line(f"{one.job.reason}{causes}"),
    )
