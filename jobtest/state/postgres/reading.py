"""What a state holds, read from its tables."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from jobtest.core.events import Entry
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.state.codec import digest_of
from jobtest.state.postgres import lease
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.driver import psycopg
from jobtest.state.postgres.link import Link
from jobtest.state.postgres.problems import BACK, refused, unusable
from jobtest.state.postgres.rows import column_of, text_of
from jobtest.state.postgres.schema import exists
from jobtest.state.sqlite import rows as encoded
from jobtest.state.sqlite.rows import event_id, value_id
from jobtest.state.store import Owed, Owner, RunRecord

__all__ = ["Reader"]

T = TypeVar("T")

PAGE = 1000
"""Entries that are fetched at once."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, zlib.error)

_RUNS = "SELECT id, record, crc FROM jobtest.run WHERE record <> ''"
_EVENTS = "SELECT id, seq, job, at, body, crc FROM jobtest.event WHERE id > %s AND id <= %s"
_PLAN = """SELECT digest, size, data FROM jobtest.run JOIN jobtest.plan ON plan.digest = run.plan
WHERE id = %s AND record <> ''"""
_UNNAMED_PLANS = """SELECT digest FROM jobtest.plan
WHERE NOT EXISTS (SELECT 1 FROM jobtest.run WHERE run.plan = plan.digest)"""
_UNNAMED_VALUES = """SELECT id FROM jobtest.value
WHERE NOT EXISTS (SELECT 1 FROM jobtest.event WHERE event.value = value.id)"""


class Reader:
    """Reads a state. One that is not there is empty, and stays not there.

    Every method raises `StateError` if the state cannot be read or is damaged, and `StateLost` if it was
    owned and is lost. Not for two threads at once.
    """

    def __init__(self, address: Address, link: Link) -> None:
        self._address, self._link = address, link
        self._exists = False

    def runs(self, limit: int | None) -> list[RunRecord]:
        """Return runs, newest first."""
        found = self._rows(f"{_RUNS} ORDER BY id DESC LIMIT %s", limit)
        return [self._made(_record_of, row, f"run {row[0]!r}") for row in found]

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its id."""
        for row in self._rows(f"{_RUNS} AND id = %s", column_of(id)):
            return self._made(_record_of, row, f"run {id!r}")
        return None

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        for row in self._rows(_PLAN, column_of(run)):
            return self._made(encoded.plan_of, row, f"plan of run {run!r}")
        return None

    def entries(self, run: str, job: str) -> Iterator[Entry]:
        """Return the entries of a run that are there now, in order."""
        number = self.number(run)
        if number is None:
            return iter(())
        first, end = event_id(number, 0), event_id(number + 1, 0)
        [(last,)] = self._rows("SELECT max(id) FROM jobtest.event WHERE id >= %s AND id < %s", first, end)
        return self._pages(run, job, first - 1, last)

    def outcomes(self, run: str) -> dict[str, int]:
        """Return how many jobs of a run have ended in each way."""
        counts = Counter(self.ended(run).values())
        return {one.value: counts[one.value] for one in Outcome if one.value in counts}

    def ended(self, run: str) -> dict[str, str]:
        """Return how the jobs of a run have ended, by id."""
        found = self._rows("SELECT job, outcome, crc FROM jobtest.outcome WHERE run = %s", self.number(run))
        made = (self._made(_outcome_of, (run, *row), f"outcome of job {row[0]!r}") for row in found)
        return dict(made)

    def number(self, run: str) -> int | None:
        """Return the number of a run."""
        statement = "SELECT number FROM jobtest.run WHERE id = %s AND record IS NOT NULL"
        for (number,) in self._rows(statement, column_of(run)):
            return int(number)
        return None

    def turn(self) -> int:
        """Return the highest turn of a cleanup so far."""
        found = self._rows("SELECT value FROM jobtest.meta WHERE key = 'turn'")
        return sum(self._made(int, row, "table meta") for row in found)

    def last_number(self) -> int:
        """Return the highest number of a run."""
        return sum(number or 0 for (number,) in self._rows("SELECT max(number) FROM jobtest.run"))

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs."""
        found = self._rows("SELECT job, past, crc FROM jobtest.past")
        return dict(self._made(_past_of, row, f"past of job {row[0]!r}") for row in found)

    def value(self, digest: str) -> str | None:
        """Return the text of a value."""
        statement = "SELECT size, text FROM jobtest.value WHERE id = %s AND digest = %s"
        for size, text in self._rows(statement, value_id(digest), column_of(digest)):
            return self._made(_value_of, (digest, size, text), f"value {digest!r}")
        return None

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""
        found = self._rows("SELECT job, run, turn, crc FROM jobtest.owed ORDER BY turn")
        return [self._made(_owed_of, row, f"owed by job {row[0]!r}") for row in found]

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of jobs."""
        made: dict[str, dict[str, str]] = {}
        for row in self._rows("SELECT job, key, text, crc FROM jobtest.checkpoint"):
            job, name, text = self._made(_checkpoint_of, row, f"checkpoint {row[1]!r} of job {row[0]!r}")
            made.setdefault(job, {})[name] = text
        return made

    def owner(self) -> Owner | None:
        """Return who holds the state."""
        for row in self._rows(lease.HOLDER):
            return self._made(lease.owner_of, row, "table lease")
        return None

    # --- for pruning: what the tables have, as they have it ---

    def forgotten(self) -> list[int]:
        """Return the numbers of runs that are out of all lists."""
        return [number for (number,) in self._rows("SELECT number FROM jobtest.run WHERE record IS NULL")]

    def has_rows(self, rows: str, *bound: object) -> bool:
        """Tell whether there are rows; `rows` is what follows `FROM`."""
        return bool(self._rows(f"SELECT 1 FROM {rows} LIMIT 1", *bound))

    def unnamed_plans(self) -> list[object]:
        """Return the keys of plans that no run has."""
        return [digest for (digest,) in self._rows(_UNNAMED_PLANS)]

    def unnamed_values(self) -> list[object]:
        """Return the keys of values that no event, no plan and no past names."""
        known = {past.value for past in self.pasts().values()}
        for row in self._rows("SELECT named FROM jobtest.plan"):
            known.update(self._made(json.loads, row, "plan"))
        ids = {value_id(digest) for digest in known}
        return [id for (id,) in self._rows(_UNNAMED_VALUES) if id not in ids]

    def _pages(self, run: str, job: str, after: int, last: int | None) -> Iterator[Entry]:
        statement = f"{_EVENTS}{' AND job = %s' if job else ''} ORDER BY id LIMIT {PAGE}"
        while last is not None:
            found = self._rows(statement, after, last, *([column_of(job)] if job else []))
            for row in found:
                yield self._made(_entry_of, (run, *row[1:]), f"event {row[1]} of run {run!r}")
            if len(found) < PAGE:
                return
            after = found[-1][0]

    def _made(self, make: Callable[..., T], row: tuple[Any, ...], what: str) -> T:
        try:
            return make(*row)
        except _DAMAGE as error:
            raise refused(self._address, f"the state is damaged: {what}", BACK) from error

    def _rows(self, statement: str, *bound: object) -> list[tuple[Any, ...]]:
        try:
            if not self._exists:
                self._exists = self._link.run(lambda connection: exists(connection, self._address))
            return self._link.rows(statement, *bound) if self._exists else []
        except psycopg.Error as error:
            raise unusable(self._address, error) from error


def _record_of(id: str, body: str, check: int) -> RunRecord:
    return encoded.record_of(text_of(id), body, check)


def _entry_of(run: str, seq: int, job: str, at: float, body: str, check: int) -> Entry:
    return encoded.entry_of(run, seq, text_of(job), at, body, check)


def _outcome_of(run: str, job: str, outcome: str, check: int) -> tuple[str, str]:
    return encoded.outcome_of(run, text_of(job), outcome, check)


def _past_of(job: str, body: str, check: int) -> tuple[str, Past]:
    return encoded.past_of(text_of(job), body, check)


def _owed_of(job: str, run: str, turn: int, check: int) -> Owed:
    return encoded.owed_of(text_of(job), text_of(run), turn, check)


def _checkpoint_of(job: str, name: str, text: str, check: int) -> tuple[str, str, str]:
    return encoded.checkpoint_of(text_of(job), text_of(name), text_of(text), check)


def _value_of(digest: str, size: int, column: str) -> str:
    text = text_of(column)
    if len(text) != size or digest_of(text) != digest:
        raise ValueError("its digest is wrong")
    return text
