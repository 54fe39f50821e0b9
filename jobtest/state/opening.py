"""From a URL to a store: `open_store` knows all stores, and imports only the one that is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from jobtest.config.entry_points import STORES, load, offered
from jobtest.core.errors import Problem, StateError, UsageError, did_you_mean
from jobtest.state.store import Store

__all__ = ["MakeStore", "open_store"]

DEFAULT = Path(".jobtest", "state.db")
"""Where the state is if nobody says anything, below the root of the project."""

OWN = ("file", "memory", "postgresql", "sqlite")


class MakeStore(Protocol):
    """What an entry point of the group `jobtest.stores` names; its name is the scheme of the URL.

    Like `open_store` it opens, writes and asks nothing yet.
    """

    def __call__(self, url: str, root: Path, /, *, durability: str, large: int) -> Store:
        """Return the store that a URL names; arguments as those of `open_store`."""


def open_store(url: str, root: Path, *, durability: str = "auto", large: int = 1_000_000) -> Store:
    """Return the store that a URL names; nothing is opened, written or asked yet.

    Args:
        url: `sqlite:///state.db` is a path below `root`, `sqlite:////var/state.db` an absolute one (as with
            SQLAlchemy); `file:state` is a folder below `root`, `file:///var/state` an absolute one;
            `memory://`; `postgresql://...`; a scheme of an entry point of the group `jobtest.stores`; empty:
            `.jobtest/state.db` below `root`.
        root: Of the project.
        durability: When a power cut cannot take back what is committed: `auto`, `full` or `fast`.
        large: Values of which the text is longer, in characters, go to files, where the store has any.

    Raises:
        StateError: the URL names no store.
        UsageError: what the store needs is not installed, or cannot be loaded.
    """
    scheme, colon, rest = url.partition(":")
    match scheme:
        case "" if not url:
            return _sqlite(root / DEFAULT, durability, large)
        case "sqlite":
            return _sqlite(root / _path(url, rest), durability, large)
        case "file":
            below = rest and not rest.startswith("//")
            return _file(root / (rest if below else f"/{_path(url, rest)}"), durability)
        case "memory":
            from jobtest.state.memory import MemoryStore

            return MemoryStore()
        case "postgresql":
            return _postgres(url, durability)
        case _:
            return _other(url, scheme if colon else "", root, durability, large)


def _sqlite(path: Path, durability: str, large: int) -> Store:
    from jobtest.state.sqlite import SqliteStore

    return SqliteStore(path, durability=durability, large=large)


def _file(folder: Path, durability: str) -> Store:
    from jobtest.state.file import FileStore

    return FileStore(folder, durability=durability)


def _postgres(url: str, durability: str) -> Store:
    try:
        made: Store = import_module("jobtest.state.postgres").PostgresStore(url, durability=durability)
    except ImportError as error:
        what = "a state in PostgreSQL needs psycopg, which is not installed"
        raise UsageError([Problem(what=what, fix="pip install 'jobtest[postgres]'")]) from error
    return made


def _other(url: str, scheme: str, root: Path, durability: str, large: int) -> Store:
    """Return a store of another package. The URL is not shown: it may hold a password."""
    found = offered(STORES)
    if scheme not in found:
        what = f"there is no store {scheme!r}" if scheme else f"the state {url!r} is no URL"
        fix = did_you_mean(scheme, [*OWN, *found]) if scheme else f"a file is sqlite:///{url}"
        raise StateError([Problem(what=what, fix=fix)])
    make = cast("MakeStore", load(found[scheme]))
    return make(url, root, durability=durability, large=large)


def _path(url: str, rest: str) -> str:
    """Return what stands behind three slashes."""
    path = rest.removeprefix("///")
    if path in ("", rest):
        fix = {
            "sqlite": "a file below the root of the project is sqlite:///NAME, any other sqlite:////FOLDER/NAME",
            "file": "a folder below the root of the project is file:NAME, any other file:///FOLDER",
        }
        what = f"the state {url!r} names nothing on this machine"
        raise StateError([Problem(what=what, fix=fix[url.partition(":")[0]])])
    return path
