"""The run, or the helper that keeps its processes, is killed: nothing is left, and runs go on (R1, R6)."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid

import pytest
from processes import (
    BOTH,
    BUSY,
    DAEMON,
    THREAD,
    killed,
    left_after,
    marked,
    meanwhile,
    rarely,
    run,
    start,
    write,
)

from jobtest.state.sqlite import SqliteStore

pytestmark = pytest.mark.rarely


@BOTH
def test_nothing_is_left_of_a_run_that_is_killed_while_its_jobs_run(tmp_path, conftest):
    def when(process):
        meanwhile((tmp_path / "ready2").exists, process)

    assert killed(tmp_path, conftest, when) == []


@rarely
@BOTH
def test_nothing_is_left_of_a_run_that_is_killed_at_any_time(tmp_path, conftest):
    seconds = random.Random(conftest).uniform(0.5, 1.2)
    assert killed(tmp_path, conftest, lambda _: time.sleep(seconds)) == [], seconds


LOST = (
    DAEMON
    + """
@pytest.mark.job(isolate=True, retries=1, retry_delay=0)
def job_kills(attempt):
    if attempt.number == 1:
        while not Path("daemon").exists():
            time.sleep(0.001)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return os.getppid()

@alone
def job_beside():
    daemon("daemon")
    subprocess.Popen(["setsid", "sleep", "600"])
    no_mark("setsid -f sleep 600; sleep 600")
    time.sleep(600)

@pytest.mark.job(isolate=True, after=["kills", "beside"])
def job_later():
    print("printed later")
    return os.getppid()

@alone
def job_held():
    yield 1
    Path("closed").touch()
@pytest.mark.job(after="kills")
def job_holds(held): pass

def job_thread(): time.sleep(0.2); return 1
"""
)


@BOTH
def test_a_run_goes_on_when_the_helper_is_killed(tmp_path, conftest):
    far = run(tmp_path, LOST, "-J3", conftest=conftest)
    lost = "was cut short: its process is lost, as the helper was killed that keeps it"
    assert far.outcomes["kills"] == far.outcomes["later"] == far.outcomes["thread"] == "changed", far.reasons
    assert far.kinds["beside"] == "crashed"
    assert far.reasons["beside"] == f"run {lost}"
    assert [phase["message"] for phase in far.jobs["kills"]["attempts"][0]["phases"]] == [lost]
    assert far.jobs["kills"]["value"] == far.jobs["later"]["value"]
    assert far.printed("later") == "printed later\n"
    assert far.left() == []
    assert far.ret == 1


@rarely
def test_what_was_held_open_in_a_process_that_is_lost_is_an_error(tmp_path):
    source = """
        @alone
        def job_held():
            yield os.getppid()
            Path("closed").touch()
        def job_holds(held): os.kill(held, signal.SIGKILL)
        """
    far = run(tmp_path, source)
    assert far.outcomes == {"held": "changed", "holds": "changed"}
    assert not (tmp_path / "closed").exists()
    assert "its process is lost, as the helper was killed that keeps it" in far.shown("held")
    assert far.ret == 1


@rarely
def test_a_fresh_warden_that_cannot_collect_the_project_fails_jobs_and_tells_why(tmp_path):
    far = run(
        tmp_path,
        """
        if Path("second").exists():
            raise OSError("only once")
        Path("second").touch()
        @alone
        def job_a():
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        @pytest.mark.job(isolate=True, after="a")
        def job_b(): pass
        def job_c(): pass
        """,
    )
    assert far.outcomes == {"a": "failed", "b": "failed", "c": "changed"}
    assert "there is no process: the helper that keeps processes did not start" in far.reasons["b"]
    assert "only once" in far.text
    assert far.left() == []


@rarely
def test_a_fresh_warden_writes_nothing_of_its_own(tmp_path):
    far = run(
        tmp_path,
        """
        @alone
        def job_a(): print("printed")
        """,
        "--log-file=log",
        "--job-events=events.jsonl",
        conftest=THREAD + "import logging\nlogging.getLogger().warning('collected')\n",
    )
    assert far.outcomes == {"a": "changed"}
    assert far.text.count("test session starts") == 1
    assert not (tmp_path / ".pytest_cache").exists()
    assert not (tmp_path / ".jobtest").exists()
    assert (tmp_path / "events.jsonl").read_text().count("RunStarted") == 1
    assert "collected" in far.text


@rarely
def test_an_interrupt_ends_what_runs_and_what_it_started(tmp_path):
    write(tmp_path, BUSY)
    mark = uuid.uuid4().hex
    process = start(tmp_path, "-J2", mark=mark)
    meanwhile((tmp_path / "ready3").exists, process)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=20)
    assert left_after(mark, 1.0) == []
    assert process.returncode == 2, text


@rarely
def test_sigchld_that_was_ignored_by_who_started_the_run_changes_nothing(tmp_path):
    write(tmp_path, "@alone\ndef job_a(): os._exit(3)\n@alone\ndef job_b(): return 1\n")
    ignoring = (
        "import signal, os, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "os.execv(sys.executable, [sys.executable, '-m', 'pytest', '--orchestrate', '-J2', "
        "'--job-state=memory://', '-p', 'no:cacheprovider'])"
    )
    command = [sys.executable, "-c", ignoring]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "2 jobs: 1 changed, 1 failed" in done.stdout
    assert "ended with exit status 3" in done.stdout


def test_the_marks_find_what_is_left():
    mark = uuid.uuid4().hex
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, "JOBTEST_TEST_OF_PROCESSES": mark})
    meanwhile(lambda: marked(mark) == [process.pid], process)
    assert left_after(mark, 0) == [process.pid]
    process.wait()


def test_what_a_run_and_its_helper_left_behind_is_killed_by_the_next_run(tmp_path):
    """Both were killed in the same instant, so nobody was there to see to it."""
    (tmp_path / "job_it.py").write_text(
        "import os\ndef job_a(): os.path.exists('ok') or os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-p", "no:hypothesispytest"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert first.returncode == -signal.SIGKILL
    store = SqliteStore(tmp_path / ".jobtest" / "state.db")
    (record,) = store.runs()
    store.close()
    environment = {**os.environ, "JOBTEST_ATTEMPT": f"{record.id}/1"}
    stranger = {**os.environ, "JOBTEST_ATTEMPT": "another run/1"}
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left = subprocess.Popen(sleep, env=environment, start_new_session=True)
    other = subprocess.Popen(sleep, env=stranger, start_new_session=True)
    try:
        (tmp_path / "ok").touch()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert f"killed 1 process that run {record.id} had left behind" in done.stdout
        assert left.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        left.kill()
        other.kill()
        other.wait()
