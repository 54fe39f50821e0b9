"""The store in one SQLite database: what remembers unless something else is asked for."""

from jobtest.state.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
