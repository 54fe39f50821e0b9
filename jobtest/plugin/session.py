"""One orchestrated pytest session, from configuration to the exit status."""

from __future__ import annotations

import gc
import os
import re
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from jobtest.config.saved_plan import SavedPlan, differences, load, other_context
from jobtest.core.errors import Problem, ProjectError, StateError, StateLost, UsageError
from jobtest.core.graph import Graph
from jobtest.core.planner import Plan
from jobtest.core.queue import too_much
from jobtest.engine.calls import failure_of
from jobtest.engine.clock import SystemClock, new_run_id
from jobtest.engine.describe import describe_run, owner_of
from jobtest.engine.loop import Engine
from jobtest.engine.masked import masked_failure
from jobtest.plugin import builtin
from jobtest.plugin.applied import as_saved
from jobtest.plugin.asked import Asked
from jobtest.plugin.beside import outlive_terminal
from jobtest.plugin.carry_out import CarryOut
from jobtest.plugin.collect import JobModule
from jobtest.plugin.files import ReportFiles
from jobtest.plugin.hidden import is_job_file, warn_if_hidden
from jobtest.plugin.hooks import Hooks
from jobtest.plugin.inject import Faults, find_faults
from jobtest.plugin.items import JobItem, problems_key, sources_key
from jobtest.plugin.masking import hide_secrets, leaks
from jobtest.plugin.options import Options, read_options, select
from jobtest.plugin.project import Project, build_project
from jobtest.plugin.recollection import WRITES, Recollection, Recovered
from jobtest.plugin.terminal import Terminal
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
    for rewritten in ("job_*.py", "task_*.py"):
        config.addinivalue_line("python_files", rewritten)
    config.option.importmode = "importlib"
    paths = (config.rootpath / path for path in options.settings.paths)
    config.args = [str(path) for path in _outermost(paths)]
    clock = SystemClock()
    orchestration = Orchestration(config, options, clock)
    hide_secrets(config, options.secrets)
    config.pluginmanager.register(orchestration, "jobtest-orchestration")
    config.stash[builtin.params_key] = options.params
    config.stash[builtin.context_key] = options.settings.context or None
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
        found: What is taken over from them.
        told: What the user should know about them.
        saved: The plan that is to be run again, None if there is none.
        faults: What is injected.
        until_told: What ends with the session, after everything was told.
        hooks: Those that hear of the run; None before all plug-ins are there.
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
        self.found = Recovered()
        self.saved: SavedPlan | None = None
        self.faults = Faults()
        self.clock = clock
        self._problems = 0
        self._untold: list[str] = []
        self.until_told = ExitStack()
        self.hooks: Hooks | None = None

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
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect job files that are data."""
        if is_job_file(file_path) and file_path.suffix != ".py":
            from jobtest.plugin.job_files import JobFile  # most projects have none

            file: pytest.Collector = JobFile.from_parent(parent, path=file_path)
            return file
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
        self.project, linked = build_project(session, sources, self.options)
        broken = session.testsfailed > 0
        linked = [one for one in linked if not (broken and one.tentative)]
        problems = list(dict.fromkeys([*session.stash[problems_key], *linked]))
        problems += too_much(self.project.graph, self.options.resources)
        problems += leaks(self.project.graph, self.options.secrets)
        self._problems = len(problems) + session.testsfailed
        if self._problems:
            for problem in problems:
                self._tell(problem)
            items[:] = before
            return
        known = self.project.items
        left = [item for item in items if item.nodeid in known]
        self.plan = self._make_plan(self.project, [item for item in before if item.nodeid in known], left)
        self.hooks = Hooks(self.config, known)
        self.hooks.planned(self.plan)
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
        self.faults, wrong = find_faults(option.job_inject, self.options, project.definitions, project.graph)
        problems += wrong
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
            verb=self.options.verb.does,
            reverse=self.options.verb.reverse,
            rolls_back=self.options.rolls_back,
        )
        try:
            if self.options.plan_in is not None:
                self.saved = load(self.options.plan_in)
                other = other_context(self.saved, self.options.settings.context)
                if other:
                    raise UsageError(other)
                kept = as_saved(self.saved, project.graph)
                asked = replace(kept, keep=self.options.keep, rolls_back=self.options.rolls_back)
                if not asked.selected:
                    raise UsageError(differences(self.saved, replace(self.saved, jobs=())))
            plan = project.plan(asked, memory, self.found)
            self.told += memory.owed_lines(self.found, project.graph, plan)
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
            context=settings.context,
        )
        memory.store = self.wrap(memory.store)
        self.memory = memory
        if options.command in WRITES:
            owner = owner_of(self.record(Plan(Graph([]), {}, {})))
            holder = memory.store.owner() if options.lock_timeout else None
            reporter = self.config.pluginmanager.get_plugin("terminalreporter")
            if holder is not None and reporter is not None:
                reporter.ensure_newline()
                reporter.write_line(
                    f"waiting up to {options.lock_timeout:g} s for pid {holder.pid}: {holder.command}"
                )
            memory.own(owner, options.lock_timeout)
        every = options.verb.does == "describe"
        self.told += memory.read(project.graph, project.items, every=every)
        self.found = memory.recover(project.graph, self.run_id, options)
        self.told += self.found.lines
        return memory

    def record(self, plan: Plan) -> RunRecord:
        """Return what is kept of the run itself."""
        return describe_run(
            self.run_id,
            plan,
            started_at=self.clock.now(),
            workers=self.options.workers,
            argv=["pytest", *self.options.selection],
            root=self.config.rootpath,
            resumed=self.found.record,
            context=self.options.settings.context,
        )

    def _tell(self, problem: Problem) -> None:
        """Show a problem where pytest shows what it could not collect."""
        named = re.search(r"[^\s:]+\.\w+(?![^\s:])", " ".join(problem.at))
        place = named[0] if named else "project"
        report = pytest.CollectReport(place, "failed", str(problem), [])
        self.config.hook.pytest_collectreport(report=report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what is wrong where there is no terminal to show it."""
        if report.failed and not self.config.pluginmanager.has_plugin("terminalreporter"):
            self._untold.append(report.longreprtext)

    @property
    def hooks_off(self) -> list[str]:
        """What is said of plug-ins of which a hook raised."""
        return self.hooks.switched_off if self.hooks is not None else []

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell hooks of an internal error."""
        if self.hooks is not None:
            failure = failure_of(excinfo.value, with_text=True)
            self.hooks.error(masked_failure(failure, self.options.secrets))

    # --- the run ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the jobs."""
        if self._problems:
            errors = f"{self._problems} error{'s' if self._problems != 1 else ''}"
            raise pytest.UsageError("\n".join([*self._untold, f"{errors} in the project, nothing was run"]))
        if self.plan is None or self.config.option.collectonly or not session.items:
            return True
        CarryOut(self, session, self.plan).run()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if self.engine is not None and self.engine.interrupted:
            raise session.Interrupted(self.engine.stop_reason)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

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
        self.until_told.close()
        if self.memory is not None:
            try:
                if self.engine is not None and self.engine.lost is None and self.options.command in WRITES:
                    self.memory.forget(self.options.settings.keep_runs)
                self.memory.store.close()
            except (StateError, StateLost) as error:
                warnings.warn(pytest.PytestWarning(str(error)), stacklevel=1)
