"""Runs on a cluster that is there."""

import signal
from pathlib import Path

from waiting import wait_for


def test_wide_fixtures_are_set_up_once_on_each_worker_and_torn_down_at_the_end(place, cluster):
    place.write(
        job_a="""
            import pytest

            @pytest.fixture(scope="session")
            def wide():
                note(f"up {os.getpid()}")
                yield os.getpid()
                note(f"down {os.getpid()}")

            @pytest.fixture
            def narrow(wide):
                note("begin")
                yield wide
                note("end")

            @pytest.mark.parametrize("i", range(20))
            def job_a(i, narrow):
                note(f"in {narrow}")
        """
    )
    run = place.run(cluster.url, "-J", "4")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    used = {line.split()[1] for line in run.notes if line.startswith("in ")}
    assert sorted(line for line in run.notes if line.startswith("up ")) == sorted(f"up {one}" for one in used)
    assert len(used) == 2
    assert set(run.notes[-2:]) == {f"down {one}" for one in used}
    assert run.notes.count("begin") == run.notes.count("end") == 20


def test_a_wide_fixture_that_cannot_be_torn_down_is_an_error_of_the_run(place, cluster):
    place.write(
        job_a="""
            import pytest

            @pytest.fixture(scope="session")
            def wide():
                yield
                print("last words")
                raise OSError("still in use")

            def job_a(wide): pass
        """
    )
    run = place.run(cluster.url)
    assert run.status == 1
    assert "OSError: still in use" in run.text
    assert "Dask worker tcp://" in run.text
    assert "last words" in run.text


def test_a_body_that_ends_its_process_fails_alone(place, cluster):
    place.write(
        job_a="""
            import signal, sys

            def job_exit():
                print("goodbye", flush=True)
                os._exit(3)

            def job_signal():
                os.kill(os.getpid(), signal.SIGSEGV)

            def job_sys():
                sys.exit("by and by")

            def job_well(): pass
        """
    )
    run = place.run(cluster.url, "-J", "2")
    assert run.outcomes == {"exit": "failed", "signal": "failed", "sys": "failed", "well": "changed"}, (
        run.text
    )
    assert "its process ended with exit status 3" in run.text
    assert "goodbye" in run.text
    assert "its process ended with SIGSEGV" in run.text


def test_a_body_is_ended_at_its_timeout_with_what_it_has_started(place, cluster):
    place.write(
        job_a="""
            import subprocess, time, pytest

            @pytest.mark.job(timeout=0.5)
            def job_slow():
                child = subprocess.Popen(["sleep", "60"])
                note(f"child {child.pid}")
                print("so far")
                time.sleep(60)

            @pytest.mark.job(after=["slow"])
            def job_next(): pass
        """
    )
    run = place.run(cluster.url)
    assert run.outcomes == {"slow": "failed", "next": "changed"}, run.text
    assert "timed out after 0.5 s" in run.text
    assert "so far" in run.text
    child = Path("/proc", run.notes[0].split()[1])
    wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2])


def test_what_holds_something_open_is_closed_on_its_worker_after_its_consumers(place, cluster):
    place.write(
        job_a="""
            def job_server():
                note(f"open {os.getpid()}")
                yield {"pid": os.getpid()}
                note(f"close {os.getpid()}")

            def job_use(server): note("use")
            def job_again(server): note("use")
        """
    )
    run = place.run(cluster.url, "-J", "4")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    opened, *uses, closed = run.notes
    assert uses == ["use", "use"]
    assert opened.split()[1] == closed.split()[1]


def test_the_phases_of_an_attempt_share_its_fixtures(place, cluster):
    place.write(
        job_a="""
            import pytest

            @pytest.mark.parametrize("i", range(12))
            def job_a(i, local):
                assert local == {"check": os.getpid()}
                local["ran"] = os.getpid()

            def check_a(i, local):
                assert not local.setdefault("check", os.getpid()) or "ran" in local

            def describe_a(i, local):
                return {"same": len(set(local.values()))}

            def cleanup_a(i, local):
                note(str(local))
        """
    )
    run = place.run(cluster.url, "-J", "8")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert run.notes == ["{}"] * 12


def test_retries_warnings_properties_and_async_bodies_come_back(place, cluster):
    place.write(
        job_a="""
            import asyncio, warnings, pytest

            @pytest.mark.job(retries=2)
            def job_third(attempt, record_property):
                record_property("number", attempt.number)
                assert attempt.number == 3, f"after {attempt.error!r}"

            async def job_later():
                await asyncio.sleep(0)
                warnings.warn("mind the gap")
                return 1

            async def job_again(later):
                await asyncio.sleep(0)
        """
    )
    run = place.run(cluster.url)
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert "mind the gap" in run.text


def test_a_large_value_comes_back_too(place, cluster):
    place.write(
        job_a="""
            def job_large(): return "x" * 300_000
            def job_take(large): assert len(large) == 300_000
        """
    )
    run = place.run(cluster.url, "-J", "2")
    assert set(run.outcomes.values()) == {"changed"}, run.text


def test_an_interrupt_ends_what_runs_there(place, cluster):
    place.write(
        job_a="""
            import time
            def job_a():
                note(f"pid {os.getpid()}")
                time.sleep(60)
        """
    )
    (place.folder / "jobtest.toml").write_text("grace = 0.2\n")
    process = place.start(cluster.url)
    notes = place.folder / "notes"
    wait_for(notes.exists)
    process.send_signal(signal.SIGINT)
    run = place.finish(process)
    assert run.status == 2, run.text
    pid = run.notes[0].split()[1]
    wait_for(lambda: not Path("/proc", pid).exists())


def test_without_a_scheduler_nothing_is_run(place):
    place.write(job_a='def job_a(): note("ran")')
    run = place.run("dask://127.0.0.1:9")
    assert run.status == 4
    assert "there is no Dask scheduler" in run.text
    assert run.notes == []


def test_resources_of_workers_hold_back_what_asks_for_them(place, start):
    cluster = start(2, "gpu=1")
    place.write(
        job_a="""
            import pytest, time

            @pytest.mark.parametrize("i", range(6))
            @pytest.mark.job(resources={"gpu": 1})
            def job_a(i): note("ran")
        """
    )
    run = place.run(cluster.url, "-J", "6", "--job-resource", "gpu=9")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    place.write(
        job_a="""
            import pytest

            @pytest.mark.job(resources={"gpu": 2})
            def job_a(): note("ran")
        """
    )
    (place.folder / "notes").unlink()
    run = place.run(cluster.url, "--job-resource", "gpu=9")
    assert run.status == 4
    assert "job 'a' needs 2 of 'gpu', and no Dask worker has more than 1" in run.text
    assert run.notes == []


def test_an_address_without_a_port_is_told_before_anything_is_tried(place):
    place.write(job_a="def job_a(): pass")
    run = place.run("dask://nohost")
    assert run.status == 4
    assert "dask://nohost: the address of a Dask scheduler has a port" in run.text
