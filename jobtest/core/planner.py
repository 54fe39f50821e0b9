"""What is to be done and why, decided before anything runs.

A `Plan` is a value: the part of the graph that takes part, and for each job of it a decision. It says which
jobs are attempted for certain, which only if another one wants their value, which are skipped, and how early
each should go.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from jobtest.core.graph import Graph
from jobtest.core.model import Command, Edge, EdgeKind, Job
from jobtest.core.past import Past, Resumed

__all__ = ["Decision", "Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan says of one job.

    Attributes:
        needed: It is attempted for certain. Otherwise only when a job that will run takes its value.
        reason: Why, in the words of the report.
        must_run: It runs even if its check holds, and why; else empty.
        skip: Why it is skipped; else empty.
        causes: Of a skipped job: the skipped jobs that it needs.
        rank: Length of the longest way from its start to the end of the run, in seconds where known, else
            jobs.
        wave: Number of jobs before it on the longest way from the beginning.
        resumed: Where an earlier run left it; None if this run does not go on with it.
    """

    needed: bool
    reason: str
    must_run: str = ""
    skip: str = ""
    causes: tuple[str, ...] = ()
    rank: float = 1.0
    wave: int = 0
    resumed: Resumed | None = None


@dataclass(frozen=True)
class Plan:
    """The graph of a run with a decision for each job.

    Attributes:
        graph: The jobs that take part, closed under upstream.
        decisions: By id, for exactly these.
        left_out: Why each other job of the project takes no part.
        command: What the run is for.
        pasts: What is known of jobs from earlier runs.
        owed: Ids of jobs whose cleanups earlier runs owe, in the order in which they were entered.
        owed_first: These cleanups run before anything else; otherwise at the end, after those of this run.
    """

    graph: Graph
    decisions: Mapping[str, Decision]
    left_out: Mapping[str, str]
    command: Command = Command.APPLY
    pasts: Mapping[str, Past] = field(default_factory=dict)
    owed: tuple[str, ...] = ()
    owed_first: bool = False

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The ids as one worker would start them: upstream first, then priority, rank, definition."""
        position = {id: at for at, id in enumerate(self.graph.jobs)}
        waiting = {id: len(self.graph.upstream(id)) for id in self.graph.jobs}
        ready = [self._key(id, position) for id, count in waiting.items() if not count]
        heapq.heapify(ready)
        order = []
        while ready:
            id = heapq.heappop(ready)[-1]
            order.append(id)
            for other, _ in self.graph.downstream(id):
                waiting[other] -= 1
                if not waiting[other]:
                    heapq.heappush(ready, self._key(other, position))
        return tuple(order)

    def _key(self, id: str, position: Mapping[str, int]) -> tuple[int, float, int, str]:
        return -self.graph[id].priority, -self.decisions[id].rank, position[id], id

    @cached_property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """Jobs that could run side by side, given workers enough: wave by wave, each in order."""
        waves: list[list[str]] = []
        for id in self.order:
            wave = self.decisions[id].wave
            while len(waves) <= wave:
                waves.append([])
            waves[wave].append(id)
        return tuple(tuple(wave) for wave in waves)

    @cached_property
    def critical_path(self) -> tuple[str, ...]:
        """The longest way through the run, by the same measure as `rank`; empty for an empty plan."""
        starts = [id for id in self.order if not self.graph.upstream(id)]
        path: list[str] = []
        while starts:
            path.append(max(starts, key=lambda id: self.decisions[id].rank))
            starts = [id for id, _ in self.graph.downstream(path[-1])]
        return tuple(path)


def make_plan(
    graph: Graph,
    *,
    select: Iterable[str] | None = None,
    named: Collection[str] = (),
    exclude: Mapping[str, str] | None = None,
    force: Collection[str] = (),
    seconds: Mapping[str, float] | None = None,
    command: Command = Command.APPLY,
) -> Plan:
    """Decide what takes part and why.

    Args:
        graph: All jobs of the project.
        select: Ids asked for; with them comes all they need. None: all jobs.
        named: Ids that the user selected by their name: those without a check run even if nobody takes their
            value.
        exclude: Ids to skip, with the reason; what needs them is skipped too.
        force: Ids that run even if their check holds.
        seconds: Known durations by id, for ranks; jobs without one count as the mean of those with one, or 1.
        command: What the run is for. A drift only asks checks, so edges are an order and nothing else.

    Raises:
        KeyError: an id is not in the graph.
    """
    kept = graph.closure(_known(graph, select)) if select is not None else set(graph.jobs)
    left_out = {id: "not selected" for id in graph.jobs if id not in kept}
    part = graph.only(kept)
    if command is Command.DRIFT:
        part = _order_only(part)
    skips = _skips(part, exclude or {}, command)
    order = _upstream_first(part)
    ranks = _ranks(part, order, seconds or {})
    waves = _waves(part, order)
    needs = _needs(part, order, frozenset(_known(graph, named)), frozenset(_known(graph, force)), skips)
    decisions = {}
    for id in part.jobs:
        must_run = "forced" if id in force else ""
        if id in skips:
            skip, causes = skips[id]
            decisions[id] = Decision(False, skip, "", skip, causes, ranks[id], waves[id])
        else:
            decisions[id] = Decision(
                bool(needs[id]), needs[id] or "not needed", must_run, "", (), ranks[id], waves[id]
            )
    return Plan(part, decisions, left_out, command)


def _known(graph: Graph, ids: Iterable[str]) -> list[str]:
    found = list(ids)
    for id in found:
        graph.jobs[id]
    return found


def _order_only(graph: Graph) -> Graph:
    def relaxed(job: Job) -> Job:
        return replace(job, edges=tuple(Edge(edge.upstream, EdgeKind.AFTER, edge.at) for edge in job.edges))

    return Graph(relaxed(job) for job in graph)


def _upstream_first(graph: Graph) -> list[str]:
    waiting = {id: len(graph.upstream(id)) for id in graph.jobs}
    order = [id for id, count in waiting.items() if not count]
    for id in order:
        for other, _ in graph.downstream(id):
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    return order


def _skips(
    graph: Graph, exclude: Mapping[str, str], command: Command
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return reason and causes of each skipped job; what needs a skipped one is skipped, naming the root."""
    skips: dict[str, tuple[str, tuple[str, ...]]] = {}
    for id, job in graph.jobs.items():
        reason = job.skip or exclude.get(id, "")
        if not reason and command is Command.DRIFT and not job.has_check:
            reason = "no check"
        if reason:
            skips[id] = reason, ()
    for root in list(skips):
        todo = [root]
        while todo:
            for id, kind in graph.downstream(todo.pop()):
                if kind is not EdgeKind.AFTER and id not in skips:
                    skips[id] = f"upstream {graph[root].label} is skipped: {skips[root][0]}", (root,)
                    todo.append(id)
    return skips


def _ranks(graph: Graph, order: list[str], seconds: Mapping[str, float]) -> dict[str, float]:
    usual = sum(seconds.values()) / len(seconds) if seconds else 1.0
    ranks: dict[str, float] = {}
    for id in reversed(order):
        rest = max((ranks[other] for other, _ in graph.downstream(id)), default=0.0)
        ranks[id] = seconds.get(id, usual) + rest
    return ranks


def _waves(graph: Graph, order: list[str]) -> dict[str, int]:
    waves: dict[str, int] = {}
    for id in order:
        waves[id] = 1 + max((waves[edge.upstream] for edge in graph.upstream(id)), default=-1)
    return waves


def _needs(
    graph: Graph, order: list[str], named: Collection[str], force: Collection[str], skipped: Collection[str]
) -> dict[str, str]:
    """Return why each job is attempted for certain; empty for those that only run on demand."""
    needs: dict[str, str] = {}
    for id in reversed(order):
        job = graph[id]
        if id in force:
            needs[id] = "forced"
        elif job.has_check:
            needs[id] = "has a check"
        elif id in named:
            needs[id] = "no check; selected by name"
        elif job.always:
            needs[id] = "no check; always"
        else:
            needs[id] = _needed_by(graph, job, needs, force, skipped)
    return needs


def _needed_by(
    graph: Graph, job: Job, needs: Mapping[str, str], force: Collection[str], skipped: Collection[str]
) -> str:
    consumers = graph.downstream(job.id)
    if all(kind is EdgeKind.AFTER for _, kind in consumers):
        return "no check; a leaf"
    for id, kind in consumers:
        if id in skipped:
            continue
        name = graph[id].label
        if kind is EdgeKind.NEEDS:
            return f"no check; {name} needs it"
        if kind is EdgeKind.AFTER:
            return f"no check; {name} comes after it"
        if _surely_takes(graph[id], job.id, needs, force):
            return f"no check; {name} takes its value"
    return ""


def _surely_takes(consumer: Job, upstream: str, needs: Mapping[str, str], force: Collection[str]) -> bool:
    """Tell whether a consumer wants the value of `upstream` whatever its own check says."""
    if consumer.id in force or not consumer.has_run:
        return True
    if not consumer.has_check:
        return bool(needs[consumer.id])
    return any(take.parameter in consumer.early for take in consumer.takes if upstream in take.upstream)
