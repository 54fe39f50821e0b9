"""A warden in a fresh interpreter, for when this process cannot be forked: it collects the project again.

The interpreter is told by a variable in its environment which descriptors are meant for it. What it prints
before it serves goes to a file, and is shown if it never does.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobtest.engine.executors.process.tree import die_with_parent, outlive_parent
from jobtest.engine.executors.process.warden import Orders

__all__ = ["VARIABLE", "Fresh", "Post", "post"]

VARIABLE = "JOBTEST_WARDEN"
"""In the environment of a fresh warden until it has read it: its `Post`, as JSON."""

READY = b"+"
"""What it sends first, when it serves."""

LONGEST_START = 60.0
"""Seconds that it may take to collect the project."""

SHOWN = 2000
"""Characters of what it printed that are shown if it does not serve."""


class Fresh:
    """A fresh interpreter that is to serve as a warden.

    Args:
        command: Starts it; it has to call `post`, and to serve.
        folder: Where it is started.
        orders: What it needs to know as a warden.
        facts: What it needs to know beside that; JSON.
        shares: Whether children print where this process prints.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        orders: Orders,
        facts: Mapping[str, object],
        *,
        shares: bool,
    ) -> None:
        self._command, self._folder = command, folder
        self._orders, self._facts, self._shares = orders, facts, shares

    def start(self) -> tuple[socket.socket, int]:
        """Start it, and wait until it serves; return the connection and its process id.

        Raises:
            OSError: it does not serve; with what it printed.
        """
        printed = self._orders.folder / "warden"
        ours, theirs = socket.socketpair()
        with theirs, printed.open("wb") as log:
            process = self._started(theirs.fileno(), log)
        try:
            self._wait(ours)
        except OSError as error:
            ours.close()
            process.kill()
            process.wait()
            said = printed.read_text(encoding="utf-8", errors="replace")[-SHOWN:]
            raise OSError(
                f"the helper that keeps processes did not start: {error}\n{said}".rstrip()
            ) from None
        process.returncode = 0  # whoever has its id waits for it
        return ours, process.pid

    def _started(self, fd: int, log: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - any open file
        shared = [1, 2] if self._shares else []
        copies = [os.dup(one) for one in shared]
        orders = {**asdict(self._orders), "folder": str(self._orders.folder)}
        given = {
            "socket": fd,
            "parent": os.getpid(),
            "prints": copies,
            "orders": orders,
            "facts": self._facts,
        }
        try:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(fd, *copies),
                env={**os.environ, VARIABLE: json.dumps(given)},
                start_new_session=True,
            )
        finally:
            for one in copies:
                os.close(one)

    @staticmethod
    def _wait(ours: socket.socket) -> None:
        ready, _, _ = select.select([ours], [], [], LONGEST_START)
        if not ready:
            raise OSError(f"it took more than {LONGEST_START:g} s")
        if ours.recv(1) != READY:
            raise OSError("it has ended")


@dataclass(frozen=True, slots=True)
class Post:
    """What a fresh warden was given.

    Attributes:
        socket: To the orchestrator.
        orders: What it needs to know as a warden.
        facts: What it needs to know beside that.
        prints: Where children print, or nothing: to files.
    """

    socket: socket.socket
    orders: Orders
    facts: Mapping[str, Any]
    prints: Sequence[int]

    def ready(self) -> None:
        """Tell that it serves; from now on it may outlive the orchestrator, as it has to clean up."""
        for fd, one in enumerate(self.prints, start=1):
            os.dup2(one, fd)
            os.close(one)
        outlive_parent()
        self.socket.sendall(READY)


def post() -> Post | None:
    """Return what this process was given, if it is to be a warden; once."""
    given = os.environ.pop(VARIABLE, "")
    if not given:
        return None
    data = json.loads(given)
    die_with_parent(data["parent"])
    for fd in (data["socket"], *data["prints"]):
        with suppress(OSError):
            os.set_inheritable(fd, False)
    orders = Orders(**{**data["orders"], "folder": Path(data["orders"]["folder"])})
    return Post(socket.socket(fileno=data["socket"]), orders, data["facts"], data["prints"])
