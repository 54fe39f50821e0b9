"""Inline, on threads, and hardly at all."""

import asyncio
import threading
import time

import pytest

from jobtest.core.model import Failure, Job, Phase, Verdict
from jobtest.engine.calls import FunctionCall, Result, Ticket
from jobtest.engine.executors.dry import DriftExecutor, PlanExecutor
from jobtest.engine.executors.lanes import Lanes
from jobtest.testing import Act, ScriptedExecutor

LONG = 30.0
"""Seconds that a test would take if what it tests were not so; nothing waits that long."""


def ticket(id="a", phase=Phase.RUN, **rest):
    return Ticket(Job.of(id, **rest), 1, phase)


def collect(executor, count):
    found = []
    while len(found) < count:
        found += executor.collect(LONG)
    return {done.job.id: result for done, result in found}


def start(executor, id, function):
    this = ticket(id)
    executor.start(this, lambda: FunctionCall(this, function, {}))


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def executor(request):
    made = Lanes(request.param)
    yield made
    made.close()


def test_a_body_is_called_and_its_result_comes_out_once(executor):
    start(executor, "a", lambda: 42)
    assert collect(executor, 1)["a"].value == 42
    assert executor.collect(0.0) == []


def test_a_body_that_raises_comes_out_as_a_result(executor):
    def body():
        raise SystemExit(3)

    start(executor, "a", body)
    assert collect(executor, 1)["a"].verdict is Verdict.RAISED


def test_what_needs_no_call_comes_out_as_well(executor):
    executor.start(ticket("a"), lambda: Result(Verdict.SETUP_ERROR, Failure("no")))
    assert collect(executor, 1)["a"].verdict is Verdict.SETUP_ERROR


def test_async_bodies_share_one_loop(executor):
    async def body():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    for name in "abc":
        start(executor, name, body)
    assert len({result.value for result in collect(executor, 3).values()}) == 1


def test_with_nothing_under_way_and_no_time_nothing_comes_out_at_once(executor):
    assert executor.collect(None) == []
    assert executor.collect(0.0) == []


def test_who_is_woken_does_not_wait(executor):
    executor.wake()
    begin = time.monotonic()
    assert executor.collect(LONG) == []
    assert time.monotonic() - begin < LONG / 2


def test_a_wait_ends_with_its_time(executor):
    begin = time.monotonic()
    assert executor.collect(0.02) == []
    assert time.monotonic() - begin >= 0.015


def test_inline_bodies_are_called_on_this_thread():
    executor = Lanes()
    start(executor, "a", threading.current_thread)
    assert collect(executor, 1)["a"].value is threading.current_thread()
    executor.close()


def test_a_body_that_must_be_alone_is_called_on_this_thread():
    executor = Lanes(2)

    async def where():
        return threading.current_thread()

    for id, function in {"a": threading.current_thread, "b": where, "c": where}.items():
        this = ticket(id, exclusive="" if id == "c" else "capsys")
        executor.start(this, lambda this=this, function=function: FunctionCall(this, function, {}))
    found = collect(executor, 3)
    assert found["a"].value is threading.current_thread()
    assert found["b"].value is found["c"].value, "async bodies share one loop, alone or not"
    executor.close()


def test_several_wakes_are_no_results():
    executor = Lanes(2)
    start(executor, "a", lambda: 1)
    for _ in range(3):
        executor.wake()
    assert collect(executor, 1)["a"].value == 1
    executor.close()


def test_bodies_on_threads_run_side_by_side():
    executor = Lanes(2)
    meeting = threading.Barrier(3)
    for id in "abc":
        start(executor, id, lambda: meeting.wait(LONG))
    assert {result.verdict for result in collect(executor, 3).values()} == {Verdict.OK}
    executor.close()


def test_async_bodies_on_threads_run_side_by_side():
    executor = Lanes(2)
    met = asyncio.Event()

    async def first():
        await met.wait()

    async def second():
        met.set()

    start(executor, "a", first)
    start(executor, "b", second)
    assert len(collect(executor, 2)) == 2
    executor.close()


def test_threads_are_used_again():
    executor = Lanes(2)
    seen = set()
    for number in range(20):
        start(executor, f"j{number}", lambda: seen.add(threading.get_ident()))
        collect(executor, 1)
    assert len(seen) == 1
    executor.close()


def test_a_wait_is_ended_from_another_thread():
    executor = Lanes(2)
    hold = threading.Event()
    start(executor, "a", lambda: hold.wait(LONG))
    threading.Thread(target=executor.wake).start()
    assert executor.collect(None) == []
    hold.set()
    collect(executor, 1)
    executor.close()


def test_idle_threads_end_when_the_executor_is_closed():
    executor = Lanes(2)

    async def where():
        return threading.current_thread()

    start(executor, "a", threading.current_thread)
    start(executor, "b", where)
    threads = [result.value for result in collect(executor, 2).values()]
    executor.close()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


# --- a plan, a drift ---


def answers(executor, *tickets):
    for this in tickets:
        executor.start(this, lambda: Result(Verdict.OK))
    found = []
    while len(found) < len(tickets):
        found += executor.collect(None)
    return [result.verdict for _, result in sorted(found, key=lambda one: tickets.index(one[0]))]


def dry(kind, verdict=Verdict.OK):
    return kind(ScriptedExecutor(lambda _: Act(verdict)))


def test_a_plan_asks_checks_and_descriptions_and_says_of_a_run_phase_that_it_would_run():
    tickets = [ticket(phase=Phase.CHECK), ticket(phase=Phase.DESCRIBE), ticket(phase=Phase.RUN)]
    inner = ScriptedExecutor()
    assert answers(PlanExecutor(inner), *tickets) == [Verdict.OK, Verdict.OK, Verdict.WOULD_RUN]
    assert [span.phase for span in inner.spans] == [Phase.CHECK, Phase.DESCRIBE]


def test_a_gate_that_does_not_hold_now_is_unknown_in_a_plan():
    gate, job = ticket(phase=Phase.CHECK, has_run=False), ticket(phase=Phase.CHECK)
    assert answers(dry(PlanExecutor, Verdict.NOT_HOLDING), gate, job) == [
        Verdict.UNKNOWN,
        Verdict.NOT_HOLDING,
    ]
    executor = dry(PlanExecutor, Verdict.NOT_HOLDING)
    executor.start(gate, lambda: Result(Verdict.OK))
    ((_, result),) = executor.collect(None)
    assert str(result.failure) == "it does not hold now: not_holding"


def test_in_a_drift_what_would_run_has_drifted_and_what_cannot_be_asked_is_skipped():
    gate = ticket(phase=Phase.CHECK, has_run=False)
    assert answers(dry(DriftExecutor), ticket()) == [Verdict.DRIFTED]
    assert answers(dry(DriftExecutor, Verdict.UNKNOWN), ticket(phase=Phase.CHECK)) == [Verdict.SKIPPED]
    assert answers(dry(DriftExecutor, Verdict.NOT_HOLDING), gate) == [Verdict.NOT_HOLDING]


def test_waking_and_closing_reach_the_executor_behind():
    inner = ScriptedExecutor()
    executor = PlanExecutor(inner)
    executor.wake()
    assert executor.collect(None) == []
    executor.close()
    assert inner.closed
