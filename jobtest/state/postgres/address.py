"""Where a state is: what a URL says, and how to say it without the password.

No text that leaves this package has the password in it, and none of libpq about the URL itself, which repeats
what it does not understand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jobtest.core.errors import Problem, StateError
from jobtest.state.postgres.driver import psycopg

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Address"]

SCHEME = "postgresql://"

ASKED = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "fallback_application_name": "jobtest",
}
"""What is asked of a connection unless the URL says otherwise: a server that does not answer, or a network
that swallows everything, is found out in 25 seconds or less."""

SESSION = """SELECT set_config('search_path', '', false), set_config('extra_float_digits', '1', false),
set_config('idle_in_transaction_session_timeout', '10s', false),
set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
set_config('tcp_keepalives_count', '3', false)"""
"""What a database or a role may have set otherwise: only full names, times as they were written, and an end
of what somebody holds who stands still, or whose machine is gone."""


class Address:
    """The server and the database that a URL names.

    Attributes:
        shown: The URL without any password, for messages.
    """

    def __init__(self, url: str) -> None:
        """Take the URL apart; nothing is asked of any server.

        Raises:
            StateError: it is no URL of PostgreSQL.
            ImportError: psycopg is not installed.
        """
        from psycopg.conninfo import conninfo_to_dict

        self._url = url
        try:
            self._given: dict[str, Any] = conninfo_to_dict(url)
        except psycopg.Error:
            raise _misspelled() from None
        if _is_torn(url, self._given):
            raise _misspelled()
        self.shown = _shown(self._given)

    def connect(self) -> Connection:
        """Return a new connection that commits each statement by itself.

        Raises:
            psycopg.Error: there is none to be had.
        """
        given = {**ASKED, **self._given, "client_encoding": "UTF8"}
        made = psycopg.connect(
            psycopg.conninfo.make_conninfo(**given), autocommit=True, prepare_threshold=None
        )
        try:
            made.execute(SESSION)
        except BaseException:
            made.close()
            raise
        return made

    def hide(self, text: str) -> str:
        """Return a text without the password, if the URL is in it: a command line, say."""
        return text.replace(self._url, self.shown)


def _is_torn(url: str, given: dict[str, Any]) -> bool:
    """Tell whether a password with `@` or `/` in it has been taken for a host, a port or a database."""
    head, _, path = url.removeprefix(SCHEME).partition("/")
    ports = str(given.get("port", "")).replace(",", "")
    return head.count("@") > 1 or "@" in path.partition("?")[0] or not (ports.isdecimal() or not ports)


def _shown(given: dict[str, Any]) -> str:
    rest = {key: str(value) for key, value in given.items() if not key.endswith(("password", "secret"))}
    user, host, port = (rest.pop(key, "") for key in ("user", "host", "port"))
    database = rest.pop("dbname", "")
    if not host or host.startswith(("/", "@")) or "," in host + port:
        rest = {key: value for key, value in (("host", host), ("port", port)) if value} | rest
        host = port = ""
    place = f"{quote(user, safe='')}@" if user else ""
    place += f"[{host}]" if ":" in host else quote(host)
    place += f":{port}" if port else ""
    query = urlencode(rest, safe="/", quote_via=quote)
    return f"{SCHEME}{place}/{quote(database, safe='')}{'?' if query else ''}{query}"


def _misspelled() -> StateError:
    what = "the URL of the state is not one of PostgreSQL (it is not shown here: it may hold a password)"
    fix = "postgresql://USER@HOST:PORT/DATABASE; in a password write % as %25, @ as %40, : as %3A, / as %2F"
    return StateError([Problem(what=what, fix=fix)])
