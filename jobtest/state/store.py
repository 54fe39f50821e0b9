"""What a store promises: it takes changes, commits them, and gives back what they came to.

Reading needs no ownership and never writes. Writing is for the one owner: `own`, then `write` any number of
changes and `commit` them. What is written and not committed may be lost, all of it or a tail, never a part
from the middle. Changes are written in the order given.

`Entry` (`jobtest.core.events`) is a change too: the next event of a run's journal. A second `JobEnded` of one
job in one run is refused with `AlreadyEnded`, whoever writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from jobtest.core.events import Entry
from jobtest.core.past import Past

__all__ = [
    "Change",
    "CheckpointKept",
    "CheckpointsDropped",
    "CleanupDone",
    "CleanupOwed",
    "Owed",
    "Owner",
    "PastKept",
    "RunKept",
    "RunRecord",
    "RunsDropped",
    "Store",
    "ValueKept",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, for lists. Times in seconds since the epoch.

    Attributes:
        id: Its id; ids sort by time.
        command: What it was for, as `Command.value`.
        lineage: Id of the first run of those that went on with each other; its own if it goes on with none.
        resumed_from: Id of the run that it goes on with, or empty.
        context: Name of the context, or empty.
        argv: The command line.
        cwd: The folder in which it was started.
        revision: Revision of the project under version control, or empty.
        host: Name of the machine.
        pid: Of its process.
        version: Of jobtest.
        python: Of Python.
        platform: Operating system and machine.
        workers: Jobs that could run at once.
        jobs: How many took part.
        started_at: When it began.
        ended_at: When it ended; None while it runs, and for ever if it was killed.
        exit_status: Of the process; None as above.
        totals: Outcome to number of jobs; empty as above.
    """

    id: str
    command: str = "apply"
    lineage: str = ""
    resumed_from: str = ""
    context: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    revision: str = ""
    host: str = ""
    pid: int = 0
    version: str = ""
    python: str = ""
    platform: str = ""
    workers: int = 1
    jobs: int = 0
    started_at: float = 0.0
    ended_at: float | None = None
    exit_status: int | None = None
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds a store: for the message to whoever comes second.

    Attributes:
        host: Name of the machine.
        pid: Of the process.
        since: Seconds since the epoch.
        command: The command line.
    """

    host: str
    pid: int
    since: float
    command: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A cleanup that is owed.

    Attributes:
        job: Id of the job.
        run: Id of the run that owes it.
        turn: Its place in the order in which run phases were entered, rising over all runs.
    """

    job: str
    run: str
    turn: int


@dataclass(frozen=True, slots=True)
class RunKept:
    """A run as it is now; with `plan` (JSON text) the first time, without it later."""

    record: RunRecord
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class ValueKept:
    """The text of a value, by its digest. The same digest always has the same text."""

    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class PastKept:
    """What is known of a job from now on."""

    job: str
    past: Past


@dataclass(frozen=True, slots=True)
class CleanupOwed:
    """A job is about to enter its run phase and owes a cleanup; its turn is the highest so far plus one.

    Written again while it is owed, it moves: to this run, with a new turn.
    """

    job: str
    run: str


@dataclass(frozen=True, slots=True)
class CleanupDone:
    """The cleanup of a job is owed no longer."""

    job: str


@dataclass(frozen=True, slots=True)
class CheckpointKept:
    """A checkpoint of a job: JSON text by key."""

    job: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckpointsDropped:
    """The checkpoints of a job are of no use any more."""

    job: str


@dataclass(frozen=True, slots=True)
class RunsDropped:
    """Runs are forgotten: their records, plans and entries, and values that nothing names any more."""

    runs: tuple[str, ...]


Change = (
    Entry
    | RunKept
    | ValueKept
    | PastKept
    | CleanupOwed
    | CleanupDone
    | CheckpointKept
    | CheckpointsDropped
    | RunsDropped
)


class Store(Protocol):
    """Keeps what happened and what is known.

    Every method but `close` may raise `StateError` (a `UsageError`: this state cannot be used, and why) and,
    once it is owned, `StateLost` (what was written could not be kept; nothing may start any more).
    """

    @property
    def url(self) -> str:
        """What `--job-state` would say, for messages; without a password."""

    @property
    def durable(self) -> bool:
        """Whether it outlives the process."""

    # --- reading ---

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return runs, newest first."""

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its whole id."""

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""

    def entries(self, run: str, job: str = "") -> Iterator[Entry]:
        """Return the journal of a run in order; with `job` only the events of that job."""

    def outcomes(self, run: str) -> Mapping[str, int]:
        """Return how many jobs of a run have ended in each way so far."""

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs, by id."""

    def value(self, digest: str) -> str | None:
        """Return the text of a value; its content is compared with its digest."""

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of all jobs that have any: JSON text by job and key."""

    def owner(self) -> Owner | None:
        """Return who owns it now, if somebody does."""

    # --- writing ---

    def own(self, owner: Owner, timeout: float = 0.0) -> None:
        """Become the one that may write; wait up to `timeout` seconds for another one to let go.

        A second time does nothing.

        Raises:
            StateLocked: somebody else holds it.
            StateError: it cannot be used or written.
        """

    def write(self, change: Change) -> None:
        """Take in a change; it is kept when `commit` has returned.

        Raises:
            AlreadyEnded: the job has ended in that run.
        """

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written, so that the death of this process cannot take it back.

        Args:
            at_once: A power cut must not take it back either. Otherwise the store's `durability` says when
                that is so: within 100 ms (`auto`), now (`full`), or when the operating system likes (`fast`).
        """

    def close(self) -> None:
        """Commit, let go of ownership and of files; a second time does nothing."""
