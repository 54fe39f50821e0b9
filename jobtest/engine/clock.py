"""Time, as a parameter of whoever needs it."""

from __future__ import annotations

import os
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "new_run_id"]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return seconds since the epoch; never less than the time before."""


class SystemClock:
    """Starts at the time of day and goes on steadily, whatever is done to the time of day meanwhile."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset + time.monotonic()


def new_run_id(seconds: float) -> str:
    """Return a unique id that sorts by time: UUID version 7 (RFC 9562, section 5.7).

    Args:
        seconds: The time, since the epoch.
    """
    chance = int.from_bytes(os.urandom(10), "big")
    number = (int(seconds * 1000) & (1 << 48) - 1) << 80 | chance
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
