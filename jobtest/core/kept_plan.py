"""A plan as JSON data and back: what a store keeps of each run, so that reports can be made of it later."""

from __future__ import annotations

from collections.abc import Mapping

from jobtest.core.data import from_data, to_data
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Job
from jobtest.core.planner import Decision, Plan

__all__ = ["plan_from_data", "plan_to_data"]


def plan_to_data(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON data, without what is known of jobs from earlier runs."""
    return {
        "command": plan.command.value,
        "jobs": [to_data(job) for job in plan.graph],
        "decisions": [to_data(plan.decisions[id]) for id in plan.graph.jobs],
        "left_out": dict(plan.left_out),
        "owed": list(plan.owed),
        "owed_first": plan.owed_first,
        "keep_cleanups": plan.keep_cleanups,
        "verb": plan.verb,
        "reverse": plan.reverse,
        "undo": list(plan.undo),
        "rolls_back": plan.rolls_back,
    }


def plan_from_data(data: Mapping[str, object]) -> Plan:
    """Return the plan that `plan_to_data` made `data` from.

    Raises:
        ValueError: `data` is not a plan.
    """
    try:
        jobs = [from_data(Job, job) for job in data["jobs"]]  # type: ignore[attr-defined]  # what it is not, raises
        made = [from_data(Decision, one) for one in data["decisions"]]  # type: ignore[attr-defined]  # as above
        return Plan(
            Graph(jobs),
            dict(zip((job.id for job in jobs), made, strict=True)),
            dict(data["left_out"]),  # type: ignore[call-overload]  # as above
            Command(data["command"]),
            owed=tuple(data["owed"]),  # type: ignore[arg-type]  # as above
            owed_first=bool(data["owed_first"]),
            keep_cleanups=bool(data["keep_cleanups"]),
            verb=str(data.get("verb", "")),
            reverse=bool(data.get("reverse", False)),
            undo=tuple(data.get("undo", ())),  # type: ignore[arg-type]  # as above
            rolls_back=bool(data.get("rolls_back", False)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("not a plan of jobtest") from error
