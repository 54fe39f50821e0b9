"""What a state holds, read from its database through a connection that cannot write."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jobtest.core.events import Entry
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.state.codec import digest_of
from jobtest.state.sqlite import rows
from jobtest.state.sqlite.opening import copy, open_reading
from jobtest.state.sqlite.problems import BACK, FAILURES, refused, unreadable
from jobtest.state.sqlite.rows import event_id, key, value_id
from jobtest.state.sqlite.values import ValueFiles
from jobtest.state.store import Owed, RunRecord

__all__ = ["Reader"]

T = TypeVar("T")

PAGE = 1000
"""Entries that are fetched at once: the log can be shortened only while nobody is reading."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, zlib.error)

_RUNS = "SELECT id, record, crc FROM run WHERE record <> ''"
_EVENTS = "SELECT id, seq, job, at, body, crc FROM event WHERE id > ? AND id <= ?"


class Reader:
    """Reads the state at a path. One that is not there is empty, and stays not there.

    Every method raises `StateError` if the state cannot be read or is damaged. Not for two threads at once.
    """

    def __init__(self, path: Path, files: ValueFiles) -> None:
        self._path = path
        self._files = files
        self._connection: sqlite3.Connection | None = None
        self._place: tuple[int, int] | None = None
        self._stays = False

    def stay(self) -> None:
        """Read from now on what lies at the path now, wherever it goes: it is owned."""
        self.close()
        self._connected()
        self._stays = True

    def runs(self, limit: int | None) -> list[RunRecord]:
        """Return runs, newest first."""
        order = "CAST(id AS BLOB)"  # or text that is no Unicode would come last
        found = self._rows(f"{_RUNS} ORDER BY {order} DESC LIMIT ?", -1 if limit is None else limit)
        return [self._made(rows.record_of, row, f"run {row[0]!r}") for row in found]

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its id."""
        for row in self._rows(f"{_RUNS} AND id = ?", key(id)):
            return self._made(rows.record_of, row, f"run {id!r}")
        return None

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        found = self._rows(
            "SELECT run.plan, size, data FROM run LEFT JOIN plan ON plan.digest = run.plan "
            "WHERE id = ? AND record <> '' AND run.plan NOTNULL",
            key(run),
        )
        for row in found:
            return self._made(rows.plan_of, row, f"plan of run {run!r}")
        return None

    def entries(self, run: str, job: str) -> Iterator[Entry]:
        """Return the entries of a run that are there now, in order."""
        number = self.number(run)
        if number is None:
            return iter(())
        first, end = event_id(number, 0), event_id(number + 1, 0)
        [(last,)] = self._rows("SELECT max(id) FROM event WHERE id >= ? AND id < ?", first, end)
        return self._pages(run, job, first - 1, last)

    def outcomes(self, run: str) -> dict[str, int]:
        """Return how many jobs of a run have ended in each way."""
        counts = Counter(self.ended(run).values())
        return {one.value: counts[one.value] for one in Outcome if one.value in counts}

    def ended(self, run: str) -> dict[str, str]:
        """Return how the jobs of a run have ended, by id."""
        found = self._rows("SELECT job, outcome, crc FROM outcome WHERE run = ?", self.number(run))
        made = (self._made(rows.outcome_of, (run, *row), f"outcome of job {row[0]!r}") for row in found)
        return dict(made)

    def number(self, run: str) -> int | None:
        """Return the number of a run."""
        for (number,) in self._rows("SELECT number FROM run WHERE id = ? AND record NOTNULL", key(run)):
            return int(number)
        return None

    def turn(self) -> int:
        """Return the highest turn of a cleanup so far."""
        found = self._rows("SELECT value FROM meta WHERE key = 'turn'")
        return sum(self._made(int, row, "table meta") for row in found)

    def last_number(self) -> int:
        """Return the highest number of a run."""
        found = self._rows("SELECT max(number) FROM run")
        return int(found[0][0] or 0) if found else 0

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs."""
        found = self._rows("SELECT job, past, crc FROM past ORDER BY job")
        return dict(self._made(rows.past_of, row, f"past of job {row[0]!r}") for row in found)

    def value(self, digest: str) -> str | None:
        """Return the text of a value."""
        statement = "SELECT size, text FROM value WHERE id = ? AND digest = ?"
        for size, text in self._rows(statement, value_id(digest), key(digest)):
            return self._made(self._text, (digest, size, text), f"value {digest!r}")
        return None

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""
        found = self._rows("SELECT job, run, turn, crc FROM owed ORDER BY turn")
        return [self._made(rows.owed_of, row, f"owed by job {row[0]!r}") for row in found]

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of jobs."""
        made: dict[str, dict[str, str]] = {}
        for row in self._rows("SELECT job, key, text, crc FROM checkpoint ORDER BY job, key"):
            job, name, text = self._made(rows.checkpoint_of, row, f"checkpoint {row[1]!r} of job {row[0]!r}")
            made.setdefault(job, {})[name] = text
        return made

    def copy(self, path: Path) -> list[str]:
        """Write a copy to `path` and return the digests of the values that are in files.

        Raises:
            OSError, sqlite3.Error: it cannot be written.
        """
        connection = self._connected()
        if connection is None:
            raise refused(self._path, "there is no state to copy", "run something first")
        connection.execute("BEGIN")  # both see the same instant
        try:
            digests = self.digests_in_files()
            copy(connection, path)
        finally:
            connection.execute("ROLLBACK")
        return digests

    def digests_in_files(self) -> list[str]:
        """Return the digests of the values that are in files."""
        found = self._rows("SELECT digest FROM value WHERE text IS NULL")
        return [self._made(rows.text_of, row, "value") for row in found]

    # --- for pruning: what the database has, as it has it ---

    def forgotten(self) -> list[int]:
        """Return the numbers of runs that are out of all lists."""
        return [number for (number,) in self._rows("SELECT number FROM run WHERE record IS NULL")]

    def has_rows(self, rows: str, *bound: object) -> bool:
        """Tell whether there are rows; `rows` is what follows `FROM`."""
        return bool(self._rows(f"SELECT 1 FROM {rows} LIMIT 1", *bound))

    def unnamed_plans(self) -> list[object]:
        """Return the keys of plans that no run has."""
        statement = "SELECT digest FROM plan WHERE digest NOT IN (SELECT plan FROM run WHERE plan NOTNULL)"
        return [digest for (digest,) in self._rows(statement)]

    def unnamed_values(self) -> list[int]:
        """Return the keys of values that no event, no plan and no past names."""
        known = {past.value for past in self.pasts().values()}
        for row in self._rows("SELECT named FROM plan"):
            known.update(self._made(json.loads, row, "plan"))
        ids = {value_id(digest) for digest in known}
        found = self._rows(
            "SELECT id FROM value WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.value = value.id)"
        )
        return [id for (id,) in found if id not in ids]

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._place = None
        self._stays = False

    def _pages(self, run: str, job: str, after: int, last: int | None) -> Iterator[Entry]:
        statement = f"{_EVENTS}{' AND job = ?' if job else ''} ORDER BY id LIMIT {PAGE}"
        while last is not None:
            found = self._rows(statement, after, last, *([key(job)] if job else []))
            for row in found:
                yield self._made(rows.entry_of, (run, *row[1:]), f"event {row[1]} of run {run!r}")
            if len(found) < PAGE:
                return
            after = found[-1][0]

    def _text(self, digest: str, size: int, column: object) -> str:
        text = self._files.get(digest).decode("ascii") if column is None else rows.text_of(column)
        if len(text) != size or digest_of(text) != digest:
            raise ValueError("its digest is wrong")
        return text

    def _made(self, make: Callable[..., T], row: tuple[Any, ...], what: str) -> T:
        try:
            return make(*row)
        except (*_DAMAGE, FileNotFoundError) as error:
            raise refused(self._path, f"the state is damaged: {what}", BACK) from error
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _rows(self, statement: str, *bound: object) -> list[tuple[Any, ...]]:
        connection = self._connected()
        if connection is None:
            return []
        try:
            return connection.execute(statement, bound).fetchall()
        except FAILURES as error:
            raise unreadable(self._path, error) from error

    def _connected(self) -> sqlite3.Connection | None:
        """Return a connection to what lies at the path now, unless it is to stay."""
        if self._stays:
            return self._connection
        try:
            found = self._path.stat()
            place = found.st_dev, found.st_ino
        except OSError:
            place = None
        if self._connection is None or place != self._place:
            self.close()
            self._connection, self._place = open_reading(self._path), place
        return self._connection
