"""Phases that do not end in time, and what is done about those that cannot be ended."""

import asyncio
import contextlib
import threading
import time

import pytest

from jobtest import Functions, Graph, Job, make_plan, run
from jobtest.core.events import BodyEnded, PhaseEnded, PhaseStarted
from jobtest.core.model import Failure, Kind, Outcome, Phase, Retry, Verdict
from jobtest.engine.calls import FunctionCall, Result, Ticket
from jobtest.engine.executors.lanes import Lane, Lanes, lane_of
from jobtest.engine.executors.loop import LoopLane
from jobtest.engine.loop import Engine
from jobtest.state.memory import MemoryStore
from jobtest.testing import Act, FakeClock, ScriptedBodies, ScriptedExecutor, simulate

LONG = 30.0
"""Seconds that a test would take if what it tests were not so; nothing waits that long."""

LATE = "timed out after 2 s, and its body goes on in this process"


def plan_of(*jobs):
    return make_plan(Graph(jobs))


def lasting(seconds):
    """A script: how long the phases of jobs take, by job and phase."""
    return lambda ticket: Act(seconds=seconds.get(f"{ticket.job.id} {ticket.phase.value}", 1.0))


def starts(executor):
    return {span.job: span.start - executor.spans[0].start for span in executor.spans}


def test_what_cannot_be_ended_is_left_behind_at_its_timeout():
    job = Job.of("a", timeout=2.0, retry=Retry(retries=3))
    store = MemoryStore()
    summary, executor = simulate(plan_of(job), lasting({"a run": 10.0}), store=store, run_id="r")
    record = summary.jobs["a"]
    assert (record.outcome, record.kind, record.reason) == (Outcome.FAILED, Kind.TIMEOUT, f"run {LATE}")
    assert record.ended_at - record.started_at == 2.0
    assert len(executor.spans) == 1, "it was not tried again beside itself"
    assert record.lingers
    assert not any(isinstance(entry.event, BodyEnded) for entry in store.entries("r"))


@pytest.mark.parametrize("phase", ["check", "run", "recheck", "describe"])
def test_every_phase_has_the_whole_time(phase):
    job = Job.of("a", check=True, has_describe=True, timeout=2.0)
    acts = {phase: Act(seconds=2.5)}
    if phase != "check":
        acts["check"] = Act(Verdict.NOT_HOLDING, seconds=1.5)
    summary, _ = simulate(plan_of(job), lambda ticket: acts.get(ticket.phase.value, Act(seconds=1.5)))
    assert summary.jobs["a"].reason == f"{phase} {LATE}"


def test_what_an_abandoned_body_holds_is_free_when_it_ends():
    jobs = [Job.of("a", timeout=2.0, resources={"db": 1}), Job.of("b", resources={"db": 1}), Job.of("c")]
    seconds = {"a run": 5.0, "c run": 9.0}
    summary, executor = simulate(plan_of(*jobs), lasting(seconds), resources={"db": 1})
    assert starts(executor) == {"a": 0.0, "c": 2.0, "b": 11.0}, "one worker: c has the place that a left"
    summary, executor = simulate(plan_of(*jobs), lasting(seconds), resources={"db": 1}, workers=2)
    assert starts(executor) == {"a": 0.0, "c": 0.0, "b": 5.0}
    assert not summary.jobs["a"].lingers
    assert summary.jobs["b"].outcome is Outcome.CHANGED


def test_who_waits_for_a_body_that_never_ends_is_cancelled_after_the_grace():
    jobs = [Job.of("a", timeout=2.0, resources={"db": 1}), Job.of("b", resources={"db": 1})]
    summary, executor = simulate(plan_of(*jobs), lasting({"a run": 1e9}), resources={"db": 1}, grace=7.0)
    assert summary.jobs["b"].outcome is Outcome.CANCELLED
    assert summary.jobs["b"].reason == ("what the rest needs is held by a body that timed out and goes on: a")
    assert executor.clock.now() - executor.spans[0].start == 9.0


def test_a_cleanup_that_hangs_does_not_keep_the_others_from_running():
    jobs = [Job.of(id, has_cleanup=True, timeout=2.0) for id in "abc"]
    summary, executor = simulate(plan_of(*jobs), lasting({"b cleanup": 1e9}))
    assert [span.job for span in executor.spans if span.phase is Phase.CLEANUP] == ["c", "b", "a"]
    assert [summary.jobs[id].cleanup.ok for id in "abc"] == [True, False, True]
    assert summary.jobs["b"].cleanup.failure.message == LATE


def test_a_result_in_time_is_no_timeout():
    summary, _ = simulate(plan_of(Job.of("a", timeout=2.0)), lasting({"a run": 2.0 - 1e-9}))
    assert summary.jobs["a"].outcome is Outcome.CHANGED


# --- with bodies ---


def ended(functions, *jobs, **settings):
    began = time.monotonic()
    summary = run(plan_of(*jobs), functions, **settings)
    assert time.monotonic() - began < LONG / 2
    return {id: (one.outcome, one.reason) for id, one in summary.jobs.items()}, summary


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thread_is_left_behind_and_others_go_on(workers):
    hold = threading.Event()
    jobs = [Job.of("a", timeout=0.05), Job.of("b")]
    found, _ = ended({"a": lambda: hold.wait(LONG), "b": lambda: 1}, *jobs, workers=workers)
    hold.set()
    assert found["a"] == (Outcome.FAILED, "run timed out after 0.05 s, and its body goes on in this process")
    assert found["b"][0] is Outcome.CHANGED


@pytest.mark.parametrize("workers", [1, 2])
def test_an_async_body_is_cancelled_and_tried_again(workers):
    seen = []

    async def body():
        seen.append("begun")
        if len(seen) == 1:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

    job = Job.of("a", timeout=0.05, retry=Retry(retries=1, on=("TimeoutError",)))
    found, summary = ended({"a": body}, job, workers=workers)
    assert seen == ["begun", "cancelled", "begun"]
    assert found["a"][0] is Outcome.CHANGED
    assert str(summary.jobs["a"].attempts[0].failure) == "timed out after 0.05 s"


def test_an_async_body_that_swallows_its_cancellation_is_left_behind(monkeypatch):
    monkeypatch.setattr("jobtest.engine.loop.LONGEST_GOODBYE", 0.05)
    stop = []

    async def body():
        while not stop:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.2)

    found, _ = ended({"a": body}, Job.of("a", timeout=0.05), workers=2)
    stop.append(1)
    assert found["a"][1] == "run timed out after 0.05 s, and its body goes on in this process"


def test_an_async_check_has_a_timeout_too():
    async def check():
        await asyncio.sleep(LONG)

    job = Job.of("a", check=True, timeout=0.05)
    found, _ = ended({"a": Functions(run=lambda: 1, check=check)}, job, workers=2)
    assert found["a"] == (Outcome.FAILED, "check timed out after 0.05 s")


def test_who_blocks_the_loop_is_told_with_the_line():
    hold = threading.Event()

    async def blocks():
        hold.wait(LONG)  # here it stands

    async def gives_way():
        await asyncio.sleep(0)

    inbox_full = threading.Timer(0.3, hold.set)
    inbox_full.start()
    executor = Lanes(2)
    executor._loop = LoopLane(executor._inbox, blocked=0.02)
    plan = plan_of(Job.of("a"), Job.of("b"))
    bodies = {"a": blocks, "b": gives_way}
    summary = run(plan, bodies, workers=2, executor=executor)
    inbox_full.join()
    (note,) = summary.jobs["a"].notes
    assert note.startswith("it blocks the event loop, and all async jobs wait")
    assert "hold.wait(LONG)  # here it stands" in note
    assert "jobtest/engine" not in note
    assert summary.jobs["b"].notes == ()


def test_an_async_body_that_is_cancelled_before_it_began_has_a_result():
    executor = Lanes(2)
    hold = threading.Event()

    async def blocks():
        hold.wait(LONG)

    async def never():
        raise AssertionError

    tickets = []
    for id, body in (("a", blocks), ("b", never)):
        ticket = Ticket(Job.of(id), 1, Phase.RUN)
        tickets.append(ticket)
        executor.start(ticket, lambda ticket=ticket, body=body: FunctionCall(ticket, body, {}))
    assert executor.cancel(tickets[1])
    hold.set()
    found = {}
    while len(found) < 2:
        found |= {ticket.job.id: result for ticket, result in executor.collect(LONG)}
    assert found["b"].verdict is Verdict.INTERRUPTED
    executor.close()


# --- which lane ---


@pytest.mark.parametrize(
    ("job", "workers", "is_async", "lane"),
    [
        (Job.of("a"), 1, False, Lane.MAIN),
        (Job.of("a"), 1, True, Lane.MAIN),
        (Job.of("a"), 2, False, Lane.THREAD),
        (Job.of("a"), 2, True, Lane.LOOP),
        (Job.of("a", exclusive="capsys"), 2, False, Lane.MAIN),
        (Job.of("a", timeout=1.0), 1, False, Lane.THREAD),
        (Job.of("a", timeout=1.0), 1, True, Lane.LOOP),
        (Job.of("a", isolated=True), 1, False, Lane.AWAY),
        (Job.of("a", isolated=True, timeout=1.0), 2, True, Lane.AWAY),
    ],
)
def test_a_phase_is_called_where_it_belongs(job, workers, is_async, lane):
    assert lane_of(job, workers, is_async=is_async) is lane


# --- the second interrupt ---


class Stubborn(ScriptedExecutor):
    """Ends what it is told to end, or not, and remembers it."""

    def __init__(self, script, *, ends):
        super().__init__(script)
        self.cancelled = []
        self.ends = ends

    def cancel(self, ticket):
        self.cancelled.append(ticket.job.id)
        if self.ends:
            for due in self._due:
                if due.span.ticket is ticket:
                    due.at, due.result = self.clock.now(), Result(Verdict.RAISED, Failure("ended"))
        return self.ends


def interrupted(engine, times, at, kind=PhaseStarted):
    """Run, with so many interrupts at the start or the end of a phase."""

    def observe(entry):
        if isinstance(entry.event, kind) and (entry.event.job, entry.event.phase) == at:
            for _ in range(times):
                engine.interrupt("Ctrl-C")

    engine._journal.observers.append(observe)
    return engine.run()


@pytest.mark.parametrize("ends", [True, False])
def test_the_second_interrupt_ends_all_at_once_and_leaves_cleanups_owed(ends):
    jobs = [Job.of("a", has_cleanup=True), Job.of("b"), Job.of("c"), Job.of("d", needs=["a"])]
    executor = Stubborn(lasting({"a run": 100.0, "b run": 200.0, "c run": 300.0}), ends=ends)
    engine = Engine(plan_of(*jobs), ScriptedBodies(), executor, clock=executor.clock, workers=3)
    began = executor.clock.now()
    summary = interrupted(engine, 2, ("c", Phase.RUN))
    assert {one.outcome for one in summary.jobs.values()} == {Outcome.CANCELLED}
    assert summary.jobs["a"].cleanup is None
    assert executor.clock.now() - began <= 1.0
    assert engine.aborted


def test_a_phase_that_is_due_after_the_second_interrupt_does_not_start():
    job = Job.of("a", check=True)
    acts = {"check": Act(Verdict.NOT_HOLDING)}
    executor = ScriptedExecutor(lambda ticket: acts.get(ticket.phase.value, Act()))
    engine = Engine(plan_of(job), ScriptedBodies(), executor, clock=executor.clock)
    summary = interrupted(engine, 2, ("a", Phase.CHECK), PhaseEnded)
    assert [span.phase for span in executor.spans] == [Phase.CHECK]
    assert summary.jobs["a"].outcome is Outcome.CANCELLED


def test_after_one_interrupt_what_runs_has_the_grace_and_is_then_cancelled():
    executor = Stubborn(lasting({"a run": 100.0, "b run": 3.0}), ends=True)
    jobs = [Job.of("a", has_cleanup=True), Job.of("b")]
    engine = Engine(plan_of(*jobs), ScriptedBodies(), executor, clock=executor.clock, workers=2, grace=7.0)
    summary = interrupted(engine, 1, ("b", Phase.RUN))
    assert executor.cancelled == ["a"]
    assert summary.jobs["b"].outcome is Outcome.CHANGED
    assert summary.jobs["a"].outcome is Outcome.CANCELLED
    assert summary.jobs["a"].reason == "interrupted, and still running 7 s later"
    assert summary.jobs["a"].ended_at - summary.jobs["a"].started_at == 7.0
    assert summary.jobs["a"].cleanup.ok


def test_who_sends_sigterm_gets_an_end_in_time():
    executor = ScriptedExecutor(lasting({"a run": 100.0}))
    engine = Engine(plan_of(Job.of("a")), ScriptedBodies(), executor, clock=executor.clock, grace=60.0)
    engine._journal.observers.append(
        lambda entry: (
            engine.interrupt("SIGTERM", grace=5.0) if isinstance(entry.event, PhaseStarted) else None
        )
    )
    summary = engine.run()
    assert summary.jobs["a"].ended_at - summary.jobs["a"].started_at == 5.0


def test_a_fake_clock_is_not_needed_for_what_has_no_timeout():
    engine = Engine(plan_of(Job.of("a")), ScriptedBodies(), ScriptedExecutor(), clock=FakeClock())
    assert engine.run().totals() == {Outcome.CHANGED: 1}
