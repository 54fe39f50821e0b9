"""What is known of a job from earlier runs, and how one run takes over from another. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobtest.core.model import NOTHING, Outcome

__all__ = ["OwedRollback", "Past", "Resumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The last success of a job. Times in seconds since the epoch, durations in seconds.

    Attributes:
        run: Id of the run in which it last ended well; empty if it never did.
        at: When that was.
        definition: Its definition then, as `Job.definition`.
        value: Digest of its value, if it had one that could be stored; else empty.
        inputs: Digests of the values that it took, by the id of the upstream job.
        files: Digests of the files that its `inputs` and `outputs` named, by path.
        changed_run: Id of the run in which it was last `changed`, or empty.
        changed_at: When that was.
        check_seconds: How long its check took when it was last asked.
        run_seconds: How long its run phase took the last time it ended well; None if it never ran.
        doubt: Id of the run that was killed while it ran, of a job that must not run twice; else empty.
        gone: It was taken away again since then: deleted or rolled back.
        gone_at: When that was.
        rollback: Its rollback that is due, if there is one.
    """

    run: str = ""
    at: float = 0.0
    definition: str = ""
    value: str = ""
    inputs: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    files: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    changed_run: str = ""
    changed_at: float = 0.0
    check_seconds: float = 0.0
    run_seconds: float | None = None
    doubt: str = ""
    gone: bool = False
    gone_at: float = 0.0
    rollback: OwedRollback | None = None

    @property
    def exists(self) -> bool:
        """Whether what the job brings about is there, for all that is known."""
        return bool(self.run) and not self.gone

    def lost(self, at: float) -> Past:
        """Return what is known of the job once it was taken away."""
        return replace(self, gone=True, gone_at=at, doubt="", rollback=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedRollback:
    """A rollback that is due.

    Attributes:
        run: Id of the run that owes it.
        turn: Its place in the order in which run phases were entered there.
        error: What its job failed of, one line; empty if it did not.
        before: What was known of the job before that run.
    """

    run: str
    turn: int
    error: str = ""
    before: Past | None = None

    def done(self, at: float) -> Past:
        """Return what is known of the job once it was rolled back: what was known before."""
        before = self.before or Past()
        return before if before.run else before.lost(at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Where an earlier run left a job with which this one goes on.

    Attributes:
        run: Id of the run in which it ended, or ran last.
        outcome: How it ended there, if that counts; then it is not attempted again.
        value: Digest of its value then, or empty.
        attempt: Number of its next attempt.
        lost: Runs in a row that were killed while its run phase was under way.
        not_before: When its next attempt may begin, in seconds since the epoch; 0 if at once.
        entered: Its run phase has been entered.
    """

    run: str
    outcome: Outcome | None = None
    value: str = ""
    attempt: int = 1
    lost: int = 0
    not_before: float = 0.0
    entered: bool = False
