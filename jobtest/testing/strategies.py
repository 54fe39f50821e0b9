"""Hypothesis strategies for graphs, plans, runs and events. Whatever they draw is valid by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    BodyEnded,
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.model import (
    Command,
    Edge,
    EdgeKind,
    Failure,
    Job,
    Kind,
    OnFailure,
    Outcome,
    Phase,
    Retry,
    Take,
    Verdict,
)
from jobtest.core.planner import Plan, make_plan
from jobtest.engine.calls import Ticket
from jobtest.testing.executor import Act

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "jobtest.testing.strategies needs hypothesis, which is missing\n  fix: pip install 'jobtest[test]'"
    ) from error

__all__ = [
    "RESOURCES",
    "Behaviour",
    "Case",
    "Script",
    "cases",
    "circles",
    "events",
    "graphs",
    "plans",
    "scripts",
]

RESOURCES: Mapping[str, int] = {"db": 2, "gpu": 1}
"""The amounts that the jobs of `graphs` share."""


class Behaviour(Enum):
    """What an attempt of a job does, whatever phases it has."""

    HOLDS = "its check holds"
    CHANGES = "its check does not hold, its run phase brings the state about"
    RAISES_YET_HOLDS = "its run phase raises and brings the state about"
    RAISES = "its run phase raises"
    IN_VAIN = "its run phase returns and brings nothing about"
    BROKEN = "its check is broken"
    SET_UP_FAILS = "its set-up fails"
    SKIPS = "it skips itself"
    TIMES_OUT = "its run phase is ended when it has had its time"
    CRASHES = "the process of its run phase dies"


_CHECK = {
    Behaviour.HOLDS: Verdict.OK,
    Behaviour.BROKEN: Verdict.BROKEN,
    Behaviour.SET_UP_FAILS: Verdict.SETUP_ERROR,
    Behaviour.SKIPS: Verdict.SKIPPED,
}
_RUN = {
    Behaviour.RAISES_YET_HOLDS: Verdict.RAISED,
    Behaviour.RAISES: Verdict.RAISED,
    Behaviour.SET_UP_FAILS: Verdict.SETUP_ERROR,
    Behaviour.SKIPS: Verdict.SKIPPED,
    Behaviour.TIMES_OUT: Verdict.TIMED_OUT,
    Behaviour.CRASHES: Verdict.CRASHED,
}
_RECHECK = {
    Behaviour.RAISES: Verdict.NOT_HOLDING,
    Behaviour.IN_VAIN: Verdict.NOT_HOLDING,
    Behaviour.BROKEN: Verdict.BROKEN,
}
_AFTER = {Behaviour.RAISES: Verdict.RAISED}


@dataclass(frozen=True, slots=True)
class Script:
    """What the jobs of a run do, for a `ScriptedExecutor`.

    Attributes:
        behaviours: By job, one for each attempt; the last one also for those that follow, none: it changes.
        seconds: By job, the duration of each phase, 1 if not given.
    """

    behaviours: Mapping[str, Sequence[Behaviour]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, ticket: Ticket) -> Act:
        """Return what comes of a phase."""
        job = ticket.job.id
        listed = self.behaviours.get(job) or (Behaviour.CHANGES,)
        behaviour = listed[min(ticket.attempt, len(listed)) - 1]
        return Act(_verdict(ticket.phase, behaviour), self.seconds.get(job, 1.0), type="ScriptedError")


def _verdict(phase: Phase, behaviour: Behaviour) -> Verdict:
    match phase:
        case Phase.CHECK:
            return _CHECK.get(behaviour, Verdict.NOT_HOLDING)
        case Phase.RUN:
            return _RUN.get(behaviour, Verdict.OK)
        case Phase.RECHECK:
            return _RECHECK.get(behaviour, Verdict.OK)
        case _:
            return _AFTER.get(behaviour, Verdict.OK)


@dataclass(frozen=True, slots=True)
class Case:
    """A run that could be.

    Attributes:
        plan: What is to be done.
        script: What comes of it.
        workers: Attempts that may be under way at once.
        retry_limit: Retries that the run may spend, or None.
    """

    plan: Plan
    script: Script
    workers: int
    retry_limit: int | None

    @property
    def settings(self) -> dict[str, object]:
        """The settings, by the names of `simulate`."""
        return {"workers": self.workers, "retry_limit": self.retry_limit, "resources": RESOURCES}


_KINDS = st.sampled_from([EdgeKind.VALUE, EdgeKind.VALUE, EdgeKind.NEEDS, EdgeKind.AFTER])
_RETRIES = st.builds(
    Retry,
    retries=st.integers(0, 3),
    delay=st.sampled_from([0.0, 1.0, 5.0]),
    backoff=st.sampled_from([1.0, 2.0]),
    max_delay=st.sampled_from([None, 6.0]),
    jitter=st.sampled_from([0.0, 0.5]),
)
_ON_FAILURE = st.sampled_from([OnFailure.BLOCK, OnFailure.BLOCK, OnFailure.CONTINUE, OnFailure.ESCALATE])
_AMOUNTS = st.sampled_from([{}, {}, {}, {"db": 1}, {"db": 2}, {"gpu": 1}, {"db": 1, "gpu": 1}])


@st.composite
def _job(draw: st.DrawFn, number: int, plain: bool) -> Job:
    """Draw the job that comes `number`-th among those that need each other; it asks only for earlier ones."""
    ups = draw(st.lists(st.integers(0, number - 1), unique=True, max_size=3)) if number else []
    edges = tuple(Edge(f"j{up}", draw(_KINDS)) for up in ups)
    taken = [edge.upstream for edge in edges if edge.kind is EdgeKind.VALUE]
    takes = tuple(Take(id, (id,)) for id in taken)
    if plain:
        return Job(id=f"j{number}", edges=edges, takes=takes)
    check = draw(st.booleans())
    early = draw(st.lists(st.sampled_from(taken), unique=True)) if check and taken else []
    gate = check and draw(st.integers(0, 5)) == 0
    return Job(
        id=f"j{number}",
        edges=edges,
        takes=takes,
        early=frozenset(early),
        has_check=check,
        has_run=not gate,
        has_describe=draw(st.integers(0, 4)) == 0,
        has_cleanup=not gate and draw(st.booleans()),
        is_generator=not gate and draw(st.integers(0, 4)) == 0,
        always=draw(st.integers(0, 5)) == 0,
        exclusive=draw(st.sampled_from(["", "", "", "", "it uses capsys"])),
        priority=draw(st.integers(-1, 2)),
        resources=draw(_AMOUNTS),
        retry=draw(_RETRIES),
        on_failure=draw(_ON_FAILURE),
    )


@st.composite
def graphs(draw: st.DrawFn, *, min_size: int = 0, max_size: int = 9, plain: bool = False) -> Graph:
    """Draw a graph with all kinds of edges, defined in any order.

    Args:
        draw: Given by hypothesis.
        min_size: Jobs at least.
        max_size: Jobs at most.
        plain: Only ids and edges; no checks, retries, resources.
    """
    size = draw(st.integers(min_size, max_size))
    jobs = [draw(_job(number, plain)) for number in range(size)]
    return Graph(draw(st.permutations(jobs)))


@st.composite
def circles(draw: st.DrawFn) -> list[Job]:
    """Draw jobs, at least one circle among them; `Graph` refuses them."""
    jobs = list(draw(graphs(min_size=1, plain=True)))
    around = draw(st.lists(st.sampled_from(jobs), min_size=1, max_size=4, unique_by=lambda job: job.id))
    edges: dict[str, tuple[Edge, ...]] = {job.id: job.edges for job in jobs}
    for job, other in zip(around, [*around[1:], around[0]], strict=True):
        edges[job.id] += (Edge(other.id, draw(_KINDS), f"ops/job_a.py:{draw(st.integers(1, 9))}"),)
    return [Job(id=job.id, edges=edges[job.id]) for job in jobs]


def _some(graph: Graph) -> st.SearchStrategy[list[str]]:
    ids = list(graph.jobs)
    return st.lists(st.sampled_from(ids), unique=True, max_size=3) if ids else st.just([])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a plan over a part of a graph, with jobs that are named, forced and excluded."""
    graph = draw(graphs())
    select = draw(st.one_of(st.none(), _some(graph)))
    exclude = dict.fromkeys(draw(st.one_of(st.just([]), _some(graph))), "not wanted")
    return make_plan(
        graph, select=select, named=draw(_some(graph)), force=draw(_some(graph)), exclude=exclude
    )


@st.composite
def scripts(draw: st.DrawFn, jobs: Sequence[str]) -> Script:
    """Draw what jobs do."""
    likely = [Behaviour.HOLDS, Behaviour.CHANGES, Behaviour.CHANGES, *Behaviour]
    behaviours = {job: draw(st.lists(st.sampled_from(likely), max_size=3)) for job in jobs}
    seconds = {job: float(draw(st.integers(0, 4))) for job in jobs}
    return Script(behaviours, seconds)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a run."""
    plan = draw(plans())
    script = draw(scripts(list(plan.graph.jobs)))
    return Case(plan, script, draw(st.integers(1, 4)), draw(st.sampled_from([None, None, 0, 1, 3])))


_TEXT = st.text(max_size=8)
_NAMES = st.text(min_size=1, max_size=8)
_TUPLES = st.lists(_TEXT, max_size=3).map(tuple)
_FAILURES = st.builds(Failure, message=_TEXT, type=_TEXT, text=_TEXT, types=_TUPLES)
_COUNTS = st.integers(1, 9)
_EVENTS: Sequence[Callable[[], st.SearchStrategy[Event]]] = (
    lambda: st.builds(RunStarted, st.sampled_from(Command), _COUNTS, _COUNTS),
    lambda: st.builds(
        PhaseStarted, _NAMES, _COUNTS, st.sampled_from(Phase), st.sampled_from(["", "resource"])
    ),
    lambda: st.builds(
        PhaseEnded,
        _NAMES,
        _COUNTS,
        st.sampled_from(Phase),
        st.sampled_from(Verdict),
        st.one_of(st.none(), _FAILURES),
        st.booleans(),
        stdout=_TEXT,
        stderr=_TEXT,
        log=_TEXT,
        notes=_TUPLES,
    ),
    lambda: st.builds(AttemptSuspended, _NAMES, _COUNTS, _TUPLES),
    lambda: st.builds(RetryPlanned, _NAMES, _COUNTS, st.floats(0, 1e9)),
    lambda: st.builds(BackoffEnded, _NAMES),
    lambda: st.builds(BodyEnded, _NAMES),
    lambda: st.builds(
        JobEnded,
        _NAMES,
        st.sampled_from(Outcome),
        _TEXT,
        st.one_of(st.none(), st.sampled_from(Kind)),
        causes=_TUPLES,
        notes=_TUPLES,
    ),
    lambda: st.builds(RunStopped, _TEXT),
    lambda: st.builds(RunEnded, st.integers(0, 5)),
)


def events() -> st.SearchStrategy[Event]:
    """Draw an event of any kind."""
    return st.one_of([make() for make in _EVENTS])
