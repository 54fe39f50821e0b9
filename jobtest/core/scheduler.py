"""What now: a state machine that only events change, and that answers what is to be done without changing.

`apply(event, at)` is the only way to change it, `command(now)` asks. Whoever carries out a command does so by
first applying (and keeping) the event that says so; the same events in the same order give the same answers.

The states of a job stand in `jobtest.core.live`; an event that they do not allow raises `IllegalTransition`.

What an earlier run left comes first: jobs that ended there and count end at once, rollbacks and cleanups that
are to run before anything else do so, delays that are not over go on.

After a job has ended, what it holds open is closed when its last consumer has ended and holds nothing open
itself; a close takes a place like an attempt. So does a rollback, which comes as soon as its job has failed;
if the whole run is rolled back, they come when all jobs have ended. Then the cleanups that are owed run. All
of these go last entered first, one at a time.

A failed upstream job ends those that need it, unless their run phase is under way: that comes to its own end,
but no further attempt begins.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from jobtest.core.errors import IllegalTransition
from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    BodyEnded,
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunStopped,
)
from jobtest.core.flow import GOOD, Flow, ending, refusal
from jobtest.core.inputs import Inputs
from jobtest.core.live import Live, State
from jobtest.core.model import NOT_ENTERED, TAIL, OnFailure, Outcome, Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.policies import (
    Again,
    End,
    Go,
    Hold,
    Step,
    first_phase,
    held,
    may_take_back,
    next_step,
    retry_delay,
)
from jobtest.core.queue import ReadyQueue
from jobtest.core.rollbacks import Rollbacks

__all__ = ["Scheduler", "State"]


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
        queue = ReadyQueue(capacity, resources or {})
        queue.refuse(plan.graph)
        self._flow = Flow(plan, queue)
        self._rollbacks = Rollbacks(plan)
        self._escalated: RunStopped | None = None
        self._turns = 0
        self._unended = len(self._flow.live)
        self._flow.begin()

    @property
    def done(self) -> bool:
        """Whether every job has ended and nothing is owed."""
        return not (self._unended or self._flow.tail)

    @property
    def inputs(self) -> Inputs:
        """The values that jobs take, by digest."""
        return self._flow.inputs

    def state(self, job: str) -> State:
        """Return where a job is."""
        return self._flow.live[job].state

    def outcome(self, job: str) -> Outcome | None:
        """Return how a job ended, or None."""
        return self._flow.live[job].outcome

    def command(self, now: float) -> Event | None:
        """Return the event that is to be brought about next; None if there is only waiting to do.

        Decisions come first, in the order in which they fell, then backoffs that are over, then what closes,
        then the best of those that are ready, and at the very end the cleanups.

        Args:
            now: Seconds on the clock of the entries.
        """
        if self._escalated:
            return self._escalated
        if self._flow.tail.first:
            return self._next_tail()
        for decided in self._flow.decided.values():
            return decided
        if self._flow.backoff and self._flow.backoff[0][0] <= now:
            return BackoffEnded(self._flow.backoff[0][1])
        tail = self._next_tail()
        if tail is not None:
            return tail
        best = self._flow.queue.best()
        if best is None:
            return None
        live = self._flow.live[best[0]]
        return PhaseStarted(best[0], live.progress.attempt, first_phase(live.job), best[1])

    def wakes_at(self) -> float | None:
        """Return when the next backoff is over, on the clock of the entries; None if none is under way."""
        return self._flow.backoff[0][0] if self._flow.backoff else None

    def _next_tail(self) -> PhaseStarted | None:
        tail = self._flow.tail
        due = tail.next(at_the_end=not self._unended) if tail and self._flow.queue.free else None
        if due is None:
            return None
        attempt = 0 if tail.first else self._flow.live[due[0]].progress.attempt
        return PhaseStarted(due[0], attempt, due[1])

    def apply(self, event: Event, at: float) -> None:
        """Take in what happened.

        Args:
            event: What happened.
            at: When, in seconds on the clock of the entries.

        Raises:
            IllegalTransition: the state of the job does not allow it.
        """
        self._take_in(event, at)
        self._flow.let_go_if_stuck()

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
            case BodyEnded():
                self._body_ended(self._of(event.job, event), event)
            case RunStopped():
                self._stop(event.reason)
        for id in self._rollbacks.take(event):
            self._flow.tail.roll_back(id, self._rollbacks.turn(id))

    def _of(self, job: str, event: Event) -> Live:
        live = self._flow.live.get(job)
        if live is None:
            raise IllegalTransition(job, "not in the plan", type(event).__name__)
        return live

    def _decided_for(self, job: str, event: Event) -> Live:
        live = self._of(job, event)
        if live.state is not State.DECIDING or self._flow.decided.get(job) != event:
            raise IllegalTransition(job, live.state.value, type(event).__name__)
        del self._flow.decided[job]
        return live

    def _phase_started(self, live: Live, event: PhaseStarted) -> None:
        if event.phase in TAIL:
            self._tail_started(live, event)
            return
        if live.state is State.READY and self._flow.queue.start(event.job):
            pass
        elif live.state is State.DECIDING and self._flow.decided.get(event.job) == event:
            del self._flow.decided[event.job]
        else:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} started")
        live.state, live.phase = State.ACTIVE, event.phase
        if event.phase is Phase.RUN:
            live.progress.reason = live.progress.reason or live.decision.reason
            if not live.entered:
                self._turns += 1
                live.turn = self._turns

    def _phase_ended(self, live: Live, event: PhaseEnded) -> None:
        if event.phase in TAIL:
            self._tail_ended(live, event)
            return
        attempt = live.progress.attempt
        if (live.state, live.phase, attempt) != (State.ACTIVE, event.phase, event.attempt):
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        live.state = State.DECIDING
        live.progress.has_value = live.progress.has_value or event.has_value
        live.lingers = event.verdict is Verdict.ABANDONED
        if event.phase is Phase.RUN:
            self._run_ended(live, event)
        if event.phase is Phase.DESCRIBE and event.verdict is Verdict.OK:
            self._flow.inputs.learn(event.job, event.value)
        rests = self._flow.rest_for(live, event) if not self.stopped else None
        decided = rests or self._decision(live, next_step(live.job, live.progress, event))
        doomed = live.doomed if event.phase is Phase.CHECK or may_take_back(decided) else None
        self._flow.decided[event.job] = doomed or decided

    def _run_ended(self, live: Live, event: PhaseEnded) -> None:
        if event.verdict is Verdict.RAISED:
            live.progress.run_failure = event.failure
        if event.verdict in NOT_ENTERED:
            return
        live.progress.has_value = event.has_value
        self._flow.inputs.learn(event.job, event.value)
        live.holds = live.job.is_generator and event.verdict is Verdict.OK
        if live.job.has_cleanup and not live.entered and not self.plan.keep_cleanups:
            self._flow.tail.owe(live.job.id, live.turn)
        live.entered = live.progress.entered = True

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
                    return ending(live, step.otherwise)
                if self._retries_left is not None:
                    self._retries_left -= 1
                return RetryPlanned(id, progress.attempt, delay)
            case _:
                return ending(live, step)

    def _go(self, live: Live, step: Go) -> Event:
        id, progress = live.job.id, live.progress
        if step.phase is Phase.RUN:
            progress.reason = step.reason
            if self.stopped:
                return JobEnded(id, Outcome.CANCELLED, self.stopped)
            if live.decision.refused:
                return refusal(live)
            waits_for = self._flow.unmade(take.upstream for take in self._flow.takes(live))
            if waits_for:
                return AttemptSuspended(id, progress.attempt, waits_for)
        elif step.phase is Phase.DESCRIBE:
            progress.pending, progress.reason = step.pending, step.reason
        return PhaseStarted(id, progress.attempt, step.phase)

    def _delay(self, live: Live, step: Again) -> float | None:
        if self.stopped or self._retries_left == 0:
            return None
        attempt, left = live.progress.attempt, live.decision.resumed
        tried = attempt - left.lost if left is not None else attempt
        return retry_delay(live.job.retry, tried, step.failure, self._chance(live.job.id, attempt))

    def _job_ended(self, live: Live, event: JobEnded) -> None:
        live.state, live.outcome = State.ENDED, event.outcome
        self._unended -= 1
        self._flow.queue.leave(event.job, lingers=live.lingers)
        if event.outcome in GOOD:
            self._flow.satisfy(live)
        self._flow.tell_downstream(live, event)
        if not live.holds:
            self._flow.tell_upstream(live)
        self._flow.close_if_unused(live)
        if event.outcome is Outcome.FAILED and self._unended and not self.stopped:
            if self.plan.rolls_back:
                self._escalated = RunStopped(f"job {live.job.label} failed, and the run is rolled back")
            elif live.job.on_failure is OnFailure.ESCALATE:
                self._escalated = RunStopped(f"job {live.job.label} failed and escalates")

    def _suspended(self, live: Live, event: AttemptSuspended) -> None:
        self._flow.queue.leave(event.job)
        if event.rests:
            self._flow.rest(live, event.waits_for)
        elif event.waits_for:
            self._flow.wait_for(live, event.waits_for)
        else:
            self._flow.idle(live)
            self._flow.satisfy(live)

    def _retry_planned(self, live: Live, event: RetryPlanned, at: float) -> None:
        self._flow.queue.leave(event.job)
        progress = live.progress
        progress.attempt, progress.run_failure, progress.has_value = progress.attempt + 1, None, False
        live.state, live.holds = State.BACKOFF, False
        heapq.heappush(self._flow.backoff, (at + event.delay, event.job))

    def _backoff_ended(self, live: Live, event: BackoffEnded) -> None:
        if live.state is not State.BACKOFF or self._flow.backoff[0][1] != event.job:
            raise IllegalTransition(event.job, live.state.value, "BackoffEnded")
        heapq.heappop(self._flow.backoff)
        self._flow.get_ready(live)

    def _body_ended(self, live: Live, event: BodyEnded) -> None:
        if not live.lingers or live.state is not State.ENDED:
            raise IllegalTransition(event.job, live.state.value, "BodyEnded")
        live.lingers = False
        self._flow.queue.give_back(event.job)

    def _stop(self, reason: str) -> None:
        self._escalated = None
        if self.stopped:
            return
        self.stopped = reason
        self._flow.queue.clear()
        self._flow.backoff.clear()
        for id, live in self._flow.live.items():
            if live.state not in (State.ACTIVE, State.ENDED) and may_take_back(self._flow.decided.get(id)):
                holds = live.state is State.IDLE and live.phase is not None
                live.state = State.DECIDING
                cancelled = End(Outcome.CANCELLED, reason)
                self._flow.decided[id] = ending(live, held(live.progress) if holds else cancelled)

    # --- what comes after a job has ended ---

    def _tail_started(self, live: Live, event: PhaseStarted) -> None:
        if self._next_tail() != event:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} started")
        self._flow.tail.start(event.job, event.phase)
        if event.attempt:  # what earlier runs owe comes while nothing else is under way
            self._flow.queue.enter(event.job)

    def _tail_ended(self, live: Live, event: PhaseEnded) -> None:
        if not self._flow.tail.end(event.job, event.phase):
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        if event.attempt:
            self._flow.queue.leave(event.job)
        if event.phase is Phase.CLOSE:
            self._flow.tell_upstream(live)
