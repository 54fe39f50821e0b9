"""The warden: a helper with one thread that forks a process for each attempt, and sees to its end.

It is forked before there are threads, with the project collected, so that a child has all of it at once.
It keeps timeouts, and kills the whole tree of an attempt at one, when it is told to, when the attempt is
over, and when the orchestrator has gone in whatever way: then its socket has an end.

A child becomes the parent of what its descendants leave behind. When it ends, these come to the warden,
which kills every child that is not one of its own attempts.

Messages to the warden, by `op`:

| op | says |
|---|---|
| `phase` | `key` of the attempt, `body` for its child, `timeout` in seconds or null, `memory` in bytes |
| `tell` | `body` for the child of `key`, an answer to what it asked |
| `end` | the attempt is over: its child may tear down, in `timeout` seconds |
| `cancel` | end it: first politely; `now`: at once |

and from it: `said` (`body` from the child of `key`) and `gone` (`status` as of `waitpid`, `why`: `timeout`,
`cancel` or empty, `peak` in KiB, `forked`: false if there was no child at all).
"""

from __future__ import annotations

import gc
import os
import resource
import selectors
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from jobtest.engine.executors.process.frames import Frames, Message
from jobtest.engine.executors.process.tree import (
    adopt_orphans,
    children,
    die_with_parent,
    kill_tree,
    signal_tree,
)

__all__ = ["GRACE", "MARK", "ChildMain", "serve"]

GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL."""

MARK = "JOBTEST_ATTEMPT"
"""Variable in the environment of whatever an attempt starts; names the run and the attempt."""

LAST_BREATH = 0.3
"""Seconds that a process has to end by itself after it closed its connection, as one does that is ending."""

FOR_EVER = 1e9

ChildMain = Callable[[Frames, str], None]
"""What goes on in a child: its connection, and the key of its attempt. Its return ends the process."""


@dataclass(slots=True)
class _Child:
    key: str
    pid: int
    frames: Frames
    why: str = ""
    over: str = "timeout"
    deadline: float = FOR_EVER
    kill_at: float = FOR_EVER
    ended: bool = False


def serve(sock: socket.socket, main: ChildMain, run: str, folder: Path) -> NoReturn:
    """Be the warden; ends the process.

    Args:
        sock: To the orchestrator.
        main: What goes on in a child.
        run: Id of the run, for the mark.
        folder: Where children leave what they print; taken away at the end.
    """
    status = 1
    try:
        _Warden(Frames(sock), main, run).serve()
        status = 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(status)


class _Warden:
    def __init__(self, orders: Frames, main: ChildMain, run: str) -> None:
        self._orders, self._main, self._run = orders, main, run
        self._children: dict[str, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wakes, self._wakened = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakened, warn_on_full_buffer=False)
        adopt_orphans()
        gc.freeze()
        self._selector.register(self._orders, selectors.EVENT_READ, None)
        self._selector.register(self._wakes, selectors.EVENT_READ, None)
        try:
            while self._turn():
                pass
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """Wait for something to happen, and see to it; False if the orchestrator has gone."""
        soonest = min((min(one.deadline, one.kill_at) for one in self._children.values()), default=FOR_EVER)
        wait = None if soonest == FOR_EVER else max(0.0, soonest - time.monotonic())
        for ready, _ in self._selector.select(wait):
            if ready.fileobj is self._orders:
                orders = self._orders.receive()
                if orders is None:
                    return False
                for order in orders:
                    self._obey(order)
            elif ready.fileobj == self._wakes:
                with suppress(BlockingIOError):
                    os.read(self._wakes, 4096)
            else:
                self._hear(ready.data)
        self._reap()
        self._keep_time()
        return True

    def _obey(self, order: Message) -> None:
        key = order["key"]
        child = self._children.get(key)
        match order["op"]:
            case "phase":
                if child is None:
                    child = self._fork(key, order.get("memory", 0))
                if child is not None:
                    timeout = order.get("timeout")
                    child.deadline = FOR_EVER if timeout is None else time.monotonic() + timeout
                    self._tell(child, order["body"])
            case "tell" if child is not None:
                self._tell(child, order["body"])
            case "end" if child is not None:
                child.ended, child.deadline = True, time.monotonic() + order["timeout"]
                self._tell(child, {"op": "end"})
            case "cancel" if child is not None:
                child.why = child.why or "cancel"
                self._kill(child, now=order.get("now", False))

    def _tell(self, child: _Child, body: Message) -> None:
        with suppress(OSError):  # it is dying, and its end is told
            child.frames.send(body)

    def _hear(self, child: _Child) -> None:
        """Hand on what a child says; one that has closed its connection can say nothing, and is killed."""
        said = child.frames.receive()
        if said is None:
            self._selector.unregister(child.frames)
            child.frames.close()
            if not child.ended and child.kill_at == FOR_EVER:
                child.over, child.deadline = "silent", time.monotonic() + LAST_BREATH
            return
        for body in said:
            if "result" in body:
                child.deadline = FOR_EVER
            self._orders.send({"op": "said", "key": child.key, "body": body})

    def _fork(self, key: str, memory: int) -> _Child | None:
        ours, theirs = socket.socketpair()
        warden = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._orders.send({"op": "gone", "key": key, "forked": False, "why": str(error)})
            return None
        if not pid:
            try:
                self._become_child(warden, ours)
                self._limit(memory)
                os.environ[MARK] = f"{self._run}/{key}"
                self._main(Frames(theirs), key)
            finally:
                os._exit(0)
        theirs.close()
        child = self._children[key] = _Child(key, pid, Frames(ours))
        self._selector.register(child.frames, selectors.EVENT_READ, child)
        return child

    def _become_child(self, warden: int, ours: socket.socket) -> None:
        os.setsid()
        die_with_parent(warden)
        adopt_orphans()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._orders.close()
        ours.close()
        self._selector.close()
        for other in self._children.values():
            other.frames.close()
        os.close(self._wakes)
        os.close(self._wakened)

    @staticmethod
    def _limit(memory: int) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("500")
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

    def _keep_time(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.kill_at <= now:
                kill_tree(child.pid)
                child.kill_at = now + 1.0  # again, if something came up meanwhile
            elif child.deadline <= now:
                child.why = child.why or child.over
                self._kill(child, now=child.over == "silent")

    def _kill(self, child: _Child, *, now: bool) -> None:
        child.deadline = FOR_EVER
        if now:
            kill_tree(child.pid)
            child.kill_at = time.monotonic() + 1.0
        elif child.kill_at == FOR_EVER:
            signal_tree(child.pid, signal.SIGTERM)
            signal_tree(child.pid, signal.SIGCONT)
            child.kill_at = time.monotonic() + GRACE

    def _reap(self) -> None:
        """Wait for whoever has ended, and kill what an attempt has left behind before its end is told."""
        gone: list[tuple[_Child, int, int]] = []
        by_pid = {child.pid: child for child in self._children.values()}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid in by_pid:
                gone.append((by_pid[pid], status, usage.ru_maxrss))
        if gone:
            for child, _, _ in gone:
                del self._children[child.key]
            self._sweep()
        for child, status, peak in gone:
            self._last_words(child)
            self._orders.send(
                {"op": "gone", "key": child.key, "status": status, "why": child.why, "peak": peak}
            )

    def _last_words(self, child: _Child) -> None:
        """Hand on what a child said before it ended."""
        if child.frames.fileno() < 0:
            return
        self._selector.unregister(child.frames)
        child.frames.sock.setblocking(False)
        while said := child.frames.receive():
            for body in said:
                self._orders.send({"op": "said", "key": child.key, "body": body})
        child.frames.close()

    def _sweep(self) -> None:
        """Kill all children that are no attempt: they were left behind by one that has ended."""
        ours = {child.pid for child in self._children.values()}
        me = os.getpid()
        until = time.monotonic() + 5.0
        while time.monotonic() < until:
            left = [pid for pid in children(me) if pid not in ours]
            if not left:
                return
            for pid in left:
                kill_tree(pid)
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _end_all(self) -> None:
        for child in self._children.values():
            kill_tree(child.pid)
        self._children.clear()
        self._sweep()
