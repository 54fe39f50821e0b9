"""Bodies on worker threads; async ones on one event loop in a thread of its own.

The threads are daemons: a body that hangs cannot keep the process from ending. The scheduler bounds how many
bodies are under way, so a thread is made whenever none is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from jobtest.engine.calls import Call, Result, Ticket
from jobtest.engine.executors.protocol import Finished, Prepare

__all__ = ["ThreadExecutor"]


class ThreadExecutor:
    """Calls bodies in parallel."""

    def __init__(self) -> None:
        self._todo: SimpleQueue[tuple[Ticket, Call] | None] = SimpleQueue()
        self._finished: SimpleQueue[Finished | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Prepare here, call the body on another thread."""
        call = prepare()
        if isinstance(call, Result):
            self._busy += 1
            self._finished.put((ticket, call))
        elif ticket.job.exclusive:
            self._busy += 1
            self._finished.put((ticket, self._here(call)))
        elif call.is_async:
            self._busy += 1
            asyncio.run_coroutine_threadsafe(self._await(ticket, call), self._running_loop())
        else:
            self._busy += 1
            if self._busy > self._threads:
                self._threads += 1
                threading.Thread(target=self._work, name=f"jobtest-{self._threads}", daemon=True).start()
            self._todo.put((ticket, call))

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return what has finished."""
        found: list[Finished] = []
        with contextlib.suppress(Empty):
            first = (
                self._finished.get(timeout=timeout) if self._busy or timeout else self._finished.get_nowait()
            )
            if first is not None:
                found.append(first)
            while True:
                more = self._finished.get_nowait()
                if more is not None:
                    found.append(more)
        self._busy -= len(found)
        return found

    def wake(self) -> None:
        """Put nothing where results are waited for."""
        self._finished.put(None)

    def close(self) -> None:
        """Tell idle threads and the loop to end."""
        for _ in range(self._threads):
            self._todo.put(None)
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _here(self, call: Call) -> Result:
        """Call a body that must be alone on this thread, as if there were no others."""
        if call.is_async:
            return asyncio.run_coroutine_threadsafe(call.awaited(), self._running_loop()).result()
        return call()

    def _work(self) -> None:
        while True:
            task = self._todo.get()
            if task is None:
                return
            ticket, call = task
            self._finished.put((ticket, call()))
            del task, call

    async def _await(self, ticket: Ticket, call: Call) -> None:
        self._finished.put((ticket, await call.awaited()))

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._run_loop, args=(self._loop,), name="jobtest-loop", daemon=True
            ).start()
        return self._loop

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run until closed, also if a body stops the loop or raises SystemExit in a task."""
        asyncio.set_event_loop(loop)
        while not self._closed:
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
        loop.close()
