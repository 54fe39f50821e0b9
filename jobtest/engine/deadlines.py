"""When phases have had their time."""

from __future__ import annotations

import heapq

from jobtest.engine.calls import Ticket

__all__ = ["Deadlines"]


class Deadlines:
    """Phases by the time at which something is to be done about them; entries are never taken back."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Ticket]] = []
        self._added = 0

    def add(self, at: float, ticket: Ticket) -> None:
        """Note a time, in seconds on whatever clock."""
        self._added += 1
        heapq.heappush(self._due, (at, self._added, ticket))

    def next(self) -> float | None:
        """Return the nearest time, or None."""
        return self._due[0][0] if self._due else None

    def pop(self, now: float) -> Ticket | None:
        """Take out and return a phase whose time has come, or None."""
        if self._due and self._due[0][0] <= now:
            return heapq.heappop(self._due)[2]
        return None
