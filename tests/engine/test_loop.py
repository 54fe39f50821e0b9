"""The loop: what is written before what is done, who is told, and how it ends."""

import threading
from itertools import pairwise

import pytest
from hypothesis import given

from jobtest.core.events import (
    Entry,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Failure, Job, Outcome, Phase, Retry, Take, Verdict
from jobtest.core.planner import make_plan
from jobtest.engine.calls import FunctionCall, Result
from jobtest.engine.executors.lanes import Lanes
from jobtest.engine.loop import Engine, failed
from jobtest.testing import Act, FakeClock, MemoryStore, ScriptedBodies, ScriptedExecutor, simulate
from jobtest.testing import strategies as my
from tests.core.driver import said

NO, RAISED = Verdict.NOT_HOLDING, Verdict.RAISED
LONG = 30.0


def plan_of(*jobs, **settings):
    return make_plan(Graph(jobs), **settings)


def engine_of(plan, acts=None, *, prepare=False, wrap=lambda inner: inner, **settings):
    """Return an engine on a fake clock, its executor and its bodies."""
    script = acts if callable(acts) else said(acts or {})
    executor, bodies = ScriptedExecutor(script, prepare=prepare), ScriptedBodies()
    engine = Engine(plan, bodies, wrap(executor), clock=executor.clock, run_id="r", **settings)
    return engine, executor, bodies


# --- the journal ---


@given(my.cases())
def test_the_journal_of_any_run_is_whole_and_replays(case):
    store = MemoryStore()
    summary, executor = simulate(case.plan, case.script, store=store, run_id="r", **case.settings)
    entries = list(store.entries("r"))
    assert [entry.seq for entry in entries] == list(range(len(entries)))
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert executor.closed
    same_run = {**case.settings, "run_id": "r", "clock": executor.clock}
    again = Engine(case.plan, ScriptedBodies(), ScriptedExecutor(), **same_run)._scheduler
    for entry in entries:
        again.apply(entry.event, entry.at)
    assert {id: again.outcome(id) for id in case.plan.graph.jobs} == {
        id: record.outcome for id, record in summary.jobs.items()
    }


def test_what_happens_is_written_then_decided_on_then_told():
    order = []

    class Store(MemoryStore):
        def write(self, change):
            if isinstance(change, Entry):
                order.append(("store", change.seq))
            super().write(change)

    class Executor(ScriptedExecutor):
        def start(self, ticket, prepare):
            order.append(("start", ticket.phase))
            super().start(ticket, prepare)

    executor = Executor()
    observers = [lambda entry: order.append(("told", entry.seq))]
    settings = {"store": Store(), "observers": observers, "clock": executor.clock}
    Engine(plan_of(Job.of("a")), ScriptedBodies(), executor, **settings).run()
    assert order[:5] == [("store", 0), ("told", 0), ("store", 1), ("told", 1), ("start", Phase.RUN)]


def test_a_run_is_framed_by_its_beginning_and_its_end():
    store = MemoryStore()
    engine, *_ = engine_of(plan_of(Job.of("a"), command=Command.PLAN), store=store, workers=3)
    assert engine.run() is engine.summary
    engine.end(1)
    events = [entry.event for entry in store.entries("r")]
    assert (events[0], events[-1]) == (RunStarted(Command.PLAN, 1, 3), RunEnded(1))
    assert engine.summary.exit_status == 1


def test_a_store_that_cannot_write_stops_the_run():
    class Full(MemoryStore):
        def commit(self, *, at_once=False):
            if any(isinstance(entry.event, PhaseStarted) for entry in self.entries("r")):
                raise OSError("disk full")

    engine, executor, _ = engine_of(plan_of(Job.of("a"), Job.of("b")), store=Full())
    summary = engine.run()
    assert (executor.spans, executor.closed) == ([], True)
    assert [record.outcome for record in summary.jobs.values()] == [Outcome.CANCELLED] * 2
    assert summary.stopped == "the state is lost: the state cannot be written: disk full"
    assert str(engine.lost).endswith("fix: see to it, and start the same command again")


def test_an_observer_that_raises_is_switched_off_and_the_others_go_on():
    told = []

    def broken(entry):
        told.append("broken")
        raise RuntimeError("no")

    engine, *_ = engine_of(plan_of(Job.of("a")), observers=[broken, lambda entry: told.append(entry.seq)])
    engine.run()
    assert told == ["broken", 0, 1, 2, 3]
    ((who, error),) = engine.switched_off
    assert (who, str(error)) == (broken, "no")


def test_a_run_has_an_id_of_its_own():
    plan = plan_of(Job.of("a"))
    ids = {Engine(plan, ScriptedBodies(), ScriptedExecutor()).run_id for _ in range(2)}
    assert len(ids) == 2


# --- time ---


def test_an_hour_of_retries_takes_no_time():
    jobs = [Job.of(f"j{n}", retry=Retry(retries=60, delay=1, backoff=2, max_delay=60)) for n in range(10)]
    summary, executor = simulate(plan_of(*jobs), lambda t: Act(RAISED if t.attempt < 61 else Verdict.OK, 0.0))
    assert set(summary.totals()) == {Outcome.CHANGED}
    assert summary.jobs["j0"].waited_backoff == 1 + 2 + 4 + 8 + 16 + 32 + 54 * 60
    assert max(span.start for span in executor.spans) - executor.spans[0].start >= 3303


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(retries=3, delay=10), [10, 10, 10]),
        (Retry(retries=4, delay=1, backoff=3), [1, 3, 9, 27]),
        (Retry(retries=4, delay=1, backoff=3, max_delay=5), [1, 3, 5, 5]),
        (Retry(retries=2), [0, 0]),
        (Retry(retries=1, delay=7200), [7200]),
    ],
)
def test_attempts_begin_when_their_backoff_is_over(retry, delays):
    _, executor = simulate(plan_of(Job.of("a", retry=retry)), said({"a run": Act(RAISED, 2)}))
    starts = [span.start for span in executor.spans]
    assert [later - earlier - 2 for earlier, later in pairwise(starts)] == delays


def test_jitter_is_the_same_in_the_same_run_and_differs_between_jobs_attempts_and_runs():
    def delays(run_id):
        store = MemoryStore()
        jobs = [Job.of(id, retry=Retry(retries=2, delay=100, jitter=0.5)) for id in "ab"]
        simulate(plan_of(*jobs), said({"a run": RAISED, "b run": RAISED}), store=store, run_id=run_id)
        return [entry.event.delay for entry in store.entries(run_id) if isinstance(entry.event, RetryPlanned)]

    assert delays("r1") == delays("r1")
    assert len({*delays("r1"), *delays("r2")}) == 8
    assert all(50 <= delay <= 150 for delay in delays("r1"))


def test_a_waiting_job_holds_no_worker():
    jobs = [Job.of("a", retry=Retry(retries=1, delay=100), priority=1), Job.of("b")]
    _, executor = simulate(plan_of(*jobs), said({"a run 1": RAISED}))
    assert [span.job for span in executor.spans] == ["a", "b", "a"]


def test_only_named_exceptions_are_tried_again():
    jobs = [Job.of(id, retry=Retry(retries=1, on=("OSError",))) for id in "ab"]
    acts = {"a run": Act(RAISED, type="OSError"), "b run": Act(RAISED, type="ValueError")}
    _, executor = simulate(plan_of(*jobs), said(acts))
    assert sorted(span.job for span in executor.spans) == ["a", "a", "b"]


# --- values ---


def handed_over(plan, acts=None, **settings):
    engine, _, bodies = engine_of(plan, acts, prepare=True, **settings)
    engine.run()
    return {(ticket.job.id, ticket.phase): values for ticket, values in bodies.values}, engine


def test_a_value_goes_to_those_who_take_it():
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", needs=["a"]))
    values, engine = handed_over(plan, {"a run": Act(value=42)})
    assert values["b", Phase.RUN] == {"a": 42}
    assert values["c", Phase.RUN] == {}
    assert engine.values == {"a": 42, "b": "b", "c": "c"}


def test_a_gathered_value_is_a_dict_in_order():
    ids = ("b[z]", "b[ä ö]")
    take = Take("b", ids, ("z", "ä ö"))
    plan = plan_of(
        *(Job.of(id) for id in ids), Job(id="c", edges=Job.of("c", takes=ids).edges, takes=(take,))
    )
    values, _ = handed_over(plan, {"b[z] run": Act(value=1), "b[ä ö] run": Act(value=None)})
    assert list(values["c", Phase.RUN]["b"].items()) == [("z", 1), ("ä ö", None)]


def test_a_check_gets_only_the_values_that_are_known():
    plan = plan_of(
        Job.of("a"), Job.of("b"), Job.of("c", takes=["a", "b"], check=True, early=frozenset({"a"}))
    )
    values, _ = handed_over(plan, {"c check": NO})
    assert values["c", Phase.CHECK]["a"] == "a"
    assert values["c", Phase.RUN] == values["c", Phase.RECHECK] == {"a": "a", "b": "b"}


def test_a_check_that_takes_its_own_value_does_not_hold_until_there_is_one():
    job = Job(id="x::a", name="a", has_check=True, own_value=True, has_cleanup=True)
    values, engine = handed_over(plan_of(job), {"x::a run": Act(value=7)})
    assert ("x::a", Phase.CHECK) not in values
    assert values["x::a", Phase.RECHECK] == values["x::a", Phase.CLEANUP] == {"a": 7}
    record = engine.summary.jobs["x::a"]
    assert (record.outcome, record.reason) == (
        Outcome.CHANGED,
        "check did not hold: its own value is not known yet",
    )


def test_a_new_attempt_does_not_see_the_value_of_the_one_before():
    job = Job.of("a", check=True, own_value=True, retry=Retry(retries=1))
    plan = plan_of(job)
    engine, executor, _ = engine_of(plan, {"a recheck 1": NO}, prepare=True)
    engine.run()
    assert [(s.ticket.attempt, s.phase.value) for s in executor.spans][:4] == [
        (1, "check"),
        (1, "run"),
        (1, "recheck"),
        (2, "check"),
    ]
    checks = [phase for attempt in engine.summary.jobs["a"].attempts for phase in attempt.phases]
    assert [phase.verdict for phase in checks if phase.phase is Phase.CHECK] == [NO, NO]


def test_the_value_of_a_description_replaces_that_of_the_run():
    plan = plan_of(Job.of("a", has_describe=True), Job.of("b", takes=["a"]))
    values, _ = handed_over(plan, {"a run": Act(value=1), "a describe": Act(value=2)})
    assert values["b", Phase.RUN] == {"a": 2}


def test_the_value_of_a_gate_is_none():
    plan = plan_of(Job.of("a", check=True, has_run=False), Job.of("b", takes=["a"]))
    values, engine = handed_over(plan)
    assert values["b", Phase.RUN] == {"a": None}
    assert engine.summary.totals() == {Outcome.UNCHANGED: 1, Outcome.CHANGED: 1}


def test_a_cleanup_gets_what_is_known_and_complains_of_nothing():
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"], has_cleanup=True))
    values, _ = handed_over(plan)
    assert values["b", Phase.CLEANUP] == {"a": "a"}


def test_values_are_kept():
    store = MemoryStore()
    engine, *_ = engine_of(
        plan_of(Job.of("a"), Job.of("b", check=True)), {"a run": Act(value=1)}, store=store
    )
    engine.run()
    assert {job: store.value(past.value) for job, past in store.pasts().items()} == {"a": "1", "b": None}


def test_what_an_executor_says_of_a_check_is_no_value():
    engine, *_ = engine_of(plan_of(Job.of("a", check=True)), {"a check": Act(value=5)})
    engine.run()
    assert engine.values == {}


# --- what bodies are told ---


def test_bodies_are_told_when_attempts_jobs_and_tails_are_over():
    jobs = [Job.of("a", retry=Retry(retries=1), has_cleanup=True, is_generator=True), Job.of("b", skip="no")]
    engine, _, bodies = engine_of(plan_of(*jobs), {"a run 1": RAISED})
    engine.run()
    assert bodies.told == [
        ("job_over", "b"),
        ("attempt_over", "a"),
        ("job_over", "a"),
        ("tail_over", "a"),
        ("tail_over", "a"),
    ]


# --- stopping ---


def test_a_stop_lets_what_runs_come_to_its_end():
    plan = plan_of(Job.of("a", check=True, has_cleanup=True), Job.of("b"))
    engine, executor, _ = engine_of(plan, {"a check": NO, "a run": Act(seconds=1000)})
    engine._journal.observers.append(lambda entry: engine.stop("enough") if entry.seq == 3 else None)
    summary = engine.run()
    assert {id: record.outcome for id, record in summary.jobs.items()} == {
        "a": Outcome.CHANGED,
        "b": Outcome.CANCELLED,
    }
    assert [span.phase.value for span in executor.spans] == ["check", "run", "recheck", "cleanup"]
    assert (summary.stopped, engine.interrupted) == ("enough", False)


def interrupted_at(engine, job, phase):
    """Interrupt the run as soon as a phase has started."""

    def observe(entry):
        event = entry.event
        if isinstance(event, PhaseStarted) and (event.job, event.phase) == (job, phase):
            engine.interrupt("Ctrl-C")

    engine._journal.observers.append(observe)
    return engine.run()


def test_an_interrupt_gives_what_runs_its_grace_and_no_more():
    jobs = [
        Job.of("slow", has_cleanup=True),
        Job.of("quick", has_cleanup=True),
        Job.of("next", needs=["slow"]),
    ]
    acts = {"slow run": Act(seconds=1000), "quick run": Act(seconds=9)}
    engine, executor, _ = engine_of(plan_of(*jobs), acts, workers=2, grace=10)
    summary = interrupted_at(engine, "quick", Phase.RUN)
    assert {id: (record.outcome.value, record.reason) for id, record in summary.jobs.items()} == {
        "slow": ("cancelled", "interrupted, and still running 10 s later"),
        "quick": ("changed", "no check; a leaf"),
        "next": ("cancelled", "Ctrl-C"),
    }
    assert engine.interrupted
    assert [span.job for span in executor.spans if span.phase is Phase.CLEANUP] == ["quick", "slow"]


def test_cleanups_after_an_interrupt_have_all_the_time_they_need():
    jobs = [Job.of("a", has_cleanup=True), Job.of("b", has_cleanup=True)]
    acts = {"a run": Act(seconds=100), "a cleanup": Act(seconds=300), "b cleanup": Act(seconds=300)}
    engine, *_ = engine_of(plan_of(*jobs), acts, workers=2, grace=10)
    summary = interrupted_at(engine, "b", Phase.RUN)
    assert [summary.jobs[id].cleanup.verdict for id in "ab"] == [Verdict.OK, Verdict.OK]
    assert [summary.jobs[id].cleanup.seconds for id in "ab"] == [300, 300]


def test_an_interrupt_while_nothing_runs_needs_no_grace():
    engine, executor, _ = engine_of(
        plan_of(Job.of("a", retry=Retry(retries=1, delay=500))), {"a run": RAISED}
    )
    engine._journal.observers.append(
        lambda e: engine.interrupt("Ctrl-C") if isinstance(e.event, RetryPlanned) else None
    )
    begin = executor.clock.now()
    assert engine.run().totals() == {Outcome.CANCELLED: 1}
    assert executor.clock.now() == begin + 1


def test_an_interrupt_before_the_run_cancels_everything():
    store = MemoryStore()
    engine, executor, _ = engine_of(plan_of(Job.of("a")), store=store)
    engine.interrupt("Ctrl-C")
    engine.interrupt("Ctrl-C again")
    assert engine.run().totals() == {Outcome.CANCELLED: 1}
    stops = [entry.event for entry in store.entries("r") if isinstance(entry.event, RunStopped)]
    assert (stops, executor.spans) == ([RunStopped("Ctrl-C")], [])


def test_a_keyboard_interrupt_in_a_body_is_a_failure_unless_the_run_was_interrupted():
    error = KeyboardInterrupt()

    class Executor(ScriptedExecutor):
        def collect(self, timeout):
            found = super().collect(timeout)
            return [(t, Result(RAISED, Failure("", "KeyboardInterrupt"), error=error)) for t, _ in found]

    for interrupt, outcome in ((False, Outcome.FAILED), (True, Outcome.CANCELLED)):
        executor = Executor()
        engine = Engine(plan_of(Job.of("a")), ScriptedBodies(), executor, clock=executor.clock)
        if interrupt:
            assert interrupted_at(engine, "a", Phase.RUN).totals() == {outcome: 1}
        else:
            assert engine.run().totals() == {outcome: 1}


def test_a_result_that_comes_too_late_is_thrown_away():
    late = threading.Event()

    class Bodies(ScriptedBodies):
        def prepare(self, ticket, values):
            if ticket.phase is Phase.CLEANUP:
                return FunctionCall(ticket, late.set, {})
            return FunctionCall(ticket, lambda: late.wait(LONG), {})

    store, clock = MemoryStore(), FakeClock()
    plan = plan_of(Job.of("a", has_cleanup=True))
    engine = Engine(plan, Bodies(), Lanes(2), store=store, clock=clock, run_id="r", grace=0)
    summary = interrupted_at(engine, "a", Phase.RUN)
    assert summary.jobs["a"].outcome is Outcome.CANCELLED
    assert summary.jobs["a"].cleanup.ok
    assert engine.values == {}
    ended = [entry.event for entry in store.entries("r") if isinstance(entry.event, PhaseEnded)]
    assert [event.phase for event in ended] == [Phase.RUN, Phase.CLEANUP]


def test_a_function_can_be_called_on_the_thread_of_the_loop():
    class Bodies(ScriptedBodies):
        def prepare(self, ticket, values):
            return FunctionCall(ticket, self.body, {})

        def body(self):
            with pytest.raises(ZeroDivisionError):
                engine.on_main(lambda: 1 / 0)
            return engine.on_main(threading.current_thread)

    engine = Engine(plan_of(Job.of("a")), Bodies(), Lanes(2))
    engine.run()
    assert engine.values["a"] is threading.current_thread()


def test_a_run_with_nothing_to_do_and_nothing_to_wait_for_is_a_bug():
    engine, *_ = engine_of(plan_of(Job.of("a")))
    with pytest.raises(AssertionError, match="this is a bug in jobtest"):
        engine._patience()


# --- what failed means ---


@pytest.mark.parametrize(
    ("acts", "bad"),
    [
        ({}, False),
        ({"a run": RAISED}, True),
        ({"a run": Verdict.SKIPPED}, False),
        ({"a run": Verdict.INTERRUPTED}, True),
        ({"a cleanup": RAISED}, True),
        ({"a close": RAISED}, True),
    ],
)
def test_a_run_has_failed_if_a_job_or_what_follows_it_did(acts, bad):
    summary, _ = simulate(plan_of(Job.of("a", has_cleanup=True, is_generator=True)), said(acts))
    assert failed(summary) is bad


def test_a_failing_cleanup_changes_no_outcome_and_keeps_no_other_from_running():
    jobs = [Job.of(id, has_cleanup=True) for id in "ab"]
    store = MemoryStore()
    summary, executor = simulate(plan_of(*jobs), said({"b cleanup": RAISED}), store=store, run_id="r")
    assert summary.totals() == {Outcome.CHANGED: 2}
    assert [span.job for span in executor.spans if span.phase is Phase.CLEANUP] == ["b", "a"]
    assert sum(isinstance(entry.event, JobEnded) for entry in store.entries("r")) == 2


@pytest.mark.parametrize("verdict", [Verdict.SETUP_ERROR, Verdict.NOT_BEGUN])
def test_a_body_that_was_not_entered_owes_no_cleanup(verdict):
    store = MemoryStore()
    plan = plan_of(Job.of("a", has_cleanup=True))
    summary, _ = simulate(plan, said({"a run": verdict}), store=store, run_id="r")
    assert store.owed() == []
    assert summary.jobs["a"].cleanup is None


def test_an_attempt_that_was_not_entered_leaves_owed_what_the_one_before_owes():
    store = MemoryStore()
    job = Job.of("a", has_cleanup=True, retry=Retry(retries=1))
    acts = iter([Act(RAISED), Act(Verdict.SETUP_ERROR), Act(RAISED)])
    summary, _ = simulate(plan_of(job), lambda _: next(acts), store=store, run_id="r")
    assert len(summary.jobs["a"].attempts) == 2
    assert [one.job for one in store.owed()] == ["a"], "its cleanup failed"
