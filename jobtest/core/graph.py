"""Jobs and what they wait for: valid, acyclic, in definition order.

A `Graph` that exists is valid: ids are unique, every edge leads to a job, and no job waits for itself, not
even over others. Nothing recurses; construction is linear in jobs and edges.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from jobtest.core.errors import Problem, ProjectError, did_you_mean
from jobtest.core.model import Edge, EdgeKind, Job

__all__ = ["Graph"]

LONGEST_CYCLE_SHOWN = 16
"""Edges of a cycle that are printed; a longer one is cut in the middle, so that an error fits on a screen."""


class Graph:
    """A valid, acyclic set of jobs.

    Iteration, `jobs` and every sequence that is returned are in definition order.

    Args:
        jobs: In definition order. Upstream jobs may come later than those that ask for them.

    Raises:
        ProjectError: with all problems: ids used twice, edges to jobs that do not exist, cycles.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        given = list(jobs)
        self.jobs: dict[str, Job] = {job.id: job for job in given}
        problems = [*_twice(given, self.jobs), *self._connect()]
        if not problems:
            problems = self._cycles()
        if problems:
            raise ProjectError(problems)

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs.values())

    def __contains__(self, job: object) -> bool:
        return job in self.jobs

    def __getitem__(self, job: str) -> Job:
        return self.jobs[job]

    def upstream(self, job: str) -> Sequence[Edge]:
        """Return the edges of a job as given; `after` only towards jobs of this graph."""
        return self._up[job]

    def downstream(self, job: str) -> Sequence[tuple[str, EdgeKind]]:
        """Return the jobs that wait for a job, with what they want of it, in definition order."""
        return self._down[job]

    def closure(self, selected: Iterable[str]) -> set[str]:
        """Return the smallest set that holds `selected` and, with each job, what it needs.

        `after` pulls in nothing.
        """
        return self._reach(
            selected, lambda job: (e.upstream for e in self._up[job] if e.kind is not EdgeKind.AFTER)
        )

    def descendants(self, selected: Iterable[str]) -> set[str]:
        """Return the smallest set that holds `selected` and, with each job, those that need it."""
        return self._reach(
            selected, lambda job: (d for d, kind in self._down[job] if kind is not EdgeKind.AFTER)
        )

    def only(self, kept: Collection[str]) -> Graph:
        """Return the graph of the jobs in `kept`, which must be closed under upstream."""
        part = Graph.__new__(Graph)
        part.jobs = {id: job for id, job in self.jobs.items() if id in kept}
        if len(part.jobs) == len(self.jobs):
            return self
        part._connect()
        return part

    def _connect(self) -> list[Problem]:
        problems = []
        self._up: dict[str, tuple[Edge, ...]] = {}
        self._down: dict[str, list[tuple[str, EdgeKind]]] = {id: [] for id in self.jobs}
        for id, job in self.jobs.items():
            missing = [edge for edge in job.edges if edge.upstream not in self.jobs]
            self._up[id] = tuple(e for e in job.edges if e.upstream in self.jobs) if missing else job.edges
            problems += [
                _unknown(job, edge, self.jobs) for edge in missing if edge.kind is not EdgeKind.AFTER
            ]
            for edge in self._up[id]:
                self._down[edge.upstream].append((id, edge.kind))
        return problems

    def _reach(self, start: Iterable[str], step: Callable[[str], Iterable[str]]) -> set[str]:
        reached = set(start)
        todo = list(reached)
        while todo:
            for other in step(todo.pop()):
                if other not in reached:
                    reached.add(other)
                    todo.append(other)
        return reached

    def _cycles(self) -> list[Problem]:
        waiting = {id: len(edges) for id, edges in self._up.items()}
        free = [id for id, count in waiting.items() if not count]
        while free:
            for id, _ in self._down[free.pop()]:
                waiting[id] -= 1
                if not waiting[id]:
                    free.append(id)
        stuck = {id for id, count in waiting.items() if count}
        problems = []
        walked: set[str] = set()
        for start in self.jobs:
            if start in stuck and start not in walked:
                path = self._walk(start, stuck, walked)
                if path:
                    problems.append(_cycle(self.jobs, path))
        return problems

    def _walk(self, start: str, stuck: Collection[str], walked: set[str]) -> list[tuple[str, Edge]]:
        """Follow upstream edges among stuck jobs until a job comes again; return the cycle if it is new."""
        path: dict[str, Edge] = {}
        id = start
        while id not in walked:
            walked.add(id)
            path[id] = next(edge for edge in self._up[id] if edge.upstream in stuck)
            id = path[id].upstream
        if id not in path:
            return []
        steps = list(path.items())
        return steps[list(path).index(id) :]


def _twice(given: Sequence[Job], by_id: Mapping[str, Job]) -> list[Problem]:
    if len(given) == len(by_id):
        return []
    seen: dict[str, Job] = {}
    problems = []
    for job in given:
        first = seen.setdefault(job.id, job)
        if first is not job:
            at = tuple(place for place in (first.at, job.at) if place)
            problems.append(Problem(what=f"two jobs have the id {job.id!r}", at=at, fix="rename one of them"))
    return problems


def _unknown(job: Job, edge: Edge, jobs: Mapping[str, Job]) -> Problem:
    return Problem(
        what=f"job {job.label!r} needs {edge.upstream!r}, which is not a job",
        at=(edge.at or job.at,) if edge.at or job.at else (),
        fix=did_you_mean(edge.upstream, jobs, what="jobs are"),
    )


def _cycle(jobs: Mapping[str, Job], path: Sequence[tuple[str, Edge]]) -> Problem:
    verbs = {EdgeKind.VALUE: "takes the value of", EdgeKind.NEEDS: "needs", EdgeKind.AFTER: "comes after"}
    names = [jobs[id].label for id, _ in path]
    lines = []
    for id, edge in path:
        place = edge.at or jobs[id].at
        lines.append(
            f"{jobs[id].label} {verbs[edge.kind]} {jobs[edge.upstream].label}{f': {place}' if place else ''}"
        )
    half = LONGEST_CYCLE_SHOWN // 2
    if len(path) > LONGEST_CYCLE_SHOWN:
        lines[half:-half] = [f"... {len(path) - 2 * half} more ..."]
        names[half:-half] = ["..."]
    circle = " -> ".join([*names, names[0]])
    if len(path) == 1:
        what = f"job {names[0]!r} waits for itself"
    else:
        what = f"jobs wait for each other in a circle: {circle}"
    return Problem(what=what, at=tuple(lines), fix="take one of these edges away")
