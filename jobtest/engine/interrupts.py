"""Signals: Ctrl-C, and those by which a supervisor, or a terminal that goes away, ends a process.

Ctrl-C is known by its signal: a body that raises `KeyboardInterrupt` itself has just failed. Handlers note
what was asked and wake the loop; they raise nothing but `KeyboardInterrupt` into the user's code that is
being called on the main thread.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from jobtest.engine.loop import Engine

__all__ = ["ctrl_c", "ended_from_outside", "no_silent_exit"]

SUPERVISED = 5.0
"""Seconds of grace at most after SIGTERM: what sends it sends SIGKILL a few seconds later."""

MOST_FDS = 256


@contextmanager
def ctrl_c(engine: Engine, inside: Callable[[], bool]) -> Iterator[None]:
    """Let the first Ctrl-C end a run in order, and the second at once, as long as the block lasts.

    Off the main thread, and where the signal is ignored, nothing is changed.

    Args:
        engine: Carries out the run.
        inside: Tells whether the user's code is being called on the main thread; that is interrupted at once,
            cleanups by the second one.
    """

    def interrupt(_: int, __: FrameType | None) -> None:
        if engine.aborted:
            raise KeyboardInterrupt
        engine.interrupt("interrupted by Ctrl-C")
        if inside() and (engine.interruptible or engine.aborted):
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if not _on_main() or before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ended_from_outside(engine: Engine, inside: Callable[[], bool]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run in order, as Ctrl-C does, in time for who sends SIGKILL next.

    To be kept until reports are written. SIGUSR1 shows what is under way, and changes nothing.

    Args:
        engine: Carries out the run.
        inside: As for `ctrl_c`.
    """

    def end(number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _leave_terminal()
        if engine.over:
            return
        engine.interrupt(f"interrupted by {signal.Signals(number).name}", grace=SUPERVISED)
        if inside() and (engine.interruptible or engine.aborted):
            raise KeyboardInterrupt

    def show(_: int, __: FrameType | None) -> None:
        lines = [f"running: {line}\n" for line in engine.under_way()] or ["nothing is running\n"]
        with suppress(OSError):
            os.write(2, "".join(lines).encode(errors="replace"))
            faulthandler.dump_traceback(2, all_threads=True)

    handlers: dict[int, Callable[[int, FrameType | None], None]] = {signal.SIGTERM: end}
    if sys.platform != "win32":
        handlers |= {signal.SIGHUP: end, signal.SIGUSR1: show}
    before = {number: signal.getsignal(number) for number in handlers}
    taken = [number for number in handlers if _on_main() and before[number] == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


@contextmanager
def no_silent_exit(engine: Engine) -> Iterator[None]:
    """Keep `os._exit(0)` in a body on a thread from looking like success: it ends the run with status 3."""
    real, run = os._exit, os.getpid()
    stderr = os.dup(2)  # while a body is captured, 2 is something else

    def told(status: int) -> NoReturn:
        if os.getpid() != run:
            real(status)  # in a fork of this process
        running = ", ".join(engine.under_way()) or "nothing"
        said = f"\nos._exit({status}) was called in the process of the run, while it ran: {running}\n"
        fix = "  fix: isolate=True gives a job a process of its own, which it may end\n"
        with suppress(OSError):
            os.write(stderr, f"{said}{fix}".encode(errors="replace"))
        real(3)

    os._exit = told
    try:
        yield
    finally:
        os._exit = real
        os.close(stderr)


def _on_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _leave_terminal() -> None:
    """Write to nowhere what would go to a terminal that is gone."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(MOST_FDS):
        if os.isatty(fd):
            os.dup2(null, fd)
    os.close(null)
