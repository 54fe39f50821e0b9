"""The public fakes: `jobtest.testing`."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given

import jobtest.testing
from jobtest.core.model import Command, Job, Phase, Verdict
from jobtest.engine.calls import Result, Ticket
from jobtest.testing import Act, FakeClock, ScriptedBodies, ScriptedExecutor
from jobtest.testing import strategies as my


def ticket(id, phase=Phase.RUN, attempt=1):
    return Ticket(Job.of(id, resources={"db": 2}), attempt, phase)


def never():
    raise AssertionError("it was asked to prepare")


def start(executor, *ids):
    for id in ids:
        executor.start(ticket(id), never)


def test_every_public_name_is_there():
    assert sorted(jobtest.testing.__all__) == jobtest.testing.__all__
    for name in jobtest.testing.__all__:
        assert getattr(jobtest.testing, name) is not None
        assert name in dir(jobtest.testing)
    with pytest.raises(AttributeError, match=r"module 'jobtest.testing' has no attribute 'Mock'"):
        _ = jobtest.testing.Mock


def python(code):
    root = Path(jobtest.__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)


def test_hypothesis_is_imported_only_for_strategies():
    code = "import sys; from jobtest.testing import simulate, MemoryStore; print('hypothesis' in sys.modules)"
    assert python(code).stdout == "False\n"


def test_without_hypothesis_strategies_say_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; from jobtest.testing import strategies"
    said = python(code).stderr
    assert "ImportError: jobtest.testing.strategies needs hypothesis, which is missing\n" in said
    assert "  fix: pip install 'jobtest[test]'" in said


def test_time_goes_by_until_something_ends():
    clock = FakeClock(0.0)
    executor = ScriptedExecutor(lambda t: Act(seconds={"a": 5, "b": 3, "c": 5}[t.job.id]), clock)
    start(executor, "a", "b", "c")
    assert [done.job.id for done, _ in executor.collect(None)] == ["b"]
    assert clock.now() == 3
    assert [done.job.id for done, _ in executor.collect(10.0)] == ["a", "c"]
    assert clock.now() == 5
    assert [(span.job, span.start, span.end) for span in executor.spans] == [
        ("a", 0, 5),
        ("b", 0, 3),
        ("c", 0, 5),
    ]


def test_time_goes_by_no_longer_than_one_is_ready_to_wait():
    executor = ScriptedExecutor(lambda _: Act(seconds=5), FakeClock(0.0))
    start(executor, "a")
    assert executor.collect(2.0) == []
    assert executor.clock.now() == 2
    assert executor.collect(0.0) == []
    assert len(executor.collect(3.0)) == 1
    assert executor.collect(7.0) == []
    assert executor.clock.now() == 12


def test_who_is_woken_lets_no_time_go_by():
    executor = ScriptedExecutor(clock=FakeClock(0.0))
    start(executor, "a")
    executor.wake()
    assert executor.collect(None) == []
    assert executor.clock.now() == 0
    assert len(executor.collect(None)) == 1


def test_waiting_for_ever_is_an_error():
    with pytest.raises(AssertionError, match="waiting for ever"):
        ScriptedExecutor().collect(None)


def test_a_script_may_say_everything():
    act = Act(Verdict.RAISED, 2.0, "disk full", type="OSError")
    executor = ScriptedExecutor(lambda _: act)
    start(executor, "a")
    ((_, result),) = executor.collect(None)
    assert (result.verdict, str(result.failure), result.failure.types) == (
        Verdict.RAISED,
        "OSError: disk full",
        ("OSError",),
    )


def test_an_executor_prepares_only_when_asked_and_heeds_what_comes_of_it():
    bodies, executor = ScriptedBodies(), ScriptedExecutor(prepare=True)
    executor.start(ticket("a"), lambda: bodies.prepare(ticket("a"), {"x": 1}))
    executor.start(ticket("b"), lambda: Result(Verdict.SETUP_ERROR))
    assert [result.verdict for _, result in executor.collect(None)] == [Verdict.OK, Verdict.SETUP_ERROR]
    assert bodies.values == [(ticket("a"), {"x": 1})]


def test_a_scripted_body_is_never_called():
    call = ScriptedBodies().prepare(ticket("a"), {})
    assert not call.is_async
    with pytest.raises(AssertionError, match="calls no bodies"):
        call()
    with pytest.raises(AssertionError, match="calls no bodies"):
        call.awaited().send(None)


def test_what_was_under_way_at_once_is_counted_by_weight():
    executor = ScriptedExecutor(lambda t: Act(seconds=2 if t.job.id == "a" else 1))
    start(executor, "a", "b")
    executor.collect(None)
    start(executor, "c")
    assert executor.most_at_once() == 2
    assert executor.most_at_once(lambda t: t.job.resources["db"]) == 4


def test_the_last_behaviour_counts_for_all_further_attempts():
    script = my.Script({"a": [my.Behaviour.RAISES, my.Behaviour.HOLDS]}, {"a": 3.0})
    assert script(ticket("a")).verdict is Verdict.RAISED
    assert script(ticket("a", Phase.CHECK, 2)).verdict is Verdict.OK
    assert script(ticket("a", Phase.CHECK, 9)) == Act(Verdict.OK, 3.0, type="ScriptedError")
    assert script(ticket("b", Phase.CHECK)).verdict is Verdict.NOT_HOLDING


@given(my.cases())
def test_a_case_shows_what_it_is(case):
    assert case.plan.command is Command.APPLY
    assert set(case.script.behaviours) == set(case.plan.graph.jobs)
    assert "workers" in repr(case)
