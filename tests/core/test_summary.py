"""What a run came to, folded from its entries."""

from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import (
    BackoffEnded,
    Entry,
    PhaseEnded,
    PhaseStarted,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Failure, Job, Kind, OnFailure, Outcome, Phase, Retry, Verdict
from jobtest.core.planner import make_plan
from jobtest.core.summary import AttemptRecord, PhaseRecord, Summary, summarize
from jobtest.testing import Act
from jobtest.testing import strategies as my
from tests.core.driver import Drive, said

NO, RAISED = Verdict.NOT_HOLDING, Verdict.RAISED


def fold(jobs, acts=None, **settings):
    drive = Drive(jobs, said(acts or {}), **settings)
    drive.apply(RunStarted(Command.APPLY, len(jobs), 1))
    return summarize(drive.plan, drive.to_the_end().entries)


@given(my.cases(), st.data())
def test_the_same_entries_give_the_same_summary_and_no_time_is_negative(case, data):
    drive = Drive(case.plan, case.script, capacity=case.workers, resources=my.RESOURCES)
    drive.apply(RunStarted(Command.APPLY, len(case.plan.graph), case.workers))
    drive.to_the_end()
    cut = data.draw(st.integers(0, len(drive.entries)))
    one, other = (summarize(case.plan, drive.entries[:cut]) for _ in range(2))
    assert one.jobs == other.jobs
    for record in one.jobs.values():
        waits = record.waited_upstream, record.waited_worker, record.waited_resource, record.waited_backoff
        assert min(*waits, record.seconds) >= 0
        assert [attempt.number for attempt in record.attempts] == list(range(1, len(record.attempts) + 1))


def test_an_empty_journal_is_a_run_that_has_not_begun():
    summary = Summary(make_plan(Graph([Job.of("a")])))
    assert (summary.seconds, summary.exit_status, summary.run_id) == (0.0, None, "")
    assert summary.totals() == {}
    assert summary.critical_path() == []
    assert summary.root_causes() == {}


def test_the_frame_of_a_run():
    plan = make_plan(Graph([]), command=Command.PLAN)
    entries = [
        Entry(0, 100.0, "r1", RunStarted(Command.PLAN, 0, 4)),
        Entry(1, 103.0, "r1", RunStopped("enough")),
        Entry(2, 105.0, "r1", RunEnded(2)),
    ]
    summary = summarize(plan, entries[:2])
    assert (summary.seconds, summary.ended_at) == (3.0, None)
    summary = summarize(plan, entries)
    assert (summary.run_id, summary.command, summary.workers) == ("r1", Command.PLAN, 4)
    assert (summary.seconds, summary.exit_status, summary.stopped) == (5.0, 2, "enough")


def test_totals_count_how_jobs_ended():
    summary = fold(
        [Job.of("a"), Job.of("b", check=True), Job.of("c", needs=["d"]), Job.of("d")], {"d run": RAISED}
    )
    assert summary.totals() == {
        Outcome.CHANGED: 1,
        Outcome.UNCHANGED: 1,
        Outcome.BLOCKED: 1,
        Outcome.FAILED: 1,
    }


def test_root_causes_name_what_they_blocked():
    jobs = [Job.of("a"), Job.of("b", needs=["a"]), Job.of("c", takes=["b"]), Job.of("x"), Job.of("ok")]
    assert fold(jobs, {"a run": RAISED, "x run": RAISED}).root_causes() == {"a": ["b", "c"], "x": []}


def test_a_job_is_told_with_its_attempts_and_phases():
    job = Job.of("a", check=True, retry=Retry(retries=1, delay=5), has_cleanup=True, is_generator=True)
    acts = {"a check": Act(NO, 2), "a run 1": Act(RAISED, 3), "a recheck 1": NO, "a cleanup": RAISED}
    record = fold([job], acts).jobs["a"]
    assert [[phase.phase for phase in attempt.phases] for attempt in record.attempts] == [
        [Phase.CHECK, Phase.RUN, Phase.RECHECK]
    ] * 2
    assert [phase.seconds for phase in record.attempts[0].phases] == [2, 3, 1]
    assert [phase.ok for phase in record.attempts[1].phases] == [False, True, True]
    assert record.seconds == 2 + 3 + 1 + 2 + 1 + 1
    assert record.attempts[0].failure == Failure("not_holding")
    assert record.attempts[1].failure is None
    assert record.waited_backoff == 5
    assert (record.close.ok, record.cleanup.ok) == (True, False)
    assert record.ended_at - record.started_at == 6 + 5 + 4
    assert (record.outcome, record.kind, record.reason) == (
        Outcome.CHANGED,
        None,
        "check did not hold: not_holding",
    )


def test_how_a_job_failed_is_told():
    record = fold([Job.of("a"), Job.of("b", needs=["a"])], {"a run": RAISED})
    assert record.jobs["a"].kind is Kind.RUN_ERROR
    assert record.jobs["b"].causes == ("a",)
    assert record.jobs["b"].attempts == []


def test_an_attempt_that_begins_anew_is_one_attempt():
    jobs = [Job.of("a"), Job.of("b", takes=["a"], check=True)]
    record = fold(jobs, {"b check": NO}).jobs["b"]
    assert [phase.phase for phase in record.attempts[0].phases] == [Phase.CHECK, Phase.RUN, Phase.RECHECK]
    assert len(record.attempts) == 1
    assert record.waited_upstream == 1


def test_what_is_printed_belongs_to_the_attempt():
    plan = make_plan(Graph([Job.of("a", check=True, has_cleanup=True)]))
    events = [
        PhaseStarted("a", 1, Phase.CHECK),
        PhaseEnded("a", 1, Phase.CHECK, NO, None, False, "o1", "e1", "l1", ("n1",)),
        PhaseStarted("a", 1, Phase.RUN),
        PhaseEnded("a", 1, Phase.RUN, Verdict.OK, None, True, "o2", "e2", "l2", ("n2",)),
        PhaseStarted("a", 1, Phase.CLEANUP),
        PhaseEnded("a", 1, Phase.CLEANUP, Verdict.OK, None, True, "o3", "e3", "l3"),
    ]
    record = summarize(plan, [Entry(n, float(n), "r", event) for n, event in enumerate(events)]).jobs["a"]
    (attempt,) = record.attempts
    assert (attempt.stdout, attempt.stderr, attempt.log) == ("o1o2", "e1e2", "l1l2")
    assert record.notes == ("n1", "n2")


def test_the_order_is_that_of_the_first_starts():
    jobs = [Job.of("b", needs=["a"]), Job.of("a"), Job.of("c", skip="no")]
    assert {id: record.order for id, record in fold(jobs).jobs.items()} == {"b": 1, "a": 0, "c": None}


def test_waits_are_split_in_upstream_worker_resource_and_backoff():
    jobs = [
        Job.of("a"),
        Job.of("b", needs=["a"]),
        Job.of("c", resources={"db": 1}, priority=1),
        Job.of("d", resources={"db": 1}),
        Job.of("e", priority=-1),
    ]
    acts = {"a run": Act(seconds=2), "c run": Act(seconds=7)}
    records = fold(jobs, acts, capacity=2, resources={"db": 1}).jobs
    assert records["b"].waited_upstream == 2
    assert (records["d"].waited_resource, records["d"].waited_worker) == (7, 0)
    assert (records["e"].waited_resource, records["e"].waited_worker) == (0, 3)
    assert records["a"].waited_upstream == records["a"].waited_worker == 0


def test_the_wait_for_a_worker_after_a_backoff_is_not_backoff():
    jobs = [Job.of("a", retry=Retry(retries=1, delay=1)), Job.of("b", priority=-1)]
    record = fold(jobs, {"a run 1": RAISED, "b run": Act(seconds=9)}).jobs["a"]
    assert (record.waited_backoff, record.waited_worker) == (1, 8)


def test_the_critical_path_ends_with_what_ended_last_and_names_what_held_it_up():
    jobs = [
        Job.of("long"),
        Job.of("short"),
        Job.of("end", needs=["short", "long"]),
        Job.of("other"),
        Job.of("skipped", after=["end"], skip="no"),
    ]
    acts = {"long run": Act(seconds=9), "other run": Act(seconds=3)}
    assert fold(jobs, acts, capacity=4).critical_path() == ["long", "end"]


def test_what_has_not_ended_takes_no_time_and_has_not_failed():
    record = PhaseRecord(Phase.RUN, 5.0)
    assert (record.seconds, record.ok) == (0.0, False)
    assert AttemptRecord(1).failure is None


def test_a_cleanup_that_was_never_seen_to_start_is_passed_over():
    plan = make_plan(Graph([Job.of("a")]))
    summary = summarize(plan, [Entry(0, 9.0, "r", PhaseEnded("a", 1, Phase.CLEANUP, Verdict.OK))])
    assert summary.jobs["a"].cleanup is None


def test_a_backoff_that_was_never_planned_is_no_wait():
    plan = make_plan(Graph([Job.of("a", on_failure=OnFailure.BLOCK)]))
    assert summarize(plan, [Entry(0, 9.0, "r", BackoffEnded("a"))]).jobs["a"].waited_backoff == 0
