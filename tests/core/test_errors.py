"""What errors say. A changed text here is a changed promise."""

import pytest

from jobtest.core.errors import (
    IllegalTransition,
    JobtestError,
    Problem,
    ProjectError,
    UsageError,
    did_you_mean,
    nearest,
)

DB = Problem(
    what="job 'app' needs 'bd', which is not a job",
    at=("ops/job_app.py:12 job_app",),
    fix="did you mean 'db' (ops/job_db.py:4)?",
)


def test_a_problem_says_what_where_and_what_to_do():
    assert str(DB) == (
        "job 'app' needs 'bd', which is not a job\n"
        "  at: ops/job_app.py:12 job_app\n"
        "  fix: did you mean 'db' (ops/job_db.py:4)?"
    )


def test_a_problem_without_place_and_fix_is_one_line():
    assert str(Problem(what="there is nothing")) == "there is nothing"


def test_a_problem_names_both_sides_of_a_conflict():
    assert (
        str(Problem(what="two of them", at=("a.py:1", "b.py:2"))) == "two of them\n  at: a.py:1\n  at: b.py:2"
    )


@pytest.mark.parametrize("kind", [ProjectError, UsageError])
def test_a_project_error_tells_every_problem(kind):
    error = kind(iter([DB, Problem(what="there is nothing")]))
    assert error.problems == (DB, Problem(what="there is nothing"))
    assert str(error) == f"{DB}\nthere is nothing"
    assert isinstance(error, JobtestError)


def test_an_illegal_transition_says_that_it_is_a_bug_of_jobtest():
    error = IllegalTransition("build", "ended", "check started")
    assert (error.job, error.state, error.event) == ("build", "ended", "check started")
    assert str(error) == (
        "job 'build' is ended and cannot take check started\n"
        "  fix: this is a bug in jobtest, or the journal belongs to another plan"
    )


def test_the_nearest_name_is_the_one_that_is_spelled_most_alike():
    assert nearest("biuld", ["deploy", "build", "bundle"]) == "build"
    assert nearest("xyz", ["deploy", "build"]) is None


def test_a_name_with_the_same_letters_is_near_however_short():
    assert nearest("bd", ["web", "db"]) == "db"
    assert nearest("abc", ["cba", "bca"]) == nearest("abc", ["bca", "cba"]) == "bca"


def test_short_names_may_differ_by_half_and_long_ones_by_less():
    assert nearest("ab", ["ac"]) == "ac"
    assert nearest("abc", ["xyc"]) is None
    assert nearest("abcd", ["abxy"]) is None
    assert nearest("frobnicate", ["deploy", "build"]) is None
    assert nearest("deplox", ["deploy", "build"]) == "deploy"


def test_an_unknown_name_is_answered_with_the_nearest_one():
    assert did_you_mean("biuld", ["deploy", "build"]) == "did you mean 'build'?"


def test_an_unknown_name_that_is_like_no_other_is_answered_with_the_list():
    assert did_you_mean("xyz", ["deploy", "build"], what="jobs are") == "jobs are: build, deploy"
    assert did_you_mean("xyz", ["deploy"]) == "known are: deploy"


def test_a_long_list_is_cut_after_twelve():
    twelve = [f"job{number:02}" for number in range(12)]
    assert did_you_mean("?", twelve) == f"known are: {', '.join(twelve)}"
    assert did_you_mean("?", [*twelve, "zzz"]) == f"known are: {', '.join(twelve)}, ..."


def test_where_nothing_is_known_nothing_is_suggested():
    assert did_you_mean("xyz", []) == ""
