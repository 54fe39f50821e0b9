"""Rollbacks: of a job that has failed, of a whole run, of what a killed run left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobtest.cli.main import main

WHOLE = "--job-rollback=run"


@pytest.fixture
def jobs(jobs):
    jobs.remembers = True
    return jobs


FAILS = """
from seen import note
import pytest
def job_a():
    raise ValueError("no\\nreally")
def rollback_a(error): note("rollback", str(error), error.type)
def cleanup_a(): note("cleanup")
def job_b(): note("b")
"""

CHAIN = """
import os
from pathlib import Path
from seen import note
def check_a(): assert Path("a").exists()
def job_a(): Path("a").touch(); return "value of a"
def rollback_a(a, error):
    note(a, error)
    Path("a").unlink()
def job_b(a):
    Path("b").touch()
    return "value of b"
def rollback_b(a, b): note(a, b)
def job_c(b):
    assert Path("good").exists(), "no good"
def rollback_c(error, b): note(b, str(error))
def job_d(c): ...
def rollback_d(): note("never")
"""


def test_a_job_that_failed_is_rolled_back_at_once(jobs):
    run = jobs(FAILS, "--job-report=r.json")
    assert run.seen == [("rollback", "ValueError: no", "ValueError"), "b", "cleanup"]
    assert (run.outcomes, run.ret) == ({"a": "failed", "b": "changed"}, 1)
    report = json.loads(Path("r.json").read_text())
    assert [job["rollback"] for job in report["jobs"]] == [{"ok": True, "message": None}, None]
    assert "a: rolled back (it failed)" in run.text


def test_a_rollback_that_raises_is_an_error_beside_the_failure(jobs):
    run = jobs(FAILS.replace('note("rollback", str(error), error.type)', "raise KeyError('again')"))
    assert run.counts() == {"passed": 1, "failed": 1, "errors": 1}
    assert run.outcomes["a"] == "failed"
    assert run.seen == ["b", "cleanup"]
    assert "ValueError: no" in run.longrepr("a")
    assert "KeyError: 'again'" in run.longrepr("a")
    assert "a: rollback failed: KeyError: 'again' (it failed)" in run.text
    assert "a: run raised ValueError: no" in run.text


def test_a_rollback_need_not_take_the_error_and_may_have_fixtures(jobs):
    run = jobs(
        """
        from seen import note
        def job_a(): assert False
        def rollback_a(tmp_path, error=None): note(tmp_path.exists(), error.type)
        def job_b(): assert False
        def rollback_b(): note("b")
        """
    )
    assert run.seen == [(True, "AssertionError"), "b"]


def test_the_mark_turns_it_off(jobs):
    run = jobs(FAILS.replace("def job_a", "@pytest.mark.job(rollback=False)\ndef job_a"))
    assert run.seen == ["b", "cleanup"]


def test_a_job_that_succeeds_after_all_is_not_rolled_back(jobs):
    source = FAILS.replace(
        "def job_a():", "@pytest.mark.job(retries=1)\ndef job_a(attempt):\n  if attempt.number < 2:"
    )
    run = jobs(source.replace("    raise ValueError", "      raise ValueError"))
    assert (run.outcomes["a"], run.seen) == ("changed", ["b", "cleanup"])


def test_a_check_that_fails_without_a_run_rolls_nothing_back(jobs):
    run = jobs(
        "from seen import note\ndef check_a(): undefined\ndef job_a(): ...\ndef rollback_a(): note('r')"
    )
    assert (run.outcomes, run.seen) == ({"a": "failed"}, [])


@pytest.mark.parametrize(
    "lane", [(), ("-J4",), ("--job-executor=process",)], ids=["main", "threads", "process"]
)
def test_a_whole_run_is_rolled_back_last_entered_first(jobs, lane):
    source = CHAIN.replace(
        "from seen import note", "def note(*what): Path('log').open('a').write(f'{what}\\n')"
    )
    run = jobs(source, WHOLE, *lane)
    assert Path("log").read_text().splitlines() == [
        "('value of b', 'no good')",
        "('value of a', 'value of b')",
        "('value of a', None)",
    ]
    assert run.outcomes == {"a": "changed", "b": "changed", "c": "failed", "d": "blocked"}
    told = [line for line in run.text.splitlines() if "rolled back" in line]
    assert told[:3] == [
        "c: rolled back (it failed)",
        "b: rolled back (the run failed)",
        "a: rolled back (the run failed)",
    ]
    assert "4 jobs: 2 changed, 1 failed, 1 blocked; 3 rolled back in " in told[3]
    assert "--job-only" not in next(line for line in run.text.splitlines() if line.startswith("again: "))
    assert run.counts()["failed"] == 1


def test_after_a_rollback_all_is_as_it_was_before(jobs):
    jobs(CHAIN, WHOLE)
    assert "gone" in jobs.run("--job-command=describe").text
    jobs.write({"good": ""})
    run = jobs.run("--job-resume", WHOLE)
    assert run.outcomes == dict.fromkeys("abcd", "changed")
    Path("good").unlink()
    again = jobs.run(WHOLE)
    assert again.seen[-1] == ("value of a", "value of b")
    assert " created " in next(
        line for line in jobs.run("--job-command=describe").text.splitlines() if line[:2] == "b "
    )


def test_a_rollback_that_raises_stops_no_other_one_and_leaves_the_state_as_it_is(jobs):
    run = jobs(
        CHAIN.replace("def rollback_b(a, b): note(a, b)", "def rollback_b(): raise OSError('stuck')"), WHOLE
    )
    assert len(run.seen) == 2
    rows = jobs.run("--job-command=describe").text.splitlines()
    assert [next(row.split()[1] for row in rows if row.startswith(f"{name} ")) for name in "abc"] == [
        "gone",
        "created",
        "gone",
    ]


def test_to_roll_back_all_that_is_there(jobs):
    jobs.write({"good": ""})
    source = CHAIN.replace("note(b, str(error))", "note(b, error)")
    assert jobs(source).ret == 0
    run = jobs.run("--job-command=rollback")
    assert run.seen == ["never", ("value of b", None), ("value of a", "value of b"), ("value of a", None)]
    assert run.outcomes == dict.fromkeys("abcd", "changed")
    again = jobs.run("--job-command=rollback")
    assert (again.seen, again.outcomes) == ([], dict.fromkeys("abcd", "unchanged"))


def test_what_was_interrupted_is_not_rolled_back(jobs):
    run = jobs(
        """
        import os, signal
        from seen import note
        def job_a(): os.kill(os.getpid(), signal.SIGINT)
        def rollback_a(): note("a")
        def job_b(): ...
        """,
        WHOLE,
    )
    assert (run.ret, run.seen) == (2, [])


def test_a_failing_task_is_called_once(jobs):
    assert jobs(FAILS.replace("def job_a():", "def job_a():\n    note('run')"), WHOLE).times("run") == 1


KILLED = """
import os
from pathlib import Path
def log(what): Path("log").open("a").write(f"{what}\\n")
def job_a(): log("a"); return 1
def rollback_a(a): log(f"undo a {a}")
def job_b(a): log("b"); return 2
def rollback_b(b, error=None):
    log(f"undo b {b} {error}")
    if Path("kill").exists():
        Path("kill").unlink()
        os.kill(os.getpid(), 9)
def job_c(b):
    log("c")
    assert not Path("bad").exists()
def rollback_c(error): log(f"undo c {error}")
"""


@pytest.mark.parametrize(("given", "begun"), [((), ["a", "b", "c"]), (("--job-resume",), ["a", "b", "c"])])
def test_rollbacks_of_a_killed_run_come_first_in_the_next_one(jobs, given, begun):
    jobs.write({"job_it.py": KILLED, "bad": "", "kill": ""})
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-q", "-p", "no:hypothesispytest", WHOLE]
    killed = subprocess.run(command, cwd=jobs.path, capture_output=True, check=False)
    assert killed.returncode == -9
    before = Path("log").read_text().splitlines()
    assert [line[:6] for line in before] == ["a", "b", "c", "undo c", "undo b"]
    Path("bad").unlink()
    Path("log").unlink()
    run = jobs.run(WHOLE, *given)
    assert "rollbacks owed by earlier runs, done first: a, b" in run.text
    assert Path("log").read_text().splitlines() == ["undo b 2 None", "undo a 1", *begun]
    assert run.ret == 0
    assert "rollbacks owed" not in jobs.run().text


def test_a_rollback_that_is_owed_without_a_function_is_named(jobs):
    jobs.write({"job_it.py": KILLED, "bad": "", "kill": ""})
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-q", "-p", "no:hypothesispytest", WHOLE]
    subprocess.run(command, cwd=jobs.path, capture_output=True, check=False)
    jobs.write({"job_it.py": KILLED.replace("def rollback_a", "def undo_a")})
    assert "a rollback is owed, and there is no rollback function any more" in jobs.run("--plan").text
    assert "a rollback is owed, and there is no rollback function" in jobs.run().text
    assert "a rollback is owed" not in jobs.run().text


def test_what_cannot_be_rolled_back_is_refused(jobs):
    jobs.write({"job_it.py": FAILS})
    run = jobs.run("--job-rollback=runs")
    assert (run.ret, "--job-rollback 'runs' is not known\n  fix: did you mean 'run'?" in run.errors) == (
        4,
        True,
    )
    run = jobs.run("--job-rollback=run", "--job-command=delete")
    assert (run.ret, "--job-rollback is for jobs that are to run, and this is for delete" in run.errors) == (
        4,
        True,
    )


def test_a_job_that_was_rolled_back_is_explained(jobs, capsys):
    jobs(CHAIN, WHOLE)
    assert main(["explain", "a"]) == 0
    assert "gone" in capsys.readouterr().out


def test_rollbacks_that_a_second_interrupt_leaves_are_named_and_done_by_the_next_run(jobs):
    twice = "import signal; [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]"
    source = CHAIN.replace("def rollback_c(error, b): note(b, str(error))", f"def rollback_c(): {twice}")
    run = jobs(source, WHOLE)
    assert run.seen == []
    assert "2 rollbacks are owed: a, b; the next run of these jobs does them" in run.text
    jobs.write({"good": ""})
    run = jobs.run()
    assert run.seen == [("value of a", "value of b"), ("value of a", None)]
    assert run.outcomes == dict.fromkeys("abcd", "changed")


def test_a_rollback_that_raised_is_told_by_the_history_too(jobs, capsys):
    jobs(FAILS.replace('note("rollback", str(error), error.type)', "raise KeyError('again')"))
    assert main(["show", "last"]) == 0
    assert "rollback: KeyError: 'again'" in capsys.readouterr().out
    assert main(["report", "last", "--junitxml=j.xml"]) == 0
    assert "failed on teardown with &quot;rollback: KeyError: 'again'&quot;" in Path("j.xml").read_text()
