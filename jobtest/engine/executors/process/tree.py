"""Processes and their descendants, as Linux tells of them; elsewhere a process group has to do."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress

__all__ = ["adopt_orphans", "alone", "children", "descendants", "die_with_parent", "kill_tree", "signal_tree"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""From linux/prctl.h."""

LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends. If it has already, end now; Linux only."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def alone() -> bool:
    """Tell whether this process has one thread, so that it may fork."""
    if threading.active_count() > 1:
        return False
    if LINUX:
        with suppress(OSError):
            return len(os.listdir("/proc/self/task")) == 1
    return True


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
    """Send a signal to a process, its group and all below it."""
    below = descendants(pid)
    with suppress(OSError):
        os.killpg(pid, number)
    for one in [pid, *below]:
        with suppress(OSError):
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
