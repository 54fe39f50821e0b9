"""What the loop asks of an executor, and what lanes share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from jobtest.engine.calls import Call, Isolated, Result, Ticket

__all__ = ["Executor", "Finished", "Inbox", "Prepare"]

Prepare = Callable[[], Call | Isolated | Result]
"""Makes a phase ready, on the main thread. A `Result` instead of a call is what it came to without one."""

Finished = tuple[Ticket, Result]


class Executor(Protocol):
    """Calls bodies. All methods are called on the main thread, but for `wake`."""

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Begin a phase; its result comes out of `collect`, once."""

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return what has finished, waiting up to `timeout` seconds (None: for ever) for the first one.

        Returns nothing after the time, after `wake`, and at once if nothing is under way and no time is
        given.
        """

    def cancel(self, ticket: Ticket) -> bool:
        """Begin to end a phase that is under way; False if that cannot be done.

        The second time it is ended at once. Its result comes in any case.
        """

    def keeps_time(self, ticket: Ticket) -> bool:
        """Tell whether the executor itself ends a phase that is under way at its timeout."""

    def note(self, ticket: Ticket) -> str:
        """Return what is to be told of a phase that does not come to its end, or empty."""

    def wake(self) -> None:
        """Make a waiting `collect` return; from any thread and from signal handlers."""

    def close(self) -> None:
        """End all threads and processes that have nothing to do any more; does not wait for bodies."""


class Inbox:
    """Where the results of all lanes arrive."""

    def __init__(self) -> None:
        self._finished: SimpleQueue[tuple[Ticket, Result | Callable[[], Result]] | None] = SimpleQueue()
        self._expected = 0

    def expect(self) -> None:
        """Count a phase that is under way; on the main thread."""
        self._expected += 1

    def put(self, ticket: Ticket, result: Result | Callable[[], Result]) -> None:
        """Hand in the result of a phase that was expected, or how to make it; from any thread."""
        self._finished.put((ticket, result))

    def wake(self) -> None:
        """Put nothing where results are waited for."""
        self._finished.put(None)

    def collect(self, timeout: float | None) -> list[Finished]:
        """Return what has arrived; as `Executor.collect`."""
        found: list[tuple[Ticket, Result | Callable[[], Result]]] = []
        with contextlib.suppress(Empty):
            waits = self._expected or timeout
            first = self._finished.get(timeout=timeout) if waits else self._finished.get_nowait()
            if first is not None:
                found.append(first)
            while True:
                more = self._finished.get_nowait()
                if more is not None:
                    found.append(more)
        self._expected -= len(found)
        return [(ticket, one if isinstance(one, Result) else one()) for ticket, one in found]
