"""From a path to a connection: what is there is examined first, and refused if it is not a state of ours.

What lives here: looking, opening, creating, migrating, copying. What the tables mean is not known here, but
for `meta`, which begins here and has the version that a message names.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import uuid
from contextlib import closing, suppress
from pathlib import Path

from jobtest.core.errors import StateError
from jobtest.core.version import VERSION
from jobtest.state.sqlite.disk import beside, put_in_place
from jobtest.state.sqlite.marker import forget
from jobtest.state.sqlite.problems import ANOTHER, BACK, FAILURES, refused, unreadable, unwritable
from jobtest.state.sqlite.schema import APPLICATION, CURRENT, LONGEST, PAGE_SIZE, Schema, spelled

__all__ = ["BUSY", "check", "copy", "create", "open_reading", "open_writing"]

LOOKS = 10
"""How often a state that changes meanwhile is looked at before what was found is believed."""

BUSY = 10.0
"""Seconds to wait for another program that writes: a shell in which somebody looks at a state."""


_NO_SHARED_MEMORY = ("SQLITE_PROTOCOL", "SQLITE_IOERR_SHM")


def open_reading(path: Path, schema: Schema = CURRENT) -> sqlite3.Connection | None:
    """Return a connection that only reads, or None if there is no state.

    A state of an older schema is read from a migrated copy in the memory; the next run migrates it.

    Raises:
        StateError: it is no state of ours, or cannot be read.
    """
    try:
        version = check(path, schema)
        connection = _connect_reading(path)
        return connection if version == schema.version else _migrated_in_memory(path, connection, schema)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, *FAILURES) as error:
        raise unreadable(path, error) from error


def open_writing(path: Path, schema: Schema = CURRENT) -> sqlite3.Connection:
    """Return a connection that may write; the state is created or migrated if that is needed.

    Whoever calls holds the lock.

    Raises:
        StateError: it is no state of ours, or cannot be written.
    """
    try:
        if path.exists():
            check(path, schema)
        else:
            create(path, schema)
        connection = _connect(path, "mode=rw")
    except (OSError, *FAILURES) as error:
        raise unwritable(path, error) from error
    try:
        _write_ahead(path, connection)
        connection.execute("PRAGMA foreign_keys=ON")
        version = _examine(path, connection, schema)
        if version < schema.version:
            copy(connection, beside(path, f".v{version}"))
            _migrate(path, connection, version, schema)
        return connection
    except (OSError, *FAILURES) as error:
        connection.close()
        raise unwritable(path, error) from error
    except BaseException:
        connection.close()
        raise


def check(path: Path, schema: Schema = CURRENT) -> int:
    """Return the schema version of the state at `path`; nothing is written, not even beside it.

    Raises:
        StateError: it is no state of ours, a newer one, or damaged at first sight.
        FileNotFoundError: there is none.
    """
    before = _identity(path)
    for _ in range(LOOKS):
        try:
            return _check(path, before, schema)
        except StateError:
            last, before = before, _identity(path)
            if last == before:
                raise  # else its owner has just let go of it: look again
    return _check(path, before, schema)


def create(path: Path, schema: Schema = CURRENT) -> None:
    """Make an empty state at `path`, where nothing is; it is there as a whole or not at all.

    Whoever calls holds the lock.

    Raises:
        StateError: the file system cannot hold one.
        OSError, sqlite3.Error: it cannot be written.
    """
    new = beside(path, ".new")
    _start(new)
    try:
        with closing(_connect(new, "mode=rw")) as connection:
            connection.execute("PRAGMA synchronous=OFF")  # it is synced as a whole
            connection.execute("PRAGMA journal_mode=MEMORY")
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            _fill(connection, schema)
            _write_ahead(path, connection)  # last: nothing is left in a log, whatever closing comes to
        forget(path)
        _remove_logs(path)  # what an earlier state left would be taken for changes of this one
        put_in_place(new, path, sync=True)
    except BaseException:
        with suppress(OSError):
            _remove(new)
        raise


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Write a copy of a database to `path`: what was committed when the copying began.

    Raises:
        OSError, sqlite3.Error: it cannot be written or read; what was at `path` is as it was.
    """
    new = beside(path, ".new")
    _start(new)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as target:
            connection.backup(target)
        _remove_logs(path)  # of what was there before
        put_in_place(new, path, sync=True)
    except BaseException:
        with suppress(OSError):
            _remove(new)
        raise


def _write_ahead(path: Path, connection: sqlite3.Connection) -> None:
    """Make a connection write to the log first.

    Raises:
        StateError: the file system cannot do that.
    """
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.OperationalError as error:
        if not str(getattr(error, "sqlite_errorname", "")).startswith(_NO_SHARED_MEMORY):
            raise
        mode = str(error)
    if mode != "wal":
        raise refused(
            path,
            f"a state cannot be kept in this folder: SQLite has no write-ahead log here ({mode})",
            "keep it on a local disk (--job-state=sqlite:////FOLDER/state.db): this may be a network folder",
        )
    connection.execute("PRAGMA wal_autocheckpoint=0")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    made = sqlite3.connect(
        f"{path.as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY
    )
    made.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    made.execute("PRAGMA trusted_schema=OFF")
    made.execute("PRAGMA cell_size_check=ON")
    return made


def _connect_reading(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=ro")
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.OperationalError:
        connection.close()
        if _log_size(path) is not None:
            raise
        return _connect(path, "mode=ro&immutable=1")  # a folder where not even readers may write
    return connection


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    has_log = _log_size(path) is not None
    return found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, has_log


def _log_size(path: Path) -> int | None:
    try:
        return beside(path, "-wal").stat().st_size
    except FileNotFoundError:
        return None


def _check(path: Path, identity: tuple[int, ...], schema: Schema) -> int:
    mode, _, _, size, _, has_log = identity
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise refused(path, f"this is {what}, not a state of jobtest", "name a file with --job-state")
    if size == 0:
        raise refused(path, "this is an empty file, not a state of jobtest", ANOTHER)
    try:
        # Without a log nobody has it open, and nobody needs to know that we look.
        with closing(_connect(path, "mode=ro" if has_log else "mode=ro&immutable=1")) as connection:
            version = _examine(path, connection, schema)
            (page,) = connection.execute("PRAGMA page_size").fetchone()
        if size % page and not _log_size(path):  # SQLite itself fills up a page that was cut
            raise refused(path, "the state is damaged: its end is missing", BACK)
        return version
    except FAILURES as error:
        raise unreadable(path, error) from error


def _examine(path: Path, connection: sqlite3.Connection, schema: Schema) -> int:
    """Return the schema version of a database."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise refused(path, f"this is not a state of jobtest: {_other(connection, application)}", ANOTHER)
    if version > schema.version:
        raise refused(
            path,
            f"made by jobtest {_maker(connection)}: schema {version}; this one knows {schema.version}",
            "use that version of jobtest, or name another state with --job-state",
        )
    if version < schema.version and version not in schema.steps:
        raise refused(path, f"the state is damaged: there is no schema {version}", BACK)
    if version == schema.version:
        _compare(path, connection, schema)
    return version


def _other(connection: sqlite3.Connection, application: int) -> str:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name LIMIT 4")]
    held = (
        f"with {', '.join(map(repr, names[:3]))}{', ...' if names[3:] else ''}" if names else "that is empty"
    )
    return f"a SQLite database of another program (application id {application:#x}) {held}"


def _maker(connection: sqlite3.Connection) -> str:
    with suppress(*FAILURES):
        for (version,) in connection.execute("SELECT value FROM meta WHERE key = 'version'"):
            return str(version)[:40]
    return "of a later version"


def _compare(path: Path, connection: sqlite3.Connection, schema: Schema) -> None:
    """Refuse tables, indexes, views and triggers that are not ours: a trigger could do anything."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    own = [row for row in rows if row[2] is not None or not str(row[1]).startswith("sqlite_autoindex_")]
    if {sql for _, _, sql in own} == set(schema.statements) and len(own) == len(schema.statements):
        return
    known = {spelled(statement) for statement in schema.statements}
    for kind, name, sql in own:
        if spelled(str(sql)) not in known:
            raise refused(
                path, f"this is not the schema of a state of jobtest: {kind} {str(name)[:80]!r}", BACK
            )
    if len(own) != len(known):
        raise refused(path, "this is not the schema of a state of jobtest: something is missing", BACK)


def _fill(connection: sqlite3.Connection, schema: Schema) -> None:
    meta = {"lineage": str(uuid.uuid4()), "serial": "0", "epoch": "0", "clean": "1", "turn": "0", "logs": "0"}
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.statements:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta (key, value) VALUES (?, ?)", [*meta.items(), ("version", VERSION)]
    )
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={schema.version}")
    connection.execute("COMMIT")


def _migrate(path: Path, connection: sqlite3.Connection, version: int, schema: Schema) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")  # tables that are made anew are missing for a moment
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(version, schema.version):
        for statement in schema.steps[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={schema.version}")
    _compare(path, connection, schema)
    connection.execute("COMMIT")
    connection.execute("PRAGMA foreign_keys=ON")


def _migrated_in_memory(path: Path, connection: sqlite3.Connection, schema: Schema) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with closing(connection):
            connection.backup(memory)
        memory.execute("PRAGMA trusted_schema=OFF")
        _migrate(path, memory, _examine(path, memory, schema), schema)
    except BaseException:
        memory.close()
        raise
    return memory


def _start(path: Path) -> None:
    """Make an empty file that only its owner can read, instead of what a killed process left there."""
    _remove(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _remove_logs(path)


def _remove_logs(path: Path) -> None:
    for ending in ("-wal", "-shm", "-journal"):
        beside(path, ending).unlink(missing_ok=True)
