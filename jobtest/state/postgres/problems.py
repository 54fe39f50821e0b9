"""What is said when a database cannot be used, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobtest.core.errors import Problem, StateError
from jobtest.state.postgres.address import Address

if TYPE_CHECKING:
    from psycopg import Error

__all__ = ["problem_of", "reason", "refused", "unusable"]

BACK = "put a copy of it back, or move it away: every job is then checked anew"
LONGEST = 400
"""Characters of what a server says that a message shows."""

_KNOWN = {
    "25006": ("it can only be read", "name the server that is written to (target_session_attrs=read-write)"),
    "28": ("", "give the password in ~/.pgpass or PGPASSWORD"),
    "3D000": ("", "make the database (createdb), or name another one"),
    "42501": ("", "grant it: GRANT CREATE ON DATABASE to begin a state, USAGE and SELECT to read one"),
    "53100": ("its disk is full", "make room and run again"),
}
"""By SQLSTATE, or its beginning: what to say instead of the server's words, and what to do."""


def refused(address: Address, what: str, fix: str) -> StateError:
    """Return the error of a state that cannot be used."""
    return StateError([Problem(what=what, at=(address.shown,), fix=fix)])


def unusable(address: Address, error: Error) -> StateError:
    """Return what to say when a state cannot be read, or cannot be written before anything was."""
    return StateError([problem_of(address, error)])


def problem_of(address: Address, error: Error) -> Problem:
    """Return what to say of an error of the server, or of the way to it."""
    code = error.sqlstate or ""
    if not code:
        what = f"the server of the state cannot be reached: {reason(error)}"
        fix = (
            "see to the server, the database, the name and the password, or name another state (--job-state)"
        )
        return Problem(what=what, at=(address.shown,), fix=fix)
    said, fix = _KNOWN.get(code) or _KNOWN.get(code[:2]) or ("", "see to the server, and run again")
    what = f"the state cannot be used: {said or reason(error)}"
    return Problem(what=what, at=(address.shown,), fix=fix)


def reason(error: Error) -> str:
    """Return what a server says, in one line."""
    said = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."
