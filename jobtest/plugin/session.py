"""One orchestrated pytest session, from configuration to the exit status."""

from __future__ import annotations

import gc
import os
import re
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from jobtest.config.saved_plan import SavedPlan, differences, load
from jobtest.core.errors import Problem, ProjectError, StateError, StateLost, UsageError
from jobtest.core.graph import Graph
from jobtest.core.model import Command
from jobtest.core.planner import Plan
from jobtest.core.queue import too_much
from jobtest.engine.clock import SystemClock, new_run_id
from jobtest.engine.describe import describe_run, owner_of
from jobtest.engine.executors.dry import DriftExecutor, PlanExecutor
from jobtest.engine.executors.lanes import Away, Lanes
from jobtest.engine.executors.protocol import Executor, Inbox
from jobtest.engine.interrupts import ctrl_c, ended_from_outside, no_silent_exit
from jobtest.engine.loop import Engine, Observer
from jobtest.engine.memory import Memory
from jobtest.plugin import builtin, fixtures
from jobtest.plugin.applied import Silence, as_saved, saved_plan
from jobtest.plugin.asked import Asked
from jobtest.plugin.beside import Decorator, Spare, outlive_terminal
from jobtest.plugin.bodies import JobBodies
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.collect import JobItem, JobModule, problems_key, sources_key
from jobtest.plugin.facts import attempt_key
from jobtest.plugin.files import ReportFiles
from jobtest.plugin.hidden import is_job_file, warn_if_hidden
from jobtest.plugin.isolated import Crossing
from jobtest.plugin.options import Options, read_options, select
from jobtest.plugin.output import OutputRoom
from jobtest.plugin.project import Project, build_project
from jobtest.plugin.recollection import WRITES, Recollection, Recovered
from jobtest.plugin.replay import Replay, wants_full
from jobtest.plugin.terminal import PhaseLines, StopLine, Terminal
from jobtest.state.memory import MemoryStore
from jobtest.state.store import RunRecord, Store

__all__ = ["Orchestration", "configure"]


def configure(config: pytest.Config) -> None:
    """Switch orchestration on."""
    try:
        options = read_options(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    last_failed = config.pluginmanager.get_plugin("lfplugin")
    if last_failed is not None:  # it would leave files out of the collection, and knows nothing of `blocked`
        config.pluginmanager.unregister(last_failed)
    config.addinivalue_line("python_files", "job_*.py")
    config.option.importmode = "importlib"
    paths = (config.rootpath / path for path in options.settings.paths)
    config.args = [str(path) for path in _outermost(paths)]
    clock = SystemClock()
    orchestration = Orchestration(config, options, clock)
    config.pluginmanager.register(orchestration, "jobtest-orchestration")
    config.stash[builtin.params_key] = options.params
    config.stash[builtin.run_id_key] = options.replay.run if options.replay else orchestration.run_id
    config.pluginmanager.register(builtin, "jobtest-fixtures")
    config.pluginmanager.register(Terminal(orchestration), "jobtest-terminal")


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are not below another one: what is there is collected once."""
    given = [Path(os.path.normpath(path)) for path in paths]
    return [path for path in dict.fromkeys(given) if not set(path.parents).intersection(given)]


class Orchestration:
    """The session's plugin: collects jobs, plans and runs them.

    Attributes:
        options: What was asked for.
        run_id: Id of the run.
        project: All jobs; None before they are collected.
        plan: What is done; None if it could not be made.
        engine: Carries it out; None before.
        files: What is written beside.
        memory: What is known from earlier runs; None before it is read.
        told: What the user should know about them.
    """

    def __init__(self, config: pytest.Config, options: Options, clock: SystemClock) -> None:
        self.config, self.options = config, options
        self.run_id = new_run_id(clock.now())
        self.project: Project | None = None
        self.plan: Plan | None = None
        self.engine: Engine | None = None
        self.files = ReportFiles(options)
        self.memory: Recollection | None = None
        self.told: list[str] = []
        self.wrap: Callable[[Store], Store] = lambda store: store
        self._found = Recovered()
        self._saved: SavedPlan | None = None
        self._clock = clock
        self._problems = 0
        self._untold: list[str] = []
        self._until_told = ExitStack()

    # --- collection ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Make room for what collection finds."""
        outlive_terminal(self.config)
        session.stash[problems_key] = []
        session.stash[sources_key] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Collect all there is, whatever is wrong with it, and keep the garbage collector away from it.

        `-x` is for jobs: all errors of a project are told at once. What is collected lives to the end of the
        session; the collector would go over it again and again, a third of the time of a large project.
        """
        most, self.config.option.maxfail = self.config.option.maxfail, 0
        gc.unfreeze()
        enabled = gc.isenabled()
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            if enabled:
                gc.enable()
            self.config.option.maxfail = most

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Collect job files only."""
        if is_job_file(collection_path):
            return None
        if not collection_path.is_dir():
            return True
        warn_if_hidden(self.config, collection_path)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Collect job files as such."""
        if is_job_file(module_path):
            module: pytest.Module = JobModule.from_parent(parent, path=module_path)
            return module
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module, name: str, obj: object
    ) -> list[pytest.Item] | None:
        """Leave the functions of job files to the file."""
        if isinstance(collector, JobModule):
            collector.note(name, obj)
            return []
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Let others deselect, then put back what the rest needs, in the order of the plan."""
        before = list(items)
        yield
        sources = session.stash[sources_key]
        options = self.options
        self.project, linked = build_project(
            session, sources, options.params, options.set_params, options.executor
        )
        broken = session.testsfailed > 0
        problems = session.stash[problems_key] + [one for one in linked if not (broken and one.tentative)]
        problems += too_much(self.project.graph, self.options.resources)
        self._problems = len(problems) + session.testsfailed
        if self._problems:
            for problem in problems:
                self._tell(problem)
            items[:] = before
            return
        self.plan = self._make_plan(self.project, before, items)
        kept = [self.project.items[id] for id in self.plan.order]
        dropped = [item for item in items if item.nodeid not in self.plan.graph]
        if dropped:
            self.config.hook.pytest_deselected(items=dropped)
        items[:] = before if self.config.option.collectonly and len(kept) == len(before) else kept

    def _make_plan(self, project: Project, before: list[pytest.Item], after: list[pytest.Item]) -> Plan:
        selectors = self.options.selectors
        jobs = [item for item in before if isinstance(item, JobItem)]
        left = {item.nodeid for item in after}
        named: set[str] = set()
        problems: list[Problem] = []
        if selectors:
            matched, named, problems = select(selectors, jobs)
            left &= matched
        option = self.config.option
        try:
            if problems:
                raise UsageError(problems)
            memory = self._remember(project)
            if self.options.last_failed:
                failed, said = memory.last_failed()
                self.told.append(said)
                left &= failed or left
        except ProjectError as error:
            raise pytest.UsageError(str(error)) from None
        asked = Asked(
            selected=left if len(left) < len(before) else None,
            named=named & left,
            only=option.job_only,
            exclude=option.job_exclude,
            force=option.job_force,
            downstream=option.job_downstream,
            alone=option.job_no_upstream,
            keep=self.options.keep,
            order=self.options.replay.order if self.options.replay is not None else {},
            command=self.options.command,
        )
        try:
            if self.options.plan_in is not None:
                self._saved = load(self.options.plan_in)
                asked = as_saved(self._saved, project.graph)
                if not asked.selected:
                    raise UsageError(differences(self._saved, replace(self._saved, jobs=())))
            plan = project.plan(asked, memory, self._found)
            self.told += memory.owed_lines(self._found, project.graph, plan)
            return plan
        except ProjectError as error:
            raise pytest.UsageError(str(error)) from None

    def _remember(self, project: Project) -> Recollection:
        """Open the state, and see what earlier runs left.

        Raises:
            StateError: it cannot be used, or another run holds it.
        """
        options, settings = self.options, self.options.settings
        collects = self.config.option.collectonly
        memory = Recollection(
            "memory://" if collects else options.state,
            self.config.rootpath,
            durability=settings.durability,
            large=settings.large_value,
        )
        memory.store = self.wrap(memory.store)
        self.memory = memory
        if options.command in WRITES:
            owner = owner_of(self._record(Plan(Graph([]), {}, {})))
            holder = memory.store.owner() if options.lock_timeout else None
            reporter = self.config.pluginmanager.get_plugin("terminalreporter")
            if holder is not None and reporter is not None:
                reporter.ensure_newline()
                reporter.write_line(
                    f"waiting up to {options.lock_timeout:g} s for pid {holder.pid}: {holder.command}"
                )
            memory.own(owner, options.lock_timeout)
        self.told += memory.read(project.graph, project.items)
        self._found = memory.recover(
            project.graph, self.run_id, options.command, goes_on=options.resume, keep=options.keep
        )
        self.told += self._found.lines
        return memory

    def _record(self, plan: Plan) -> RunRecord:
        return describe_run(
            self.run_id,
            plan,
            started_at=self._clock.now(),
            workers=self.options.workers,
            argv=["pytest", *map(str, self.config.invocation_params.args)],
            root=self.config.rootpath,
            resumed=self._found.record,
        )

    def _tell(self, problem: Problem) -> None:
        """Show a problem where pytest shows what it could not collect."""
        named = re.search(r"[^\s:]+\.py(?=:)", " ".join(problem.at))
        place = named[0] if named else "project"
        report = pytest.CollectReport(place, "failed", str(problem), [])
        self.config.hook.pytest_collectreport(report=report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what is wrong where there is no terminal to show it."""
        if report.failed and not self.config.pluginmanager.has_plugin("terminalreporter"):
            self._untold.append(report.longreprtext)

    # --- the run ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the jobs."""
        if self._problems:
            errors = f"{self._problems} error{'s' if self._problems != 1 else ''}"
            raise pytest.UsageError("\n".join([*self._untold, f"{errors} in the project, nothing was run"]))
        if self.plan is None or self.config.option.collectonly or not session.items:
            return True
        self._run(session, self.plan)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if self.engine is not None and self.engine.interrupted:
            raise session.Interrupted(self.engine.stop_reason)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    def _run(self, session: pytest.Session, plan: Plan) -> None:
        with self._lane(session, plan) as (inbox, lane):
            if self._saved is not None:
                self._refuse_other_than(self._saved, session, plan)
            self._carry_out(session, plan, inbox, lane)

    def _lane(self, session: pytest.Session, plan: Plan) -> AbstractContextManager[tuple[Inbox, Away | None]]:
        assert self.project is not None
        assert self.memory is not None
        if not any(job.isolated for job in plan.graph):
            return nullcontext((Inbox(), None))
        options = self.options
        if options.executor.startswith("dask://"):
            from jobtest.plugin.dask_lane import dask_lane

            return dask_lane(
                session,
                self.project,
                plan,
                self.run_id,
                self._record(plan).lineage or self.run_id,
                options.executor,
                options.workers,
            )
        from jobtest.plugin.away import process_lane

        lineage = self._record(plan).lineage or self.run_id
        return process_lane(session, self.project, plan, self.memory.home, self.run_id, lineage)

    def _carry_out(self, session: pytest.Session, plan: Plan, inbox: Inbox, lane: Away | None) -> None:
        assert self.memory is not None
        room = OutputRoom(self.config, threads=self.options.workers > 1)
        replay = Replay(session, full=bool(wants_full(self.config)), run_id=self.run_id)
        bodies = self._bodies(session, plan, room, replay)
        if lane is not None:
            bodies.away = Crossing(bodies, self.memory.home), lane
        self.config.pluginmanager.register(Decorator(replay), "jobtest-decorator")
        observers: list[Observer] = [Spare(), StopLine(self)]
        if self.config.get_verbosity() > 1:
            observers.append(PhaseLines(self.config, plan))
        try:
            events = self.files.open_events()
            if events is not None:
                observers.append(events)
            writes = plan.command in WRITES
            memory = self.config.stash[memory_key] = Memory(
                self.memory.store if writes else MemoryStore(),
                self._record(plan),
                homes=self.memory.home,
                recalled=self.memory.values,
            )
            engine = Engine(
                plan,
                bodies,
                self._executor(self.options.command, inbox, lane),
                memory=memory,
                clock=self._clock,
                observers=observers,
                workers=self.options.workers,
                resources=self.options.resources,
                retry_limit=self.options.settings.retry_limit,
                grace=self.options.settings.grace,
                run_id=self.run_id,
                seed=self.options.replay.run if self.options.replay is not None else "",
            )
        except ProjectError as error:
            raise pytest.UsageError(str(error)) from None
        self.engine = bodies.engine = engine
        if lane is not None:
            lane.interrupted = lambda: engine.interrupted
        self._until_told.enter_context(ended_from_outside(engine, lambda: room.inside))
        inside = ctrl_c(engine, lambda: room.inside)
        with room.open(self._first(session)), inside, no_silent_exit(engine):
            engine.run(self._found.changes)
        room.tell_warnings()
        if engine.lost is not None:
            unkept = f"\n  not on record: {', '.join(engine.unkept)}" if engine.unkept else ""
            said = f"{engine.lost}{unkept}\n  then: start again with --job-resume"
            raise pytest.exit.Exception(said, returncode=pytest.ExitCode.INTERNAL_ERROR)
        if isinstance(bodies.exit, pytest.exit.Exception):
            if session.testsfailed and bodies.exit.returncode == 0:
                bodies.exit.returncode = int(pytest.ExitCode.TESTS_FAILED)
            raise bodies.exit

    @staticmethod
    def _first(session: pytest.Session) -> JobItem:
        return next(item for item in session.items if isinstance(item, JobItem))

    def _bodies(
        self, session: pytest.Session, plan: Plan, room: OutputRoom, replay: Replay | Silence
    ) -> JobBodies:
        assert self.project is not None
        state = fixtures.replace_setup_state(session)
        state.expect([self.project.items[id] for id in plan.graph.jobs])
        registry = fixtures.Registry(session, builtin.VALUE)
        return JobBodies(self.project, registry, state, room, replay, threads=self.options.workers > 1)

    def _refuse_other_than(self, saved: SavedPlan, session: pytest.Session, plan: Plan) -> None:
        """Ask all checks, without a word, and refuse to run if anything is not as it was planned.

        Raises:
            UsageError: of pytest; what differs.
        """
        assert self.memory is not None
        asked = replace(plan, command=Command.PLAN)
        with self._lane(session, asked) as (inbox, lane):
            problems = self._differences(saved, session, asked, inbox, lane)
        if problems:
            raise pytest.UsageError(str(UsageError(problems)))

    def _differences(
        self,
        saved: SavedPlan,
        session: pytest.Session,
        asked: Plan,
        inbox: Inbox,
        lane: Away | None,
    ) -> list[Problem]:
        assert self.memory is not None
        room = OutputRoom(self.config, threads=self.options.workers > 1)
        bodies = self._bodies(session, asked, room, Silence())
        if lane is not None:
            bodies.away = Crossing(bodies, self.memory.home), lane
        memory = self.config.stash[memory_key] = Memory(
            MemoryStore(), self._record(asked), homes=self.memory.home, recalled=self.memory.values
        )
        engine = bodies.engine = Engine(
            asked,
            bodies,
            self._executor(Command.PLAN, inbox, lane),
            memory=memory,
            clock=self._clock,
            workers=self.options.workers,
            resources=self.options.resources,
        )
        with room.open(self._first(session)), ctrl_c(engine, lambda: room.inside):
            summary = engine.run()
        if engine.interrupted:
            raise session.Interrupted(engine.stop_reason)
        for item in session.items:
            if isinstance(item, JobItem):
                item.recorded.clear()
                if attempt_key in item.stash:
                    del item.stash[attempt_key]
        return differences(saved, saved_plan(summary, ""))

    def _executor(self, command: Command, inbox: Inbox, lane: Away | None) -> Executor:
        inner = Lanes(self.options.workers, inbox, lane)
        match command:
            case Command.APPLY | Command.CLEANUP:
                return inner
            case Command.PLAN:
                decisions = self.plan.decisions.items() if self.plan is not None else ()
                return PlanExecutor(inner, {id for id, decision in decisions if decision.must_run})
            case Command.DRIFT:
                return DriftExecutor(inner)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write down how it ended; a report that cannot be written does not end with 0."""
        if self.engine is not None:
            self.engine.end(int(exitstatus))
        self.files.write(self.plan, self.engine)
        if self.files.errors and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_unconfigure(self) -> None:
        """Let go of the state, and of signals."""
        self._until_told.close()
        if self.memory is not None:
            try:
                if self.engine is not None and self.engine.lost is None and self.options.command in WRITES:
                    self.memory.forget(self.options.settings.keep_runs)
                self.memory.store.close()
            except (StateError, StateLost) as error:
                warnings.warn(pytest.PytestWarning(str(error)), stacklevel=1)
