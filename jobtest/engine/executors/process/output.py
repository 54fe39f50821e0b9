"""What a process prints: files behind its descriptors 1 and 2, so that it never has to wait for a reader.

A file that gets too large loses its middle while it is written to: a hole, where the disk has nothing.
"""

from __future__ import annotations

import faulthandler
import math
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from jobtest.engine.calls import Output
from jobtest.engine.executors.process.tree import punch_hole

__all__ = ["KEPT", "Streams", "make_room", "read_from", "without_frames"]

KEPT = 1 << 20
"""Bytes of one stream of one phase that are kept: half of them from its beginning, half from its end."""

CAP = 1 << 30
"""Bytes on the disk that the output of an attempt may have, half of them for each stream."""

FASTEST = 4 << 30
"""Bytes in a second that a process can hardly print more than."""

OFTEN = 0.005
"""Seconds between two looks at output that grows fast."""

BLOCK = 1 << 16
"""Bytes of which holes begin and end at a multiple; all file systems have blocks that fit in there."""

NAMES = {"stdout": 1, "stderr": 2}


_STACK = re.compile(r"(?<=\(most recent call first\):\n)(?:  File .*\n)+")


def without_frames(output: Output, package: Path) -> Output:
    """Return output without the frames of a package, and of its callers, in the stacks of faulthandler."""

    def users(found: re.Match[str]) -> str:
        lines = found[0].splitlines(keepends=True)
        ours = [at for at, line in enumerate(lines) if line.startswith(f'  File "{package}{os.sep}')]
        return "".join(lines[: ours[0]] if ours and ours[0] else lines)

    return replace(output, stderr=_STACK.sub(users, output.stderr))


def read_from(folder: Path, place: str, begins: Mapping[str, int]) -> Output:
    """Return what an attempt printed from somewhere on; of very much, its beginning and its end.

    Args:
        folder: Where the files of attempts are.
        place: Of the attempt.
        begins: Offset in bytes, by stream.
    """
    stdout, stderr = (_read(folder / f"{place}.{name}", begins.get(name, 0)) for name in NAMES)
    return Output(stdout, stderr)


def _read(path: Path, begin: int) -> str:
    try:
        with path.open("rb") as stream:
            end = os.fstat(stream.fileno()).st_size
            hole = _hole(stream.fileno(), begin, end)
            to, again = begin + KEPT // 2, end - KEPT // 2
            if hole:
                to, again = min(to, hole[0]), max(again, hole[1])
            elif to >= again:
                to = again = end
            stream.seek(begin)
            head = stream.read(max(0, to - begin)).decode(errors="replace")
            stream.seek(again)
            tail = stream.read(max(0, end - again)).decode(errors="replace")
    except OSError:
        return ""
    if again <= to:
        return head
    why = f", {hole[1] - hole[0]} of them are lost: it printed more than {CAP >> 21} MB" if hole else ""
    return f"{head}\n[{again - to} bytes are left out here{why}]\n{tail}"


def _hole(fd: int, begin: int, end: int) -> tuple[int, int] | None:
    """Return where the hole of a file begins and ends, from somewhere on, if there is one."""
    if begin >= end or not hasattr(os, "SEEK_HOLE"):
        return None
    lost = os.lseek(fd, begin, os.SEEK_HOLE)
    return (lost, os.lseek(fd, lost, os.SEEK_DATA)) if lost < end else None


def make_room(folder: Path, place: str) -> float:
    """Take the middle of what an attempt printed off the disk if it is too much; Linux only.

    Returns:
        Seconds after which to look again.
    """
    return min(_make_room(f"{folder}{os.sep}{place}.{name}", CAP // len(NAMES)) for name in NAMES)


def _make_room(file: str, most: int) -> float:
    try:
        size = os.stat(file).st_size
        if size > most:
            with open(file, "r+b", buffering=0) as stream:
                lost, found = _hole(stream.fileno(), 0, size) or (0, 0)
                if size - (found - lost) <= most:
                    size -= found - lost
                else:
                    begin, end = _aligned(most // 2), _aligned(size - most // 4)
                    punch_hole(stream.fileno(), begin, end - begin)
                    size -= end - begin
    except OSError:
        return math.inf  # it prints somewhere else, or this cannot be done here
    return max(OFTEN, (most - size) / FASTEST)


def _aligned(at: int) -> int:
    return at // BLOCK * BLOCK


class Streams:
    """The standard streams of a process, and then those of its children. Nobody answers what they ask.

    Args:
        folder: Where the files of attempts are.
        captured: Whether what children print goes to files; otherwise it goes where it went before.
    """

    def __init__(self, folder: Path, *, captured: bool) -> None:
        self._folder, self._place = folder, ""
        self._captured = captured
        self._files: dict[str, str] = {}
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
        for name, fd in NAMES.items() if captured else ():
            setattr(sys, name, _text(fd))
            setattr(sys, f"__{name}__", getattr(sys, name))
        faulthandler.enable(2)

    def begin(self, place: str) -> None:
        """Begin to print to the files of an attempt, for the rest of the life of this process."""
        self._place = place
        for name, fd in NAMES.items() if self._captured else ():
            file = self._files[name] = f"{self._folder}{os.sep}{place}.{name}"
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if os.fstat(opened).st_size:
                os.ftruncate(opened, 0)  # of an attempt before this one
            os.dup2(opened, fd)
            os.close(opened)
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, 2)

    def sizes(self) -> dict[str, int]:
        """Return how many bytes were printed so far, by stream."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue  # the job has closed or replaced it
        found = {}
        for name, file in self._files.items():
            try:
                found[name] = os.stat(file).st_size
            except OSError:
                found[name] = 0
        return found

    def since(self, begins: Mapping[str, int]) -> Output:
        """Return what was printed since then."""
        if self.sizes() == begins:
            return Output()
        return read_from(self._folder, self._place, begins)


def _text(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
