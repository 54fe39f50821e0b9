"""A PostgreSQL server for the tests alone: begun when it is first asked for, and gone at the end.

`JOBTEST_POSTGRES=required` makes what cannot be tested fail; else it is skipped.
"""

import atexit
import os
import pwd
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

REQUIRED = os.environ.get("JOBTEST_POSTGRES") == "required"

SETTINGS = """
listen_addresses = ''
fsync = off
full_page_writes = off
autovacuum = off
shared_buffers = 16MB
max_wal_size = 256MB
wal_writer_delay = 10s
wal_writer_flush_after = 100MB
max_connections = 80
"""
"""What is not synced stays out of the files for seconds, so that a crash of the server takes it."""


EMPTY = """DO $$ BEGIN
IF to_regclass('jobtest.meta') IS NOT NULL THEN
  UPDATE jobtest.lease SET epoch = 0, holder = '', expires = '-infinity';
  UPDATE jobtest.meta SET value = '0' WHERE key = 'turn';
  DELETE FROM jobtest.run; DELETE FROM jobtest.plan; DELETE FROM jobtest.event; DELETE FROM jobtest.outcome;
  DELETE FROM jobtest.value; DELETE FROM jobtest.past; DELETE FROM jobtest.owed;
  DELETE FROM jobtest.checkpoint;
END IF; END $$"""


SOCKET = ".s.PGSQL.5432"
READY = b"Z\x00\x00\x00\x05I"
"""The end of an answer of the server: it is ready, and in no transaction."""


@cache
def programs():
    """Return the folder of the programs of a server, the newest one, or None."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    return Path(found).resolve().parent if found else folders[-1].parent if folders else None


def missing():
    """Return why there can be no server, or an empty text; always that if one is required."""
    if REQUIRED:
        return ""
    if find_spec("psycopg") is None:
        return "psycopg is not installed (the extra `postgres`)"
    return "" if programs() else "there are no programs of a PostgreSQL server"


class Server:
    """A server of our own in a temporary folder, reached over a socket there."""

    def __init__(self):
        self._user = next((user for user in map(_user, ("postgres", "nobody")) if user), None)
        self._own = None
        self.folder = Path(tempfile.mkdtemp(prefix="jobtest-pg-"))
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self._end)
        self._call("initdb", "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-N")
        with open(self.folder / "data" / "postgresql.conf", "a") as file:
            file.write(f"{SETTINGS}unix_socket_directories = '{self.folder}'\n")
        self.start()

    def url(self, database="postgres", **given):
        """Return the URL of a database."""
        query = "".join(f"&{key}={value}" for key, value in given.items())
        return f"postgresql://tester@/{database}?host={self.folder}{query}"

    def start(self):
        self._call("pg_ctl", "-w", "-s", "-l", str(self.folder / "log"), "start")

    def stop(self):
        """Stop as a crash would: nothing is written that was not."""
        self._let_go()
        self._call("pg_ctl", "-w", "-s", "-m", "immediate", "stop")

    def empty(self):
        """Make the state in the first database an empty one, if there is one; anew would take longer."""
        self.rows(EMPTY)

    def connect(self, database="postgres"):
        """Return a connection of the tests, for looking and for doing harm."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True)

    def rows(self, statement, *bound):
        """Return the rows of a statement in the first database, None if it gives none."""
        self._own = self._own or self.connect()
        cursor = self._own.execute(statement, bound)
        return cursor.fetchall() if cursor.description else None

    def cut(self):
        """End all sessions but our own; return how many there were."""
        statement = """SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
        return self.rows(statement)[0][0]

    def _let_go(self):
        if self._own is not None:
            self._own.close()
        self._own = None

    def _call(self, program, *arguments):
        if programs() is None:
            raise RuntimeError("there are no programs of a PostgreSQL server, and one is required")
        given = (
            {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        )
        command = [programs() / program, "-D", self.folder / "data", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **given,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _end(self):
        self._let_go()
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _user(name):
    """Return the user of a name; a server does not run as root."""
    try:
        return pwd.getpwnam(name) if os.geteuid() == 0 else None
    except KeyError:
        return None


class Wire:
    """Stands between clients and a server, and cuts a connection when it is told to.

    Attributes:
        url: Of the first database, over this wire.
        stuck: Set when a connection has been cut `within` what a client sent; it stays open until `let_go`.
    """

    def __init__(self, server):
        folder = Path(tempfile.mkdtemp(dir=server.folder))  # the path of a socket must be short
        self._target = str(server.folder / SOCKET)
        self._where = ""
        self.url = server.url().replace(str(server.folder), str(folder))
        self.stuck, self._free = threading.Event(), threading.Event()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, where):
        """Cut once, `before` what a client sends next arrives, `within` it, or `after` it was answered."""
        self._where = where

    def let_go(self):
        self._free.set()

    def close(self):
        self.let_go()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client):
        with client, socket.socket(socket.AF_UNIX) as target, suppress(OSError):
            target.connect(self._target)
            while True:
                for end in select.select([client, target], [], [])[0]:
                    data = end.recv(1 << 20)
                    if not data or not (self._ask if end is client else self._answer)(client, target, data):
                        return

    def _ask(self, _, target, data):
        if self._where not in ("before", "within"):
            target.sendall(data)
            return True
        if self._where == "within":
            target.sendall(data[: len(data) // 2])
            self.stuck.set()
            self._free.wait(60)
        self._where = ""
        return False

    def _answer(self, client, _, data):
        if self._where != "after":
            client.sendall(data)
        elif data.endswith(READY):
            self._where = ""
            return False
        return True


@cache
def server():
    """Return the server of this session."""
    return Server()
