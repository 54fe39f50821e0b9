"""The store in a folder: when it cannot be written any more, and what is on the disk when."""

import os
import threading
from pathlib import Path

import pytest
from file_scenes import ended, fill, owning, told, tree, write
from stores import ME, kept, made

from jobtest.core.errors import StateError, StateLost
from jobtest.core.events import Entry
from jobtest.core.past import Past
from jobtest.state import lock
from jobtest.state.file import FileStore
from jobtest.state.store import PastKept, RunKept, RunRecord, RunsDropped


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(lock, "AT_LEAST", 0.0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


# --- when it cannot be written any more ---


def assert_lost(store, said):
    with pytest.raises(StateLost) as caught:
        store.commit()
    assert str(caught.value).startswith(said)
    assert "\n  fix: " in str(caught.value)
    for again in (lambda: store.write(ended(8)), store.commit, lambda: store.commit(at_once=True)):
        with pytest.raises(StateLost) as then:
            again()
        assert str(then.value) == str(caught.value)
    store.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_ends_all_writing(folder):
    fill(folder)
    (folder / "runs" / "full.jsonl").symlink_to("/dev/full")
    with owning(folder) as store:
        store.write(PastKept("z", Past()))
        store.write(ended(0, run="full"))
        store.write(PastKept("y", Past()))
        assert_lost(store, f"state disk is full: {folder}\n  at: {folder}\n  fix: make room and run again")

    pasts = FileStore(folder).pasts()
    assert "z" in pasts
    assert "y" not in pasts


def test_half_a_line_is_never_followed_by_another(folder):
    """A file that may grow no more takes a part of the last line; the rest of the change is refused."""
    resource = pytest.importorskip("resource")
    fill(folder)
    before = told(folder)
    path = folder / "runs" / "r.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with owning(folder) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 250, limits[1]))
        try:
            for number in range(10, 15):
                store.write(ended(number))
            assert_lost(store, "the state cannot be written: File too large")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not path.read_bytes().endswith(b"\n")

    after = told(folder)
    entries = after["entries"]["r"]
    assert entries[: len(before["entries"]["r"])] == before["entries"]["r"]
    assert entries[len(before["entries"]["r"]) :] == [ended(10)]
    with owning(folder) as store:
        write(store, ended(11))
    assert told(folder)["entries"]["r"] == [*entries, ended(11)]


def test_a_state_that_is_moved_away_is_noticed_and_not_made_anew(tmp_path, folder):
    with owning(folder) as store:
        write(store, ended(0))
        folder.rename(tmp_path / "away")
        before = tree(tmp_path / "away")
        store.write(ended(1))
        assert_lost(store, "the state was removed or replaced while it was used")
        assert not folder.exists()
    before.pop("lock.info", None)
    assert {name: raw for name, raw in tree(tmp_path / "away").items() if name != "lock.info"} == before


def test_a_state_that_is_replaced_is_noticed(tmp_path, folder):
    with owning(folder) as store:
        write(store, ended(0))
        folder.rename(tmp_path / "away")
        fill(folder)
        before = tree(folder)
        store.write(ended(1))
        assert_lost(store, "the state was removed or replaced while it was used")
        assert tree(folder) == before


@pytest.mark.parametrize("name", ["known.jsonl", "runs/r.jsonl"])
def test_a_file_that_is_removed_is_noticed(folder, name):
    with owning(folder) as store:
        write(store, ended(0), PastKept("a", Past()))
        (folder / name).unlink()
        store.write(ended(1))
        assert_lost(store, "the state was removed or replaced while it was used")


def test_closing_says_that_what_was_written_is_lost_and_lets_go_all_the_same(folder):
    store = FileStore(folder)
    store.own(ME)
    write(store, ended(0))
    (folder / "runs" / "r.jsonl").unlink()
    store.write(ended(1))
    with pytest.raises(StateLost):
        store.close()
    store.close()
    assert store.owner() is None


# --- what is on the disk when ---


@pytest.fixture
def synced(monkeypatch):
    """Names of files and folders that were synced, in order."""
    names, real = [], os.fsync

    def fsync(fd):
        names.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        happened.set()
        real(fd)

    happened = threading.Event()
    names_and_event = (names, happened)
    monkeypatch.setattr(os, "fsync", fsync)
    return names_and_event


on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc here")


@on_linux
def test_full_syncs_all_that_was_written_before_a_commit_returns(folder, synced):
    names, _ = synced
    with owning(folder, "full") as store:
        write(store, RunKept(RunRecord(id="r"), "{}"))
        names.clear()
        write(store, kept("v"), Entry(0, 0.0, "r", made("v")), PastKept("a", Past()))
        digest = kept("v").digest
        assert names == ["state", "values", f"{digest}.json", digest[:2], "r.jsonl", "known.jsonl"]
        names.clear()
        store.commit()
        assert names == []


@on_linux
@pytest.mark.parametrize("durability", ["fast", "auto"])
def test_at_once_syncs_what_was_committed_before_too(folder, synced, durability, monkeypatch):
    monkeypatch.setattr("jobtest.state.file.writing.DELAY", 60.0)
    names, _ = synced
    with owning(folder, durability) as store:
        write(store, RunKept(RunRecord(id="r"), "{}"), PastKept("a", Past()))
        names.clear()
        write(store, RunKept(RunRecord(id="s"), "{}"))
        assert names == []
        store.commit(at_once=True)
        assert set(names) == {"state", "runs", "r.jsonl", "s.jsonl", "known.jsonl"}
        names.clear()
        store.commit(at_once=True)
        assert names == []
        write(store, PastKept("b", Past()))
        assert names == []
    assert names == (["known.jsonl"] if durability == "auto" else [])


@on_linux
def test_auto_syncs_soon_after_a_commit(folder, synced):
    names, happened = synced
    with owning(folder, "auto") as store:
        happened.clear()
        names.clear()
        write(store, PastKept("a", Past()))
        assert happened.wait(30.0)


@on_linux
def test_a_long_value_is_on_the_disk_before_it_has_its_name(folder, synced):
    names, _ = synced
    with owning(folder, "fast") as store:
        names.clear()
        write(store, kept("v" * 5000))
        digest = kept("v" * 5000).digest
        assert names == [f"{digest}.json.new", digest[:2]]


def test_a_sync_that_fails_ends_all_writing(folder):
    fill(folder)
    (folder / "runs" / "null.jsonl").symlink_to("/dev/null")  # takes all, and cannot be synced
    with owning(folder, "auto") as store:
        store.write(ended(0, run="null"))
        with pytest.raises(StateLost, match="the state cannot be written: Invalid argument"):
            store.commit(at_once=True)
        assert_lost(store, "the state cannot be written: Invalid argument")


def test_a_sync_that_fails_after_all_is_told_at_the_end(folder, monkeypatch):
    monkeypatch.setattr("jobtest.state.file.writing.DELAY", 60.0)
    fill(folder)
    (folder / "runs" / "null.jsonl").symlink_to("/dev/null")
    store = FileStore(folder)
    store.own(ME)
    write(store, ended(0, run="null"))
    with pytest.raises(StateLost, match="the state cannot be written: Invalid argument"):
        store.close()
    assert store.owner() is None


def test_a_run_that_cannot_be_dropped_ends_all_writing(folder):
    fill(folder)
    (folder / "runs" / "x.jsonl").mkdir()
    with owning(folder) as store:
        with pytest.raises(StateLost, match="the state cannot be written"):
            store.write(RunsDropped(("x",)))
        with pytest.raises(StateLost):
            store.commit()


# --- children ---


def test_a_forked_child_can_neither_write_nor_let_go(folder):
    with owning(folder) as store:
        write(store, ended(0))
        store.write(ended(1))
        child = os.fork()
        if child == 0:
            try:
                with pytest.raises(StateError, match="without being owned"):
                    store.write(ended(2))
                assert len(list(store.entries("r"))) == 1
                store.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert FileStore(folder).owner() == ME
        assert len(list(store.entries("r"))) == 2
