"""Async bodies on one event loop, in a thread of its own; and who blocks it.

A body that does not give way is told of by its own name, with the stack where it stands: the others wait for
it, and so does its own timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from jobtest.core.model import Failure, Verdict
from jobtest.engine.calls import Call, FunctionCall, Key, Output, Result, Ticket
from jobtest.engine.executors.protocol import Inbox

__all__ = ["LoopLane"]

OURS = str(Path(__file__).parents[2])
"""Where the code of jobtest lies; nobody wants to see it in a stack."""

BLOCKED = 1.0
"""Seconds without a turn of the loop after which the body that has it is told of."""


class LoopLane:
    """Calls and awaits bodies side by side.

    Args:
        inbox: For their results.
        blocked: Seconds after which a body that blocks the loop is told of.
    """

    def __init__(self, inbox: Inbox, blocked: float = BLOCKED) -> None:
        self._inbox, self._blocked = inbox, blocked
        self._tasks: dict[Key, asyncio.Task[Result]] = {}
        self._notes: dict[Key, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turned = threading.Event()
        self._closed = threading.Event()

    def start(self, ticket: Ticket, call: Call) -> None:
        """Await a body on the loop."""
        loop = self._running_loop()
        loop.call_soon_threadsafe(self._begin, ticket, call)

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a body at its next `await`."""
        self._running_loop().call_soon_threadsafe(self._cancel, ticket)

    def note(self, ticket: Ticket) -> str:
        """Return what is to be told of a body that has not given way, or empty."""
        return self._notes.get(ticket.key, "")

    def close(self) -> None:
        """Stop the loop; what still runs on it is cancelled, and not waited for."""
        self._closed.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    # --- on the loop ---

    def _begin(self, ticket: Ticket, call: Call) -> None:
        task = self._tasks[ticket.key] = asyncio.ensure_future(self._await(ticket, call))
        task.add_done_callback(lambda task: self._ended(ticket, task))

    def _cancel(self, ticket: Ticket) -> None:
        if ticket.key in self._tasks:
            self._tasks[ticket.key].cancel()

    async def _await(self, ticket: Ticket, call: Call) -> Result:
        return await call.awaited()

    def _ended(self, ticket: Ticket, task: asyncio.Task[Result]) -> None:
        """Hand in what came of a body; one that was cancelled before it began has no result of its own."""
        del self._tasks[ticket.key]
        result = Result(Verdict.INTERRUPTED, Failure("cancelled")) if task.cancelled() else task.result()
        note = self._notes.pop(ticket.key, "")
        if note:
            result.output = result.output or Output()
            result.output.notes.append(note)
        self._inbox.put(ticket, result)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._run, args=(self._loop,), name="jobtest-loop", daemon=True
            )
            self._thread.start()
            threading.Thread(target=self._watch, name="jobtest-loop-watch", daemon=True).start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run until closed, also if a body stops the loop or raises SystemExit in a task."""
        asyncio.set_event_loop(loop)
        while not self._closed.is_set():
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
        for task in list(self._tasks.values()):
            task.cancel()
        with contextlib.suppress(BaseException):
            loop.run_until_complete(_turn())
        loop.close()

    # --- beside the loop ---

    def _watch(self) -> None:
        """Ask the loop for a turn again and again; name who holds it if it does not come."""
        assert self._loop is not None
        while not self._closed.wait(self._blocked / 2):
            self._turned.clear()
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._turned.set)
            while not self._turned.wait(self._blocked):
                if self._closed.is_set():
                    return
                self._tell()

    def _tell(self) -> None:
        """Note the stack of the body that has the loop now."""
        assert self._thread is not None
        frame = sys._current_frames().get(self._thread.ident or 0)
        ticket, stack = _whose(frame)
        if ticket is not None and ticket.key not in self._notes:
            self._notes[ticket.key] = (
                f"it blocks the event loop, and all async jobs wait: await in it, or drop the async\n{stack}"
            )


async def _turn() -> None:
    await asyncio.sleep(0)


def _whose(frame: FrameType | None) -> tuple[Ticket | None, str]:
    """Return which phase a stack of the loop's thread belongs to, and its innermost part as text."""
    inner: list[tuple[FrameType, int]] = []
    while frame is not None:
        if frame.f_code is FunctionCall._result.__code__:
            return None, ""  # the body is over
        if frame.f_code is LoopLane._await.__code__:
            found: Any = frame.f_locals.get("ticket")
            return found, "".join(traceback.StackSummary.extract(reversed(inner)).format()).rstrip()
        if not frame.f_code.co_filename.startswith(OURS):
            inner.append((frame, frame.f_lineno))
        frame = frame.f_back
    return None, ""
