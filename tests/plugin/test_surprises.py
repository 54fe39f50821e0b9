"""What people who used it for the first time stumbled over, and should not again."""

import json
import tomllib

import pytest


def test_a_job_that_ran_in_an_earlier_attempt_has_changed(jobs):
    run = jobs("""
    import pytest
    def check_a(attempt): assert attempt.number == 2
    @pytest.mark.job(retries=1)
    def job_a(): pass
    """)
    assert run.outcomes == {"a": "changed"}
    assert run.phases == {"a": [["check", "run", "recheck"], ["check"]]}
    assert "a: its check held before attempt 2 ran" in run.text


def test_what_a_job_holds_open_stays_open_for_those_that_need_it(jobs):
    run = jobs("""
    import pytest
    from seen import note
    def job_tunnel():
        note("open")
        yield
        note("closed")
    @pytest.mark.job(needs=["tunnel"])
    def job_user(): note("used")
    """)
    assert run.seen == ["open", "used", "closed"]


def test_a_forced_job_is_selected(jobs):
    run = jobs(
        "def job_a(): pass\ndef job_b(): pass\ndef job_c(): pass", "--job-only", "a", "--job-force", "b"
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}


def test_the_keys_of_a_gathered_dict_are_what_the_user_wrote(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.parametrize("town", ["Zürich", "a b", "back\\\\slash"])
    def job_arrive(town): return town
    def job_all(arrive): assert list(arrive) == ["Zürich", "a b", "back\\\\slash"] == list(arrive.values())
    """)
    assert run.ret == 0


@pytest.mark.parametrize("settings", ["[params]\nbatteries = 'charged'\n", ""])
def test_a_parameter_that_is_misspelt_on_the_command_line_is_refused(jobs, settings):
    run = jobs(
        "def job_a(params): assert params.batteries",
        "--job-set=batteries=charged",
        "--job-set=bateries=dead",
        files={"jobtest.toml": settings},
    )
    assert run.ret == 4
    assert "--job-set names the parameter 'bateries', which no job asks for" in run.text
    assert "fix: did you mean 'batteries'?" in run.text


def test_a_parameter_unlike_all_others_may_be_for_somebody_who_asks_at_run_time(jobs):
    run = jobs("def job_a(params): assert params.get('x' + 'y') == 5", "--job-set=xy=5")
    assert run.ret == 0
    assert tomllib.loads("xy=5") == {"xy": 5}


def test_a_plan_does_not_trust_a_check_below_what_would_run(jobs):
    run = jobs(
        """
    import pytest
    def check_base(): assert False
    def job_base(): pass
    def check_next(): pass
    def job_next(base): pass
    def check_last(): pass
    @pytest.mark.job(needs=["next"])
    def job_last(): pass
    def check_other(): pass
    @pytest.mark.job(after=["base"])
    def job_other(): pass
    """,
        "--plan",
    )
    assert run.ret == 0
    assert run.outcomes == {"base": "would-run", "next": "unknown", "last": "unknown", "other": "unchanged"}
    assert run.reasons["next"] == "it holds now; known after base has run"
    assert run.reasons["last"] == "it holds now; known after next has run"


@pytest.mark.parametrize("how", ["-x", "--maxfail=1", ""])
def test_all_that_needs_a_failed_job_is_blocked_however_the_run_stops(jobs, how):
    run = jobs(
        """
    import pytest
    def job_a(): assert False
    def job_b(a): pass
    @pytest.mark.job(needs=["b"])
    def job_c(): pass
    def job_d(c): pass
    """,
        *([how] if how else []),
    )
    assert run.outcomes == {"a": "failed", "b": "blocked", "c": "blocked", "d": "blocked"}
    assert set(run.reasons.values()) - {run.reasons["a"]} == {"upstream a failed"}
    assert "blocks b, c, d" in run.text


def test_what_closing_a_failed_attempt_prints_is_in_its_report(jobs):
    run = jobs("""
    import pytest
    def check_a(attempt): assert attempt.number == 3
    @pytest.mark.job(retries=1)
    def job_a():
        yield
        print("closed it")
    """)
    assert run.outcomes == {"a": "failed"}
    assert any("closed it" in text for report in run.of("a") for _, text in report.sections)
    assert "closed it" not in run.text.partition("FAILURES")[0]


def test_a_check_that_returns_a_number_shows_no_frame_but_what_is_wrong(jobs):
    run = jobs("def check_a(): return 0\ndef job_a(): pass")
    assert run.kinds == {"a": "broken_check"}
    assert "it returned 0" in run.longrepr("a")
    assert ".py:" not in run.longrepr("a")


def test_resources_that_are_not_there_are_told_with_all_other_errors(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.job(resources={"db": 2})
    def job_a(): pass
    def job_b(nope): pass
    """)
    assert run.ret == 4
    assert "asks for 2 of resource 'db', and there is 0" in run.text
    assert "asks for 'nope'" in run.text


def test_trace_is_refused(jobs):
    run = jobs("def job_a(): pass", "--trace")
    assert run.ret == 4
    assert "--trace is for tests" in run.errors


def test_the_report_names_a_parametrised_job_by_its_bare_name(jobs):
    jobs(
        """
    import pytest
    @pytest.mark.parametrize("region", ["eu"])
    def job_deploy(region): pass
    """,
        "--job-report=r.json",
    )
    (job,) = json.loads((jobs.path / "r.json").read_text())["jobs"]
    assert (job["id"], job["name"], job["params"]) == (
        "job_it.py::job_deploy[eu]",
        "deploy",
        {"region": "eu"},
    )


def test_with_vv_there_is_a_line_for_each_phase(jobs):
    run = jobs("def check_a(): assert 0\ndef job_a(): pass", "-vv")
    run.stdout.fnmatch_lines(
        [
            "  a: check not holding in *s: assert 0",
            "  a: run ok in *s",
            "  a: recheck not holding in *s: assert 0",
        ]
    )
    assert "  a: check" not in jobs.run("-v").text


def test_delays_may_grow_linearly(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.job(retries=3, retry_delay=0.01, retry_backoff="linear")
    def job_a(): assert 0
    """)
    assert len(run.phases["a"]) == 4
    assert run.engine.plan.graph["job_it.py::job_a"].retry.linear
    assert run.jobs["a"].waited_backoff >= 0.06


def test_the_next_command_is_there_to_be_copied(jobs):
    run = jobs("def job_a(): pass\ndef job_b(a): assert False\ndef job_c(b): pass")
    assert "--job-only job_it.py::job_b --job-downstream" in run.text


def test_who_needs_a_job_never_runs_beside_it(jobs):
    run = jobs(
        """
    import pytest
    from seen import note
    def check_t(): return True
    def job_t(): note("t"); return 1
    @pytest.mark.job(needs=["t"], priority=5)
    def job_n(): note("n")
    def job_tk(t): note("tk")
    """,
        "-J8",
    )
    assert run.seen[0] == "t"
    assert run.outcomes == {"t": "changed", "n": "changed", "tk": "changed"}


def test_pytest_exit_cannot_hide_a_failure(jobs):
    run = jobs("import pytest\ndef job_a(): raise ValueError\ndef job_b(): pytest.exit('bye', returncode=0)")
    assert run.ret == 1


def test_what_a_file_imports_for_its_own_use_is_no_job(jobs):
    run = jobs(
        """
    from subprocess import check_output, check_call
    from functools import update_wrapper
    from helpers import delete_tree, check_reachable, job_shared, check_shared
    def job_a(): pass
    """,
        files={
            "pytest.ini": "[pytest]\npythonpath = .\n",
            "helpers.py": """
                def delete_tree(): pass
                def check_reachable(): assert 0
                def check_shared(): pass
                def job_shared(): pass
            """,
        },
    )
    assert run.outcomes == {"a": "changed", "shared": "unchanged"}


def test_a_skip_condition_that_raises_is_an_error_of_the_project(jobs):
    run = jobs("import pytest\n@pytest.mark.skipif('1/0')\ndef job_r(): pass\ndef job_b(): pass")
    assert run.ret == 4
    assert "job 'r': its skip mark cannot be evaluated" in run.text


def test_positional_only_parameters_are_refused(jobs):
    run = jobs("def job_a(x, /): pass\ndef job_x(): pass")
    assert run.ret == 4
    assert "job_a has positional-only parameters" in run.text


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_a_task_that_escapes_cannot_stop_the_run(jobs, workers):
    run = jobs(
        """
    import asyncio
    async def job_task():
        async def bad(): raise SystemExit(3)
        task = asyncio.create_task(bad())
        await asyncio.wait([task])
    async def job_b(): await asyncio.sleep(0)
    """,
        workers,
    )
    assert run.outcomes["b"] == "changed"
    assert run.ret in (0, 1)


def test_filters_of_warnings_that_a_body_sets_are_its_own(jobs):
    run = jobs("""
    import warnings
    def job_a(): warnings.simplefilter("error"); return 1
    def job_b(a): warnings.warn("x")
    """)
    assert run.outcomes == {"a": "changed", "b": "changed"}


def test_what_a_thread_of_the_only_body_logs_is_the_job_s(jobs):
    run = jobs("""
    import logging, threading
    def job_a():
        thread = threading.Thread(target=lambda: logging.warning("from a helper"))
        thread.start()
        thread.join()
    """)
    assert "from a helper" in run.jobs["a"].attempts[0].log


def test_skip_in_a_cleanup_is_no_failure(jobs):
    run = jobs("import pytest\ndef job_a(): pass\ndef cleanup_a(): pytest.skip('nothing there')")
    assert run.ret == 0
    assert run.jobs["a"].cleanup.ok


def test_what_a_body_sets_while_a_fixture_is_set_up_beside_it_is_undone(jobs):
    run = jobs(
        """
    import os
    import pytest
    from seen import event, wait
    @pytest.fixture
    def room():
        os.environ["OF_ROOM"] = "1"
        event("asked").set()
        wait("set")
        yield
        del os.environ["OF_ROOM"]
    def job_set():
        wait("asked")
        os.environ["OF_BODY"] = "1"
        event("set").set()
    def job_see(room): assert os.environ["OF_ROOM"] == "1"
    @pytest.mark.job(needs=["set", "see"])
    def job_last(): assert not {"OF_BODY", "OF_ROOM"} & os.environ.keys()
    """,
        "-J4",
    )
    assert run.outcomes == {"set": "changed", "see": "changed", "last": "changed"}


def test_many_jobs_that_fail_at_once_are_all_told(jobs):
    """Pytest's parser of tracebacks does not stand two threads at once (CPython 3.11)."""
    run = jobs("".join(f"def job_n{i}():\n    x = {i}\n    assert x == {i + 1}\n" for i in range(40)), "-J16")
    assert set(run.outcomes.values()) == {"failed"}
    assert all("assert x == " in run.longrepr(f"n{i}") for i in range(40))
