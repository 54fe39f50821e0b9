"""Ctrl-C: the first one ends the run in order, the second one at once."""

import asyncio
import signal
import threading

import pytest

from jobtest import Functions, Graph, Job, make_plan, run
from jobtest.core.model import Outcome
from jobtest.engine.interrupts import ctrl_c
from jobtest.engine.loop import Engine
from jobtest.testing import ScriptedBodies, ScriptedExecutor


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def outcomes(functions, *jobs, **settings):
    summary = run(make_plan(Graph(jobs)), functions, **settings)
    return {id: record.outcome for id, record in summary.jobs.items()}


def test_ctrl_c_cancels_what_runs_and_what_has_not_begun_and_cleans_up():
    done = []
    jobs = [Job.of("a", has_cleanup=True), Job.of("b")]
    functions = {"a": Functions(run=press, cleanup=lambda: done.append("cleanup"))}
    assert outcomes(functions, *jobs) == {"a": Outcome.CANCELLED, "b": Outcome.CANCELLED}
    assert done == ["cleanup"]


def test_ctrl_c_cancels_an_async_body():
    async def body():
        press()
        await asyncio.sleep(0)

    assert outcomes({"a": body}, Job.of("a")) == {"a": Outcome.CANCELLED}


def test_a_keyboard_interrupt_that_a_body_raises_itself_is_its_failure():
    def body():
        raise KeyboardInterrupt

    assert outcomes({"a": body}, Job.of("a"), Job.of("b")) == {"a": Outcome.FAILED, "b": Outcome.CHANGED}


def test_a_second_ctrl_c_ends_the_run_at_once():
    def observe(entry):
        if entry.seq == 1:
            press()
            press()

    with pytest.raises(KeyboardInterrupt):
        outcomes({}, Job.of("a"), observers=[observe])


def engine():
    return Engine(make_plan(Graph([Job.of("a")])), ScriptedBodies(), ScriptedExecutor())


def test_off_the_main_thread_nothing_is_changed():
    seen = []

    def body():
        with ctrl_c(engine(), lambda: False):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_where_ctrl_c_is_ignored_it_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c(engine(), lambda: False):
            press()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
