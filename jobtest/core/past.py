"""What is known of a job from earlier runs, and how one run takes over from another. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobtest.core.model import NOTHING

__all__ = ["Past"]


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
