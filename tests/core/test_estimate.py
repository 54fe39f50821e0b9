"""How long a run may take, without running it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.estimate import estimate
from jobtest.core.graph import Graph
from jobtest.core.model import Job
from jobtest.core.planner import make_plan
from jobtest.testing import strategies as my
from tests.core.driver import Drive

WORKERS = st.integers(1, 5)


def plan_of(*jobs, **settings):
    return make_plan(Graph(jobs), **settings)


def longest(plan, seconds):
    """The length of the critical path, by the definition."""
    ends = {}
    for id in plan.order:
        ups = [ends[edge.upstream] for edge in plan.graph.upstream(id)]
        ends[id] = seconds[id] + max(ups, default=0.0)
    return max(ends.values(), default=0.0)


@st.composite
def timed(draw, least=0):
    plan = draw(my.plans())
    return plan, {id: float(draw(st.integers(least, 9))) for id in plan.graph.jobs}


@st.composite
def never_two_at_once(draw):
    """A graph whose jobs never end at the same instant, and never go equally well before each other."""
    graph = draw(my.graphs(plain=True))
    return graph, {id: 2.0 ** int(id[1:]) for id in graph.jobs}


@given(timed(), WORKERS)
def test_it_keeps_the_bound_of_graham(case, workers):
    plan, seconds = case
    critical = longest(plan, seconds)
    work = sum(seconds.values())
    took = estimate(plan, seconds, workers)
    assert critical <= took <= (work - critical) / workers + critical + 1e-9


@given(timed())
def test_one_worker_does_the_sum(case):
    plan, seconds = case
    assert estimate(plan, seconds, 1) == sum(seconds.values())


@given(timed())
def test_enough_workers_do_the_critical_path(case):
    plan, seconds = case
    assert estimate(plan, seconds, max(1, len(plan.graph))) == longest(plan, seconds)


@given(never_two_at_once(), WORKERS)
def test_it_is_what_a_run_takes(case, workers):
    graph, seconds = case
    plan = make_plan(graph, seconds=seconds)
    run = Drive(plan, my.Script({}, seconds), capacity=workers)
    began = run.now
    assert estimate(plan, seconds, workers) == run.to_the_end().now - began


@given(never_two_at_once(), WORKERS, st.randoms(use_true_random=False))
def test_it_does_not_depend_on_the_order_of_definitions(case, workers, random):
    graph, seconds = case
    jobs = list(graph)
    random.shuffle(jobs)
    one, other = make_plan(graph, seconds=seconds), make_plan(Graph(jobs), seconds=seconds)
    assert estimate(one, seconds, workers) == estimate(other, seconds, workers)


@given(timed(least=1), WORKERS, st.data())
def test_a_job_without_seconds_counts_as_the_mean_of_all_that_are_given(case, workers, data):
    plan, seconds = case
    known = {id: took for id, took in seconds.items() if data.draw(st.booleans())}
    mean = sum(known.values()) / len(known) if known else 0.0
    filled = {id: known.get(id, mean) for id in seconds}
    assert estimate(plan, known, workers) == estimate(plan, filled, workers)


def test_nothing_takes_no_time():
    assert estimate(plan_of(), {"gone": 5.0}, 3) == 0.0
    assert estimate(plan_of(Job.of("a"), Job.of("b")), {}, 1) == 0.0


def test_jobs_that_are_not_in_the_plan_count_for_the_mean():
    assert estimate(plan_of(Job.of("new")), {"other": 2.0, "another": 4.0}, 1) == 3.0


@pytest.mark.parametrize(
    ("jobs", "seconds", "expected"),
    [
        (
            [Job.of("first"), Job.of("second"), Job.of("urgent", priority=1)],
            {"first": 1.0, "second": 1.0, "urgent": 4.0},
            4.0,
        ),
        (
            [Job.of("short"), Job.of("other"), Job.of("start"), Job.of("rest", needs=["start"])],
            {"short": 2.0, "other": 2.0, "start": 2.0, "rest": 4.0},
            6.0,
        ),
        ([Job.of("a"), Job.of("b"), Job.of("c")], {"a": 1.0, "b": 2.0, "c": 4.0}, 5.0),
    ],
    ids=["priority", "rank", "definition"],
)
def test_a_free_worker_takes_what_the_plan_prefers(jobs, seconds, expected):
    plan = plan_of(*jobs, seconds=None if "a" in seconds else seconds)
    assert estimate(plan, seconds, 2) == expected


def test_who_is_let_go_at_an_instant_is_asked_before_the_next_is_taken():
    first = [Job.of("a", priority=2), Job.of("b", priority=2)]
    urgent = [Job.of("c", needs=["b"], priority=1), Job.of("d", needs=["b"], priority=1)]
    seconds = {"a": 1.0, "b": 1.0, "c": 5.0, "d": 8.0, "low": 3.0}
    assert estimate(plan_of(*first, *urgent, Job.of("low")), seconds, 2) == 9.0


def test_a_long_chain_and_a_wide_fan_are_no_trouble():
    chain = [Job.of("j0"), *(Job.of(f"j{n}", needs=[f"j{n - 1}"]) for n in range(1, 3000))]
    fan = [Job.of("top"), *(Job.of(f"f{n}", needs=["top"]) for n in range(3000))]
    assert estimate(plan_of(*chain, *fan), {"j0": 1.0}, 4) == 3000.0
