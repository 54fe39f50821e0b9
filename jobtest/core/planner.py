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
from jobtest.core.model import Command, Edge, EdgeKind, Job, Outcome
from jobtest.core.past import Past, Resumed

__all__ = ["BY_NAME", "Decision", "Plan", "cleanup_plan", "declared_otherwise", "make_plan"]

BY_NAME = "no check; selected by name"
"""Reason of a job that runs for nothing but that the user named it."""

MOST_LOST = 3
"""Runs in a row that may be killed while a job ran; after them it is taken for what kills them."""


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
        refused: Why it fails instead of entering its run phase; else empty.
        notes: What the user should know about it, however it ends.
    """

    needed: bool
    reason: str
    must_run: str = ""
    skip: str = ""
    causes: tuple[str, ...] = ()
    rank: float = 1.0
    wave: int = 0
    resumed: Resumed | None = None
    refused: str = ""
    notes: tuple[str, ...] = ()


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
        keep_cleanups: Cleanups that this run comes to owe are left for a later one.
        verb: What is done with the jobs instead of bringing their state about: `delete`, `describe`, ...; the
            values that they take are those of earlier runs then. Empty: their state is brought about.
        reverse: Edges are turned round: a job comes after those that need it.
        undo: Ids of jobs whose rollbacks earlier runs owe, in the order in which they were entered; they run
            before anything else.
        rolls_back: If a job fails, nothing new starts, and all that ran is rolled back.
    """

    graph: Graph
    decisions: Mapping[str, Decision]
    left_out: Mapping[str, str]
    command: Command = Command.APPLY
    pasts: Mapping[str, Past] = field(default_factory=dict)
    owed: tuple[str, ...] = ()
    owed_first: bool = False
    keep_cleanups: bool = False
    verb: str = ""
    reverse: bool = False
    undo: tuple[str, ...] = ()
    rolls_back: bool = False

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
    alone: bool = False,
    pasts: Mapping[str, Past] | None = None,
    resumed: Mapping[str, Resumed] | None = None,
    owed: Iterable[str] = (),
    owed_first: bool = False,
    undo: Iterable[str] = (),
    order: Mapping[str, int] | None = None,
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
        command: What the run is for.
        alone: Leave out what the selected jobs need: the values that they take are stored.
        pasts: What is known of jobs from earlier runs.
        resumed: Where the run that this one goes on with left jobs.
        owed: Ids of jobs whose cleanups earlier runs owe, in the order in which they were entered.
        owed_first: These cleanups run before anything else.
        undo: Ids of jobs whose rollbacks earlier runs owe, in that order.
        order: Places of jobs in the order of an earlier run; among jobs of equal priority that are ready the
            first goes first, and those without a place after them.

    Raises:
        KeyError: an id is not in the graph.
    """
    kept = set(known(graph, select)) if select is not None else set(graph.jobs)
    if not alone and select is not None:
        kept = graph.closure(kept)
    left_out = {id: "not selected" for id in graph.jobs if id not in kept}
    part = _only(graph, kept, alone=alone, command=command)
    pasts, resumed, forced = pasts or {}, resumed or {}, frozenset(known(graph, force))
    part = _up_to_date(part, pasts)
    skips = skips_of(part, exclude or {}, command)
    done = {id for id, left in resumed.items() if left.outcome is not None and id not in forced}
    in_order = upstream_first(part)
    ranks = as_before(part, order) if order else ranks_of(part, in_order, seconds or {})
    waves = waves_of(part, in_order)
    needs = _needs(part, in_order, frozenset(known(graph, named)), forced, done.union(skips))
    decisions = {}
    for id, job in part.jobs.items():
        if id in skips:
            skip, causes = skips[id]
            decisions[id] = Decision(False, skip, "", skip, causes, ranks[id], waves[id])
            continue
        left = None if id in forced else resumed.get(id)
        decisions[id] = Decision(
            bool(needs[id]),
            f"resumed: done in run {left.run}" if left and id in done else needs[id] or "not needed",
            "forced" if id in forced else "",
            rank=ranks[id],
            wave=waves[id],
            resumed=left,
            refused="" if id in forced else refusal_of(job, pasts.get(id), left),
            notes=declared_otherwise(job, pasts.get(id)) if command is Command.DRIFT else (),
        )
    owing = tuple(id for id in owed if id in part and part[id].has_cleanup)
    undoing = tuple(id for id in undo if id in part and part[id].has_rollback)
    return Plan(part, decisions, left_out, command, pasts, owing, owed_first, undo=undoing)


def declared_otherwise(job: Job, past: Past | None) -> tuple[str, ...]:
    """Return a note if a job that is there was declared otherwise when it was made."""
    if past is None or not past.exists or past.definition in ("", job.definition):
        return ()
    return (f"its definition has changed since its last success, in run {past.run}",)


def _up_to_date(graph: Graph, pasts: Mapping[str, Past]) -> Graph:
    """Return the graph with jobs that are there, and can be brought up to date, so that this is done.

    A job that holds something open is made anew in every run.
    """
    found = {
        id: replace(job, calls="update")
        for id, job in graph.jobs.items()
        if "update" in job.functions and not job.is_generator and id in pasts and _stays(pasts[id])
    }
    return Graph(found.get(job.id, job) for job in graph) if found else graph


def _stays(past: Past) -> bool:
    """Tell whether what a job brings about is there once its rollback, if that is due, is done."""
    return past.rollback.done(0.0).exists if past.rollback is not None else past.exists


def cleanup_plan(graph: Graph, owed: Mapping[str, str], select: Iterable[str] | None = None) -> Plan:
    """Return a plan that runs the cleanups that are owed, last entered first, and nothing else.

    Args:
        graph: All jobs of the project.
        owed: Run that owes it by id of the job, in the order in which they were entered.
        select: Ids asked for; None: all jobs.
    """
    kept = set(known(graph, select)) if select is not None else set(graph.jobs)
    part = _only(graph, kept, alone=True, command=Command.CLEANUP)
    decisions = {}
    for id, job in part.jobs.items():
        if not job.has_cleanup:
            decisions[id] = Decision(False, "it has no cleanup", skip="it has no cleanup")
        elif id in owed:
            ended = Resumed(run=owed[id], outcome=Outcome.CHANGED)
            decisions[id] = Decision(True, f"its cleanup is owed by run {owed[id]}", resumed=ended)
        else:
            ended = Resumed(run="", outcome=Outcome.UNCHANGED)
            decisions[id] = Decision(False, "no cleanup is owed", resumed=ended)
    owing = tuple(id for id in owed if id in part and part[id].has_cleanup)
    left_out = {id: "not selected" for id in graph.jobs if id not in kept}
    return Plan(part, decisions, left_out, Command.CLEANUP, {}, owing)


def refusal_of(job: Job, past: Past | None, left: Resumed | None) -> str:
    if job.once and past is not None and past.doubt:
        return f'run {past.doubt} was killed while it ran, and on_crash="fail"; --job-force runs it'
    if left is not None and left.lost >= MOST_LOST:
        return f"{left.lost} runs in a row were killed while it ran, the last one {left.run}"
    return ""


def _only(graph: Graph, kept: Collection[str], *, alone: bool, command: Command) -> Graph:
    """Return the part of a graph that a run is about, without the edges that it does not follow."""
    part = Graph(without(job, kept) for job in graph if job.id in kept) if alone else graph.only(kept)
    return Graph(map(ordered, part)) if command in (Command.DRIFT, Command.CLEANUP) else part


def ordered(job: Job) -> Job:
    """Return a job that only comes after what it waited for."""
    return replace(job, edges=tuple(Edge(edge.upstream, EdgeKind.AFTER, edge.at) for edge in job.edges))


def without(job: Job, kept: Collection[str]) -> Job:
    edges = tuple(edge for edge in job.edges if edge.upstream in kept)
    return replace(job, edges=edges) if len(edges) < len(job.edges) else job


def known(graph: Graph, ids: Iterable[str]) -> list[str]:
    found = list(ids)
    for id in found:
        graph.jobs[id]
    return found


def upstream_first(graph: Graph) -> list[str]:
    waiting = {id: len(graph.upstream(id)) for id in graph.jobs}
    order = [id for id, count in waiting.items() if not count]
    for id in order:
        for other, _ in graph.downstream(id):
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    return order


def skips_of(
    graph: Graph, exclude: Mapping[str, str], command: Command, *, reverse: bool = False
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return reason and causes of each skipped job; what needs a skipped one is skipped, naming the root."""
    who = "{}, which needs it," if reverse else "upstream {}"
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
                    skips[id] = f"{who.format(graph[root].label)} is skipped: {skips[root][0]}", (root,)
                    todo.append(id)
    return skips


def ranks_of(graph: Graph, order: list[str], seconds: Mapping[str, float]) -> dict[str, float]:
    usual = sum(seconds.values()) / len(seconds) if seconds else 1.0
    ranks: dict[str, float] = {}
    for id in reversed(order):
        rest = max((ranks[other] for other, _ in graph.downstream(id)), default=0.0)
        ranks[id] = seconds.get(id, usual) + rest
    return ranks


def as_before(graph: Graph, order: Mapping[str, int]) -> dict[str, float]:
    return {id: float(-order.get(id, len(order))) for id in graph.jobs}


def waves_of(graph: Graph, order: list[str]) -> dict[str, int]:
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
            needs[id] = BY_NAME
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
