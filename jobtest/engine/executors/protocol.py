"""What the loop asks of an executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from jobtest.engine.calls import Call, Result, Ticket

__all__ = ["Executor", "Finished", "Prepare"]

Prepare = Callable[[], Call | Result]
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

    def wake(self) -> None:
        """Make a waiting `collect` return; from any thread and from signal handlers."""

    def close(self) -> None:
        """End all threads that have nothing to do any more; does not wait for bodies."""
