"""Starting a warden by a fork, while that is safe: as long as this process has one thread."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from jobtest.engine.executors.process.tree import adopt_orphans, alone, children, kill_tree
from jobtest.engine.executors.process.warden import MARK, ChildMain, serve

__all__ = ["ForkedWarden"]


class ForkedWarden:
    """Forks wardens of this process, with all that it has in memory.

    Args:
        main: What goes on in a child.
        run: Id of the run.

    Attributes:
        folder: Where children leave what they print.
    """

    def __init__(self, main: ChildMain, run: str) -> None:
        self._main, self._run = main, run
        self._pid = 0
        self.folder = Path(tempfile.mkdtemp(prefix="jobtest-"))
        adopt_orphans()

    def start(self) -> socket.socket:
        """Fork a warden.

        Raises:
            OSError: there are threads, or no process can be had.
        """
        if not alone():
            raise OSError("this process has threads, and cannot be forked any more")
        sys.stdout.flush()
        sys.stderr.flush()
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            try:
                ours.close()
                os.setsid()
                serve(theirs, self._main, self._run, self.folder)
            finally:
                os._exit(1)
        theirs.close()
        return ours

    def close(self) -> None:
        """Wait for the warden, and take away what children have left in the folder."""
        self.sweep()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Kill what attempts have left behind, after the warden was killed that should have done so."""
        if self._pid:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        mark = f"{MARK}={self._run}/".encode()
        for pid in children(os.getpid()):
            with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as stream:
                if mark in stream.read():
                    kill_tree(pid)
                    with suppress(ChildProcessError):
                        os.waitpid(pid, 0)
