"""From a URL to a store. What lives here: `open_store`, which knows all stores and imports only the one it opens."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from jobtest.core.errors import Problem, StateError, UsageError, did_you_mean
from jobtest.state.store import Store

__all__ = ["open_store"]

DEFAULT = Path(".jobtest", "state.db")
"""Where the state is if nobody says anything, below the root of the project."""

GROUP = "jobtest.stores"
"""Entry points of other stores: the name is the scheme, called with the URL, the root and the durability."""

OWN = ("file", "memory", "postgresql", "sqlite")


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
        UsageError: what the store needs is not installed.
    """
    scheme, colon, rest = url.partition(":")
    if not url:
        return _sqlite(root / DEFAULT, durability, large)
    if scheme == "sqlite":
        return _sqlite(root / _path(url, rest, "///"), durability, large)
    if scheme == "file":
        from jobtest.state.file import FileStore

        path = _path(url, rest, "//") if rest.startswith("//") else rest
        return FileStore(root / (path or _nothing(url)), durability=durability)
    if url in ("memory:", "memory://"):
        from jobtest.state.memory import MemoryStore

        return MemoryStore()
    if scheme == "postgresql":
        return _postgres(url, durability)
    return _other(url, scheme if colon else "", root, durability)
