"""A state of an older schema: R31. No older one was released, so the next one is invented here.

`UPDATE_GOLDEN=1 pytest tests/state/test_sqlite_migrating.py` writes the database of this schema anew. That is
right only while this schema was not released. `FAULTS=1` tries a kill at every single write.
"""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlite_scenes import LARGE, ME, as_killed, faulty, fill, opened, read, said, strace

from jobtest.core.data import to_data
from jobtest.core.errors import StateError
from jobtest.core.events import Entry, event_to_data
from jobtest.state.sqlite import SqliteStore, reading, writing
from jobtest.state.sqlite.opening import check, open_reading, open_writing
from jobtest.state.sqlite.schema import CURRENT, Schema

FAULTS = int(os.environ.get("FAULTS", "0"))
"""Of the writes of a migration one in so many is the last, each in a migration of its own; 0: one is."""

DATA = Path(__file__).parent / "data"

TAG = "CREATE TABLE tag (run INTEGER NOT NULL REFERENCES run (number), name TEXT NOT NULL)"
NEXT = Schema(
    CURRENT.version + 1,
    (
        *(
            sql.replace("crc INTEGER NOT NULL\n)", "crc INTEGER NOT NULL,\n  note TEXT)")
            if "TABLE run" in sql
            else sql
            for sql in CURRENT.statements
        ),
        TAG,
    ),
    {
        CURRENT.version: (
            "ALTER TABLE run ADD COLUMN note TEXT",
            TAG,
            "INSERT INTO tag SELECT number, 'old' FROM run",
            "UPDATE run SET note = NULL",
        )
    },
)
LATER = Schema(
    NEXT.version + 1,
    tuple(sql for sql in NEXT.statements if "TABLE tag" not in sql),
    {**NEXT.steps, NEXT.version: ("DROP TABLE tag",)},
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / ".jobtest" / "state.db"
    with closing(opened(path)) as store:
        fill(store)
    return path


def rows(connection):
    with closing(connection):
        return {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }


def of_version(path, number):
    """Return all rows of a state, which has to be of that version and nothing else."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (number,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return rows(sqlite3.connect(f"file:{path}?mode=ro", uri=True))


def test_the_invented_schema_is_what_its_steps_lead_to(path, tmp_path):
    for schema in (NEXT, LATER):
        migrated = tmp_path / f"{schema.version}.db"
        shutil.copy(path, migrated)
        open_writing(migrated, schema).close()
        assert check(migrated, schema) == schema.version


def test_an_older_state_is_migrated_and_a_copy_is_kept(path):
    before = of_version(path, 1)
    open_writing(path, NEXT).close()

    after = of_version(path, 2)
    assert after.pop("tag") == [(1, "old"), (2, "old")]
    assert {**after, "run": [row[:-1] for row in after["run"]]} == before
    assert [row[-1] for row in after["run"]] == [None, None]
    copy = path.with_name("state.db.v1")
    assert of_version(copy, 1) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    open_writing(path, NEXT).close()
    assert of_version(path, 2).keys() == {*before, "tag"}


def test_a_migration_that_is_only_in_the_log_yet_is_seen(path):
    with closing(open_writing(path, NEXT)):
        killed = as_killed(path)

    assert check(killed, NEXT) == 2
    assert of_version(killed, 2)["tag"]


def test_migrating_goes_step_by_step_to_the_newest(path):
    before = of_version(path, 1)
    open_writing(path, LATER).close()

    assert of_version(path, 3).keys() == before.keys()
    assert [file.name for file in path.parent.glob("state.db.v*")].count("state.db.v1") == 1


def test_reading_an_older_state_migrates_only_what_is_read(path):
    raw = path.read_bytes()
    with closing(open_reading(path, NEXT)) as connection:
        assert connection.execute("SELECT name FROM tag").fetchall() == [("old",), ("old",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert path.read_bytes() == raw
    assert not path.with_name("state.db.v1").exists()


def test_a_store_that_has_read_an_older_state_and_then_owns_it_reads_the_new_one(path, monkeypatch):
    monkeypatch.setattr(reading, "open_reading", partial(open_reading, schema=NEXT))
    monkeypatch.setattr(writing, "open_writing", partial(open_writing, schema=NEXT))
    store = SqliteStore(path, large=LARGE)
    with closing(store):
        assert [run.id for run in store.runs()] == ["r2", "r1"]
        store.own(ME)
        fill(store, ["r3"])
        assert [run.id for run in store.runs()] == ["r3", "r2", "r1"]
    assert check(path, NEXT) == 2


@pytest.mark.parametrize(
    "step",
    ["ALTER TABLE run ADD COLUMN other TEXT", "CREATE TABLE run (x)", "INSERT INTO run (number) VALUES (1)"],
)
def test_a_migration_that_fails_leaves_the_old_state(path, step):
    before = of_version(path, 1)
    wrong = Schema(NEXT.version, NEXT.statements, {1: ("DELETE FROM past", *NEXT.steps[1], step)})

    for use in (open_writing, open_reading):
        with pytest.raises(StateError) as error:
            use(path, wrong)
        assert said(error).at == (str(path),)
    assert of_version(path, 1) == before


def test_what_is_no_older_state_although_it_says_so_is_not_migrated(path):
    # R36: the triggers of a hostile state do not get their turn
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TRIGGER bad AFTER UPDATE ON run BEGIN DELETE FROM past; END")
    before = of_version(path, 1)
    with pytest.raises(StateError) as error:
        open_writing(path, NEXT)

    assert said(error).what == "this is not the schema of a state of jobtest: trigger 'bad'"
    assert of_version(path, 1) == before


def migrate(path):
    open_writing(Path(path), NEXT).close()


@strace
def test_a_migration_that_is_killed_leaves_the_old_or_the_new_state(path, tmp_path):
    # R31 with R2
    old = of_version(path, 1)
    code = f"import test_sqlite_migrating as it; it.migrate({str(path)!r})"
    seen = set()
    for count in range(1, 500, FAULTS) if FAULTS else (45,):
        target = tmp_path / str(count) / "state.db"
        target.parent.mkdir()
        shutil.copy(path, target)
        import time

        z = time.time()
        killed = faulty(["-c", code.replace(str(path), str(target))], f"pwrite64:signal=SIGKILL:when={count}")
        version = check(target, NEXT)
        seen.add(version)
        print(count, version, killed.returncode, time.time() - z)
        found = of_version(target, version)
        assert found == old if version == 1 else found["tag"] == [(1, "old"), (2, "old")]
        if version == 2:
            assert of_version(target.with_name("state.db.v1"), 1) == old
        migrate(target)
        assert of_version(target, 2)["past"] == old["past"]
        if killed.returncode == 0:
            break
    assert seen == ({1, 2} if FAULTS else {1})


# --- what every later version must read ---


def plain(found):
    """Return what was read of a store as JSON data."""
    return {
        **found,
        "runs": [to_data(run) for run in found["runs"]],
        "entries": {run: [as_data(entry) for entry in kept] for run, kept in found["entries"].items()},
        "pasts": {job: to_data(past) for job, past in found["pasts"].items()},
        "owed": [to_data(owed) for owed in found["owed"]],
    }


def as_data(entry: Entry):
    return {"seq": entry.seq, "at": entry.at, "run": entry.run, "event": event_to_data(entry.event)}


def write_golden():
    path = DATA / f"state-{CURRENT.version}.db"
    for file in DATA.glob(f"{path.name}*"):
        if file.is_file():
            file.unlink()
    with closing(opened(path, large=1_000_000)) as store:
        fill(store)
        found = plain(read(store))
    for file in DATA.glob(f"{path.name}.*"):
        file.unlink()
    path.with_suffix(".json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def test_states_of_all_schemas_are_read_owned_and_read_again(tmp_path):
    # F12
    if os.environ.get("UPDATE_GOLDEN"):
        write_golden()
    goldens = sorted(DATA.glob("state-*.db"))
    assert len(goldens) == CURRENT.version
    for golden in goldens:
        path = tmp_path / golden.name
        shutil.copy(golden, path)
        expected = json.loads(golden.with_suffix(".json").read_text(encoding="utf-8"))
        with closing(SqliteStore(path, large=LARGE)) as store:
            assert plain(read(store)) == expected
            store.own(ME)
            assert plain(read(store)) == expected
            fill(store, ["r9"])
        with closing(SqliteStore(path, large=LARGE)) as store:
            assert plain(read(store))["entries"]["r1"] == expected["entries"]["r1"]


def test_the_golden_states_are_of_the_schema_in_their_name():
    for golden in DATA.glob("state-*.db"):
        version = int.from_bytes(golden.read_bytes()[60:64], "big")
        assert golden.name == f"state-{version}.db"
