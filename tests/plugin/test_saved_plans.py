"""Plans that are kept, reviewed and run; what a plan knows from earlier runs."""

import re

import pytest

from jobtest.config.saved_plan import load

PROJECT = """
import pytest
from pathlib import Path
from seen import note
def job_build(): note("build"); return 1
def check_deploy(): note("ask"); assert Path("deployed").exists()
def job_deploy(build): note("deploy"); Path("deployed").touch()
@pytest.mark.parametrize("region", ["eu", "us"])
def job_tell(region, deploy): note(region)
"""
OUT = "--job-plan-out=plan.toml"
APPLY = "--job-apply=plan.toml"


@pytest.fixture
def jobs(jobs):
    jobs.remembers = True
    return jobs


def test_a_plan_that_is_kept_is_run(jobs):
    run = jobs(PROJECT, "--plan", OUT)
    assert (run.ret, set(run.seen)) == (0, {"ask"})
    verdicts = {job.id.split("::")[1]: job.verdict.value for job in load(jobs.path / "plan.toml").jobs}
    assert verdicts == {
        "job_build": "would-run",
        "job_deploy": "would-run",
        "job_tell[eu]": "would-run",
        "job_tell[us]": "would-run",
    }
    run = jobs.run(APPLY)
    assert run.ret == 0
    assert [one for one in run.seen if one != "ask"] == ["build", "deploy", "eu", "us"]
    assert set(run.outcomes.values()) == {"changed"}


def refusal(run):
    assert (run.ret, [one for one in run.seen if one != "ask"]) == (4, []), run.text
    return run.errors.replace("ERROR: ", "").strip().splitlines()[0]


def test_a_plan_is_refused_when_a_verdict_has_changed(jobs):
    jobs(PROJECT, "--plan", OUT)
    (jobs.path / "deployed").touch()
    assert "job job_it.py::job_deploy: its verdict was would-run and is now " in refusal(jobs.run(APPLY))


def test_a_plan_is_refused_when_a_definition_has_changed(jobs):
    jobs(PROJECT, "--plan", OUT)
    jobs.write({"job_it.py": PROJECT.replace("return 1", "return 2")})
    assert refusal(jobs.run(APPLY)).startswith("job job_it.py::job_build: its definition")


def test_a_plan_is_refused_when_a_job_came_or_went(jobs):
    jobs(PROJECT, "--plan", OUT)
    gone = PROJECT[: PROJECT.index("@pytest.mark.parametrize")]
    assert refusal(jobs(gone, APPLY)) == "job job_it.py::job_tell[eu]: it is in the plan and there no longer"
    more = PROJECT + "def job_more(tell): pass\n"
    assert jobs(more, APPLY).ret == 0


def test_a_plan_of_another_project_is_refused(jobs):
    jobs(PROJECT, "--plan", OUT)
    (jobs.path / "job_it.py").unlink()
    jobs.write({"job_other.py": "from seen import note\ndef job_x(): note('x')"})
    run = jobs.run(APPLY)
    assert (run.ret, run.seen) == (4, [])
    assert run.errors.count("it is in the plan and there no longer") == 4


def test_a_plan_of_some_jobs_runs_these(jobs):
    run = jobs(PROJECT, "--plan", OUT, "--job-only=build")
    assert list(run.outcomes) == ["build"]
    run = jobs.run(APPLY)
    assert (run.seen, run.outcomes) == (["build"], {"build": "changed"})


def test_what_was_forced_and_excluded_is_so_again(jobs):
    (jobs.path / "deployed").touch()
    run = jobs(PROJECT, "--plan", OUT, "--job-force=deploy", "--job-exclude=tell[us]")
    assert run.outcomes == {
        "build": "would-run",
        "deploy": "would-run",
        "tell[eu]": "would-run",
        "tell[us]": "skipped",
    }
    run = jobs.run(APPLY)
    assert run.outcomes == {
        "build": "changed",
        "deploy": "changed",
        "tell[eu]": "changed",
        "tell[us]": "skipped",
    }


def test_wide_fixtures_are_set_up_for_the_question_and_for_the_run(jobs):
    source = """
        import pytest
        from seen import note
        @pytest.fixture(scope="session")
        def server():
            note("up")
            yield
            note("down")
        def check_a(server): assert "run" in notes()
        def job_a(server): note("run")
        def notes():
            import seen
            return seen.notes
    """
    jobs(source, "--plan", OUT)
    assert jobs.run(APPLY).seen == ["up", "down", "up", "run", "down"]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ([OUT], "--job-plan-out keeps a plan, and none is asked for"),
        (["--plan", APPLY], "--plan and --job-apply are two questions"),
        (["--drift", APPLY], "--drift and --job-apply are two questions"),
        ([APPLY, "--job-resume"], "--job-resume and --job-apply are two questions"),
        ([APPLY, "--job-command=cleanup"], "--job-apply and --job-command=cleanup are two questions"),
        (["--job-command=clean"], "--job-command 'clean' is not known\n  fix: did you mean 'cleanup'?"),
        (["--job-command="], "--job-command '' is not known\n  fix: there are: apply, cleanup, "),
        (["--job-lock-timeout=soon"], "--job-lock-timeout 'soon' must be a number of seconds >= 0"),
        (["--plan", "--job-plan-out=p.txt"], "--job-plan-out 'p.txt': cannot tell what to write"),
        ([APPLY], "there is no such plan"),
        (["--job-state=ftp://x"], "ftp"),
    ],
)
def test_options_that_make_no_sense_are_told(jobs, args, what):
    run = jobs(PROJECT, *args)
    assert (run.ret, run.seen) == (4, [])
    assert what in run.errors


def test_a_plan_says_how_long_it_takes_and_what_is_known(jobs):
    run = jobs(PROJECT, "--plan", "-v")
    assert "estimated time: not known before the first run" in run.text
    assert "    never ended well so far" in run.text
    first = jobs.run()
    jobs.write({"job_more.py": "def job_more(): pass"})
    run = jobs.run("--plan", "-v", "-J2")
    said = r"estimated time: \d+\.\ds with -J 2; 1 never ran and count as the mean"
    assert re.search(said, run.text)
    assert f"in run {first.engine.run_id}" in run.text


def test_a_plan_tells_what_failed_in_the_last_run(jobs):
    source = """
        import pytest
        @pytest.mark.job(retries=1)
        def job_a(): raise OSError("no disk")
    """
    first = jobs(source)
    run = jobs.run("--plan", "-v")
    last = f"failed after 2 attempts in the last run, {first.engine.run_id}: run raised OSError: no disk"
    assert f"    {last}" in run.text


def test_jobs_that_take_long_go_first_once_that_is_known(jobs):
    """The order of equal jobs is that of their definition, until one is known to take longer."""
    source = """
        import time
        from seen import note
        def job_a(): note("a")
        def job_b(): note("b")
        def job_slow():
            note("slow")
            time.sleep(0.16)
    """
    assert jobs(source).seen == ["a", "b", "slow"]
    assert jobs.run().seen == ["slow", "a", "b"]


@pytest.mark.parametrize("option", ["--plan", "--drift"])
def test_what_only_asks_tells_whose_definition_has_changed(jobs, option):
    source = """
        from seen import note
        def check_a(): pass
        def job_a(): note(1)
        def check_b(): pass
        def job_b(): pass
    """
    first = jobs(source)
    assert "its definition" not in jobs.run(option).text
    run = jobs(source.replace("note(1)", "note(2)"), option)
    assert f"a: its definition has changed since its last success, in run {first.engine.run_id}" in run.text
    assert "b: its definition" not in run.text


def test_a_run_that_pytest_broke_off_is_not_finished(jobs):
    jobs.write(
        {
            "conftest.py": """
        def pytest_runtest_logreport(report):
            if "job_b" in report.nodeid:
                raise RuntimeError("a broken plugin")
        """
        }
    )
    jobs.write({"job_it.py": "def job_a(): pass\ndef job_b(): pass\ndef job_c(): pass"})
    result = jobs.pytester.runpytest_inprocess("--orchestrate", "-p", "no:hypothesispytest")
    assert result.ret == 3
    (jobs.path / "conftest.py").unlink()
    run = jobs.run("--job-resume")
    assert "going on: run " in run.text
    assert run.reasons["a"].startswith("resumed: ")


def test_a_report_has_the_values_of_jobs_that_did_not_run(jobs):
    import json

    source = """
        from pathlib import Path
        def check_a(): assert Path("a").exists()
        def job_a(): Path("a").touch(); return {"n": 1}
        def job_b(a): pass
    """
    jobs(source)
    jobs.run("--job-report=r.json")
    values = {job["name"]: job["value"] for job in json.loads((jobs.path / "r.json").read_text())["jobs"]}
    assert values == {"a": {"n": 1}, "b": None}


def test_a_state_that_is_lost_stops_the_run_and_tells_what_is_on_no_record(jobs):
    run = jobs("""
        import os
        from seen import note
        def job_a(): pass
        def cleanup_a(): note("clean")
        def job_b(a): os.rename(".jobtest", "moved")
        def job_c(b): note("ran")
    """)
    assert (run.ret, run.seen) == (3, [])
    assert "the state was removed or replaced while it was used" in run.text + run.errors
    assert "not on record: b changed" in run.text + run.errors
    assert not (jobs.path / ".jobtest").exists()
    (jobs.path / "moved").rename(jobs.path / ".jobtest")
    jobs.write({"job_it.py": (jobs.path / "job_it.py").read_text().replace("os.rename", "print")})
    run = jobs.run("--job-resume")
    assert (run.ret, run.seen) == (0, ["ran", "clean"])
