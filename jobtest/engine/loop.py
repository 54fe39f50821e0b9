"""The loop: asks the scheduler what is to be done, writes it down, does it.

Journal first, then the scheduler, then observers. A store that cannot write stops the run; an observer that
raises is switched off and named once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from jobtest.core.events import (
    AttemptSuspended,
    Entry,
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.model import Failure, Outcome, Phase, Take, Verdict
from jobtest.core.planner import Plan
from jobtest.core.scheduler import Scheduler
from jobtest.core.summary import Summary
from jobtest.engine.calls import NO_VALUE, Call, Output, Result, Ticket
from jobtest.engine.clock import Clock, SystemClock, new_run_id
from jobtest.engine.executors.protocol import Executor
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Store

__all__ = ["Bodies", "Engine", "Observer", "failed"]

T = TypeVar("T")
Observer = Callable[[Entry], None]
NOTHING = Output()
TAIL = (Phase.CLOSE, Phase.CLEANUP)

LONGEST_WAIT = 3600.0
"""Seconds after which a wait for a backoff begins anew: the waits of an operating system have a limit."""


class Bodies(Protocol):
    """Knows the user's functions by job id. All methods are called on the main thread."""

    def prepare(self, ticket: Ticket, values: Mapping[str, object]) -> Call | Result:
        """Make a phase ready to be called.

        Args:
            ticket: Which phase of which job.
            values: The values of upstream jobs by parameter, and under the job's own name its own, if there
                is one.

        Returns:
            The call, or what the phase came to without one, e.g. because its set-up failed.
        """

    def attempt_over(self, job: str) -> None:
        """Let go of what an attempt held, another attempt will follow."""

    def job_over(self, job: str) -> None:
        """Let go of what a job held and report it: it has ended."""

    def tail_over(self, job: str, result: Result) -> None:
        """Report what came of closing or cleaning up after a job."""


class Engine:
    """Carries out a plan.

    Args:
        plan: What is to be done.
        bodies: The functions.
        executor: Calls them.
        store: Keeps the journal.
        clock: Tells the time.
        observers: Are told each entry after it is kept.
        workers: Attempts that may be under way at once.
        resources: Amounts that there are.
        retry_limit: Retries that the run may spend.
        run_id: Id of the run; a new one if not given.
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
        store: Store | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        workers: int = 1,
        resources: Mapping[str, int] | None = None,
        retry_limit: int | None = None,
        run_id: str = "",
        grace: float = 10.0,
    ) -> None:
        self.plan = plan
        self.summary = Summary(plan)
        self.values: dict[str, object] = self.summary.values
        self.switched_off: list[tuple[Observer, Exception]] = []
        self._bodies = bodies
        self._executor = executor
        self._store = store or MemoryStore()
        self._clock = clock or SystemClock()
        self._observers = list(observers)
        self._workers = workers
        self._grace = grace
        self.run_id = run_id or new_run_id(self._clock.now())
        self._scheduler = Scheduler(
            plan, capacity=workers, resources=resources, retry_limit=retry_limit, chance=self._chance
        )
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._seq = 0
        self._active: dict[str, Ticket] = {}
        self._stop_reason = ""
        self._interrupted = False
        self._deadline: float | None = None

    # --- from outside ---

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._interrupted

    def stop(self, reason: str) -> None:
        """Start nothing new; what runs goes on to its end. Safe from anywhere, also signal handlers."""
        self._stop_reason = self._stop_reason or reason
        self._executor.wake()

    def interrupt(self, reason: str) -> None:
        """As `stop`, but what runs is given up after the grace."""
        self._interrupted = True
        self.stop(reason)

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on the thread of the loop and return its value; for bodies on other threads."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        self._executor.wake()
        return future.result()

    def run(self) -> Summary:
        """Carry out the plan; returns when every job has ended and nothing is owed."""
        scheduler = self._scheduler
        self._append(RunStarted(self.plan.command, len(self.plan.graph), self._workers))
        try:
            while not scheduler.done:
                self._heed_stop()
                command = scheduler.command(self._clock.now())
                if command is not None:
                    self._carry_out(command)
                if command is None or self._active:
                    self._collect(0.0 if command is not None else self._patience())
        finally:
            self._executor.close()
        return self.summary

    def end(self, exit_status: int) -> None:
        """Write down how the run ended."""
        self._append(RunEnded(exit_status))

    # --- the loop ---

    def _heed_stop(self) -> None:
        if self._stop_reason and not self._scheduler.stopped:
            self._append(RunStopped(self._stop_reason))
        if self._interrupted and self._deadline is None:
            self._deadline = self._clock.now() + self._grace
        if self._deadline is not None and self._clock.now() >= self._deadline:
            self._give_up()

    def _give_up(self) -> None:
        """End what still runs and throw away its late result. What closes and cleans up has its time."""
        for ticket in [ticket for ticket in self._active.values() if ticket.phase not in TAIL]:
            said = Failure(f"interrupted, and still running {self._grace:g} s later")
            self._finished(ticket, Result(Verdict.INTERRUPTED, said))

    def _patience(self) -> float | None:
        """Return how long there is nothing to do but wait: until a backoff or the grace is over."""
        wakes_at, now = self._scheduler.wakes_at(), self._clock.now()
        waits = [LONGEST_WAIT, wakes_at - now] if wakes_at is not None else []
        if self._deadline is not None and any(ticket.phase not in TAIL for ticket in self._active.values()):
            waits.append(self._deadline - now)
        if not waits and not self._active:
            raise AssertionError("nothing runs and nothing is to be done; this is a bug in jobtest")
        return max(0.0, min(waits)) if waits else None

    def _collect(self, timeout: float | None) -> None:
        for ticket, result in self._executor.collect(timeout):
            if self._active.get(ticket.job.id) is ticket:
                self._finished(ticket, result)

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
        self._append(event)
        match event:
            case JobEnded():
                self._bodies.job_over(event.job)
            case RetryPlanned() | AttemptSuspended():
                self.values.pop(event.job, None)
                self._bodies.attempt_over(event.job)

    def _start(self, event: PhaseStarted) -> None:
        self._append(event)
        ticket = Ticket(self.plan.graph[event.job], event.attempt, event.phase)
        self._active[event.job] = ticket
        self._executor.start(ticket, lambda: self._prepare(ticket))

    def _prepare(self, ticket: Ticket) -> Call | Result:
        job = ticket.job
        values: dict[str, object] = {}
        if job.takes:
            for take in job.takes:
                needed = ticket.phase is not Phase.CHECK or take.parameter in job.early
                missing = self._take(take, values)
                if missing and needed and ticket.phase is not Phase.CLEANUP:
                    name = self.plan.graph[missing].label
                    return Result(Verdict.UNKNOWN, Failure(f"known after {name} has run"))
        if job.own_value:
            if job.id in self.values:
                values[job.name] = self.values[job.id]
            elif ticket.phase in (Phase.CHECK, Phase.RECHECK):
                return Result(Verdict.NOT_HOLDING, Failure("its own value is not known yet"))
        return self._bodies.prepare(ticket, values)

    def _take(self, take: Take, values: dict[str, object]) -> str:
        """Fetch the value of a parameter; return the id of an upstream job that has none, or empty."""
        for upstream in take.upstream:
            if upstream not in self.values:
                if not self._is_gate(upstream):
                    return upstream
                self.values[upstream] = None
        if take.keys is None:
            values[take.parameter] = self.values[take.upstream[0]]
        else:
            taken = (self.values[upstream] for upstream in take.upstream)
            values[take.parameter] = dict(zip(take.keys, taken, strict=True))
        return ""

    def _is_gate(self, id: str) -> bool:
        """Tell whether a job has nothing that could make a value; what is taken of it is None."""
        job = self.plan.graph[id]
        return not job.has_run and not job.has_describe

    def _finished(self, ticket: Ticket, result: Result) -> None:
        job = ticket.job
        del self._active[job.id]
        if self._interrupted and isinstance(result.error, KeyboardInterrupt):
            result = Result(Verdict.INTERRUPTED, Failure("interrupted"), output=result.output)
        if result.value is not NO_VALUE and ticket.phase in (Phase.RUN, Phase.DESCRIBE):
            self.values[job.id] = result.value
            self._store.put_value(self.run_id, job.id, result.value)
        output = result.output or NOTHING
        self._append(
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
            )
        )
        if ticket.phase in TAIL:
            self._bodies.tail_over(job.id, result)

    def _append(self, event: Event) -> None:
        entry = Entry(self._seq, self._clock.now(), self.run_id, event)
        self._store.append(entry)
        self._seq += 1
        self._scheduler.apply(event, entry.at)
        self.summary.apply(entry)
        for observer in self._observers:
            try:
                observer(entry)
            except Exception as error:  # noqa: BLE001 - whatever an observer does, the run goes on
                self.switched_off.append((observer, error))
        if self.switched_off:
            broken = [observer for observer, _ in self.switched_off]
            self._observers = [observer for observer in self._observers if observer not in broken]

    def _chance(self, job: str, attempt: int) -> float:
        return random.Random(f"{self.run_id} {job} {attempt}").random()


def failed(summary: Summary) -> bool:
    """Tell whether a run has anything that must not end with exit status 0."""
    bad = (Outcome.FAILED, Outcome.BLOCKED, Outcome.CANCELLED)
    tails = any(
        tail is not None and not tail.ok
        for record in summary.jobs.values()
        for tail in (record.close, record.cleanup)
    )
    return tails or any(summary.totals()[outcome] for outcome in bad)
