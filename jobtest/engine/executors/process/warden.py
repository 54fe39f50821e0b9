"""The warden: a helper with one thread that forks a process for each attempt, and sees to its end.

It is forked before there are threads, with the project collected, so that a child has all of it at once.
It keeps timeouts, and kills the whole tree of an attempt at one, when it is told to, when the attempt is
over, and when the orchestrator has gone in whatever way: then its socket has an end. While attempts are
under way the next child is there already: a spare, which has yet to hear whose it is.

A child becomes the parent of what its descendants leave behind. When it ends, these come to the warden,
which ends every child that is not one of its own attempts: politely, and then not. The end of an attempt is
told when nothing of it is left.

It never waits for a reader: what cannot be sent at once is sent later. While the orchestrator does not read
(it may be stopped), children that say much have to wait; timeouts are kept all the same.

Messages to the warden, by `op`:

| op | says |
|---|---|
| `phase` | `body` for the child of `key`, which has `timeout` seconds, or null; `first`: there is none yet |
| `tell` | `body` for the child of `key`, an answer to what it asked |
| `end` | the attempt is over: its child may tear down, in `timeout` seconds |
| `cancel` | end it: first politely; `now`: at once |

A phase has `place`, the files that its child prints to, and `ends`: seconds to tear down after the last one.
The first `body` for a child is given `place` and `mark`.

and from it: `said` (`body` from the child of `key`) and `gone` (`status` as of `waitpid`, `why`: `timeout`,
`cancel`, `silent` or empty, `peak` in KiB, `forked`: false if there was no child at all).
"""

from __future__ import annotations

import gc
import math
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from jobtest.engine.executors.process.frames import Frames, Message
from jobtest.engine.executors.process.output import make_room
from jobtest.engine.executors.process.tree import (
    adopt_orphans,
    children,
    die_with_parent,
    hear_of_parent,
    kill_tree,
    reap,
    signal_tree,
)

__all__ = ["GRACE", "LAST_LOOK", "MARK", "ChildMain", "Orders", "Ready", "less_dear", "serve"]

GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL."""

MARK = "JOBTEST_ATTEMPT"
"""Variable in the environment of whatever an attempt starts; names the run and the attempt."""

LEFT_GRACE = 0.5
"""Seconds from SIGTERM to SIGKILL for what an attempt has left behind."""

LOOK = 0.05
"""Seconds after which the size of what an attempt prints is looked at for the first time."""

LAST_LOOK = 0.2
"""Seconds that a process has to print where it is, before it is ended at its timeout."""

LAST_BREATH = 0.1
"""Seconds that a process has to end by itself after it closed its connection, as one does that is ending."""

TOO_MUCH = 1 << 24
"""Bytes waiting for the orchestrator from which on children are not listened to."""

FOR_EVER = math.inf
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP")
POLITE = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
"""Signals that a terminal or an impatient user may send to all there is. They do not reach the warden, which
ends by itself: it blocks them, so that a child has only to let them through."""

ChildMain = Callable[[Frames], None]
"""What goes on in a child, given its connection. Its return ends the process."""

Ready = Callable[[], ChildMain]
"""Called in the warden, before there are children: makes what they have alike."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a warden needs to know.

    Attributes:
        run: Id of the run, for the mark.
        folder: Where children leave what they print; taken away at the end.
        grace: Seconds from SIGTERM to SIGKILL.
        dear: How dear the orchestrator is to the system when memory is short, as `oom_score_adj`.
    """

    run: str
    folder: Path
    grace: float = GRACE
    dear: int = 0


def less_dear(dear: int) -> int:
    """Return the `oom_score_adj` of children: they go first when memory is short."""
    return min(1000, dear + 500)


@dataclass(slots=True)
class _Child:
    pid: int
    frames: Frames
    key: str = ""
    place: str = ""
    look_at: float = FOR_EVER
    why: str = ""
    over: str = "timeout"
    deadline: float = FOR_EVER
    ends: float = FOR_EVER
    kill_at: float = FOR_EVER
    ended: bool = False


def serve(sock: socket.socket, ready: Ready, orders: Orders) -> NoReturn:
    """Be the warden; ends the process.

    Args:
        sock: To the orchestrator.
        ready: Makes what goes on in children.
        orders: What it needs to know.
    """
    status = 1
    try:
        _Warden(Frames(sock), ready(), orders).serve()
        status = 0
    finally:
        shutil.rmtree(orders.folder, ignore_errors=True)
        os._exit(status)


class _Warden:
    def __init__(self, frames: Frames, main: ChildMain, orders: Orders) -> None:
        self._frames, self._main, self._orders = frames, main, orders
        self._parent = os.getppid()
        self._children: dict[str, _Child] = {}
        self._spare: _Child | None = None
        self._ended: list[Message] = []
        self._asked: set[int] = set()
        self._kill_left_at = FOR_EVER
        self._less_dear = b"%d" % less_dear(orders.dear)
        self._wakes, self._wakened = os.pipe()

    def serve(self) -> None:
        for number in POLITE:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, POLITE)
        with suppress(ImportError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for end in (self._wakes, self._wakened):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakened, warn_on_full_buffer=False)
        adopt_orphans()
        hear_of_parent(signal.SIGUSR1)
        gc.freeze()
        try:
            while os.getppid() == self._parent and self._turn():
                pass
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """Wait for something to happen, and see to it; False if the orchestrator has gone."""
        ready = self._wait()
        if not self._attend(ready.get(self._frames.fileno(), 0)):
            return False
        if self._wakes in ready:
            with suppress(BlockingIOError):
                os.read(self._wakes, 4096)
        for child in list(self._children.values()):
            bits = ready.get(child.frames.fileno(), 0)
            if bits & select.POLLOUT:
                self._tell(child)
            if bits & ~select.POLLOUT:
                self._hear(child)
        self._reap()
        self._keep_time()
        if self._children and self._spare is None:
            with suppress(OSError):  # then the next attempt will hear of it
                self._spare = self._fork()
        return True

    def _wait(self) -> Mapping[int, int]:
        """Return what can be read and written, by descriptor, as soon as there is any or a time is over."""
        poll = select.poll()
        poll.register(self._wakes, select.POLLIN)
        poll.register(self._frames, _events(self._frames))
        listens = self._frames.backlog < TOO_MUCH
        for child in self._children.values():
            if listens and child.frames.fileno() >= 0:
                poll.register(child.frames, _events(child.frames))
        soonest = self._kill_left_at
        for child in self._children.values():
            soonest = min(soonest, child.deadline, child.kill_at, child.look_at)
        if soonest == FOR_EVER:
            return dict(poll.poll())
        return dict(poll.poll(max(0, math.ceil((soonest - time.monotonic()) * 1000))))

    # --- the orchestrator ---

    def _attend(self, bits: int) -> bool:
        if bits & select.POLLOUT:
            try:
                self._frames.flush()
            except OSError:
                return False
        if bits & ~select.POLLOUT:
            orders = self._frames.receive(wait=False)
            if orders is None:
                return False
            for order in orders:
                self._obey(order)
        return True

    def _report(self, message: Message) -> None:
        with suppress(OSError):  # it has gone: the next turn sees that
            self._frames.post(message)

    def _obey(self, order: Message) -> None:
        key = order["key"]
        child = self._children.get(key)
        match order["op"]:
            case "phase":
                body = order["body"]
                if child is None and order["first"]:
                    child = self._begin(key, order["place"])
                    body = {**body, "mark": f"{self._orders.run}/{key}", "place": order["place"]}
                if child is not None:  # otherwise it has ended, and that is on its way
                    timeout = order["timeout"]
                    child.deadline = FOR_EVER if timeout is None else time.monotonic() + timeout
                    child.ends = order["ends"]
                    self._tell(child, body)
            case "tell" if child is not None:
                self._tell(child, order["body"])
            case "end" if child is not None:
                child.ended, child.deadline = True, time.monotonic() + order["timeout"]
                self._tell(child, {"op": "end"})
            case "cancel" if child is not None:
                child.why = child.why or "cancel"
                self._kill(child, now=order.get("now", False))

    # --- children ---

    def _tell(self, child: _Child, body: Message | None = None) -> None:
        with suppress(OSError):  # it is dying, and its end is told
            if body is None:
                child.frames.flush()
            else:
                child.frames.post(body)

    def _hear(self, child: _Child) -> None:
        """Hand on what a child says; one that has closed its connection can say nothing, and is killed."""
        said = child.frames.receive(wait=False)
        if said is None:
            child.frames.close()
            if not child.why and child.kill_at == FOR_EVER:
                child.over, child.deadline = "silent", time.monotonic() + LAST_BREATH
            return
        for body in said:
            self._hand_on(child, body)

    def _hand_on(self, child: _Child, body: Message) -> None:
        """Tell the orchestrator what a child says: no result any more once its end is decided."""
        if "result" in body:
            if child.why:
                return
            child.deadline = time.monotonic() + child.ends if body.get("over") else FOR_EVER
        self._report({"op": "said", "key": child.key, "body": body})

    def _begin(self, key: str, place: str) -> _Child | None:
        """Return the child for an attempt: the spare, or else a new one."""
        spare, self._spare = self._spare, None
        if spare is not None and os.waitpid(spare.pid, os.WNOHANG)[0]:
            spare.frames.close()
            spare = None
        try:
            child = spare or self._fork()
        except OSError as error:
            self._report({"op": "gone", "key": key, "forked": False, "why": str(error)})
            return None
        child.key, child.place, self._children[key] = key, place, child
        child.look_at = time.monotonic() + LOOK
        return child

    def _fork(self) -> _Child:
        """Make a child.

        Raises:
            OSError: that could not be done.
        """
        ours, theirs = socket.socketpair()
        warden = os.getpid()
        try:
            pid = _forked()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if not pid:
            self._live(warden, ours, theirs)
        theirs.close()
        return _Child(pid, Frames(ours))

    def _live(self, warden: int, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """Live the life of a child."""
        status = 1
        try:
            self._become_child(warden, ours)
            self._main(Frames(theirs))
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it must not come back into the warden
            _tell_why()
        finally:
            os._exit(status)

    def _become_child(self, warden: int, ours: socket.socket) -> None:
        os.setsid()
        die_with_parent(warden)
        adopt_orphans()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._frames.close()
        ours.close()
        for other in self._all():
            other.frames.close()
        os.close(self._wakes)
        os.close(self._wakened)
        with suppress(OSError):
            fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(fd, self._less_dear)
            os.close(fd)

    def _keep_time(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.kill_at <= now:
                kill_tree(child.pid)
                child.kill_at = now + 1.0  # again, if something came up meanwhile
            elif child.deadline <= now:
                self._too_late(child, now)
            if child.look_at <= now:
                child.look_at = now + make_room(self._orders.folder, child.place)

    def _too_late(self, child: _Child, now: float) -> None:
        """End a child at its timeout; before that it prints where it is."""
        if child.why or child.over != "timeout":
            child.why = child.why or child.over
            self._kill(child, now=child.over == "silent")
            return
        child.why, child.deadline = "timeout", now + LAST_LOOK
        with suppress(OSError):
            os.kill(child.pid, signal.SIGUSR1)
            os.kill(child.pid, signal.SIGCONT)

    def _kill(self, child: _Child, *, now: bool) -> None:
        child.deadline = FOR_EVER
        if now:
            kill_tree(child.pid)
            child.kill_at = time.monotonic() + 1.0
        elif child.kill_at == FOR_EVER:
            signal_tree(child.pid, signal.SIGTERM)
            signal_tree(child.pid, signal.SIGCONT)
            child.kill_at = time.monotonic() + self._orders.grace

    # --- the end ---

    def _reap(self) -> None:
        """Wait for whoever has ended, and see to what attempts have left behind before their end is told."""
        gone: list[tuple[_Child, int, int]] = []
        by_pid = {child.pid: child for child in self._all()}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid in by_pid:
                gone.append((by_pid[pid], status, usage.ru_maxrss))
        for child, _, _ in gone:
            if child is self._spare:
                self._spare = None
            else:
                del self._children[child.key]
        for child, status, peak in gone:
            self._last_words(child)
            if child.key:
                told = {"key": child.key, "status": status, "why": child.why, "peak": peak}
                self._ended.append({"op": "gone", **told})
        if self._ended:
            self._see_off()

    def _see_off(self) -> None:
        """Ask what is left to end, tell the end of attempts once it has; what takes too long is killed."""
        if self._left():
            now = time.monotonic()
            self._kill_left_at = min(self._kill_left_at, now + LEFT_GRACE)
            if now < self._kill_left_at:
                self._ask_left()
                return
            self._sweep()
        self._kill_left_at = FOR_EVER
        self._asked.clear()
        while self._ended:
            self._report(self._ended.pop(0))

    def _left(self) -> list[int]:
        """Return all children that are no attempt: they were left behind by one that has ended."""
        ours = {child.pid for child in self._all()}
        return [pid for pid in children(os.getpid()) if pid not in ours]

    def _ask_left(self) -> None:
        for pid in self._left():
            if pid not in self._asked:
                self._asked.add(pid)
                signal_tree(pid, signal.SIGTERM)
                signal_tree(pid, signal.SIGCONT)

    def _last_words(self, child: _Child) -> None:
        """Hand on what a child said before it ended."""
        if child.frames.fileno() >= 0:
            for body in child.frames.drain():
                self._hand_on(child, body)
            child.frames.close()

    def _sweep(self) -> None:
        """Kill what is left."""
        until = time.monotonic() + 5.0
        while time.monotonic() < until:
            left = self._left()
            if not left:
                return
            for pid in left:
                kill_tree(pid)
            reap(left, 1.0)

    def _all(self) -> list[_Child]:
        return [*self._children.values(), *((self._spare,) if self._spare is not None else ())]

    def _end_all(self) -> None:
        """End everything: politely as long as the orchestrator is there, and waits for it."""
        if self._spare is not None:
            kill_tree(self._spare.pid)
            self._spare = None
        attempts = [child.pid for child in self._children.values()]
        self._children = {}
        until = time.monotonic() + LEFT_GRACE
        while os.getppid() == self._parent and self._left() and time.monotonic() < until:
            self._ask_left()
            reap(self._left(), 0.01)
        for pid in attempts:
            kill_tree(pid)
        self._sweep()


def _forked() -> int:
    """Fork without the warning of threads of Python 3.12: a fresh warden may have some by its imports."""
    if sys.version_info >= (3, 12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return os.fork()
    return os.fork()


def _events(frames: Frames) -> int:
    return select.POLLIN | (select.POLLOUT if frames.backlog else 0)


def _tell_why() -> None:
    """Print what ended a child that should not have ended so, if there is anywhere to print."""
    with suppress(BaseException):
        traceback.print_exc()
        sys.stderr.flush()
