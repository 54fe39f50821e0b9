"""Follows a command: what it prints is shown as it comes, and nothing of it is left behind.

No thread takes part: output belongs to the job on whose thread it is written.
"""

from __future__ import annotations

import atexit
import codecs
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

__all__ = ["Ended", "follow"]

GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL."""

LOOK = 0.05
"""Seconds between two looks whether a command has ended whose output somebody else keeps open."""

CHUNK = 1 << 16
"""Bytes read at once: what a pipe holds unless somebody has made it larger."""

LAST_BYTES = 1 << 21
"""Bytes that two pipes can hold at most, and so the most that a command can have left in them at its end."""

_under_way: set[int] = set()
"""Process groups of commands that are running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Its exit status; minus the number of the signal that ended it.
        stdout: What it wrote to its standard output, without the last line break.
        in_time: It was not ended by its timeout.
    """

    status: int
    stdout: str
    in_time: bool


class _Stream:
    """What a command writes to one of its outputs: shows whole lines, keeps all.

    Args:
        name: Where it is shown.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun: list[str] = []
        self._kept: list[str] = []

    def take(self, data: bytes) -> None:
        text = self._decoder.decode(data, final=not data)
        self._kept.append(text)
        lines, newline, rest = text.rpartition("\n")
        if newline:
            self._show("".join([*self._begun, lines, newline]))
            self._begun.clear()
        if rest:
            self._begun.append(rest)

    def end(self) -> str:
        """Show a last line without line break, and return all that was written."""
        self.take(b"")
        if self._begun:
            self._show("".join([*self._begun, "\n"]))
        return "".join(self._kept)

    def _show(self, text: str) -> None:
        stream = getattr(sys, self._name)
        stream.write(text)
        stream.flush()


def follow(process: subprocess.Popen[bytes], timeout: float | None) -> Ended:
    """Show what a command prints until it ends; at its timeout end it and its process group.

    Args:
        process: Leader of a session of its own, with pipes for its standard output and standard error.
        timeout: In seconds.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = _Stream("stdout"), _Stream("stderr")
    _under_way.add(process.pid)
    try:
        with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
            selector.register(process.stdout, selectors.EVENT_READ, out)
            selector.register(process.stderr, selectors.EVENT_READ, err)
            in_time = _pass_on(process, selector, timeout)
            if not in_time:
                _signal(process.pid, signal.SIGTERM)
                _pass_on(process, selector, GRACE)
                _signal(process.pid, signal.SIGKILL)
        stdout = out.end()
        err.end()
        return Ended(status=process.wait(), stdout=stdout.removesuffix("\n"), in_time=in_time)
    except BaseException:
        _end(process)
        raise
    finally:
        _under_way.discard(process.pid)


def _pass_on(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, seconds: float | None
) -> bool:
    """Show output until the command has ended, and then what is left of it; False if that took too long."""
    until = None if seconds is None else time.monotonic() + seconds
    while process.poll() is None:
        left = LOOK if until is None else until - time.monotonic()
        if left <= 0:
            return False
        if selector.get_map():
            _read(selector, min(left, LOOK))
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(left, LOOK))
    taken = 0
    while selector.get_map() and taken < LAST_BYTES:
        count = _read(selector, 0)
        if count is None:
            break
        taken += count
    return True


def _read(selector: selectors.BaseSelector, seconds: float) -> int | None:
    """Read what is there of each output and return how much that was; None if there was nothing to read."""
    ready = selector.select(seconds)
    taken = 0
    for key, _ in ready:
        data = os.read(key.fd, CHUNK)
        if data:
            key.data.take(data)
        else:
            selector.unregister(key.fileobj)
        taken += len(data)
    return taken if ready else None


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        _signal(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        _signal(process.pid, signal.SIGKILL)
        process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


@atexit.register
def _end_all() -> None:
    """End what runs on threads that were left behind: it has a session of its own, no Ctrl-C reaches it."""
    for group in tuple(_under_way):
        _signal(group, signal.SIGKILL)
