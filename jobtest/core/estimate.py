"""How long a run may take, told from how long its jobs took before."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from jobtest.core.planner import Plan

__all__ = ["estimate"]


def estimate(plan: Plan, seconds: Mapping[str, float], workers: int) -> float:
    """Return the seconds that a run takes if each job takes what is given.

    A free worker takes the ready job that the plan prefers: priority, then rank, then definition. Resources,
    jobs that must be alone, and retries are not looked at.

    Args:
        plan: All its jobs count; give 0 for those that will not run.
        seconds: By id, >= 0. A job without them counts as the mean of all that are given, or as 0.
        workers: Jobs that may run at once, >= 1.
    """
    usual = sum(seconds.values()) / len(seconds) if seconds else 0.0
    keys = {
        id: (-job.priority, -plan.decisions[id].rank, position, id)
        for position, (id, job) in enumerate(plan.graph.jobs.items())
    }
    waiting = {id: len(plan.graph.upstream(id)) for id in keys}
    ready = [keys[id] for id, count in waiting.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            id = heapq.heappop(ready)[-1]
            heapq.heappush(running, (now + seconds.get(id, usual), id))
        now = running[0][0]
        for id in _ended(running):
            for other, _ in plan.graph.downstream(id):
                waiting[other] -= 1
                if not waiting[other]:
                    heapq.heappush(ready, keys[other])
    return now


def _ended(running: list[tuple[float, str]]) -> list[str]:
    """Take out all that end together: whoever they let go is ready before a worker takes the next one."""
    now = running[0][0]
    ended = []
    while running and running[0][0] == now:
        ended.append(heapq.heappop(running)[-1])
    return ended
