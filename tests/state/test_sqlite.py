"""What the store in a SQLite database does beyond what all stores do: files, backups, forgetting, readers."""

import json
import os
import shutil
import sqlite3
import stat
import threading
import time
from contextlib import closing

import pytest
from sqlite_scenes import (
    LARGE,
    LONG,
    ME,
    as_killed,
    changed,
    fill,
    opened,
    read,
    read_and_close,
    said,
    started,
)

from jobtest.core.errors import AlreadyEnded, StateError
from jobtest.core.events import Entry, JobEnded
from jobtest.core.model import Outcome
from jobtest.state.codec import digest_of
from jobtest.state.sqlite import SqliteStore, writing
from jobtest.state.store import CleanupDone, PastKept, RunKept, RunRecord, RunsDropped, ValueKept


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project" / ".jobtest" / "state.db"


def rows(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_what_was_committed_is_there_for_the_next_owner(path):
    store = opened(path)
    fill(store)
    before = read(store)
    store.close()

    assert read_and_close(path) == before
    assert [run.id for run in before["runs"]] == ["r2", "r1"]
    assert before["outcomes"] == {"r1": {"changed": 3}, "r2": {"changed": 3}}
    assert [(owed.run, owed.turn) for owed in before["owed"]] == [("r2", 4), ("r2", 5), ("r2", 6)]
    with closing(opened(path)) as again:
        assert read(again) == before


def test_what_was_not_committed_is_lost_as_a_tail(path):
    store = opened(path)
    fill(store, ["r1"])
    kept = read(store)
    for change in started("r2"):
        store.write(change)
    assert read_and_close(as_killed(path)) == kept
    store.commit()
    assert read_and_close(as_killed(path)) == read(store) != kept
    store.close()


def test_reading_a_state_that_is_not_there_finds_nothing_and_makes_nothing(path, tmp_path):
    store = SqliteStore(path)

    assert read(store)["runs"] == store.runs(3) == store.owed() == []
    assert (store.run("r"), store.plan("r"), store.value("d")) == (None, None, None)
    assert (dict(store.outcomes("r")), list(store.entries("r"))) == ({}, [])
    assert (store.pasts(), store.checkpoints(), store.owner()) == ({}, {}, None)
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_follows_a_state_that_comes_goes_and_comes_again(path):
    reader = SqliteStore(path, large=LARGE)
    with closing(reader):
        assert reader.runs() == []
        for run in ("r1", "r2"):
            with closing(opened(path)) as store:
                fill(store, [run])
                assert [found.id for found in reader.runs()] == [run]
            for file in path.parent.glob("state.db*"):
                if file.is_file():
                    file.unlink()
            assert reader.runs() == []


def test_the_folder_is_private_and_git_ignores_it(path):
    with closing(opened(path)) as store:
        fill(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (path.parent / ".gitignore").read_text() == "*\n"
    assert {name: mode for name, mode in modes.items() if name.startswith("state.db.")} == {
        "state.db.lock": 0o600,
        "state.db.lock.info": 0o600,
        "state.db.marker": 0o600,
        "state.db.values": 0o700,
    }
    assert {modes["state.db"], modes["state.db-wal"], modes["state.db-shm"]} == {0o600}


def test_a_folder_that_was_there_gets_nothing_but_the_state(tmp_path):
    opened(tmp_path / "x.db").close()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.db", "x.db.lock", "x.db.marker"]


def test_two_states_in_one_folder_do_not_meet(tmp_path):
    # R45
    with closing(opened(tmp_path / "a.db")) as one, closing(opened(tmp_path / "b.db")) as other:
        fill(one)
        fill(other, ["r9"])
        one.write(RunsDropped(("r1", "r2")))
        one.write(PastKept("job_1.py::job_1", other.pasts()["job_0.py::job_0"]))
        one.write(RunsDropped(()))
        assert other.value(digest_of(LONG)) == LONG
        assert one.value(digest_of(LONG)) is None


def test_the_same_state_over_a_link_is_one_state(tmp_path, path):
    # R46
    link = tmp_path / "link"
    opened(path).close()
    link.symlink_to(path.parent)
    with closing(opened(path)), pytest.raises(StateError) as error:
        opened(link / "state.db")
    assert "in use by process 4711 on 'box'" in said(error).what


def test_the_path_is_that_of_the_start_wherever_a_job_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("state.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")

    assert store.url == f"sqlite:///{tmp_path}/state.db"
    assert store.durable


def test_who_owns_it_is_known_as_long_as_it_is_owned(path):
    # R38
    store = opened(path)
    with closing(SqliteStore(path)) as other:
        assert other.owner() == ME
        store.own(ME)
        store.close()
        assert other.owner() is None


def test_what_is_not_owned_cannot_be_written(path):
    store = SqliteStore(path)
    for write in (lambda: store.write(started("r")[0]), store.commit):
        with pytest.raises(StateError) as error:
            write()
        assert said(error).what == "the state is written without being owned"
    assert not path.exists()


def test_it_can_be_owned_again_after_it_was_closed(path):
    store = opened(path)
    fill(store)
    store.close()
    store.own(ME)
    with closing(store), pytest.raises(AlreadyEnded):
        store.write(changed("r1", 0)[-1])
    store.close()


def test_the_end_of_a_job_is_refused_by_the_database_whoever_writes_it(path):
    # G7: not only by the memory of this process
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        end = JobEnded("late", Outcome.FAILED)
        for change in [*started("r2"), Entry(10, 1.0, "r1", end)]:
            store.write(change)
        rows(path, "INSERT INTO outcome VALUES (1, 'late', 'changed', 0)")
        with pytest.raises(AlreadyEnded, match="'late' has ended in run r1 already"):
            store.commit()
        with pytest.raises(sqlite3.IntegrityError, match="a job ends once"):
            rows(path, "UPDATE outcome SET outcome = 'failed'")
        rows(path, "DELETE FROM outcome WHERE job = 'late'")
        for change in [*started("r2"), changed("r1", 3)[1]]:
            store.write(change)
        store.commit()
        assert [run.id for run in store.runs()] == ["r2", "r1"]
        assert [entry.seq for entry in store.entries("r1")] == [*range(11)]


def test_names_that_are_no_unicode_are_kept(path):
    job, run = "job_\udcff\0é.py::job", "r\udcfe"
    store = opened(path)
    record = RunRecord(id=run, context="\udcfd", cwd="/\udcfc")
    store.write(RunKept(record, '{"plan": "\udcfb"}'))
    store.write(RunKept(RunRecord(id="s")))
    store.write(Entry(0, 1.0, run, JobEnded(job, Outcome.CHANGED)))
    store.close()

    with closing(SqliteStore(path)) as store:
        assert [found.id for found in store.runs()] == ["s", run]
        assert store.runs()[1] == store.run(run) == record
        assert store.plan(run) == '{"plan": "\udcfb"}'
        assert len(list(store.entries(run, job))) == dict(store.outcomes(run))["changed"] == 1


def test_a_long_journal_is_read_in_pieces_and_ends_where_it_ended_when_asked(path):
    with closing(opened(path)) as store:
        store.write(started("r1")[0])
        for seq in range(2500):
            store.write(Entry(seq, 1.0, "r1", JobEnded(f"j{seq}", Outcome.CHANGED)))
        entries = store.entries("r1")
        first = next(entries)
        store.write(Entry(2500, 1.0, "r1", JobEnded("late", Outcome.CHANGED)))
        store.commit()

        assert [first.seq, *(entry.seq for entry in entries)] == [*range(2500)]
        assert [entry.seq for entry in store.entries("r1", "j2001")] == [2001]


def test_a_long_text_is_in_a_file_and_a_short_one_is_not(path):
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        files = [file for file in (path.parent / "state.db.values").rglob("*") if file.is_file()]

    digest = digest_of(LONG)
    assert files == [path.parent / "state.db.values" / digest[:2] / f"{digest}.json"]
    assert files[0].read_text() == LONG
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [None, "", LONG[:-2] + '."', "\udcff", '"' + "x" * (len(LONG) - 2) + '"'])
def test_a_long_text_that_is_not_what_was_kept_is_refused(path, content):
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        digest = digest_of(LONG)
        file = path.parent / "state.db.values" / digest[:2] / f"{digest}.json"
        if content is None:
            file.unlink()
        else:
            file.write_text(content, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(StateError) as error:
            store.value(digest)
    assert said(error).what == f"the state is damaged: value {digest!r}"


def test_no_digest_leads_out_of_the_folder(path):
    with closing(opened(path)) as store:
        store.write(ValueKept("../escaped", LONG))
        store.commit()
    assert not list(path.parents[2].rglob("escaped*"))


def test_a_file_of_a_long_text_that_was_cut_is_mended_when_the_value_is_made_again(path):
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        (file,) = [one for one in (path.parent / "state.db.values").rglob("*") if one.is_file()]
        inode = file.stat().st_ino
        fill(store, ["r2"])
        assert file.stat().st_ino == inode
        file.write_text("")
        fill(store, ["r3"])
        assert store.value(digest_of(LONG)) == LONG


def test_files_of_long_texts_go_when_nothing_names_them(path):
    other = json.dumps("other " * 100)
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        for change in changed("r1", 5, other):
            store.write(change)
        store.write(PastKept("job_5.py::job_5", store.pasts()["job_0.py::job_0"]))
        store.write(RunsDropped(("r1",)))
        files = [one for one in (path.parent / "state.db.values").rglob("*") if one.is_file()]
        assert [file.read_text() for file in files] == [LONG]


def test_plans_that_are_the_same_are_kept_once(path):
    with closing(opened(path)) as store:
        for run in ("r1", "r2", "r3"):
            store.write(RunKept(RunRecord(id=run), "[1]" if run != "r3" else "[2]"))
        store.write(RunKept(RunRecord(id="r3", jobs=1)))
        assert [store.plan(run) for run in ("r1", "r2", "r3")] == ["[1]", "[1]", "[2]"]
        assert rows(path, "SELECT count(*) FROM plan") == [(2,)]
        store.write(RunsDropped(("r3",)))
        assert rows(path, "SELECT count(*) FROM plan") == [(1,)]


def test_values_that_a_plan_takes_over_stay_as_long_as_the_plan(path):
    digest = digest_of("[7]")
    with closing(opened(path)) as store:
        store.write(ValueKept(digest, "[7]"))
        plan = {"decisions": [{}, {"resumed": {"run": "r0", "value": digest}}, {"resumed": None}]}
        store.write(RunKept(RunRecord(id="r1"), json.dumps(plan)))
        store.write(RunsDropped(("r0",)))
        assert store.value(digest) == "[7]"
        store.write(RunsDropped(("r1",)))
        assert store.value(digest) is None


def test_forgetting_takes_many_short_transactions_and_all_that_nothing_names(path):
    # R143
    with closing(opened(path)) as store:
        fill(store, ["r1"], jobs=400)
        fill(store, ["r2"])
        for number in range(400):
            store.write(CleanupDone(f"job_{number}.py::job_{number}"))
        before = {**read(store), "owed": []}
        seen = []
        store._writer._connection.set_trace_callback(
            lambda text: seen.append(text) if text in ("COMMIT", "BEGIN IMMEDIATE") else None
        )
        store.write(RunsDropped(("r1", "never")))

        assert seen.count("COMMIT") >= 4
        assert [run.id for run in store.runs()] == ["r2"]
        assert list(store.entries("r1")) == [] == list(store.entries("r1", "job_1.py::job_1"))
        assert (store.plan("r1"), dict(store.outcomes("r1")), store.run("r1")) == (None, {}, None)
        assert list(store.entries("r2")) == before["entries"]["r2"]
        assert store.pasts() == before["pasts"]
    kept = {"run": 1, "event": 10, "outcome": 3, "plan": 1, "past": 400, "value": 400}
    assert {table: rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in kept} == kept


def test_forgetting_that_was_cut_short_goes_on_the_next_time(path):
    with closing(opened(path)) as store:
        fill(store)
    rows(path, "UPDATE run SET record = NULL WHERE id = 'r1'")
    rows(path, "DELETE FROM event WHERE run = 1 AND seq < 5")
    with closing(opened(path)) as store:
        assert [run.id for run in store.runs()] == ["r2"]
        assert (store.run("r1"), list(store.entries("r1")), dict(store.outcomes("r1"))) == (None, [], {})
        store.write(RunsDropped(()))
    assert rows(path, "SELECT DISTINCT run FROM event") == [(2,)] == rows(path, "SELECT number FROM run")


def test_a_backup_is_a_state_at_any_time(path, tmp_path):
    # R26
    copy = tmp_path / "copy.db"
    with closing(opened(path)) as store:
        fill(store, ["r1"])
        with closing(SqliteStore(path, large=LARGE)) as other:
            other.backup(copy)
        first = read_and_close(copy)
        assert first == read(store)
        shutil.copy(path.with_name("state.db-wal"), copy.with_name("copy.db-wal"))
        fill(store, ["r2"])
        store.backup(str(copy))
        assert read_and_close(copy) == read(store) != first
    with closing(opened(copy)) as store:
        fill(store, ["r3"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_backup_that_cannot_be_made_says_why_and_leaves_what_was_there(path, tmp_path):
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    store = SqliteStore(path)
    with closing(store):
        with pytest.raises(StateError) as error:
            store.backup(copy)
        assert said(error).what == "there is no state to copy"
        opened(path).close()
        with pytest.raises(StateError) as error:
            store.backup(path)
        assert said(error).what == "this is the state itself"
        with pytest.raises(StateError) as error:
            store.backup(tmp_path / "nowhere" / "copy.db")
        assert said(error).what == "the state cannot be written: No such file or directory"
    assert (copy.read_text(), sorted(file.name for file in tmp_path.iterdir())) == (
        "mine",
        ["copy.db", "project"],
    )


def test_readers_and_checkpoints_of_other_threads_never_wait_for_each_other(path):
    # R44
    failed = []

    def look():
        try:
            with closing(SqliteStore(path, large=LARGE)) as reader:
                while not done.is_set():
                    ended = reader.outcomes("r1").get("changed", 0)
                    assert len(list(reader.entries("r1"))) >= 1 + 3 * ended
        except BaseException as error:
            failed.append(error)
            raise

    done = threading.Event()
    with closing(opened(path)) as store:
        for change in started("r1"):
            store.write(change)
        store.commit()
        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(150):
            for change in changed("r1", number):
                store.write(change)
            store.commit()
        done.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_the_log_is_emptied_when_it_is_long_even_while_somebody_reads(path, monkeypatch):
    monkeypatch.setattr(writing, "LONGEST_LOG", 100_000)
    log = path.with_name("state.db-wal")
    longest, began = 0, time.monotonic()
    with closing(opened(path)) as store, closing(SqliteStore(path)) as reader:
        fill(store, ["r1"])
        for number in range(3, 100):
            if number == 50:
                reader.runs()
                held = reader._reader._connection
                held.execute("BEGIN")
                held.execute("SELECT * FROM run").fetchall()
            if number == 70:
                held.execute("ROLLBACK")
            for change in changed("r1", number):
                store.write(change)
            store.commit()
            longest = max(longest, log.stat().st_size)
        sizes = log.stat().st_size
        assert len(list(store.entries("r1"))) == 1 + 3 * 100
    assert 100_000 < longest < 600_000
    assert time.monotonic() - began < writing.BUSY
    assert sizes < 300_000
    assert not log.exists()


def test_a_log_that_begins_anew_says_whose_it_is(path, monkeypatch):
    # R34: the first thing after the log was emptied is the page of meta
    monkeypatch.setattr(writing, "LONGEST_LOG", 0)
    with closing(opened(path)) as store:
        for change in started("r1"):
            store.write(change)
            store.commit()
        log = path.with_name("state.db-wal").read_bytes()
        lineage = rows(path, "SELECT value FROM meta WHERE key = 'lineage'")[0][0]
    assert lineage.encode() in log


def test_a_closed_state_is_one_file_with_its_lock_and_marker(path):
    with closing(opened(path)) as store:
        fill(store)
        read(store)
    assert sorted(os.listdir(path.parent)) == [
        ".gitignore",
        "state.db",
        "state.db.lock",
        "state.db.marker",
        "state.db.values",
    ]
    assert rows(path, "PRAGMA quick_check") == [("ok",)]
    assert rows(path, "SELECT value FROM meta WHERE key = 'clean'") == [("1",)]
