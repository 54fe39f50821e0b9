"""How lives end: retries, whatever stops a run, cleanups."""

import subprocess
import sys

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])

HEADER = """
import asyncio, os, signal, sys
import pytest
from seen import event, meet, note, notes, wait
"""


@pytest.fixture
def lives(jobs):
    """Run a job file that begins with the usual imports."""

    def run(source, *args, **kwargs):
        return jobs(HEADER + source, *args, **kwargs)

    return run


# --- retries ---


@both_ways
def test_every_attempt_starts_at_the_check(lives, workers):
    run = lives(
        """
def check_a(): note("check"); return notes.count("run") == 3
@pytest.mark.job(retries=4)
def job_a(): note("run")
""",
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.phases["a"] == [["check", "run", "recheck"]] * 3
    assert run.seen == ["check", "run", "check"] * 3


@both_ways
def test_a_check_that_holds_at_the_next_attempt_ends_the_job_without_a_run(lives, workers):
    run = lives(
        """
def check_a(): note("check"); return notes.count("check") >= 3
@pytest.mark.job(retries=4)
def job_a(): note("run")
""",
        workers,
    )
    assert run.phases["a"] == [["check", "run", "recheck"], ["check"]]
    assert run.seen.count("run") == 1


@both_ways
def test_a_job_is_tried_as_often_as_it_says_and_no_more(lives, workers):
    run = lives(
        """
@pytest.mark.job(retries=2)
def job_a(): note("run"); raise OSError(len(notes))
def job_b(a): note("b")
""",
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "blocked"}
    assert run.seen == ["run"] * 3
    assert run.reasons["a"] == "run raised OSError: 3"
    assert "attempt 1" in run.text
    assert "OSError: 1" in run.text


@both_ways
def test_retry_on_names_what_is_worth_another_attempt(lives, workers):
    run = lives(
        """
@pytest.mark.job(retries=2, retry_on=(ConnectionError,))
def job_a(): note("a"); raise ConnectionRefusedError if notes.count("a") == 1 else ValueError
@pytest.mark.job(retries=2, retry_on=AssertionError)
def job_b(): note("b"); assert notes.count("b") == 2
""",
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed"}
    assert run.seen.count("a") == run.seen.count("b") == 2
    assert run.reasons["a"].startswith("run raised ValueError")


@both_ways
def test_a_waiting_job_holds_no_worker(lives, workers):
    run = lives(
        """
@pytest.mark.job(retries=1, retry_delay=0.05)
def job_a(attempt): note(f"a{attempt.number}"); assert attempt.number == 2
def job_b(): note("b")
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.before("b", "a2")


@both_ways
def test_the_run_has_a_limit_of_retries(lives, workers):
    run = lives(
        """
@pytest.mark.parametrize("n", range(4))
@pytest.mark.job(retries=5)
def job_a(n): note("run"); assert False
""",
        workers,
        files={"jobtest.toml": "retry_limit = 3\n"},
    )
    assert set(run.outcomes.values()) == {"failed"}
    assert len(run.seen) == 4 + 3


# --- stopping ---


def test_escalate_starts_nothing_new(lives):
    run = lives(
        """
@pytest.mark.job(on_failure="escalate")
def job_a(): assert False
def job_b(): note("b")
def cleanup_a(): note("cleanup")
"""
    )
    assert run.outcomes == {"a": "failed", "b": "cancelled"}
    assert run.reasons["b"] == "job a failed and escalates"
    assert run.seen == ["cleanup"]
    assert run.ret == 1


def test_escalate_lets_what_runs_come_to_its_end(lives):
    run = lives(
        """
@pytest.mark.job(on_failure="escalate")
def job_a(): meet(2); assert False
def job_b(): meet(2); note("b")
""",
        "-J2",
    )
    assert run.outcomes == {"a": "failed", "b": "changed"}


@pytest.mark.parametrize(("option", "failures"), [("-x", 1), ("--maxfail=1", 1), ("--maxfail=2", 2)])
def test_maxfail_stops_the_run_as_in_pytest(lives, option, failures):
    run = lives(
        """
@pytest.mark.parametrize("n", range(5))
def job_a(n): note("a"); assert False
def cleanup_a(n): note("cleanup")
""",
        option,
    )
    assert run.seen == ["a"] * failures + ["cleanup"] * failures
    assert list(run.outcomes.values()) == ["failed"] * failures + ["cancelled"] * (5 - failures)
    assert run.counts()["failed"] == failures
    run.stdout.fnmatch_lines([f"*stopping after {failures} failures*"])
    assert run.ret == 1


@both_ways
def test_pytest_exit_in_a_body_stops_the_run_in_order(lives, workers):
    run = lives(
        """
def job_a(): note("a"); pytest.exit("enough", 7)
def job_b(a): note("b")
def job_c(b): note("c")
def cleanup_a(): note("cleanup")
""",
        workers,
    )
    assert run.seen == ["a", "cleanup"]
    assert run.outcomes == {"a": "failed", "b": "cancelled", "c": "cancelled"}
    assert "Exit: enough" in run.text
    assert run.ret == 7


@pytest.mark.parametrize("when", ["before", "after"])
@both_ways
def test_pytest_exit_in_a_fixture_stops_the_run_in_order(lives, workers, when):
    run = lives(
        f"""
when = "{when}"
@pytest.fixture
def ends():
    if when == "before": pytest.exit("enough")
    yield
    pytest.exit("enough")
def job_a(ends): note("a")
def cleanup_a(): note("cleanup")
@pytest.mark.job(after="a")
def job_b(): note("b")
""",
        workers,
    )
    assert run.seen == ([] if when == "before" else ["a", "cleanup"])
    assert run.outcomes == {"a": "failed" if when == "before" else "changed", "b": "cancelled"}
    assert "Exit: enough" in run.text
    assert run.ret == 2


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_ctrl_c_ends_the_run_in_order_cleans_up_and_exits_with_2(jobs, workers):
    jobs.write(
        {
            "job_it.py": """
    import os, signal, threading
    def note(what): print(what, file=open("seen.txt", "a"), flush=True)
    def job_a(): note("a")
    def cleanup_a(): note("cleanup a")
    def check_b(a):
        return False
    def job_b(a):
        note("b")
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.2)
        note("b goes on")
    def cleanup_b(): note("cleanup b")
    def job_c(b): note("c")
    """
        }
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--orchestrate",
        "-p",
        "no:hypothesispytest",
        workers,
        "--junitxml=o.xml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    seen = (jobs.path / "seen.txt").read_text().splitlines()
    assert done.returncode == 2, done.stdout + done.stderr
    assert [one for one in seen if one != "b goes on"] == ["a", "b", "cleanup b", "cleanup a"]
    assert ("b goes on" in seen) == (workers == "-J4")
    assert "Interrupted: interrupted by Ctrl-C" in done.stdout
    assert "1 cancelled" in done.stdout or "2 cancelled" in done.stdout
    assert (jobs.path / "o.xml").read_text().count("<testcase") == 3


# --- cleanups ---


@both_ways
def test_cleanups_run_at_the_end_last_started_first(lives, workers):
    run = lives(
        """
def job_a(): note("a")
def job_b(a): note("b")
def job_c(b): note("c"); assert False
def job_d(c): note("d")
def cleanup_a(): note("cleanup a")
def cleanup_b(): note("cleanup b")
def cleanup_c(): note("cleanup c")
def cleanup_d(): note("cleanup d")
""",
        workers,
    )
    assert run.seen == ["a", "b", "c", "cleanup c", "cleanup b", "cleanup a"]


@both_ways
def test_a_cleanup_runs_once_however_often_its_job_was_tried(lives, workers):
    run = lives(
        """
@pytest.mark.job(retries=3)
def job_a(): note("a"); assert False
def cleanup_a(): note("cleanup")
""",
        workers,
    )
    assert run.seen == ["a"] * 4 + ["cleanup"]


@both_ways
def test_a_job_whose_run_was_not_entered_is_not_cleaned_up_after(lives, workers):
    run = lives(
        """
def check_a(): pass
def job_a(): note("a")
def cleanup_a(): note("cleanup a")
@pytest.fixture
def bad(): raise OSError
def job_b(bad): note("b")
def cleanup_b(): note("cleanup b")
@pytest.mark.skip(reason="no")
def job_c(): note("c")
def cleanup_c(): note("cleanup c")
""",
        workers,
    )
    assert run.seen == []


@both_ways
def test_all_cleanups_run_and_one_that_fails_is_an_error_and_leaves_the_outcome(lives, workers):
    run = lives(
        """
def job_a(): note("a")
def job_b(a): note("b")
def job_c(b): note("c")
def cleanup_a(): note("cleanup a")
def cleanup_b(): note("cleanup b"); raise OSError("stuck")
def cleanup_c(): note("cleanup c"); sys.exit(3)
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed", "c": "changed"}
    assert run.seen[3:] == ["cleanup c", "cleanup b", "cleanup a"]
    assert run.counts() == {"passed": 3, "errors": 2}
    assert run.reported("b") == [("setup", "passed"), ("call", "passed"), ("teardown", "failed")]
    assert "OSError: stuck" in run.longrepr("b")
    assert run.ret == 1


@both_ways
def test_a_failed_job_whose_cleanup_fails_is_both(lives, workers):
    run = lives(
        """
def job_a(): raise ValueError("broken")
def cleanup_a(): raise OSError("stuck")
""",
        workers,
    )
    assert run.outcomes == {"a": "failed"}
    assert run.counts() == {"failed": 1, "errors": 1}


@both_ways
def test_a_cleanup_may_take_values_and_its_own(lives, workers):
    run = lives(
        """
def job_a(): return "value of a"
def job_b(a): return "value of b"
def cleanup_b(a): note(a)
def cleanup_a(a): note(("own", a))
""",
        workers,
    )
    assert run.seen == ["value of a", ("own", "value of a")], run.text


@both_ways
def test_nothing_is_cleaned_up_after_in_a_plan(lives, workers):
    run = lives(
        """
def check_a(): note("check"); return False
def job_a(): note("a")
def cleanup_a(): note("cleanup")
""",
        workers,
        "--plan",
    )
    assert run.outcomes == {"a": "would-run"}
    assert run.seen == ["check"]
    assert run.ret == 0
