"""What now: a state machine that only events change, and that answers what is to be done without changing.

`apply(event, at)` is the only way to change it, `command(now)` asks. Whoever carries out a command does so by
first applying (and keeping) the event that says so; the same events in the same order give the same answers.

The states of a job stand in `jobtest.core.live`; an event that they do not allow raises `IllegalTransition`.

After a job has ended, what it holds open is closed when its last consumer has ended and holds nothing open
itself; a close takes a place like an attempt. After all jobs have ended, the cleanups that are owed run. Both
go last entered first, one at a time.

A failed upstream job ends those that need it, unless their run phase is under way: that comes to its own end,
but no further attempt begins.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping

from jobtest.core.errors import IllegalTransition
from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunStopped,
)
from jobtest.core.live import Live, State
from jobtest.core.model import EdgeKind, OnFailure, Outcome, Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.policies import (
    Again,
    End,
    Go,
    Hold,
    Progress,
    Step,
    doomed_end,
    dooms,
    first_phase,
    held,
    may_take_back,
    next_step,
    retry_delay,
    uses,
)
from jobtest.core.queue import ReadyQueue
from jobtest.core.tail import Tail

__all__ = ["Scheduler", "State"]

GOOD = frozenset({Outcome.UNCHANGED, Outcome.CHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN})
NOT_ENTERED = frozenset({Verdict.SETUP_ERROR, Verdict.WOULD_RUN, Verdict.UNKNOWN, Verdict.DRIFTED})


def no_jitter(_: str, __: int) -> float:
    """Return the middle of the range."""
    return 0.5


class Scheduler:
    """Decides what happens now.

    Args:
        plan: What is to be done.
        capacity: Attempts that may be under way at once, >= 1.
        resources: Amounts that there are of each named resource.
        retry_limit: Retries that the whole run may spend, or None.
        chance: From job and attempt to a number in [0, 1), for jitter.

    Raises:
        ProjectError: a job asks for more of a resource than there is.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        capacity: int = 1,
        resources: Mapping[str, int] | None = None,
        retry_limit: int | None = None,
        chance: Callable[[str, int], float] = no_jitter,
    ) -> None:
        self.plan = plan
        self.stopped = ""
        self._retries_left = retry_limit
        self._chance = chance
        self._queue = ReadyQueue(capacity, resources or {})
        self._queue.refuse(plan.graph)
        self._backoff: list[tuple[float, str]] = []
        self._decided: dict[str, Event] = {}
        self._escalated: RunStopped | None = None
        self._turns = 0
        self._idlers: list[Live] = []
        self._tail = Tail()
        self._live = {id: self._new(id, at) for at, id in enumerate(plan.graph.jobs)}
        self._unended = len(self._live)
        self._begin()

    @property
    def done(self) -> bool:
        """Whether every job has ended and nothing is owed."""
        return not (self._unended or self._tail)

    def state(self, job: str) -> State:
        """Return where a job is."""
        return self._live[job].state

    def outcome(self, job: str) -> Outcome | None:
        """Return how a job ended, or None."""
        return self._live[job].outcome

    def command(self, now: float) -> Event | None:
        """Return the event that is to be brought about next; None if there is only waiting to do.

        Decisions come first, in the order in which they fell, then backoffs that are over, then what closes,
        then the best of those that are ready, and at the very end the cleanups.

        Args:
            now: Seconds on the clock of the entries.
        """
        if self._escalated:
            return self._escalated
        for decided in self._decided.values():
            return decided
        if self._backoff and self._backoff[0][0] <= now:
            return BackoffEnded(self._backoff[0][1])
        tail = self._next_tail()
        if tail is not None:
            return tail
        best = self._queue.best()
        if best is None:
            return None
        live = self._live[best[0]]
        return PhaseStarted(best[0], live.progress.attempt, first_phase(live.job), best[1])

    def wakes_at(self) -> float | None:
        """Return when the next backoff is over, on the clock of the entries; None if none is under way."""
        return self._backoff[0][0] if self._backoff else None

    def _next_tail(self) -> PhaseStarted | None:
        due = self._tail.next(at_the_end=not self._unended) if self._tail and self._queue.free else None
        return PhaseStarted(due[0], self._live[due[0]].progress.attempt, due[1]) if due else None

    def apply(self, event: Event, at: float) -> None:
        """Take in what happened.

        Args:
            event: What happened.
            at: When, in seconds on the clock of the entries.

        Raises:
            IllegalTransition: the state of the job does not allow it.
        """
        self._take_in(event, at)
        if self._idlers:
            self._let_go_if_stuck()

    def _take_in(self, event: Event, at: float) -> None:
        match event:
            case PhaseStarted():
                self._phase_started(self._of(event.job, event), event)
            case PhaseEnded():
                self._phase_ended(self._of(event.job, event), event)
            case JobEnded():
                self._job_ended(self._decided_for(event.job, event), event)
            case AttemptSuspended():
                self._suspended(self._decided_for(event.job, event), event)
            case RetryPlanned():
                self._retry_planned(self._decided_for(event.job, event), event, at)
            case BackoffEnded():
                self._backoff_ended(self._of(event.job, event), event)
            case RunStopped():
                self._stop(event.reason)

    def _of(self, job: str, event: Event) -> Live:
        live = self._live.get(job)
        if live is None:
            raise IllegalTransition(job, "not in the plan", type(event).__name__)
        return live

    def _decided_for(self, job: str, event: Event) -> Live:
        live = self._of(job, event)
        if live.state is not State.DECIDING or self._decided.get(job) != event:
            raise IllegalTransition(job, live.state.value, type(event).__name__)
        del self._decided[job]
        return live

    def _phase_started(self, live: Live, event: PhaseStarted) -> None:
        if event.phase in (Phase.CLOSE, Phase.CLEANUP):
            self._tail_started(live, event)
            return
        if live.state is State.READY and self._queue.start(event.job):
            pass
        elif live.state is State.DECIDING and self._decided.get(event.job) == event:
            del self._decided[event.job]
        else:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} started")
        live.state, live.phase = State.ACTIVE, event.phase
        if event.phase is Phase.RUN:
            live.progress.reason = live.progress.reason or live.decision.reason
            if not live.progress.entered:
                self._turns += 1
                live.turn = self._turns

    def _phase_ended(self, live: Live, event: PhaseEnded) -> None:
        if event.phase in (Phase.CLOSE, Phase.CLEANUP):
            self._tail_ended(live, event)
            return
        attempt = live.progress.attempt
        if (live.state, live.phase, attempt) != (State.ACTIVE, event.phase, event.attempt):
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        live.state = State.DECIDING
        live.progress.has_value = live.progress.has_value or event.has_value
        if event.phase is Phase.RUN:
            self._run_ended(live, event)
        decided = self._decision(live, next_step(live.job, live.progress, event))
        doomed = live.doomed if event.phase is Phase.CHECK or may_take_back(decided) else None
        self._decided[event.job] = doomed or decided

    def _run_ended(self, live: Live, event: PhaseEnded) -> None:
        if event.verdict is Verdict.RAISED:
            live.progress.run_failure = event.failure
        if event.verdict in NOT_ENTERED:
            return
        live.holds = live.job.is_generator and event.verdict is Verdict.OK
        if live.job.has_cleanup and not live.progress.entered:
            self._tail.owe(live.job.id, live.turn)
        live.progress.entered = True

    def _decision(self, live: Live, step: Step) -> Event:
        id, progress = live.job.id, live.progress
        match step:
            case Go():
                return self._go(live, step)
            case Hold():
                return AttemptSuspended(id, progress.attempt, ())
            case Again():
                delay = self._delay(live, step)
                if delay is None:
                    return _end(id, step.otherwise)
                if self._retries_left is not None:
                    self._retries_left -= 1
                return RetryPlanned(id, progress.attempt, delay)
            case _:
                return _end(id, step)

    def _go(self, live: Live, step: Go) -> Event:
        id, progress = live.job.id, live.progress
        if step.phase is Phase.RUN:
            progress.reason = step.reason
            if self.stopped:
                return JobEnded(id, Outcome.CANCELLED, self.stopped)
            waits_for = self._unmade(take.upstream for take in live.job.takes)
            if waits_for:
                return AttemptSuspended(id, progress.attempt, waits_for)
        elif step.phase is Phase.DESCRIBE:
            progress.pending = Outcome.CHANGED if progress.entered else Outcome.UNCHANGED
            progress.reason = step.reason
        return PhaseStarted(id, progress.attempt, step.phase)

    def _delay(self, live: Live, step: Again) -> float | None:
        if self.stopped or self._retries_left == 0:
            return None
        attempt = live.progress.attempt
        return retry_delay(live.job.retry, attempt, step.failure, self._chance(live.job.id, attempt))

    def _job_ended(self, live: Live, event: JobEnded) -> None:
        live.state, live.outcome = State.ENDED, event.outcome
        self._unended -= 1
        self._queue.leave(event.job)
        if event.outcome in GOOD:
            self._satisfy(live)
        self._tell_downstream(live, event)
        if not live.holds:
            self._tell_upstream(live)
        self._close_if_unused(live)
        escalates = event.outcome is Outcome.FAILED and live.job.on_failure is OnFailure.ESCALATE
        if escalates and self._unended and not self.stopped:
            self._escalated = RunStopped(f"job {live.job.label} failed and escalates")

    def _suspended(self, live: Live, event: AttemptSuspended) -> None:
        self._queue.leave(event.job)
        if event.waits_for:
            self._wait_for(live, event.waits_for)
        else:
            self._idle(live)
            self._satisfy(live)

    def _retry_planned(self, live: Live, event: RetryPlanned, at: float) -> None:
        self._queue.leave(event.job)
        progress = live.progress
        progress.attempt, progress.run_failure, progress.has_value = progress.attempt + 1, None, False
        live.state, live.holds = State.BACKOFF, False
        heapq.heappush(self._backoff, (at + event.delay, event.job))

    def _backoff_ended(self, live: Live, event: BackoffEnded) -> None:
        if live.state is not State.BACKOFF or self._backoff[0][1] != event.job:
            raise IllegalTransition(event.job, live.state.value, "BackoffEnded")
        heapq.heappop(self._backoff)
        self._get_ready(live)

    def _stop(self, reason: str) -> None:
        self._escalated = None
        if self.stopped:
            return
        self.stopped = reason
        self._queue.clear()
        self._backoff.clear()
        for id, live in self._live.items():
            if live.state not in (State.ACTIVE, State.ENDED) and may_take_back(self._decided.get(id)):
                holds = live.state is State.IDLE and live.phase is not None
                live.state = State.DECIDING
                self._decided[id] = _end(id, held(live.progress) if holds else End(Outcome.CANCELLED, reason))

    # --- readiness ---

    def _new(self, id: str, position: int) -> Live:
        graph, decision = self.plan.graph, self.plan.decisions[id]
        down = graph.downstream(id)
        takers = sum(1 for _, kind in down if uses(kind, graph[id]))
        progress = Progress(
            must_run=decision.must_run, wanted=any(kind is EdgeKind.VALUE for _, kind in down)
        )
        return Live(graph[id], decision, position, len(graph.upstream(id)), takers, progress)

    def _begin(self) -> None:
        for id, live in self._live.items():
            if live.decision.skip:
                live.state = State.DECIDING
                decision = live.decision
                self._decided[id] = JobEnded(id, Outcome.SKIPPED, decision.skip, None, decision.causes)
        for live in [one for one in self._live.values() if not one.missing and one.state is State.WAITING]:
            if self._begins_idle(live):
                self._satisfy(live)
        self._let_go_if_stuck()

    def _get_ready(self, live: Live) -> None:
        """Queue up, or first have the values made that its next attempt is sure to want."""
        job = live.job
        sure = not job.has_check or bool(live.progress.must_run)
        waits_for = self._unmade(take.upstream for take in job.takes if sure or take.parameter in job.early)
        if waits_for:
            self._wait_for(live, waits_for)
        else:
            live.state = State.READY
            self._queue.join(job, live.decision.rank, live.position)

    def _unmade(self, taken: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the jobs among those taken that have not ended."""
        unmade = (id for ids in taken for id in ids if self._live[id].state is not State.ENDED)
        return tuple(dict.fromkeys(unmade))

    def _wait_for(self, live: Live, upstream: Iterable[str]) -> None:
        """Have values made, and wait for the jobs that make them, and for those that make theirs."""
        todo = [(live, tuple(upstream))]
        while todo:
            waiting, ids = todo.pop()
            makers = [self._live[id] for id in ids if self._live[id].state is not State.ENDED]
            waiting.state, waiting.pending = State.WAITING, {maker.job.id for maker in makers}
            if not makers:
                self._get_ready(waiting)
            for maker in makers:
                if maker.state is State.IDLE:
                    self._demand(maker, waiting)
                    todo.append((maker, self._unmade(take.upstream for take in maker.job.takes)))

    def _demand(self, maker: Live, consumer: Live) -> None:
        maker.state = State.WAITING
        if maker.job.has_check:
            maker.progress.must_run = f"{consumer.job.label} takes its value, and none is known"
        else:
            maker.progress.reason = f"no check; {consumer.job.label} takes its value"

    def _idle(self, live: Live) -> None:
        live.state = State.IDLE
        self._idlers.append(live)
        if not live.takers:
            self._end_idle(live)

    def _end_idle(self, live: Live) -> None:
        live.state = State.DECIDING
        not_needed = End(Outcome.UNCHANGED, "not needed")
        end = not_needed if live.phase is None else held(live.progress)
        self._decided[live.job.id] = _end(live.job.id, end)

    def _satisfy(self, live: Live) -> None:
        """Count this job as satisfied for those that wait for it; so on for those that idle then."""
        satisfied = [live]
        while satisfied:
            upstream = satisfied.pop()
            values = not upstream.counted
            rest = not upstream.passed and (upstream.state is not State.IDLE or upstream.released)
            upstream.counted, upstream.passed = True, upstream.passed or rest
            for id, kind in self.plan.graph.downstream(upstream.job.id):
                if (values if kind is EdgeKind.VALUE else rest) and self._one_less(self._live[id]):
                    satisfied.append(self._live[id])

    def _let_go_if_stuck(self) -> None:
        """When nothing else can go on, let those go on that need an idle job: its check held."""
        going_on = self._decided or self._backoff or not self._queue.empty
        if going_on or self._tail.next(at_the_end=False) is not None:
            return
        idle = [one for one in self._idlers if one.state is State.IDLE]
        self._idlers = []
        for live in idle:
            live.released = True
            self._satisfy(live)

    def _one_less(self, live: Live) -> bool:
        """Count one upstream edge as satisfied; tell whether the job satisfies others, by being idle."""
        live.missing -= 1
        return not live.missing and live.state is State.WAITING and self._begins_idle(live)

    def _begins_idle(self, live: Live) -> bool:
        if live.decision.needed:
            self._get_ready(live)
        else:
            self._idle(live)
        return not live.decision.needed

    def _tell_downstream(self, live: Live, event: JobEnded) -> None:
        """Block those that need what did not come; let go on those that only waited for it."""
        good = event.outcome in GOOD
        for id, kind in self.plan.graph.downstream(event.job):
            other = self._live[id]
            if not good:
                if dooms(live.job, event.outcome, kind, has_value=live.progress.has_value):
                    self._doom(live, event, other)
                elif not (live.counted if kind is EdgeKind.VALUE else live.passed) and self._one_less(other):
                    self._satisfy(other)
            if other.pending and event.job in other.pending:
                other.pending.remove(event.job)
                if not other.pending and other.state is State.WAITING:
                    self._get_ready(other)

    def _doom(self, live: Live, event: JobEnded, other: Live) -> None:
        """Let a job end for the sake of an upstream one, and at once all that need it."""
        todo = [(live.job, event, other)]
        while todo:
            upstream, ended, other = todo.pop()
            if other.state is State.ENDED or other.doomed is not None or other.decision.skip:
                continue
            other.doomed = doomed_end(upstream, ended, other.job.id)
            if other.state is not State.ACTIVE and self._end_doomed(other, other.doomed):
                needed_by = self.plan.graph.downstream(other.job.id)
                below = [self._live[id] for id, kind in needed_by if kind is not EdgeKind.AFTER]
                todo += [(other.job, other.doomed, one) for one in below]

    def _end_doomed(self, live: Live, end: JobEnded) -> bool:
        """End a job for the sake of an upstream one, unless it has just come to its own end."""
        id = live.job.id
        if not may_take_back(self._decided.get(id)):
            return False
        if live.state is State.BACKOFF:
            self._backoff = [(due, job) for due, job in self._backoff if job != id]
            heapq.heapify(self._backoff)
        self._queue.leave(id)
        live.state = State.DECIDING
        self._decided[id] = end
        return True

    def _tell_upstream(self, live: Live) -> None:
        """Tell the jobs whose values it takes that it wants none any more."""
        for edge in self.plan.graph.upstream(live.job.id):
            upstream = self._live[edge.upstream]
            if uses(edge.kind, upstream.job):
                upstream.takers -= 1
                if not upstream.takers and upstream.state is State.IDLE:
                    self._end_idle(upstream)
                self._close_if_unused(upstream)

    # --- what comes after a job has ended ---

    def _close_if_unused(self, live: Live) -> None:
        if live.holds and live.state is State.ENDED and not live.takers:
            live.holds = False
            self._tail.close(live.job.id, live.turn)

    def _tail_started(self, live: Live, event: PhaseStarted) -> None:
        if self._next_tail() != event:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} started")
        self._tail.start()
        self._queue.enter(event.job)

    def _tail_ended(self, live: Live, event: PhaseEnded) -> None:
        if not self._tail.end(event.job, event.phase):
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        self._queue.leave(event.job)
        if event.phase is Phase.CLOSE:
            self._tell_upstream(live)


def _end(job: str, end: End) -> JobEnded:
    return JobEnded(job, end.outcome, end.reason, end.kind, (), end.notes)
