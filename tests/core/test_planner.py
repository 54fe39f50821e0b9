"""What takes part and why, and how early."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.graph import Graph
from jobtest.core.model import Command, EdgeKind, Job
from jobtest.core.planner import make_plan
from jobtest.testing import strategies as my


def plan_of(*jobs, **settings):
    return make_plan(Graph(jobs), **settings)


def reasons(plan):
    return {id: decision.reason for id, decision in plan.decisions.items()}


# --- properties ---


@given(my.plans())
def test_upstream_comes_first_in_the_order_and_in_earlier_waves(plan):
    at = {id: number for number, id in enumerate(plan.order)}
    wave = {id: number for number, ids in enumerate(plan.waves) for id in ids}
    assert sorted(at) == sorted(plan.graph.jobs) == sorted(wave)
    for id in plan.graph.jobs:
        ups = [edge.upstream for edge in plan.graph.upstream(id)]
        assert all(at[up] < at[id] for up in ups)
        assert wave[id] == plan.decisions[id].wave == max((wave[up] + 1 for up in ups), default=0)


@given(my.graphs(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_definitions(graph, random):
    jobs = list(graph)
    random.shuffle(jobs)
    seconds = {id: 2.0 ** int(id[1:]) for id in graph.jobs}
    one, other = make_plan(graph, seconds=seconds), make_plan(Graph(jobs), seconds=seconds)
    assert one.order == other.order
    assert one.critical_path == other.critical_path
    for id in graph.jobs:
        mine, theirs = one.decisions[id], other.decisions[id]
        assert replace(mine, reason="") == replace(theirs, reason="")
        assert bool(mine.reason) is bool(theirs.reason)


@given(my.graphs(), st.data())
def test_a_job_is_left_out_if_and_only_if_it_has_a_reason(graph, data):
    ids = data.draw(st.lists(st.sampled_from(list(graph.jobs)))) if len(graph) else []
    plan = make_plan(graph, select=ids)
    kept = graph.closure(ids)
    assert set(plan.decisions) == set(plan.graph.jobs) == kept
    assert plan.left_out == dict.fromkeys((id for id in graph.jobs if id not in kept), "not selected")
    assert all(decision.reason for decision in plan.decisions.values())


@given(my.plans())
def test_what_needs_a_skipped_job_is_skipped_and_names_it(plan):
    skipped = {id for id, decision in plan.decisions.items() if decision.skip}
    roots = {id for id in skipped if not plan.decisions[id].causes}
    assert skipped == plan.graph.descendants(roots)
    for id in skipped - roots:
        (cause,) = plan.decisions[id].causes
        assert cause in roots
        assert id in plan.graph.descendants([cause])


@given(my.graphs(), st.data())
def test_the_rank_is_the_longest_way_to_the_end_and_the_critical_path_takes_it(graph, data):
    seconds = {id: float(data.draw(st.integers(1, 9))) for id in graph.jobs}
    plan = make_plan(graph, seconds=seconds)
    longest = {}
    for id in reversed(plan.order):
        longest[id] = seconds[id] + max((longest[other] for other, _ in graph.downstream(id)), default=0.0)
        assert plan.decisions[id].rank == longest[id]
    assert sum(seconds[id] for id in plan.critical_path) == max(longest.values(), default=0.0)


@given(my.graphs())
def test_what_runs_only_on_demand_is_taken_and_surely_taken_by_nobody(graph):
    plan = make_plan(graph)
    for id, job in graph.jobs.items():
        decision = plan.decisions[id]
        kinds = {kind for _, kind in graph.downstream(id)}
        if job.has_check or job.always:
            assert decision.needed
        elif not decision.needed:
            assert kinds == {EdgeKind.VALUE}
            for other, _ in graph.downstream(id):
                consumer = graph[other]
                assert consumer.has_run
                assert id not in consumer.early
                assert consumer.has_check or not plan.decisions[other].needed


# --- what each job is told ---


def test_a_job_with_a_check_is_kept_true():
    plan = plan_of(Job.of("a", check=True))
    assert plan.decisions["a"].needed
    assert reasons(plan) == {"a": "has a check"}


def test_a_job_without_a_check_runs_if_nothing_needs_it():
    assert reasons(plan_of(Job.of("a"), Job.of("b", after=["a"]))) == {
        "a": "no check; a leaf",
        "b": "no check; a leaf",
    }


def test_a_job_without_a_check_runs_if_it_is_needed_not_only_taken():
    plan = plan_of(Job.of("a"), Job.of("b", needs=["a"], check=True))
    assert reasons(plan)["a"] == "no check; b needs it"


def test_a_job_without_a_check_runs_if_it_is_taken_by_one_and_awaited_by_another():
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"], check=True), Job.of("c", after=["a"]))
    assert reasons(plan)["a"] == "no check; c comes after it"


def test_a_job_without_a_check_waits_for_demand_if_its_consumers_may_have_nothing_to_do():
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", takes=["b"], check=True))
    assert [plan.decisions[id].needed for id in "abc"] == [False, False, True]
    assert reasons(plan)["a"] == "not needed"


@pytest.mark.parametrize(
    ("consumer", "settings"),
    [
        (Job.of("b", takes=["a"]), {}),
        (Job.of("b", takes=["a"], check=True), {"force": ["b"]}),
        (Job.of("b", takes=["a"], check=True, early=frozenset({"a"})), {}),
        (Job.of("b", takes=["a"], check=True, has_run=False), {}),
    ],
)
def test_a_job_without_a_check_runs_if_its_value_is_sure_to_be_taken(consumer, settings):
    assert reasons(plan_of(Job.of("a"), consumer, **settings))["a"] == "no check; b takes its value"


def test_a_value_that_another_parameter_takes_early_is_not_this_one():
    consumer = Job.of("b", takes=["a", "x"], check=True, early=frozenset({"x"}))
    plan = plan_of(Job.of("a"), Job.of("x"), consumer)
    assert not plan.decisions["a"].needed
    assert plan.decisions["x"].needed


def test_a_job_without_a_check_runs_if_it_is_named_always_or_forced():
    jobs = [
        Job.of("a"),
        Job.of("d", always=True),
        Job.of("f"),
        Job.of("z", takes=["a", "d", "f"], check=True),
    ]
    plan = plan_of(*jobs, named=["a"], force=["f"])
    assert reasons(plan) == {
        "a": "no check; selected by name",
        "d": "no check; always",
        "f": "forced",
        "z": "has a check",
    }
    assert [id for id, decision in plan.decisions.items() if decision.must_run] == ["f"]


def test_a_skipped_consumer_does_not_count():
    jobs = [Job.of("a"), Job.of("b", needs=["a"]), Job.of("c", takes=["a"], check=True)]
    plan = plan_of(*jobs, exclude={"b": "not today"})
    assert not plan.decisions["a"].needed


def test_skipping_says_why_and_where_it_comes_from():
    jobs = [
        Job.of("a", skip="only on Mondays"),
        Job.of("b", takes=["a"]),
        Job.of("c", needs=["b"]),
        Job.of("d", after=["a"]),
    ]
    plan = plan_of(*jobs, exclude={"a": "excluded"})
    assert {id: decision.skip for id, decision in plan.decisions.items()} == {
        "a": "only on Mondays",
        "b": "upstream a is skipped: only on Mondays",
        "c": "upstream a is skipped: only on Mondays",
        "d": "",
    }
    assert plan.decisions["c"].causes == ("a",)


def test_an_excluded_job_says_so():
    assert plan_of(Job.of("a", check=True), exclude={"a": "excluded"}).decisions["a"].skip == "excluded"


def test_a_drift_asks_checks_and_nothing_else_and_knows_only_order():
    jobs = [Job.of("a"), Job.of("b", takes=["a"], check=True), Job.of("c", needs=["b"], check=True)]
    plan = plan_of(*jobs, command=Command.DRIFT)
    assert {id: decision.skip for id, decision in plan.decisions.items()} == {
        "a": "no check",
        "b": "",
        "c": "",
    }
    assert {e.kind for id in "abc" for e in plan.graph.upstream(id)} == {EdgeKind.AFTER}
    assert plan.order == ("a", "b", "c")
    assert plan.command is Command.DRIFT


@pytest.mark.parametrize("name", ["select", "named", "force"])
def test_an_id_that_is_not_there_is_refused(name):
    with pytest.raises(KeyError):
        plan_of(Job.of("a"), **{name: ["b"]})


# --- order ---


def test_one_worker_takes_priority_then_the_longer_way_then_definition():
    jobs = [
        Job.of("short"),
        Job.of("long"),
        Job.of("end", needs=["long"]),
        Job.of("also"),
        Job.of("urgent", priority=1),
    ]
    assert plan_of(*jobs).order == ("urgent", "long", "short", "end", "also")


def test_jobs_without_a_known_duration_count_as_the_mean_of_the_others():
    plan = plan_of(Job.of("a"), Job.of("b"), Job.of("c"), seconds={"a": 2.0, "b": 4.0})
    assert {id: decision.rank for id, decision in plan.decisions.items()} == {"a": 2.0, "b": 4.0, "c": 3.0}


def test_without_known_durations_each_job_counts_one():
    plan = plan_of(Job.of("a"), Job.of("b", needs=["a"]))
    assert [plan.decisions[id].rank for id in "ab"] == [2.0, 1.0]


def test_an_empty_plan_has_no_order_no_waves_and_no_critical_path():
    plan = plan_of()
    assert (plan.order, plan.waves, plan.critical_path) == ((), (), ())


def test_a_chain_of_ten_thousand_is_planned_without_recursion():
    chain = [Job.of("j0"), *(Job.of(f"j{at}", takes=[f"j{at - 1}"]) for at in range(1, 10_000))]
    plan = plan_of(*chain, exclude={"j5000": "cut"})
    assert len(plan.waves) == len(plan.critical_path) == len(plan.order) == 10_000
    assert sum(1 for decision in plan.decisions.values() if decision.skip) == 5000
