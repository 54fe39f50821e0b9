"""What is said when a database cannot be used, in one place."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from jobtest.core.errors import Problem, StateError

__all__ = ["FAILURES", "Failure", "reason", "refused", "unreadable", "unwritable"]

ANOTHER = "remove it, or name another state with --job-state"
BACK = "put a copy of it back, or move it away: every job is then checked anew"

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises: the message of an error may quote damaged text, and then that is the error."""

Failure = sqlite3.Error | UnicodeDecodeError

_BUSY, _READONLY, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 8, 11, 13, 14, 26


def refused(path: Path, what: str, fix: str) -> StateError:
    """Return the error of a state that cannot be used."""
    return StateError([Problem(what=what, at=(str(path),), fix=fix)])


def unreadable(path: Path, error: Failure | OSError) -> StateError:
    """Return what to say when a state cannot be read."""
    code = _code(error)
    if code == _NOTADB:
        return refused(path, "this is not a state of jobtest: it is no SQLite database", ANOTHER)
    if code == _BUSY:
        return refused(path, "the state is locked by another program", "close what has it open, e.g. sqlite3")
    if code == _CANTOPEN or isinstance(error, OSError):
        return refused(
            path,
            f"the state cannot be read: {reason(error)}",
            "make it and its folder readable, or copy it (with what begins with its name) to where it is",
        )
    return refused(path, f"the state is damaged: {reason(error)}", BACK)


def unwritable(path: Path, error: Failure | OSError) -> StateError:
    """Return what to say when a state cannot be written before anything was."""
    if _code(error) in (_NOTADB, _CORRUPT, _BUSY):
        return unreadable(path, error)
    return refused(
        path,
        f"the state cannot be written: {reason(error)}",
        "make it and its folder writable, or keep the state elsewhere (--job-state)",
    )


def reason(error: Failure | OSError) -> str:
    """Return why something failed, in a few words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _code(error: Failure | OSError) -> int:
    """Return SQLite's primary result code, 0 if there is none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
