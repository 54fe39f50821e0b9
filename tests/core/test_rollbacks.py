"""Rollbacks: whose are due, when, and in which order."""

from dataclasses import replace

import pytest
from driver import Drive, said
from hypothesis import given

from jobtest.core.data import from_data, to_data
from jobtest.core.events import JobEnded, PhaseEnded, PhaseStarted, RunStopped
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_from_data, plan_to_data
from jobtest.core.model import NOT_ENTERED, Failure, Job, Outcome, Phase, Retry, Verdict
from jobtest.core.past import OwedRollback, Past, Resumed
from jobtest.core.planner import make_plan
from jobtest.core.resume import how_left
from jobtest.core.summary import summarize
from jobtest.core.tail import Tail
from jobtest.testing import Act, simulate
from jobtest.testing.strategies import cases


def job(id, *needs, **rest):
    return Job.of(id, needs=needs, has_rollback=True, **rest)


def driven(*jobs, whole_run=False, script=None, **asked):
    plan = replace(make_plan(Graph(jobs), **asked), rolls_back=whole_run)
    return Drive(plan, said(script or {})).to_the_end()


def phases(drive):
    return [f"{span.job} {span.phase.value}" for span in drive.executor.spans]


def of_run(plan, case):
    """Carry out a plan by the script of a case; return its events."""
    entries = []
    simulate(plan, case.script, observers=[entries.append], **case.settings)
    return [entry.event for entry in entries]


def entered_in(events):
    """Return whose run phase was entered, in the order in which those began."""
    begun, entered = [], []
    for event in events:
        if isinstance(event, PhaseStarted) and event.phase is Phase.RUN and event.job not in entered:
            begun = [*(id for id in begun if id != event.job), event.job]
        if isinstance(event, PhaseEnded) and event.phase is Phase.RUN and event.verdict not in NOT_ENTERED:
            entered.append(event.job)
    return [id for id in begun if id in entered]


def rolled_back(events):
    """Return who was rolled back, in order."""
    started = [event for event in events if isinstance(event, PhaseStarted)]
    return [event.job for event in started if event.phase is Phase.ROLLBACK]


def test_a_job_that_failed_is_rolled_back_before_the_next_one_starts():
    drive = driven(job("a", has_cleanup=True), job("b"), script={"a run": Verdict.RAISED})
    assert phases(drive) == ["a run", "a rollback", "b run", "a cleanup"]


def test_it_is_rolled_back_once_it_has_failed_for_good():
    drive = driven(job("a", retry=Retry(retries=1)), script={"a run": Verdict.RAISED})
    assert phases(drive) == ["a run", "a run", "a rollback"]
    well = driven(job("a", retry=Retry(retries=1)), script={"a run 1": Verdict.RAISED})
    assert phases(well) == ["a run", "a run"]


@pytest.mark.parametrize("verdict", [Verdict.SETUP_ERROR, Verdict.NOT_BEGUN, Verdict.INTERRUPTED])
def test_what_was_not_entered_or_was_interrupted_is_not_rolled_back(verdict):
    assert phases(driven(job("a"), script={"a run": verdict})) == ["a run"]


def test_a_rollback_that_raises_changes_no_outcome():
    drive = driven(job("a"), job("b"), script={"a run": Verdict.RAISED, "a rollback": Verdict.RAISED})
    assert drive.outcomes() == {"a": Outcome.FAILED, "b": Outcome.CHANGED}
    record = summarize(drive.plan, drive.entries).jobs["a"]
    assert (record.rollback.ok, str(record.rollback.failure), record.tails) == (
        False,
        "raised",
        [record.rollback],
    )
    assert record.failure == Failure("raised")


def test_the_whole_run_is_rolled_back_last_entered_first_before_cleanups():
    jobs = [job("a", has_cleanup=True), job("b", "a"), Job.of("c", needs=["b"]), job("d", "c"), job("e", "d")]
    drive = driven(*jobs, whole_run=True, script={"d run": Verdict.RAISED})
    assert phases(drive)[4:] == ["d rollback", "b rollback", "a rollback", "a cleanup"]
    assert drive.outcomes()["e"] is Outcome.BLOCKED


def test_nothing_new_starts_once_the_run_is_rolled_back():
    drive = driven(job("a"), job("b"), whole_run=True, script={"a run": Verdict.RAISED})
    assert phases(drive) == ["a run", "a rollback"]
    assert RunStopped("job a failed, and the run is rolled back") in drive.events
    assert drive.outcomes()["b"] is Outcome.CANCELLED


def test_what_still_runs_comes_to_its_end_before_the_run_is_rolled_back():
    plan = replace(make_plan(Graph([job("a"), job("b")])), rolls_back=True)
    script = said({"a run": Verdict.RAISED, "b run": Act(seconds=9.0)})
    drive = Drive(plan, script, capacity=2).to_the_end()
    assert phases(drive) == ["a run", "b run", "b rollback", "a rollback"]


def test_a_job_that_was_tried_again_has_the_turn_of_its_first_attempt():
    jobs = [job("a", retry=Retry(retries=1, delay=5.0)), job("b"), Job.of("c", needs=["a", "b"])]
    drive = driven(*jobs, whole_run=True, script={"a run 1": Verdict.RAISED, "c run": Verdict.RAISED})
    assert phases(drive) == ["a run", "b run", "a run", "c run", "b rollback", "a rollback"]


def test_what_a_job_failed_of_is_what_its_run_raised():
    script = {f"{id} {phase}": Verdict.NOT_HOLDING for id in "ab" for phase in ("check", "recheck")}
    drive = driven(job("a", check=True), job("b", check=True), script={**script, "a run": Verdict.RAISED})
    jobs = summarize(drive.plan, drive.entries).jobs
    assert [str(jobs[id].failure) for id in "ab"] == ["raised", "not_holding"]


def test_a_job_that_failed_without_a_call_failed_of_its_reason():
    drive = driven(job("a"), resumed={"a": Resumed(run="r", lost=3)})
    record = summarize(drive.plan, drive.entries).jobs["a"]
    assert str(record.failure) == "3 runs in a row were killed while it ran, the last one r"


def test_others_are_rolled_back_though_one_rollback_raises():
    script = {"b run": Verdict.RAISED, "b rollback": Verdict.RAISED}
    assert phases(driven(job("a"), job("b", "a"), whole_run=True, script=script))[2:] == [
        "b rollback",
        "a rollback",
    ]


def test_without_a_failure_nothing_is_rolled_back():
    assert phases(driven(job("a"), whole_run=True)) == ["a run"]


@given(cases())
def test_rollbacks_are_exactly_those_of_what_failed_each_once(case):
    graph = Graph(replace(job, has_rollback=job.has_run) for job in case.plan.graph)
    events = of_run(replace(case.plan, graph=graph), case)
    failed = {
        event.job for event in events if isinstance(event, JobEnded) and event.outcome is Outcome.FAILED
    }
    assert sorted(rolled_back(events)) == sorted(set(entered_in(events)) & failed)


@given(cases())
def test_a_run_is_rolled_back_in_reverse_order_of_entering(case):
    graph = Graph(replace(job, has_rollback=job.has_run) for job in case.plan.graph)
    events = of_run(replace(case.plan, graph=graph, rolls_back=True), case)
    failed = any(isinstance(event, JobEnded) and event.outcome is Outcome.FAILED for event in events)
    assert rolled_back(events) == (list(reversed(entered_in(events))) if failed else [])


def test_what_an_earlier_run_owes_comes_first_last_entered_first():
    plan = make_plan(Graph([job("a"), job("b"), Job.of("c")]), undo=["a", "b", "c"])
    drive = Drive(plan).to_the_end()
    assert phases(drive)[:2] == ["b rollback", "a rollback"]
    record = summarize(plan, drive.entries).jobs["a"]
    assert record.earlier_rollback.ok
    assert record.rollback is None


def test_a_job_that_was_entered_in_the_run_before_is_rolled_back():
    left = {"a": Resumed(run="r", attempt=2, lost=1, entered=True)}
    drive = driven(job("a", check=True), resumed=left, script={"a check": Verdict.BROKEN})
    assert phases(drive) == ["a check", "a rollback"]


def test_a_job_that_was_rolled_back_begins_anew_and_a_failed_one_has_failed():
    drive = driven(job("a"), job("b", "a"), whole_run=True, script={"b run": Verdict.RAISED})
    left = how_left(drive.plan, drive.entries)
    assert left["a"].outcome is None
    assert not left["a"].entered
    assert left["b"].outcome is Outcome.FAILED


def test_a_plan_with_rollbacks_to_data_and_back():
    plan = replace(make_plan(Graph([job("a")]), undo=["a"]), rolls_back=True)
    back = plan_from_data(plan_to_data(plan))
    assert (back.undo, back.rolls_back) == (("a",), True)
    assert not plan_from_data({**plan_to_data(plan), "verb": ""}).verb


def test_what_is_known_after_a_rollback_is_what_was_known_before():
    before = Past(run="r1", value="v")
    assert OwedRollback(run="r2", turn=1, before=before).done(5.0) == before
    gone = OwedRollback(run="r2", turn=1).done(5.0)
    assert (gone.gone, gone.gone_at, gone.exists) == (True, 5.0, False)


def test_what_is_owed_to_data_and_back():
    past = Past(run="r2", gone=True, rollback=OwedRollback(run="r2", turn=3, before=Past(run="r1")))
    assert from_data(Past, to_data(past)) == past


def test_a_job_with_a_rollback_that_is_due_is_taken_for_what_it_will_be():
    owed = OwedRollback(run="r2", turn=1)
    updates = job("a", functions=("update",))
    for past, calls in (
        (Past(run="r2", rollback=owed), "job"),
        (Past(run="r2", rollback=replace(owed, before=Past(run="r1"))), "update"),
    ):
        assert make_plan(Graph([updates]), pasts={"a": past}, undo=["a"]).graph["a"].calls == calls


def test_rollbacks_come_after_closes_and_before_cleanups():
    tail = Tail()
    tail.owe("a", 1)
    tail.roll_back("a", 1)
    tail.close("a", 1)
    seen = []
    while (due := tail.next(at_the_end=True)) is not None:
        seen.append(due[1])
        tail.start(*due)
        assert tail.end(*due)
    assert seen == [Phase.CLOSE, Phase.ROLLBACK, Phase.CLEANUP]
