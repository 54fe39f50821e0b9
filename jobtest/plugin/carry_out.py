"""How a session carries out its plan: lanes are opened, an engine is made and run, what it says is heeded."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jobtest.config.saved_plan import SavedPlan, differences
from jobtest.core.errors import Problem, ProjectError, UsageError
from jobtest.core.model import Command
from jobtest.core.planner import Plan
from jobtest.engine.calls import failure_of
from jobtest.engine.executors.dry import DriftExecutor, PlanExecutor
from jobtest.engine.executors.faults import FaultyExecutor
from jobtest.engine.executors.lanes import Away, Lanes
from jobtest.engine.executors.protocol import Executor, Inbox
from jobtest.engine.interrupts import ctrl_c, ended_from_outside, no_silent_exit
from jobtest.engine.loop import Engine, Observer
from jobtest.engine.memory import Memory
from jobtest.plugin import builtin, fixtures
from jobtest.plugin.applied import Silence, saved_plan
from jobtest.plugin.beside import Decorator, Spare
from jobtest.plugin.bodies import JobBodies
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.facts import attempt_key
from jobtest.plugin.hooks import Listener
from jobtest.plugin.isolated import Crossing
from jobtest.plugin.items import JobItem
from jobtest.plugin.open_lane import LaneAsked, open_lane
from jobtest.plugin.output import OutputRoom
from jobtest.plugin.recollection import WRITES
from jobtest.plugin.replay import Replay, wants_full
from jobtest.plugin.taps import tapped
from jobtest.plugin.terminal import PhaseLines, StopLine
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Store

if TYPE_CHECKING:
    from jobtest.plugin.session import Orchestration

__all__ = ["CarryOut"]


class CarryOut:
    """Carries out a plan.

    Args:
        of: The session's plugin; its `engine` is there once bodies may be called.
        session: The session.
        plan: What is done.
    """

    def __init__(self, of: Orchestration, session: pytest.Session, plan: Plan) -> None:
        assert of.project is not None
        assert of.memory is not None
        self._of, self._session, self._plan = of, session, plan
        self._project, self._recollection = of.project, of.memory
        self._config, self._options = of.config, of.options

    def run(self) -> None:
        """Run the jobs; returns when every one has ended and nothing is owed.

        Raises:
            UsageError: of pytest; it cannot be begun, and nothing was run.
        """
        threads = self._options.workers > 1
        with tapped(self._config, threads=threads), self._lane(self._plan) as (inbox, lane):
            if self._of.saved is not None:
                self._refuse_other_than(self._of.saved)
            self._carry_out(inbox, lane)

    def _lane(self, plan: Plan) -> AbstractContextManager[tuple[Inbox, Away | None]]:
        if not any(job.isolated for job in plan.graph):
            return nullcontext((Inbox(), None))
        of = self._of
        return open_lane(
            LaneAsked(
                url=self._options.executor,
                session=self._session,
                project=self._project,
                plan=plan,
                homes=self._recollection.home,
                run=of.run_id,
                lineage=of.record(plan).lineage or of.run_id,
                workers=self._options.workers,
            )
        )

    def _carry_out(self, inbox: Inbox, lane: Away | None) -> None:
        room = OutputRoom(self._config, threads=self._options.workers > 1)
        replay = Replay(self._session, full=bool(wants_full(self._config)), run_id=self._of.run_id)
        bodies = self._bodies(self._plan, room, replay)
        if lane is not None:
            bodies.away = Crossing(bodies, self._recollection.home), lane
        self._config.pluginmanager.register(Decorator(replay), "jobtest-decorator")
        try:
            engine = self._engine(bodies, inbox, lane)
        except ProjectError as error:
            raise pytest.UsageError(str(error)) from None
        self._of.engine = bodies.engine = engine
        if lane is not None:
            lane.interrupted = lambda: engine.interrupted
        self._of.until_told.enter_context(ended_from_outside(engine, lambda: room.inside))
        inside = ctrl_c(engine, lambda: room.inside)
        with room.open(self._first()), inside, no_silent_exit(engine):
            engine.run(self._of.found.changes)
        room.tell_warnings()
        if engine.lost is not None:
            unkept = f"\n  not on record: {', '.join(engine.unkept)}" if engine.unkept else ""
            said = f"{engine.lost}{unkept}\n  then: start again with --job-resume"
            if self._of.hooks is not None:
                self._of.hooks.error(failure_of(engine.lost))
            raise pytest.exit.Exception(said, returncode=pytest.ExitCode.INTERNAL_ERROR)
        if isinstance(bodies.exit, pytest.exit.Exception):
            if self._session.testsfailed and bodies.exit.returncode == 0:
                bodies.exit.returncode = int(pytest.ExitCode.TESTS_FAILED)
            raise bodies.exit

    def _engine(self, bodies: JobBodies, inbox: Inbox, lane: Away | None) -> Engine:
        options = self._options
        store = self._recollection.store if self._plan.command in WRITES else MemoryStore()
        return Engine(
            self._plan,
            bodies,
            self._executor(options.command, inbox, lane),
            observers=self._observers(),
            memory=self._memory(self._plan, store),
            clock=self._of.clock,
            workers=options.workers,
            resources=options.resources,
            retry_limit=options.settings.retry_limit,
            grace=options.settings.grace,
            run_id=self._of.run_id,
            seed=options.replay.run if options.replay is not None else "",
        )

    def _observers(self) -> list[Observer]:
        """Return who is told of what happens: own ones first, then those of plug-ins."""
        observers: list[Observer] = [Spare(), StopLine(self._of)]
        if self._config.get_verbosity() > 1:
            observers.append(PhaseLines(self._config, self._plan))
        events = self._of.files.open_events()
        if events is not None:
            observers.append(events)
        if self._of.hooks:
            observers.append(Listener(self._of.hooks, self._of))
        return observers

    def _memory(self, plan: Plan, store: Store) -> Memory:
        memory = self._config.stash[memory_key] = Memory(
            store,
            self._of.record(plan),
            homes=self._recollection.home,
            recalled=self._recollection.values,
            secrets=self._options.secrets,
        )
        return memory

    def _first(self) -> JobItem:
        return next(item for item in self._session.items if isinstance(item, JobItem))

    def _bodies(self, plan: Plan, room: OutputRoom, replay: Replay | Silence) -> JobBodies:
        state = fixtures.replace_setup_state(self._session)
        state.expect([self._project.items[id] for id in plan.graph.jobs])
        registry = fixtures.Registry(self._session, builtin.VALUE)
        return JobBodies(self._project, registry, state, room, replay, threads=self._options.workers > 1)

    # --- a saved plan ---

    def _refuse_other_than(self, saved: SavedPlan) -> None:
        """Ask all checks, without a word, and refuse to run if anything is not as it was planned.

        Raises:
            UsageError: of pytest; what differs.
        """
        asked = replace(self._plan, command=Command.PLAN)
        with self._lane(asked) as (inbox, lane):
            problems = self._differences(saved, asked, inbox, lane)
        if problems:
            raise pytest.UsageError(str(UsageError(problems)))

    def _differences(self, saved: SavedPlan, asked: Plan, inbox: Inbox, lane: Away | None) -> list[Problem]:
        room = OutputRoom(self._config, threads=self._options.workers > 1)
        bodies = self._bodies(asked, room, Silence())
        if lane is not None:
            bodies.away = Crossing(bodies, self._recollection.home), lane
        engine = bodies.engine = Engine(
            asked,
            bodies,
            self._executor(Command.PLAN, inbox, lane),
            memory=self._memory(asked, MemoryStore()),
            clock=self._of.clock,
            workers=self._options.workers,
            resources=self._options.resources,
        )
        with room.open(self._first()), ctrl_c(engine, lambda: room.inside):
            summary = engine.run()
        if engine.interrupted:
            raise self._session.Interrupted(engine.stop_reason)
        for item in self._session.items:
            if isinstance(item, JobItem):
                item.recorded.clear()
                if attempt_key in item.stash:
                    del item.stash[attempt_key]
        return differences(saved, saved_plan(summary, ""))

    def _executor(self, command: Command, inbox: Inbox, lane: Away | None) -> Executor:
        inner = Lanes(self._options.workers, inbox, lane)
        match command:
            case Command.PLAN:
                must = {id for id, decision in self._plan.decisions.items() if decision.must_run}
                return PlanExecutor(inner, must)
            case Command.DRIFT:
                return DriftExecutor(inner)
            case Command.APPLY if self._of.faults.of:
                return FaultyExecutor(inner, self._of.faults.of)
            case _:
                return inner
