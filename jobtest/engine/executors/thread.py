"""Bodies on worker threads.

The threads are daemons: a body that hangs cannot keep the process from ending. The scheduler bounds how many
bodies are under way, so a thread is made whenever none is free; one whose body was abandoned counts no more.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

from jobtest.engine.calls import Call, Ticket
from jobtest.engine.executors.protocol import Inbox

__all__ = ["ThreadLane"]


class ThreadLane:
    """Calls bodies in parallel.

    Args:
        inbox: For their results.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._todo: SimpleQueue[tuple[Ticket, Call] | None] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._guard = threading.Lock()

    def start(self, ticket: Ticket, call: Call) -> None:
        """Call a body on another thread."""
        with self._guard:
            self._idle -= 1
            needs_one = self._idle < 0
            if needs_one:
                self._idle += 1
        if needs_one:
            self._threads += 1
            threading.Thread(target=self._work, name=f"jobtest-{self._threads}", daemon=True).start()
        self._todo.put((ticket, call))

    def close(self) -> None:
        """Tell idle threads to end."""
        for _ in range(self._threads):
            self._todo.put(None)

    def _work(self) -> None:
        while True:
            task = self._todo.get()
            if task is None:
                return
            ticket, call = task
            result = call()
            with self._guard:
                self._idle += 1
            self._inbox.put(ticket, result)
            del task, call, result
