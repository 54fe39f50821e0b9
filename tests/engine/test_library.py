"""Running a plan from a program."""

import asyncio
import threading

import pytest

from jobtest import Functions, Graph, Job, ProjectError, make_plan, run
from jobtest.core.model import Outcome, Phase, Retry, Take
from jobtest.engine.executors.lanes import Lanes
from jobtest.engine.library import Held
from jobtest.state.memory import MemoryStore
from jobtest.testing import FakeClock


def plan_of(*jobs, **settings):
    return make_plan(Graph(jobs), **settings)


def outcomes(summary):
    return {id: record.outcome.value for id, record in summary.jobs.items()}


def test_jobs_are_plain_functions_that_take_values_by_name():
    seen = []
    plan = plan_of(Job.of("build"), Job.of("deploy", takes=["build"]))
    summary = run(plan, {"build": lambda: 42, "deploy": lambda build: seen.append(build + 1)})
    assert outcomes(summary) == {"build": "changed", "deploy": "changed"}
    assert (seen, summary.exit_status) == ([43], 0)


def test_a_function_gets_only_what_it_names():
    seen = []
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"]), Job.of("c", takes=["a", "b"]))
    run(
        plan,
        {"a": lambda: 1, "b": lambda: 2, "c": lambda **values: seen.append(values)},
    )
    assert seen == [{"a": 1, "b": 2}]


def test_check_run_and_recheck():
    state = []
    plan = plan_of(Job.of("a", check=True))
    functions = {"a": Functions(check=lambda: bool(state), run=lambda: state.append(1))}
    assert outcomes(run(plan, functions)) == {"a": "changed"}
    assert outcomes(run(plan, functions)) == {"a": "unchanged"}
    assert state == [1]


def test_describe_and_cleanup_have_their_part():
    done = []
    plan = plan_of(Job.of("a", has_describe=True, has_cleanup=True), Job.of("b", takes=["a"]))
    functions = {
        "a": Functions(describe=lambda: "described", cleanup=lambda: done.append("cleanup")),
        "b": lambda a: done.append(a.upper()),
    }
    assert run(plan, functions).exit_status == 0
    assert done == ["DESCRIBED", "cleanup"]


def test_a_job_without_functions_has_an_empty_body_and_no_value_but_none():
    seen = []
    plan = plan_of(Job.of("a"), Job.of("b", takes=["a"]))
    assert outcomes(run(plan, {"b": lambda a: seen.append([a])})) == {"a": "changed", "b": "changed"}
    assert seen == [[None]]


def test_a_failure_blocks_what_needs_it_and_ends_with_one():
    def build():
        raise OSError("disk full")

    plan = plan_of(Job.of("build"), Job.of("deploy", needs=["build"]))
    summary = run(plan, {"build": build})
    assert outcomes(summary) == {"build": "failed", "deploy": "blocked"}
    assert (summary.exit_status, summary.jobs["build"].reason) == (1, "run raised OSError: disk full")


def test_several_workers_are_several_threads():
    meeting = threading.Barrier(2)
    plan = plan_of(Job.of("a"), Job.of("b"))
    summary = run(plan, dict.fromkeys("ab", lambda: meeting.wait(30)), workers=2)
    assert set(outcomes(summary).values()) == {"changed"}


def test_one_worker_is_this_thread_and_async_functions_are_awaited():
    seen = []

    async def body():
        await asyncio.sleep(0)
        seen.append(threading.current_thread())

    run(plan_of(Job.of("a")), {"a": body})
    assert seen == [threading.current_thread()]


def test_settings_reach_the_engine():
    store, told, clock = MemoryStore(), [], FakeClock(5.0)
    summary = run(
        plan_of(Job.of("a", resources={"db": 1})),
        {},
        store=store,
        clock=clock,
        observers=[told.append],
        resources={"db": 1},
        run_id="r",
        executor=Lanes(),
    )
    assert list(store.entries("r")) == told
    assert (summary.run_id, summary.started_at) == ("r", 5.0)


# --- generators ---


def test_a_generator_holds_something_open_until_its_last_consumer_has_ended():
    log = []

    def server():
        log.append("up")
        yield "url"
        log.append("down")

    plan = plan_of(
        Job.of("server", is_generator=True), Job.of("b", takes=["server"]), Job.of("c", needs=["b"])
    )
    functions = {
        "server": server,
        "b": lambda server: log.append(f"at {server}"),
        "c": lambda: log.append("c"),
    }
    assert run(plan, functions).exit_status == 0
    assert log == ["up", "at url", "down", "c"]


def test_what_a_failed_attempt_holds_open_is_closed_before_the_next_one():
    log, state = [], []

    def body():
        log.append("up")
        yield
        log.append("down")

    def check():
        state.append(1)
        return len(state) > 3

    plan = plan_of(Job.of("a", check=True, is_generator=True, retry=Retry(retries=1)))
    run(plan, {"a": Functions(check=check, run=body)})
    assert log == ["up", "down", "up", "down"]


def test_a_failure_to_close_what_a_failed_attempt_holds_open_does_not_end_the_run():
    state = []

    def body():
        yield
        raise OSError("it will not close")

    plan = plan_of(Job.of("a", check=True, is_generator=True, retry=Retry(retries=1)))
    summary = run(plan, {"a": Functions(check=lambda: len(state.append(1) or state) > 2, run=body)})
    assert outcomes(summary) == {"a": "changed"}


def test_a_generator_that_does_not_close_makes_the_run_fail_and_the_job_not():
    def body():
        yield
        raise OSError("it will not close")

    summary = run(plan_of(Job.of("a", is_generator=True)), {"a": body})
    assert (summary.jobs["a"].outcome, summary.exit_status) == (Outcome.CHANGED, 1)
    assert str(summary.jobs["a"].close.failure) == "OSError: it will not close"


def test_a_generator_yields_once():
    def never():
        return
        yield

    def twice():
        yield
        yield

    plan = plan_of(Job.of("never", is_generator=True), Job.of("twice", is_generator=True))
    summary = run(plan, {"never": never, "twice": twice})
    assert summary.jobs["never"].reason == "run raised RuntimeError: never did not yield"
    said = str(summary.jobs["twice"].close.failure)
    assert said == "RuntimeError: it yields twice; what a job holds open has one yield"


def test_where_nothing_is_open_there_is_nothing_to_close():
    Held().closer("a")()


# --- bad input ---


def test_functions_must_be_those_that_the_jobs_say():
    plan = plan_of(
        Job.of("a", check=True), Job.of("b", has_describe=True), Job.of("c", has_cleanup=True), Job.of("d")
    )
    every = Functions(check=lambda: True, describe=lambda: 1, cleanup=lambda: None)
    with pytest.raises(ProjectError) as caught:
        run(plan, {"d": every, "x": lambda: 1})
    assert str(caught.value) == (
        "there are functions for 'x', which is not a job of the plan\n  fix: take them away\n"
        "job 'a' has has_check=True, and no check function is given\n"
        "  fix: let Job.has_check and Functions.check agree\n"
        "job 'b' has has_describe=True, and no describe function is given\n"
        "  fix: let Job.has_describe and Functions.describe agree\n"
        "job 'c' has has_cleanup=True, and no cleanup function is given\n"
        "  fix: let Job.has_cleanup and Functions.cleanup agree\n"
        "job 'd' has has_check=False, and a check function is given\n"
        "  fix: let Job.has_check and Functions.check agree\n"
        "job 'd' has has_describe=False, and a describe function is given\n"
        "  fix: let Job.has_describe and Functions.describe agree\n"
        "job 'd' has has_cleanup=False, and a cleanup function is given\n"
        "  fix: let Job.has_cleanup and Functions.cleanup agree"
    )


def test_functions_of_jobs_that_were_left_out_are_fine():
    plan = plan_of(Job.of("a"), Job.of("b"), select=["a"])
    assert outcomes(run(plan, {"a": lambda: 1, "b": lambda: 2})) == {"a": "changed"}


def test_more_of_a_resource_than_there_is_is_refused_before_anything_runs():
    ran = []
    plan = plan_of(Job.of("a"), Job.of("b", resources={"db": 2}))
    with pytest.raises(ProjectError, match="job 'b' asks for 2 of resource 'db', and there is 1"):
        run(plan, {"a": lambda: ran.append(1)}, resources={"db": 1})
    assert ran == []


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_its_function(phase):
    functions = Functions(run=print, check=any, describe=repr, cleanup=dir, rollback=vars)
    expected = {"check": any, "recheck": any, "run": print, "describe": repr, "cleanup": dir, "close": None}
    expected["rollback"] = vars
    assert functions.of(phase) is expected[phase.value]


# --- size ---


@pytest.mark.rarely
def test_a_chain_of_ten_thousand_functions():
    chain = [Job.of("j0")]
    for number in range(1, 10_000):
        up = f"j{number - 1}"
        edges = Job.of("x", takes=[up]).edges
        chain.append(Job(id=f"j{number}", edges=edges, takes=(Take("up", (up,)),)))
    functions = {"j0": lambda: 0, **{job.id: (lambda up: up + 1) for job in chain[1:]}}
    store = MemoryStore()
    summary = run(make_plan(Graph(chain)), functions, store=store, run_id="r")
    assert summary.totals() == {Outcome.CHANGED: 10_000}
    assert store.value(store.pasts()["j9999"].value) == "9999"
