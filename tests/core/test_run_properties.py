"""What holds for every run, whatever the graph, the script and the number of workers."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import AttemptSuspended, JobEnded, PhaseEnded, PhaseStarted, RetryPlanned, RunStopped
from jobtest.core.graph import Graph
from jobtest.core.model import EdgeKind, Job, OnFailure, Outcome, Phase, Retry
from jobtest.core.planner import make_plan
from jobtest.core.policies import first_phase
from jobtest.core.scheduler import GOOD, Scheduler, State
from jobtest.core.summary import summarize
from jobtest.testing import strategies as my
from tests.core.driver import Drive

TAIL = (Phase.CLOSE, Phase.CLEANUP)


def drive(case, **more):
    return Drive(case.plan, case.script, **renamed(case), **more)


def renamed(case):
    return {"capacity": case.workers, "retry_limit": case.retry_limit, "resources": my.RESOURCES}


def first_of(events, wanted):
    return next((number for number, event in enumerate(events) if wanted(event)), len(events))


def ends(events):
    """Return the place of the end of each job."""
    return {event.job: number for number, event in enumerate(events) if isinstance(event, JobEnded)}


@given(my.cases(), st.one_of(st.none(), st.integers(0, 30)))
def test_every_job_ends_exactly_once_and_nothing_of_it_happens_afterwards(case, stop_after):
    events = drive(case).to_the_end(stop_after=stop_after).events
    assert Counter(e.job for e in events if isinstance(e, JobEnded)) == dict.fromkeys(case.plan.graph.jobs, 1)
    end = ends(events)
    for number, event in enumerate(events):
        if isinstance(event, PhaseStarted | PhaseEnded):
            assert (number > end[event.job]) == (event.phase in TAIL)


@given(my.cases())
def test_asking_twice_gives_the_same_answer(case):
    def watch(scheduler, command):
        assert scheduler.command(run.now) == command
        assert scheduler.command(run.now) == command

    run = drive(case)
    run.to_the_end(watch)


@given(my.cases(), st.one_of(st.none(), st.integers(0, 30)))
def test_a_whole_journal_replays_to_the_same_answers_and_outcomes(case, stop_after):
    run = drive(case).to_the_end(stop_after=stop_after)
    again = Scheduler(case.plan, **renamed(case))
    for entry in run.entries:
        if not isinstance(entry.event, PhaseEnded | RunStopped):
            assert again.command(entry.at) == entry.event
        again.apply(entry.event, entry.at)
    assert again.done
    assert again.command(run.now) is None
    assert {id: again.outcome(id) for id in case.plan.graph.jobs} == run.outcomes()
    summary = summarize(case.plan, run.entries)
    assert {id: record.outcome for id, record in summary.jobs.items()} == run.outcomes()


@given(my.cases(), st.data())
def test_a_run_cut_at_any_event_can_be_folded_and_goes_on_in_the_same_way(case, data):
    run = drive(case).to_the_end()
    cut = data.draw(st.integers(0, len(run.entries)))
    again = drive(case)
    for entry in run.entries[:cut]:
        again.scheduler.apply(entry.event, entry.at)
    told = {e.event.job: e.event.outcome for e in run.entries[:cut] if isinstance(e.event, JobEnded)}
    assert {id: outcome for id, outcome in again.outcomes().items() if outcome} == told
    summary = summarize(case.plan, run.entries[:cut])
    assert {id: record.outcome for id, record in summary.jobs.items() if record.outcome} == told
    for entry in run.entries[cut:]:
        again.scheduler.apply(entry.event, entry.at)
    assert again.outcomes() == run.outcomes()


@given(my.cases())
def test_no_phase_starts_before_what_it_waits_for(case):
    """A first phase: upstream ended well, or idles. A run phase: the values it takes have been made."""
    graph, idle, ended = case.plan.graph, set(), {}

    def satisfied(edge):
        how = ended.get(edge.upstream)
        if how is None:
            return edge.upstream in idle or not case.plan.decisions[edge.upstream].needed
        forgiven = how is Outcome.FAILED and graph[edge.upstream].on_failure is OnFailure.CONTINUE
        return edge.kind is EdgeKind.AFTER or how in GOOD or forgiven

    for event in drive(case).to_the_end().events:
        match event:
            case AttemptSuspended(waits_for=()):
                idle.add(event.job)
            case JobEnded():
                ended[event.job] = event.outcome
            case PhaseStarted(phase=Phase.CHECK | Phase.RUN):
                assert all(satisfied(edge) for edge in graph.upstream(event.job))
                job = graph[event.job]
                taken = [
                    take for take in job.takes if event.phase is Phase.RUN or take.parameter in job.early
                ]
                assert all(up in ended for take in taken for up in take.upstream)


@given(my.cases())
def test_blocked_is_exactly_what_needs_a_failure_and_had_not_ended_or_run(case):
    events = drive(case).to_the_end().events
    graph, end = case.plan.graph, ends(events)
    how = {event.job: event for event in events if isinstance(event, JobEnded)}
    stop = first_of(events, lambda event: isinstance(event, RunStopped))
    for id, at in end.items():
        for other, kind in graph.downstream(id):
            bars = kind is not EdgeKind.AFTER and how[id].outcome in (Outcome.FAILED, Outcome.BLOCKED)
            if how[id].outcome is Outcome.FAILED and graph[id].on_failure is OnFailure.CONTINUE:
                bars = False
            if bars and at < stop and not case.plan.decisions[other].skip:
                before = events[:at]
                own_end = end[other] < at or under_way(before, other)
                assert own_end or how[other].outcome is Outcome.BLOCKED
                if how[other].outcome is not Outcome.BLOCKED:
                    assert not any(e for e in events[at:] if isinstance(e, RetryPlanned) and e.job == other)
    for id, event in how.items():
        if event.outcome is Outcome.BLOCKED:
            cause = event.causes[0]
            assert how[cause].outcome is Outcome.FAILED
            assert end[cause] < end[id]
            assert id in graph.descendants([cause])


def under_way(before, job):
    """Tell whether a run phase, or what follows it, is under way; or a check has come to its own end."""
    mine = [event for event in before if isinstance(event, PhaseStarted | PhaseEnded) and event.job == job]
    if not mine:
        return False
    return mine[-1].phase is not Phase.CHECK or isinstance(mine[-1], PhaseEnded)


@given(my.cases())
def test_there_are_never_more_attempts_than_allowed(case):
    events = drive(case).to_the_end().events
    planned = Counter(event.job for event in events if isinstance(event, RetryPlanned))
    for event in events:
        if isinstance(event, PhaseStarted):
            assert 1 <= event.attempt <= 1 + case.plan.graph[event.job].retry.retries
    if case.retry_limit is not None:
        assert planned.total() <= case.retry_limit


@given(my.cases(), st.one_of(st.none(), st.integers(0, 30)))
def test_never_more_at_once_than_places_and_resources_and_alone_is_alone(case, stop_after):
    run = drive(case).to_the_end(stop_after=stop_after)
    assert run.executor.most_at_once() <= case.workers
    for name, limit in my.RESOURCES.items():
        held = run.executor.most_at_once(
            lambda t: 0 if t.phase in TAIL else t.job.resources.get(name, 0)  # noqa: B023 - called at once
        )
        assert held <= limit
    spans = run.executor.spans
    for alone in (span for span in spans if span.ticket.job.exclusive and span.phase not in TAIL):
        assert not [s for s in spans if s is not alone and s.start < alone.end and alone.start < s.end]


@given(my.cases())
def test_the_best_of_those_that_are_ready_goes_first(case):
    """Fewer than `AGEING` starts, so nobody has aged; only those without resources are compared."""
    position = {id: number for number, id in enumerate(case.plan.graph.jobs)}

    def key(id):
        return -case.plan.graph[id].priority, -case.plan.decisions[id].rank, position[id]

    def watch(scheduler, command):
        if isinstance(command, PhaseStarted) and scheduler.state(command.job) is State.READY:
            ready = [
                id
                for id in position
                if scheduler.state(id) is State.READY and not case.plan.graph[id].resources
            ]
            assert all(key(command.job) <= key(id) for id in ready)

    drive(case).to_the_end(watch)


@given(my.cases())
def test_a_place_is_free_only_if_nobody_who_could_take_it_waits(case):
    """Who must be alone, and who asks for a resource, may wait for longer."""
    jobs = list(case.plan.graph)

    def watch(scheduler, command):
        waiting = [job for job in jobs if scheduler.state(job.id) is State.READY]
        busy = [span.ticket for span in run.executor.spans if span.end is None]
        if command is None and waiting and len(busy) < case.workers:
            assert any(job.exclusive or job.resources for job in waiting) or any(
                ticket.job.exclusive and ticket.phase not in TAIL for ticket in busy
            )

    run = drive(case)
    run.to_the_end(watch)


@given(my.graphs(plain=True, max_size=12), st.integers(1, 4), st.data())
def test_the_bound_of_graham(graph, workers, data):
    """Critical path <= makespan <= (work - critical path) / workers + critical path."""
    jobs = [replace(job, takes=()) for job in graph]
    seconds = {id: float(data.draw(st.integers(1, 9))) for id in graph.jobs}
    plan = make_plan(Graph(jobs), seconds=seconds, named=list(graph.jobs))
    run = Drive(plan, my.Script({}, seconds), capacity=workers)
    begin = run.now
    run.to_the_end()
    makespan, work = run.now - begin, sum(seconds.values())
    critical = sum(seconds[id] for id in plan.critical_path)
    assert critical <= makespan <= (work - critical) / workers + critical + 1e-6


@given(my.graphs(), st.data())
def test_a_job_without_downstream_never_changes_others(graph, data):
    """With places enough; the added job asks only for what is kept true anyway, and makes no way longer."""
    free = [replace(job, exclusive="", resources={}) for job in graph]
    checked = [job.id for job in free if job.has_check]
    kinds = data.draw(st.lists(st.sampled_from(checked), unique=True, max_size=3)) if checked else []
    added = Job.of("added", needs=kinds[:2], after=kinds[2:], check=data.draw(st.booleans()))
    script = data.draw(my.scripts([*graph.jobs, "added"]))
    seconds = {**dict.fromkeys(graph.jobs, 1.0), "added": 0.0}
    without, with_it = (
        Drive(make_plan(Graph(jobs), seconds=seconds), script, capacity=99).to_the_end()
        for jobs in (free, [*free, added])
    )
    mine = [event for event in without.events if isinstance(event, JobEnded)]
    theirs = [event for event in with_it.events if isinstance(event, JobEnded) and event.job != "added"]
    assert mine == theirs


@given(my.cases(), st.integers(0, 30))
def test_nothing_begins_after_a_stop(case, stop_after):
    events = drive(case).to_the_end(stop_after=stop_after).events
    after = events[first_of(events, lambda event: isinstance(event, RunStopped)) :]
    begun = [event for event in after if isinstance(event, PhaseStarted) and event.phase not in TAIL]
    assert all(event.phase in (Phase.RECHECK, Phase.DESCRIBE) for event in begun)
    assert not any(isinstance(event, RetryPlanned) for event in after)


@given(my.cases())
def test_every_run_phase_that_was_entered_is_cleaned_up_after_once_in_reverse_order(case):
    run = drive(case).to_the_end()
    entered = []
    for span in run.executor.spans:
        act = case.script(span.ticket)
        if span.phase is Phase.RUN and span.ticket.job.has_cleanup and act.verdict.value != "setup_error":
            entered += [span.job] if span.job not in entered else []
    assert run.started(Phase.CLEANUP) == entered[::-1]


@given(my.cases())
def test_what_is_opened_is_closed_once_after_all_who_take_it(case):
    events = drive(case).to_the_end().events
    end = ends(events)
    closed = {
        e.job: n for n, e in enumerate(events) if isinstance(e, PhaseStarted) and e.phase is Phase.CLOSE
    }
    count = Counter(e.job for e in events if isinstance(e, PhaseStarted) and e.phase is Phase.CLOSE)
    assert set(count.values()) <= {1}
    for id, at in closed.items():
        for other, kind in case.plan.graph.downstream(id):
            if kind is not EdgeKind.AFTER:
                assert end[other] < at
                assert closed.get(other, -1) < at


@given(my.cases())
def test_an_attempt_begins_with_its_first_phase_and_goes_through_the_phases_in_order(case):
    order = [Phase.CHECK, Phase.RUN, Phase.RECHECK, Phase.DESCRIBE]
    last = {}
    for event in drive(case).to_the_end().events:
        match event:
            case AttemptSuspended() | RetryPlanned():
                last.pop(event.job, None)
            case PhaseStarted() if event.phase not in TAIL:
                before = last.get(event.job)
                if before is None:
                    assert event.phase is first_phase(case.plan.graph[event.job])
                else:
                    assert order.index(event.phase) > order.index(before)
                last[event.job] = event.phase


@given(my.cases())
def test_a_job_that_only_runs_on_demand_runs_only_if_a_consumer_does(case):
    events = drive(case).to_the_end().events
    ran = {event.job for event in events if isinstance(event, PhaseStarted) and event.phase is Phase.RUN}
    wanted = {up for event in events if isinstance(event, AttemptSuspended) for up in event.waits_for}
    for id in ran:
        if not case.plan.decisions[id].needed:
            takers = [other for other, kind in case.plan.graph.downstream(id) if kind is EdgeKind.VALUE]
            assert id in wanted or any(
                not case.plan.decisions[other].needed or other in ran for other in takers
            )


def test_an_hour_of_retries_is_over_at_once():
    jobs = [Job.of(f"j{n}", retry=Retry(retries=60, delay=60.0)) for n in range(20)]
    script = my.Script({job.id: [*[my.Behaviour.RAISES] * 60, my.Behaviour.CHANGES] for job in jobs}, {})
    run = Drive(jobs, script, capacity=2)
    begin = run.now
    run.to_the_end()
    assert set(run.outcomes().values()) == {Outcome.CHANGED}
    assert run.now - begin > 3600
