"""The loop: asks the scheduler what is to be done, writes it down, does it.

A store that cannot write stops the run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, TypeVar

from jobtest.core.errors import StateLost
from jobtest.core.events import (
    AttemptSuspended,
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
from jobtest.core.flow import GOOD
from jobtest.core.model import NOT_ENTERED, TAIL, Command, EdgeKind, Failure, Job, Outcome, Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.scheduler import Scheduler
from jobtest.core.summary import Summary
from jobtest.engine.bodies import Bodies
from jobtest.engine.calls import NO_VALUE, Call, Isolated, Key, Output, Result, Ticket, timed_out
from jobtest.engine.clock import Clock, SystemClock, new_run_id
from jobtest.engine.deadlines import Deadlines
from jobtest.engine.executors.protocol import Executor
from jobtest.engine.journal import Journal, Observer
from jobtest.engine.memory import Memory
from jobtest.engine.values import Values
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Change, RunRecord, Store

__all__ = ["Engine", "Observer", "failed"]

T = TypeVar("T")
NOTHING = Output()

LONGEST_GOODBYE = 5.0
"""Seconds that a body gets to end after it was cancelled; then it is left behind."""

SHORTEST_GOODBYE = 1.0
"""The same after a second interrupt."""

LONGEST_WAIT = 3600.0
"""Seconds after which a wait for a backoff begins anew: the waits of an operating system have a limit."""


class Engine:
    """Carries out a plan.

    Args:
        plan: What is to be done.
        bodies: The functions.
        executor: Calls them.
        memory: Writes down what happens, and knows the values of earlier runs.
        store: Keeps the journal, if there is no `memory`; by default one that forgets.
        clock: Tells the time.
        observers: Are told each entry after it is kept.
        workers: Attempts that may be under way at once.
        resources: Amounts that there are.
        retry_limit: Retries that the run may spend.
        run_id: Id of the run; a new one if not given.
        seed: What jitter comes from; by default the id of the run.
        grace: Seconds that running bodies get after an interrupt, and others after a body that was left
            behind and holds what they need.

    Attributes:
        over: The run has come to its end; only reports are left to be written.
        grace: Seconds that running bodies get after an interrupt.

    Raises:
        ProjectError: a job asks for more of a resource than there is.
    """

    def __init__(
        self,
        plan: Plan,
        bodies: Bodies,
        executor: Executor,
        *,
        memory: Memory | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        workers: int = 1,
        resources: Mapping[str, int] | None = None,
        retry_limit: int | None = None,
        run_id: str = "",
        seed: str = "",
        grace: float = 10.0,
    ) -> None:
        self.plan = plan
        self.summary = Summary(plan)
        self.values: dict[str, object] = self.summary.values
        self._bodies = bodies
        self._executor = executor
        self._clock = clock or SystemClock()
        self._workers = workers
        self.grace = grace
        self.run_id = run_id or (memory.record.id if memory else new_run_id(self._clock.now()))
        self._seed = seed or self.run_id
        self.memory = memory or Memory(store or MemoryStore(), RunRecord(id=self.run_id))
        self._scheduler = Scheduler(
            plan, capacity=workers, resources=resources, retry_limit=retry_limit, chance=self._chance
        )
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._journal = Journal(
            self.memory,
            self._scheduler,
            self.summary,
            bodies,
            self._clock,
            observers,
            self.run_id,
            self._stopped,
        )
        self._active: dict[str, Ticket] = {}
        self._values = Values(plan, self.memory, self.values)
        self._stop_reason = ""
        self._interrupted = self._aborted = self.over = False
        self._starting: Ticket | None = None
        self._deadline: float | None = None
        self._abort_until: float | None = None
        self._deadlines = Deadlines()
        self._ending: dict[Key, Result] = {}
        self._left: list[Ticket] = []
        self._stuck_until: float | None = None

    # --- from outside ---

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._interrupted

    @property
    def stop_reason(self) -> str:
        """Why nothing new starts, or empty."""
        return self._stop_reason

    @property
    def aborted(self) -> bool:
        """Whether somebody asked so twice."""
        return self._aborted

    @property
    def interruptible(self) -> bool:
        """Whether a body or its set-up is being called on this thread, and it is no cleanup."""
        return self._starting is not None and self._starting.phase not in TAIL

    def under_way(self) -> list[str]:
        """Return a line for each phase that is under way; for people."""
        return [f"{ticket.job.label} {ticket.phase.value}" for ticket in list(self._active.values())]

    @property
    def lineage(self) -> str:
        """Id of the first run of those that went on with each other, this one the last."""
        return self.memory.record.lineage or self.run_id

    def stop(self, reason: str) -> None:
        """Start nothing new; what runs goes on to its end. Safe from anywhere, also signal handlers."""
        self._stop_reason = self._stop_reason or reason
        self._executor.wake()

    def interrupt(self, reason: str, *, grace: float | None = None) -> None:
        """As `stop`, but what runs is given up after the grace, `grace` at most; the second time at once.

        Then nothing is cleaned up any more: it stays owed.
        """
        if self._interrupted:
            self._aborted = True
        self._interrupted = True
        self.grace = self.grace if grace is None else min(self.grace, grace)
        self.stop(reason)

    def _stopped(self, reason: str) -> str:
        """Stop if there is a reason; return why the run is to stop, or empty."""
        if reason:
            self.stop(reason)
        return self._stop_reason

    @property
    def unkept(self) -> Sequence[str]:
        """How jobs ended after the state was lost: label and outcome. It is on no record."""
        return self._journal.unkept

    @property
    def switched_off(self) -> Sequence[tuple[Observer, Exception]]:
        """Observers that raised, and what."""
        return self._journal.switched_off

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on the thread of the loop and return its value; for bodies on other threads."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        self._executor.wake()
        return future.result()

    @property
    def lost(self) -> StateLost | None:
        """Why nothing can be written down any more; nothing starts from then on."""
        return self.memory.lost

    def run(self, changes: tuple[Change, ...] = ()) -> Summary:
        """Carry out the plan; returns when every job has ended and nothing is owed.

        Args:
            changes: What is to be written down together with the beginning of the run.
        """
        scheduler = self._scheduler
        self.memory.begin(self.plan, changes)
        self._journal.append(RunStarted(self.plan.command, len(self.plan.graph), self._workers))
        self._journal.settle()
        try:
            while not scheduler.done:
                self._heed_stop()
                self._heed_time()
                command = scheduler.command(self._clock.now())
                if self._aborted:
                    self._abort()
                    if isinstance(command, PhaseStarted) and command.phase in TAIL:
                        if not self._active:
                            break
                        command = None
                if command is not None:
                    self._carry_out(command)
                if command is None:
                    self._journal.settle()
                if command is None or self._active:
                    self._collect(0.0 if command is not None else self._patience())
        finally:
            self._executor.close()
            self.over = True
        self._journal.settle()
        self._bodies.run_over()
        return self.summary

    def end(self, exit_status: int) -> None:
        """Write down how the run ended."""
        self._journal.append(RunEnded(exit_status))
        self._journal.settle()

    # --- the loop ---

    def _heed_stop(self) -> None:
        if self._stop_reason and not self._scheduler.stopped:
            self._journal.append(RunStopped(self._stop_reason))
        if self._interrupted and self._deadline is None:
            self._deadline = self._clock.now() + self.grace
        if self._deadline is not None and self._clock.now() >= self._deadline:
            self._give_up()

    def _give_up(self) -> None:
        """End what still runs. What closes and cleans up has its time."""
        for ticket in [ticket for ticket in self._active.values() if ticket.phase not in TAIL]:
            if ticket.key not in self._ending:
                said = f"interrupted, and still running {self.grace:g} s later"
                self._end(ticket, Result(Verdict.INTERRUPTED, Failure(said)))

    def _abort(self) -> None:
        """End everything at once; what has not ended a little later is left behind."""
        twice = Result(Verdict.INTERRUPTED, Failure("interrupted twice"))
        late = self._abort_until is not None and self._clock.now() >= self._abort_until
        for ticket in list(self._active.values()):
            if late or (self._abort_until is None and not self._executor.cancel(ticket)):
                self._leave(ticket, twice)
            elif self._abort_until is None:
                self._executor.cancel(ticket)  # the second time it has no time to say goodbye
                self._ending[ticket.key] = twice
        if self._abort_until is None:
            self._abort_until = self._clock.now() + SHORTEST_GOODBYE

    def _heed_time(self) -> None:
        """End what has had its time, and leave behind what does not end."""
        now = self._clock.now()
        while (ticket := self._deadlines.pop(now)) is not None:
            if self._active.get(ticket.job.id) is not ticket:
                continue
            ending = self._ending.get(ticket.key)
            if ending is None:
                self._end(ticket, Result(Verdict.TIMED_OUT, timed_out(ticket)))
            else:
                self._leave(ticket, ending)

    def _end(self, ticket: Ticket, result: Result) -> None:
        """Have a phase ended; what it comes to then is `result`."""
        if self._executor.cancel(ticket):
            self._ending[ticket.key] = result
            self._deadlines.add(self._clock.now() + LONGEST_GOODBYE, ticket)
        else:
            self._leave(ticket, result)

    def _leave(self, ticket: Ticket, result: Result) -> None:
        """Go on without a phase that cannot be ended; its late result is thrown away."""
        note = self._executor.note(ticket)
        output = self._bodies.left(ticket.job.id)
        output.notes += [note] if note else []
        failure = result.failure
        if result.verdict is Verdict.TIMED_OUT and failure is not None:
            said = f"{failure.message}, and its body goes on in this process"
            failure = replace(failure, message=said)
            result = Result(Verdict.ABANDONED, failure)
        self._left.append(ticket)
        self._finished(ticket, Result(result.verdict, failure, output=output))

    def _patience(self) -> float | None:
        """Return how long there is nothing to do but wait: until a time is over, or something arrives."""
        now = self._clock.now()
        wakes_at = self._scheduler.wakes_at()
        waits = [LONGEST_WAIT, wakes_at - now] if wakes_at is not None else []
        if self._deadline is not None and any(ticket.phase not in TAIL for ticket in self._active.values()):
            waits.append(self._deadline - now)
        if self._abort_until is not None:
            waits.append(self._abort_until - now)
        due = self._deadlines.next() if self._active else None
        if due is not None:
            waits.append(due - now)
        if not waits and not self._active:
            waits.append(self._patience_for_left(now) - now)
        return max(0.0, min(waits)) if waits else None

    def _patience_for_left(self, now: float) -> float:
        """Return when to stop waiting for bodies that were left behind and hold what all others need."""
        if not self._left:
            raise AssertionError("nothing runs and nothing is to be done; this is a bug in jobtest")
        if self._stuck_until is None:
            self._stuck_until = now + self.grace
        elif now >= self._stuck_until:
            names = ", ".join(dict.fromkeys(ticket.job.label for ticket in self._left))
            self.stop(f"what the rest needs is held by a body that timed out and goes on: {names}")
        return self._stuck_until

    def _collect(self, timeout: float | None) -> None:
        for ticket, result in self._executor.collect(timeout):
            if self._active.get(ticket.job.id) is ticket:
                ending = self._ending.get(ticket.key) or result
                self._finished(ticket, replace(result, verdict=ending.verdict, failure=ending.failure))
            elif any(one is ticket for one in self._left):
                self._left = [one for one in self._left if one is not ticket]
                self._stuck_until = None
                if self.summary.jobs[ticket.job.id].lingers:
                    self._journal.append(BodyEnded(ticket.job.id))

        while not self._calls.empty():
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)

    def _carry_out(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self._start(event)
            return
        self._journal.append(event)
        match event:
            case JobEnded() if event.outcome not in GOOD or self._bodies.at_once(event.job):
                self._journal.settle()
            case RetryPlanned() | AttemptSuspended():
                self.values.pop(event.job, None)
                self._bodies.attempt_over(event.job)

    def _start(self, event: PhaseStarted) -> None:
        self._journal.append(event)
        error = self._error_for(event) if event.phase is Phase.ROLLBACK else None
        ticket = Ticket(self.plan.graph[event.job], event.attempt, event.phase, error)
        self._active[event.job] = ticket
        why_not = self._why_not(ticket, self._journal.settle())
        if why_not:
            self._finished(ticket, Result(Verdict.NOT_BEGUN, Failure(why_not)))
            return
        self._starting = ticket
        try:
            self._executor.start(ticket, lambda: self._prepare(ticket))
        finally:
            self._starting = None
        if ticket.job.timeout is not None and not self._executor.keeps_time(ticket):
            self._deadlines.add(self._clock.now() + ticket.job.timeout, ticket)

    def _error_for(self, event: PhaseStarted) -> Failure | None:
        """Return what the job failed of that is about to be rolled back, None if it did not."""
        if event.attempt:
            return self.summary.jobs[event.job].failure
        owed = self.plan.pasts[event.job].rollback
        return Failure(owed.error) if owed is not None and owed.error else None

    def _why_not(self, ticket: Ticket, stop: str) -> str:
        """Return why a phase that was about to start does not, after all."""
        if self.lost is not None:
            return "not started: the state is lost"
        if self._aborted:
            return "interrupted twice"
        begins = ticket.phase in (Phase.CHECK, Phase.RUN) and not self._scheduler.stopped
        return stop if begins else ""

    def _prepare(self, ticket: Ticket) -> Call | Isolated | Result:
        values = self._values.given(ticket)
        return values if isinstance(values, Result) else self._bodies.prepare(ticket, values)

    def _finished(self, ticket: Ticket, result: Result) -> None:
        job = ticket.job
        del self._active[job.id]
        self._ending.pop(ticket.key, None)
        interrupted = self._interrupted and isinstance(result.error, KeyboardInterrupt)
        if interrupted and result.verdict is not Verdict.NOT_BEGUN:
            result = Result(Verdict.INTERRUPTED, Failure("interrupted"), output=result.output)
        output, digest = result.output or NOTHING, ""
        if ticket.phase is Phase.RUN and result.verdict not in NOT_ENTERED:
            self._values.entered.add(job.id)
        if result.value is not NO_VALUE and ticket.phase in (Phase.RUN, Phase.DESCRIBE):
            digest, why = self._take_in(job, result.value)
            if why and self._is_wanted(job):
                output = replace(output, notes=[*output.notes, f"its value is kept for this run only: {why}"])
        self._journal.append(
            PhaseEnded(
                job.id,
                ticket.attempt,
                ticket.phase,
                result.verdict,
                result.failure,
                job.id in self.values,
                output.stdout,
                output.stderr,
                output.log,
                tuple(output.notes),
                digest,
            )
        )
        if ticket.phase in TAIL:
            self._journal.settle()
            self._bodies.tail_over(job.id, result, earlier=not ticket.attempt)

    def _take_in(self, job: Job, value: object) -> tuple[str, str]:
        """Keep the value of a job; of other verbs than to take it away, what they return is reported."""
        if self.plan.command not in (Command.DELETE, Command.ROLLBACK):
            self.values[job.id] = value
        return ("", "") if self.plan.verb else self.memory.put(job, value)

    def _is_wanted(self, job: Job) -> bool:
        down = self.plan.graph.downstream(job.id)
        return job.own_value or any(kind is EdgeKind.VALUE for _, kind in down)

    def _chance(self, job: str, attempt: int) -> float:
        return random.Random(f"{self._seed} {job} {attempt}").random()


def failed(summary: Summary) -> bool:
    """Tell whether a run has anything that must not end with exit status 0."""
    bad = (Outcome.FAILED, Outcome.BLOCKED, Outcome.CANCELLED)
    tails = any(not tail.ok for record in summary.jobs.values() for tail in record.tails)
    return tails or any(summary.totals()[outcome] for outcome in bad)
