"""Where isolated jobs are called: on the own lanes, or on one that another package offers by entry point."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import pytest

from jobtest.config import entry_points
from jobtest.core.errors import ProjectError
from jobtest.engine.executors.lanes import Away
from jobtest.engine.executors.protocol import Inbox

if TYPE_CHECKING:
    from jobtest.core.planner import Plan
    from jobtest.plugin.isolated import Homes
    from jobtest.plugin.project import Project

__all__ = ["LaneAsked", "OpenLane", "open_lane"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAsked:
    """What a lane is opened for.

    Attributes:
        url: The executor as the user named it: `NAME` or `NAME://...`.
        session: The session.
        project: All jobs.
        plan: What is done; some of its jobs are `isolated`.
        homes: From the id of a job to the place whose types its value may have.
        run: Id of the run.
        lineage: Id of the first run of those that went on with each other.
        workers: Jobs that may run at once.
    """

    url: str
    session: pytest.Session
    project: Project
    plan: Plan
    homes: Homes
    run: str
    lineage: str
    workers: int


class OpenLane(Protocol):
    """An executor: what an entry point of the group `jobtest.executors` names.

    Called once a run, before it has a thread, if any job of the plan is isolated; all jobs are that do not
    ask for a thread. The context ends after the last cleanup, whatever happens. It gives

    - an inbox, to which the lane hands the result of each phase that it was told to start, once;
    - the lane: `start`, `cancel`, `end` and `close` of `jobtest.engine.executors.lanes.Away`, all called on
      the main thread.

    A lane that cannot be opened raises `pytest.UsageError`: nothing was run then.
    """

    def __call__(self, asked: LaneAsked, /) -> AbstractContextManager[tuple[Inbox, Away | None]]:
        """Open a lane."""


def open_lane(asked: LaneAsked) -> AbstractContextManager[tuple[Inbox, Away | None]]:
    """Return the lane of isolated jobs, not yet open.

    Raises:
        UsageError: of pytest; the executor cannot be loaded.
    """
    name = asked.url.partition("://")[0]
    if name == "dask":
        return _dask(asked)
    if name in ("thread", "process", "here"):
        return _process(asked)
    try:
        opens = cast("OpenLane", entry_points.load(entry_points.offered(entry_points.EXECUTORS)[name]))
    except ProjectError as error:
        raise pytest.UsageError(str(error)) from None
    return opens(asked)


def _process(asked: LaneAsked) -> AbstractContextManager[tuple[Inbox, Away | None]]:
    from jobtest.plugin.away import process_lane

    return process_lane(asked.session, asked.project, asked.plan, asked.homes, asked.run, asked.lineage)


def _dask(asked: LaneAsked) -> AbstractContextManager[tuple[Inbox, Away | None]]:
    from jobtest.plugin.dask_lane import dask_lane

    return dask_lane(
        asked.session, asked.project, asked.plan, asked.run, asked.lineage, asked.url, asked.workers
    )
