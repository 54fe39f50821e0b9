"""Ctrl-C, known by its signal: a body that raises `KeyboardInterrupt` itself has just failed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from jobtest.engine.loop import Engine

__all__ = ["ctrl_c"]


@contextmanager
def ctrl_c(engine: Engine, inside: Callable[[], bool]) -> Iterator[None]:
    """Let the first Ctrl-C end a run in order, and the second at once, as long as the block lasts.

    Off the main thread, and where the signal is ignored, nothing is changed.

    Args:
        engine: Carries out the run.
        inside: Tells whether the user's code is being called on the main thread; that is interrupted at once.
    """

    def interrupt(_: int, __: FrameType | None) -> None:
        if engine.interrupted:
            raise KeyboardInterrupt
        engine.interrupt("interrupted by Ctrl-C")
        if inside():
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
