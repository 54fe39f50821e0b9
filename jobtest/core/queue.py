"""Who is next: ready jobs in order, and the places and resources they take.

Promised: never more jobs at once than places, never more of a resource than there is, a job that must be
alone is alone, and nobody starves (the bounds are those of `ReadyQueue`). Each operation costs O(log n),
whatever waits.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobtest.core.errors import Problem, ProjectError
from jobtest.core.model import Job

__all__ = ["AGEING", "ReadyQueue", "too_much"]

AGEING = 100
"""Starts after which a waiting job is worth one priority more than a newcomer, and steps aside no more."""

Key = tuple[int, float, int, str]


@dataclass(slots=True)
class _Place:
    job: Job
    key: Key
    waiting: bool = True
    held_by: str = ""
    aside_since: int | None = None


class ReadyQueue:
    """Ready jobs, best first.

    The best is the one with the highest effective priority, then the longest way to the end, then the lowest
    position. A job that joins after `AGEING` further starts counts one priority less than one that joined
    before; so a job of priority p is overtaken only by jobs that joined during the first `AGEING * (P - p +
    1)` starts after it joined, where P is the highest priority.

    A job that lacks a resource steps aside and keeps its turn at that resource. If it has its turn there, and
    lacks another one then, and `AGEING` jobs have started since it first stepped aside, nothing starts until
    it can. A job that must be alone does not step aside: when it is the best, nothing starts until it can.

    Args:
        capacity: Jobs that may have started and not left, >= 1.
        resources: Amounts that there are.
    """

    def __init__(self, capacity: int, resources: Mapping[str, int]) -> None:
        self._capacity = capacity
        self._limits = dict(resources)
        self._in_use = dict.fromkeys(self._limits, 0)
        self._ready: list[Key] = []
        self._parked: dict[str, list[Key]] = {}
        self._places: dict[str, _Place] = {}
        self._inside: dict[str, Mapping[str, int]] = {}
        self._lingering: dict[str, Mapping[str, int]] = {}
        self._starts = 0
        self._alone = False

    def refuse(self, jobs: Iterable[Job]) -> None:
        """Refuse jobs that could never start.

        Raises:
            ProjectError: with one problem for each job and resource.
        """
        problems = too_much(jobs, self._limits)
        if problems:
            raise ProjectError(problems)

    def join(self, job: Job, rank: float, position: int) -> None:
        """Add a ready job. One that joins again keeps the turn of its first time."""
        place = self._places.get(job.id)
        if place is None:
            key = (self._starts // AGEING - job.priority, -rank, position, job.id)
            place = self._places[job.id] = _Place(job, key)
        place.waiting = True
        heapq.heappush(self._ready, place.key)
        self._step_aside()

    @property
    def free(self) -> bool:
        """Whether there is a place for one more."""
        return not self._alone and len(self._inside) < self._capacity

    def enter(self, id: str) -> None:
        """Give a place to what never queued up; it holds nothing else."""
        self._inside[id] = {}

    @property
    def empty(self) -> bool:
        """Whether nobody has a place, and nobody could have one."""
        return not self._inside and self.best() is None

    def best(self) -> tuple[str, str] | None:
        """Return the id of the job that may start now and what held it up (`resource`, or empty), or None."""
        if not self._ready or not self.free:
            return None
        place = self._places[self._ready[0][-1]]
        if place.job.exclusive and self._inside:
            return None
        if place.aside_since is not None and self._lacking(place):
            return None
        return place.job.id, place.held_by

    def start(self, id: str) -> bool:
        """Give the best job its place; False if `id` is not the best one."""
        best = self.best()
        if best is None or best[0] != id:
            return False
        heapq.heappop(self._ready)
        place = self._places[id]
        place.waiting, place.held_by = False, ""
        self._inside[id] = place.job.resources
        self._starts += 1
        self._alone = bool(place.job.exclusive)
        for name, amount in place.job.resources.items():
            self._in_use[name] += amount
        self._call_back(place.job.resources)
        self._step_aside()
        return True

    def leave(self, id: str, *, lingers: bool = False) -> None:
        """Take back what a started job holds, if anything. One that still waited is forgotten.

        Args:
            id: The job.
            lingers: It gives back its place, and keeps its resources until `give_back`.
        """
        place = self._places.get(id)
        if place is not None and place.waiting:
            place.waiting = False
            self._call_back(place.job.resources)
            self._step_aside()
        held = self._inside.pop(id, None)
        if held is None:
            return
        self._alone = False
        if lingers:
            self._lingering[id] = held
        else:
            self._free(held)
        self._step_aside()

    def give_back(self, id: str) -> None:
        """Take back what a job kept that had left."""
        self._free(self._lingering.pop(id))
        self._step_aside()

    def _free(self, held: Mapping[str, int]) -> None:
        for name, amount in held.items():
            self._in_use[name] -= amount
        self._call_back(held)

    def clear(self) -> None:
        """Forget all who wait."""
        self._ready.clear()
        self._parked.clear()

    def _step_aside(self) -> None:
        """Send ready jobs that lack a resource aside, so that the first of the queue can start."""
        while self._ready:
            place = self._places[self._ready[0][-1]]
            lacking = self._lacking(place) if place.waiting else ""
            if lacking is None or (lacking and self._overdue(place)):
                return
            key = heapq.heappop(self._ready)
            if lacking:
                place.held_by = "resource"
                heapq.heappush(self._parked.setdefault(lacking, []), key)
                self._call_back(name for name in place.job.resources if name != lacking)

    def _overdue(self, place: _Place) -> bool:
        """Tell whether a job that lacks a resource has been passed so often that nobody may pass it now."""
        if place.aside_since is None:
            place.aside_since = self._starts
        return self._starts - place.aside_since >= AGEING

    def _lacking(self, place: _Place) -> str | None:
        for name, amount in place.job.resources.items():
            parked = self._parked.get(name)
            if self._in_use[name] + amount > self._limits[name] or (parked and parked[0] < place.key):
                return name
        return None

    def _call_back(self, names: Iterable[str]) -> None:
        """Let the first who waits for a resource try again, if there is enough of it now."""
        for name in names:
            parked = self._parked.get(name)
            while parked:
                place = self._places[parked[0][-1]]
                if place.waiting and self._in_use[name] + place.job.resources[name] > self._limits[name]:
                    break
                key = heapq.heappop(parked)
                if place.waiting:
                    heapq.heappush(self._ready, key)
                    break


def too_much(jobs: Iterable[Job], limits: Mapping[str, int]) -> list[Problem]:
    """Return a problem for each job and resource of which it asks for more than there is."""
    return [
        Problem(
            what=f"job {job.label!r} asks for {amount} of resource {name!r}, "
            f"and there is {limits.get(name, 0)}",
            at=(job.at,) if job.at else (),
            fix=f"set resources.{name} = {amount} in the settings, or ask for less",
        )
        for job in jobs
        for name, amount in job.resources.items()
        if amount > limits.get(name, 0)
    ]
