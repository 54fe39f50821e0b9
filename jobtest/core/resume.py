"""Where a run was left, and what another one that goes on with it need not do again (PRODUCT 8.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    Entry,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
)
from jobtest.core.graph import Graph
from jobtest.core.model import NOT_ENTERED, TAIL, EdgeKind, Outcome, Phase
from jobtest.core.past import Resumed
from jobtest.core.planner import Plan
from jobtest.core.policies import uses

__all__ = ["Left", "how_left", "resume"]

KEPT = frozenset({Outcome.UNCHANGED, Outcome.CHANGED})


@dataclass(slots=True)
class Left:
    """How a run left a job.

    Attributes:
        outcome: How it ended; None if it did not.
        phase: The phase that was under way when the run was cut short; None if none was.
        attempt: Number of the attempt that is under way, or comes next.
        lost: Runs in a row that were killed while it ran, this one not counted.
        entered: Its run phase has been entered.
        value: Digest of the value that it made, or empty.
        not_before: When its next attempt may begin, in seconds since the epoch; 0 if at once.
    """

    outcome: Outcome | None = None
    phase: Phase | None = None
    attempt: int = 1
    lost: int = 0
    entered: bool = False
    value: str = ""
    not_before: float = 0.0

    @property
    def ran(self) -> bool:
        """Whether the run was cut short after its run phase had begun and before it came to an end."""
        under_way = self.outcome is None and self.phase not in (None, Phase.CHECK)
        return under_way and (self.entered or self.phase is Phase.RUN)


def how_left(plan: Plan, entries: Iterable[Entry]) -> dict[str, Left]:
    """Return how a run left each job of its plan; one that was rolled back is as if it had not begun."""
    left = {id: Left() for id in plan.graph.jobs}
    for id, decision in plan.decisions.items():
        before = decision.resumed
        if before is not None:
            left[id].outcome, left[id].value = before.outcome, before.value
            left[id].attempt, left[id].lost = before.attempt, before.lost
            left[id].entered = before.entered or before.outcome is Outcome.CHANGED
            left[id].not_before = before.not_before
    for entry in entries:
        event = entry.event
        match event:
            case PhaseStarted():
                left[event.job] = _started(left[event.job], event)
            case PhaseEnded() if event.phase not in TAIL:
                _ended(left[event.job], event)
            case AttemptSuspended():
                left[event.job].phase = None
            case RetryPlanned():
                job = left[event.job]
                job.attempt, job.not_before, job.phase = event.attempt + 1, entry.at + event.delay, None
            case BackoffEnded():
                left[event.job].not_before = 0.0
            case JobEnded():
                left[event.job].outcome = event.outcome
    return left


def _started(left: Left, event: PhaseStarted) -> Left:
    if event.phase not in TAIL:
        left.attempt, left.phase, left.not_before = event.attempt, event.phase, 0.0
    return Left() if event.phase is Phase.ROLLBACK and left.outcome in KEPT else left


def _ended(left: Left, event: PhaseEnded) -> None:
    """Take in the end of a phase; a run phase without its recheck has come to nothing yet."""
    left.phase = None if event.phase is Phase.CHECK else event.phase
    if event.phase is Phase.DESCRIBE:
        left.value = event.value
    elif event.phase is Phase.RUN and event.verdict in NOT_ENTERED:
        left.phase = None
    elif event.phase is Phase.RUN:
        left.entered, left.value = True, event.value


def resume(
    graph: Graph,
    plan: Plan,
    left: Mapping[str, Left],
    run: str,
    *,
    stored: Collection[str] = (),
    owed: Collection[str] = (),
) -> dict[str, Resumed]:
    """Return where a run that goes on takes up jobs; those that begin anew are not in it.

    A job that ended well counts if its definition is the same, everything that it needs counts too, and what
    those that do not count want of it is still there: its value, what it holds open, what its cleanup took
    away.

    Args:
        graph: The jobs as they are now.
        plan: What the run did that is gone on with.
        left: How it left them.
        run: Its id.
        stored: Ids of jobs whose values can be had though that run did not make them.
        owed: Ids of jobs whose cleanup is still owed.
    """
    same = [id for id in graph.jobs if id in left and graph[id].definition == plan.graph[id].definition]
    kept = {id for id in same if left[id].outcome in KEPT and _counts(graph, id, left[id])}
    keeping = _Keeping(graph, left, kept, stored, owed)
    keeping.settle()
    found = {}
    for id in same:
        if id in kept:
            found[id] = Resumed(run=run, outcome=left[id].outcome, value=left[id].value)
        elif left[id].outcome is None:
            found[id] = _goes_on(left[id], run)
    return {id: one for id, one in found.items() if one != Resumed(run=run)}


def _counts(graph: Graph, id: str, left: Left) -> bool:
    """Tell whether an end is more than that nobody wanted the job."""
    return graph[id].has_check or left.entered


def _goes_on(left: Left, run: str) -> Resumed:
    """Return where an attempt is taken up: one whose run phase was under way is lost, another one follows."""
    found = Resumed(
        run=run,
        attempt=left.attempt,
        lost=left.lost,
        not_before=left.not_before,
        entered=left.entered or left.phase is Phase.RUN,
    )
    return replace(found, attempt=left.attempt + 1, lost=left.lost + 1) if left.ran else found


class _Keeping:
    """Takes out of `kept` what cannot be kept, until nothing is left to take out."""

    def __init__(
        self,
        graph: Graph,
        left: Mapping[str, Left],
        kept: set[str],
        stored: Collection[str],
        owed: Collection[str],
    ) -> None:
        self._graph, self._left, self._kept = graph, left, kept
        self._stored, self._owed = stored, owed

    def settle(self) -> None:
        todo = list(self._kept)
        while todo:
            id = todo.pop()
            if id in self._kept and not (self._has_upstream(id) and self._is_of_use(id)):
                self._kept.remove(id)
                todo += [other for other, _ in self._graph.downstream(id) if other in self._kept]
                todo += [edge.upstream for edge in self._graph.upstream(id) if edge.upstream in self._kept]

    def _has_upstream(self, id: str) -> bool:
        edges = (edge for edge in self._graph.upstream(id) if edge.kind is not EdgeKind.AFTER)
        return all(edge.upstream in self._kept or self._was_not_wanted(edge.upstream) for edge in edges)

    def _was_not_wanted(self, id: str) -> bool:
        """Tell whether a job runs only if somebody wants its value, and nobody has."""
        left = self._left.get(id)
        return left is not None and not (self._graph[id].has_check or left.entered or left.ran)

    def _is_of_use(self, id: str) -> bool:
        """Tell whether those that will run get of a job what they want."""
        job, left = self._graph[id], self._left[id]
        wants = [kind for other, kind in self._graph.downstream(id) if other not in self._kept]
        if job.is_generator and left.entered and any(uses(kind, job) for kind in wants):
            return False
        cleaned = job.has_cleanup and left.entered and id not in self._owed
        if cleaned and any(kind is not EdgeKind.AFTER for kind in wants):
            return False
        makes_value = job.has_run or job.has_describe
        has_value = bool(left.value) or (not left.entered and id in self._stored)
        return has_value or not makes_value or EdgeKind.VALUE not in wants
