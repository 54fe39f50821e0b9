"""Plans for other verbs: who takes part, in which order, and what comes of checks that should not hold."""

from dataclasses import replace

import pytest
from driver import Drive, said
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_from_data, plan_to_data
from jobtest.core.model import Command, Edge, EdgeKind, Job, OnFailure, Outcome, Phase, Retry, Verdict
from jobtest.core.past import Past, Resumed
from jobtest.core.planner import make_plan
from jobtest.core.summary import summarize
from jobtest.core.verbs import describe_plan, verb_graph, verb_plan
from jobtest.testing import Act
from jobtest.testing.strategies import graphs

THERE, GONE = Past(run="r1", definition="d"), Past(run="r1", gone=True)
DELETE = ("delete",)


def deleting(*jobs, pasts=None, **asked):
    return verb_plan(Graph(jobs), "delete", reverse=True, command=Command.DELETE, pasts=pasts, **asked)


def job(id, *needs, functions=DELETE, check=False, **rest):
    return Job.of(id, needs=needs, functions=functions, check=check, **rest)


def reaches(graph, start):
    """Return whom a job waits for, over others or not."""
    seen, todo = set(), [start]
    while todo:
        for edge in graph.upstream(todo.pop()):
            if edge.upstream not in seen:
                seen.add(edge.upstream)
                todo.append(edge.upstream)
    return seen


@given(graphs(), st.sets(st.integers(0, 8)), st.booleans())
def test_what_is_deleted_comes_after_all_that_wait_for_it_whoever_stands_between(graph, without, reverse):
    jobs = [replace(job, functions=() if int(job.id[1:]) in without else DELETE, skip="") for job in graph]
    graph = Graph(jobs)
    plan = verb_plan(graph, "delete", reverse=reverse)
    place = {id: at for at, id in enumerate(plan.order)}
    for id in graph.jobs:
        for up in reaches(graph, id):
            if graph[id].functions and graph[up].functions:
                assert (place[id] < place[up]) is reverse
                assert (id in reaches(plan.graph, up)) is reverse


@given(graphs(), st.data())
def test_a_selection_takes_along_all_that_needs_it(graph, data):
    graph = Graph(replace(job, functions=DELETE) for job in graph)
    select = set(data.draw(st.lists(st.sampled_from(list(graph.jobs)))) if graph.jobs else [])
    plan = deleting(*graph, select=select)
    assert set(plan.graph.jobs) == graph.descendants(select)
    assert set(plan.left_out) == set(graph.jobs) - set(plan.graph.jobs)


@given(graphs(), st.data())
def test_a_failed_delete_holds_up_exactly_what_its_job_needs(graph, data):
    graph = Graph(
        replace(job, functions=DELETE, retry=Retry(), on_failure=OnFailure.BLOCK, resources={})
        for job in graph
    )
    fails = set(data.draw(st.lists(st.sampled_from(list(graph.jobs)))) if graph.jobs else [])
    script = said(
        {f"{id} run": Verdict.RAISED for id in fails} | {f"{id} recheck": Verdict.OK for id in fails}
    )
    pasts = dict.fromkeys(graph.jobs, THERE)

    def acts(ticket):
        act = script(ticket)
        gone = ticket.phase is Phase.RECHECK and ticket.job.id not in fails
        return Act(Verdict.NOT_HOLDING) if gone else act

    outcomes = Drive(deleting(*graph, pasts=pasts), acts).to_the_end().outcomes()
    for id, outcome in outcomes.items():
        blocked = any(id in graph.closure([other]) and id != other for other in fails)
        expected = Outcome.BLOCKED if blocked else Outcome.FAILED if id in fails else Outcome.CHANGED
        assert outcome is expected, id


@pytest.mark.parametrize(
    ("past", "check", "asked", "outcome", "reason"),
    [
        (THERE, None, ["run"], Outcome.CHANGED, "the state says it is there"),
        (GONE, None, [], Outcome.UNCHANGED, "not there: the state says it is gone"),
        (None, None, ["run"], Outcome.CHANGED, "the state knows nothing of it"),
        (THERE, Verdict.OK, ["run", "recheck"], Outcome.CHANGED, "the state says it is there"),
        (GONE, Verdict.NOT_HOLDING, ["check"], Outcome.UNCHANGED, "not there: not_holding"),
        (None, Verdict.NOT_HOLDING, ["check"], Outcome.UNCHANGED, "not there: not_holding"),
        (GONE, Verdict.OK, ["check", "run", "recheck"], Outcome.CHANGED, "it is there"),
        (None, Verdict.OK, ["check", "run", "recheck"], Outcome.CHANGED, "it is there"),
    ],
)
def test_what_is_asked_before_a_delete(past, check, asked, outcome, reason):
    script = said({"a check": check or Verdict.OK, "a recheck": Verdict.NOT_HOLDING})
    plan = deleting(job("a", check=check is not None), pasts={"a": past} if past else {})
    drive = Drive(plan, script).to_the_end()
    assert [span.phase.value for span in drive.executor.spans] == asked
    assert (drive.outcomes()["a"], drive.events[-1].reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ({"a recheck": Verdict.OK}, Outcome.FAILED, "its check still holds after delete"),
        (
            {"a run": Verdict.RAISED, "a recheck": Verdict.OK},
            Outcome.FAILED,
            "delete raised raised; its check still holds",
        ),
        (
            {"a run": Verdict.RAISED, "a recheck": Verdict.NOT_HOLDING},
            Outcome.CHANGED,
            "the state says it is there",
        ),
        ({"a recheck": Verdict.BROKEN}, Outcome.FAILED, "its check is broken: broken"),
        ({"a run": Verdict.TIMED_OUT}, Outcome.FAILED, "delete timed_out"),
    ],
)
def test_the_check_must_not_hold_after_a_delete(script, outcome, reason):
    drive = Drive(deleting(job("a", check=True), pasts={"a": THERE}), said(script)).to_the_end()
    assert (drive.outcomes()["a"], drive.events[-1].reason) == (outcome, reason)


def test_a_delete_that_raised_though_all_is_gone_has_a_note():
    script = said({"a run": Verdict.RAISED, "a recheck": Verdict.NOT_HOLDING})
    drive = Drive(deleting(job("a", check=True), pasts={"a": THERE}), script).to_the_end()
    assert drive.events[-1].notes == ("delete raised raised, and its check does not hold any more",)


def test_a_delete_is_tried_again_and_asks_before_it():
    script = said({"a recheck 1": Verdict.OK, "a check 2": Verdict.NOT_HOLDING})
    drive = Drive(deleting(job("a", check=True, retry=Retry(retries=1)), pasts={}), script).to_the_end()
    assert [span.phase.value for span in drive.executor.spans] == ["check", "run", "recheck", "check"]
    assert drive.outcomes()["a"] is Outcome.CHANGED
    assert drive.events[-1].notes == ("it was not there any more before attempt 2",)


def test_a_job_without_the_function_is_skipped_and_stops_nobody():
    plan = deleting(job("a"), job("b", "a", functions=()), job("c", "b"))
    drive = Drive(plan).to_the_end()
    assert drive.started() == ["c", "a"]
    assert drive.outcomes()["b"] is Outcome.SKIPPED
    assert plan.decisions["b"].skip == "it has no delete_b"


def test_an_order_over_a_gap_is_only_an_order_if_it_was_one_on_the_way():
    after = Job(id="c", edges=(Edge("b", EdgeKind.AFTER),), functions=DELETE)
    plan = deleting(job("a"), job("b", "a", functions=()), after)
    assert [edge.kind for edge in plan.graph.upstream("a")] == [EdgeKind.AFTER]
    between = Job(id="b", edges=(Edge("a", EdgeKind.AFTER),))
    plan = deleting(job("a"), between, job("c", "b"))
    assert [edge.kind for edge in plan.graph.upstream("a")] == [EdgeKind.AFTER]
    both = replace(after, edges=(*after.edges, Edge("a", EdgeKind.NEEDS)))
    for jobs in ([job("b", "a", functions=()), both], [both, job("b", "a", functions=())]):
        plan = deleting(job("a"), *jobs)
        assert [edge.kind for edge in plan.graph.upstream("a")] == [EdgeKind.NEEDS]


def test_what_the_user_wants_to_keep_keeps_what_it_needs():
    plan = deleting(job("a"), job("b", "a"), exclude={"b": "not wanted"})
    drive = Drive(plan).to_the_end()
    assert not drive.started()
    assert plan.decisions["a"].reason == "b, which needs it, is skipped: not wanted"


@pytest.mark.parametrize(("past", "started"), [(THERE, []), (GONE, ["a"]), (None, ["a"])])
def test_a_skipped_job_that_is_there_keeps_what_it_needs(past, started):
    plan = deleting(job("a"), job("b", "a", skip="not here"), pasts={"b": past} if past else {})
    assert Drive(plan).to_the_end().started() == started


def test_who_is_blocked_is_told_by_whom():
    plan = deleting(job("a"), job("b", "a", on_failure=OnFailure.CONTINUE))
    drive = Drive(plan, said({"b run": Verdict.RAISED})).to_the_end()
    assert drive.outcomes() == {"a": Outcome.BLOCKED, "b": Outcome.FAILED}
    assert drive.events[-1].reason == "b, which needs it, failed"


def test_alone_means_alone():
    assert list(deleting(job("a"), job("b", "a"), select=["a"], alone=True).graph.jobs) == ["a"]


def test_values_of_earlier_runs_hold_up_nobody():
    taker = Job.of("b", takes=["a"], functions=DELETE)
    assert Drive(deleting(job("a"), taker)).to_the_end().started() == ["b", "a"]


def test_a_run_that_goes_on_does_not_delete_twice():
    jobs = [job("a"), job("b", "a")]
    plan = deleting(*jobs, resumed={"b": Resumed(run="r", outcome=Outcome.CHANGED)}, order={"a": 0})
    assert Drive(plan).to_the_end().started() == ["a"]
    refused = deleting(jobs[0], resumed={"a": Resumed(run="r", attempt=4, lost=3)})
    assert Drive(refused).to_the_end().outcomes()["a"] is Outcome.FAILED


def test_what_earlier_runs_owe_comes_first():
    owing = replace(job("a"), has_cleanup=True, has_rollback=True)
    drive = Drive(deleting(owing, owed=["a"], undo=["a"])).to_the_end()
    phases = [(span.phase, span.ticket.attempt) for span in drive.executor.spans]
    assert phases == [(Phase.ROLLBACK, 0), (Phase.CLEANUP, 0), (Phase.RUN, 1)]
    record = summarize(drive.plan, drive.entries).jobs["a"]
    assert record.tails == [record.earlier_rollback, record.earlier_cleanup]


def test_a_rollback_of_all_is_for_what_is_there():
    jobs = [job(id, functions=("rollback",), check=True) for id in "abc"]
    plan = verb_plan(
        Graph(jobs), "rollback", reverse=True, command=Command.ROLLBACK, pasts={"a": THERE, "b": GONE}
    )
    drive = Drive(plan).to_the_end()
    assert drive.started() == ["a"]
    assert plan.decisions["c"].reason == "not there: the state knows nothing of it"


def test_a_verb_of_the_project_goes_forward_and_asks_nothing():
    jobs = [job("b", "a", functions=("backup",), check=True), job("a", functions=("backup",))]
    drive = Drive(verb_plan(Graph(jobs), "backup"), said({"a run": Verdict.RAISED})).to_the_end()
    assert [(span.job, span.phase) for span in drive.executor.spans] == [("a", Phase.RUN)]
    assert [event.reason for event in drive.events[-2:]] == ["backup raised raised", "upstream a failed"]


def test_an_update_takes_the_place_of_the_run_if_the_job_is_there():
    updates = job("a", functions=("update",))
    for past, calls, reason in (
        (THERE, "update", "no check; a leaf (update)"),
        (GONE, "job", "no check; a leaf"),
    ):
        plan = make_plan(Graph([updates]), pasts={"a": past})
        assert plan.graph["a"].calls == calls
        assert Drive(plan).to_the_end().events[-1].reason == reason
    held = replace(updates, is_generator=True)
    assert make_plan(Graph([held]), pasts={"a": THERE}).graph["a"].calls == "job"


def test_a_failed_update_says_so():
    plan = make_plan(Graph([job("a", functions=("update",))]), pasts={"a": THERE})
    assert (
        Drive(plan, said({"a run": Verdict.RAISED})).to_the_end().events[-1].reason == "update raised raised"
    )


@pytest.mark.parametrize(
    ("past", "check", "asked", "reason"),
    [
        (THERE, Verdict.OK, ["check", "describe"], "as declared"),
        (THERE, Verdict.NOT_HOLDING, ["check", "describe"], "drifted: not_holding"),
        (GONE, Verdict.NOT_HOLDING, ["check"], "gone"),
        (None, Verdict.NOT_HOLDING, ["check"], "not created"),
        (None, Verdict.OK, ["check", "describe"], "as declared"),
        (THERE, None, ["describe"], "created"),
        (GONE, None, [], "gone"),
    ],
)
def test_what_is_asked_to_describe_a_job(past, check, asked, reason):
    described = job("a", check=check is not None, has_describe=True)
    plan = describe_plan(Graph([described]), pasts={"a": past} if past else {})
    drive = Drive(plan, said({"a check": check or Verdict.OK})).to_the_end()
    assert [span.phase.value for span in drive.executor.spans] == asked
    assert (drive.outcomes()["a"], drive.events[-1].reason) == (Outcome.UNCHANGED, reason)


def test_a_description_ends_no_other_one():
    jobs = [job("a", has_describe=True), Job.of("b", takes=["a"], has_describe=True)]
    plan = describe_plan(Graph(jobs), pasts=dict.fromkeys("ab", THERE), exclude={})
    drive = Drive(plan, said({"a describe": Verdict.RAISED})).to_the_end()
    assert drive.outcomes() == {"a": Outcome.FAILED, "b": Outcome.UNCHANGED}
    assert describe_plan(Graph(jobs), exclude={"a": "no"}).decisions["a"].skip == "no"


def test_what_was_declared_otherwise_is_told():
    jobs = Graph([job("a", check=True, definition="new")])
    note = ("its definition has changed since its last success, in run r1",)
    for plan in (
        describe_plan(jobs, pasts={"a": THERE}),
        make_plan(jobs, pasts={"a": THERE}, command=Command.DRIFT),
    ):
        assert Drive(plan).to_the_end().events[-1].notes == note
    gone = replace(GONE, definition="old")
    assert not Drive(describe_plan(jobs, pasts={"a": gone})).to_the_end().events[-1].notes


@pytest.mark.parametrize("gone", [True, False])
def test_a_value_of_what_is_gone_is_made_anew(gone):
    jobs = [job("a", check=True), Job.of("b", takes=["a"])]
    plan = make_plan(Graph(jobs), pasts={"a": Past(run="r1", value="v", gone=gone)})
    assert ("a" in Drive(plan).to_the_end().started(Phase.RUN)) is gone


def test_the_graph_of_a_verb_is_that_of_its_plan():
    graph = Graph([job("a"), job("b", "a", functions=()), job("c", "b", check=True)])
    plan = verb_plan(graph, "delete", reverse=True, pasts={"c": THERE})
    assert list(verb_graph(graph, "delete", {"c": THERE}, reverse=True)) == list(plan.graph)


def test_a_plan_for_a_verb_to_data_and_back():
    plan = deleting(job("a", check=True), job("b", "a", functions=()), pasts={"a": THERE})
    back = plan_from_data(plan_to_data(plan))
    assert (list(back.graph), back.decisions, back.verb, back.reverse) == (
        list(plan.graph),
        plan.decisions,
        "delete",
        True,
    )
    assert back.command is Command.DELETE
