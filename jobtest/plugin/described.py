"""What `--job-command=describe` shows: a table of what is there, and what became of rollbacks."""

from __future__ import annotations

from collections.abc import Mapping

from jobtest.core.model import Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.core.summary import JobRecord, Summary
from jobtest.engine.calls import short_repr
from jobtest.reports.history.text import when

__all__ = ["described", "rollbacks"]

HEAD = ("job", "state", "declared", "reality", "value")


def described(summary: Summary, values: Mapping[str, object]) -> list[str]:
    """Return a line for each job of a description, below a line of titles.

    Args:
        summary: Of the run.
        values: What is known of their values, by job id.
    """
    rows = [HEAD, *(_row(summary, id, values) for id in summary.plan.order)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in padded]


def _row(summary: Summary, id: str, values: Mapping[str, object]) -> tuple[str, str, str, str, str]:
    past, record, job = summary.plan.pasts.get(id, Past()), summary.jobs[id], summary.plan.graph[id]
    changed = past.exists and past.definition not in ("", job.definition)
    declared = ("changed" if changed else "same") if past.exists else "-"
    value = short_repr(values[id]) if id in values else "-"
    return job.label, _state(past), declared, _reality(record, exists=past.exists), value


def _state(past: Past) -> str:
    if past.exists:
        return f"created {when(past.changed_at or past.at)}"
    return f"gone {when(past.gone_at)}" if past.gone else "not created"


def _reality(record: JobRecord, *, exists: bool) -> str:
    if record.outcome is Outcome.FAILED:
        return "failed"
    checks = [one for attempt in record.attempts for one in attempt.phases if one.phase is Phase.CHECK]
    asked = {Verdict.OK: "as declared", Verdict.NOT_HOLDING: "drifted" if exists else "not there"}
    return asked.get(checks[-1].verdict or Verdict.UNKNOWN, "-") if checks else "-"


def rollbacks(summary: Summary) -> list[str]:
    """Return a line for each job that was rolled back, or should have been, in the order of doing."""
    found = []
    for id, record in summary.jobs.items():
        label = summary.plan.graph[id].label
        why = "it failed" if record.outcome is Outcome.FAILED else "the run failed"
        for rollback, of in ((record.earlier_rollback, "of an earlier run"), (record.rollback, why)):
            if rollback is not None and rollback.verdict is not None:
                done = "rolled back" if rollback.ok else f"rollback failed: {rollback.failure}"
                found.append((rollback.started_at, f"{label}: {done} ({of})"))
    return [line for _, line in sorted(found, key=lambda one: one[0])]
