"""Ownership for a limited time, by the clock of the server, which its holder renews for as long as it lives.

Every transaction of a holder begins with `jobtest.insist(epoch)`: whoever has lost the lease writes nothing,
however late it notices. What lives here: `Lease`, and who holds one.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobtest.core.errors import Problem, StateLocked, StateLost
from jobtest.state.lock import _utc
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.driver import psycopg
from jobtest.state.postgres.link import Link, transact
from jobtest.state.postgres.rows import column_of, text_of
from jobtest.state.store import Owner

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["HOLDER", "Lease", "owner_of"]

SURE = 2 / 3
"""Part of the time of the lease after which a holder that could not renew it takes it for lost: before
anybody else can have it."""

RENEWALS = 6
"""How often it is renewed in its time; four may fail."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries to take it."""

LONGEST_END = 2.0
"""Seconds to wait for an answer to the last renewal."""

_LOCALLY = ("SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '1s', true)", ())
_TAKE = """UPDATE jobtest.lease SET epoch = epoch + 1, holder = %s, host = %s, pid = %s, since = %s,
command = %s, expires = clock_timestamp() + make_interval(secs => %s)
WHERE expires <= clock_timestamp() OR holder = %s RETURNING epoch"""
_RAISE = """UPDATE jobtest.lease SET epoch = epoch + 1 WHERE holder = %s AND expires > clock_timestamp()
RETURNING epoch"""
_RENEW = """UPDATE jobtest.lease SET expires = clock_timestamp() + make_interval(secs => %s)
WHERE holder = %s AND expires > clock_timestamp() RETURNING epoch"""
_RELEASE = "UPDATE jobtest.lease SET expires = '-infinity' WHERE holder = %s"

HOLDER = """SELECT host, pid, since, command, extract(epoch FROM expires)::double precision,
extract(epoch FROM expires - clock_timestamp())::double precision
FROM jobtest.lease WHERE expires > clock_timestamp()"""
"""Who holds it: host, pid, since, command, when it ends, and in how many seconds."""


def owner_of(host: str, pid: int, since: float, command: str, *_: object) -> Owner:
    """Return the owner that a row of `HOLDER` names."""
    return Owner(host=text_of(host), pid=pid, since=since, command=text_of(command))


class Lease:
    """Holds the state of an address, once it is taken, until it is released or lost.

    A thread with a connection of its own renews it. While the server cannot be reached it holds for two
    thirds of its time.

    Attributes:
        epoch: What our transactions begin with; it rises with each owner, and with each connection of one.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        self.epoch = 0
        self._address, self._seconds = address, seconds
        self._token = str(uuid.uuid4())
        self._link = Link(address)
        self._renewed = 0.0
        self._lost: Problem | None = None
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="jobtest-lease", daemon=True)

    def take(self, link: Link, owner: Owner, timeout: float) -> None:
        """Take it, waiting up to `timeout` seconds for it.

        Raises:
            StateLocked: somebody else holds it.
            psycopg.Error: the server cannot be asked.
        """
        deadline = time.monotonic() + timeout
        pause = FIRST_PAUSE
        while not self._try(link, owner):
            holder: Any = link.rows(HOLDER)
            left = deadline - time.monotonic()
            if holder and left <= 0:
                raise StateLocked([self._locked(*holder[0])])
            time.sleep(max(0, min(pause, left)) if holder else 0)
            pause = min(pause * 1.1, LONGEST_PAUSE)
        self._thread.start()

    def insist(self) -> None:
        """Do nothing while it is held, as far as that can be known without the server.

        Raises:
            StateLost: it is lost.
        """
        silent = time.monotonic() - self._renewed
        if self._lost is None and silent > self._seconds * SURE:
            what = f"the state could not be reached for {silent:.0f} s, and another run may own it by now"
            self._lost = self._problem(what, "see to the server and the way to it, and run again")
        if self._lost is not None:
            raise StateLost(self._lost)

    def raise_epoch(self, connection: Connection) -> None:
        """Make sure that no transaction that was begun under the present epoch can end any more.

        It has ended when this returns, or it never will.

        Raises:
            StateLost: the lease is lost.
            psycopg.Error: that could not be done.
        """
        found = transact(connection, [_LOCALLY, (_RAISE, (self._token,))])
        if not found:
            self.lose(connection)
            self.insist()
        [(self.epoch,)] = found

    def lose(self, connection: Connection) -> None:
        """Take it for lost, because the server has said so."""
        holder: Any = connection.execute(HOLDER).fetchone()
        if holder is None:
            what = f"this run has not renewed its hold on the state for {self._seconds:g} s"
            self._lost = self._problem(what, "see to what kept it or its server from running, and run again")
        else:
            what = f"another run has taken the state over: {_named(owner_of(*holder))}"
            self._lost = self._problem(what, "wait for its end, and run again")

    def renew(self) -> None:
        """Renew it, unless the server cannot be reached."""
        asked = time.monotonic()
        try:
            if self._link.run(self._renew):
                self._renewed = asked
        except psycopg.Error:
            return  # there is time for more tries

    def release(self, link: Link) -> None:
        """Let go of it at once, over a link of which nothing is asked any more.

        Without the server it ends by itself.
        """
        self.abandon()
        with suppress(psycopg.Error):
            link.run(lambda connection: connection.execute(_RELEASE, (self._token,)))

    def abandon(self) -> None:
        """Renew it no more."""
        self._released.set()
        if self._thread.is_alive():
            self._thread.join(LONGEST_END)
        if not self._thread.is_alive():  # else the server does not answer it
            self._link.close()

    def _try(self, link: Link, owner: Owner) -> bool:
        texts = (column_of(owner.host), owner.pid, owner.since, column_of(self._address.hide(owner.command)))
        row = (_TAKE, (self._token, *texts, self._seconds, self._token))
        asked = time.monotonic()
        found = link.run(lambda connection: transact(connection, [_LOCALLY, row]))
        if found:
            [(self.epoch,)], self._renewed = found, asked
        return bool(found)

    def _keep(self) -> None:
        while not self._released.wait(self._pause()):
            self.renew()
            if self._lost is not None:
                return

    def _pause(self) -> float:
        late = time.monotonic() - self._renewed > 1.5 * self._seconds / RENEWALS
        return self._seconds / RENEWALS / (10 if late else 1)

    def _renew(self, connection: Connection) -> bool:
        found = transact(connection, [_LOCALLY, (_RENEW, (self._seconds, self._token))])
        if not found:
            self.lose(connection)
        return bool(found)

    def _locked(self, *row: Any) -> Problem:  # noqa: ANN401 - of HOLDER
        owner = owner_of(*row)
        ends, left = row[4:]
        fix = (
            f"wait with --job-lock-timeout SECONDS, or stop process {owner.pid}; if it is dead, its hold "
            f"ends by itself at {_utc(ends)}, in {left:.0f} s"
        )
        return self._problem(f"the state is in use by {_named(owner)}", fix)

    def _problem(self, what: str, fix: str) -> Problem:
        return Problem(what=what, at=(self._address.shown,), fix=fix)


def _named(owner: Owner) -> str:
    return f"process {owner.pid} on {owner.host!r} since {_utc(owner.since)}: {owner.command}"
