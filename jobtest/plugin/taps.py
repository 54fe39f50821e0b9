"""Masked descriptors: what reaches the terminal below `sys.stdout`, by `os.write`, C code and programs.

Descriptors 1 and 2 lead to files that nobody else can open, and what is written there is shown masked a
moment later. No pipes: a program that a job has left running must not die of a reader that has gone.
"""

from __future__ import annotations

import codecs
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from jobtest.config.secrets import Secrets
from jobtest.plugin import fixtures
from jobtest.plugin.masking import secrets_of

__all__ = ["Taps", "tapped", "taps_key"]

PAUSE = 0.05
"""Seconds between two looks at what was written."""

CHUNK = 1 << 16
"""Bytes that are read at once."""


class _Tap:
    """One descriptor."""

    def __init__(self, fd: int, secrets: Secrets) -> None:
        self._fd, self._secrets = fd, secrets
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._stream = secrets.stream()
        self._terminal = os.dup(fd)
        self._file, path = tempfile.mkstemp(prefix="jobtest-")
        self._reader = os.open(path, os.O_RDONLY)
        writer = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.unlink(path)
        os.close(self._file)
        self._file = writer
        self._saved: tuple[int, int] | None = None
        os.dup2(writer, fd)

    def cover(self, saved: int) -> None:
        """Let another descriptor lead to the same file: one from which this one is going to be restored."""
        self._saved = saved, os.dup(saved)
        os.dup2(self._file, saved)

    def pour(self) -> None:
        """Show what was written since the last time, as far as it can be told whether it is a secret."""
        while data := os.read(self._reader, CHUNK):
            self._show(self._stream.feed(self._decoder.decode(data)))

    def settle(self) -> None:
        """Show the rest, too: what comes next belongs to something else."""
        self.pour()
        self._show(self._stream.feed(self._decoder.decode(b"", final=True)) + self._stream.close())

    def close(self) -> None:
        """Put the descriptor back."""
        os.dup2(self._terminal, self._fd)
        if self._saved is not None:
            number, was = self._saved
            os.dup2(was, number)
            os.close(was)
        self.settle()
        for fd in (self._file, self._reader, self._terminal):
            os.close(fd)

    def _show(self, text: str) -> None:
        data = text.encode(errors="surrogateescape")
        with suppress(OSError):  # nobody reads what is printed any more: `pytest ... | head`
            while data:
                data = data[os.write(self._terminal, data) :]


class Taps:
    """Both descriptors, for the time of a run."""

    def __init__(self, config: pytest.Config, secrets: Secrets) -> None:
        _flush()
        self._taps = [_Tap(fd, secrets) for fd in (1, 2)]
        for tap, saved in zip(self._taps, fixtures.saved_by_capture(config), strict=False):
            tap.cover(saved)
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._pourer = threading.Thread(target=self._pour, name="jobtest-masks", daemon=True)

    def start(self) -> None:
        """Show what is written, from now on; not before processes have been forked."""
        if not self._pourer.is_alive():
            self._pourer.start()

    def settle(self) -> None:
        """Show all that was written: nothing follows that it could be the beginning of."""
        _flush()
        with self._guard:
            for tap in self._taps:
                tap.settle()

    def close(self) -> None:
        """Put all back as it was."""
        self._over.set()
        if self._pourer.is_alive():
            self._pourer.join()
        _flush()
        for tap in self._taps:
            tap.close()

    def _pour(self) -> None:
        while not self._over.wait(PAUSE):
            with self._guard:
                for tap in self._taps:
                    tap.pour()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]  # None without a console


taps_key = pytest.StashKey[Taps]()


@contextmanager
def tapped(config: pytest.Config, *, threads: bool) -> Iterator[None]:
    """Mask what reaches the terminal below `sys.stdout`, if there are secrets and it can.

    Args:
        config: Of the session.
        threads: Whether bodies run on worker threads: pytest's capture is off then.
    """
    secrets = secrets_of(config)
    captured = config.pluginmanager.hasplugin("capturemanager") and config.option.capture == "fd"
    if not secrets or (captured and not threads) or config.option.usepdb:
        yield
        return
    if config.pluginmanager.has_plugin("terminalreporter"):
        writer: Any = config.get_terminal_writer()
        writer.fullwidth = writer.fullwidth  # it asks descriptor 1, which is no terminal from here on
    taps = config.stash[taps_key] = Taps(config, secrets)
    try:
        yield
    finally:
        del config.stash[taps_key]
        taps.close()
