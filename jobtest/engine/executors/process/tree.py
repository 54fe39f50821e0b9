"""Processes and their descendants, as Linux tells of them; elsewhere a process group has to do.

What else Linux has and Python does not is here, too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

__all__ = [
    "adopt_orphans",
    "children",
    "descendants",
    "die_with_parent",
    "hear_of_parent",
    "kill_tree",
    "outlive_parent",
    "punch_hole",
    "reap",
    "signal_tree",
]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""From linux/prctl.h."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""From linux/falloc.h."""

LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if LINUX:
        _libc().prctl(option, value, 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends; Linux only. If it has already, end now."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def hear_of_parent(number: int) -> None:
    """Get a signal when the parent ends; Linux only."""
    _prctl(_PR_SET_PDEATHSIG, number)


def outlive_parent() -> None:
    """Get no signal when the parent ends."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def punch_hole(fd: int, begin: int, length: int) -> None:
    """Take a part of a file off the disk; where it was, zeros are read. Its size stays.

    Raises:
        OSError: that cannot be done here.
    """
    if not LINUX:
        raise OSError("only Linux does this")
    both = ctypes.c_int64(begin), ctypes.c_int64(length)
    call = getattr(_libc(), "fallocate64", None) or _libc().fallocate
    if call(fd, _KEEP_SIZE | _PUNCH_HOLE, *both):
        raise OSError("this file system cannot do this")


def children(pid: int) -> list[int]:
    """Return the processes that have it as their parent, ended ones that nobody waited for included."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as stream:
                found += map(int, stream.read().split())
    return found


def descendants(pid: int) -> list[int]:
    """Return all processes below one, parents before children."""
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def signal_tree(pid: int, number: int) -> None:
    """Send a signal to a process, its group and all below it, once to each."""
    everyone = [pid, *descendants(pid)]
    with suppress(OSError):
        os.killpg(pid, number)
    for one in everyone:
        with suppress(OSError):
            if os.getpgid(one) != pid:
                os.kill(one, number)


def kill_tree(pid: int) -> None:
    """Kill a process and all below it.

    First everything is stopped, until nothing new turns up: what forks without end would escape.
    """
    seen: set[int] = set()
    for _ in range(100):
        found = {pid, *descendants(pid)} - seen
        if not found:
            break
        seen |= found
        for one in found:
            with suppress(OSError):
                os.kill(one, signal.SIGSTOP)
    for one in seen:
        with suppress(OSError):
            os.kill(one, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def reap(pids: Iterable[int], seconds: float) -> None:
    """Wait for children that were killed, a while: one that is stuck in the kernel cannot end."""
    until = time.monotonic() + seconds
    left = set(pids)
    while left:
        for pid in tuple(left):
            try:
                ended = os.waitpid(pid, os.WNOHANG)[0]
            except ChildProcessError:
                ended = pid
            if ended:
                left.discard(pid)
        if not left or time.monotonic() > until:
            return
        time.sleep(0.0005)
