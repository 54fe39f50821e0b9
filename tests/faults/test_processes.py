"""Runs with jobs in processes are killed many times: nothing is left, one outcome each (R1, R6, R77, R86).

The quick part is `tests/plugin/test_process_deaths.py`.
"""

import os
import random
import signal
import time
import uuid

import pytest

from tests.plugin.processes import BOTH, DAEMON, Far, killed, left_after, meanwhile, run, start, write

KILLS = 50


@BOTH
def test_nothing_is_left_of_runs_that_are_killed(tmp_path, conftest, seed):
    chance = random.Random(f"{seed} {conftest}")
    for number in range(KILLS):
        seconds = chance.uniform(0.1, 1.5)
        left = killed(tmp_path / str(number), conftest, lambda _, s=seconds: time.sleep(s))
        assert left == [], (number, seconds)


MANY = (
    DAEMON
    + """
@pytest.mark.job(isolate=True, retries=3, retry_delay=0)
@pytest.mark.parametrize("n", range(12))
def job_a(n, attempt):
    Path("wardens", str(os.getppid())).touch()
    daemon(f"daemon{n}-{attempt.number}")
    time.sleep(0.1)
    return n
"""
)


@BOTH
def test_runs_end_well_whose_helper_is_killed_at_any_time(tmp_path, conftest, seed):
    chance = random.Random(f"{seed} {conftest}")
    for number in range(KILLS // 2):
        folder, mark = tmp_path / str(number), uuid.uuid4().hex
        write(folder, MANY, conftest)
        (folder / "wardens").mkdir()
        with (folder / "printed").open("w+") as printed:
            process = start(folder, "-J2", mark=mark, stdout=printed)
            meanwhile(lambda: list((folder / "wardens").iterdir()), process)  # noqa: B023 - called at once
            time.sleep(chance.uniform(0, 0.5))
            (warden, *_) = (folder / "wardens").iterdir()
            os.kill(int(warden.name), signal.SIGKILL)
            process.wait(60)
        far = Far(folder, mark, process.returncode, (folder / "printed").read_text())
        assert set(far.outcomes.values()) == {"changed"}, (
            far.text
        )  # what is not torn down is an error, though
        assert left_after(mark, 1.0) == [], number


@pytest.mark.parametrize("round", range(5))
def test_a_timeout_and_an_end_at_once_are_one_outcome(tmp_path, round):
    far = run(
        tmp_path,
        """
        @pytest.mark.job(timeout=0.05)
        @pytest.mark.parametrize("n", range(100))
        def job_a(n): time.sleep(0.045 + n / 10_000)
        """,
        "-J4",
    )
    assert set(far.outcomes.values()) <= {"changed", "failed"}
    assert all(len(job["attempts"]) == 1 for job in far.jobs.values())
    assert all(
        job["kind"] == ("timeout" if job["outcome"] == "failed" else None) for job in far.jobs.values()
    )
    assert far.left() == []


def test_no_process_hangs_on_a_lock_of_a_thread(tmp_path):
    far = run(
        tmp_path,
        """
        import logging, threading

        stop = threading.Event()

        @pytest.mark.parametrize("n", range(4))
        def job_noise(n):
            until = time.monotonic() + 20
            while not Path("last").exists() and time.monotonic() < until:
                logging.warning("noise %s", [object() for _ in range(100)])

        @alone
        @pytest.mark.parametrize("n", range(200))
        def job_a(n):
            logging.warning("from a process")
            if n == 199:
                Path("last").touch()
        """,
        "-J8",
    )
    assert far.ret == 0
    assert set(far.outcomes.values()) == {"changed"}
    assert far.left() == []
