"""`SqliteStore`: the protocol of a store over one SQLite database."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from jobtest.core.errors import AlreadyEnded
from jobtest.core.events import Entry, JobEnded
from jobtest.core.past import Past
from jobtest.state.lock import FileLock
from jobtest.state.sqlite import pruning, rows
from jobtest.state.sqlite.disk import beside, make_folder
from jobtest.state.sqlite.opening import check
from jobtest.state.sqlite.problems import FAILURES, refused, unreadable, unwritable
from jobtest.state.sqlite.reading import Reader
from jobtest.state.sqlite.rows import Row
from jobtest.state.sqlite.values import ValueFiles
from jobtest.state.sqlite.writing import Writer
from jobtest.state.store import (
    Change,
    CleanupOwed,
    Owed,
    Owner,
    RunKept,
    RunRecord,
    RunsDropped,
    ValueKept,
)

__all__ = ["SqliteStore"]


class SqliteStore:
    """Keeps everything in a SQLite database, and values that are very long in files beside it.

    Beside the database, under its name and an ending, lie the lock, the marker that tells which state belongs
    here, the log while it is open, and copies made before a migration. What is owned is written by one
    connection and read by another; any thread may call. It is not for use in a forked child.

    Args:
        path: Of the database; its folder is made when it is first owned.
        durability: When a power cut cannot take back what is committed: `auto` (100 ms later), `full` (at
            once) or `fast` (when the operating system likes).
        large: Values of which the text is longer, in characters, go to files.
    """

    def __init__(self, path: Path, *, durability: str = "auto", large: int = 1_000_000) -> None:
        self._path = Path(os.path.realpath(path))
        self._durability = durability
        self._large = large
        self._lock = FileLock(beside(self._path, ".lock"))
        self._files = ValueFiles(beside(self._path, ".values"))
        self._reader = Reader(self._path, self._files)
        self._writer: Writer | None = None
        self._rows: list[Row] = []
        self._numbers: dict[str, int] = {}
        self._ended: dict[str, set[str]] = {}
        self._turn: int | None = None
        self._guard = threading.RLock()

    @property
    def url(self) -> str:
        """The URL that names it, with an absolute path."""
        return f"sqlite:///{self._path}"

    @property
    def durable(self) -> bool:
        """It outlives the process."""
        return True

    # --- reading: what was written counts, so it is committed first ---

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return runs, newest first."""
        with self._guard:
            return self._read().runs(limit)

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its whole id."""
        with self._guard:
            return self._read().run(id)

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        with self._guard:
            return self._read().plan(run)

    def entries(self, run: str, job: str = "") -> Iterator[Entry]:
        """Return the journal of a run in order, as far as it goes now; with `job` only its events."""
        with self._guard:
            pages = self._read().entries(run, job)
        return self._each(pages)

    def outcomes(self, run: str) -> Mapping[str, int]:
        """Return how many jobs of a run have ended in each way so far."""
        with self._guard:
            return self._read().outcomes(run)

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs, by id."""
        with self._guard:
            return self._read().pasts()

    def value(self, digest: str) -> str | None:
        """Return the text of a value; its content is compared with its digest."""
        with self._guard:
            return self._read().value(digest)

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""
        with self._guard:
            return self._read().owed()

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of all jobs that have any: JSON text by job and key."""
        with self._guard:
            return self._read().checkpoints()

    def owner(self) -> Owner | None:
        """Return who owns it now, if somebody does."""
        return self._lock.holder()

    def backup(self, path: Path | str) -> None:
        """Write a copy of the state to `path`, long values included, whoever owns the state meanwhile.

        Raises:
            StateError: there is no state, it cannot be read, or the copy cannot be written.
        """
        target = Path(os.path.realpath(path))
        if target == self._path:
            raise refused(target, "this is the state itself", "name another file for the copy")
        copies = ValueFiles(beside(target, ".values"))
        try:
            with self._guard:
                digests = self._read().copy(target)
            for digest in digests:
                copies.put(digest, self._files.get(digest), sync=True)
        except (OSError, *FAILURES) as error:
            raise unwritable(target, error) from error

    # --- writing ---

    def own(self, owner: Owner, timeout: float = 0.0) -> None:
        """Become the one that may write; wait up to `timeout` seconds for another one to let go.

        A second time does nothing.

        Raises:
            StateLocked: somebody else holds it.
            StateError: it cannot be used or written.
        """
        with self._guard:
            if self._writer is not None:
                return
            self._prepare()
            self._forget()
            self._lock.take(owner, timeout)
            try:
                self._writer = Writer(self._path, self._durability)
                self._reader.stay()
            except BaseException:
                self.close()
                raise

    def write(self, change: Change) -> None:
        """Take in a change; it is kept when `commit` has returned.

        Runs are forgotten at once, in many small transactions.

        Raises:
            AlreadyEnded: the job has ended in that run.
            StateLost: it cannot be kept.
        """
        with self._guard:
            writer = self._owned()
            if isinstance(change, RunsDropped):
                self.commit()
                for run in change.runs:
                    self._numbers.pop(run, None)
                    self._ended.pop(run, None)
                pruning.drop(change.runs, writer, self._reader, self._files)
            else:
                self._rows.extend(self._rows_of(change))

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written, so that the death of this process cannot take it back.

        Args:
            at_once: A power cut must not take it back either, nor what was committed before.

        Raises:
            StateLost: it could not be kept.
        """
        with self._guard:
            writer = self._owned()
            if self._rows:
                written, self._rows = self._rows, []
                try:
                    writer.commit(written, at_once=at_once)
                except AlreadyEnded:
                    self._forget()
                    raise
            elif at_once:
                writer.sync()

    def close(self) -> None:
        """Commit, let go of ownership and of files; a second time does nothing.

        Raises:
            StateLost: what was written could not be kept, and nobody was told yet.
        """
        with self._guard:
            writer, self._writer = self._writer, None
            try:
                if writer is not None and self._lock.held:  # in a forked child it is not
                    self._finish(writer)
            finally:
                self._rows = []
                self._reader.close()
                self._lock.release()

    def _finish(self, writer: Writer) -> None:
        """Commit and close; after a loss nothing is left to do."""
        if writer.lost:
            return
        try:
            if self._rows:
                writer.commit(self._rows)
            writer.finish()
        finally:
            self._reader.close()  # before the writer: the last one tidies up, and a reader cannot
            writer.close()

    def _read(self) -> Reader:
        if self._rows:
            self.commit()
        return self._reader

    def _each(self, pages: Iterator[Entry]) -> Iterator[Entry]:
        while True:
            with self._guard:
                entry = next(pages, None)
            if entry is None:
                return
            yield entry

    def _owned(self) -> Writer:
        if self._writer is None or not self._lock.held:
            raise refused(self._path, "the state is written without being owned", "this is a bug in jobtest")
        self._writer.insist()
        return self._writer

    def _prepare(self) -> None:
        """Refuse what is no state before anything is made beside it."""
        try:
            check(self._path)
        except FileNotFoundError:
            try:
                make_folder(self._path.parent)
            except OSError as error:
                raise unwritable(self._path, error) from error
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _forget(self) -> None:
        """Drop what is known of the database from writing to it: somebody else wrote."""
        self._numbers, self._ended, self._turn = {}, {}, None

    def _rows_of(self, change: Change) -> Iterable[Row]:
        if isinstance(change, Entry):
            if isinstance(change.event, JobEnded):
                self._end(change.run, change.event.job)
            return rows.entry_rows(change, self._number(change.run))
        if isinstance(change, RunKept):
            return rows.run_rows(change, self._number(change.record.id))
        if isinstance(change, ValueKept):
            return [self._value_row(change)]
        if isinstance(change, CleanupOwed):
            return self._owed_rows(change)
        return rows.rows_of(change)

    def _end(self, run: str, job: str) -> None:
        ended = self._ended.get(run)
        if ended is None:
            ended = self._ended[run] = set(self._reader.ended(run))
        if job in ended:
            raise AlreadyEnded(job, run)
        ended.add(job)

    def _number(self, run: str) -> int:
        """Return the number of a run; one that is not known gets the next."""
        number = self._numbers.get(run)
        if number is None:
            number = self._reader.number(run)
            if number is None:
                number = 1 + max(self._reader.last_number(), *self._numbers.values(), 0)
                self._rows.append(rows.new_run_row(number, run))
            self._numbers[run] = number
        return number

    def _value_row(self, kept: ValueKept) -> Row:
        """Return the row of a value; a text that is too long is on the disk before it is named."""
        if len(kept.text) <= self._large:
            return rows.value_row(kept.digest, kept.text, in_file=False)
        writer = self._owned()
        writer.look_around()
        try:
            raw = kept.text.encode("utf-8", "surrogatepass")
            self._files.put(kept.digest, raw, sync=self._durability != "fast")
        except OSError as error:
            writer.lose(error)
        return rows.value_row(kept.digest, kept.text, in_file=True)

    def _owed_rows(self, owed: CleanupOwed) -> Iterable[Row]:
        if self._turn is None:
            self._turn = self._reader.turn()
        self._turn += 1
        return rows.owed_rows(owed.job, owed.run, self._turn)
