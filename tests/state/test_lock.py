"""The lock: the kernel decides who holds it, and a file beside it says who that is."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobtest.core.errors import StateError, StateLocked
from jobtest.state.lock import FileLock
from jobtest.state.store import Owner

ME = Owner(host="alpha", pid=4711, since=1_700_000_000.5, command="pytest --orchestrate ops")
YOU = Owner(host="beta", pid=4712, since=0.0, command="pytest")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def held(path):
    lock = FileLock(path)
    lock.take(ME)
    yield lock
    lock.release()


def is_free(path):
    other = FileLock(path)
    try:
        other.take(YOU)
    except StateLocked:
        return False
    other.release()
    return True


def test_a_second_one_is_told_who_holds_it_since_when_and_what_to_do(path, held):
    with pytest.raises(StateLocked) as caught:
        FileLock(path).take(YOU)

    assert str(caught.value) == (
        "the state is in use by process 4711 on 'alpha' since 2023-11-14 22:13:20 UTC: "
        "pytest --orchestrate ops\n"
        f"  at: {path}\n"
        "  fix: wait with --job-lock-timeout SECONDS, or stop process 4711"
    )


def test_who_holds_it_is_known_as_long_as_it_is_held(path):
    one, other = FileLock(path), FileLock(path)
    assert (one.holder(), one.held, os.path.exists(path)) == (None, False, False)
    one.take(ME)
    one.take(YOU)
    assert (one.holder(), other.holder(), one.held, other.held) == (ME, ME, True, False)
    one.release()
    one.release()
    assert (one.holder(), other.holder(), one.held) == (None, None, False)
    assert os.listdir(path.parent) == ["lock"]


def test_the_file_is_never_replaced_or_deleted(path, held):
    before = path.stat()
    held.release()
    FileLock(path).take(YOU)

    after = path.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, 0)


def test_two_paths_to_one_file_are_one_lock(tmp_path, path, held):
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(path)

    for other in (tmp_path / "elsewhere" / "lock", tmp_path / "link"):
        with pytest.raises(StateLocked, match="process 4711"):
            FileLock(other).take(YOU)
        assert FileLock(other).holder() == ME


def test_whoever_opens_and_closes_the_file_does_not_let_go_of_it(path, held):
    with path.open("rb+"):
        pass
    held.holder()

    assert not is_free(path)


# --- children ---


def test_a_forked_child_that_outlives_its_parent_does_not_keep_it(path):
    """The parent dies by SIGKILL while its child waits for us."""
    program = """
import os, sys
from pathlib import Path
from jobtest.state.lock import FileLock
from jobtest.state.store import Owner
lock = FileLock(Path(sys.argv[1]))
lock.take(Owner(host="h", pid=os.getpid(), since=0.0, command="c"))
sys.stdout.write("held\\n")
sys.stdout.flush()
sys.stdin.readline()
if os.fork() == 0:
    assert not lock.held
    lock.release()
    sys.stdout.write("forked\\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)
sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "held\n"
        assert not is_free(path)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "forked\n"
        assert not is_free(path)
        parent.kill()
        os.waitpid(parent.pid, 0)
        assert is_free(path)


def test_a_program_that_was_started_does_not_keep_it(path, held):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        held.release()
        assert is_free(path)
        assert child.poll() is None


# --- waiting ---


def test_whoever_waits_gets_it_when_it_is_free(path, held):
    threading.Timer(0.15, held.release).start()
    began = time.monotonic()

    lock = FileLock(path)
    lock.take(YOU, timeout=60.0)

    assert 0.1 < time.monotonic() - began < 10.0
    assert lock.holder() == YOU
    lock.release()


def test_whoever_waits_in_vain_is_told_in_the_end(path, held):
    began = time.monotonic()

    with pytest.raises(StateLocked):
        FileLock(path).take(YOU, timeout=0.2)

    assert 0.2 <= time.monotonic() - began < 10.0


def test_whoever_only_asks_for_the_holder_keeps_nobody_out(path):
    """A reader has it for an instant: without a timeout it is tried again, too."""
    path.touch()
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    assert FileLock(path).holder() is None
    threading.Timer(0.01, os.close, [asking]).start()

    lock = FileLock(path)
    lock.take(ME)

    lock.release()


def test_a_wait_that_is_interrupted_leaves_nothing_open(path, held, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    before = os.listdir("/dev/fd")
    lock = FileLock(path)
    with pytest.raises(KeyboardInterrupt):
        lock.take(YOU, timeout=5.0)

    assert (lock.held, len(os.listdir("/dev/fd"))) == (False, len(before))


@pytest.mark.parametrize("anew", [True, False], ids=["replaced", "removed"])
def test_a_file_that_was_replaced_while_it_was_taken_is_not_the_lock(path, monkeypatch, anew):
    real, seen = fcntl.flock, []

    def replaced(fd, operation):
        if not seen:
            path.unlink()
            if anew:
                path.touch()
        seen.append(operation)
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", replaced)
    lock = FileLock(path)
    lock.take(ME)
    monkeypatch.undo()

    assert not is_free(path)
    assert len(seen) == 2
    lock.release()


# --- what is said of the holder ---


def test_what_a_dead_holder_left_behind_is_not_believed(path):
    """The process id of a dead holder may be anybody's now."""
    stranger = json.dumps({"host": "alpha", "pid": os.getppid(), "since": 0.0, "command": "x"})
    path.touch()
    Path(f"{path}.info").write_text(stranger, encoding="utf-8")
    Path(f"{path}.info.tmp").write_text(stranger[:9], encoding="utf-8")

    lock = FileLock(path)
    assert lock.holder() is None
    lock.take(ME)
    assert lock.holder() == ME
    lock.release()


INFOS = st.one_of(
    st.binary(max_size=30),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["host", "pid", "since", "command"]), inner)
        ),
    ).map(lambda data: json.dumps(data).encode()),
    st.just(b"[" * 100_000),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(INFOS, st.floats())
def test_whatever_the_info_says_the_lock_is_held_and_there_is_a_message(path, held, info, since):
    for raw in (info, json.dumps({"host": "", "pid": -1, "since": since, "command": "\ud800"}).encode()):
        Path(f"{path}.info").write_bytes(raw)

        assert isinstance(FileLock(path).holder(), Owner)
        with pytest.raises(StateLocked, match=r"(?s)the state is in use by .*fix: wait with"):
            FileLock(path)._refuse()


def test_info_that_cannot_be_written_keeps_nobody_from_taking_it(path):
    Path(f"{path}.info.tmp").mkdir()
    lock = FileLock(path)
    lock.take(ME)

    assert lock.holder() == Owner(host="", pid=0, since=0.0, command="")
    with pytest.raises(StateLocked) as caught:
        FileLock(path).take(YOU)
    assert str(caught.value) == (
        "the state is in use by another process\n"
        f"  at: {path}\n"
        "  fix: wait with --job-lock-timeout SECONDS, or stop the process that holds this file"
    )
    lock.release()


def test_a_file_that_cannot_be_opened_or_locked_is_said_with_its_path(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    beneath = tmp_path / "file" / "lock"
    for use in (lambda: FileLock(beneath).take(ME), FileLock(beneath).holder):
        with pytest.raises(StateError) as caught:
            use()
        assert str(caught.value) == (
            "the state cannot be locked: Not a directory\n"
            f"  at: {beneath}\n"
            "  fix: keep the state in a folder of a local disk that you may write to (--job-state)"
        )

    def unsupported(fd, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StateError, match="cannot be locked: Operation not supported"):
        FileLock(tmp_path / "lock").take(ME)
