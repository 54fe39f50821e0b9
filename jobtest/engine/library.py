"""Running a plan from a program, without pytest."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jobtest.core.errors import Problem, ProjectError
from jobtest.core.model import Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.summary import Summary
from jobtest.engine.calls import Call, FunctionCall, Output, Result, Ticket
from jobtest.engine.clock import Clock, SystemClock, new_run_id
from jobtest.engine.describe import describe_run, owner_of
from jobtest.engine.executors.lanes import Lanes
from jobtest.engine.executors.protocol import Executor
from jobtest.engine.interrupts import ctrl_c
from jobtest.engine.loop import Engine, Observer, failed
from jobtest.engine.memory import Memory, no_homes, recall
from jobtest.state.codec import Home, ModuleHome
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Store

__all__ = ["Functions", "Held", "run"]

Function = Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """The functions of one job. Each gets the values it names as parameters.

    Attributes:
        run: Brings the state about.
        check: Asks whether it is there.
        describe: Returns the value of the job.
        cleanup: Runs at the end of the run if `run` was entered.
        rollback: Runs when the job has failed for good; what it failed of is its parameter `error`.
    """

    run: Function | None = None
    check: Function | None = None
    describe: Function | None = None
    cleanup: Function | None = None
    rollback: Function | None = None

    def of(self, phase: Phase) -> Function | None:
        """Return the function of a phase."""
        match phase:
            case Phase.CHECK | Phase.RECHECK:
                return self.check
            case Phase.RUN:
                return self.run
            case Phase.DESCRIBE:
                return self.describe
            case Phase.CLEANUP:
                return self.cleanup
            case Phase.ROLLBACK:
                return self.rollback
            case Phase.CLOSE:
                return None


class Held:
    """The generators of jobs that hold something open, by job id."""

    def __init__(self) -> None:
        self._open: dict[str, Generator[object, None, None]] = {}

    def holds(self, job: str) -> bool:
        """Tell whether a job holds something open."""
        return job in self._open

    def opener(self, job: str, function: Function) -> Function:
        """Return a function that runs a generator function up to its `yield` and returns what it yields."""

        def enter(**arguments: object) -> object:
            __tracebackhide__ = True
            generator: Generator[object, None, None] = function(**arguments)  # type: ignore[assignment]  # as asked
            try:
                value = next(generator)
            except StopIteration:
                raise RuntimeError(f"{function.__name__} did not yield") from None
            self._open[job] = generator
            return value

        return enter

    def closer(self, job: str) -> Function:
        """Return a function that runs the rest of what `opener` began; it does nothing if nothing is open."""

        def leave() -> None:
            __tracebackhide__ = True
            generator = self._open.pop(job, None)
            if generator is None:
                return
            try:
                next(generator)
            except StopIteration:
                return
            generator.close()
            raise RuntimeError("it yields twice; what a job holds open has one yield")

        return leave


class _FunctionBodies:
    """Bodies from a mapping of functions."""

    def __init__(self, functions: Mapping[str, Functions]) -> None:
        self._functions = functions
        self._held = Held()
        self._names: dict[Function, frozenset[str] | None] = {}

    def prepare(self, ticket: Ticket, values: Mapping[str, object]) -> Call | Result:
        """Return the call with the values that the function names."""
        if ticket.phase is Phase.CLOSE:
            return FunctionCall(ticket, self._held.closer(ticket.job.id), {})
        function = self._functions[ticket.job.id].of(ticket.phase)
        if function is None:
            return Result(Verdict.OK, value=None)
        if ticket.phase is Phase.ROLLBACK:
            values = {**values, "error": ticket.error}
        names = self._parameters(function)
        arguments = (
            values if names is None else {name: value for name, value in values.items() if name in names}
        )
        if ticket.phase is Phase.RUN and ticket.job.is_generator:
            function = self._held.opener(ticket.job.id, function)
        return FunctionCall(ticket, function, arguments)

    def attempt_over(self, job: str) -> None:
        """Close what a failed attempt holds open; the attempt has failed already, and another one follows."""
        with suppress(Exception):
            self._held.closer(job)()

    def left(self, job: str) -> Output:
        """Nothing is captured."""
        return Output()

    def at_once(self, job: str) -> bool:
        """Nothing takes time."""
        return False

    def job_over(self, job: str) -> None:
        """Nothing to let go of."""

    def tail_over(self, job: str, result: Result, *, earlier: bool) -> None:
        """The summary tells it."""

    def files(self, job: str) -> None:
        """Name no files."""

    def run_over(self) -> None:
        """The summary tells it."""

    def _parameters(self, function: Function) -> frozenset[str] | None:
        """Return the names of the parameters, None if it takes any."""
        if function not in self._names:
            found = inspect.signature(function).parameters.values()
            any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in found)
            self._names[function] = None if any_name else frozenset(parameter.name for parameter in found)
        return self._names[function]


def run(
    plan: Plan,
    functions: Mapping[str, Function | Functions],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
    observers: Sequence[Observer] = (),
    resources: Mapping[str, int] | None = None,
    run_id: str = "",
    **settings: Any,  # noqa: ANN401 - passed on; Engine names them
) -> Summary:
    """Carry out a plan.

    Args:
        plan: From `make_plan`, or written by hand.
        functions: By job id: the run function, or `Functions`. A job that is missing here has an empty body.
        workers: Attempts that may be under way at once.
        executor: Calls the bodies; by default this thread for one worker, threads for more.
        store: Keeps the journal; by default memory. It is owned and not closed.
        clock: Tells the time.
        observers: Are told each entry of the journal.
        resources: Amounts that there are.
        run_id: Id of the run; a new one if not given.
        settings: `retry_limit`, `grace` as in `Engine`.

    Returns:
        What the run came to, with `values`. Its `exit_status` is 0, 1 if something failed, 2 after Ctrl-C,
        which ends a run in order.

    Raises:
        ProjectError: a job has a check (or none) and its functions do not, or it asks for more than there is.
        StateError: the store cannot be used.
        StateLost: the store could not keep what happened; nothing was started from then on.
    """
    complete = _complete(plan, functions)
    bodies = _FunctionBodies(complete)
    executor = executor or Lanes(workers)
    store = store if store is not None else MemoryStore()
    clock = clock or SystemClock()
    run_id = run_id or new_run_id(clock.now())
    record = describe_run(run_id, plan, started_at=SystemClock().now(), workers=workers)
    store.own(owner_of(record))
    homes = _homes_of(complete)
    recalled, _ = recall(store, plan.graph, plan.pasts, homes)
    engine = Engine(
        plan,
        bodies,
        executor,
        memory=Memory(store, record, homes=homes, recalled=recalled),
        clock=clock,
        observers=observers,
        workers=workers,
        resources=resources,
        **settings,
    )
    with ctrl_c(engine, lambda: getattr(executor, "calling", False)):
        summary = engine.run()
    if engine.aborted:
        raise KeyboardInterrupt
    if engine.lost is not None:
        raise engine.lost
    engine.end(2 if engine.interrupted else 1 if failed(summary) else 0)
    return summary


def _homes_of(functions: Mapping[str, Functions]) -> Callable[[str], Home]:
    """Return from a job to the module that its run function comes from, whose types its value may have."""

    def home(id: str) -> Home:
        made_by = functions[id].describe or functions[id].run if id in functions else None
        module = sys.modules.get(getattr(made_by, "__module__", ""))
        return ModuleHome(module) if module is not None else no_homes(id)

    return home


def _complete(plan: Plan, given: Mapping[str, Function | Functions]) -> dict[str, Functions]:
    problems = [
        Problem(what=f"there are functions for {id!r}, which is not a job of the plan", fix="take them away")
        for id in given
        if id not in plan.graph and id not in plan.left_out
    ]
    complete = {}
    for id, job in plan.graph.jobs.items():
        found = given.get(id, Functions())
        functions = found if isinstance(found, Functions) else Functions(run=found)
        complete[id] = functions
        for name, says, has in (
            ("check", job.has_check, functions.check),
            ("describe", job.has_describe, functions.describe),
            ("cleanup", job.has_cleanup, functions.cleanup),
            ("rollback", job.has_rollback, functions.rollback),
        ):
            if says != (has is not None):
                there = f"and no {name} function is given" if says else f"and a {name} function is given"
                what = f"job {id!r} has has_{name}={says}, {there}"
                problems.append(Problem(what=what, fix=f"let Job.has_{name} and Functions.{name} agree"))
    if problems:
        raise ProjectError(problems)
    return complete
