"""Function scope: fresh for every attempt, the same within one, never shared between two jobs at once."""

import pytest

from jobtest.core.model import Outcome

OWN = """
    import pytest
    from seen import meet, note

    class Room:
        pass

    @pytest.fixture
    def room():
        made = Room()
        yield made
        made.closed = True
"""

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])


def ids_of(notes):
    return {id for _, id in notes}


def test_two_jobs_that_run_at_once_have_two_values_of_a_module_s_fixture(jobs):
    run = jobs(
        OWN
        + """
    def job_a(room):
        meet(2)
        note(("room", id(room)))
        meet(2)
        assert not hasattr(room, "closed")

    def job_b(room):
        meet(2)
        note(("room", id(room)))
        meet(2)
        assert not hasattr(room, "closed")
    """,
        "-J8",
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert len(ids_of(run.seen)) == 2


def test_two_jobs_of_two_files_have_two_values_of_a_conftest_s_fixture(jobs):
    body = """
    from seen import meet, note

    def job_{}(room):
        meet(2)
        note(("room", id(room)))
        meet(2)
        assert not hasattr(room, "closed")
    """
    run = jobs(body.format("a"), "-J8", conftest=OWN, files={"sub/job_more.py": body.format("b")})
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert len(ids_of(run.seen)) == 2


def test_a_fixture_asked_for_by_name_alone_is_not_shared_either(jobs):
    run = jobs(
        """
    from seen import meet, note

    def job_a(request):
        room = request.getfixturevalue("room")
        meet(2)
        note(("room", id(room)))
        meet(2)
        assert request.getfixturevalue("room") is room

    def job_b(request):
        room = request.getfixturevalue("room")
        meet(2)
        note(("room", id(room)))
        meet(2)
        assert request.getfixturevalue("room") is room
    """,
        "-J8",
        conftest=OWN,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert len(ids_of(run.seen)) == 2


def test_what_a_fixture_asks_for_is_not_shared_either(jobs):
    run = jobs(
        """
    from seen import meet, note

    def job_a(house, room):
        meet(2)
        assert house.room is room
        note(("room", id(room)))
        meet(2)

    def job_b(street, room):
        meet(2)
        assert street.house.room is room
        note(("room", id(room)))
        meet(2)
    """,
        "-J8",
        conftest=OWN
        + """
    @pytest.fixture
    def house(room):
        made = Room()
        made.room = room
        return made

    @pytest.fixture
    def street(request):
        made = Room()
        made.house = request.getfixturevalue("house")
        return made
    """,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert len(ids_of(run.seen)) == 2


def test_sixteen_jobs_at_once_have_sixteen_values(jobs):
    run = jobs(
        OWN
        + """
    @pytest.mark.parametrize("n", range(16))
    def job_a(n, room):
        room.n = n
        meet(16)
        assert room.n == n
        note(("room", id(room)))
        meet(16)
    """,
        "-J16",
    )
    assert set(run.outcomes.values()) == {"changed"}
    assert len(ids_of(run.seen)) == 16


@both_ways
def test_a_value_is_the_same_in_check_run_recheck_describe_of_an_attempt(jobs, workers):
    run = jobs(
        OWN
        + """
    def check_a(room):
        note(("check", id(room)))
        assert hasattr(room, "done")

    def job_a(room):
        note(("run", id(room)))
        room.done = True

    def describe_a(room):
        note(("describe", id(room)))
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert [what for what, _ in run.seen] == ["check", "run", "check", "describe"]
    assert len(ids_of(run.seen)) == 1


@both_ways
def test_every_attempt_has_a_fresh_value_and_the_old_one_is_torn_down_before(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def room(attempt):
        note(f"up {attempt.number}")
        yield {"n": attempt.number}
        note(f"down {attempt.number}")

    def check_a(room):
        assert room.get("done")

    @pytest.mark.job(retries=2)
    def job_a(room):
        note(f"run {room['n']}")
        assert "used" not in room
        room["used"] = True
        if room["n"] == 3:
            room["done"] = True
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.seen == [one for n in (1, 2, 3) for one in (f"up {n}", f"run {n}", f"down {n}")]


@both_ways
def test_a_job_whose_check_holds_never_sets_up_what_only_its_run_asks_for(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def of_check():
        note("of_check")

    @pytest.fixture
    def of_run():
        note("of_run")

    @pytest.fixture(scope="session")
    def wide_of_run():
        note("wide_of_run")

    @pytest.fixture
    def used():
        note("used")

    def check_a(of_check): pass

    @pytest.mark.usefixtures("used")
    def job_a(of_run, wide_of_run): note("run")

    def cleanup_a(of_run): note("cleanup")
    """,
        workers,
    )
    assert run.outcomes == {"a": "unchanged"}
    assert run.seen == ["of_check"]


@both_ways
def test_fixtures_of_a_phase_are_set_up_when_it_begins(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def of_check():
        note("up check")
        yield
        note("down check")

    @pytest.fixture
    def of_run(of_check):
        note("up run")
        yield
        note("down run")

    def check_a(of_check):
        note("check")
        return "run" in __import__("seen").notes

    def job_a(of_run): note("run")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.seen == ["up check", "check", "up run", "run", "check", "down run", "down check"]


@both_ways
def test_a_job_s_fixtures_are_torn_down_before_the_jobs_after_it_begin(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def room():
        yield
        note("down")

    def job_a(room): note("a")
    def job_b(a): note("b")
    """,
        workers,
    )
    assert run.seen == ["a", "down", "b"]


@both_ways
def test_a_cleanup_has_fixtures_of_its_own(jobs, workers):
    run = jobs(
        OWN
        + """
    def job_a(room):
        note(("run", id(room)))
        room.used = True

    def job_b(a): note(("b", 0))

    def cleanup_a(room, attempt, local):
        assert not hasattr(room, "used")
        note(("cleanup", attempt.phase))
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert [what for what, _ in run.seen] == ["run", "b", "cleanup"]
    assert run.seen[-1] == ("cleanup", "cleanup")


@both_ways
def test_set_up_and_teardown_happen_on_the_main_thread_and_bodies_on_workers(jobs, workers):
    run = jobs(
        """
    import threading
    import pytest
    from seen import note

    def where(what):
        note((what, threading.current_thread() is threading.main_thread()))

    @pytest.fixture(scope="session")
    def wide():
        where("up")
        yield
        where("down")

    @pytest.fixture
    def narrow(wide):
        where("up")
        yield
        where("down")

    def check_a(narrow):
        where("body")
        return False

    @pytest.mark.job(retries=1)
    def job_a(narrow, request):
        where("body")
        request.getfixturevalue("late")

    @pytest.fixture
    def late():
        where("up")
        yield
        where("down")
    """,
        workers,
    )
    assert run.jobs["a"].outcome is Outcome.FAILED
    assert {main for what, main in run.seen if what != "body"} == {True}
    assert {main for what, main in run.seen if what == "body"} == {workers == "-J1"}
    assert run.times(("up", True)) == run.times(("down", True)) == 5


@both_ways
def test_each_parameter_of_a_job_is_a_job_of_its_own(jobs, workers):
    run = jobs(
        OWN
        + """
    @pytest.fixture
    def named(request, room):
        room.name = request.node.name
        return room

    @pytest.mark.parametrize("n", [1, 2, 3])
    def job_a(n, named):
        assert named.name == f"job_a[{n}]"
        note(("room", id(named)))
        meet(1)
    """,
        workers,
    )
    assert run.outcomes == {f"a[{n}]": "changed" for n in (1, 2, 3)}
