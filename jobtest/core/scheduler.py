"""What now: a state machine that only events change, and that answers what is to be done without changing.

`apply(event, at)` is the only way to change it, `command(now)` asks. Whoever carries out a command does so by first
applying (and keeping) the event that says so; the same events in the same order give the same answers.

States of a job, and what moves it:

| state | left by |
|---|---|
| waiting | upstream satisfied -> ready, or idle if it only runs on demand; upstream failed or skipped -> deciding |
| idle | a consumer wants its value -> waiting or ready; none can any more -> deciding |
| ready | `PhaseStarted` -> active; an upstream job failed after all -> deciding |
| active | `PhaseEnded` -> deciding |
| deciding | next `PhaseStarted` -> active, `AttemptSuspended` -> waiting or idle, `RetryPlanned` -> backoff, `JobEnded` -> ended |
| backoff | `BackoffEnded` -> ready |
| ended | nothing |

An upstream job satisfies when it has ended well, or is idle: then its check held, or it need not run unless wanted.
`RunStopped` moves whatever is not active to deciding. Any other event raises `IllegalTransition`.

After a job has ended, what it holds open is closed when its last consumer has ended; after all jobs have ended, the
cleanups that are owed run, last entered first.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from jobtest.core.errors import IllegalTransition
from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.model import EdgeKind, Job, OnFailure, Outcome, Phase, Verdict
from jobtest.core.planner import Decision, Plan
from jobtest.core.policies import Again, End, Go, Hold, Progress, Step, first_phase, next_step, retry_delay
from jobtest.core.queue import ReadyQueue

__all__ = ["Scheduler", "State"]

GOOD = frozenset({Outcome.UNCHANGED, Outcome.CHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN})
NOT_ENTERED = frozenset({Verdict.SETUP_ERROR, Verdict.WOULD_RUN, Verdict.UNKNOWN, Verdict.DRIFTED})


class State(Enum):
    """Where a job is; the table of this module."""

    WAITING = "waiting"
    IDLE = "idle"
    READY = "ready"
    ACTIVE = "active"
    DECIDING = "deciding"
    BACKOFF = "backoff"
    ENDED = "ended"


@dataclass(slots=True)
class _Live:
    """What changes about a job.

    Attributes:
        missing: Upstream edges that are not satisfied.
        pending: Upstream jobs whose values are being made for it.
        takers: Consumers of its value that have not ended.
        counted: It has been counted as satisfied by those that wait for it.
        entered: Its run phase has been entered.
        doomed: How it ends for the sake of an upstream job, as soon as it can.
    """

    job: Job
    decision: Decision
    position: int
    missing: int
    takers: int
    progress: Progress
    state: State = State.WAITING
    phase: Phase | None = None
    pending: frozenset[str] = frozenset()
    counted: bool = False
    entered: bool = False
    doomed: JobEnded | None = None
    outcome: Outcome | None = None


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
        self._closing: deque[str] = deque()
        self._owed: list[str] = []
        self._tail = ""
        self._live = {id: self._new(id, at) for at, id in enumerate(plan.graph.jobs)}
        self._unended = len(self._live)
        self._begin()

    # --- questions ---

    @property
    def done(self) -> bool:
        """Whether every job has ended and nothing is owed."""
        return not (self._unended or self._closing or self._owed or self._tail)

    def state(self, job: str) -> State:
        """Return where a job is."""
        return self._live[job].state

    def outcome(self, job: str) -> Outcome | None:
        """Return how a job ended, or None."""
        return self._live[job].outcome

    def command(self, now: float) -> Event | None:
        """Return the event that is to be brought about next; None if there is only waiting to do.

        Decisions come first, in the order in which they fell, then backoffs that are over, then what closes, then the
        best of those that are ready, and at the very end the cleanups.

        Args:
            now: Seconds on the clock of the entries.
        """
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
        if self._tail:
            return None
        if self._closing:
            id, phase = self._closing[0], Phase.CLOSE
        elif self._owed and not self._unended:
            id, phase = self._owed[-1], Phase.CLEANUP
        else:
            return None
        return PhaseStarted(id, self._live[id].progress.attempt, phase)

    # --- events ---

    def apply(self, event: Event, at: float) -> None:
        """Take in what happened.

        Args:
            event: What happened.
            at: When, in seconds on the clock of the entries.

        Raises:
            IllegalTransition: the state of the job does not allow it.
        """
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
            case RunStarted() | RunEnded():
                pass

    def _of(self, job: str, event: Event) -> _Live:
        live = self._live.get(job)
        if live is None:
            raise IllegalTransition(job, "not in the plan", type(event).__name__)
        return live

    def _decided_for(self, job: str, event: Event) -> _Live:
        live = self._of(job, event)
        if live.state is not State.DECIDING or self._decided.get(job) != event:
            raise IllegalTransition(job, live.state.value, type(event).__name__)
        del self._decided[job]
        return live

    def _phase_started(self, live: _Live, event: PhaseStarted) -> None:
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
        if event.phase is Phase.RUN and not live.progress.reason:
            live.progress.reason = live.decision.reason

    def _phase_ended(self, live: _Live, event: PhaseEnded) -> None:
        if event.phase in (Phase.CLOSE, Phase.CLEANUP):
            self._tail_ended(live, event)
            return
        if live.state is not State.ACTIVE or live.phase is not event.phase:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        live.state = State.DECIDING
        live.progress.has_value = live.progress.has_value or event.has_value
        if event.phase is Phase.RUN:
            self._run_ended(live, event)
        self._decided[event.job] = live.doomed or self._decision(live, next_step(live.job, live.progress, event))

    def _run_ended(self, live: _Live, event: PhaseEnded) -> None:
        if event.verdict is Verdict.RAISED:
            live.progress.run_failure = event.failure
        if event.verdict not in NOT_ENTERED and not live.entered:
            live.entered = True
            if live.job.has_cleanup:
                self._owed.append(live.job.id)

    def _decision(self, live: _Live, step: Step) -> Event:
        id, progress = live.job.id, live.progress
        match step:
            case Go():
                return self._go(live, step)
            case Hold():
                return AttemptSuspended(id, progress.attempt, ())
            case Again():
                delay = self._delay(live, step)
                return _end(id, step.otherwise) if delay is None else RetryPlanned(id, progress.attempt, delay)
            case End():
                return _end(id, step)

    def _go(self, live: _Live, step: Go) -> Event:
        id, progress = live.job.id, live.progress
        if step.phase is Phase.RUN:
            progress.reason = step.reason
            if self.stopped:
                return JobEnded(id, Outcome.CANCELLED, self.stopped)
            waits_for = self._unmade(take.upstream for take in live.job.takes)
            if waits_for:
                return AttemptSuspended(id, progress.attempt, waits_for)
        elif step.phase is Phase.DESCRIBE:
            progress.pending = Outcome.UNCHANGED if live.phase is Phase.CHECK else Outcome.CHANGED
            progress.reason = step.reason
        return PhaseStarted(id, progress.attempt, step.phase)

    def _delay(self, live: _Live, step: Again) -> float | None:
        if self.stopped or self._retries_left == 0:
            return None
        attempt = live.progress.attempt
        return retry_delay(live.job.retry, attempt, step.failure, self._chance(live.job.id, attempt))

    def _job_ended(self, live: _Live, event: JobEnded) -> None:
        live.state, live.outcome = State.ENDED, event.outcome
        self._unended -= 1
        self._queue.leave(event.job)
        if event.outcome in GOOD:
            self._satisfy(live)
        self._tell_downstream(live, event)
        self._tell_upstream(live)
        self._close_if_unused(live)
        if event.outcome is Outcome.FAILED and live.job.on_failure is OnFailure.ESCALATE and not self.stopped:
            self._decided[""] = RunStopped(f"job {live.job.name} failed and escalates")

    def _suspended(self, live: _Live, event: AttemptSuspended) -> None:
        self._queue.leave(event.job)
        if event.waits_for:
            self._wait_for(live, event.waits_for)
        else:
            self._become_idle(live)

    def _retry_planned(self, live: _Live, event: RetryPlanned, at: float) -> None:
        self._queue.leave(event.job)
        if self._retries_left is not None:
            self._retries_left -= 1
        progress = live.progress
        progress.attempt, progress.run_failure, progress.has_value = progress.attempt + 1, None, False
        live.state = State.BACKOFF
        heapq.heappush(self._backoff, (at + event.delay, event.job))

    def _backoff_ended(self, live: _Live, event: BackoffEnded) -> None:
        if live.state is not State.BACKOFF or self._backoff[0][1] != event.job:
            raise IllegalTransition(event.job, live.state.value, "BackoffEnded")
        heapq.heappop(self._backoff)
        self._get_ready(live)

    def _stop(self, reason: str) -> None:
        self._decided.pop("", None)
        if self.stopped:
            return
        self.stopped = reason
        self._queue.clear()
        self._backoff.clear()
        for id, live in self._live.items():
            if live.state not in (State.ACTIVE, State.ENDED) and self._may_cancel(self._decided.get(id)):
                held = live.state is State.IDLE and live.phase is not None
                live.state = State.DECIDING
                end = JobEnded(id, Outcome.UNCHANGED, "check holds") if held else JobEnded(id, Outcome.CANCELLED, reason)
                self._decided[id] = end

    @staticmethod
    def _may_cancel(decided: Event | None) -> bool:
        """Tell whether a decision that has not been carried out may be taken back: not the end or rest of an attempt."""
        if isinstance(decided, PhaseStarted):
            return decided.phase is Phase.RUN
        return not isinstance(decided, JobEnded)

    # --- readiness ---

    def _new(self, id: str, position: int) -> _Live:
        graph, decision = self.plan.graph, self.plan.decisions[id]
        takers = sum(1 for _, kind in graph.downstream(id) if kind is EdgeKind.VALUE)
        progress = Progress(must_run=decision.must_run, wanted=takers > 0)
        return _Live(graph[id], decision, position, len(graph.upstream(id)), takers, progress)

    def _begin(self) -> None:
        for id, live in self._live.items():
            if live.decision.skip:
                live.state = State.DECIDING
                self._decided[id] = JobEnded(id, Outcome.SKIPPED, live.decision.skip, None, live.decision.causes)
        for live in self._live.values():
            if live.state is State.WAITING and not live.missing:
                self._all_satisfied(live)

    def _all_satisfied(self, live: _Live) -> None:
        if live.decision.needed:
            self._get_ready(live)
        else:
            self._become_idle(live)

    def _get_ready(self, live: _Live) -> None:
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
        return tuple(dict.fromkeys(id for ids in taken for id in ids if self._live[id].state is not State.ENDED))

    def _wait_for(self, live: _Live, upstream: Iterable[str]) -> None:
        """Have values made, and wait for the jobs that make them, and for those that make theirs."""
        todo = [(live, tuple(upstream))]
        while todo:
            waiting, ids = todo.pop()
            makers = [self._live[id] for id in ids if self._live[id].state is not State.ENDED]
            waiting.state, waiting.pending = State.WAITING, frozenset(maker.job.id for maker in makers)
            if not makers:
                self._get_ready(waiting)
            for maker in makers:
                if maker.state is State.IDLE:
                    self._demand(maker, waiting)
                    todo.append((maker, self._unmade(take.upstream for take in maker.job.takes)))

    def _demand(self, maker: _Live, consumer: _Live) -> None:
        maker.state = State.WAITING
        if maker.job.has_check:
            maker.progress.must_run = f"{consumer.job.name} takes its value, and none is known"
        else:
            maker.progress.reason = f"no check; {consumer.job.name} takes its value"

    def _become_idle(self, live: _Live) -> None:
        live.state = State.IDLE
        self._satisfy(live)
        if not live.takers:
            self._end_idle(live)

    def _end_idle(self, live: _Live) -> None:
        live.state = State.DECIDING
        reason = "not needed" if live.phase is None else "check holds"
        self._decided[live.job.id] = JobEnded(live.job.id, Outcome.UNCHANGED, reason)

    def _satisfy(self, live: _Live) -> None:
        """Count this job as satisfied for those that wait for it, once."""
        if not live.counted:
            live.counted = True
            for id, _ in self.plan.graph.downstream(live.job.id):
                self._one_less(self._live[id])

    def _one_less(self, live: _Live) -> None:
        live.missing -= 1
        if not live.missing and live.state is State.WAITING:
            self._all_satisfied(live)

    def _tell_downstream(self, live: _Live, event: JobEnded) -> None:
        """Block those that need what did not come; let those go on that waited for its value or only for their turn."""
        good = event.outcome in GOOD
        for id, kind in self.plan.graph.downstream(event.job):
            other = self._live[id]
            if not good:
                if self._dooms(live, event, kind):
                    self._doom(live, event, other)
                elif not live.counted:
                    self._one_less(other)
            if event.job in other.pending:
                other.pending -= {event.job}
                if not other.pending and other.state is State.WAITING:
                    self._get_ready(other)

    @staticmethod
    def _dooms(live: _Live, event: JobEnded, kind: EdgeKind) -> bool:
        if event.outcome is Outcome.FAILED and live.job.on_failure is OnFailure.CONTINUE:
            return kind is EdgeKind.VALUE and not live.progress.has_value
        return kind is not EdgeKind.AFTER

    def _doom(self, live: _Live, event: JobEnded, other: _Live) -> None:
        runs = other.state in (State.ACTIVE, State.DECIDING) and other.phase not in (None, Phase.CHECK)
        if runs or other.state is State.ENDED or other.doomed is not None or other.decision.skip:
            return
        name, id = live.job.name, other.job.id
        causes = event.causes or (event.job,)
        if event.outcome is Outcome.FAILED:
            no_value = " and left no value" if live.job.on_failure is OnFailure.CONTINUE else ""
            other.doomed = JobEnded(id, Outcome.BLOCKED, f"upstream {name} failed{no_value}", None, causes)
        elif event.outcome is Outcome.BLOCKED or event.causes:
            other.doomed = JobEnded(id, event.outcome, event.reason, None, causes)
        else:
            reason = f"upstream {name} is {event.outcome.value}: {event.reason}"
            other.doomed = JobEnded(id, event.outcome, reason, None, causes)
        if other.state is not State.ACTIVE:
            self._end_doomed(other)

    def _end_doomed(self, live: _Live) -> None:
        """End a job for the sake of an upstream one, wherever it stands. It may have ended otherwise just now."""
        assert live.doomed is not None
        id = live.job.id
        if isinstance(self._decided.get(id), JobEnded):
            return
        if live.state is State.BACKOFF:
            self._backoff = [(due, job) for due, job in self._backoff if job != id]
            heapq.heapify(self._backoff)
        self._queue.leave(id)
        live.state = State.DECIDING
        self._decided[id] = live.doomed

    def _tell_upstream(self, live: _Live) -> None:
        """Tell the jobs whose values it takes that it wants none any more."""
        for edge in self.plan.graph.upstream(live.job.id):
            if edge.kind is EdgeKind.VALUE:
                upstream = self._live[edge.upstream]
                upstream.takers -= 1
                if not upstream.takers and upstream.state is State.IDLE:
                    self._end_idle(upstream)
                self._close_if_unused(upstream)

    # --- what comes after a job has ended ---

    def _close_if_unused(self, live: _Live) -> None:
        if live.job.is_generator and live.entered and live.state is State.ENDED and not live.takers:
            live.entered = False
            self._closing.appendleft(live.job.id)

    def _tail_started(self, live: _Live, event: PhaseStarted) -> None:
        if self._next_tail() != event:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} started")
        self._tail = event.job
        if event.phase is Phase.CLOSE:
            self._closing.popleft()
        else:
            self._owed.pop()

    def _tail_ended(self, live: _Live, event: PhaseEnded) -> None:
        if self._tail != event.job:
            raise IllegalTransition(event.job, live.state.value, f"{event.phase.value} ended")
        self._tail = ""


def _end(job: str, end: End) -> JobEnded:
    return JobEnded(job, end.outcome, end.reason, end.kind, (), end.notes)
