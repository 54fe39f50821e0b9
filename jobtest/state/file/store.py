"""`FileStore`: the protocol of a store over a folder of text files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from jobtest.core.errors import Problem, StateError
from jobtest.core.events import Entry
from jobtest.core.past import Past
from jobtest.state.file.disk import Unsynced, sync_path
from jobtest.state.file.folder import Layout, check, unwritable
from jobtest.state.file.reading import Reader
from jobtest.state.file.values import Values
from jobtest.state.file.writing import Writer
from jobtest.state.lock import FileLock
from jobtest.state.store import Change, Owed, Owner, RunRecord

__all__ = ["FileStore"]


class FileStore:
    """Keeps everything as text in a folder.

    `format.json` says what it is. `runs/<id>.jsonl` is the journal of a run, its record and plan first, newer
    records later. `known.jsonl` is what is known beside the runs. `values/` has a file for each value. Lines
    are changes with a checksum; they are appended in the order given, so that a kill takes a tail. Opening
    reads what is known, and no run. Not for two threads at once, and not for a forked child.

    When runs are forgotten, a value stays if a past names it, or an entry or the plan of a run that is left;
    all others go, whoever named them.

    Args:
        folder: Made when it is first owned.
        durability: When a power cut cannot take back what is committed: `auto` (100 ms later), `full` (at
            once) or `fast` (when the operating system likes).
    """

    def __init__(self, folder: Path, *, durability: str = "auto") -> None:
        self._layout = Layout(Path(os.path.realpath(folder)))
        self._durability = durability
        self._lock = FileLock(self._layout.lock)
        self._reader = Reader(self._layout)
        self._writer: Writer | None = None

    @property
    def url(self) -> str:
        """The URL that names it, with an absolute path."""
        return f"file://{self._layout.top}"

    @property
    def durable(self) -> bool:
        """It outlives the process."""
        return True

    # --- reading: what was written counts, so it is committed first ---

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return runs, newest first."""
        return self._read().runs(limit)

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its whole id."""
        return self._read().run(id)

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        return self._read().plan(run)

    def entries(self, run: str, job: str = "") -> Iterator[Entry]:
        """Return the journal of a run in order, as far as it goes now; with `job` only its events."""
        return self._read().entries(run, job)

    def outcomes(self, run: str) -> Mapping[str, int]:
        """Return how many jobs of a run have ended in each way so far."""
        return self._read().outcomes(run)

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs, by id."""
        return self._read().known()[0].pasts

    def value(self, digest: str) -> str | None:
        """Return the text of a value; its content is compared with its digest."""
        self._read()
        return Values(self._layout.values, Unsynced()).get(digest)

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""
        return sorted(self._read().known()[0].owed.values(), key=lambda one: one.turn)

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of all jobs that have any: JSON text by job and key."""
        return self._read().known()[0].checkpoints

    def owner(self) -> Owner | None:
        """Return who owns it now, if somebody does."""
        return self._lock.holder()

    # --- writing ---

    def own(self, owner: Owner, timeout: float = 0.0) -> None:
        """Become the one that may write; wait up to `timeout` seconds for another one to let go.

        A second time does nothing.

        Raises:
            StateLocked: somebody else holds it.
            StateError: it cannot be used or written.
        """
        if self._lock.held:
            return
        top = self._layout.top
        check(top)  # what is no state is left as it is, without even a lock in it
        try:
            if not top.is_dir():
                top.parent.mkdir(parents=True, exist_ok=True)
                top.mkdir(mode=0o700, exist_ok=True)
                sync_path(top.parent)
        except OSError as error:
            raise unwritable(top, error) from error
        self._lock.take(owner, timeout)
        try:
            self._writer = Writer(self._layout, self._durability)
        except BaseException:
            self._lock.release()
            raise

    def write(self, change: Change) -> None:
        """Take in a change; it is kept when `commit` has returned. Runs are forgotten at once.

        Raises:
            AlreadyEnded: the job has ended in that run.
            StateLost: it cannot be kept.
        """
        self._owned().write(change)

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written, so that the death of this process cannot take it back.

        Args:
            at_once: A power cut must not take it back either, nor what was committed before.

        Raises:
            StateLost: it could not be kept.
        """
        self._owned().commit(at_once=at_once)

    def close(self) -> None:
        """Commit, let go of ownership and of files; a second time does nothing.

        Raises:
            StateLost: what was written could not be kept, and nobody was told yet.
        """
        writer, self._writer = self._writer, None
        try:
            if writer is not None and self._lock.held:  # in a forked child it is not
                writer.close()
        finally:
            self._lock.release()

    def _read(self) -> Reader:
        if self._writer is not None and self._lock.held and self._writer.pending:
            self._writer.commit()
        check(self._layout.top)
        return self._reader

    def _owned(self) -> Writer:
        if self._writer is None or not self._lock.held:
            what = "the state is written without being owned"
            raise StateError(
                [Problem(what=what, at=(str(self._layout.top),), fix="this is a bug in jobtest")]
            )
        return self._writer
