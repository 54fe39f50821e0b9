"""What is left to do after jobs have ended: closing what they hold open, rolling back, cleaning up.

Last entered first.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from jobtest.core.model import Phase

__all__ = ["Tail"]


class Tail:
    """Closes, rollbacks and cleanups that are due, one of them under way at a time.

    A close is due as soon as nobody uses any more what is held open, a rollback when its job has failed, or,
    if whole runs are rolled back, when all jobs have ended; cleanups come when everything else is over. A job
    has one cleanup to come at most.

    Args:
        owed: Jobs whose cleanups earlier runs owe, in the order in which they were entered.
        first: These come before everything else.
        undo: Jobs whose rollbacks earlier runs owe, in that order; these always come before all else.
        whole_run: Rollbacks come when all jobs have ended.
    """

    def __init__(
        self,
        owed: Sequence[str] = (),
        *,
        first: bool = False,
        undo: Sequence[str] = (),
        whole_run: bool = False,
    ) -> None:
        self._closing: list[tuple[int, str]] = []
        self._rolling: list[tuple[int, str]] = []
        self._whole_run = whole_run
        self._owed: list[tuple[int, str]] = []
        self._turns: dict[str, int] = {}
        self._under_way: tuple[str, Phase] | None = None
        self._earlier = [(job, Phase.CLEANUP) for job in owed] if first else []
        self._earlier += [(job, Phase.ROLLBACK) for job in undo]
        for turn, job in enumerate(owed, -len(owed)):
            if not first:
                self.owe(job, turn)

    def __bool__(self) -> bool:
        return bool(self._closing or self._rolling or self._owed or self._under_way or self._earlier)

    @property
    def first(self) -> bool:
        """Whether rollbacks and cleanups of earlier runs are still to come before everything else."""
        return bool(self._earlier)

    def close(self, job: str, turn: int) -> None:
        """Let what a job holds open be closed; `turn` grows with every run phase that is entered."""
        heapq.heappush(self._closing, (-turn, job))

    def roll_back(self, job: str, turn: int) -> None:
        """Let a job be rolled back."""
        heapq.heappush(self._rolling, (-turn, job))

    def owe(self, job: str, turn: int) -> None:
        """Let a job be cleaned up after at the end."""
        self._turns[job] = turn
        heapq.heappush(self._owed, (-turn, job))
        self._drop_stale()

    def _drop_stale(self) -> None:
        """Keep on top what is owed by the last turn of its job."""
        while self._owed and self._turns.get(self._owed[0][1]) != -self._owed[0][0]:
            heapq.heappop(self._owed)

    def next(self, *, at_the_end: bool) -> tuple[str, Phase] | None:
        """Return what may start now, or None.

        Args:
            at_the_end: All jobs have ended.
        """
        if self._under_way:
            return None
        if self._earlier:
            return self._earlier[-1]
        if self._closing:
            return self._closing[0][1], Phase.CLOSE
        if self._rolling and (at_the_end or not self._whole_run):
            return self._rolling[0][1], Phase.ROLLBACK
        if self._owed and at_the_end:
            return self._owed[0][1], Phase.CLEANUP
        return None

    def start(self, job: str, phase: Phase) -> None:
        """Begin what `next` returned."""
        self._under_way = job, phase
        if self._earlier:
            return
        match phase:
            case Phase.CLOSE:
                heapq.heappop(self._closing)
            case Phase.ROLLBACK:
                heapq.heappop(self._rolling)
            case _:
                heapq.heappop(self._owed)
                self._drop_stale()

    def end(self, job: str, phase: Phase) -> bool:
        """End what is under way; False if it is something else."""
        if self._under_way != (job, phase):
            return False
        self._under_way = None
        if self._earlier:
            self._earlier.pop()
        return True
