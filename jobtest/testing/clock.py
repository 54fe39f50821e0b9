"""A clock that stands still until it is told to go on."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """Tells the time that it was told.

    Args:
        start: Seconds since the epoch; by default an instant of 2023.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time go by.

        Raises:
            ValueError: `seconds` is negative; time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds!r})")
        self._now += seconds

    def advance_to(self, at: float) -> None:
        """Let time go by until `at`; if that is past, nothing happens."""
        self._now = max(self._now, at)
