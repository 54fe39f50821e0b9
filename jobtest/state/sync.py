"""Syncing in groups: one sync of the disk for all that was written within a tenth of a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["GroupSync"]


class GroupSync:
    """Calls `sync` soon after it was asked to, once for all who asked meanwhile, on a thread of its own.

    The thread starts when it is first needed and ends with `close` or the process. `sync` is never called by
    two threads at once. What it raises is raised as an `OSError` by the next `soon`, `now` or `close` and by
    all that follow, and `sync` is not called again: nobody knows what is on a disk that has failed once.
    """

    def __init__(self, sync: Callable[[], None], delay: float = 0.1) -> None:
        """Make it.

        Args:
            sync: Brings everything written so far to the disk; may raise.
            delay: Seconds from the first `soon` until `sync` is called.
        """
        self._sync = sync
        self._delay = delay
        self._due = False
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failed: OSError | None = None

    def soon(self) -> None:
        """Sync within `delay` seconds; returns at once.

        Raises:
            OSError: an earlier sync failed.
        """
        self._raise()
        if self._due:
            return  # what is written by now is part of the sync that is going to come
        self._due = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="jobtest-sync", daemon=True)
            self._thread.start()
        self._wake.set()

    def now(self) -> None:
        """Sync before it returns.

        Raises:
            OSError: this or an earlier sync failed.
        """
        self._due = False
        self._do()
        self._raise()

    def close(self) -> None:
        """Do at once what was asked for and end the thread; a second time does nothing.

        Raises:
            OSError: this or an earlier sync failed.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._raise()

    def _work(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(self._delay)
            self._wake.clear()
            if self._due:
                self._due = False
                self._do()

    def _do(self) -> None:
        with self._turn:
            if self._failed is not None:
                return
            try:
                self._sync()
            except Exception as error:  # noqa: BLE001 - it would end the thread, and nobody would know
                self._failed = error if isinstance(error, OSError) else OSError(f"sync failed: {error}")

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed
