"""What a run has left behind that was killed together with its warden."""

from __future__ import annotations

import os
from contextlib import suppress

from jobtest.engine.executors.process.tree import kill_tree
from jobtest.engine.executors.process.warden import MARK

__all__ = ["kill_leftovers"]


def kill_leftovers(run: str) -> int:
    """Kill the processes that attempts of a run have started, and return how many there were; Linux only.

    They are known by their environment; nothing is signalled that has not been executed with that mark.
    """
    mark = f"\0{MARK}={run}/".encode()
    found = []
    with suppress(OSError):
        for name in os.listdir("/proc"):
            with suppress(OSError):
                if name.isdigit() and mark in _environment(name):
                    found.append(int(name))
    for pid in found:
        kill_tree(pid)
    return len(found)


def _environment(pid: str) -> bytes:
    with open(f"/proc/{pid}/environ", "rb") as stream:
        return b"\0" + stream.read()
