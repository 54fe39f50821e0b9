"""Graphs are valid or they are not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.errors import ProjectError
from jobtest.core.graph import Graph
from jobtest.core.model import Edge, EdgeKind, Job
from jobtest.testing import strategies as my


def wanted(graph, ids):
    """Return what `ids` need, the slow way: add until nothing is added."""
    found = set(ids)
    while True:
        more = {e.upstream for id in found for e in graph[id].edges if e.kind is not EdgeKind.AFTER} - found
        if not more:
            return found
        found |= more


def refused(jobs):
    with pytest.raises(ProjectError) as caught:
        Graph(jobs)
    return caught.value


@given(my.graphs(), st.data())
def test_the_closure_is_the_smallest_set_closed_under_upstream(graph, data):
    ids = data.draw(st.lists(st.sampled_from(list(graph.jobs)))) if len(graph) else []
    assert graph.closure(ids) == wanted(graph, ids)


@given(my.graphs(plain=True))
def test_descendants_are_those_in_whose_closure_one_is(graph):
    for id in graph.jobs:
        assert graph.descendants([id]) == {other for other in graph.jobs if id in graph.closure([other])}


@given(my.graphs())
def test_downstream_is_upstream_turned_round(graph):
    down = {(id, other, kind) for id in graph.jobs for other, kind in graph.downstream(id)}
    assert down == {(e.upstream, id, e.kind) for id in graph.jobs for e in graph.upstream(id)}


@given(my.graphs(plain=True), st.data())
def test_a_part_keeps_order_and_drops_edges_that_lead_out_of_it(graph, data):
    ids = data.draw(st.lists(st.sampled_from(list(graph.jobs)))) if len(graph) else []
    kept = graph.closure(ids)
    part = graph.only(kept)
    assert list(part.jobs) == [id for id in graph.jobs if id in kept]
    for id in part.jobs:
        assert list(part.upstream(id)) == [edge for edge in graph.upstream(id) if edge.upstream in kept]


@given(my.graphs(plain=True))
def test_all_of_a_graph_is_the_graph_itself(graph):
    assert graph.only(set(graph.jobs)) is graph


@given(my.circles())
def test_a_reported_cycle_is_a_real_cycle(jobs):
    by_id = {job.id: job for job in jobs}
    verbs = {EdgeKind.VALUE: "takes the value of", EdgeKind.NEEDS: "needs", EdgeKind.AFTER: "comes after"}
    for problem in refused(jobs).problems:
        steps = [line.split(":")[0].split(" ") for line in problem.at]
        for (one, *verb, other), (following, *_) in zip(steps, [*steps[1:], steps[0]], strict=True):
            assert other == following
            assert any(
                edge.upstream == other and verbs[edge.kind] == " ".join(verb) for edge in by_id[one].edges
            )


@given(my.circles())
def test_every_circle_is_broken_when_one_edge_of_each_reported_one_is_taken_away_often_enough(jobs):
    edges = {job.id: list(job.edges) for job in jobs}
    for _ in range(sum(map(len, edges.values())) + 1):
        try:
            Graph([Job(id=job.id, edges=tuple(edges[job.id])) for job in jobs])
        except ProjectError as error:
            for problem in error.problems:
                one, *_, other = problem.at[0].split(":")[0].split(" ")
                edges[one] = [edge for edge in edges[one] if edge.upstream != other]
        else:
            return
    raise AssertionError("a cycle was reported where none is left")


def test_a_graph_is_a_collection_in_definition_order():
    graph = Graph([Job.of("b", needs=["a"]), Job.of("a")])
    assert [job.id for job in graph] == ["b", "a"]
    assert len(graph) == 2
    assert "a" in graph
    assert "c" not in graph
    assert graph["b"].id == "b"


def test_an_order_only_edge_to_a_job_that_is_not_there_is_nothing():
    graph = Graph([Job.of("a", after=["zzz"])])
    assert list(graph.upstream("a")) == []


def test_a_cycle_is_told_edge_by_edge_with_its_places():
    a = Job(id="x::a", name="a", edges=(Edge("x::b", EdgeKind.VALUE, "x.py:3 job_a"),))
    b = Job(id="x::b", name="b", edges=(Edge("x::c", EdgeKind.NEEDS),), at="x.py:9 job_b")
    c = Job(id="x::c", name="c", edges=(Edge("x::a", EdgeKind.AFTER),))
    assert str(refused([a, b, c])) == (
        "jobs wait for each other in a circle: a -> b -> c -> a\n"
        "  at: a takes the value of b: x.py:3 job_a\n"
        "  at: b needs c: x.py:9 job_b\n"
        "  at: c comes after a\n"
        "  fix: take one of these edges away"
    )


def test_a_job_that_waits_for_itself_is_told_so():
    assert str(refused([Job.of("a", takes=["a"])])) == (
        "job 'a' waits for itself\n  at: a takes the value of a\n  fix: take one of these edges away"
    )


def test_two_cycles_are_told_both_and_one_that_hangs_on_another_once():
    jobs = [
        Job.of("a", needs=["a"]),
        Job.of("b", needs=["c", "a"]),
        Job.of("c", needs=["b"]),
        Job.of("d", needs=["b"]),
    ]
    assert [problem.what for problem in refused(jobs).problems] == [
        "job 'a' waits for itself",
        "jobs wait for each other in a circle: b -> c -> b",
    ]


def test_a_long_cycle_is_cut_in_the_middle():
    jobs = [Job.of(f"j{number}", needs=[f"j{(number + 1) % 20}"]) for number in range(20)]
    (problem,) = refused(jobs).problems
    assert len(problem.at) == 17
    assert problem.at[7:10] == ("j7 needs j8", "... 4 more ...", "j12 needs j13")
    assert problem.what.endswith("j7 -> ... -> j12 -> j13 -> j14 -> j15 -> j16 -> j17 -> j18 -> j19 -> j0")


def test_a_cycle_of_sixteen_is_shown_whole():
    jobs = [Job.of(f"j{number}", needs=[f"j{(number + 1) % 16}"]) for number in range(16)]
    (problem,) = refused(jobs).problems
    assert len(problem.at) == 16


def test_all_problems_are_told_together():
    jobs = [
        Job(id="build", at="a.py:1 job_build"),
        Job(id="build", at="b.py:1 job_build"),
        Job.of("app", needs=["biuld"]),
        Job(id="web", edges=(Edge("xyz", at="w.py:3 job_web"),), at="w.py:1 job_web"),
        Job(id="cli", edges=(Edge("xyz"),), at="c.py:1 job_cli"),
        Job.of("build"),
    ]
    assert str(refused(jobs)) == (
        "two jobs have the id 'build'\n"
        "  at: a.py:1 job_build\n  at: b.py:1 job_build\n  fix: rename one of them\n"
        "two jobs have the id 'build'\n  at: a.py:1 job_build\n  fix: rename one of them\n"
        "job 'app' needs 'biuld', which is not a job\n  fix: did you mean 'build'?\n"
        "job 'web' needs 'xyz', which is not a job\n"
        "  at: w.py:3 job_web\n  fix: jobs are: app, build, cli, web\n"
        "job 'cli' needs 'xyz', which is not a job\n"
        "  at: c.py:1 job_cli\n  fix: jobs are: app, build, cli, web"
    )


def test_a_chain_of_ten_thousand_and_its_circle_need_no_recursion():
    chain = [Job.of("j0"), *(Job.of(f"j{number}", needs=[f"j{number - 1}"]) for number in range(1, 10_000))]
    graph = Graph(chain)
    assert len(graph.closure(["j9999"])) == 10_000
    assert len(graph.descendants(["j0"])) == 10_000
    assert len(refused([Job.of("j0", needs=["j9999"]), *chain[1:]]).problems) == 1
