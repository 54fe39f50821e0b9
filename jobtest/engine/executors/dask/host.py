"""A process beside a Dask worker that has collected the project and calls phases, one at a time.

It is ended with all it has started when it is told to, when a phase has had its time, and when the worker
has gone: then its socket has an end.

Messages to it, by `op`: `setup` (once, first), `phase` (`body`, `last`), `answer`, `end` (`job`), `close`.
From it: `ready` (`problems`, `failed`), questions of bodies, and one with `done` for every order.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobtest.engine.executors.process.frames import Frames, Message
from jobtest.engine.executors.process.output import read_from
from jobtest.engine.executors.process.tree import kill_tree, signal_tree

__all__ = ["GRACE", "LONGEST_START", "Gone", "Host"]

GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL."""

LONGEST_START = 300.0
"""Seconds that collecting the project may take."""

KEY = "host"

Ask = Callable[[Message], Message]
"""From a question of a body to its answer; called on the thread that waits for the body."""


class Gone(Exception):
    """The process ended before it answered.

    Attributes:
        why: `timeout`, `cancel`, or empty: by itself.
        output: What it had printed since the phase began, by stream.
    """

    def __init__(self, said: str, why: str, output: Mapping[str, str]) -> None:
        super().__init__(said)
        self.why, self.output = why, output


class Host:
    """One such process.

    Args:
        setup: What it is told first; `module` is run, in the folder `root`.
        scratch: Where it has its folder for what it prints; None: where temporary files are.

    Attributes:
        ready: What it said of the project; empty before `start`.
    """

    def __init__(self, setup: Message, scratch: str | None = None) -> None:
        self._setup = setup
        self.ready: Message = {}
        self._folder = Path(tempfile.mkdtemp(prefix="jobtest-dask-", dir=scratch))
        self._why = ""
        self._busy = ""
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: Frames
        self._waiting: list[Message] = []
        self._begins: dict[str, int] = {}

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process is not None and self._process.poll() is None and not self._why

    def start(self) -> Message:
        """Start it and wait until it has collected the project; return what it said.

        Raises:
            Gone: it ended before.
            OSError: there is no process to be had.
        """
        ours, theirs = socket.socketpair()
        root = self._setup["root"]
        argv = [sys.executable, "-P", "-m", self._setup["module"], str(theirs.fileno()), str(self._folder)]
        with theirs, self._open("stdout") as out, self._open("stderr") as err:
            self._process = subprocess.Popen(
                argv,
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._frames = Frames(ours)
        self.ready = self.ask("", {"op": "setup", **self._setup}, LONGEST_START, lambda _: {})
        return self.ready

    def _open(self, name: str) -> Any:  # noqa: ANN401 - a file
        return open(self._folder / f"{KEY}.{name}", "ab")

    def ask(self, key: str, order: Message, timeout: float | None, ask: Ask) -> Message:
        """Have an order carried out and return what it came to; one at a time.

        Args:
            key: Of the attempt, for `cancel`.
            order: What is to be done.
            timeout: Seconds that it may take.
            ask: Answers what the body asks meanwhile.

        Raises:
            Gone: it ended before it answered, or was ended.
        """
        with self._guard:
            self._busy = key
        self._begins = self._sizes()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._send(order)
            while True:
                said = self._next(deadline)
                if said is None:
                    raise self._gone()
                if "done" in said:
                    found: Message = said["done"]
                    return found
                self._send(ask(said))
        finally:
            with self._guard:
                self._busy = ""

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # it is dying, and its end is seen
            self._frames.send(message)

    def _next(self, deadline: float | None) -> Message | None:
        while not self._waiting:
            if deadline is not None:
                poll = select.poll()
                poll.register(self._frames, select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    self._end("timeout", now=False)
                    deadline = None
                    continue
            messages = self._frames.receive()
            if messages is None:
                return None
            self._waiting += messages
        return self._waiting.pop(0)

    def cancel(self, key: str, *, now: bool) -> bool:
        """End it if it is at work for that attempt; tell whether it is."""
        with self._guard:
            busy = self._busy == key
        if busy:
            self._end("cancel", now=now)
        return busy

    def kill(self, why: str) -> None:
        """End it at once."""
        self._end(why, now=True)

    def _end(self, why: str, *, now: bool) -> None:
        process = self._process
        if process is None:
            return
        self._why = self._why or why
        if process.poll() is not None:
            return
        if now:
            kill_tree(process.pid)
            return
        signal_tree(process.pid, signal.SIGTERM)
        later = threading.Timer(GRACE, kill_tree, (process.pid,))
        later.daemon = True
        later.start()
        threading.Thread(target=_cancel_when_gone, args=(process, later), daemon=True).start()

    def _gone(self) -> Gone:
        assert self._process is not None
        try:
            status = self._process.wait(GRACE * 2)
        except subprocess.TimeoutExpired:
            kill_tree(self._process.pid)
            status = self._process.wait()
        with suppress(OSError):  # what it has left behind is in its group
            os.killpg(self._process.pid, signal.SIGKILL)
        words = read_from(self._folder, KEY, self._begins)
        output = {"stdout": words.stdout, "stderr": words.stderr}
        return Gone(_how(status), self._why, output)

    def _sizes(self) -> dict[str, int]:
        found = {}
        for name in ("stdout", "stderr"):
            with suppress(OSError):
                found[name] = os.stat(self._folder / f"{KEY}.{name}").st_size
        return found

    def close(self, timeout: float) -> Message:
        """Have it tear down what it has set up, end it, and return what it said of that; empty if nothing."""
        said: Message = {}
        try:
            if self.alive:
                said = self.ask("", {"op": "close"}, timeout, lambda _: {})
        except Gone as gone:
            said = {"torn": [f"its process {gone} while it tore down what it had set up"], **gone.output}
        finally:
            self._end("close", now=True)
            if self._process is not None:
                self._process.wait()
                self._frames.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        return said


def _cancel_when_gone(process: subprocess.Popen[bytes], later: threading.Timer) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
        later.cancel()


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"ended with {name}{', likely out of memory' if name == 'SIGKILL' else ''}"
