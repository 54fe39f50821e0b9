"""A run with injected faults is an executor: what it is asked to call fails as somebody wished."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobtest.core.data import from_data, to_data
from jobtest.core.faults import INJECTED, Fault, FaultKind
from jobtest.core.model import NOT_ENTERED, Failure, Phase, Verdict
from jobtest.engine.calls import Call, Isolated, Key, Output, Result, Ticket, failure_of
from jobtest.engine.executors.protocol import Executor, Finished, Prepare

__all__ = ["FaultyExecutor", "Injected", "with_fault"]

BEFORE = NOT_ENTERED | {Verdict.SKIPPED}
"""What comes of a run phase that did not get as far as its fault."""

Function = Callable[..., object]


class Injected(Exception):
    """What a run phase raises that is to fail."""


class FaultyExecutor:
    """Has phases called by another executor, and some run phases fail on purpose; each of these is told.

    Set-up comes as ever, and a real failure there wins. What follows is what follows a real fault.

    Args:
        inner: Calls phases.
        faults: By the id of a job; no two for one attempt.
    """

    def __init__(self, inner: Executor, faults: Mapping[str, Sequence[Fault]]) -> None:
        self._inner, self._faults = inner, faults
        self._under_way: dict[Key, Fault] = {}
        self._waits: dict[Key, _Wait] = {}

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Begin a phase, or what it is to come to instead."""
        faults = self._faults.get(ticket.job.id, ()) if ticket.phase is Phase.RUN else ()
        fault = next((one for one in faults if one.at(ticket.attempt)), None)
        if fault is None:
            self._inner.start(ticket, prepare)
            return
        self._under_way[ticket.key] = fault
        self._inner.start(ticket, lambda: self._instead(ticket, fault, prepare()))

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return what has finished; what had a fault tells so."""
        return [(ticket, self._marked(ticket, result)) for ticket, result in self._inner.collect(timeout)]

    def cancel(self, ticket: Ticket) -> bool:
        """End a delay; else ask the other executor."""
        wait = self._waits.get(ticket.key)
        return (wait is not None and wait.end()) or self._inner.cancel(ticket)

    def keeps_time(self, ticket: Ticket) -> bool:
        """Ask the other executor."""
        return self._inner.keeps_time(ticket)

    def note(self, ticket: Ticket) -> str:
        """Return the fault that a phase had, and what the other executor says."""
        note, fault = self._inner.note(ticket), self._under_way.get(ticket.key)
        return note if fault is None else f"{_note(ticket, fault)}\n{note}".rstrip()

    def wake(self) -> None:
        """Wake the other executor."""
        self._inner.wake()

    def close(self) -> None:
        """Close the other executor."""
        self._inner.close()

    def _instead(
        self, ticket: Ticket, fault: Fault, call: Call | Isolated | Result
    ) -> Call | Isolated | Result:
        if isinstance(call, Result):
            return call
        if fault.kind is FaultKind.TIMEOUT:
            types = failure_of(TimeoutError()).types
            return Result(Verdict.TIMED_OUT, Failure(f"timed out, {fault.said}", types=types))
        if isinstance(call, Isolated):
            return replace(call, message={**call.message, "fault": to_data(fault)})
        wait = _Wait(fault.seconds)
        if not call.is_async:  # which has its own way to be ended
            self._waits[ticket.key] = wait
        return call.through(lambda function: _faulty(function, fault, wait))

    def _marked(self, ticket: Ticket, result: Result) -> Result:
        self._waits.pop(ticket.key, None)
        fault = self._under_way.pop(ticket.key, None)
        if fault is None or result.verdict in BEFORE:
            return result
        failure, output = result.failure, result.output or Output()
        if fault.kind is FaultKind.FAIL and failure is not None:
            kinds = (*failure.types, *ticket.job.retry.on)  # whatever the job is tried again for
            failure = replace(failure, type="", types=kinds)
        if fault.kind is FaultKind.KILL and result.verdict is Verdict.CRASHED:
            failure = Failure(f"was cut short, {fault.said}")
        output = replace(output, notes=[*output.notes, _note(ticket, fault)])
        return replace(result, failure=failure, output=output)


class _Wait:
    """A wait that can be ended as long as it lasts; what comes after it does not come then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lasts = True
        self._ended = threading.Event()
        self._guard = threading.Lock()

    def __call__(self) -> None:
        """Wait.

        Raises:
            Injected: it was ended.
        """
        __tracebackhide__ = True
        self._ended.wait(self._seconds)
        with self._guard:
            self._lasts = False
            if self._ended.is_set():
                raise Injected("its delay was ended")

    def end(self) -> bool:
        """End it; False if it is over."""
        with self._guard:
            if self._lasts:
                self._ended.set()
            return self._lasts


def with_fault(call: Call | Isolated | Result, data: Mapping[str, Any] | None) -> Call | Isolated | Result:
    """Return a call as the message of an isolated phase wishes it, in the process where it is called."""
    if data is None or isinstance(call, Isolated | Result):
        return call
    fault = from_data(Fault, data)
    return call.through(lambda function: _faulty(function, fault, _Wait(fault.seconds)))


def _faulty(function: Function, fault: Fault, wait: _Wait) -> Function:
    """Return what is called instead of a function."""

    def fail(**_: object) -> None:
        __tracebackhide__ = True
        raise Injected(fault.said)

    def kill(**_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def late(**arguments: object) -> object:
        __tracebackhide__ = True
        wait()
        return function(**arguments)

    async def late_async(**arguments: object) -> object:
        import asyncio  # large, and few need it

        __tracebackhide__ = True
        await asyncio.sleep(fault.seconds)
        awaitable: Any = function(**arguments)
        return await awaitable

    if fault.kind is FaultKind.DELAY:
        return late_async if inspect.iscoroutinefunction(function) else late
    return fail if fault.kind is FaultKind.FAIL else kill


def _note(ticket: Ticket, fault: Fault) -> str:
    return f"{INJECTED}{fault.told(ticket.attempt)}"
