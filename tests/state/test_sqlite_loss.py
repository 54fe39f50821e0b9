"""The end of a state while it is owned: full and broken disks, kills, rivals, and folders that go away.

`FAULTS=1 pytest tests/state/test_sqlite_loss.py` tries a fault at every single call; the default is one.
"""

import os
import re
import shutil
import sqlite3
import threading
import time
from contextlib import closing

import pytest
import sqlite_scenes
from sqlite_scenes import (
    LONG,
    changed,
    faulty,
    fill,
    opened,
    read,
    read_and_close,
    started,
    strace,
)

from jobtest.core.errors import AlreadyEnded, StateError, StateLost
from jobtest.state.codec import digest_of
from jobtest.state.store import ValueKept

pytestmark = pytest.mark.rarely

FAULTS = int(os.environ.get("FAULTS", "0"))
"""Of the calls of a life one in so many fails, each in a life of its own; 0: one of them."""

JOBS = 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".jobtest" / "state.db"


@pytest.fixture
def store(path):
    store = opened(path)
    fill(store, ["r1"])
    yield store
    store.close()


def lost(store):
    """Write something that cannot be kept, and return what is said."""
    with pytest.raises(StateLost) as error:
        fill(store, ["r2"])
    with pytest.raises(StateLost) as again:
        store.commit()
    assert again.value.problem == error.value.problem
    with pytest.raises(StateLost):
        store.write(started("r3")[0])
    return error.value.problem


# --- rivals: R47, G4 ---


def test_an_owner_whose_epoch_is_over_writes_nothing(store, path):
    # R47
    with closing(sqlite3.connect(path)) as rival, rival:
        rival.execute("UPDATE meta SET value = '2' WHERE key = 'epoch'")

    assert lost(store).what == "another run has taken the state over"
    store.close()
    found = read_and_close(path)
    assert [run.id for run in found["runs"]] == ["r1"]
    opened(path).close()


def test_a_state_that_is_locked_by_another_program_is_lost_after_a_while(store, path):
    store._writer._connection.execute("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(path, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        assert lost(store).what == "the state cannot be written: database is locked"


# --- folders that go away: R23 ---


def moved(path):
    path.parent.rename(path.parents[1] / "elsewhere")


def removed(path):
    shutil.rmtree(path.parent)


def replaced(path):
    moved(path)
    opened(path).close()


def without_log(path):
    path.with_name("state.db-wal").unlink()


@pytest.mark.parametrize("happens", [moved, removed, replaced, without_log], ids=lambda one: one.__name__)
def test_a_state_that_goes_away_is_lost_and_not_made_again(store, path, happens):
    # R23
    read(store)
    happens(path)
    before = sorted(path.parent.glob("*"))

    problem = lost(store)
    assert problem.what == "the state was removed or replaced while it was used"
    assert problem.at == (str(path),)
    store.close()
    after = sorted(path.parent.glob("*"))
    assert [file for file in after if file.suffix != ".info"] == [
        file for file in before if file.suffix != ".info"
    ]
    if happens is replaced:
        opened(path).close()
    if happens is without_log:
        with pytest.raises(StateError, match="it is an older copy of it"):
            opened(path)


def test_what_was_committed_before_the_state_was_moved_is_where_it_went(store, path):
    before = read(store)
    moved(path)
    lost(store)
    store.close()

    assert read_and_close(path.parents[1] / "elsewhere" / path.name) == before


def test_closing_tells_of_a_loss_that_nobody_was_told_of(store, path):
    moved(path)
    with pytest.raises(StateLost):
        store.close()
    store.close()
    assert store.owner() is None


def test_after_a_loss_the_state_can_be_read_and_owned_by_the_next(store, path):
    store._writer._connection.execute("PRAGMA max_page_count=1")
    lost(store)
    assert [run.id for run in store.runs()] == ["r1"]
    store.close()
    with closing(opened(path)) as again:
        fill(again, ["r2"])
        assert [run.id for run in again.runs()] == ["r2", "r1"]


# --- full and broken disks: R18, R20, R21 ---


def test_a_full_disk_is_named(store, path):
    # R18
    store._writer._connection.execute("PRAGMA max_page_count=1")

    problem = lost(store)
    assert problem.what == f"state disk is full: {path}"
    assert problem.fix == "make room and run again"


def test_after_a_failed_write_the_log_stays_as_it_is(store, path):
    # who closes last would move it into the database, and after a failed sync nobody knows what it holds
    store._writer._connection.execute("PRAGMA max_page_count=1")
    before = path.read_bytes()
    lost(store)
    store.close()
    assert path.with_name("state.db-wal").stat().st_size > 0
    assert path.read_bytes() == before


def test_a_value_that_cannot_be_put_into_a_file_is_a_loss(store, path):
    shutil.rmtree(path.parent / "state.db.values")
    (path.parent / "state.db.values").write_text("in the way")
    with pytest.raises(StateLost) as error:
        store.write(ValueKept(digest_of(LONG), LONG))
    assert error.value.problem.what.startswith("the state cannot be written: ")
    (path.parent / "state.db.values").unlink()


def test_a_sync_that_fails_in_the_background_is_told_at_the_next_commit(store, path):
    # R20
    with open("/dev/null", "rb") as unsyncable:
        os.dup2(unsyncable.fileno(), store._writer._log)
    store.write(started("r2")[0])
    store.commit()
    deadline = time.monotonic() + 10
    while store._writer._group._failed is None and time.monotonic() < deadline:
        time.sleep(0.005)
    store.write(changed("r2", 0)[0])
    with pytest.raises(StateLost) as error:
        store.commit()
    assert error.value.problem.what == "the state cannot be written: Invalid argument"


def done(result):
    """Return the numbers of the jobs that were said to be done."""
    return [int(line) for line in result.stdout.split()]


def verify(path, numbers):
    """Look whether what was said to be done is done, whether all is sound, and whether it can go on."""
    before = read_and_close(path)
    ended = before["outcomes"].get("r1", {}).get("changed", 0)
    assert ended >= len(numbers)
    for kept in before["entries"].values():
        assert [entry.seq for entry in kept] == [*range(len(kept))]
    assert len(before["pasts"]) == ended
    assert len(before["owed"]) in (ended, ended + 1)
    with closing(opened(path)) as store:
        assert read(store) == before
        fill(store, ["r2"])
        with pytest.raises(AlreadyEnded):
            store.write(changed("r1" if ended else "r2", 0)[-1])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def lives(tmp_path, fault, middle):
    """Yield the state and the result of lives with a fault, each time a little later, up to one without."""
    for count in range(1, 1000, FAULTS) if FAULTS else [middle]:
        path = tmp_path / str(count) / "state.db"
        result = faulty([sqlite_scenes.__file__, str(path), str(JOBS)], fault.format(count))
        yield path, result
        if result.returncode == 0:
            assert done(result) == [*range(JOBS)]
            return


@strace
@pytest.mark.parametrize(
    ("call", "middle"), [("pwrite64", 120), *[("fdatasync", 14), ("rename", 2)] * (FAULTS > 0)]
)
def test_a_kill_at_any_moment_takes_nothing_that_was_said_to_be_done(tmp_path, call, middle):
    # R2
    for path, result in lives(tmp_path, f"{call}:signal=SIGKILL:when={{}}", middle):
        verify(path, done(result))


@strace
@pytest.mark.parametrize(
    ("fault", "middle"),
    [
        ("pwrite64:error=ENOSPC:when={}+", 120),
        *[("pwrite64:error=EIO:when={}", 120), ("fdatasync:error=EIO:when={}", 14)] * (FAULTS > 0),
    ],
)
def test_a_full_or_broken_disk_is_said_and_takes_nothing_that_was_done(tmp_path, fault, middle):
    # R18, R20, R21
    for path, result in lives(tmp_path, fault, middle):
        if result.returncode:
            assert re.search(r"\njobtest\.core\.errors\.State(Error|Lost): .*\n  at: ", result.stderr)
            assert re.search("disk is full|disk I/O error|Input/output error", result.stderr)
        verify(path, done(result))


# --- when it is on the disk: R17 ---


@strace
@pytest.mark.parametrize(("durability", "syncs"), [("auto", 1), *[("full", 2), ("fast", 1)] * (FAULTS > 0)])
def test_commits_are_on_the_disk_when_the_durability_says(tmp_path, durability, syncs):
    # R17: of the two commits before a job is said to be done, one is `at_once`
    log = tmp_path / "log"
    scene = [sqlite_scenes.__file__, str(tmp_path / "x.db"), str(JOBS), durability]
    assert done(faulty(scene, log=log, trace="fdatasync,write")) == [*range(JOBS)]
    calls = [line.split(None, 1) for line in log.read_text().splitlines()]
    main = next(thread for thread, call in calls if call.startswith("write(1<"))
    mine = [call for thread, call in calls if thread == main]
    order = "".join(call[0] for call in mine if re.match(r'fdatasync|write\(1<.*>, "\d', call))
    assert re.search(f"f(w{'f' * syncs}){{{JOBS - 1}}}wf", order), order


@strace
def test_a_long_value_is_on_the_disk_before_anything_names_it(tmp_path):
    # R17
    log = tmp_path / "log"
    code = "from sqlite_scenes import *; fill(opened(Path(sys.argv[1])), ['r1'])"
    faulty(["-c", code, str(tmp_path / "x.db")], log=log, trace="fdatasync,rename,pwrite64")
    text = log.read_text()
    synced, renamed = text.index(".json.new>) ="), text.index('.json.new", ')
    assert synced < renamed < re.compile(r"fdatasync\(\d+<[^>]*/x\.db\.values/..>").search(text).start()
    assert text.rindex("x.db.values") < text.index('x.db-wal>, "', renamed)


def test_a_commit_is_synced_soon_after_by_another_thread(path):
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        assert [thread.name for thread in threading.enumerate()].count("jobtest-sync") == 1
    with closing(opened(path, durability="fast")) as store:
        fill(store, ["r2"])
        assert "jobtest-sync" not in [thread.name for thread in threading.enumerate()]
