"""Bodies on the main thread, one after the other: `pdb`, `breakpoint()` and `-s` work in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from jobtest.core.model import Verdict
from jobtest.engine.calls import Call, Result, Ticket, failure_of
from jobtest.engine.executors.protocol import Finished, Prepare

__all__ = ["InlineExecutor"]

LONGEST_NAP = 0.1
"""Seconds between two looks whether somebody called `wake` while there was nothing to do but wait."""


class InlineExecutor:
    """Calls a body when it is started. Async bodies share one event loop.

    Attributes:
        calling: A body is being called.
    """

    def __init__(self) -> None:
        self.calling = False
        self._finished: list[Finished] = []
        self._runner: asyncio.Runner | None = None
        self._woken = False

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Call the body now."""
        call = prepare()
        self.calling = True
        try:
            result = call if isinstance(call, Result) else self._call(call)
        except (
            KeyboardInterrupt,
            SystemExit,
            RuntimeError,
        ) as error:  # from the event loop: a signal, a task, a stop
            result = Result(Verdict.RAISED, failure_of(error), error=error)
        finally:
            self.calling = False
        self._finished.append((ticket, result))

    def _call(self, call: Call) -> Result:
        if not call.is_async:
            return call()
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(call.awaited())

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return what was called since the last time; with nothing called, sleep."""
        if not self._finished and timeout:
            ends = time.monotonic() + timeout
            while not self._woken and (left := ends - time.monotonic()) > 0:
                time.sleep(min(left, LONGEST_NAP))
        self._woken = False
        finished, self._finished = self._finished, []
        return finished

    def wake(self) -> None:
        """End the sleep of `collect`."""
        self._woken = True

    def close(self) -> None:
        """Close the event loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
