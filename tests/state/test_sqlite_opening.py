"""What is opened, what is refused, and that what is refused is left as it is."""

import os
import re
import shutil
import sqlite3
import stat
import sys
import tempfile
import tracemalloc
import zlib
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlite_scenes import LARGE, ME, as_killed, fill, opened, read, read_and_close, said

from jobtest.core.errors import StateError
from jobtest.state.sqlite import SqliteStore, opening, rows
from jobtest.state.sqlite.schema import CURRENT, spelled

NOBODY = 65534
ANOTHER = "remove it, or name another state with --job-state"
BACK = "put a copy of it back, or move it away: every job is then checked anew"


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".jobtest" / "state.db"


@pytest.fixture
def made(path):
    with closing(opened(path)) as store:
        fill(store)
    return path


def change(path, *statements):
    """Change a state by hand; several statements in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")


def meta(path):
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT key, value FROM meta"))


def everything_in(folder):
    """Return names, contents and modes of all files below a folder."""
    return {
        file.relative_to(folder).as_posix(): (
            file.stat().st_mode,
            file.read_bytes() if stat.S_ISREG(file.stat().st_mode) else b"",
        )
        for file in sorted(folder.rglob("*"))
    }


def refused(path, fix=None):
    """Return what is said on reading and on owning, after a look at whether anything was changed."""
    before = everything_in(path.parent)
    problems = []
    for use in (SqliteStore.runs, lambda store: store.own(ME)):
        with closing(SqliteStore(path)) as store, pytest.raises(StateError) as error:
            use(store)
        problems.append(said(error))
    assert everything_in(path.parent) == before
    assert problems[0] == problems[1]
    assert problems[0].at == (str(path),)
    assert fix is None or problems[0].fix == fix
    return problems[0].what


# --- what is no state: R27 to R30, R36 ---


def test_an_empty_file_is_refused(path):
    # R27: SQLite itself takes it for a new database
    path.parent.mkdir()
    path.touch()

    assert refused(path, ANOTHER) == "this is an empty file, not a state of jobtest"


@pytest.mark.parametrize("content", [b"root:x:0:0\n", b"\x89PNG\r\n" * 900, b"SQLite format 3", b"\0" * 5000])
def test_a_file_of_another_kind_is_refused(path, content):
    # R28
    path.parent.mkdir()
    path.write_bytes(content)

    assert refused(path, ANOTHER) == "this is not a state of jobtest: it is no SQLite database"


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_database_of_another_program_is_refused_without_a_trace(path, journal):
    # R29
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE moz_places (id)")
        connection.execute("PRAGMA application_id=252006674")

    what = "this is not a state of jobtest: a SQLite database of another program (application id 0xf055112)"
    assert refused(path, ANOTHER) == f"{what} with 'moz_places'"


def test_a_database_with_nothing_in_it_is_refused(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")

    assert refused(path).endswith("a SQLite database of another program (application id 0x0) that is empty")


def test_a_folder_and_a_pipe_are_refused(path):
    path.mkdir(parents=True)
    assert refused(path) == "this is a folder, not a state of jobtest"
    path.rmdir()
    os.mkfifo(path)
    assert refused(path) == "this is no regular file, not a state of jobtest"


def test_a_newer_state_is_refused_and_says_who_made_it(made):
    # R30
    change(made, "PRAGMA user_version=99", "UPDATE meta SET value = '9.9' WHERE key = 'version'")

    assert refused(made) == "made by jobtest 9.9: schema 99; this one knows 1"
    change(made, "DROP TABLE meta")
    assert refused(made) == "made by jobtest of a later version: schema 99; this one knows 1"


def test_a_version_that_never_was_is_refused(made):
    change(made, "PRAGMA user_version=0")

    assert refused(made, BACK) == "the state is damaged: there is no schema 0"


HOSTILE = {
    "trigger 'bad'": "CREATE TRIGGER bad AFTER INSERT ON event BEGIN DELETE FROM past; END",
    "view 'bad'": "CREATE VIEW bad AS SELECT load_extension('x')",
    "table 'bad'": "CREATE TABLE bad (x, y GENERATED ALWAYS AS (x))",
    "index 'bad'": "CREATE INDEX bad ON event (abs(seq))",
    "table 'past'": "ALTER TABLE past ADD COLUMN more",
    "something is missing": "DROP TRIGGER outcome_is_final",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_schema_that_is_not_ours_is_refused(made, what):
    # R36
    change(made, HOSTILE[what])

    assert refused(made, BACK) == f"this is not the schema of a state of jobtest: {what}"


def test_a_blob_without_end_is_damage_and_not_the_end_of_the_memory(made, monkeypatch):
    # R36
    monkeypatch.setattr(opening, "LONGEST", 1_000_000)
    change(made, "UPDATE past SET past = zeroblob(2000000) WHERE job = 'job_0.py::job_0'")
    with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
        store.pasts()
    assert said(error).what == "the state is damaged: string or blob too big"


def test_a_bomb_of_a_plan_is_not_unpacked(made, monkeypatch):
    # R36
    monkeypatch.setattr(rows, "LONGEST", 1_000_000)
    with closing(sqlite3.connect(made)) as connection, connection:
        bomb = zlib.compress(b"0" * 100_000_000, 1)
        connection.execute("UPDATE plan SET size = ?, data = ?", (1 << 40, bomb))
    tracemalloc.start()
    try:
        with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
            store.plan("r1")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert said(error).what == "the state is damaged: plan of run 'r1'"


# --- where it lies: R22, R24 ---


@contextmanager
def as_nobody():
    """Be a user whom permissions concern."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody can use, unlike those of the tests."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    for sub in (folder, *folder.rglob("*")):
        if sub.is_dir():
            sub.chmod(0o777)
    shutil.rmtree(folder)


def said_to_nobody(use, path):
    with as_nobody(), closing(SqliteStore(path)) as store, pytest.raises(StateError) as error:
        use(store)
    return said(error).what


def own(store):
    store.own(ME)


def test_a_state_that_cannot_be_read_says_so(open_folder):
    # R22
    path = open_folder / "x.db"
    with as_nobody(), closing(opened(path)) as store:
        fill(store)
    path.chmod(0)

    for use in (own, SqliteStore.runs):
        assert said_to_nobody(use, path) == "the state cannot be read: unable to open database file"
    path.chmod(0o600)
    open_folder.chmod(0)
    for use in (own, SqliteStore.runs):
        assert said_to_nobody(use, path) == "the state cannot be read: Permission denied"


def test_a_state_or_folder_that_cannot_be_written_says_so_and_can_be_read(open_folder):
    # R22
    path = open_folder / "x.db"
    with as_nobody(), closing(opened(path)) as store:
        fill(store)
        before = read(store)

    path.chmod(0o400)
    assert said_to_nobody(own, path) == "the state cannot be written: attempt to write a readonly database"
    with as_nobody():
        assert read_and_close(path) == before
    path.chmod(0o600)
    for file in open_folder.glob("x.db-*"):
        file.unlink()
    open_folder.chmod(0o555)
    assert said_to_nobody(own, path).startswith("the state cannot be written: ")
    with as_nobody():
        assert read_and_close(path) == before
    assert said_to_nobody(own, open_folder / "new.db") == "the state cannot be locked: Permission denied"
    assert said_to_nobody(own, open_folder / "deep" / "new.db") == (
        "the state cannot be written: Permission denied"
    )
    assert not (open_folder / "deep").exists()


def test_a_state_that_was_not_closed_in_a_folder_that_cannot_be_written_says_so(open_folder):
    # R22: its log cannot be read there
    (open_folder / "in").mkdir()
    path = open_folder / "in" / "x.db"
    with closing(opened(path)) as store:
        fill(store)
        copy = as_killed(path)
    copy.with_name("x.db-shm").unlink()
    for folder in (copy.parent, copy.parents[1]):
        folder.chmod(0o755)
    for file in copy.parent.glob("x.db*"):
        file.chmod(0o755)
    copy.parent.chmod(0o555)

    assert said_to_nobody(SqliteStore.runs, copy) == (
        "the state cannot be read: unable to open database file"
    )


def test_a_file_system_without_shared_memory_is_refused():
    # R24: such a database answers as this one does
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(StateError) as error:
        opening._write_ahead(Path("/net/state.db"), connection)
    assert str(error.value) == (
        "a state cannot be kept in this folder: SQLite has no write-ahead log here (memory)\n"
        "  at: /net/state.db\n"
        "  fix: keep it on a local disk (--job-state=sqlite:////FOLDER/state.db): "
        "this may be a network folder"
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_state_that_cannot_be_made_leaves_nothing(tmp_path):
    with closing(SqliteStore(Path("/proc/jobtest/state.db"))) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert said(error).what == "the state cannot be written: No such file or directory"


# --- making one ---


def test_what_a_killed_making_left_is_no_hindrance(path):
    path.parent.mkdir()
    for ending in (".new", ".new-wal", ".new-shm", ".new-journal", ".marker.new"):
        path.with_name(f"state.db{ending}").write_bytes(b"half a database")
    with closing(opened(path)) as store:
        fill(store)
    assert not list(path.parent.glob("*.new*"))


def test_the_log_of_a_state_that_was_removed_is_not_taken_for_one_of_the_new_state(made):
    # R34
    with closing(opened(made)) as store:
        fill(store, ["r3"])
        killed = as_killed(made)
    killed.unlink()
    with closing(opened(killed)) as store:
        assert store.runs() == []
        fill(store, ["r9"])
        assert [run.id for run in store.runs()] == ["r9"]


def test_a_new_state_takes_the_place_of_one_that_was_removed_although_the_marker_is_left(made):
    made.unlink()
    with closing(opened(made)) as store:
        fill(store, ["r9"])
    with closing(opened(made)) as store:
        assert [run.id for run in store.runs()] == ["r9"]


# --- whose it is: R34, R35 ---


def test_each_owner_has_the_next_epoch_and_serial(made):
    numbers = [(int(meta(made)["epoch"]), int(meta(made)["serial"]))]
    for _ in range(3):
        opened(made).close()
        numbers.append((int(meta(made)["epoch"]), int(meta(made)["serial"])))

    assert numbers == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_an_older_copy_of_the_state_is_refused_until_the_marker_is_removed(made):
    # R35
    backup = made.with_name("backup")
    shutil.copy(made, backup)
    opened(made).close()
    shutil.copy(backup, made)
    before = everything_in(made.parent)

    with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert str(error.value) == (
        "this is not the state that was here: it is an older copy of it\n"
        f"  at: {made}\n"
        f"  fix: put the right one back, or remove {made}.marker to accept this one"
    )
    assert {**everything_in(made.parent), ".": 0} == {**before, ".": 0}
    made.with_name("state.db.marker").unlink()
    with closing(opened(made)) as store:
        assert len(store.runs()) == 2
    opened(made).close()


def test_the_state_of_another_project_is_refused(made, tmp_path):
    # R35
    other = tmp_path / "other" / "state.db"
    opened(other).close()
    shutil.copy(made, other)

    with closing(SqliteStore(other)) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert said(error).what == "this is not the state that was here: it comes from another project"
    assert meta(other) == meta(made)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lineage": 1}', "\0", "[" * 100_000])
def test_a_marker_that_is_none_is_refused(made, text):
    marker = made.with_name("state.db.marker")
    marker.write_text(text)

    with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert said(error) == said(error)
    assert said(error).what == "the marker of the state cannot be read"
    assert said(error).at == (str(marker),)


def test_the_log_of_another_state_is_found_out(made, tmp_path):
    # R34: SQLite itself would take it for its own
    other = tmp_path / "other" / "state.db"
    with closing(opened(other)) as store:
        fill(store, ["r8"])
        killed = as_killed(other)
    shutil.copy(killed.with_name("state.db-wal"), made.with_name("state.db-wal"))

    with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert said(error).what.startswith(("this is not the state that was here", "the state is damaged"))


def test_a_log_that_is_missing_takes_only_what_was_in_it(path):
    # R34
    opened(path).close()
    with closing(opened(path)) as store:
        fill(store)
        killed = as_killed(path)
    killed.with_name("state.db-wal").unlink()
    killed.with_name("state.db.marker").unlink()

    assert read_and_close(killed)["runs"] == []
    opened(killed).close()


def test_meta_that_makes_no_sense_is_damage(made):
    for wrong in ("DELETE FROM meta WHERE key = 'epoch'", "UPDATE meta SET value = 'x' WHERE key = 'serial'"):
        change(made, wrong)
        with closing(SqliteStore(made)) as store, pytest.raises(StateError) as error:
            store.own(ME)
        assert said(error).what == "the state is damaged: table meta"


def test_who_could_not_own_it_does_not_hold_it(made):
    change(made, "DELETE FROM meta")
    with closing(SqliteStore(made)) as store:
        with pytest.raises(StateError):
            store.own(ME)
        assert store.owner() is None


# --- how thoroughly it is checked ---


def hide_a_row(path):
    """Make the last page of events say that it holds one row less: only a check of all pages finds that."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT max(pageno) FROM dbstat WHERE name = 'event' AND pagetype = 'leaf'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 3)
        number = int.from_bytes(file.read(2), "big")
        file.seek(-2, os.SEEK_CUR)
        file.write((number - 1).to_bytes(2, "big"))


def has_dbstat():
    with closing(sqlite3.connect(":memory:")) as connection:
        return ("ENABLE_DBSTAT_VTAB",) in connection.execute("PRAGMA compile_options").fetchall()


@pytest.mark.skipif(not has_dbstat(), reason="needs SQLite with dbstat")
def test_all_pages_are_checked_only_after_a_kill(made):
    hide_a_row(made)
    with closing(opened(made)) as store:
        killed = as_killed(made)
        fill(store, ["r3"])

    with closing(SqliteStore(killed, large=LARGE)) as store, pytest.raises(StateError) as error:
        store.own(ME)
    assert re.match("the state is damaged: .*page", said(error).what)


@pytest.mark.skipif(not has_dbstat(), reason="needs SQLite with dbstat")
def test_of_a_large_state_only_what_decides_is_checked(made, monkeypatch):
    from jobtest.state.sqlite import writing

    monkeypatch.setattr(writing, "SMALL", 1000)
    hide_a_row(made)
    with closing(opened(made)):
        killed = as_killed(made)
    opened(killed).close()


def test_the_schema_of_a_new_state_is_the_one_that_is_compared(made):
    with closing(sqlite3.connect(made)) as connection:
        found = connection.execute("SELECT sql FROM sqlite_master WHERE sql NOTNULL").fetchall()
        assert {sql for (sql,) in found} == set(CURRENT.statements)
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"JOBT", "big"),)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_white_space_quotes_and_comments_make_no_other_schema():
    assert spelled('CREATE TABLE "a" (\n  b, -- what\n  c)') == spelled("CREATE TABLE a (b, c)")
    assert spelled("CREATE TABLE a (b, c)") != spelled("CREATE TABLE a (b, d)")
