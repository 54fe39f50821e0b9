"""Module, package and session scope: set up once, shared by all, torn down after the last job, not before."""

import re

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])

THREE_SCOPES = """
    import pytest
    from seen import note

    def made(name):
        note(f"up {name}")
        yield name
        note(f"down {name}")

    @pytest.fixture(scope="session")
    def of_session(): yield from made("session")

    @pytest.fixture(scope="package")
    def of_package(request): yield from made(f"package {request.node.name}")

    @pytest.fixture(scope="module")
    def of_module(request): yield from made(f"module {request.node.path.stem}")

    @pytest.fixture(scope="class")
    def of_class(request): yield from made(f"class of {request.node.name}")
"""

ASKING = """
    from seen import meet, note

    def job_{0}1(of_session, of_package, of_module):
        meet(4)
        note("{0}")
        meet(4)

    def job_{0}2(of_session, of_package, of_module):
        meet(4)
        note("{0}")
        meet(4)

    def job_{0}3(of_session, of_module, {0}1):
        note("{0}")
"""


def test_jobs_of_two_modules_at_once_share_what_is_wide_and_it_ends_after_the_last(jobs):
    run = jobs(
        ASKING.format("x"),
        "-J8",
        conftest=THREE_SCOPES,
        files={"job_other.py": ASKING.format("y")},
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    for name in ("session", "module job_it", "module job_other"):
        assert run.times(f"up {name}") == run.times(f"down {name}") == 1, run.seen
    assert run.before("x", "down module job_it")
    assert run.before("y", "down module job_other")
    assert run.before("x", "down session")
    assert run.before("y", "down session")
    assert run.seen[-1] == "down session"


def test_a_module_is_torn_down_while_another_one_still_runs(jobs):
    """Its last job has ended, so nothing of it is kept longer than needed."""
    run = jobs(
        """
    from seen import note
    def job_a(of_module): note("a")
    """,
        "-J8",
        conftest=THREE_SCOPES
        + """
    @pytest.fixture
    def after_module():
        from seen import notes
        assert "down module job_it" in notes
    """,
        files={
            "job_other.py": """
    from seen import note
    def job_b(of_module, a): note("b")
    def job_c(b, after_module): note("c")
    """
        },
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text


@both_ways
def test_a_package_s_fixture_is_there_once_for_each_package(jobs, workers):
    body = """
    from seen import note
    def job_{0}(of_package): note(of_package)
    def job_{0}2(of_package): note(of_package)
    """
    run = jobs(
        "",
        workers,
        conftest="",
        files={
            "one/__init__.py": "",
            "one/conftest.py": THREE_SCOPES,
            "one/job_a.py": body.format("a"),
            "one/job_b.py": body.format("b"),
            "two/__init__.py": "",
            "two/conftest.py": THREE_SCOPES,
            "two/job_c.py": body.format("c"),
        },
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    for name in ("one", "two"):
        assert run.times(f"up package {name}") == run.times(f"down package {name}") == 1, run.seen
        assert run.before(f"package {name}", f"down package {name}")
    assert run.times("package one") == 4


@both_ways
def test_a_class_scoped_fixture_belongs_to_the_job_as_it_does_to_a_function_in_pytest(jobs, workers):
    run = jobs(
        """
    from seen import meet, note
    def job_a(of_class): meet(PARTIES); note("a")
    def job_b(of_class): meet(PARTIES); note("b")
    """.replace("PARTIES", "2" if workers == "-J8" else "1"),
        workers,
        conftest=THREE_SCOPES,
    )
    for name in ("job_a", "job_b"):
        assert run.times(f"up class of {name}") == run.times(f"down class of {name}") == 1, run.seen


@pytest.mark.parametrize("phase", ["check", "run"])
@both_ways
def test_a_session_fixture_that_one_phase_asks_for_is_shared_with_other_jobs(jobs, workers, phase):
    asked = {"check": "", "run": "", phase: "of_session"}
    run = jobs(
        f"""
    from seen import note, notes
    def check_a({asked["check"]}): return "a" in notes
    def job_a({asked["run"]}): note("a")
    def job_b(of_session): note("b")
    """,
        workers,
        conftest=THREE_SCOPES,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.times("up session") == run.times("down session") == 1
    assert run.seen[-1] == "down session"


@both_ways
def test_a_wide_fixture_outlives_the_cleanup_of_the_last_job_that_uses_it(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(of_module): note("a")
    def cleanup_a(of_module, of_session): note("cleanup")
    def job_b(): note("b")
    """,
        workers,
        conftest=THREE_SCOPES,
    )
    assert run.before("cleanup", "down module job_it")
    assert run.before("b", "cleanup")
    assert run.times("up module job_it") == 1


@both_ways
def test_a_wide_fixture_is_kept_for_a_later_attempt(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note, notes

    @pytest.mark.job(retries=2)
    def job_a(of_module, attempt):
        note("a")
        assert attempt.number == 3
    """,
        workers,
        conftest=THREE_SCOPES,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.seen == ["up module job_it", "a", "a", "a", "down module job_it"]


@both_ways
def test_jobs_that_never_run_do_not_keep_a_module_alive(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    def job_a(of_module): assert False
    def job_b(of_module, a): note("b")
    @pytest.mark.skip(reason="no")
    def job_c(of_module): note("c")
    """,
        workers,
        conftest=THREE_SCOPES,
        files={"job_last.py": "from seen import note\ndef job_z(of_session): note('z')"},
    )
    assert run.outcomes == {"a": "failed", "b": "blocked", "c": "skipped", "z": "changed"}
    assert run.times("up module job_it") == run.times("down module job_it") == 1


@both_ways
def test_wide_fixtures_are_torn_down_in_reverse_order(jobs, workers):
    run = jobs(
        """
    def job_a(last): pass
    """,
        workers,
        conftest=THREE_SCOPES
        + """
    @pytest.fixture(scope="module")
    def first(of_session): yield from made("first")
    @pytest.fixture(scope="module")
    def last(first, of_module): yield from made("last")
    """,
    )
    ups = [what[3:] for what in run.seen if what.startswith("up ")]
    downs = [what[5:] for what in run.seen if what.startswith("down ")]
    assert downs == ups[::-1]
    assert len(ups) == 4


@both_ways
def test_functions_of_xunit_style_run_around_modules_and_jobs(jobs, workers):
    run = jobs(
        """
    from seen import note, notes
    def setup_module(module): note("setup_module")
    def teardown_module(): note("teardown_module")
    def setup_function(function): note(f"setup {function.__name__}")
    def teardown_function(function): note(f"teardown {function.__name__}")
    def check_a(): return "a" in notes
    def job_a(): note("a")
    def job_b(a): note("b")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.seen == [
        "setup_module",
        "setup job_a",
        "a",
        "teardown job_a",
        "setup job_b",
        "b",
        "teardown job_b",
        "teardown_module",
    ]


@both_ways
def test_autouse_fixtures_of_each_scope_are_set_up_for_jobs_that_ask_for_nothing(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(): note("a")
    def job_b(a): note("b")
    """,
        workers,
        conftest=re.sub(r'(scope="\w+")', r"\1, autouse=True", THREE_SCOPES)
        + """
    @pytest.fixture(autouse=True)
    def of_function(request): yield from made(request.node.name)
    """,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}, run.text
    assert run.times("up session") == run.times("down session") == 1
    assert run.times("up module job_it") == 1
    assert run.times("up job_a") == run.times("down job_a") == 1
    assert run.before("down job_a", "up job_b")


@both_ways
def test_an_autouse_fixture_of_one_module_is_not_set_up_for_another(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture(autouse=True)
    def mine(request): note(request.node.name)
    def job_a(): pass
    """,
        workers,
        files={"job_other.py": "def job_b(): pass"},
    )
    assert run.seen == ["job_a"]
    assert run.outcomes == {"a": "changed", "b": "changed"}
