"""What is left to do after jobs have ended: closing what they hold open, cleaning up. Last entered first."""

from __future__ import annotations

import heapq

from jobtest.core.model import Phase

__all__ = ["Tail"]


class Tail:
    """Closes and cleanups that are due, one of them under way at a time.

    A close is due as soon as nobody uses any more what is held open; cleanups come when everything else is
    over.
    """

    def __init__(self) -> None:
        self._closing: list[tuple[int, str]] = []
        self._owed: list[tuple[int, str]] = []
        self._under_way: tuple[str, Phase] | None = None

    def __bool__(self) -> bool:
        return bool(self._closing or self._owed or self._under_way)

    def close(self, job: str, turn: int) -> None:
        """Let what a job holds open be closed; `turn` grows with every run phase that is entered."""
        heapq.heappush(self._closing, (-turn, job))

    def owe(self, job: str, turn: int) -> None:
        """Let a job be cleaned up after at the end."""
        heapq.heappush(self._owed, (-turn, job))

    def next(self, *, at_the_end: bool) -> tuple[str, Phase] | None:
        """Return what may start now, or None.

        Args:
            at_the_end: All jobs have ended.
        """
        if self._under_way:
            return None
        if self._closing:
            return self._closing[0][1], Phase.CLOSE
        if self._owed and at_the_end:
            return self._owed[0][1], Phase.CLEANUP
        return None

    def start(self) -> None:
        """Begin what `next` returned."""
        due, phase = (self._closing, Phase.CLOSE) if self._closing else (self._owed, Phase.CLEANUP)
        self._under_way = heapq.heappop(due)[1], phase

    def end(self, job: str, phase: Phase) -> bool:
        """End what is under way; False if it is something else."""
        if self._under_way != (job, phase):
            return False
        self._under_way = None
        return True
