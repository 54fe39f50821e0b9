"""What jobs hold open with a yield, and the values they hand on."""

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])

HEADER = """
import pytest
from seen import note, notes
"""


@pytest.fixture
def lives(jobs):
    """Run a job file that begins with the usual imports."""

    def run(source, *args):
        return jobs(HEADER + source, *args)

    return run


@both_ways
def test_a_generator_job_is_closed_after_its_last_consumer_in_reverse_order(lives, workers):
    run = lives(
        """
def job_a():
    note("open a")
    yield "value of a"
    note("close a")
def job_b(a):
    note("open b")
    yield a
    note("close b")
def job_c(b): note(("c", b))
def job_d(c, a): note("d")
def job_e(d): note("e")
""",
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}
    assert ("c", "value of a") in run.seen
    order = [one for one in run.seen if one in ("open a", "open b", "d", "close b", "close a")]
    assert order.index("close b") < order.index("close a")
    assert run.before("d", "close a")
    assert run.before(("c", "value of a"), "close b")


@both_ways
def test_the_fixtures_of_a_generator_job_are_there_until_it_is_closed(lives, workers):
    run = lives(
        """
@pytest.fixture
def room():
    note("up")
    yield "room"
    note("down")
def check_a(): return False if "open" not in notes else None
def job_a(room):
    note("open")
    yield room
    note("close")
def job_b(a): note(a)
def cleanup_a(): note("cleanup")
""",
        workers,
    )
    assert run.seen == ["up", "open", "room", "close", "down", "cleanup"]
    assert run.reported("a") == [("setup", "passed"), ("call", "passed"), ("teardown", "passed")]


@both_ways
def test_a_generator_job_that_fails_before_its_yield_is_reported_whole(lives, workers):
    run = lives(
        """
def job_a():
    raise OSError("no disk")
    yield
def job_b(a): note("b")
""",
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "blocked"}
    assert run.reported("a") == [("setup", "passed"), ("call", "failed"), ("teardown", "passed")]


@both_ways
def test_a_generator_job_whose_check_does_not_hold_then_is_closed(lives, workers):
    run = lives(
        """
def check_a(): return False
@pytest.mark.job(retries=1)
def job_a():
    note("open")
    yield
    note("close")
def job_b(a): note("b")
""",
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "blocked"}
    assert run.seen == ["open", "close"] * 2
    assert run.reported("a") == [("setup", "passed"), ("call", "failed"), ("teardown", "passed")]


@both_ways
def test_what_fails_after_the_yield_is_an_error_and_leaves_the_outcome(lives, workers):
    run = lives(
        """
def job_a():
    yield 1
    raise OSError("stuck")
def job_b(a): note("b")
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.counts() == {"passed": 2, "errors": 1}
    assert "OSError: stuck" in run.longrepr("a")
    assert run.ret == 1


@both_ways
def test_a_generator_job_is_closed_also_if_its_consumer_fails(lives, workers):
    run = lives(
        """
def job_a():
    yield 1
    note("close")
def job_b(a): assert False
def job_c(b): pass
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "failed", "c": "blocked"}
    assert run.seen == ["close"]


@both_ways
def test_a_generator_job_that_skips_the_rest_of_itself_holds_nothing(lives, workers):
    run = lives(
        """
def job_a():
    if not notes:
        note("ended early")
        return
    yield
""",
        workers,
    )
    assert run.outcomes == {"a": "failed"}
    assert run.reasons["a"] == "run raised RuntimeError: job_a did not yield"


# --- values ---


@both_ways
def test_the_values_of_a_parametrised_job_are_a_dict_in_definition_order(lives, workers):
    run = lives(
        """
@pytest.mark.parametrize("n", [3, 1, 2])
def job_a(n): return n * 10
def job_b(a): note(list(a.items()))
""",
        workers,
    )
    assert run.seen == [[("3", 30), ("1", 10), ("2", 20)]]


@both_ways
def test_a_parametrised_job_s_check_takes_its_own_value(lives, workers):
    run = lives(
        """
@pytest.mark.parametrize("n", [1, 2])
def job_a(n): return n * 10
def check_a(n, a): note((n, a)); return a == n * 10
def check_b(job_b): return job_b == 5
def job_b(): return 5
""",
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert sorted(run.seen) == [(1, 10), (2, 20)]


@both_ways
def test_a_check_takes_what_is_described_before_and_after_the_run(lives, workers):
    run = lives(
        """
def check_a(a): note(a); return a == "described"
def job_a(): return "returned"
def describe_a(): return "described"
def job_b(a): note(a)
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}, run.text
    assert run.seen == ["described", "described"]


@both_ways
def test_forced_jobs_run_although_their_check_holds(lives, workers):
    run = lives(
        """
def check_a(): pass
def job_a(): note("a")
def check_b(): pass
def job_b(): note("b")
""",
        workers,
        "--job-force=a",
    )
    assert run.outcomes == {"a": "changed", "b": "unchanged"}
    assert run.seen == ["a"]
