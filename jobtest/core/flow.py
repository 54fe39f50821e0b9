"""Who may go on: which jobs are ready, which wait for which, which idle, rest, or are doomed.

The table of states stands in `jobtest.core.live`. What is to be done about a job that has come to a decision
goes to `decided`, from where the scheduler takes it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from jobtest.core.events import AttemptSuspended, Event, JobEnded, PhaseEnded
from jobtest.core.inputs import Inputs
from jobtest.core.live import Live, State
from jobtest.core.model import Command, EdgeKind, Kind, Outcome, Phase, Take, Verdict
from jobtest.core.planner import Plan
from jobtest.core.policies import End, Progress, doomed_end, dooms, held, may_take_back, uses
from jobtest.core.queue import ReadyQueue
from jobtest.core.tail import Tail

__all__ = ["GOOD", "Flow", "ending", "refusal"]

GOOD = frozenset({Outcome.UNCHANGED, Outcome.CHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN})

UPDATED = frozenset({Outcome.CHANGED, Outcome.WOULD_RUN})
"""Ends whose reason says that the job was not made, but brought up to date."""


class Flow:
    """The jobs of a run and what each waits for.

    Attributes:
        live: The jobs, by id.
        queue: Those that are ready.
        backoff: Those that wait for their next attempt: when it is due, and which.
        decided: What is to be done about jobs that have come to a decision, in the order in which they did.
        inputs: The values that jobs take.
        tail: What comes after jobs have ended.

    Args:
        plan: What is to be done.
        queue: For those that are ready.
    """

    def __init__(self, plan: Plan, queue: ReadyQueue) -> None:
        self.plan, self.queue = plan, queue
        self.backoff: list[tuple[float, str]] = []
        self.decided: dict[str, Event] = {}
        self.inputs = Inputs(plan)
        self.tail = Tail(plan.owed, first=plan.owed_first, undo=plan.undo, whole_run=plan.rolls_back)
        self._idlers: list[Live] = []
        self.live = {id: self._new(id, at) for at, id in enumerate(plan.graph.jobs)}

    def _new(self, id: str, position: int) -> Live:
        graph, decision = self.plan.graph, self.plan.decisions[id]
        down = graph.downstream(id)
        takers = sum(1 for _, kind in down if uses(kind, graph[id]))
        wanted = any(kind is EdgeKind.VALUE for _, kind in down)
        progress = Progress(must_run=decision.must_run, wanted=wanted, has_value=self.inputs.stored(id))
        live = Live(graph[id], decision, position, len(graph.upstream(id)), takers, progress)
        past, left = self.plan.pasts.get(id), decision.resumed
        progress.exists = past is not None and past.exists
        if self.plan.command is Command.DESCRIBE:
            progress.pending, progress.reason = Outcome.UNCHANGED, decision.reason
        if left is not None:
            progress.attempt, progress.entered = left.attempt, left.entered
            if left.entered and live.job.has_check:
                progress.reason = f"done by attempt {left.attempt - 1}, which was cut short in run {left.run}"
            live.not_before = left.not_before
            progress.has_value = progress.has_value and not left.entered
        return live

    def begin(self) -> None:
        """Decide about those that end before anything runs, and let go on those that wait for nobody."""
        for id, live in self.live.items():
            ended = _ended_before(live)
            if ended is not None:
                live.state = State.DECIDING
                self.decided[id] = ended
        for live in [one for one in self.live.values() if not one.missing and one.state is State.WAITING]:
            if self._begins_idle(live):
                self.satisfy(live)
        self.let_go_if_stuck()

    def takes(self, live: Live) -> tuple[Take, ...]:
        """Return the values that a job takes and that this run makes; if it does not, they are stored."""
        return () if self.plan.verb else live.job.takes

    def get_ready(self, live: Live) -> None:
        """Queue up, or first have the values made that its next attempt is sure to want."""
        job = live.job
        sure = not job.has_check or bool(live.progress.must_run)
        takes = [take for take in self.takes(live) if sure or take.parameter in job.early]
        waits_for = self.unmade(take.upstream for take in takes)
        if waits_for:
            self.wait_for(live, waits_for)
        elif live.not_before:
            live.state = State.BACKOFF
            heapq.heappush(self.backoff, (live.not_before, job.id))
            live.not_before = 0.0
        else:
            live.state = State.READY
            self.queue.join(job, live.decision.rank, live.position)

    def unmade(self, taken: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the jobs among those taken that have not ended; those that take no part are stored."""
        unmade = (id for ids in taken for id in ids if id in self.live)
        return tuple(id for id in dict.fromkeys(unmade) if self.live[id].state is not State.ENDED)

    def wait_for(self, live: Live, upstream: Iterable[str]) -> None:
        """Have values made, and wait for the jobs that make them, and for those that make theirs."""
        todo = [(live, tuple(upstream))]
        while todo:
            waiting, ids = todo.pop()
            makers = [self.live[id] for id in ids if self.live[id].state is not State.ENDED]
            waiting.state, waiting.pending = State.WAITING, {maker.job.id for maker in makers}
            if not makers:
                self.get_ready(waiting)
            for maker in makers:
                if maker.state is State.IDLE:
                    self._demand(maker, waiting)
                    todo.append((maker, self.unmade(take.upstream for take in maker.job.takes)))

    def _demand(self, maker: Live, consumer: Live) -> None:
        maker.state = State.WAITING
        if maker.job.has_check:
            maker.progress.must_run = f"{consumer.job.label} takes its value, and none is known"
        else:
            maker.progress.reason = f"no check; {consumer.job.label} takes its value"

    def rest_for(self, live: Live, event: PhaseEnded) -> AttemptSuspended | None:
        """Let a job whose check holds wait for values that it took when it last ended well.

        They may be made for others, and then they may have changed. Who may yet have to run for other reasons
        does not rest: what it takes must not end before that is known.
        """
        progress = live.progress
        holds = event.phase is Phase.CHECK and event.verdict is Verdict.OK and live.job.has_run
        if not holds or progress.must_run or self.plan.verb:
            return None
        self._see_inputs(live)
        if progress.must_run or live.rested or (progress.wanted and not progress.has_value):
            return None
        unmade = self.unmade([tuple(self.inputs.recorded(event.job))])
        return AttemptSuspended(event.job, event.attempt, unmade, rests=True) if unmade else None

    def _see_inputs(self, live: Live) -> None:
        changed = self.inputs.changed(live.job.id)
        if changed:
            live.progress.must_run = f"input {self._label(changed)} changed"

    def _label(self, id: str) -> str:
        return self.plan.graph[id].label if id in self.plan.graph else id

    def rest(self, live: Live, upstream: Iterable[str]) -> None:
        """Let a job whose check holds wait for the end of upstream jobs without wanting their values."""
        live.state, live.rested = State.RESTING, True
        live.pending = {id for id in upstream if self.live[id].state is not State.ENDED}
        self._idlers.append(live)
        self._rest_on(live)

    def _rest_on(self, live: Live) -> None:
        """Go on if an input has changed or none is to come; the last one need not be made for this job."""
        if not live.pending or self.inputs.changed(live.job.id):
            self._wake(live)
        elif len(live.pending) == 1:
            (last,) = live.pending
            self.live[last].resting += 1
            self._end_if_unwanted(self.live[last])

    def _wake(self, live: Live) -> None:
        """Let a resting job go on: run because an input changed, or end as its check said."""
        progress = live.progress
        self.unrest(live)
        self._see_inputs(live)
        if progress.must_run or live.job.has_describe:
            self.get_ready(live)
        elif progress.wanted and not progress.has_value:
            self.idle(live)
        else:
            live.state = State.DECIDING
            self.decided[live.job.id] = ending(live, held(progress))

    def unrest(self, live: Live) -> None:
        """Count a job as one that may want values again."""
        if live.state is State.RESTING:
            if live.pending and len(live.pending) == 1:
                (last,) = live.pending
                self.live[last].resting -= 1
            live.pending = None

    def _end_if_unwanted(self, live: Live) -> None:
        if live.state is State.IDLE and live.takers <= live.resting:
            self._end_idle(live)

    def idle(self, live: Live) -> None:
        """Let a job wait until somebody wants its value or nobody can any more."""
        live.state = State.IDLE
        self._idlers.append(live)
        self._end_if_unwanted(live)

    def _end_idle(self, live: Live) -> None:
        live.state = State.DECIDING
        not_needed = End(Outcome.UNCHANGED, "not needed")
        end = not_needed if live.phase is None else held(live.progress)
        self.decided[live.job.id] = ending(live, end)

    def satisfy(self, live: Live) -> None:
        """Count this job as satisfied for those that wait for it; so on for those that idle then."""
        satisfied = [live]
        while satisfied:
            upstream = satisfied.pop()
            values = not upstream.counted
            rest = not upstream.passed and (upstream.state is not State.IDLE or upstream.released)
            upstream.counted, upstream.passed = True, upstream.passed or rest
            for id, kind in self.plan.graph.downstream(upstream.job.id):
                if (values if kind is EdgeKind.VALUE else rest) and self._one_less(self.live[id]):
                    satisfied.append(self.live[id])

    def let_go_if_stuck(self) -> None:
        """When nothing else can go on, let go on who rests, and who needs an idle job: the check held."""
        if not self._idlers:
            return
        going_on = self.tail.first or self.decided or self.backoff or not self.queue.empty
        if going_on or self.tail.next(at_the_end=False) is not None:
            return
        resting = [one for one in self._idlers if one.state is State.RESTING]
        if resting:
            self._idlers = [one for one in self._idlers if one.state is not State.RESTING]
            for live in resting:
                self._wake(live)
            return
        idle = [one for one in self._idlers if one.state is State.IDLE]
        self._idlers = []
        for live in idle:
            live.released = True
            self.satisfy(live)

    def _one_less(self, live: Live) -> bool:
        """Count one upstream edge as satisfied; tell whether the job satisfies others, by being idle."""
        live.missing -= 1
        return not live.missing and live.state is State.WAITING and self._begins_idle(live)

    def _begins_idle(self, live: Live) -> bool:
        if live.decision.needed:
            self.get_ready(live)
        else:
            self.idle(live)
        return not live.decision.needed

    def tell_downstream(self, live: Live, event: JobEnded) -> None:
        """Block those that need what did not come; let go on those that only waited for it."""
        good = event.outcome in GOOD
        for id, kind in self.plan.graph.downstream(event.job):
            other = self.live[id]
            if not good:
                if dooms(live.job, event.outcome, kind, has_value=live.progress.has_value):
                    self._doom(live, event, other)
                elif not (live.counted if kind is EdgeKind.VALUE else live.passed) and self._one_less(other):
                    self.satisfy(other)
            if other.pending and event.job in other.pending:
                other.pending.remove(event.job)
                if not other.pending and other.state is State.WAITING:
                    self.get_ready(other)
                elif other.state is State.RESTING:
                    self._rest_on(other)

    def _doom(self, live: Live, event: JobEnded, other: Live) -> None:
        """Let a job end for the sake of an upstream one, and at once all that need it."""
        todo = [(live.job, event, other)]
        while todo:
            upstream, ended, other = todo.pop()
            if other.state is State.ENDED or other.doomed is not None or other.decision.skip:
                continue
            other.doomed = doomed_end(upstream, ended, other.job.id, reverse=self.plan.reverse)
            if other.state is not State.ACTIVE and self._end_doomed(other, other.doomed):
                needed_by = self.plan.graph.downstream(other.job.id)
                below = [self.live[id] for id, kind in needed_by if kind is not EdgeKind.AFTER]
                todo += [(other.job, other.doomed, one) for one in below]

    def _end_doomed(self, live: Live, end: JobEnded) -> bool:
        """End a job for the sake of an upstream one, unless it has just come to its own end."""
        id = live.job.id
        if not may_take_back(self.decided.get(id)):
            return False
        if live.state is State.BACKOFF:
            self.backoff = [(due, job) for due, job in self.backoff if job != id]
            heapq.heapify(self.backoff)
        self.unrest(live)
        self.queue.leave(id)
        live.state = State.DECIDING
        self.decided[id] = end
        return True

    def tell_upstream(self, live: Live) -> None:
        """Tell the jobs whose values it takes that it wants none any more."""
        for edge in self.plan.graph.upstream(live.job.id):
            upstream = self.live[edge.upstream]
            if uses(edge.kind, upstream.job):
                upstream.takers -= 1
                self._end_if_unwanted(upstream)
                self.close_if_unused(upstream)

    def close_if_unused(self, live: Live) -> None:
        """Let what a job that has ended holds open be closed, if nobody uses it any more."""
        if live.holds and live.state is State.ENDED and not live.takers:
            live.holds = False
            self.tail.close(live.job.id, live.turn)


def ending(live: Live, end: End) -> JobEnded:
    """Return the end of a job, with a note if an earlier run was killed while it ran."""
    decision, reason = live.decision, end.reason
    notes, left = (*decision.notes, *end.notes), decision.resumed
    if live.job.calls == "update" and end.outcome in UPDATED:
        reason = f"{reason} (update)"
    if left is not None and left.lost and end.outcome is not Outcome.CANCELLED:
        again = "; it ran again" if not live.job.has_check else ""
        notes = (*notes, f"run {left.run} was killed while it ran{again}")
    return JobEnded(live.job.id, end.outcome, reason, end.kind, (), notes)


def _ended_before(live: Live) -> JobEnded | None:
    """Return how a job ends before anything runs, or None."""
    id, decision = live.job.id, live.decision
    if decision.skip:
        return JobEnded(id, Outcome.SKIPPED, decision.skip, None, decision.causes)
    if decision.resumed is not None and decision.resumed.outcome is not None:
        return JobEnded(id, decision.resumed.outcome, decision.reason, notes=decision.notes)
    if decision.refused and not live.job.has_check:
        return refusal(live)
    return None


def refusal(live: Live) -> JobEnded:
    """Return the end of a job that must not enter its run phase."""
    return JobEnded(live.job.id, Outcome.FAILED, live.decision.refused, Kind.CRASHED)
