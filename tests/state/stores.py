"""The stores that are held to one suite, and how each is made, reopened and killed."""

import weakref
from pathlib import Path

from server import missing, server

from jobtest.core.events import PhaseEnded
from jobtest.core.model import Phase, Verdict
from jobtest.state.codec import encode
from jobtest.state.file import FileStore
from jobtest.state.memory import MemoryStore
from jobtest.state.postgres import PostgresStore
from jobtest.state.sqlite import SqliteStore
from jobtest.state.store import Owner, Store, ValueKept

ME = Owner(host="here", pid=1, since=0.0, command="pytest --orchestrate")
RIVAL = Owner(host="there", pid=2, since=1.0, command="pytest --orchestrate elsewhere")


class Stand:
    """Where one state stands. A subclass says how a store is opened on it.

    Attributes:
        durable: What was committed outlives the store.
    """

    durable = True

    def make(self, folder: Path) -> Store:
        """Return the first store, not yet owned; what it keeps goes into `folder`."""
        self.folder = folder
        return self.another()

    def another(self) -> Store:
        """Return one more store on the same state: for a reader, a rival, or after the end of the first."""
        raise NotImplementedError

    def kill(self, store: Store) -> None:
        """Do to a store what the death of its process does."""
        raise NotImplementedError


class InMemory(Stand):
    """There is only one store: whoever comes later gets the same."""

    durable = False

    def make(self, folder: Path) -> Store:
        self.store = MemoryStore()
        return self.store

    def another(self) -> Store:
        return self.store

    def kill(self, store: Store) -> None:
        store.close()


class InFolder(Stand):
    """The kernel frees the lock of a dead process and closes its files; nothing else happens."""

    def another(self) -> Store:
        return FileStore(self.folder / "state", durability="fast")

    def kill(self, store: FileStore) -> None:
        store._lock.release()


class InDatabase(Stand):
    """As above, and what was not committed is lost."""

    def another(self) -> Store:
        return SqliteStore(self.folder / "state.db", durability="fast")

    def kill(self, store: SqliteStore) -> None:
        store._rows.clear()
        store._lock.release()
        store._reader.close()
        if store._writer is not None:
            store._writer.close()


class InServer(Stand):
    """The server ends the sessions of a dead process, and its lease when its time has come: which is now."""

    def make(self, folder: Path) -> Store:
        server().empty()
        return self.another()

    def another(self) -> Store:
        store = PostgresStore(server().url(), durability="fast")
        weakref.finalize(store, store._link.close)  # a store that only read need not be closed
        return store

    def kill(self, store: "PostgresStore") -> None:
        store._lease.abandon()
        store._link.close()
        store._rows, store._writer, store._lease = [], None, None
        server().rows("UPDATE jobtest.lease SET expires = '-infinity'")


STORES = [InMemory, InFolder, InDatabase, *([] if missing() else [InServer])]
"""One line for each store."""


def owned(stand: Stand, folder: Path) -> Store:
    """Return the first store of a stand, owned."""
    store = stand.make(folder)
    store.own(ME)
    return store


def kept(value: object) -> ValueKept:
    """Return the change that keeps a value of plain data."""
    encoded = encode(value, None)
    return ValueKept(encoded.digest, encoded.text)


def made(value: object, job: str = "a") -> PhaseEnded:
    """Return the event of a phase that has made a value."""
    return PhaseEnded(job, 1, Phase.RUN, Verdict.OK, has_value=True, value=kept(value).digest)
