"""What would run and why, and what is not as it should be, without running anything (PRODUCT 7.1, 7.2)."""

import json

import pytest

SHOP = """
    import pytest
    from seen import note
    def check_db(): note("check db")
    def job_db(): note("ran")
    def job_build(db): note("ran")
    def check_deploy(): note("check deploy"); assert "1.4" == "1.5", "old version"
    def job_deploy(build): note("ran")
    def cleanup_deploy(): note("ran")
    def check_smoke(deploy): note("ran")
    def job_smoke(deploy): note("ran")
    def job_mail(smoke): note("ran")
    def check_gate(): note("check gate"); assert 0, "closed"
    def job_held(gate): note("ran")
    @pytest.mark.skip(reason="not today")
    def job_skipped(): note("ran")
    def job_behind(skipped): note("ran")
"""


def plan_of(run):
    """The lines of the plan, as printed."""
    lines = run.text.partition("= plan =")[2].splitlines()[1:]
    end = next(at for at, line in enumerate(lines) if line.startswith("critical path"))
    return [line.rstrip() for line in lines[: end + 1] if line]


def test_a_plan_says_what_would_run_and_why(jobs):
    run = jobs(SHOP, "--plan")
    assert run.ret == 0
    assert set(run.seen) == {"check db", "check gate", "check deploy"}
    assert run.outcomes == {
        "db": "would-run",
        "build": "would-run",
        "deploy": "would-run",
        "smoke": "unknown",
        "mail": "would-run",
        "gate": "unknown",
        "held": "would-run",
        "skipped": "skipped",
        "behind": "skipped",
    }
    assert run.reasons["deploy"].startswith("check did not hold: old version")
    assert run.reasons["db"] == "build takes its value, and none is known"
    assert run.reasons["build"] == "no check; deploy takes its value"
    assert run.reasons["smoke"] == "known after deploy has run"
    assert run.reasons["behind"] == "upstream skipped is skipped: not today"


def test_a_plan_is_printed_in_order_with_waves_and_the_critical_path(jobs):
    run = jobs(
        """
        def check_a(): pass
        def job_a(): 1/0
        def check_b(): assert 1 == 2
        def job_b(): 1/0
        def job_c(b): 1/0
        """,
        "--plan",
    )
    assert plan_of(run)[:3] == [
        "~ b  would-run  check did not hold: assert 1 == 2",
        ". a  unchanged  check holds",
        "~ c  would-run  no check; a leaf",
    ]
    assert plan_of(run)[3:] == ["waves: 2, widest 2", "critical path: b -> c"]
    assert "3 jobs: 1 unchanged, 2 would-run in" in run.text
    assert ", plan only" in run.text


def test_a_plan_in_which_nothing_would_run_says_so(jobs):
    run = jobs("def check_a(): pass\ndef job_a(): 1/0", "--plan")
    assert run.ret == 0
    assert run.outcomes == {"a": "unchanged"}
    assert "would-run" not in run.text


def test_a_plan_sets_up_no_fixture_of_a_run_phase(jobs):
    run = jobs(
        """
        import pytest
        from seen import note
        @pytest.fixture
        def server(): note("server")
        @pytest.fixture
        def eye(): note("eye")
        def check_a(eye): assert 0
        def job_a(server): note("ran")
        def job_b(server): note("ran")
        """,
        "--plan",
    )
    assert run.seen == ["eye"]


@pytest.mark.parametrize("flag", ["--plan", "--drift"])
def test_checks_are_asked_in_parallel_too(jobs, flag):
    run = jobs(
        """
        from seen import meet
        def check_a(): meet(2); return False
        def job_a(): 1/0
        def check_b(): meet(2); return False
        def job_b(): 1/0
        """,
        flag,
        "-J2",
    )
    assert set(run.outcomes.values()) == {"would-run" if flag == "--plan" else "failed"}


def test_a_plan_goes_on_through_what_does_not_hold(jobs):
    """D17."""
    run = jobs(
        """
        from seen import note
        def check_a(): note("a"); assert 0
        def job_a(): note("ran")
        def check_b(): note("b"); assert 0
        def job_b(a): note("ran")
        def check_c(): note("c")
        def job_c(b): note("ran")
        def check_d(c): note("d")
        """,
        "--plan",
    )
    assert run.ret == 0
    assert run.seen[:3] == ["a", "b", "c"]
    assert "ran" not in run.seen
    assert run.outcomes["a"] == run.outcomes["b"] == "would-run"


def test_a_broken_check_in_a_plan_fails_it(jobs):
    run = jobs("def check_a(): nothing_of_that_name\ndef job_a(): 1/0\ndef job_b(a): 1/0", "--plan")
    assert run.ret == 1
    assert run.outcomes == {"a": "failed", "b": "blocked"}
    assert run.kinds == {"a": "broken_check"}
    assert "NameError" in run.longrepr("a")
    assert "F a  failed" in run.text


def test_a_plan_retries_and_waits_for_nothing(jobs):
    run = jobs(
        """
        import pytest
        from seen import note
        @pytest.mark.job(retries=3, retry_delay=60)
        def check_gate(): note("gate"); assert 0
        def check_a(): note("a"); assert 0
        @pytest.mark.job(retries=3, retry_delay=60)
        def job_a(): note("ran")
        """,
        "--plan",
    )
    assert run.ret == 0
    assert run.seen == ["gate", "a"]


def test_a_plan_of_a_selection_is_of_that_alone(jobs):
    run = jobs(SHOP, "--plan", "--job-only", "deploy")
    assert set(run.outcomes) == {"db", "build", "deploy"}


def test_a_plan_names_who_runs_alone(jobs):
    run = jobs("def job_a(monkeypatch): 1/0", "--plan")
    assert "a  would-run  no check; a leaf; alone, it uses monkeypatch" in run.text


def test_a_plan_is_reported(jobs):
    run = jobs(SHOP, "--plan", "--job-report=r.json", "--junitxml=j.xml", "-v", "--job-graph=tree")
    report = json.loads((jobs.path / "r.json").read_text())
    assert report["command"] == "plan"
    assert {job["name"]: job["outcome"] for job in report["jobs"]}["deploy"] == "would-run"
    assert run.counts() == {"passed": 7, "skipped": 2}
    assert "job_it.py::job_deploy WOULD-RUN" in run.text
    assert "job_it.py::job_smoke UNKNOWN" in run.text


def test_a_forced_job_would_run(jobs):
    run = jobs("def check_a(): pass\ndef job_a(): 1/0", "--plan", "--job-force", "a")
    assert run.outcomes == {"a": "would-run"}
    assert run.reasons == {"a": "forced"}


# --- drift ---


def test_a_drift_asks_checks_only_and_fails_where_one_does_not_hold(jobs):
    run = jobs(SHOP, "--drift")
    assert run.ret == 1
    assert "ran" not in run.seen
    assert {"check db", "check deploy", "check gate"} <= set(run.seen)
    assert run.outcomes == {
        "db": "unchanged",
        "build": "skipped",
        "deploy": "failed",
        "smoke": "skipped",
        "mail": "skipped",
        "gate": "failed",
        "held": "skipped",
        "skipped": "skipped",
        "behind": "skipped",
    }
    assert run.reasons["build"] == "no check"
    assert run.kinds == {"deploy": "check_failed", "gate": "check_failed"}
    assert ", drift only" in run.text


def test_a_drift_shows_the_assert(jobs):
    run = jobs(
        """
        def check_deploy(): assert [1, 4] == [1, 5]
        def job_deploy(): 1/0
        """,
        "--drift",
        "--junitxml=j.xml",
    )
    assert "At index 1 diff: 4 != 5" in run.longrepr("deploy")
    assert "FAILED job_it.py::job_deploy" in run.text
    assert run.counts() == {"failed": 1}
    assert "At index 1 diff: 4 != 5" in (jobs.path / "j.xml").read_text()


def test_no_drift_is_exit_status_zero(jobs):
    run = jobs("def check_a(): pass\ndef job_a(): 1/0\ndef job_b(): 1/0", "--drift")
    assert run.ret == 0
    assert run.outcomes == {"a": "unchanged", "b": "skipped"}


def test_a_drift_of_one_job_blocks_no_other(jobs):
    run = jobs(
        """
        from seen import note
        def check_a(): assert 0
        def job_a(): note("ran")
        def check_b(): note("b")
        def job_b(a): note("ran")
        """,
        "--drift",
    )
    assert run.outcomes == {"a": "failed", "b": "unchanged"}
    assert run.seen == ["b"]


def test_a_job_without_check_is_skipped_by_a_drift_and_would_run_in_a_plan(jobs):
    """D11."""
    source = "def job_a(): 1/0"
    assert jobs(source, "--drift").outcomes == {"a": "skipped"}
    assert jobs(source, "--drift").ret == 0
    assert jobs(source, "--plan").outcomes == {"a": "would-run"}


def test_a_drift_with_a_broken_check_is_an_error(jobs):
    run = jobs("def check_a(): nothing_of_that_name\ndef job_a(): 1/0", "--drift")
    assert run.ret == 1
    assert run.kinds == {"a": "broken_check"}
    assert run.counts() == {"errors": 1}


def test_a_drift_does_not_retry(jobs):
    run = jobs(
        """
        import pytest
        from seen import note
        def check_a(): note("a"); assert 0
        @pytest.mark.job(retries=3, retry_delay=60)
        def job_a(): note("ran")
        """,
        "--drift",
    )
    assert run.seen == ["a"]


def test_a_drift_with_maxfail_stops(jobs):
    run = jobs(
        """
        from seen import note
        def check_a(): note("a"); assert 0
        def check_b(): note("b"); assert 0
        """,
        "--drift",
        "-x",
    )
    assert run.seen == ["a"]
    assert run.ret == 1
