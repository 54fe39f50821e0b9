"""What is known beside the runs: the fold of the changes that say so. No disk."""

from __future__ import annotations

from collections.abc import Iterator

from jobtest.core.past import Past
from jobtest.state.store import CheckpointKept, CheckpointsDropped, CleanupDone, CleanupOwed, Owed, PastKept

__all__ = ["Fact", "Known"]

Fact = PastKept | Owed | CleanupDone | CheckpointKept | CheckpointsDropped
"""A change of what is known; a cleanup that is owed has got its turn."""


class Known:
    """Pasts, cleanups that are owed, and checkpoints.

    Attributes:
        pasts: By job.
        owed: By job.
        checkpoints: By job and key; a job without any is not there.
        turn: The highest so far.
    """

    def __init__(self) -> None:
        self.pasts: dict[str, Past] = {}
        self.owed: dict[str, Owed] = {}
        self.checkpoints: dict[str, dict[str, str]] = {}
        self.turn = 0

    def turned(self, change: CleanupOwed) -> Owed:
        """Return a cleanup that is to be owed, with its turn."""
        return Owed(change.job, change.run, self.turn + 1)

    def take(self, fact: Fact) -> None:
        """Take in a fact."""
        match fact:
            case PastKept(job, past):
                self.pasts[job] = past
            case Owed(job, _, turn):
                self.owed[job] = fact
                self.turn = max(self.turn, turn)
            case CleanupDone(job):
                self.owed.pop(job, None)
            case CheckpointKept(job, key, text):
                self.checkpoints.setdefault(job, {})[key] = text
            case CheckpointsDropped(job):
                self.checkpoints.pop(job, None)

    def facts(self) -> Iterator[Fact]:
        """Return as few facts as possible that come to the same."""
        for job, past in self.pasts.items():
            yield PastKept(job, past)
        if self.turn > max((one.turn for one in self.owed.values()), default=0):
            yield Owed("", "", self.turn)  # turns rise for ever: the highest counts even if it is done
            yield CleanupDone("")
        yield from self.owed.values()
        for job, texts in self.checkpoints.items():
            for key, text in texts.items():
                yield CheckpointKept(job, key, text)

    def __len__(self) -> int:
        return len(self.pasts) + len(self.owed) + sum(map(len, self.checkpoints.values()))
