"""Bodies on the main thread, one after the other: `pdb`, `breakpoint()` and `-s` work in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobtest.core.model import Verdict
from jobtest.engine.calls import Call, Result, Ticket, failure_of
from jobtest.engine.executors.protocol import Inbox

if TYPE_CHECKING:
    import asyncio

__all__ = ["MainLane"]


class MainLane:
    """Calls a body when it is started. Async bodies share one event loop.

    Args:
        inbox: For their results.

    Attributes:
        calling: A body is being called.
    """

    def __init__(self, inbox: Inbox) -> None:
        self.calling = False
        self._inbox = inbox
        self._runner: asyncio.Runner | None = None

    def start(self, ticket: Ticket, call: Call) -> None:
        """Call the body now."""
        self.calling = True
        try:
            result = self._call(call)
        except (
            KeyboardInterrupt,
            SystemExit,
            RuntimeError,
        ) as error:  # from the event loop: a signal, a task, a stop
            result = Result(Verdict.RAISED, failure_of(error), error=error)
        finally:
            self.calling = False
        self._inbox.put(ticket, result)

    def _call(self, call: Call) -> Result:
        if not call.is_async:
            return call()
        import asyncio  # large, and few need it

        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(call.awaited())

    def close(self) -> None:
        """Close the event loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
