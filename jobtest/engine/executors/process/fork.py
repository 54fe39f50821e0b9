"""Starting wardens: the first one is a fork of this process, while it has one thread; others are fresh."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jobtest.engine.executors.process.fresh import Fresh
from jobtest.engine.executors.process.tree import adopt_orphans, children, kill_tree, reap
from jobtest.engine.executors.process.warden import GRACE, MARK, Orders, Ready, less_dear, serve

__all__ = ["Wardens"]

GOODBYE = 10.0
"""Seconds that a warden has to end what it has, after its connection was closed."""


class Wardens:
    """Starts wardens, one after another.

    The first is forked, with all that this process has in memory. With threads that could not be done
    safely: a lock that one of them holds would be held for ever. Then, and whenever a warden was killed,
    the next one is a fresh interpreter.

    Args:
        ready: Called in a forked warden, returns what goes on in its children.
        fresh: Starts a fresh warden, when it is given its orders.
        run: Id of the run.
        grace: Seconds from SIGTERM to SIGKILL.

    Attributes:
        folder: Where children leave what they print.
    """

    def __init__(
        self, ready: Ready, fresh: Callable[[Orders], Fresh], run: str, grace: float = GRACE
    ) -> None:
        self._ready, self._fresh = ready, fresh
        self._pid = 0
        self._forked = False
        self.folder = Path(tempfile.mkdtemp(prefix="jobtest-"))
        self._orders = Orders(run, self.folder, grace, _dear("self"))
        adopt_orphans()

    def start(self) -> socket.socket:
        """Start a warden; for the main thread.

        Raises:
            OSError: no process can be had, or it cannot collect the project.
        """
        self.folder.mkdir(exist_ok=True)
        if self._forked or threading.active_count() > 1:
            fresh = self._fresh(self._orders)
            ours, self._pid = fresh.start()
            return ours
        self._forked = True
        return self._fork()

    def _fork(self) -> socket.socket:
        sys.stdout.flush()
        sys.stderr.flush()
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            try:
                ours.close()
                os.setsid()
                serve(theirs, self._ready, self._orders)
            finally:
                os._exit(1)
        theirs.close()
        return ours

    def close(self) -> None:
        """Wait for the warden, and take away what children have left in the folder."""
        self.sweep()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Wait for a warden whose connection has ended, and kill what it has left behind if it was killed.

        Its children end with it. What they had started came to this process.
        """
        if self._pid:
            reap([self._pid], GOODBYE)
            with suppress(OSError):
                if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                    kill_tree(self._pid)
                    reap([self._pid], 1.0)
            self._pid = 0
        for _ in range(100):
            left = [pid for pid in children(os.getpid()) if self._is_left(pid)]
            if not left:
                return
            for pid in left:
                kill_tree(pid)
            reap(left, 1.0)

    def _is_left(self, pid: int) -> bool:
        """Tell whether a process was started by an attempt.

        The mark is in the environment of what was executed there. What was only forked has that of this
        process, and is known by being less dear to the system, which it cannot undo.
        """
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as stream:
            if f"{MARK}={self._orders.run}/".encode() in stream.read():
                return True
        children_are = less_dear(self._orders.dear)
        return children_are != self._orders.dear and _dear(str(pid)) == children_are


def _dear(pid: str) -> int:
    """Return how dear a process is to the system when memory is short; higher is less."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/oom_score_adj", "rb") as stream:
        return int(stream.read())
    return 0
