"""Faults by lane, and how a delay ends."""

import asyncio
import signal
import threading

import pytest

from jobtest import Functions, Graph, Job, make_plan, run
from jobtest.core.faults import Fault, FaultKind
from jobtest.core.model import Kind, Outcome, Phase, Retry, Verdict
from jobtest.engine.calls import FunctionCall, Isolated, Result, Ticket
from jobtest.engine.executors.faults import FaultyExecutor, with_fault
from jobtest.engine.executors.lanes import Lanes
from jobtest.engine.executors.protocol import Inbox

LONG = 30.0
"""Seconds of a delay that nothing here waits for."""

FAIL, TIMEOUT = Fault(FaultKind.FAIL), Fault(FaultKind.TIMEOUT)


def delay(seconds):
    return Fault(FaultKind.DELAY, seconds=seconds)


def injected(functions, *jobs, workers=1, **faults):
    executor = FaultyExecutor(Lanes(workers), {job: [fault] for job, fault in faults.items()})
    return run(make_plan(Graph(jobs)), functions, workers=workers, executor=executor).jobs


def sync_and_async(done):
    async def body():
        done.append("async")

    return {"sync": lambda: done.append("sync"), "async": body}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_body_that_is_to_fail_is_not_called_in_any_lane(workers):
    done = []
    jobs = injected(
        sync_and_async(done),
        Job.of("sync"),
        Job.of("async"),
        workers=workers,
        **{"sync": FAIL, "async": FAIL},
    )
    assert done == []
    for record in jobs.values():
        assert (record.outcome, record.kind) == (Outcome.FAILED, Kind.RUN_ERROR)
        assert record.reason == "run raised injected: fail (--job-inject)"
        assert record.injected == ["fail at attempt 1"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_delayed_body_is_called_later_in_any_lane(workers):
    done = []
    slow = {"sync": delay(0.05), "async": delay(0.05)}
    jobs = injected(sync_and_async(done), Job.of("sync"), Job.of("async"), workers=workers, **slow)
    assert sorted(done) == ["async", "sync"]
    for record in jobs.values():
        assert (record.outcome, record.injected) == (Outcome.CHANGED, ["delay 0.05 s at attempt 1"])
        assert record.seconds >= 0.05


def test_a_delay_holds_up_nobody_else():
    order = []
    functions = {"slow": lambda: order.append("slow"), "quick": lambda: order.append("quick")}
    injected(functions, Job.of("slow"), Job.of("quick"), workers=2, slow=delay(0.2))
    assert order == ["quick", "slow"]


def test_a_delayed_async_body_leaves_the_loop_to_others():
    order = []

    async def slow():
        order.append("slow")

    async def quick():
        order.append("quick")

    injected({"slow": slow, "quick": quick}, Job.of("slow"), Job.of("quick"), workers=2, slow=delay(0.2))
    assert order == ["quick", "slow"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_timeout_ends_a_delay_and_the_body_is_not_called_late(kind):
    done = []
    job = Job.of(kind, timeout=0.05)
    functions = {kind: sync_and_async(done)[kind]}
    record = injected(functions, job, workers=2, **{kind: delay(LONG)})[kind]
    assert (record.outcome, record.kind, done) == (Outcome.FAILED, Kind.TIMEOUT, [])
    assert record.reason == "run timed out after 0.05 s"
    assert record.injected == [f"delay {LONG} s at attempt 1"]
    assert not record.lingers


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_a_delay_at_once_or_after_the_grace(workers):
    executor = FaultyExecutor(Lanes(workers), {"a": [delay(LONG)]})
    executor.calling = workers == 1  # of the lanes, for whoever hears the signal
    main = threading.main_thread().ident
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
    plan = make_plan(Graph([Job.of("a")]))
    record = run(plan, {"a": lambda: None}, workers=workers, executor=executor, grace=0.05).jobs["a"]
    assert (record.outcome, record.injected) == (Outcome.CANCELLED, [f"delay {LONG} s at attempt 1"])


def test_an_injected_timeout_comes_at_once_and_is_tried_again_for_a_timeout_error():
    done = []
    job = Job.of("a", retry=Retry(retries=1, on=("TimeoutError",)))
    plan = make_plan(Graph([job]))
    executor = FaultyExecutor(Lanes(), {"a": [Fault(FaultKind.TIMEOUT, 1, 1)]})
    record = run(plan, {"a": lambda: done.append("run")}, executor=executor).jobs["a"]
    assert [attempt.phases[0].verdict for attempt in record.attempts] == [Verdict.TIMED_OUT, Verdict.OK]
    assert (record.outcome, done) == (Outcome.CHANGED, ["run"])
    assert str(record.attempts[0].failure) == "timed out, injected: timeout (--job-inject)"


def test_an_injected_failure_is_one_that_is_tried_again():
    job = Job.of("a", retry=Retry(retries=1, on=("ConnectionError",)))
    record = injected({"a": lambda: None}, job, a=Fault(FaultKind.FAIL, 1, 1))["a"]
    assert (record.outcome, len(record.attempts)) == (Outcome.CHANGED, 2)


def test_only_run_phases_have_faults():
    done = []
    job = Job.of("a", check=True)
    functions = {"a": Functions(check=lambda: done.append("check"), run=lambda: done.append("run"))}
    record = injected(functions, job, a=FAIL)["a"]
    assert (record.outcome, record.injected, done) == (Outcome.UNCHANGED, [], ["check"])


def test_a_body_that_goes_on_after_its_delay_tells_of_both():
    """It is left behind then, and its fault is told all the same."""
    over = threading.Event()
    job = Job.of("a", timeout=0.1)
    record = injected({"a": lambda: over.wait(LONG)}, job, workers=2, a=delay(0.01))["a"]
    over.set()
    assert "goes on in this process" in record.reason
    assert record.injected == ["delay 0.01 s at attempt 1"]


class Away:
    """Takes what is isolated, and answers what the test says."""

    def __init__(self, inbox, verdict):
        self.inbox, self.verdict, self.messages = inbox, verdict, []

    def start(self, ticket, call):
        self.messages.append(call.message)
        self.inbox.put(ticket, Result(self.verdict))


@pytest.mark.parametrize(
    ("verdict", "notes"),
    [
        (Verdict.CRASHED, ["injected: kill at attempt 1"]),
        (Verdict.SETUP_ERROR, None),
        (Verdict.SKIPPED, None),
    ],
)
def test_a_fault_crosses_into_the_process_of_its_job_and_is_told_if_it_came(verdict, notes):
    inbox = Inbox()
    away = Away(inbox, verdict)
    executor = FaultyExecutor(Lanes(1, inbox, away), {"a": [Fault(FaultKind.KILL)]})
    executor.start(
        Ticket(Job.of("a", isolated=True), 1, Phase.RUN), lambda: Isolated({"op": "phase"}, lambda _: None)
    )
    ((_, result),) = executor.collect(1.0)
    assert away.messages == [{"op": "phase", "fault": {"kind": "kill"}}]
    assert (result.output.notes if result.output else None) == notes
    if notes:
        assert str(result.failure) == "was cut short, injected: kill (--job-inject)"


def test_the_process_of_a_job_does_what_it_was_told():
    ticket = Ticket(Job.of("a"), 1, Phase.RUN)

    async def body():
        return "late"

    call = FunctionCall(ticket, body, {})
    assert with_fault(call, None) is call
    failed = with_fault(call, {"kind": "fail"})()
    assert str(failed.failure).endswith("injected: fail (--job-inject)")
    late = with_fault(call, {"kind": "delay", "seconds": 0.01})
    assert asyncio.run(late.awaited()).value == "late"
