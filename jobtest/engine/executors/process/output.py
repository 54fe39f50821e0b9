"""What a process prints: files behind its descriptors 1 and 2, so that it never has to wait for a reader."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from jobtest.engine.calls import Output

__all__ = ["KEPT", "Streams", "read_from", "without_frames"]

KEPT = 1 << 20
"""Bytes of one stream of one phase that are kept: half of them from its beginning, half from its end."""

NAMES = {"stdout": 1, "stderr": 2}


_STACK = re.compile(r"(?<=\(most recent call first\):\n)(?:  File .*\n)+")


def without_frames(output: Output, package: Path) -> Output:
    """Return output without the frames of a package, and of its callers, in the stacks of faulthandler."""

    def users(found: re.Match[str]) -> str:
        lines = found[0].splitlines(keepends=True)
        ours = [at for at, line in enumerate(lines) if line.startswith(f'  File "{package}{os.sep}')]
        return "".join(lines[: ours[0]] if ours and ours[0] else lines)

    return replace(output, stderr=_STACK.sub(users, output.stderr))


def read_from(folder: Path, key: str, begins: Mapping[str, int]) -> Output:
    """Return what an attempt printed from somewhere on; of very much, its beginning and its end.

    Args:
        folder: Where the files of attempts are.
        key: Of the attempt.
        begins: Offset in bytes, by stream.
    """
    stdout, stderr = (_read(folder / f"{key}.{name}", begins.get(name, 0)) for name in NAMES)
    return Output(stdout, stderr)


def _read(path: Path, begin: int) -> str:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size - begin
            stream.seek(begin)
            if size <= KEPT:
                return stream.read(max(0, size)).decode(errors="replace")
            head = stream.read(KEPT // 2)
            stream.seek(begin + size - KEPT // 2)
            tail = stream.read(KEPT // 2)
    except OSError:
        return ""
    left_out = f"\n[{size - KEPT} bytes are left out here]\n"
    return head.decode(errors="replace") + left_out + tail.decode(errors="replace")


class Streams:
    """The standard streams of this process, for the rest of its life. Nobody answers what it asks.

    Args:
        folder: Where the files of attempts are.
        key: Of the attempt.
        captured: Whether what is printed goes to files; otherwise it goes where it went before.
    """

    def __init__(self, folder: Path, key: str, *, captured: bool) -> None:
        self._folder, self._key, self._captured = folder, key, captured
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
        for name, fd in NAMES.items() if captured else ():
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            opened = os.open(folder / f"{key}.{name}", flags, 0o600)
            os.dup2(opened, fd)
            os.close(opened)
            setattr(sys, name, _text(fd))
            setattr(sys, f"__{name}__", getattr(sys, name))
        faulthandler.enable(2)
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
        for name in NAMES if self._captured else ():
            try:
                found[name] = (self._folder / f"{self._key}.{name}").stat().st_size
            except OSError:
                found[name] = 0
        return found

    def since(self, begins: Mapping[str, int]) -> Output:
        """Return what was printed since then."""
        if self.sizes() == begins:
            return Output()
        return read_from(self._folder, self._key, begins)


def _text(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
