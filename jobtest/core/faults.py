"""Faults that are injected on purpose: what they are, and how they are told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["INJECTED", "Fault", "FaultKind", "fault_from"]

INJECTED = "injected: "
"""What a note begins with that tells of a fault; no other does."""


class FaultKind(Enum):
    """What is done to a run phase."""

    FAIL = "fail"
    """It raises, and its body is not called."""
    DELAY = "delay"
    """It takes longer before its body is called."""
    TIMEOUT = "timeout"
    """It has had its time, and its body is not called."""
    KILL = "kill"
    """Its process is killed, and its body is not called."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the run phase of a job, in which attempts.

    Attributes:
        kind: What is done.
        first: Number of the first attempt that has it.
        last: Number of the last one; None: all that follow.
        seconds: Of a delay.
    """

    kind: FaultKind
    first: int = 1
    last: int | None = None
    seconds: float = 0.0

    def at(self, attempt: int) -> bool:
        """Tell whether an attempt has it."""
        return self.first <= attempt and (self.last is None or attempt <= self.last)

    def shared(self, other: Fault) -> int | None:
        """Return the first attempt that has both, or None."""
        attempt = max(self.first, other.first)
        return attempt if self.at(attempt) and other.at(attempt) else None

    @property
    def said(self) -> str:
        """What the failure that it leads to says of it."""
        return f"{INJECTED}{self.kind.value} (--job-inject)"

    def told(self, attempt: int) -> str:
        """Return what is told of it once an attempt has had it; `fault_from` reads that again."""
        delay = f" {self.seconds!r} s" if self.kind is FaultKind.DELAY else ""
        return f"{self.kind.value}{delay} at attempt {attempt}"


def fault_from(told: str) -> Fault | None:
    """Return the fault that one attempt has had, from what `told` says of it; None if it says nothing."""
    found = re.fullmatch(r"(fail|timeout|kill|delay (\d.*) s) at attempt ([1-9]\d*)", told, re.ASCII)
    if found is None:
        return None
    kind, attempt = found[1].partition(" ")[0], int(found[3])
    try:
        return Fault(FaultKind(kind), attempt, attempt, float(found[2] or 0))
    except ValueError:
        return None
