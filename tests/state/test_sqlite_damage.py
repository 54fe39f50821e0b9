"""A state whose bytes were changed or lost: an error that says so, or what was written, and nothing else.

`DAMAGE=20000 pytest tests/state/test_sqlite_damage.py` tries that many files.
"""

import os
import random
import shutil
import sqlite3
from contextlib import closing

import pytest
from sqlite_scenes import LARGE, ME, fill, opened, read, said

from jobtest.core.errors import StateError, StateLost
from jobtest.state.sqlite import SqliteStore

FILES = int(os.environ.get("DAMAGE", "60"))
WHATS = (
    "the state is damaged: ",
    "the state cannot be written: ",
    "made by jobtest ",
    "the marker of the state",
    "this is not a state of jobtest: ",
    "this is not the schema of a state of jobtest: ",
    "this is not the state that was here: ",
    "this is an empty file, not a state of jobtest",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "state.db"
    with closing(opened(path)) as store:
        fill(store, jobs=12)
        found = read(store)
    return path, found


def use(path):
    """Read all of a state, own it, write and close; return what was read, None if it was refused."""
    found, problems = None, []
    store = SqliteStore(path, large=LARGE)
    try:
        found = read(store)
        store.own(ME)
        fill(store, ["r9"])
        store.close()
    except StateError as error:
        problems = error.problems
    except StateLost as error:
        problems = [error.problem]
    with closing(store):
        assert all(problem.what.startswith(WHATS) for problem in problems), problems
    return found


def may_be(found, original):
    """Tell whether what was read of a damaged state is true, though maybe not all."""
    for kind in ("plans", "pasts", "values", "checkpoints"):
        if any(one is not None and one != original[kind].get(key) for key, one in found[kind].items()):
            return False
    entries = all(
        set(found["entries"].get(run, [])) <= set(kept) for run, kept in original["entries"].items()
    )
    ends = all(
        found["outcomes"].get(run, {}).get(how, 0) <= number
        for run, kept in original["outcomes"].items()
        for how, number in kept.items()
    )
    lists = all(one in original[kind] for kind in ("runs", "owed") for one in found[kind])
    return entries and ends and lists


def copy_of(path, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path.parent, folder)
    return folder / path.name


def test_a_truncated_state_is_refused_or_right(original, tmp_path):
    # R32
    path, right = original
    size = path.stat().st_size
    step = 512 * max(1, size // 512 // FILES)
    for left in range(0, size, step):
        broken = copy_of(path, tmp_path / "broken")
        os.truncate(broken, left)
        found = use(broken)
        assert found is None or found == right, left


def test_bits_that_flip_are_found_out_or_harmless(original, tmp_path):
    # R33
    path, right = original
    raw = path.read_bytes()
    refused = 0
    for seed in range(FILES):
        chance = random.Random(seed)
        changed = bytearray(raw)
        for _ in range(chance.choice([1, 2, 8, 64])):
            changed[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        broken = copy_of(path, tmp_path / "broken")
        broken.write_bytes(changed)
        found = use(broken)
        refused += found is None
        assert found is None or may_be(found, right), seed
    assert 0 < refused < FILES


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE event SET body = replace(body, 'changed', 'failed') WHERE run = 2", "event 3 of run 'r2'"),
        ("UPDATE event SET seq = 77 WHERE run = 1 AND seq = 2", "event 77 of run 'r1'"),
        ("UPDATE event SET at = 0 WHERE run = 1 AND seq = 2", "event 2 of run 'r1'"),
        ("UPDATE event SET job = 'x' WHERE run = 1 AND seq = 2", "event 2 of run 'r1'"),
        ("UPDATE event SET body = 7 WHERE run = 1 AND seq = 2", "event 2 of run 'r1'"),
        ("UPDATE event SET crc = 1.5 WHERE run = 1 AND seq = 2", "event 2 of run 'r1'"),
        ("UPDATE event SET id = id + 4294967296 * 7 WHERE run = 2", None),
        ("UPDATE run SET record = replace(record, 'test', 'prod') WHERE id = 'r1'", "run 'r1'"),
        ("UPDATE run SET id = 'r3' WHERE id = 'r1'", "run 'r3'"),
        ("UPDATE past SET past = '{}' WHERE job = 'job_1.py::job_1'", "past of job 'job_1.py::job_1'"),
        ("UPDATE past SET job = 'other' WHERE job = 'job_1.py::job_1'", "past of job 'other'"),
        ("UPDATE value SET text = '[8]' WHERE text = '[2]'", "value "),
        ("UPDATE value SET text = '[2', size = 2 WHERE text = '[2]'", "value "),
        ("UPDATE plan SET data = x'00'", "plan of run "),
        ("UPDATE plan SET size = 'x'", "plan of run "),
        ("PRAGMA foreign_keys=OFF", None),
        ("DELETE FROM plan", "plan of run "),
        ("UPDATE owed SET turn = turn + 100", "owed by job "),
        ("UPDATE owed SET run = 'r1'", "owed by job "),
        ("UPDATE checkpoint SET text = '0' WHERE text = '1'", "checkpoint 'rows' of job 'job_1.py::job_1'"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_say_what_was_written_is_named(original, tmp_path, statement, what):
    path, right = original
    broken = copy_of(path, tmp_path / "broken")
    with closing(sqlite3.connect(broken)) as connection, connection:
        connection.execute(statement)
    store = SqliteStore(broken, large=LARGE)
    with closing(store):
        if what is None:
            assert may_be(read(store), right)
            return
        with pytest.raises(StateError) as error:
            read(store)
    assert said(error).what.startswith(f"the state is damaged: {what}")


@pytest.mark.parametrize("column", ["job", "outcome"])
def test_an_outcome_that_was_changed_is_no_outcome(original, tmp_path, column):
    path, _ = original
    broken = copy_of(path, tmp_path / "broken")
    with closing(sqlite3.connect(broken)) as connection, connection:
        connection.execute("DROP TRIGGER outcome_is_final")
        connection.execute(f"UPDATE outcome SET {column} = 'failed' WHERE job = 'job_1.py::job_1'")
        connection.execute(
            "CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome\n"
            "BEGIN SELECT RAISE(ABORT, 'a job ends once'); END"
        )
    with closing(SqliteStore(broken)) as store, pytest.raises(StateError, match="damaged: outcome of job"):
        store.outcomes("r1")


def test_a_cut_is_found_beside_the_empty_log_that_a_reader_leaves(original, tmp_path):
    path, _ = original
    broken = copy_of(path, tmp_path / "broken")
    broken.with_name(f"{broken.name}-wal").touch()
    os.truncate(broken, path.stat().st_size - 512)
    with closing(SqliteStore(broken)) as store, pytest.raises(StateError) as error:
        store.runs()
    assert said(error).what == "the state is damaged: its end is missing"
