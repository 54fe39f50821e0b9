"""Who is next, and that everybody is one day."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.errors import ProjectError
from jobtest.core.model import Job
from jobtest.core.queue import AGEING, ReadyQueue

LIMITS = {"db": 2, "gpu": 1}


def job(id, priority=0, *, exclusive="", **resources):
    return Job(id=id, priority=priority, exclusive=exclusive, resources=resources)


def queue(*jobs, capacity=1, **limits):
    made = ReadyQueue(capacity, limits)
    for position, one in enumerate(jobs):
        made.join(one, 1.0, position)
    return made


def start_best(made):
    best = made.best()
    assert best is not None
    assert made.start(best[0])
    return best[0]


def drain(made):
    """Start and end one after the other; return the order."""
    order = []
    while made.best():
        order.append(start_best(made))
        made.leave(order[-1])
    return order


# --- order ---


def test_higher_priority_goes_first_then_the_longer_way_then_the_lower_position():
    made = ReadyQueue(1, {})
    made.join(job("late"), 1.0, 9)
    made.join(job("long"), 2.0, 3)
    made.join(job("early"), 1.0, 1)
    made.join(job("urgent", 1), 0.5, 7)
    assert drain(made) == ["urgent", "long", "early", "late"]


def test_only_the_best_can_start():
    made = queue(job("a"), job("b"))
    assert not made.start("b")
    assert made.start("a")
    assert not made.start("b")


def test_a_job_that_joins_again_keeps_its_turn():
    made = queue(job("a"), job("b"))
    start_best(made)
    made.leave("a")
    made.join(job("a"), 0.0, 99)
    assert made.best() == ("a", "")


def test_who_leaves_while_waiting_is_forgotten():
    made = queue(job("a"), job("b"))
    made.leave("a")
    assert drain(made) == ["b"]


def test_leaving_twice_or_unknown_is_nothing():
    made = queue(job("a", db=1), db=1)
    start_best(made)
    for _ in range(2):
        made.leave("a")
        made.leave("who")
    made.join(job("b", db=1), 1.0, 1)
    assert made.best() == ("b", "")


def test_after_clear_nobody_waits_and_newcomers_may_come():
    made = queue(job("a", db=1), job("b", db=1), capacity=2, db=1)
    start_best(made)
    made.clear()
    made.leave("a")
    assert made.best() is None
    made.join(job("c", db=1), 1.0, 2)
    assert drain(made) == ["c"]


# --- places and resources ---


def test_what_never_queued_takes_a_place():
    made = queue(job("a"))
    assert made.free
    made.enter("tail")
    assert not made.free
    assert made.best() is None
    made.leave("tail")
    assert made.best() == ("a", "")


def test_a_job_that_asks_for_more_than_there_is_is_refused():
    made = ReadyQueue(1, {"db": 1})
    greedy = Job(id="a", at="a.py:1 job_a", resources={"db": 2, "gpu": 1})
    with pytest.raises(ProjectError) as caught:
        made.refuse([greedy, job("b", db=1), job("c", db=3)])
    assert str(caught.value) == (
        "job 'a' asks for 2 of resource 'db', and there is 1\n"
        "  at: a.py:1 job_a\n"
        "  fix: set resources.db = 2 in the settings, or ask for less\n"
        "job 'a' asks for 1 of resource 'gpu', and there is 0\n"
        "  at: a.py:1 job_a\n"
        "  fix: set resources.gpu = 1 in the settings, or ask for less\n"
        "job 'c' asks for 3 of resource 'db', and there is 1\n"
        "  fix: set resources.db = 3 in the settings, or ask for less"
    )


def test_a_job_that_lacks_a_resource_steps_aside_and_says_so_later():
    made = queue(job("a", db=1), job("b", db=1), job("c"), capacity=9, db=1)
    assert [start_best(made), start_best(made)] == ["a", "c"]
    assert made.best() is None
    made.leave("a")
    assert made.best() == ("b", "resource")
    start_best(made)
    made.leave("b")
    made.join(job("b", db=1), 1.0, 1)
    assert made.best() == ("b", "")


def test_a_large_request_is_not_passed_by_small_ones_for_the_same_resource():
    made = queue(job("a", db=1), job("large", db=2), job("small", db=1), capacity=9, db=2)
    assert start_best(made) == "a"
    assert made.best() is None
    made.leave("a")
    assert start_best(made) == "large"


def test_when_the_first_of_those_who_wait_gives_up_the_next_one_may():
    made = queue(job("a", db=1), job("x", db=2), job("y", db=1), capacity=9, db=2)
    start_best(made)
    made.leave("x")
    assert made.best() == ("y", "resource")


def test_when_one_gives_up_after_it_was_called_back_the_next_one_is_called():
    made = queue(job("a", db=1), job("b", 1), job("x", db=1), job("y", db=1), capacity=2, db=1)
    assert [start_best(made), start_best(made)] == ["b", "a"]
    made.join(job("z", 5), 1.0, 9)
    made.leave("a")
    made.leave("x")
    assert start_best(made) == "z"
    made.leave("b")
    assert made.best() == ("y", "resource")


# --- alone ---


def test_who_must_be_alone_is_alone():
    made = queue(job("a", 1), job("alone", exclusive="capsys"), job("b", -1), capacity=3)
    assert start_best(made) == "a"
    assert made.best() is None, "it waits for those inside, and nobody passes it"
    made.leave("a")
    assert start_best(made) == "alone"
    assert not made.free
    assert made.best() is None
    made.leave("alone")
    assert start_best(made) == "b"


# --- nobody starves ---


@given(st.integers(0, 3), st.integers(1, 4))
def test_a_waiting_job_is_passed_only_by_those_that_joined_soon_after_it(lag, burst):
    """The bound: `AGEING * (P - p + 1)` starts, whatever joins afterwards."""
    made = queue(job("patient", 0))
    bound, number, starts = AGEING * (lag + 1), 0, 0
    late = set()
    while True:
        for _ in range(burst):
            number += 1
            made.join(job(f"n{number}", lag), 2.0, number)
            if starts >= bound:
                late.add(f"n{number}")
        id = start_best(made)
        if id == "patient":
            break
        assert id not in late
        starts += 1
        made.leave(id)
        assert starts < burst * (bound + 1)


def test_an_equal_that_joins_a_hundred_starts_later_does_not_pass_however_long_its_way():
    made = queue(job("patient"))
    for number in range(AGEING):
        assert start_next_newcomer(made, number) != "patient"
    assert start_next_newcomer(made, AGEING) == "patient"


def start_next_newcomer(made, number):
    made.join(job(f"n{number}"), 5.0, number + 1)
    id = start_best(made)
    made.leave(id)
    return id


def test_a_job_that_needs_two_things_is_not_passed_for_ever_by_those_that_need_one():
    """The holders of `db` and of `gpu` take turns, so that never both are free, but for the bound."""
    made = ReadyQueue(2, {"db": 1, "gpu": 1})
    made.join(job("db0", 1, db=1), 1.0, 0)
    made.join(job("gpu0", 1, gpu=1), 1.0, 1)
    inside = [start_best(made), start_best(made)]
    made.join(job("both", db=1, gpu=1), 9.0, 2)
    for number in range(1, 3 * AGEING):
        left = inside.pop(0)
        kind = left.rstrip("0123456789")
        made.join(job(f"{kind}{number}", 0, **{kind: 1}), 1.0, 9 + number)
        made.leave(left)
        while made.best():
            inside.append(start_best(made))
        if "both" in inside:
            assert number <= AGEING + 3
            return
        assert inside or made.best()
    raise AssertionError("it starves")


# --- against a model ---


@dataclass
class Model:
    waiting: dict = field(default_factory=dict)
    inside: dict = field(default_factory=dict)

    def used(self, name):
        return sum(one.resources.get(name, 0) for one in self.inside.values())


AMOUNTS = st.fixed_dictionaries({}, optional={"db": st.integers(1, 2), "gpu": st.just(1)})
JOBS = st.tuples(st.integers(0, 2), st.sampled_from(["", "", "", "alone"]), AMOUNTS)
MOVES = st.lists(
    st.tuples(st.sampled_from(["join", "join", "start", "start", "leave", "give up"]), st.integers(0, 9))
)


@given(st.integers(1, 3), st.lists(JOBS, min_size=1, max_size=10), MOVES)
def test_limits_hold_and_nobody_is_forgotten(capacity, drawn, moves):
    jobs = [
        Job(id=f"j{number}", priority=priority, exclusive=exclusive, resources=amounts)
        for number, (priority, exclusive, amounts) in enumerate(drawn)
    ]
    made, model = ReadyQueue(capacity, LIMITS), Model()
    for move, number in moves:
        one = jobs[number % len(jobs)]
        match move:
            case "join" if one.id not in {*model.waiting, *model.inside}:
                made.join(one, 1.0, number)
                model.waiting[one.id] = one
            case "start" if made.best():
                check_start(made, model, capacity)
            case "leave" if one.id in model.inside:
                made.leave(one.id)
                del model.inside[one.id]
            case "give up" if one.id in model.waiting:
                made.leave(one.id)
                del model.waiting[one.id]
    while model.inside or model.waiting:
        if made.best():
            check_start(made, model, capacity)
        else:
            assert model.inside, f"{sorted(model.waiting)} wait, nobody is inside, and nobody may start"
            made.leave(model.inside.popitem()[0])


def check_start(made, model, capacity):
    id = start_best(made)
    one = model.waiting.pop(id)
    model.inside[id] = one
    assert len(model.inside) <= capacity
    assert all(model.used(name) <= limit for name, limit in LIMITS.items())
    if any(other.exclusive for other in model.inside.values()):
        assert len(model.inside) == 1
    rivals = [
        other for other in model.waiting.values() if other.priority > one.priority and not other.resources
    ]
    assert not rivals, "one with a higher priority that lacks nothing was passed"


def test_who_lingers_gives_back_its_place_and_keeps_its_resources():
    queue = ReadyQueue(1, {"db": 1})
    for id in ("a", "b"):
        queue.join(Job.of(id, resources={"db": 1}), 0.0, 0)
    queue.join(Job.of("c"), 0.0, 1)
    assert queue.start("a")
    queue.leave("a", lingers=True)
    assert queue.best() == ("c", ""), "there is a place, and no db for b"
    assert queue.start("c")
    queue.leave("c")
    assert queue.best() is None
    queue.give_back("a")
    assert queue.best() == ("b", "resource")
