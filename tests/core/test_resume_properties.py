"""Runs that are cut anywhere, again and again, and gone on with."""

from collections import Counter

from driver import Drive
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import JobEnded, PhaseEnded, PhaseStarted
from jobtest.core.model import Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.core.planner import make_plan
from jobtest.core.resume import how_left, resume
from jobtest.core.scheduler import NOT_ENTERED
from jobtest.testing import strategies as my

TAIL = (Phase.CLOSE, Phase.CLEANUP)
NO_VALUES = st.sets(st.integers(0, 9)).map(lambda numbers: {f"j{number}" for number in numbers})
"""Jobs whose values cannot be stored."""


def drive(plan, case, unstorable):
    run = Drive(plan, case.script, capacity=case.workers, resources=my.RESOURCES)
    run.digests = {id: f"digest of {id}" for id in plan.graph.jobs if id not in unstorable}
    return run


def owed_after(entries, owed, graph):
    """The cleanups that are owed after a part of a run, in the order in which they were entered."""
    for entry in entries:
        event = entry.event
        if isinstance(event, PhaseStarted) and event.phase is Phase.RUN and graph[event.job].has_cleanup:
            owed = [*(one for one in owed if one != event.job), event.job]
        elif isinstance(event, PhaseEnded) and event.phase is Phase.CLEANUP and event.verdict is Verdict.OK:
            owed = [one for one in owed if one != event.job]
    return owed


@given(my.cases(), st.lists(st.integers(0, 60), min_size=1, max_size=3), NO_VALUES)
def test_a_run_that_is_cut_anywhere_is_gone_on_with_and_ends_every_job_once(case, cuts, unstorable):
    graph = case.plan.graph
    run = drive(make_plan(graph), case, unstorable).to_the_end()
    owed: list[str] = []
    for number, cut in enumerate(cuts):
        entries = run.entries[: cut % (len(run.entries) + 1)]
        owed = owed_after(entries, owed, graph)
        found = resume(graph, run.plan, how_left(run.plan, entries), f"r{number}", owed=owed)
        run = drive(make_plan(graph, resumed=found, owed=owed), case, unstorable).to_the_end()
        ended = Counter(event.job for event in run.events if isinstance(event, JobEnded))
        assert ended == Counter(list(graph.jobs))
        kept = {id for id, one in found.items() if one.outcome is not None}
        begun = {e.job for e in run.events if isinstance(e, PhaseStarted) and e.phase not in TAIL}
        assert not kept & begun
        assert_run_only_after_a_check(run)
        assert_cleaned_up(run, owed)


def assert_run_only_after_a_check(run):
    said: dict[tuple[str, int], Verdict] = {}
    for event in run.events:
        if isinstance(event, PhaseEnded) and event.phase is Phase.CHECK:
            said[event.job, event.attempt] = event.verdict
        if (
            isinstance(event, PhaseStarted)
            and event.phase is Phase.RUN
            and run.plan.graph[event.job].has_check
        ):
            forced = said[event.job, event.attempt] is Verdict.OK
            assert not forced or run.scheduler._flow.live[event.job].progress.must_run


def assert_cleaned_up(run, owed):
    """What was owed and what was entered is cleaned up after, each once, the last entered first."""
    ends = [event for event in run.events if isinstance(event, PhaseEnded) and event.phase is Phase.RUN]
    entered = {event.job for event in ends if event.verdict not in NOT_ENTERED}
    entered = {job for job in entered if run.plan.graph[job].has_cleanup}
    starts = [e.job for e in run.events if isinstance(e, PhaseStarted) and e.phase is Phase.CLEANUP]
    assert sorted(starts) == sorted({*owed, *entered})
    assert starts[len(entered) :] == [job for job in reversed(owed) if job not in entered]
    assert set(starts[: len(entered)]) == entered


@given(my.cases(), st.integers(0, 60), NO_VALUES)
def test_what_ended_well_and_is_not_kept_has_a_reason(case, cut, unstorable):
    """It wants something of a job that does not count, or one that does not count wants something of it."""
    graph = case.plan.graph
    run = drive(make_plan(graph), case, unstorable).to_the_end()
    entries = run.entries[: cut % (len(run.entries) + 1)]
    left = how_left(run.plan, entries)
    found = resume(graph, run.plan, left, "r", owed=owed_after(entries, [], graph))
    kept = {id for id, one in found.items() if one.outcome is not None}
    for id, one in left.items():
        well = one.outcome in (Outcome.CHANGED, Outcome.UNCHANGED) and (graph[id].has_check or one.entered)
        if well and id not in kept:
            around = {edge.upstream for edge in graph.upstream(id)}
            around |= {other for other, _ in graph.downstream(id)}
            assert around - kept


@st.composite
def remembered(draw, graph):
    """Draw what is known of jobs: their values, and those that they took, the same or others."""
    pasts = {}
    for job in graph:
        if draw(st.booleans()):
            taken = [id for take in job.takes for id in take.upstream]
            inputs = {id: draw(st.sampled_from([f"digest of {id}", "other"])) for id in taken}
            value = draw(st.sampled_from(["", f"digest of {job.id}", "other"]))
            pasts[job.id] = Past(run="before", at=1.0, value=value, inputs=inputs)
    return pasts


@given(my.cases(), NO_VALUES, st.data())
def test_whatever_is_remembered_a_run_ends_and_inputs_that_changed_are_seen(case, unstorable, data):
    graph = case.plan.graph
    pasts = data.draw(remembered(graph))
    run = drive(make_plan(graph, pasts=pasts), case, unstorable).to_the_end()
    assert Counter(e.job for e in run.events if isinstance(e, JobEnded)) == Counter(list(graph.jobs))
    made = {
        e.job: e.value for e in run.events if isinstance(e, PhaseEnded) and e.phase is Phase.RUN and e.value
    }
    order = [e.job for e in run.events if isinstance(e, JobEnded)]
    ended = [e for e in run.events if isinstance(e, JobEnded) and e.outcome is Outcome.UNCHANGED]
    for job in (graph[event.job] for event in ended if event.job in pasts):
        tracks = job.has_check and job.has_run and not job.has_describe
        before = order[: order.index(job.id)] if tracks else []
        for id in taken_by(graph, job.id).intersection(before):
            assert made.get(id, pasts[job.id].inputs[id]) == pasts[job.id].inputs[id]


def taken_by(graph, job):
    return {id for take in graph[job].takes for id in take.upstream}
