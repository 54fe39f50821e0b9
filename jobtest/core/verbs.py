"""Plans for whatever else is done with jobs than bringing their state about (PRODUCT 9).

Such a plan is an ordinary one over changed jobs: their run phase calls another function, and the values that
they take are those of earlier runs. Jobs without that function are skipped and hold up nobody; who waits for
whom is told as if they were not there, only over them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from jobtest.core.graph import Graph
from jobtest.core.model import Command, Edge, EdgeKind, Job, OnFailure, Outcome
from jobtest.core.past import Past, Resumed
from jobtest.core.planner import (
    Decision,
    Plan,
    as_before,
    declared_otherwise,
    known,
    ranks_of,
    refusal_of,
    skips_of,
    upstream_first,
    waves_of,
    without,
)

__all__ = ["describe_plan", "verb_graph", "verb_plan"]

THERE = "the state says it is there"
GONE = "the state says it is gone"
NEVER = "the state knows nothing of it"


def verb_plan(
    graph: Graph,
    verb: str,
    *,
    reverse: bool = False,
    command: Command = Command.VERB,
    select: Iterable[str] | None = None,
    exclude: Mapping[str, str] | None = None,
    alone: bool = False,
    pasts: Mapping[str, Past] | None = None,
    resumed: Mapping[str, Resumed] | None = None,
    owed: Iterable[str] = (),
    undo: Iterable[str] = (),
    order: Mapping[str, int] | None = None,
) -> Plan:
    """Decide what takes part in deleting, in rolling back, in what the project has a word of its own for.

    Args:
        graph: All jobs of the project.
        verb: Prefix of the functions that are called.
        reverse: A job comes after those that need it.
        command: What the run is for.
        select: Ids asked for; with them come those that they wait for. None: all jobs.
        exclude: Ids to skip, with the reason; what waits for them is skipped too.
        alone: Leave out what the selected jobs wait for.
        pasts: What is known of jobs from earlier runs.
        resumed: Where the run that this one goes on with left jobs.
        owed: Ids of jobs whose cleanups earlier runs owe, in the order in which they were entered.
        undo: Ids of jobs whose rollbacks earlier runs owe, in that order. These and cleanups come first.
        order: Places of jobs in the order of an earlier run.

    Raises:
        KeyError: an id is not in the graph.
    """
    pasts, resumed = pasts or {}, resumed or {}
    part, left_out = _part(graph, select, reverse=reverse, alone=alone)
    part = _doing(part, verb, pasts, reverse=reverse)
    skips = skips_of(part, exclude or {}, command, reverse=reverse)
    first = upstream_first(part)
    ranks = as_before(part, order) if order else ranks_of(part, first, {})
    waves = waves_of(part, first)
    decisions = {}
    for id, job in part.jobs.items():
        skip, causes = skips.get(id, ("", ()))
        decision = _decision(job, pasts.get(id), resumed.get(id), skip, causes)
        decisions[id] = replace(decision, rank=ranks[id], wave=waves[id])
    return Plan(
        part,
        decisions,
        left_out,
        command,
        pasts,
        tuple(id for id in owed if id in part and graph[id].has_cleanup),
        owed_first=True,
        verb=verb,
        reverse=reverse,
        undo=tuple(id for id in undo if id in part and graph[id].has_rollback),
    )


def describe_plan(
    graph: Graph,
    *,
    select: Iterable[str] | None = None,
    exclude: Mapping[str, str] | None = None,
    pasts: Mapping[str, Past] | None = None,
) -> Plan:
    """Decide of which jobs it is asked how they are: with what is selected comes all that it needs.

    Args:
        graph: All jobs of the project.
        select: Ids asked for; None: all jobs.
        exclude: Ids to skip, with the reason.
        pasts: What is known of jobs from earlier runs.
    """
    pasts = pasts or {}
    part, left_out = _part(graph, select, reverse=False, alone=False)
    part = Graph(_described(job, pasts.get(job.id)) for job in part)
    skips = skips_of(part, exclude or {}, Command.DESCRIBE)
    waves = waves_of(part, upstream_first(part))
    decisions = {}
    for id, job in part.jobs.items():
        skip, causes = skips.get(id, ("", ()))
        past = pasts.get(id)
        said = "created" if past and past.exists else "gone" if past and past.gone else "not created"
        asks = job.has_check or job.has_describe
        ended = None if asks else Resumed(run="", outcome=Outcome.UNCHANGED)
        notes = () if skip else declared_otherwise(job, past)
        reason = skip or said
        decisions[id] = Decision(
            asks, reason, skip=skip, causes=causes, wave=waves[id], resumed=ended, notes=notes
        )
    return Plan(part, decisions, left_out, Command.DESCRIBE, pasts, verb="describe")


def verb_graph(graph: Graph, verb: str, pasts: Mapping[str, Past], *, reverse: bool) -> Graph:
    """Return the jobs of a project as a plan for a verb has them, all of them."""
    part, _ = _part(graph, None, reverse=reverse, alone=False)
    return _doing(part, verb, pasts, reverse=reverse)


def _part(
    graph: Graph, select: Iterable[str] | None, *, reverse: bool, alone: bool
) -> tuple[Graph, dict[str, str]]:
    """Return the jobs that take part, with edges as the verb follows them, and why others do not."""
    turned = Graph(replace(job, edges=_edges(graph, job.id, reverse=reverse)) for job in graph)
    kept = set(known(graph, select)) if select is not None else set(graph.jobs)
    if alone:
        part = Graph(without(job, kept) for job in turned if job.id in kept)
    else:
        kept = turned.closure(kept)
        part = turned.only(kept)
    return part, {id: "not selected" for id in graph.jobs if id not in kept}


def _edges(graph: Graph, id: str, *, reverse: bool) -> tuple[Edge, ...]:
    """Return whom a job waits for: values are those of earlier runs, so it is for the end of the others."""
    if reverse:
        return tuple(Edge(other, _kind(kind)) for other, kind in graph.downstream(id))
    return tuple(Edge(edge.upstream, _kind(edge.kind), edge.at) for edge in graph.upstream(id))


def _kind(kind: EdgeKind) -> EdgeKind:
    return EdgeKind.AFTER if kind is EdgeKind.AFTER else EdgeKind.NEEDS


def _doing(graph: Graph, verb: str, pasts: Mapping[str, Past], *, reverse: bool) -> Graph:
    """Return jobs as the verb has them; those that are skipped hold up nobody.

    But if one that could be deleted is there and stays, what it needs stays as well.
    """
    there = {id for id, past in pasts.items() if past.exists}
    stay = {job.id for job in graph if reverse and job.skip and verb in job.functions and job.id in there}
    jobs = [_does(job, verb, exists=job.id in there, reverse=reverse) for job in graph]
    return _bridged(Graph(jobs), {job.id for job in jobs if job.skip} - stay)


def _does(job: Job, verb: str, *, exists: bool, reverse: bool) -> Job:
    """Return a job as the verb has it; one without the function is skipped."""
    asks = job.has_check and verb == "delete"
    missing = "" if verb in job.functions else f"it has no {verb}_{job.name}"
    blocks = OnFailure.BLOCK if reverse and job.on_failure is OnFailure.CONTINUE else job.on_failure
    return replace(
        _bare(job),
        calls=verb,
        skip=missing or job.skip,
        has_check=asks,
        unasked=asks and exists,
        has_describe=job.has_describe and bool(missing),
        has_run=job.has_run or not missing,
        on_failure=blocks,
    )


def _described(job: Job, past: Past | None) -> Job:
    """Return a job of which it is only asked how it is."""
    exists = past is not None and past.exists
    edges = tuple(replace(edge, kind=EdgeKind.AFTER) for edge in job.edges)
    describes = job.has_describe and (exists or job.has_check)
    return replace(_bare(job), calls="describe", edges=edges, has_describe=describes)


def _bare(job: Job) -> Job:
    """Return a job without what comes after its end, and what would make it run again."""
    return replace(
        job,
        has_cleanup=False,
        has_rollback=False,
        is_generator=False,
        always=False,
        tracks=False,
        once=False,
    )


def _bridged(graph: Graph, gaps: Collection[str]) -> Graph:
    """Return a graph in which nobody waits for the jobs in `gaps`, but for those that these wait for."""
    through: dict[str, Mapping[str, Edge]] = {}
    made = {}
    for id in upstream_first(graph):
        job = graph[id]
        edges: dict[str, Edge] = {}
        for edge in graph.upstream(id):
            beyond = through.get(edge.upstream)
            for one in (edge,) if beyond is None else beyond.values():
                kind = one.kind if edge.kind is not EdgeKind.AFTER else EdgeKind.AFTER
                if one.upstream not in edges or kind is EdgeKind.NEEDS:
                    edges[one.upstream] = replace(one, kind=kind)
        if id in gaps:
            through[id] = edges
        made[id] = replace(job, edges=() if id in gaps else tuple(edges.values()))
    return Graph(made[id] for id in graph.jobs)


def _decision(
    job: Job, past: Past | None, left: Resumed | None, skip: str, causes: Collection[str]
) -> Decision:
    if skip:
        return Decision(False, skip, skip=skip, causes=tuple(causes))
    if left is not None and left.outcome is not None:
        return Decision(True, f"resumed: done in run {left.run}", resumed=left)
    state = THERE if past is not None and past.exists else GONE if past is not None and past.gone else NEVER
    is_there = {"delete": state != GONE or job.has_check, "rollback": state == THERE}
    if not is_there.get(job.calls, True):
        return Decision(False, f"not there: {state}", resumed=Resumed(run="", outcome=Outcome.UNCHANGED))
    reason = state if job.calls in is_there else f"{job.calls} is asked for"
    return Decision(True, reason, resumed=left, refused=refusal_of(job, None, left))
