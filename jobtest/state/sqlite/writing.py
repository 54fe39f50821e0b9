"""The one connection that writes: transactions, what is on the disk when, and the end of all writing.

What lives here: taking a state over, `Writer`. What rows mean is not known here, but for those of `meta`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from jobtest.core.errors import AlreadyEnded, Problem, StateLost
from jobtest.core.version import VERSION
from jobtest.state.sqlite.disk import beside, sync_file
from jobtest.state.sqlite.marker import Marker, compare, mark
from jobtest.state.sqlite.opening import BUSY, open_writing
from jobtest.state.sqlite.problems import BACK, FAILURES, Failure, reason, refused, unwritable
from jobtest.state.sqlite.rows import EVENT, OUTCOME, Row, text_of
from jobtest.state.sync import GroupSync

__all__ = ["Writer"]

LONGEST_LOG = 16 << 20
"""Bytes of the log after which its content moves into the database."""

SMALL = 50 << 20
"""Bytes of a database that is checked as a whole after its owner was killed; that takes 50 ms or so."""

DECIDING = ("meta", "run", "outcome", "past", "owed", "checkpoint")
"""Tables that are checked then in a larger one: what decides what a run does. Entries have checksums."""

_COUNT = ("UPDATE meta SET value = value + 1 WHERE key = 'logs'", ())
"""Puts the page that tells whose it is into a log that begins anew, so that another state's is found out."""

_BUSY, _FULL = 5, 13


class Writer:
    """Owns the database at a path, until it is closed or lost. Not for two threads at once.

    Whoever makes one holds the lock, and a connection that has read and is still open when this one is lost:
    the last to close moves the log into the database, and after a failed write nobody knows what it holds.
    """

    def __init__(self, path: Path, durability: str) -> None:
        """Take the state over, making or migrating it if needed.

        Raises:
            StateError: it is no state of ours, not the one that belongs here, damaged, or cannot be written.
        """
        self._path, self._name = path, str(path)
        self._durability = durability
        self._lost: Problem | None = None
        self._connection = open_writing(path)
        try:
            self._epoch = _take_over(path, self._connection)
            self._place = _place(self._name)
            self._log = os.open(beside(path, "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, *FAILURES) as error:
            self._connection.close()
            raise unwritable(path, error) from error
        except BaseException:
            self._connection.close()
            raise
        self._cursor = self._connection.cursor()
        self._synchronous = "FULL"
        self._log_limit = LONGEST_LOG
        self._group = GroupSync(self._sync_log)

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._lost is not None

    def insist(self) -> None:
        """Do nothing while something can be written.

        Raises:
            StateLost: nothing can be written any more.
        """
        if self._lost is not None:
            raise StateLost(self._lost)

    def commit(self, rows: Sequence[Row], *, at_once: bool = False) -> None:
        """Write rows in one transaction; the death of this process cannot take them back afterwards.

        An interrupt (`KeyboardInterrupt`) ends all writing: nobody knows whether it came before or after.

        Args:
            rows: Statements and what they bind.
            at_once: A power cut cannot take them back either, nor anything before them.

        Raises:
            StateLost: they could not be kept, or earlier ones.
            AlreadyEnded: one of them ends a job that has ended; none is kept.
        """
        self.insist()
        full = at_once or self._durability == "full"
        try:
            # a look takes 6 us, so only what others are going to rely on is worth one
            promised = at_once or any(statement is not EVENT for statement, _ in rows)
            if promised and self.look_around() > self._log_limit:
                self._shorten_log()
                self._transact([_COUNT], self._synchronous)
            self._transact(rows, "FULL" if full else "NORMAL")
            if not full and self._durability == "auto":
                self._group.soon()
        except (OSError, *FAILURES) as error:
            self.lose(error)
        except (StateLost, AlreadyEnded):
            raise
        except BaseException:
            with suppress(StateLost):
                self._end(self._problem("the state was interrupted while it was written", "run again"))
            raise

    def sync(self) -> None:
        """Bring to the disk what was committed.

        Raises:
            StateLost: that failed, or something before it.
        """
        self.insist()
        try:
            self._group.now()
        except OSError as error:
            self.lose(error)

    def finish(self) -> None:
        """End the ownership in order; what is left to do is `close`.

        Raises:
            StateLost: earlier rows could not be kept.
        """
        self.insist()
        try:
            self._group.close()
            self.commit([("UPDATE meta SET value = '1' WHERE key = 'clean'", ())], at_once=True)
            self._shorten_log()
        except (OSError, *FAILURES) as error:
            self.lose(error)

    def close(self) -> None:
        """Let go of files; after a loss it did that already. Whoever closes the last connection tidies up."""
        if self._lost is None:
            self._lost = self._problem("the state is closed", "this is a bug in jobtest")
            self._disconnect()

    def lose(self, error: OSError | Failure) -> NoReturn:
        """End all writing because of an error.

        Raises:
            StateLost: always.
        """
        self._end(self._explain(error))

    def _transact(self, rows: Iterable[Row], synchronous: str) -> None:
        execute = self._cursor.execute
        if synchronous != self._synchronous:
            execute(f"PRAGMA synchronous={synchronous}")
            self._synchronous = synchronous
        execute("BEGIN IMMEDIATE")
        if execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone() != (self._epoch,):
            self._end(self._problem("another run has taken the state over", "wait for its end"))
        for statement, bound in rows:
            try:
                execute(statement, bound)
            except sqlite3.IntegrityError:
                if statement is not OUTCOME:
                    raise
                execute("ROLLBACK")
                (run,) = execute("SELECT id FROM run WHERE number = ?", bound[:1]).fetchone() or ("",)
                raise AlreadyEnded(text_of(bound[1]), text_of(run)) from None
        execute("COMMIT")

    def look_around(self) -> int:
        """Compare what lies at the path with what is written to, and return the bytes of the log.

        Raises:
            StateLost: it is gone, or something else.
        """
        try:
            log = os.fstat(self._log)
            if log.st_nlink and _place(self._name) == self._place:
                return log.st_size
        except OSError:
            pass
        what = "the state was removed or replaced while it was used"
        self._end(self._problem(what, "put it back, or run again"))

    def _sync_log(self) -> None:
        sync_file(self._log)

    def _shorten_log(self) -> None:
        """Move the content of the log into the database; what a reader still needs stays."""
        execute = self._cursor.execute
        execute("PRAGMA busy_timeout=0")
        execute("PRAGMA wal_checkpoint(TRUNCATE)")
        execute(f"PRAGMA busy_timeout={BUSY * 1000:.0f}")
        self._log_limit = os.fstat(self._log).st_size + LONGEST_LOG

    def _end(self, problem: Problem) -> NoReturn:
        """End all writing; the connection is thrown away."""
        self._lost = problem
        self._disconnect()
        raise StateLost(problem)

    def _disconnect(self) -> None:
        self._cursor.close()  # with a statement of its own it would keep the connection alive
        self._connection.close()
        with suppress(OSError):
            self._group.close()
        os.close(self._log)

    def _explain(self, error: OSError | Failure) -> Problem:
        code = getattr(error, "sqlite_errorcode", 0)
        if code == _FULL or getattr(error, "errno", 0) == errno.ENOSPC:
            return self._problem(f"state disk is full: {self._path}", "make room and run again")
        fix = (
            "close what has it open, e.g. sqlite3" if code & 0xFF == _BUSY else "mend the disk and run again"
        )
        return self._problem(f"the state cannot be written: {reason(error)}", fix)

    def _problem(self, what: str, fix: str) -> Problem:
        return Problem(what=what, at=(str(self._path),), fix=fix)


def _take_over(path: Path, connection: sqlite3.Connection) -> str:
    """Make a state ours and return our epoch: who wrote before cannot write any more."""
    execute = connection.execute
    execute("PRAGMA synchronous=FULL")
    execute("BEGIN IMMEDIATE")
    try:
        meta: dict[str, str] = dict(execute("SELECT key, value FROM meta"))
        lineage, serial, epoch = meta["lineage"], int(meta["serial"]), int(meta["epoch"])
        clean = meta["clean"] == "1"
    except (KeyError, ValueError, TypeError) as error:
        raise refused(path, "the state is damaged: table meta", BACK) from error
    compare(path, Marker(lineage, serial))
    if not clean:
        _check_pages(path, connection)
    now = {"serial": str(serial + 1), "epoch": str(epoch + 1), "clean": "0", "version": VERSION}
    for key, value in now.items():
        execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
    execute("COMMIT")
    mark(path, Marker(lineage, serial + 1))
    return now["epoch"]


def _check_pages(path: Path, connection: sqlite3.Connection) -> None:
    whole = path.stat().st_size <= SMALL
    for which in ("",) if whole else DECIDING:
        found = connection.execute(f"PRAGMA quick_check({which or 1})").fetchall()
        if found != [("ok",)]:
            said = " ".join(str(found[0][0]).split())
            raise refused(path, f"the state is damaged: {said}", BACK)


def _place(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
