"""The process lane of a session: opened before there are threads, closed when the run is over."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import pytest

from jobtest.core.planner import Plan
from jobtest.engine.executors.process.fork import ForkedWarden
from jobtest.engine.executors.process.lane import ProcessLane
from jobtest.engine.executors.process.output import read_from
from jobtest.engine.executors.protocol import Inbox
from jobtest.plugin.bodies import JobBodies
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.child import Children
from jobtest.plugin.isolated import Crossing, Homes, answer
from jobtest.plugin.project import Project

__all__ = ["attach", "process_lane"]


@contextmanager
def process_lane(
    session: pytest.Session, project: Project, plan: Plan, homes: Homes, run: str, lineage: str
) -> Generator[tuple[Inbox, ProcessLane | None]]:
    """Give the inbox of a run, and the lane for its isolated jobs if it has any.

    Args:
        session: The session.
        project: Its jobs.
        plan: What is done.
        homes: From the id of a job to the place whose types its value may have.
        run: Id of the run.
        lineage: Id of the first run of those that went on with each other.
    """
    inbox = Inbox()
    if not any(job.isolated for job in plan.graph):
        yield inbox, None
        return
    children = Children(session, project, plan, homes, lineage)
    warden = ForkedWarden(children.live, run)
    children.folder = warden.folder
    stash = session.config.stash
    lane = ProcessLane(
        inbox,
        warden,
        lambda job, question: answer(stash[memory_key], job, question),
        partial(read_from, warden.folder),
    )
    lane.open()
    try:
        yield inbox, lane
    finally:
        lane.close()
        warden.close()


def attach(bodies: JobBodies, lane: ProcessLane | None, homes: Homes) -> None:
    """Let bodies of isolated jobs go to the lane."""
    if lane is not None:
        bodies.away = Crossing(bodies, homes), lane
