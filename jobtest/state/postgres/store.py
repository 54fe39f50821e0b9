"""`PostgresStore`: the protocol of a store over one PostgreSQL database."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from jobtest.core.errors import AlreadyEnded, StateError
from jobtest.core.events import Entry, JobEnded
from jobtest.core.past import Past
from jobtest.state.postgres import pruning, rows
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.driver import psycopg
from jobtest.state.postgres.lease import Lease
from jobtest.state.postgres.link import Link
from jobtest.state.postgres.problems import refused, unusable
from jobtest.state.postgres.reading import Reader
from jobtest.state.postgres.rows import Row
from jobtest.state.postgres.schema import create
from jobtest.state.postgres.writing import Writer
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

__all__ = ["PostgresStore"]


class PostgresStore:
    """Keeps everything in the schema `jobtest` of a PostgreSQL database, made when it is first owned.

    An owner holds a lease, which it renews; one that has died holds the state until its lease ends. One that
    stood still for too long can write nothing any more. Any thread may call. It is not for use in a forked
    child.

    Args:
        url: `postgresql://USER@HOST:PORT/DATABASE`, or whatever else libpq takes for a URL.
        durability: When a crash of the server cannot take back what is committed: `full` (at once), `auto`
            (at once, or soon if it is one of a burst) or `fast` (soon). Soon is within three times the
            `wal_writer_delay` of the server, 0.6 seconds as a rule.
        lease: Seconds for which an owner holds the state without renewing it.
    """

    def __init__(self, url: str, *, durability: str = "auto", lease: float = 30.0) -> None:
        self._address = Address(url)
        self._durability = durability
        self._seconds = lease
        self._link = Link(self._address)
        self._reader = Reader(self._address, self._link)
        self._lease: Lease | None = None
        self._writer: Writer | None = None
        self._process = 0
        self._rows: list[Row] = []
        self._numbers: dict[str, int] = {}
        self._ended: dict[str, set[str]] = {}
        self._turn: int | None = None
        self._guard = threading.RLock()

    @property
    def url(self) -> str:
        """The URL that names it, without a password."""
        return self._address.shown

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
        with self._guard:
            return self._reader.owner()

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
            self._numbers, self._ended, self._turn = {}, {}, None
            lease = Lease(self._address, self._seconds)
            try:
                self._link.run(lambda connection: create(connection, self._address))
                lease.take(self._link, owner, timeout)
            except psycopg.Error as error:
                raise unusable(self._address, error) from error
            self._lease = lease
            self._writer = Writer(self._address, self._link, lease, self._durability)
            self._process = os.getpid()

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
                pruning.drop(change.runs, writer, self._reader)
                return
            try:
                self._rows.extend(self._rows_of(change))
            except StateError as error:
                writer.lose(error.problems[0])

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written, so that the death of this process cannot take it back.

        A server that is gone is waited for, up to a minute or until the lease ends.

        Args:
            at_once: A crash of the server must not take it back either, nor what was committed before.

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
                    self._numbers, self._ended, self._turn = {}, {}, None  # they tell of what is not there
                    raise
            elif at_once:
                writer.sync()

    def close(self) -> None:
        """Commit, let go of ownership and of the server; a second time does nothing.

        Raises:
            StateLost: what was written could not be kept, and nobody was told yet.
        """
        with self._guard:
            if self._process not in (0, os.getpid()):
                return  # in a forked child: what is open is not ours
            writer, self._writer = self._writer, None
            lease, self._lease = self._lease, None
            try:
                if writer is not None and not writer.lost:
                    if self._rows:
                        writer.commit(self._rows, at_once=True)
                    writer.sync()
            finally:
                self._rows = []
                self._link.forget()
                if lease is not None:
                    lease.release(self._link)
                self._link.close()

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
        if self._writer is None or self._process != os.getpid():
            what = "the state is written without being owned"
            raise refused(self._address, what, "this is a bug in jobtest")
        self._writer.insist()
        return self._writer

    def _rows_of(self, change: Change) -> Iterable[Row]:
        if isinstance(change, Entry):
            if isinstance(change.event, JobEnded):
                self._end(change.run, change.event.job)
            return rows.entry_rows(change, self._number(change.run))
        if isinstance(change, RunKept):
            argv = tuple(map(self._address.hide, change.record.argv))
            kept = RunKept(replace(change.record, argv=argv), change.plan)
            return rows.run_rows(kept, self._number(change.record.id))
        if isinstance(change, ValueKept):
            return [rows.value_row(change.digest, change.text)]
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

    def _owed_rows(self, owed: CleanupOwed) -> Iterable[Row]:
        if self._turn is None:
            self._turn = self._reader.turn()
        self._turn += 1
        return rows.owed_rows(owed.job, owed.run, self._turn)
