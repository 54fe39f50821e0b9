"""The states of a job, what moves it, and what does not."""

import pytest

from jobtest.core.errors import ProjectError
from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    JobEnded,
    PhaseStarted,
    RetryPlanned,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.model import Job, Kind, OnFailure, Outcome, Phase, Retry, Verdict
from jobtest.core.planner import make_plan
from jobtest.core.scheduler import State
from jobtest.testing import Act
from tests.core.driver import Drive, said, until

NO, RAISED = Verdict.NOT_HOLDING, Verdict.RAISED


# --- states ---


def test_a_job_waits_for_its_upstream_then_is_ready_active_deciding_and_ended():
    drive = Drive([Job.of("u"), Job.of("a", needs=["u"])])
    seen = []
    drive.to_the_end(lambda scheduler, _: seen.append(scheduler.state("a")))
    assert list(dict.fromkeys(seen)) == [State.WAITING, State.READY, State.ACTIVE, State.DECIDING]
    assert drive.scheduler.state("a") is State.ENDED
    assert drive.scheduler.done


def test_a_job_that_only_runs_on_demand_is_idle_until_its_value_is_wanted():
    drive = Drive([Job.of("a"), Job.of("b", takes=["a"], check=True)], said({"b check": NO}))
    assert drive.scheduler.state("a") is State.IDLE
    until(drive, State.READY)
    drive.to_the_end()
    assert drive.started() == ["b", "a", "b", "b", "b"]
    assert drive.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.CHANGED}
    assert AttemptSuspended("b", 1, ("a",)) in drive.events


def test_a_job_that_only_runs_on_demand_ends_when_nobody_can_want_it_any_more():
    drive = Drive([Job.of("a"), Job.of("b", takes=["a"], check=True)]).to_the_end()
    assert drive.started() == ["b"]
    assert JobEnded("a", Outcome.UNCHANGED, "not needed") in drive.events


def test_a_job_that_only_runs_on_demand_idles_after_a_failure_that_it_only_came_after():
    jobs = [Job.of("u"), Job.of("a", after=["u"]), Job.of("b", takes=["a"], check=True)]
    drive = Drive(jobs, said({"u run": RAISED})).to_the_end()
    assert drive.started() == ["u", "b"]
    assert drive.outcomes() == {"u": Outcome.FAILED, "a": Outcome.UNCHANGED, "b": Outcome.UNCHANGED}


def test_a_check_that_holds_after_an_earlier_attempt_ran_is_a_change():
    job = Job.of("a", check=True, retry=Retry(retries=1))
    drive = Drive([job], said({"a check 1": NO, "a recheck 1": NO})).to_the_end()
    note = ("its check held before attempt 2 ran",)
    reason = "check did not hold: not_holding"
    assert drive.events[-1] == JobEnded("a", Outcome.CHANGED, reason, None, (), note)


def test_a_job_without_takers_does_not_idle():
    drive = Drive(make_plan(Graph([Job.of("a"), Job.of("b", needs=["a"])]), exclude={"b": "no"}))
    drive.to_the_end()
    assert drive.outcomes() == {"a": Outcome.UNCHANGED, "b": Outcome.SKIPPED}


def test_a_failed_attempt_waits_for_its_backoff():
    drive = Drive([Job.of("a", retry=Retry(retries=1, delay=30))], said({"a run 1": RAISED}))
    until(drive, State.BACKOFF)
    assert drive.scheduler.wakes_at() == drive.now + 30
    assert drive.scheduler.command(drive.now + 29.9) is None
    assert drive.scheduler.command(drive.now + 30) == BackoffEnded("a")
    until(drive, State.READY)
    assert drive.scheduler.wakes_at() is None
    assert drive.to_the_end().outcomes() == {"a": Outcome.CHANGED}


def test_a_held_value_is_made_when_a_consumer_runs():
    """The check of `a` holds and it has no value; `b` runs, and wants it."""
    jobs = [Job.of("a", check=True), Job.of("b", takes=["a"], check=True), Job.of("c", needs=["a"])]
    drive = Drive(jobs, said({"b check": NO}), capacity=2)
    until(drive, State.IDLE)
    drive.to_the_end()
    assert AttemptSuspended("a", 1, ()) in drive.events
    assert AttemptSuspended("b", 1, ("a",)) in drive.events
    assert drive.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.CHANGED, "c": Outcome.CHANGED}
    phases = [event.phase for event in drive.events if isinstance(event, PhaseStarted) and event.job == "a"]
    assert phases == [Phase.CHECK, Phase.CHECK, Phase.RUN, Phase.RECHECK]
    assert JobEnded("a", Outcome.CHANGED, "b takes its value, and none is known") in drive.events


def test_a_held_value_that_nobody_wants_is_unchanged():
    drive = Drive([Job.of("a", check=True), Job.of("b", takes=["a"], check=True)]).to_the_end()
    assert JobEnded("a", Outcome.UNCHANGED, "check holds") in drive.events
    assert drive.started() == ["a", "b"]


def test_values_of_values_are_made_on_demand():
    jobs = [Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", takes=["b"], check=True)]
    drive = Drive(jobs, said({"c check": NO})).to_the_end()
    assert drive.started() == ["c", "a", "b", "c", "c", "c"]
    assert JobEnded("a", Outcome.CHANGED, "no check; b takes its value") in drive.events


def test_a_value_that_a_check_asks_for_is_made_before_the_check():
    early = Job.of("b", takes=["a"], check=True, early=frozenset({"a"}))
    drive = Drive([Job.of("a", check=True), early]).to_the_end()
    assert drive.started() == ["a", "a", "a", "a", "b"]
    assert drive.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.UNCHANGED}


def test_one_demand_serves_all_who_take_the_value():
    jobs = [Job.of("a"), *(Job.of(f"b{n}", takes=["a"], check=True) for n in range(3))]
    drive = Drive(jobs, said({f"b{n} check": NO for n in range(3)}), capacity=3).to_the_end()
    assert drive.started(Phase.RUN).count("a") == 1
    assert set(drive.outcomes().values()) == {Outcome.CHANGED}


def test_a_value_that_is_being_made_is_not_asked_for_again():
    jobs = [Job.of("a"), Job.of("b", takes=["a"], check=True), Job.of("c", takes=["a"], check=True)]
    acts = {"b check": NO, "c check": Act(NO, 5), "a run": Act(seconds=9)}
    drive = Drive(jobs, said(acts), capacity=3).to_the_end()
    assert drive.started(Phase.RUN) == ["a", "b", "c"]
    assert set(drive.outcomes().values()) == {Outcome.CHANGED}


def test_a_consumer_that_wants_several_values_waits_for_all_of_them():
    jobs = [Job.of("a"), Job.of("x"), Job.of("b", takes=["a", "x"], check=True)]
    drive = Drive(jobs, said({"b check": NO, "x run": Act(seconds=50)}), capacity=2).to_the_end()
    assert drive.started() == ["b", "a", "x", "b", "b", "b"]


def test_a_demanded_value_that_fails_blocks_the_consumer_and_all_who_need_the_job():
    jobs = [
        Job.of("a", check=True),
        Job.of("b", takes=["a"], check=True),
        Job.of("other", needs=["a"], priority=9),
        Job.of("late", needs=["a", "b"]),
        Job.of("after", after=["a"]),
    ]
    drive = Drive(jobs, said({"b check": NO, "a run": RAISED, "a recheck": NO})).to_the_end()
    blocked = dict.fromkeys(["b", "other", "late"], Outcome.BLOCKED)
    assert drive.outcomes() == {"a": Outcome.FAILED, "after": Outcome.CHANGED, **blocked}


@pytest.mark.parametrize("capacity", [1, 8])
def test_who_needs_a_job_waits_until_it_is_sure_that_it_does_not_run(capacity):
    jobs = [
        Job.of("a", check=True),
        Job.of("n", needs=["a"], priority=9),
        Job.of("b", takes=["a"], check=True),
    ]
    drive = Drive(jobs, said({"b check": NO}), capacity=capacity).to_the_end()
    assert drive.started(Phase.RUN) == ["a", "n", "b"]


def test_who_needs_an_idle_job_goes_on_when_nothing_else_can():
    jobs = [
        Job.of("a", check=True),
        Job.of("n", needs=["a"]),
        Job.of("b", takes=["a"], needs=["n"], check=True),
    ]
    drive = Drive(jobs).to_the_end()
    assert drive.outcomes() == {"a": Outcome.UNCHANGED, "n": Outcome.CHANGED, "b": Outcome.UNCHANGED}


def fails_after_all(**of_c):
    """Return jobs of which `c` goes on as `a` idles, and `a` runs and fails while `c` is under way."""
    return [
        Job.of("a", check=True),
        Job.of("x", check=True),
        Job.of("c", needs=["a"], **of_c),
        Job.of("d", needs=["x"]),
        Job.of("b", takes=["a"], needs=["d"], check=True),
        Job.of("tx", takes=["x"], needs=["c"], check=True),
    ]


FAILS = {"b check": NO, "a run": RAISED, "a recheck": NO}


def test_a_job_whose_check_is_under_way_when_its_upstream_fails_after_all_is_blocked():
    acts = {**FAILS, "c check": Act(seconds=100)}
    drive = Drive(fails_after_all(check=True), said(acts), capacity=3).to_the_end()
    assert drive.started(Phase.CHECK).count("c") == 1
    assert drive.outcomes()["c"] is Outcome.BLOCKED


@pytest.mark.parametrize("delay", [0, 100])
def test_no_further_attempt_begins_when_the_upstream_has_failed_after_all(delay):
    jobs = fails_after_all(retry=Retry(retries=1, delay=delay))
    acts = {**FAILS, "c run 1": Act(RAISED, 1 if delay else 100)}
    drive = Drive(jobs, said(acts), capacity=3).to_the_end()
    assert drive.started().count("c") == 1
    assert drive.outcomes()["c"] is Outcome.BLOCKED


def test_a_run_under_way_when_its_upstream_fails_after_all_comes_to_its_own_end():
    acts = {**FAILS, "c check": NO, "c run": Act(seconds=100)}
    drive = Drive(fails_after_all(check=True), said(acts), capacity=3).to_the_end()
    assert drive.outcomes()["c"] is Outcome.CHANGED


def test_skipped_jobs_end_at_once_with_their_reason():
    drive = Drive([Job.of("a", skip="not today"), Job.of("b", needs=["a"])]).to_the_end()
    assert drive.events == [
        JobEnded("a", Outcome.SKIPPED, "not today"),
        JobEnded("b", Outcome.SKIPPED, "upstream a is skipped: not today", None, ("a",)),
    ]


def test_a_root_cause_is_named_to_the_last_descendant():
    jobs = [Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", needs=["b"])]
    drive = Drive(jobs, said({"a run": RAISED})).to_the_end()
    assert drive.events[-3:] == [
        JobEnded("a", Outcome.FAILED, "run raised raised", Kind.RUN_ERROR),
        JobEnded("b", Outcome.BLOCKED, "upstream a failed", None, ("a",)),
        JobEnded("c", Outcome.BLOCKED, "upstream a failed", None, ("a",)),
    ]


def test_who_takes_a_value_that_a_forgiven_failure_did_not_leave_is_told_so():
    jobs = [Job.of("a", on_failure=OnFailure.CONTINUE), Job.of("b", takes=["a"])]
    drive = Drive(jobs, said({"a run": RAISED})).to_the_end()
    assert drive.events[-1] == JobEnded(
        "b", Outcome.BLOCKED, "upstream a failed and left no value", None, ("a",)
    )


def test_a_job_that_skips_itself_passes_that_on():
    jobs = [Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", needs=["b"])]
    drive = Drive(jobs, said({"a run": Act(Verdict.SKIPPED, message="no network")})).to_the_end()
    assert drive.events[-2:] == [
        JobEnded("b", Outcome.SKIPPED, "upstream a is skipped: no network", None, ("a",)),
        JobEnded("c", Outcome.SKIPPED, "upstream a is skipped: no network", None, ("a",)),
    ]


def test_a_forced_job_runs_though_its_check_holds():
    drive = Drive(make_plan(Graph([Job.of("a", check=True)]), force=["a"])).to_the_end()
    assert drive.events[-1] == JobEnded("a", Outcome.CHANGED, "forced")


def test_what_happened_says_why():
    jobs = [Job.of("a", check=True), Job.of("b")]
    drive = Drive(jobs, said({"a check": Act(NO, message="1 == 2")})).to_the_end()
    reasons = {event.job: event.reason for event in drive.events if isinstance(event, JobEnded)}
    assert reasons == {"a": "check did not hold: 1 == 2", "b": "no check; a leaf"}


def test_a_description_follows_check_and_recheck():
    jobs = [Job.of("a", check=True, has_describe=True), Job.of("b", check=True, has_describe=True)]
    drive = Drive(jobs, said({"b check": Act(NO, message="red"), "b run": RAISED})).to_the_end()
    assert JobEnded("a", Outcome.UNCHANGED, "check holds") in drive.events
    note = ("run raised raised, and its check holds",)
    assert JobEnded("b", Outcome.CHANGED, "check did not hold: red", None, (), note) in drive.events
    assert drive.started(Phase.DESCRIBE) == ["a", "b"]


# --- stopping ---


def test_a_failure_that_escalates_stops_the_run_before_anything_else_starts():
    jobs = [Job.of("a", on_failure=OnFailure.ESCALATE), Job.of("b", check=True), Job.of("c")]
    drive = Drive(jobs, said({"a run": RAISED, "b check": NO}), capacity=2).to_the_end()
    assert drive.started() == ["a", "b"]
    assert RunStopped("job a failed and escalates") in drive.events
    assert drive.outcomes() == {"a": Outcome.FAILED, "b": Outcome.CANCELLED, "c": Outcome.CANCELLED}
    assert JobEnded("c", Outcome.CANCELLED, "job a failed and escalates") in drive.events


def test_a_failure_that_escalates_with_nothing_left_to_stop_stops_nothing():
    drive = Drive([Job.of("a", on_failure=OnFailure.ESCALATE, has_cleanup=True)], said({"a run": RAISED}))
    drive.to_the_end()
    assert not any(isinstance(event, RunStopped) for event in drive.events)
    assert drive.scheduler.command(drive.now) is None


def test_after_a_stop_what_runs_is_rechecked_and_nothing_else_starts():
    drive = Drive([Job.of("a", check=True), Job.of("b")], said({"a check": NO}))
    while "run" not in [e.phase.value for e in drive.events if isinstance(e, PhaseStarted)]:
        drive.step()
    drive.apply(RunStopped("enough"))
    drive.apply(RunStopped("once more"))
    drive.to_the_end()
    assert drive.scheduler.stopped == "enough"
    assert drive.started() == ["a", "a", "a"]
    assert drive.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.CANCELLED}


def test_after_a_stop_nothing_is_tried_again():
    drive = Drive([Job.of("a", retry=Retry(retries=5))], said({"a run": RAISED}))
    until(drive, State.ACTIVE).apply(RunStopped("enough"))
    assert drive.to_the_end().outcomes() == {"a": Outcome.FAILED}
    assert drive.started() == ["a"]


@pytest.mark.parametrize("state", [State.READY, State.DECIDING, State.BACKOFF])
def test_a_stop_cancels_what_has_not_begun_or_would_begin_again(state):
    drive = Drive([Job.of("a", retry=Retry(retries=5, delay=9))], said({"a run": RAISED}))
    until(drive, state).apply(RunStopped("enough"))
    assert drive.scheduler.wakes_at() is None
    assert drive.to_the_end().outcomes() == {"a": Outcome.CANCELLED}


def test_a_stop_does_not_take_back_an_end_that_is_decided():
    drive = Drive([Job.of("a")])
    until(drive, State.DECIDING).apply(RunStopped("enough"))
    assert drive.to_the_end().outcomes() == {"a": Outcome.CHANGED}


def test_a_stop_takes_back_a_run_phase_but_not_a_recheck():
    drive = Drive([Job.of("a", check=True)], said({"a check": NO}))
    until(drive, State.DECIDING).apply(RunStopped("enough"))
    assert drive.to_the_end().outcomes() == {"a": Outcome.CANCELLED}


def test_a_check_that_held_before_the_stop_is_unchanged_and_one_that_was_not_asked_is_cancelled():
    jobs = [Job.of("a", check=True), Job.of("x"), Job.of("b", takes=["a", "x"], check=True)]
    drive = Drive(jobs)
    until(drive, State.IDLE).apply(RunStopped("enough"))
    drive.to_the_end()
    assert drive.outcomes() == {"a": Outcome.UNCHANGED, "x": Outcome.CANCELLED, "b": Outcome.CANCELLED}


def test_a_check_under_way_at_the_stop_that_does_not_hold_is_cancelled_before_the_run():
    drive = Drive([Job.of("a", check=True)], said({"a check": NO}))
    until(drive, State.ACTIVE).apply(RunStopped("enough"))
    drive.to_the_end()
    assert drive.started() == ["a"]
    assert drive.events[-1] == JobEnded("a", Outcome.CANCELLED, "enough")


def test_a_check_under_way_at_the_stop_may_still_say_that_it_holds():
    jobs = [Job.of("a", check=True), Job.of("b", takes=["a"], check=True)]
    drive = Drive(jobs)
    until(drive, State.ACTIVE).apply(RunStopped("enough"))
    assert drive.to_the_end().outcomes() == {"a": Outcome.UNCHANGED, "b": Outcome.CANCELLED}


def test_a_failure_that_escalates_in_a_stopped_run_changes_nothing():
    drive = Drive([Job.of("a", on_failure=OnFailure.ESCALATE)], said({"a run": RAISED}))
    until(drive, State.ACTIVE).apply(RunStopped("enough"))
    drive.to_the_end()
    assert [event for event in drive.events if isinstance(event, RunStopped)] == [RunStopped("enough")]


# --- limits ---


def test_the_run_spends_no_more_retries_than_its_limit_even_if_two_fail_at_once():
    jobs = [Job.of(id, retry=Retry(retries=9)) for id in "abc"]
    drive = Drive(jobs, said({f"{id} run": RAISED for id in "abc"}), capacity=3, retry_limit=4).to_the_end()
    assert sum(isinstance(event, RetryPlanned) for event in drive.events) == 4
    assert set(drive.outcomes().values()) == {Outcome.FAILED}


def test_a_retry_limit_of_zero_means_none():
    drive = Drive([Job.of("a", retry=Retry(retries=9))], said({"a run": RAISED}), retry_limit=0).to_the_end()
    assert drive.started() == ["a"]


def test_the_chance_of_a_delay_is_a_parameter():
    asked = []

    def chance(job, attempt):
        asked.append((job, attempt))
        return 0.0

    job = Job.of("a", retry=Retry(retries=2, delay=10, jitter=0.5))
    drive = Drive([job], said({"a run": RAISED}), chance=chance).to_the_end()
    assert [event.delay for event in drive.events if isinstance(event, RetryPlanned)] == [5, 5]
    assert asked[:2] == [("a", 1), ("a", 2)]


def test_a_retry_has_no_value_of_the_attempt_before():
    """The first attempt makes a value in vain; the second one raises, holds, and has none to give."""
    jobs = [Job.of("a", check=True, retry=Retry(retries=1)), Job.of("b", takes=["a"])]
    acts = {"a check": NO, "a recheck 1": NO, "a run 2": RAISED}
    drive = Drive(jobs, said(acts))
    while not any(isinstance(event, RetryPlanned) for event in drive.events):
        drive.step()
    drive.valued.clear()
    assert drive.to_the_end().outcomes() == {"a": Outcome.FAILED, "b": Outcome.BLOCKED}


def test_more_of_a_resource_than_there_is_is_refused():
    with pytest.raises(ProjectError, match="asks for 2 of resource 'db', and there is 1"):
        Drive([Job.of("a", resources={"db": 2})], resources={"db": 1})


# --- after the end ---


def test_cleanups_come_last_and_in_reverse_order_of_starting():
    jobs = [Job.of(id, has_cleanup=True) for id in "abc"]
    acts = {"a run": Act(seconds=9), "b run": Act(Verdict.RAISED, 1), "c run": Act(seconds=5)}
    drive = Drive(jobs, said(acts), capacity=3).to_the_end()
    assert drive.started(Phase.CLEANUP) == ["c", "b", "a"]
    assert drive.started()[-3:] == ["c", "b", "a"]


def test_only_a_run_phase_that_was_entered_owes_a_cleanup_and_once():
    jobs = [
        Job.of("held", check=True, has_cleanup=True),
        Job.of("unset", has_cleanup=True),
        Job.of("tried", has_cleanup=True, retry=Retry(retries=2)),
        Job.of("late", has_cleanup=True, retry=Retry(retries=1)),
        Job.of("none"),
    ]
    failing = Verdict.SETUP_ERROR
    acts = {"unset run": failing, "tried run": RAISED, "late run 1": failing}
    assert Drive(jobs, said(acts)).to_the_end().started(Phase.CLEANUP) == ["late", "tried"]


def test_what_is_held_open_is_closed_after_its_last_consumer():
    jobs = [
        Job.of("a", is_generator=True),
        Job.of("b", takes=["a"]),
        Job.of("c", takes=["a"]),
        Job.of("d", needs=["c"]),
    ]
    drive = Drive(jobs).to_the_end()
    assert drive.started() == ["a", "c", "b", "a", "d"]
    assert drive.started(Phase.CLOSE) == ["a"]


def test_what_is_held_open_is_closed_after_those_who_only_need_it():
    jobs = [Job.of("a", is_generator=True), Job.of("b", needs=["a"]), Job.of("c", after=["a"], priority=-1)]
    assert Drive(jobs).to_the_end().started() == ["a", "b", "a", "c"]


def test_what_holds_something_open_uses_what_it_took_until_it_is_closed():
    jobs = [
        Job.of("a", is_generator=True),
        Job.of("b", takes=["a"], is_generator=True),
        Job.of("c", takes=["b"]),
    ]
    drive = Drive(jobs).to_the_end()
    assert drive.started() == ["a", "b", "c", "b", "a"]
    assert drive.started(Phase.CLOSE) == ["b", "a"]


def test_what_one_consumer_leaves_is_closed_last_opened_first():
    jobs = [
        Job.of("b", is_generator=True),
        Job.of("a", is_generator=True, priority=1),
        Job.of("c", takes=["a", "b"]),
    ]
    assert Drive(jobs).to_the_end().started(Phase.CLOSE) == ["b", "a"]


@pytest.mark.parametrize("verdict", [RAISED, Verdict.SETUP_ERROR])
def test_what_was_never_opened_is_not_closed(verdict):
    drive = Drive([Job.of("a", is_generator=True)], said({"a run": verdict})).to_the_end()
    assert drive.started(Phase.CLOSE) == []


def test_what_a_failed_attempt_opened_is_not_closed_at_the_end():
    """The attempt itself is over and has let go of it; the second one fails before it opens anything."""
    job = Job.of("a", is_generator=True, check=True, retry=Retry(retries=1))
    acts = {"a check": NO, "a recheck 1": NO, "a run 2": RAISED, "a recheck 2": NO}
    assert Drive([job], said(acts)).to_the_end().started(Phase.CLOSE) == []


def test_a_close_takes_a_place_like_any_other():
    """The stop cancels `b`, so `a` could be closed; `x` has the only place."""
    jobs = [Job.of("a", is_generator=True), Job.of("x", priority=-1), Job.of("b", takes=["a"], priority=-2)]
    drive = until(Drive(jobs, said({"x run": Act(seconds=5)})), State.ACTIVE, "x")
    drive.apply(RunStopped("enough"))
    drive.to_the_end()
    assert drive.started() == ["a", "x", "a"]
    assert drive.executor.most_at_once() == 1


def test_nothing_is_closed_while_a_job_is_alone():
    jobs = [
        Job.of("a", is_generator=True),
        Job.of("b", takes=["a"]),
        Job.of("alone", exclusive="capsys", priority=-1),
    ]
    drive = Drive(jobs, capacity=3).to_the_end()
    assert drive.executor.most_at_once() == 1
