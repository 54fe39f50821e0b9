"""One connection to a server, that is opened when it is needed and opened again when it is lost.

What lives here: when to try again, and when to give up. What was in doubt when a connection was lost is not
known here, but by whoever sets `opened`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from jobtest.core.errors import JobtestError
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.driver import psycopg

if TYPE_CHECKING:
    from psycopg import Connection, Error

__all__ = ["Link", "transact"]

T = TypeVar("T")

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

AGAIN = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, lock timeout, statement timeout: the transaction can be made again."""

MOST = 10
"""How often that is done."""

GONE = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P05"})
"""A server that ends, begins or is no longer the first one, a session that was idle for too long: there is
nothing left to do but to connect anew."""

FIRST_PAUSE, SHORT_PAUSE, LONG_PAUSE = 0.01, 0.1, 1.0
"""Seconds between two tries: they double, up to the short one for a transaction that was refused, and up to
the long one for a server that is gone."""


def transact(connection: Connection, rows: Iterable[tuple[str, tuple[object, ...]]]) -> list[Any]:
    """Execute statements as one transaction, and return the rows of the last that has any to return.

    All of it is one message. So it never waits for us in the middle, with locks that others need: not even if
    this process is stopped.

    Args:
        connection: A connection in no transaction.
        rows: Statements and what they bind.
    """
    written = ((_BEGIN, ()), *rows, ("COMMIT", ()))
    cursor = psycopg.ClientCursor(connection)
    cursor.execute(
        ";\n".join(statement for statement, _ in written), [one for _, bound in written for one in bound]
    )
    found: list[Any] = []
    for _ in written:
        found = cursor.fetchall() if cursor.description else found
        cursor.nextset()
    return found


class _Tries:
    """How often and for how long one piece of work has been tried."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._deadline: float | None = None
        self._refusals = 0
        self._pause = 0.0

    def in_time(self) -> bool:
        """Count the loss of a connection; return whether another one can be waited for."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._patience
            return True
        return now < self._deadline

    def refused(self) -> bool:
        """Count a transaction that was refused; return whether there may be another one."""
        self._refusals += 1
        return self._refusals <= MOST

    def wait(self) -> None:
        """Wait until the next try: not at all before the first."""
        time.sleep(self._pause)
        longest = SHORT_PAUSE if self._refusals else LONG_PAUSE
        self._pause = min(2 * self._pause, longest) or FIRST_PAUSE


class Link:
    """Not for two threads at once.

    Attributes:
        opened: Called with each new connection before anything else is done with it.
        insist: Called before each new try; raises if there is no sense in it.
        patience: Seconds after the loss of a connection until which a new one is tried. Two tries are always
            made, but for the very first connection.
    """

    opened: Callable[[Connection], None]
    insist: Callable[[], None]
    patience: float

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None
        self.close()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, which is called with a connection, again if need be.

        What it raises that is no error of the server leaves the connection as it is if it is jobtest's own;
        else the connection is closed, because nobody knows how far it got.

        Raises:
            psycopg.Error: it was refused, or there was no connection for too long.
        """
        tries = _Tries(self.patience)
        while True:
            try:
                return work(self._ready())
            except psycopg.Error as error:
                if not self._has_hope(error, tries):
                    raise
            except JobtestError:
                raise
            except BaseException:
                self._drop()
                raise
            self.insist()
            tries.wait()

    def rows(self, statement: str, *bound: object) -> list[tuple[object, ...]]:
        """Return the rows of a query.

        Raises:
            psycopg.Error: as `run` does.
        """
        return self.run(lambda connection: connection.execute(statement, bound).fetchall())

    def forget(self) -> None:
        """Forget what was set."""
        self.opened, self.insist, self.patience = _nothing, _go_on, 0.0

    def close(self) -> None:
        """Let go of the connection and of what was set; the next use opens one, as if it were the first."""
        self.forget()
        self._drop()
        self._known = False

    def _ready(self) -> Connection:
        if self._connection is None:
            made = self._address.connect()
            try:
                self.opened(made)
            except BaseException:
                made.close()
                raise
            self._connection, self._known = made, True
        return self._connection

    def _has_hope(self, error: Error, tries: _Tries) -> bool:
        """Make ready for another try; return whether there should be one."""
        if self._is_gone(error):
            self._drop()
            return self._known and tries.in_time()
        self._roll_back()
        return error.sqlstate in AGAIN and tries.refused()

    def _is_gone(self, error: Error) -> bool:
        if self._connection is not None and self._connection.closed:
            return True
        code = error.sqlstate
        if code is None:
            return isinstance(error, psycopg.OperationalError)
        return code in GONE or code.startswith("08")

    def _roll_back(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _nothing(_: Connection) -> None:
    """Do nothing with a new connection."""


def _go_on() -> None:
    """See sense in every try."""
