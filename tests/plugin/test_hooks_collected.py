"""The hook that may change jobs before anything is decided, and what it must not do."""

import pytest
from test_hooks import example

CHANGES = "from dataclasses import replace\ndef pytest_jobtest_collected(jobs):\n    {}\n"
NAMED = "by = {{job.name: job for job in jobs.values()}}; {}"


def test_pytest_jobtest_collected_may_change_a_job_and_take_one_away(jobs):
    run = jobs(
        """
        def job_fetch_a(attempt): assert attempt.number == 3
        def job_b(attempt): assert attempt.number == 3
        """,
        conftest=example("pytest_jobtest_collected"),
        files={"cluster/job_x.py": "def job_x(): ..."},
    )

    assert run.outcomes == {"fetch_a": "changed", "b": "failed"}
    assert run.counts()["deselected"] == 1
    run.stdout.fnmatch_lines(["2 jobs: 1 changed, 1 failed in *"])


def test_a_job_is_skipped_with_the_reason_that_the_hook_gives(jobs):
    change = (
        "jobs.update({id: replace(job, skip='not today') for id, job in jobs.items() if job.name == 'a'})"
    )
    run = jobs("def job_a(): ...\ndef job_b(a): ...\ndef job_c(): ...", conftest=CHANGES.format(change))

    assert run.outcomes == {"a": "skipped", "b": "skipped", "c": "changed"}
    assert run.reasons["a"] == "not today"
    assert ("setup", "skipped") in run.reported("a")


def test_a_job_may_get_an_edge_and_a_process_of_its_own(jobs):
    change = (
        NAMED.format("jobs[by['a'].id] = replace(by['a'], edges=(Edge(by['b'].id),), isolated=True)")
        .replace("{{", "{")
        .replace("}}", "}")
    )
    run = jobs(
        "import os\nfrom seen import note\nME = os.getpid()\n"
        "def job_a(): assert os.getpid() != ME\ndef job_b(): note('b')",
        conftest="from jobtest import Edge\n" + CHANGES.format(change),
    )

    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.plan.order == ("job_it.py::job_b", "job_it.py::job_a")


def test_a_job_that_is_taken_away_is_not_known_by_its_name(jobs):
    files = {"job_it.py": "def job_a(): ...\ndef job_b(): ...\ndef job_c(): ..."}
    jobs.write({**files, "conftest.py": CHANGES.format("del jobs['job_it.py::job_a']")})
    run = jobs.run("--job-only", "a")

    assert run.ret == 4
    assert "--job-only names 'a', which is not a job" in run.text + run.errors
    assert jobs.run("-k", "job_a or job_b").outcomes == {"b": "changed"}
    assert "job_a" not in jobs.run("--collect-only", "-q").text


def test_what_several_hooks_do_adds_up(jobs):
    jobs.pytester.syspathinsert()
    run = jobs(
        "def job_a(): ...\ndef job_b(): ...\ndef job_c(): ...",
        conftest=CHANGES.format("del jobs['job_it.py::job_a']"),
        files={"other.py": CHANGES.format("del jobs['job_it.py::job_c']")},
        plugins=["other"],
    )

    assert run.outcomes == {"b": "changed"}


SOURCE = "def job_a(): ...\ndef job_b(a): ..."
WRONG = {
    "raise KeyError('x')": "pytest_jobtest_collected raised KeyError: 'x'\n  at: conftest.py:3",
    "import pytest; pytest.fail('no')": "pytest_jobtest_collected raised Failed: no\n  at: conftest.py:3",
    "del jobs['job_it.py::job_a']": (
        "job 'b' needs 'a', which pytest_jobtest_collected took away\n"
        "  at: job_it.py:2 job_b\n  at: conftest.py\n  fix: take 'b' away, too, or skip 'a'"
    ),
    "jobs['new'] = jobs['job_it.py::job_a']": (
        "pytest_jobtest_collected added 'new'\n  at: conftest.py\n"
        "  fix: change or take away jobs that are there; new ones belong in a job file"
    ),
    "jobs['job_it.py::job_a'] = None": (
        "pytest_jobtest_collected put None in the place of job_it.py::job_a, which is no job\n"
        "  at: conftest.py\n  fix: jobs[id] = dataclasses.replace(jobs[id], ...)"
    ),
    "jobs['job_it.py::job_a'] = replace(jobs['job_it.py::job_a'], id='x')": (
        "pytest_jobtest_collected gave job_it.py::job_a the id 'x'\n  at: conftest.py\n"
        "  fix: leave the id as it is"
    ),
    "jobs['job_it.py::job_a'] = replace(jobs['job_it.py::job_a'], skip=None)": (
        "pytest_jobtest_collected gave 'a' skip=None, which is no str\n  at: conftest.py"
    ),
    "jobs['job_it.py::job_a'] = None; del jobs['job_it.py::job_b']": "in the place of job_it.py::job_a",
    "jobs['job_it.py::job_a'] = replace(jobs['job_it.py::job_a'], priority=True)": (
        "pytest_jobtest_collected gave 'a' priority=True, which is no int\n  at: conftest.py"
    ),
    "jobs['job_it.py::job_a'] = replace(jobs['job_it.py::job_a'], timeout='1')": (
        "pytest_jobtest_collected gave 'a' timeout='1', which is no float | None\n  at: conftest.py"
    ),
    "jobs['job_it.py::job_a'] = replace(jobs['job_it.py::job_a'], resources={'db': 1})": "'db'",
}


@pytest.mark.parametrize("what", list(WRONG))
def test_what_the_hook_must_not_do_is_told_before_anything_runs(jobs, what):
    run = jobs(SOURCE, conftest=CHANGES.format(what))

    assert run.ret == 4
    assert WRONG[what] in run.text
    assert "1 error in the project, nothing was run" in run.text + run.errors


def test_what_a_hook_breaks_is_told_with_all_else_that_is_wrong(jobs):
    run = jobs("def job_a(nope): ...", conftest=CHANGES.format("1 / 0"))

    assert "raised ZeroDivisionError" in run.text
    assert "'nope'" in run.text
    assert "2 errors in the project" in run.text + run.errors


@pytest.mark.parametrize("timeout", ["7", "7.5", "None"])
def test_a_timeout_may_be_any_number(jobs, timeout):
    change = f"jobs.update({{id: replace(job, timeout={timeout}) for id, job in jobs.items()}})"
    run = jobs(
        "def job_a(): ...",
        conftest=f"from dataclasses import replace\ndef pytest_jobtest_collected(jobs):\n    {change}\n",
    )

    assert run.outcomes == {"a": "changed"}
