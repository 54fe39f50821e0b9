"""The stores that are held to one suite, and how each is made, reopened and killed."""

from pathlib import Path

from jobtest.core.events import PhaseEnded
from jobtest.core.model import Phase, Verdict
from jobtest.state.codec import encode
from jobtest.state.file import FileStore
from jobtest.state.memory import MemoryStore
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


STORES = [InMemory, InFolder]
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
