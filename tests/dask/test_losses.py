"""Workers and schedulers that are killed."""

import contextlib
import os
import random
import signal
from collections import Counter

from waiting import wait_for

JOB = """
    import signal, time, pytest

    @pytest.mark.parametrize("i", range({jobs}))
    @pytest.mark.job(retries=9)
    def job_n(i, attempt):
        note(f"begin {{i}} {{attempt.number}} {{os.getppid()}}")
        {body}
        note(f"end {{i}} {{attempt.number}} {{os.getppid()}}")
"""


def nothing_is_lost_or_done_unseen(run, jobs):
    """Assert that every job was done, no attempt was called twice, and every call is on record."""
    assert run.status == 0, run.text
    assert Counter(run.outcomes.values()) == {"changed": jobs}
    begun = Counter(tuple(line.split()[1:3]) for line in run.notes if line.startswith("begin"))
    assert max(begun.values()) == 1, "an attempt was called twice"
    for job in run.jobs.values():
        number = job["id"].partition("[")[2].rstrip("]")
        called = {int(attempt) for i, attempt in begun if i == number}
        assert len(job["attempts"]) in called, "what is told to be done was not called"
        assert called <= set(range(1, len(job["attempts"]) + 1)), "a body was called that is on no record"


def test_a_worker_that_is_killed_in_the_middle_loses_no_job_and_none_is_called_twice_unseen(place, start):
    cluster = start(3)
    body = "if (i, attempt.number) == (100, 1): os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)"
    place.write(job_n=JOB.format(jobs=200, body=body))
    run = place.run(cluster.url, "-J", "12", "-q")
    nothing_is_lost_or_done_unseen(run, 200)
    assert len(run.jobs["n[100]"]["attempts"]) > 1


def test_workers_that_are_killed_again_and_again_lose_no_job(place, start):
    cluster = start(3)
    place.write(job_n=JOB.format(jobs=150, body="time.sleep(0.05)"))
    process = place.start(cluster.url, "-J", "12", "-q")
    chance = random.Random(os.environ.get("SEED", "1"))
    notes = place.folder / "notes"
    for after in range(10, 150, 28):  # ended jobs, until a worker is killed that is at work
        wait_for(lambda after=after: notes.exists() and notes.read_text().count("end") >= after)
        at_work = [int(line.split()[3]) for line in notes.read_text().splitlines()[-6:]]
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(at_work), signal.SIGKILL)
    run = place.finish(process)
    nothing_is_lost_or_done_unseen(run, 150)
    assert any(len(job["attempts"]) > 1 for job in run.jobs.values())


def test_a_checkpoint_is_kept_although_the_worker_is_killed_right_after_it(place, start):
    cluster = start(1)
    place.write(
        job_a="""
            import pytest, signal, time

            @pytest.mark.job(retries=1)
            def job_a(checkpoint, attempt):
                if attempt.number == 1:
                    checkpoint.set("far", 7)
                    os.kill(os.getppid(), signal.SIGKILL)
                    time.sleep(60)
                note(f"{checkpoint.get('far')} {attempt.error}")
        """
    )
    run = place.run(cluster.url)
    assert run.outcomes == {"a": "changed"}, run.text
    assert run.notes[0].startswith("7 was cut short: its Dask worker tcp://"), run.notes


def test_a_body_does_not_outlive_its_worker(place, start):
    cluster = start(2)
    place.write(
        job_a="""
            import pytest, signal, time

            @pytest.mark.job(retries=1)
            def job_a(attempt):
                if attempt.number == 1:
                    os.kill(os.getppid(), signal.SIGKILL)
                    for i in range(50):
                        time.sleep(0.1)
                    note("outlived")
        """
    )
    run = place.run(cluster.url)
    assert run.outcomes == {"a": "changed"}, run.text
    assert run.notes == []


def test_a_run_whose_scheduler_is_killed_ends_clearly_and_goes_on_with_another(place, start):
    first, second = start(2), start(2)
    place.write(
        job_a="""
            import time
            def job_a(): note("a")
            def job_b(a):
                note("b")
                while not os.path.exists("go on"):
                    time.sleep(0.02)
            def job_c(b): note("c")
        """
    )
    process = place.start(first.url, "-J", "2")
    notes = place.folder / "notes"
    wait_for(lambda: notes.exists() and "b" in notes.read_text())
    first.kill()
    run = place.finish(process)
    assert run.status != 0
    assert "the Dask scheduler tcp://" in run.text
    assert "was lost" in run.text
    assert "--job-resume" in run.text
    assert run.outcomes["a"] == "changed"
    (place.folder / "go on").write_text("")
    again = place.run(second.url, "-J", "2", "--job-resume")
    assert set(again.outcomes.values()) == {"changed"}, again.text
    assert again.notes == ["a", "b", "b", "c"]
