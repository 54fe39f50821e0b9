"""What a phase is handed over beside fixtures, and what a job that has ended still owes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature

from jobtest.core.model import NOT_ENTERED, Outcome, Phase
from jobtest.core.planner import Plan
from jobtest.core.summary import JobRecord
from jobtest.engine.calls import NO_VALUE, Ticket
from jobtest.plugin.facts import RunFacts
from jobtest.plugin.items import JobItem

__all__ = ["error_for", "owed_calls", "unknown_values", "with_own"]


def with_own(
    run: RunFacts, item: JobItem, ticket: Ticket, values: Mapping[str, object]
) -> Mapping[str, object]:
    """Add the value of the job itself: of this run, or else, if it is about what is there, the stored one.

    If there is none it is None, but for a function that takes the place of the run function: that needs it.
    """
    job = ticket.job
    recalls = ticket.phase in (Phase.ROLLBACK, Phase.CLEANUP) or job.calls != "job"
    stored = run.memory.recalled if recalls else {}
    own = values.get(job.name, run.values.get(job.id, stored.get(job.id, NO_VALUE)))
    if own is NO_VALUE and ticket.phase is Phase.RUN:
        return values
    return {**values, **dict.fromkeys([job.name, *item.source.own], None if own is NO_VALUE else own)}


def unknown_values(
    run: RunFacts, item: JobItem, ticket: Ticket, names: Sequence[str], values: Mapping[str, object]
) -> str:
    """Return what is to be said of values that a phase takes and that nobody has any more."""
    missing = [take for take in ticket.job.takes if take.parameter in names and take.parameter not in values]
    graph = run.plan.graph
    labels = [graph[up].label if up in graph else up for take in missing for up in take.upstream]
    if any(name in names and name not in values for name in item.source.own):
        labels.append(ticket.job.label)
    if not labels:
        return ""
    word = ticket.job.word if ticket.phase is Phase.RUN else ticket.phase.value
    fix = f"run {', '.join(labels)} once more, or do it by hand; what is not storable only its run knows"
    if ticket.phase is Phase.CLEANUP:
        fix = f"clean up by hand, then: jobtest prune --owed {ticket.job.id}"
    return f"its {word} takes the value of {', '.join(labels)}, which is not known any more\n  fix: {fix}"


def error_for(function: Callable[..., object], ticket: Ticket, kind: Phase | str) -> dict[str, object]:
    """Return what a job failed of, by the name of the parameter of a rollback that asks for it."""
    asks = kind == "rollback" and "error" in signature(function).parameters
    return {"error": ticket.error} if asks else {}


def owed_calls(plan: Plan, id: str, record: JobRecord) -> list[Phase]:
    """Return the calls that a job that has ended owes, or may owe: closing, its rollback, its cleanup."""
    job = plan.graph[id]
    if not (job.has_cleanup or job.has_rollback or job.is_generator):
        return []
    runs = [one for attempt in record.attempts for one in attempt.phases if one.phase is Phase.RUN]
    owed = []
    if job.is_generator and runs and runs[-1].ok and runs[-1] in record.attempts[-1].phases:
        owed.append(Phase.CLOSE)
    entered, left = any(one.verdict not in NOT_ENTERED for one in runs), plan.decisions[id].resumed
    begun = entered or (left is not None and left.outcome is None and left.entered)
    if job.has_rollback and begun and (record.outcome is Outcome.FAILED or plan.rolls_back):
        owed.append(Phase.ROLLBACK)
    comes_last = id in plan.owed and not plan.owed_first
    if job.has_cleanup and ((entered and not plan.keep_cleanups) or comes_last):
        owed.append(Phase.CLEANUP)
    return owed
