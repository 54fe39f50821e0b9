"""Where a run was left, and how another one goes on with it."""

import json
from dataclasses import replace

import pytest
from driver import Drive, said
from hypothesis import given

from jobtest.core.events import JobEnded, PhaseStarted, RetryPlanned
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_from_data, plan_to_data
from jobtest.core.model import Job, Kind, Outcome, Phase, Retry, Verdict
from jobtest.core.past import Past, Resumed
from jobtest.core.planner import cleanup_plan, make_plan
from jobtest.core.resume import how_left, resume
from jobtest.testing import Act
from jobtest.testing import strategies as my

NO, RAISED = Verdict.NOT_HOLDING, Act(Verdict.RAISED, message="no", type="OSError")


def cut(run, *, before=None, after=None):
    """The entries of a run, up to the first that answers to a description."""
    kept = []
    for entry in run.entries:
        if before and before(entry.event):
            return kept
        kept.append(entry)
        if after and after(entry.event):
            return kept
    raise AssertionError("it never came to that")


def starts(job, phase):
    return lambda event: isinstance(event, PhaseStarted) and (event.job, event.phase) == (job, phase)


def ends(job):
    return lambda event: isinstance(event, JobEnded) and event.job == job


def go_on(jobs, entries, plan, acts=None, **settings):
    """Go on with a run that was cut; return the second run and where it took up."""
    graph = Graph(jobs)
    owed = settings.pop("owed", ())
    found = resume(graph, plan, how_left(plan, entries), "r1", owed=owed, stored=settings.pop("stored", ()))
    again = make_plan(graph, resumed=found, owed=owed, **settings)
    return Drive(again, said(acts or {})).to_the_end(), found


def test_jobs_that_ended_well_are_not_done_again():
    jobs = [Job.of("a", check=True), Job.of("b", check=True, needs=["a"]), Job.of("c", needs=["b"])]
    first = Drive(jobs, said({"a check": NO})).to_the_end()
    second, _ = go_on(jobs, cut(first, after=ends("b")), first.plan)
    assert second.started() == ["c"]
    assert second.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.UNCHANGED, "c": Outcome.CHANGED}
    said_of = {event.job: event.reason for event in second.events if isinstance(event, JobEnded)}
    assert said_of["a"] == said_of["b"] == "resumed: done in run r1"


@pytest.mark.parametrize("phase", [Phase.RUN, Phase.RECHECK])
def test_a_job_that_was_running_starts_again_at_its_check(phase):
    jobs = [Job.of("a", check=True)]
    first = Drive(jobs, said({"a check": NO})).to_the_end()
    second, found = go_on(jobs, cut(first, after=starts("a", phase)), first.plan, {"a check": NO})
    assert found == {"a": Resumed(run="r1", attempt=2, lost=1, entered=True)}
    assert [(event.attempt, event.phase) for event in second.events if isinstance(event, PhaseStarted)] == [
        (2, Phase.CHECK),
        (2, Phase.RUN),
        (2, Phase.RECHECK),
    ]
    (end,) = [event for event in second.events if isinstance(event, JobEnded)]
    assert (end.outcome, end.notes) == (Outcome.CHANGED, ("run r1 was killed while it ran",))


def test_a_job_that_had_done_its_work_when_the_run_was_killed_is_changed_and_does_not_run_again():
    jobs = [Job.of("a", check=True)]
    first = Drive(jobs, said({"a check": NO})).to_the_end()
    second, _ = go_on(jobs, cut(first, after=starts("a", Phase.RECHECK)), first.plan)
    (end,) = [event for event in second.events if isinstance(event, JobEnded)]
    assert end.outcome is Outcome.CHANGED
    assert end.reason == "done by attempt 1, which was cut short in run r1"
    assert second.started(Phase.RUN) == []


def test_a_check_that_was_under_way_is_asked_again_and_nothing_was_lost():
    jobs = [Job.of("a", check=True)]
    first = Drive(jobs).to_the_end()
    second, found = go_on(jobs, cut(first, after=starts("a", Phase.CHECK)), first.plan)
    assert found == {}
    assert second.started() == ["a"]


def test_a_run_only_job_that_was_running_runs_again_and_says_so():
    jobs = [Job.of("a")]
    first = Drive(jobs).to_the_end()
    second, _ = go_on(jobs, cut(first, after=starts("a", Phase.RUN)), first.plan)
    (end,) = [event for event in second.events if isinstance(event, JobEnded)]
    assert end.notes == ("run r1 was killed while it ran; it ran again",)


def test_a_job_that_must_not_run_twice_fails_until_it_is_forced():
    jobs = [Job.of("a", once=True), Job.of("b", check=True, once=True)]
    pasts = {"a": Past(doubt="r1"), "b": Past(doubt="r1")}
    run = Drive(make_plan(Graph(jobs), pasts=pasts), said({"b check": NO})).to_the_end()
    assert run.outcomes() == {"a": Outcome.FAILED, "b": Outcome.FAILED}
    assert run.started(Phase.RUN) == []
    why = 'run r1 was killed while it ran, and on_crash="fail"; --job-force runs it'
    assert {(e.reason, e.kind) for e in run.events if isinstance(e, JobEnded)} == {(why, Kind.CRASHED)}
    forced = Drive(make_plan(Graph(jobs), pasts=pasts, force=["a"])).to_the_end()
    assert forced.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.UNCHANGED}


def test_after_three_runs_that_were_killed_while_it_ran_a_job_fails():
    jobs = [Job.of("a")]
    plan = make_plan(Graph(jobs))
    for lost in (1, 2, 3):
        run = Drive(plan).to_the_end()
        found = resume(Graph(jobs), plan, how_left(plan, cut(run, after=starts("a", Phase.RUN))), f"r{lost}")
        assert (found["a"].lost, found["a"].attempt) == (lost, lost + 1)
        plan = make_plan(Graph(jobs), resumed=found)
    run = Drive(plan).to_the_end()
    (end,) = [event for event in run.events if isinstance(event, JobEnded)]
    assert (end.outcome, end.kind) == (Outcome.FAILED, Kind.CRASHED)
    assert end.reason == "3 runs in a row were killed while it ran, the last one r3"


def test_a_retry_that_was_waited_for_comes_when_it_is_due_and_attempts_are_not_given_back():
    jobs = [Job.of("a", retry=Retry(retries=1, delay=100.0))]
    first = Drive(jobs, said({"a run": RAISED})).to_the_end()
    kept = cut(first, after=lambda event: isinstance(event, RetryPlanned))
    found = resume(Graph(jobs), first.plan, how_left(first.plan, kept), "r1")
    assert found["a"] == Resumed(run="r1", attempt=2, not_before=kept[-1].at + 100.0, entered=True)
    plan = make_plan(Graph(jobs), resumed=found)
    run = Drive(plan, said({"a run": RAISED}))
    run.executor.clock.advance(30.0)
    run.to_the_end()
    ran = next(e.at for e in run.entries if isinstance(e.event, PhaseStarted))
    assert ran - kept[-1].at == pytest.approx(100.0)
    assert run.outcomes() == {"a": Outcome.FAILED}
    assert len(run.started(Phase.RUN)) == 1


def test_failed_and_blocked_jobs_are_tried_again_from_their_first_attempt():
    jobs = [Job.of("a", retry=Retry(retries=1)), Job.of("b", needs=["a"]), Job.of("c")]
    first = Drive(jobs, said({"a run": RAISED})).to_the_end()
    second, found = go_on(jobs, first.entries, first.plan)
    assert set(found) == {"c"}
    assert second.started() == ["a", "b"]
    assert second.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.CHANGED, "c": Outcome.CHANGED}


def test_a_job_whose_definition_has_changed_begins_anew_and_so_do_those_that_need_it():
    jobs = [
        Job.of("a", check=True, definition="1"),
        Job.of("b", check=True, needs=["a"]),
        Job.of("c", check=True),
        Job.of("d", needs=["b", "c"]),
    ]
    first = Drive(jobs).to_the_end()
    edited = [replace(jobs[0], definition="2"), *jobs[1:]]
    second, found = go_on(edited, cut(first, after=ends("b")), first.plan)
    assert "c" not in second.started() or "c" not in found
    assert second.started()[:1] == ["a"]
    assert "b" in second.started()


def test_a_job_is_made_again_if_its_value_is_wanted_and_cannot_be_had():
    jobs = [Job.of("a", check=True), Job.of("b", takes=["a"])]
    first = Drive(jobs, said({"a check": NO})).to_the_end()
    entries = cut(first, before=starts("b", Phase.RUN))
    _, without = go_on(jobs, entries, first.plan)
    assert "a" not in without


def test_a_value_from_before_a_run_that_was_killed_is_not_taken_for_that_of_the_lost_attempt():
    jobs = [Job.of("a", check=True), Job.of("b", takes=["a"])]
    resumed = {"a": Resumed(run="r1", attempt=2, lost=1, entered=True)}
    pasts = {"a": Past(run="r0", value="old")}
    run = Drive(make_plan(Graph(jobs), resumed=resumed, pasts=pasts)).to_the_end()
    assert run.started(Phase.RUN) == ["a", "b"]


def test_what_a_job_held_open_is_opened_again_for_those_that_use_it():
    jobs = [Job.of("server", is_generator=True), Job.of("a", needs=["server"]), Job.of("b", needs=["server"])]
    first = Drive(jobs).to_the_end()
    second, _ = go_on(jobs, cut(first, after=ends("a")), first.plan)
    assert second.started(Phase.RUN) == ["server", "a", "b"]


def test_a_job_that_was_cleaned_up_after_is_done_again_for_those_that_need_it():
    jobs = [Job.of("a", has_cleanup=True), Job.of("b", needs=["a"])]
    first = Drive(jobs, said({"b run": RAISED})).to_the_end()
    second, _ = go_on(jobs, first.entries, first.plan)
    assert second.started(Phase.RUN) == ["a", "b"]


def test_a_job_that_was_cleaned_up_after_keeps_its_end_if_nobody_needs_it():
    jobs = [Job.of("a", has_cleanup=True), Job.of("b")]
    first = Drive(jobs, said({"b run": RAISED})).to_the_end()
    second, _ = go_on(jobs, first.entries, first.plan)
    assert second.started(Phase.RUN) == ["b"]


def test_owed_cleanups_come_at_the_end_of_the_run_that_goes_on_last_entered_first():
    jobs = [Job.of(name, has_cleanup=True) for name in "abc"]
    first = Drive(jobs).to_the_end()
    entries = cut(first, after=ends("b"))
    second, _ = go_on(jobs, entries, first.plan, owed=("a", "b"))
    assert second.started(Phase.RUN) == ["c"]
    assert second.started(Phase.CLEANUP) == ["c", "b", "a"]


def test_a_job_that_runs_again_is_cleaned_up_after_once_and_by_its_new_place():
    jobs = [Job.of(name, has_cleanup=True) for name in "ab"]
    plan = make_plan(Graph(jobs), owed=["b", "a"])
    run = Drive(plan).to_the_end()
    assert run.started(Phase.CLEANUP) == ["b", "a"]


def test_cleanups_of_a_killed_run_come_before_anything_else():
    jobs = [Job.of(name, has_cleanup=True) for name in "ab"]
    plan = make_plan(Graph(jobs), owed=["a", "b"], owed_first=True)
    run = Drive(plan).to_the_end()
    phases = [(e.job, e.phase, e.attempt) for e in run.events if isinstance(e, PhaseStarted)]
    assert phases[:2] == [("b", Phase.CLEANUP, 0), ("a", Phase.CLEANUP, 0)]
    assert phases[2:] == [
        ("a", Phase.RUN, 1),
        ("b", Phase.RUN, 1),
        ("b", Phase.CLEANUP, 1),
        ("a", Phase.CLEANUP, 1),
    ]


def test_cleanups_that_are_kept_do_not_run():
    plan = replace(make_plan(Graph([Job.of("a", has_cleanup=True)])), keep_cleanups=True)
    assert Drive(plan).to_the_end().started() == ["a"]


def test_the_cleanup_command_runs_what_is_owed_and_nothing_else():
    jobs = [
        Job.of("a", has_cleanup=True),
        Job.of("b", has_cleanup=True, needs=["a"]),
        Job.of("c", needs=["b"]),
    ]
    run = Drive(cleanup_plan(Graph(jobs), {"a": "r1"})).to_the_end()
    assert [(e.job, e.phase) for e in run.events if isinstance(e, PhaseStarted)] == [("a", Phase.CLEANUP)]
    assert run.outcomes() == {"a": Outcome.CHANGED, "b": Outcome.UNCHANGED, "c": Outcome.SKIPPED}


@given(my.plans())
def test_a_plan_to_json_and_back_is_the_same_plan(plan):
    data = json.loads(json.dumps(plan_to_data(plan)))
    again = plan_from_data(data)
    assert list(again.graph) == list(plan.graph)
    assert (again.decisions, again.left_out, again.command) == (plan.decisions, plan.left_out, plan.command)


@pytest.mark.parametrize("data", [{}, {"jobs": 3}, {"jobs": [{}], "decisions": []}, []])
def test_what_is_not_a_plan_is_refused(data):
    with pytest.raises((ValueError, TypeError)):
        plan_from_data(data)


def test_lost_attempts_do_not_use_up_retries():
    jobs = [Job.of("a", retry=Retry(retries=1))]
    plan = make_plan(Graph(jobs), resumed={"a": Resumed(run="r1", attempt=2, lost=1, entered=True)})
    run = Drive(plan, said({"a run 2": RAISED})).to_the_end()
    attempts = [event.attempt for event in run.events if isinstance(event, PhaseStarted)]
    assert (attempts, run.outcomes()) == ([2, 3], {"a": Outcome.CHANGED})


def test_a_job_that_is_done_wants_no_values():
    jobs = [Job.of("a"), Job.of("b", takes=["a"])]
    resumed = {"b": Resumed(run="r1", outcome=Outcome.CHANGED)}
    run = Drive(make_plan(Graph(jobs), resumed=resumed)).to_the_end()
    assert run.started() == []
    assert run.outcomes() == {"a": Outcome.UNCHANGED, "b": Outcome.CHANGED}


def test_the_value_of_an_attempt_that_failed_is_not_that_of_the_next_one():
    jobs = [Job.of("a", check=True, retry=Retry(retries=1)), Job.of("b", takes=["a"])]
    run = Drive(jobs, said({"a check 1": NO, "a recheck 1": NO})).to_the_end()
    assert run.started(Phase.RUN) == ["a", "a", "b"]
