"""Fixtures that fail: at set-up the job fails, at teardown it is an error that changes no outcome."""

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])


@both_ways
def test_a_failing_fixture_fails_its_job_and_the_others_go_on(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def bad(): raise OSError("no disk")
    def job_a(bad): pass
    def job_b(a): pass
    def check_c(bad): pass
    def job_c(): raise AssertionError("never called")
    def job_d(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "blocked", "c": "failed", "d": "changed"}
    assert run.kinds == {"a": "setup_error", "c": "setup_error"}
    assert run.reasons["a"] == "set-up failed: OSError: no disk"
    assert run.reported("a") == [("setup", "failed"), ("teardown", "passed")]
    assert run.counts() == {"passed": 1, "skipped": 1, "errors": 2}
    assert run.ret == 1


def test_a_failing_fixture_is_shown_without_our_frames(jobs):
    run = jobs(
        "def job_a(bad): pass",
        conftest="""
    import pytest
    @pytest.fixture
    def bad(): helper()
    def helper(): raise OSError("no disk")
    """,
    )
    shown = run.longrepr("a")
    assert "conftest.py:5: OSError" in shown
    assert "jobtest" not in shown.replace(str(jobs.path), "")
    assert "_pytest" not in shown


@both_ways
def test_a_failing_fixture_is_tried_again_with_the_job(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def shaky(attempt):
        note(attempt.number)
        assert attempt.number == 3
    @pytest.mark.job(retries=5)
    def job_a(shaky): note("a")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.seen == [1, 2, 3, "a"]


@pytest.mark.parametrize("scope", ["module", "package", "session"])
@both_ways
def test_a_wide_fixture_that_fails_is_run_once_and_reported_for_each_job_that_asked(jobs, workers, scope):
    run = jobs(
        f"""
    import pytest
    from seen import note
    @pytest.fixture(scope="{scope}")
    def bad():
        note("bad")
        raise OSError("no disk")
    @pytest.fixture
    def over(bad): note("never")
    def job_a(bad): pass
    def job_b(over): pass
    @pytest.mark.job(retries=1)
    def job_c(request): request.getfixturevalue("bad")
    def job_d(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "failed", "c": "failed", "d": "changed"}
    assert run.seen == ["bad"]
    for name in ("a", "b", "c"):
        assert "no disk" in run.longrepr(name)
    assert run.kinds == {"a": "setup_error", "b": "setup_error", "c": "run_error"}


@both_ways
def test_what_was_set_up_before_a_fixture_failed_is_torn_down(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def good():
        note("up")
        yield
        note("down")
    @pytest.fixture
    def bad(good): raise OSError
    @pytest.mark.job(retries=1)
    def job_a(bad): pass
    """,
        workers,
    )
    assert run.seen == ["up", "down"] * 2


@both_ways
def test_a_failing_teardown_is_an_error_and_leaves_the_outcome(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def bad():
        yield
        raise OSError("stuck")
    @pytest.fixture
    def before():
        yield
        note("down")
    def job_a(before, bad): return 1
    def job_b(a): note(a)
    def check_c(bad): pass
    def job_c(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed", "c": "unchanged"}
    assert run.reported("a") == [("setup", "passed"), ("call", "passed"), ("teardown", "failed")]
    assert "OSError: stuck" in run.longrepr("a")
    assert run.seen == ["down", 1]
    assert run.counts() == {"passed": 3, "errors": 2}
    assert run.ret == 1


@both_ways
def test_two_failing_teardowns_of_a_job_are_both_shown(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def one():
        yield
        raise OSError("first stuck")
    @pytest.fixture
    def two():
        yield
        raise OSError("second stuck")
    def job_a(one, two): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert "first stuck" in run.longrepr("a")
    assert "second stuck" in run.longrepr("a")
    assert run.counts() == {"passed": 1, "errors": 1}


@both_ways
def test_a_failing_teardown_of_an_earlier_attempt_is_not_lost(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def room(attempt):
        yield
        if attempt.number == 1:
            raise OSError("stuck")
    @pytest.mark.job(retries=1)
    def job_a(room, attempt): assert attempt.number == 2
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert "OSError: stuck" in run.longrepr("a")
    assert run.counts() == {"passed": 1, "errors": 1}
    assert run.ret == 1


@pytest.mark.parametrize("scope", ["module", "session"])
@both_ways
def test_a_wide_fixture_that_fails_to_tear_down_is_an_error_of_the_last_job(jobs, workers, scope):
    run = jobs(
        f"""
    import pytest
    @pytest.fixture(scope="{scope}")
    def bad():
        yield
        raise OSError("stuck")
    def job_a(bad): pass
    def job_b(a, bad): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.reported("a")[-1] == ("teardown", "passed")
    assert run.reported("b")[-1] == ("teardown", "failed")
    assert run.counts() == {"passed": 2, "errors": 1}
    assert run.ret == 1


@both_ways
def test_a_failed_job_with_a_failing_teardown_is_both(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def bad():
        yield
        raise OSError("stuck")
    def job_a(bad): raise ValueError("broken")
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed"}
    assert run.reported("a") == [("setup", "passed"), ("call", "failed"), ("teardown", "failed")]
    assert run.counts() == {"failed": 1, "errors": 1}


@pytest.mark.parametrize("scope", ["function", "session"])
@both_ways
def test_a_fixture_may_skip_the_jobs_that_ask_for_it(jobs, workers, scope):
    run = jobs(
        f"""
    import pytest
    from seen import note
    @pytest.fixture(scope="{scope}")
    def maybe():
        note("asked")
        pytest.skip("no GPU")
    def job_a(maybe): note("a")
    def check_b(maybe): note("b")
    def job_b(): note("b")
    def job_c(a): note("c")
    """,
        workers,
    )
    assert run.outcomes == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert run.reasons["a"] == "no GPU"
    assert run.seen == ["asked"] * (2 if scope == "function" else 1)
    assert run.counts() == {"skipped": 3}
    assert run.ret == 0


@both_ways
def test_a_setup_module_that_fails_is_reported_for_each_job_of_the_file(jobs, workers):
    run = jobs(
        """
    from seen import note
    def setup_module():
        note("once")
        raise OSError("no disk")
    def teardown_module(): note("never")
    def job_a(): pass
    def job_b(): pass
    """,
        workers,
        files={"job_other.py": "def job_c(): pass"},
    )
    assert run.outcomes == {"a": "failed", "b": "failed", "c": "changed"}
    assert run.kinds == {"a": "setup_error", "b": "setup_error"}
    assert run.seen == ["once"]


@both_ways
def test_a_package_that_fails_to_set_up_is_reported_for_each_job_below_it(jobs, workers):
    run = jobs(
        "def job_c(): pass",
        workers,
        files={
            "sub/__init__.py": """
    from seen import note
    def setup_module():
        note("once")
        raise OSError("no disk")
    """,
            "sub/job_a.py": "def job_a(): pass",
            "sub/job_b.py": "def job_b(): pass",
        },
    )
    assert run.outcomes == {"a": "failed", "b": "failed", "c": "changed"}
    assert run.kinds == {"a": "setup_error", "b": "setup_error"}
    assert run.seen == ["once"]


@both_ways
def test_a_teardown_module_that_fails_is_an_error_of_the_last_job(jobs, workers):
    run = jobs(
        """
    def teardown_module(): raise OSError("stuck")
    def job_a(): pass
    def job_b(a): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.reported("b")[-1] == ("teardown", "failed")
    assert run.counts() == {"passed": 2, "errors": 1}


@both_ways
def test_a_fixture_that_calls_sys_exit_fails_its_job_alone(jobs, workers):
    run = jobs(
        """
    import sys
    import pytest
    @pytest.fixture
    def bad(): sys.exit(3)
    @pytest.fixture
    def bad_at_the_end():
        yield
        sys.exit(3)
    def job_a(bad): pass
    def job_b(bad_at_the_end): pass
    def job_c(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed", "c": "changed"}
    assert run.reported("b")[-1] == ("teardown", "failed")
    assert run.ret == 1


@both_ways
def test_pytest_fail_in_a_fixture_is_a_set_up_error(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def bad(): pytest.fail("not today")
    def job_a(bad): pass
    def job_b(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed"}
    assert run.kinds == {"a": "setup_error"}


@both_ways
def test_a_fixture_that_yields_twice_or_never_is_an_error_in_pytest_s_words(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def twice():
        yield 1
        yield 2
    @pytest.fixture
    def never():
        if False:
            yield
    def job_a(twice): pass
    def job_b(never): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "failed"}
    assert "has more than one 'yield'" in run.longrepr("a")
    assert "did not yield" in run.longrepr("b")


@both_ways
def test_a_cleanup_whose_fixture_fails_is_an_error_of_its_job(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def bad(): raise OSError("no disk")
    def job_a(): note("a")
    def cleanup_a(bad): note("never")
    def job_b(): note("b")
    def cleanup_b(): note("cleanup b")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.reported("a")[-1] == ("teardown", "failed")
    assert "no disk" in run.longrepr("a")
    assert "cleanup b" in run.seen
    assert "never" not in run.seen
    assert run.ret == 1


@both_ways
def test_a_fixture_that_asks_for_a_narrower_one_is_refused_in_pytest_s_words(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def narrow(): return 1
    @pytest.fixture(scope="session")
    def wide(narrow): return 2
    def job_a(wide): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed"}
    assert "ScopeMismatch" in run.text


@both_ways
def test_a_fixture_that_asks_for_itself_in_a_circle_is_refused(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def one(two): return 1
    @pytest.fixture
    def two(one): return 2
    def job_a(one): pass
    def job_b(): pass
    """,
        workers,
    )
    assert "recursive dependency" in run.text


@both_ways
def test_what_a_failing_set_up_printed_is_shown_with_it(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def bad():
        print("words before the end")
        raise OSError
    def job_a(bad): pass
    """,
        workers,
    )
    assert ("Captured stdout setup", "words before the end\n") in run.of("a")[0].sections
