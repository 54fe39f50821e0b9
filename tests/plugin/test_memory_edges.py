"""What a run takes over from earlier ones, where it is easy to get it wrong."""

import pytest


@pytest.fixture
def jobs(jobs):
    jobs.remembers = True
    return jobs


DEPLOY = """
from pathlib import Path
from seen import note
def job_other(): pass
def job_deploy(params):
    note(params.version)
def job_last(deploy):
    note("last")
    assert Path("ok").exists()
"""


def test_a_job_with_another_parameter_is_not_done(jobs):
    assert jobs(DEPLOY, "--job-set=version=1").seen == [1, "last"]
    (jobs.path / "ok").touch()
    run = jobs.run("--job-set=version=2", "--job-resume")
    assert run.seen == [2, "last"]
    assert run.reasons["other"].startswith("resumed: ")
    assert "done, and defined differently since; begins anew: deploy" in run.text


def test_a_job_whose_fixture_asks_for_another_parameter_is_not_done(jobs):
    source = DEPLOY.replace("params", "server").replace("server.version", "server")
    fixture = "import pytest\n@pytest.fixture\ndef server(params): return params['version']"
    jobs(source, "--job-set=version=1", conftest=fixture)
    assert jobs.run("--job-set=version=2", "--job-resume").seen == [2, "last"]


def test_a_plan_for_another_parameter_is_refused(jobs):
    jobs(DEPLOY, "--job-set=version=1", "--plan", "--job-plan-out=p.toml")
    run = jobs.run("--job-set=version=2", "--job-apply=p.toml")
    assert (run.ret, run.seen) == (4, [])
    assert "job job_it.py::job_deploy: its definition has changed since the plan was made" in run.errors


def test_a_plan_in_which_a_run_only_job_feeds_two_is_applied(jobs):
    source = """
        from pathlib import Path
        from seen import note
        def job_b(): return 1
        def check_x(): assert Path("x").exists()
        def job_x(b): Path("x").touch()
        def check_y(): assert Path("y").exists()
        def job_y(b): Path("y").touch()
    """
    jobs(source)
    (jobs.path / "y").unlink()
    planned = jobs.run("--plan", "--job-plan-out=p.toml")
    assert planned.outcomes == {"b": "would-run", "x": "unchanged", "y": "would-run"}
    run = jobs.run("--job-apply=p.toml")
    assert run.outcomes == {"b": "changed", "x": "unchanged", "y": "changed"}


def test_a_plan_for_a_job_that_was_named_runs_it(jobs):
    source = "from seen import note\ndef job_b(): note('b')\ndef check_x(): pass\ndef job_x(b): pass"
    jobs(source, "--plan", "--job-plan-out=p.toml", "--job-only=b")
    assert jobs.run("--job-apply=p.toml").seen == ["b"]


def test_owed_cleanups_of_jobs_that_take_no_part_are_told_and_stay_owed(jobs):
    source = """
        import os
        from pathlib import Path
        from seen import note
        def job_a():
            if not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), 9)
        def cleanup_a(): note("clean a")
        def job_other(): note("other")
    """
    jobs.write({"job_it.py": source, "seen.py": "def note(what): pass"})
    jobs.pytester.runpytest_subprocess("--orchestrate", "-p", "no:hypothesispytest")
    run = jobs.run("--job-only=other")
    assert run.seen == ["other"]
    assert "cleanups owed by earlier runs: a; --job-command=cleanup does them" in run.text
    assert "done first" not in run.text
    assert jobs.run("--job-command=cleanup").seen == ["clean a"]


def test_a_job_whose_end_is_on_no_record_is_not_reported_as_done(jobs):
    run = jobs("import os\ndef job_a(): os.rename('.jobtest', 'moved')", "-v")
    assert run.ret == 3
    assert "CHANGED" not in run.text
    assert run.outcomes == {"a": "cancelled"}
    assert run.reasons == {"a": "it is changed, and that is on no record: the state is lost"}


def test_missing_outputs_are_shown_without_a_traceback_of_ours(jobs):
    run = jobs("import pytest\n@pytest.mark.job(outputs=['out.txt'])\ndef job_a(): pass")
    shown = run.longrepr("a")
    assert shown.strip().splitlines()[-1] == "outputs missing: out.txt"
    assert "_pytest" not in shown
    assert "jobtest/" not in shown


def test_a_job_that_was_refused_is_to_be_forced(jobs):
    source = """
        import os, pytest
        @pytest.mark.job(on_crash="fail")
        def job_a(): os.kill(os.getpid(), 9)
    """
    jobs.write({"job_it.py": source})
    jobs.pytester.runpytest_subprocess("--orchestrate", "-p", "no:hypothesispytest")
    run = jobs.run("--job-resume")
    assert "again: pytest --orchestrate" in run.text
    assert "--job-force job_it.py::job_a" in run.text


@pytest.mark.parametrize("option", ["-q", "-v"])
def test_that_there_is_nothing_to_resume_is_said_however_quiet_it_is(jobs, option):
    assert "nothing to resume" in jobs("def job_a(): pass", "--job-resume", option).text


def test_a_cleanup_that_takes_a_value_nobody_has_any_more_says_what_to_do(jobs):
    jobs.remembers = True
    source = """
        def job_up(): return lambda: 1
        def job_a(up): pass
        def cleanup_a(up): raise AssertionError("it has no value to be called with")
    """
    jobs(source, "--job-keep")
    run = jobs.run("--job-command=cleanup")
    assert run.ret == 1
    assert run.longrepr("a").splitlines() == [
        "its cleanup takes the value of up, which is not known any more",
        "  fix: clean up by hand, then: jobtest prune --owed job_it.py::job_a",
    ]
