"""Transactions: which of them are known to be there, and what is done when that is not known.

What was sent is kept until it is on the disk of the server. When a connection is lost, the answer to a COMMIT
may be lost with it; and a server that crashes loses the last transactions that did not wait for its disk. In
both cases those that are there are the first ones. Events are never written twice, so the last transaction
whose event is there tells where to go on. Transactions without an event can be made again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from jobtest.core.errors import AlreadyEnded, Problem, StateLost
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.driver import psycopg
from jobtest.state.postgres.lease import Lease
from jobtest.state.postgres.link import Link, transact
from jobtest.state.postgres.problems import problem_of
from jobtest.state.postgres.rows import EVENT, OUTCOME, TOUCH, Row, text_of
from jobtest.state.postgres.schema import FENCED

if TYPE_CHECKING:
    from psycopg import Connection, Error

__all__ = ["Writer"]

PATIENCE = 60.0
"""Seconds for which a server that is gone is waited for, unless the lease ends before."""

SYNCED_EVERY = {"auto": 0.1, "full": 0.0, "fast": 1.0}
"""Seconds, by durability. A transaction waits for the disk of the server if the last one that did so is
longer ago. With `fast` that is only for what is kept here to stay short."""

_INSIST = "SELECT jobtest.insist(%s), set_config('synchronous_commit', %s, true)"
_THERE = "SELECT id FROM jobtest.event WHERE id = ANY(%s)"
_ENDED = """SELECT run.id FROM jobtest.outcome JOIN jobtest.run ON number = run
WHERE run = %s AND outcome.id = %s"""


@dataclass(frozen=True, slots=True)
class _Transaction:
    """What is written at once.

    Attributes:
        rows: Statements and what they bind.
        synced: It waits for the disk of the server.
        event: Id of the last event that it writes, if it writes any.
    """

    rows: tuple[Row, ...]
    synced: bool
    event: object


class Writer:
    """Writes to a state for as long as it is owned. Not for two threads at once.

    Args:
        address: Of the state.
        link: The connection that took the lease.
        lease: The ownership.
        durability: As `PostgresStore`.
    """

    def __init__(self, address: Address, link: Link, lease: Lease, durability: str) -> None:
        self._address, self._link, self._lease = address, link, lease
        self._durability = durability
        self._kept: list[_Transaction] = []
        self._sent = 0
        self._synced_at = time.monotonic()
        self._last_event: object = None
        self._lost: Problem | None = None
        link.opened, link.insist, link.patience = self._recover, self.insist, PATIENCE

    @property
    def lost(self) -> bool:
        """Whether it is known that nothing can be written any more."""
        return self._lost is not None

    def insist(self) -> None:
        """Do nothing while something can be written.

        Raises:
            StateLost: nothing can be written any more.
        """
        if self._lost is not None:
            raise StateLost(self._lost)
        try:
            self._lease.insist()
        except StateLost as lost:
            self._lost = lost.problem
            raise

    def commit(self, rows: Iterable[Row], *, at_once: bool = False) -> None:
        """Write rows in one transaction; the death of this process cannot take them back afterwards.

        Args:
            rows: Statements and what they bind.
            at_once: A crash of the server cannot take them back either, nor anything before them.

        Raises:
            StateLost: they could not be kept, or earlier ones.
            AlreadyEnded: one of them ends a job that has ended; none is kept.
        """
        late = time.monotonic() - self._synced_at >= SYNCED_EVERY[self._durability]
        self._write(tuple(rows), synced=at_once or late)

    def sync(self) -> None:
        """Bring to the disk of the server what was committed.

        Raises:
            StateLost: that failed.
        """
        if self._kept:
            self._write((TOUCH,), synced=True)

    def let_go_of_events(self) -> None:
        """Expect no more to find the events that were written so far: they may be deleted.

        Raises:
            StateLost: they could not be kept until now.
        """
        self.sync()
        self._last_event = None

    def lose(self, problem: Problem) -> NoReturn:
        """End all writing.

        Raises:
            StateLost: always.
        """
        self._lost = problem
        raise StateLost(problem)

    def _write(self, rows: tuple[Row, ...], *, synced: bool) -> None:
        self.insist()
        event = next((bound[0] for statement, bound in reversed(rows) if statement is EVENT), None)
        self._kept.append(_Transaction(rows, synced, event))
        try:
            self._link.run(self._send)
        except psycopg.Error as error:
            self._fail(error)

    def _send(self, connection: Connection) -> None:
        """Write what is not there yet, in order."""
        for transaction in self._kept[self._sent :]:
            self._transact(connection, transaction)
            self._sent += 1
        if self._kept and self._kept[-1].synced:
            events = [one.event for one in self._kept if one.event is not None]
            self._last_event = events[-1] if events else self._last_event
            self._kept, self._sent = [], 0
            self._synced_at = time.monotonic()

    def _transact(self, connection: Connection, transaction: _Transaction) -> None:
        insist = (_INSIST, (self._lease.epoch, "on" if transaction.synced else "off"))
        transact(connection, [insist, *transaction.rows])

    def _recover(self, connection: Connection) -> None:
        """Find out on a new connection what is there, and write what is not."""
        try:
            self._lease.raise_epoch(connection)
        except StateLost as lost:
            self.lose(lost.problem)
        events = [one.event for one in self._kept if one.event is not None]
        asked = events if self._last_event is None else [self._last_event, *events]
        there = {id for (id,) in connection.execute(_THERE, (asked,))} if asked else set()
        if self._last_event is not None and self._last_event not in there:
            what = "the server has forgotten what it had kept: this is another one, or an older copy"
            self.lose(self._problem(what, "bring back the right one, and run again"))
        found = [number for number, one in enumerate(self._kept, 1) if one.event in there]
        self._sent = max(found, default=0)
        self._send(connection)

    def _fail(self, error: Error) -> NoReturn:
        """End all writing, unless only one transaction was refused.

        Raises:
            StateLost: it could not be kept.
            AlreadyEnded: it ends a job that has ended.
        """
        problem = problem_of(self._address, error)
        try:
            if error.diag.constraint_name == "outcome_once":
                self._refuse(self._kept.pop(self._sent))
            if error.sqlstate == FENCED:
                self._link.run(self._lease.lose)
                self.insist()
        except psycopg.Error:
            pass  # the first error tells more
        self._lost = problem
        raise StateLost(problem) from error

    def _refuse(self, transaction: _Transaction) -> None:
        ends: list[tuple[Any, ...]] = [bound for statement, bound in transaction.rows if statement is OUTCOME]
        for number, id, job, *_ in ends:
            for (run,) in self._link.rows(_ENDED, number, id):
                raise AlreadyEnded(text_of(job), text_of(str(run)))

    def _problem(self, what: str, fix: str) -> Problem:
        return Problem(what=what, at=(self._address.shown,), fix=fix)
