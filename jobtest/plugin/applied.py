"""Saved plans: made of what `--plan` found, and run exactly as they are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from jobtest.config.saved_plan import SavedJob, SavedPlan
from jobtest.core.model import Command, Outcome, Phase
from jobtest.core.planner import BY_NAME
from jobtest.core.summary import JobRecord, Summary
from jobtest.engine.calls import Output
from jobtest.plugin.asked import EXCLUDED, Asked
from jobtest.plugin.items import JobItem

if TYPE_CHECKING:
    from jobtest.core.graph import Graph

__all__ = ["Silence", "as_saved", "saved_plan"]


class Silence:
    """Takes the place of a replay where nobody is to hear of what comes of the jobs."""

    enough = ""
    full = False

    def keep(self, item: JobItem, when: Literal["setup", "teardown"], output: Output) -> None:
        """Drop what was printed."""

    def ended(
        self, item: JobItem, record: JobRecord, errors: Mapping[Phase, BaseException], *, whole: bool
    ) -> None:
        """Report nothing."""

    def torn_down(self, item: JobItem, record: JobRecord) -> None:
        """Report nothing."""


def saved_plan(summary: Summary, selection: str, context: str = "") -> SavedPlan:
    """Return what a plan came to, as it is kept.

    Args:
        summary: Of a run for a plan.
        selection: What was asked for, for whoever reads it.
        context: Name of the context, or empty.
    """
    graph = summary.plan.graph
    made_at = datetime.datetime.fromtimestamp(summary.started_at, tz=datetime.UTC)
    jobs = []
    for id in summary.plan.order:
        record = summary.jobs[id]
        jobs.append(
            SavedJob(
                id=id,
                verdict=record.outcome or Outcome.UNKNOWN,
                reason=record.reason,
                definition=graph[id].definition,
                params={name: str(value) for name, value in graph[id].params.items()},
                needs=tuple(edge.upstream for edge in graph.upstream(id)),
            )
        )
    return SavedPlan(
        command=Command.APPLY.value,
        selection=selection,
        made_at=made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        jobs=tuple(jobs),
        context=context,
    )


def as_saved(saved: SavedPlan, graph: Graph) -> Asked:
    """Return what has to be asked for to come to a saved plan again."""
    there = [job for job in saved.jobs if job.id in graph]
    return Asked(
        selected={job.id for job in there},
        named=[job.id for job in there if job.reason == BY_NAME],
        exclude=[job.id for job in there if job.reason == EXCLUDED],
        force=[job.id for job in there if job.reason == "forced"],
    )
