"""An executor that calls nothing: a script says what comes of each phase, and how long it takes.

Time is a fake clock's, so an hour of retries takes as long as the decisions about it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobtest.core.model import Failure, Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.summary import Summary
from jobtest.engine.calls import NO_VALUE, Output, Result, Ticket
from jobtest.engine.executors.protocol import Finished, Prepare
from jobtest.engine.loop import Engine
from jobtest.testing.clock import FakeClock

__all__ = ["Act", "Script", "ScriptedBodies", "ScriptedExecutor", "Span", "simulate"]


@dataclass(frozen=True, slots=True)
class Act:
    """What comes of one phase.

    Attributes:
        verdict: For the scheduler.
        seconds: How long it takes.
        message: What went wrong; by default the verdict, if it is not `OK`.
        value: What a run or describe function returns; by default the id of its job.
        type: Name of the exception, for `retry_on`.
    """

    verdict: Verdict = Verdict.OK
    seconds: float = 1.0
    message: str = ""
    value: object = NO_VALUE
    type: str = ""


Script = Callable[[Ticket], Act]


@dataclass(slots=True)
class Span:
    """One phase that was carried out. Times in seconds on the fake clock; `end` is None while it runs."""

    ticket: Ticket
    start: float
    end: float | None = None

    @property
    def job(self) -> str:
        """Id of its job."""
        return self.ticket.job.id

    @property
    def phase(self) -> Phase:
        """Which phase."""
        return self.ticket.phase


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    span: Span = field(compare=False)
    result: Result = field(compare=False)


class ScriptedExecutor:
    """Carries out a script.

    Args:
        script: From a ticket to what comes of it; None: everything is well and takes a second.
        clock: Is advanced to the end of what ends next, or by the time that `collect` may wait.
        prepare: Whether the bodies are asked to prepare each phase; a result that comes of it counts.

    Attributes:
        spans: What was carried out, in the order of starting.
        closed: `close` was called.
    """

    def __init__(
        self, script: Script | None = None, clock: FakeClock | None = None, *, prepare: bool = False
    ) -> None:
        self.clock = clock or FakeClock()
        self.spans: list[Span] = []
        self.closed = False
        self._script = script or (lambda _: Act())
        self._prepare = prepare
        self._due: list[_Due] = []
        self._woken = False

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Put what the script says of a phase on the list of what is going to end."""
        act = self._script(ticket)
        result = _result(ticket, act)
        if self._prepare:
            prepared = prepare()
            result = prepared if isinstance(prepared, Result) else result
        now = self.clock.now()
        span = Span(ticket, now)
        self.spans.append(span)
        heapq.heappush(self._due, _Due(now + act.seconds, len(self.spans), span, result))

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Let time go by until something ends, or the timeout is over, and return what has ended.

        Raises:
            AssertionError: it would have to wait for ever.
        """
        if timeout is None and not self._due and not self._woken:
            raise AssertionError("waiting for ever: nothing is under way")
        now = self.clock.now()
        wait = 0.0 if self._woken else timeout
        self._woken = False
        soonest = self._due[0].at if self._due else None
        if soonest is None or (wait is not None and now + wait < soonest):
            self.clock.advance(wait or 0.0)
            return []
        self.clock.advance_to(soonest)
        return self._ended()

    def cancel(self, ticket: Ticket) -> bool:
        """Refuse: as on a thread, what has begun goes on."""
        return False

    def keeps_time(self, ticket: Ticket) -> bool:
        """Leave timeouts to the loop."""
        return False

    def note(self, ticket: Ticket) -> str:
        """Tell nothing."""
        return ""

    def wake(self) -> None:
        """Make the next `collect` return without waiting."""
        self._woken = True

    def close(self) -> None:
        """Note that the run is over."""
        self.closed = True

    def most_at_once(self, weight: Callable[[Ticket], float] = lambda _: 1.0) -> float:
        """Return the largest sum of weights under way at any time.

        What ends at the instant at which another one starts does not meet it.

        Args:
            weight: Of a phase, e.g. the amount of a resource that its job holds.
        """
        ends = [(span.end, 0, -weight(span.ticket)) for span in self.spans if span.end is not None]
        starts = [(span.start, 1, weight(span.ticket)) for span in self.spans]
        most = now = 0.0
        for _, _, change in sorted([*ends, *starts]):
            now += change
            most = max(most, now)
        return most

    def _ended(self) -> list[Finished]:
        finished: list[Finished] = []
        now = self.clock.now()
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            due.span.end = now
            finished.append((due.span.ticket, due.result))
        return finished


class ScriptedBodies:
    """Bodies for an executor that prepares nothing; remembers what the loop told them.

    Attributes:
        told: Method and job, in order.
        values: What was handed over to the phases that were prepared.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.values: list[tuple[Ticket, Mapping[str, object]]] = []

    def prepare(self, ticket: Ticket, values: Mapping[str, object]) -> _Nothing:
        """Remember the values."""
        self.values.append((ticket, dict(values)))
        return _Nothing()

    def attempt_over(self, job: str) -> None:
        """Remember the job."""
        self.told.append(("attempt_over", job))

    def left(self, job: str) -> Output:
        """Nothing is captured."""
        return Output()

    def at_once(self, job: str) -> bool:
        """Nothing takes time."""
        return False

    def job_over(self, job: str) -> None:
        """Remember the job."""
        self.told.append(("job_over", job))

    def tail_over(self, job: str, result: Result, *, earlier: bool) -> None:
        """Remember the job."""
        self.told.append(("earlier tail_over" if earlier else "tail_over", job))

    def files(self, job: str) -> None:
        """Name no files."""

    def run_over(self) -> None:
        """Report nothing."""


class _Nothing:
    """A call that an executor of this module never makes."""

    is_async = False

    def __call__(self) -> Result:
        raise AssertionError("a scripted executor calls no bodies")

    def through(self, _: object) -> _Nothing:
        return self

    async def awaited(self) -> Result:
        raise AssertionError("a scripted executor calls no bodies")


def simulate(
    plan: Plan,
    script: Script | None = None,
    **settings: Any,  # noqa: ANN401 - passed on; Engine names them
) -> tuple[Summary, ScriptedExecutor]:
    """Carry out a plan by a script, on a fake clock.

    Args:
        plan: What is to be done.
        script: From a ticket to what comes of it.
        settings: As in `Engine`; `clock` is a `FakeClock`.

    Returns:
        What the run came to, and the executor with its spans.
    """
    executor = ScriptedExecutor(script, settings.pop("clock", None))
    settings.setdefault("run_id", "simulated")
    engine = Engine(plan, ScriptedBodies(), executor, clock=executor.clock, **settings)
    return engine.run(), executor


def _result(ticket: Ticket, act: Act) -> Result:
    failure = None
    if act.verdict is not Verdict.OK:
        message = act.message or act.verdict.value
        failure = Failure(message, act.type, "", (act.type,) if act.type else ())
    makes_value = ticket.phase in (Phase.RUN, Phase.DESCRIBE) and act.verdict is Verdict.OK
    value = ticket.job.id if makes_value and act.value is NO_VALUE else act.value
    return Result(act.verdict, failure, value)
