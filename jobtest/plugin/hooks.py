"""Calls the hooks of `hookspecs`, each plug-in by itself: one that raises harms nobody else."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, get_args, get_origin, get_type_hints

import pytest

from jobtest.core.errors import Problem
from jobtest.core.events import Entry, JobEnded, PhaseEnded, PhaseStarted, RetryPlanned, RunEnded
from jobtest.core.model import TAIL, EdgeKind, Failure, Job, Outcome, Verdict
from jobtest.engine.calls import failure_of, one_line
from jobtest.plugin.shown import relative

if TYPE_CHECKING:
    from jobtest.core.planner import Plan
    from jobtest.core.summary import Summary
    from jobtest.plugin.items import JobItem
    from jobtest.plugin.session import Orchestration

__all__ = ["Hooks", "Listener", "changed_by_hooks"]

COLLECTED = "pytest_jobtest_collected"
TOLD = (
    "pytest_jobtest_planned",
    "pytest_jobtest_phase_started",
    "pytest_jobtest_phase_ended",
    "pytest_jobtest_attempt_ended",
    "pytest_jobtest_job_ended",
    "pytest_jobtest_run_ended",
    "pytest_jobtest_error",
)
"""Hooks that only hear."""


@dataclass(frozen=True, slots=True)
class _Hook:
    """The implementation of one hook by one plug-in.

    Attributes:
        name: Of the hook.
        plugin: Whose it is.
        whose: The plug-in for people: the path of a conftest, or its name.
        call: Calls it.
        file: Where it is written.
        folder: Of the jobs that it hears of; None: of all. A conftest hears of what is below its folder.
    """

    name: str
    plugin: object
    whose: str
    call: Callable[..., object]
    file: str
    folder: Path | None

    def said(self, error: BaseException) -> str:
        """Return in a line what it raised."""
        message = one_line(error)
        kind = type(error).__name__
        return f"{self.name} raised {kind}: {message}" if message else f"{self.name} raised {kind}"

    def place(self, error: BaseException, root: Path) -> tuple[str, int]:
        """Return the file and line from which it raised, as far as that is its own file."""
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.file]
        return relative(Path(self.file), root), own[-1].lineno or 0 if own else 0


def _implemented(config: pytest.Config, name: str) -> list[_Hook]:
    """Return the implementations of a hook, in the order in which pluggy calls them."""
    manager = config.pluginmanager
    found = getattr(config.hook, name).get_hookimpls()[::-1]
    hooks = []
    for one in found:
        others = [other.plugin for other in found if other.plugin is not one.plugin]
        file = Path(one.function.__code__.co_filename)
        is_conftest = str(getattr(one.plugin, "__file__", "")) == str(file) and file.name == "conftest.py"
        below = file.parent if is_conftest and not config.rootpath.is_relative_to(file.parent) else None
        whose = relative(file, config.rootpath) if is_conftest else one.plugin_name
        call = manager.subset_hook_caller(name, others)
        hooks.append(_Hook(name, one.plugin, whose, call, str(file), below))
    return hooks


# --- what may change jobs ---


def changed_by_hooks(config: pytest.Config, jobs: Sequence[Job]) -> tuple[list[Job], list[Problem]]:
    """Return what `pytest_jobtest_collected` makes of jobs, and what it must not have done."""
    hooks = _implemented(config, COLLECTED)
    now = {job.id: job for job in jobs}
    if not hooks or len(now) != len(jobs):  # ids that are there twice are told of elsewhere
        return list(jobs), []
    problems: list[Problem] = []
    taken: dict[str, tuple[Job, str]] = {}
    for hook in hooks:
        before = dict(now)
        try:
            hook.call(config=config, jobs=now)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - anybody's code
            file, line = hook.place(error, config.rootpath)
            problems.append(Problem(what=hook.said(error), at=(f"{file}:{line}" if line else file,)))
        wrong = list(_wrong(hook, before, now))
        problems += wrong
        if wrong:
            now = before
        taken.update((id, (job, hook.whose)) for id, job in before.items() if id not in now)
    return list(now.values()), problems or list(_missing(now, taken))


def _wrong(hook: _Hook, before: Mapping[str, Job], now: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what a hook must not have made of jobs."""
    at = (hook.whose,)
    for id, job in now.items():
        if id not in before:
            fix = "change or take away jobs that are there; new ones belong in a job file"
            yield Problem(what=f"{hook.name} added {id!r}", at=at, fix=fix)
        elif not isinstance(job, Job):
            what = f"{hook.name} put {job!r} in the place of {id}, which is no job"
            yield Problem(what=what, at=at, fix="jobs[id] = dataclasses.replace(jobs[id], ...)")
        elif job.id != id:
            what = f"{hook.name} gave {id} the id {job.id!r}"
            yield Problem(what=what, at=at, fix="leave the id as it is")
        elif job is not before[id]:
            for name, hint in KINDS.items():
                value = getattr(job, name)
                if not _is_of(value, hint):
                    what = f"{hook.name} gave {job.label!r} {name}={value!r}, which is no {hint_text(hint)}"
                    yield Problem(what=what, at=at)


KINDS = {field.name: get_type_hints(Job)[field.name] for field in fields(Job)}
"""Of the fields of a job."""


def _is_of(value: object, hint: object) -> bool:
    """Tell whether a value is of a kind, as far as its outside shows."""
    if isinstance(hint, UnionType):
        return any(_is_of(value, one) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is float:
        kind = (int, float)
    if isinstance(value, bool) and kind is not bool:
        return False
    return isinstance(value, kind)  # type: ignore[arg-type]  # a class, or several


def hint_text(hint: object) -> str:
    """Return a kind for people."""
    return (
        hint.__name__
        if isinstance(hint, type) and not get_args(hint)
        else str(hint).replace("collections.abc.", "")
    )


def _missing(now: Mapping[str, Job], taken: Mapping[str, tuple[Job, str]]) -> Iterator[Problem]:
    """Yield the jobs that need one that was taken away."""
    for job in now.values():
        for edge in job.edges:
            if edge.upstream in taken and edge.kind is not EdgeKind.AFTER:
                gone, whose = taken[edge.upstream]
                what = f"job {job.label!r} needs {gone.label!r}, which {COLLECTED} took away"
                at = tuple(place for place in (edge.at or job.at, whose) if place)
                yield Problem(what=what, at=at, fix=f"take {job.label!r} away, too, or skip {gone.label!r}")


# --- what only hears ---


class Hooks:
    """The hooks that hear of a run.

    Args:
        config: Of the session; all its plug-ins are there.
        items: By id.

    Attributes:
        switched_off: What is said of each plug-in that raised.
        running: A run is under way: whatever a hook raises, it goes on.
    """

    def __init__(self, config: pytest.Config, items: Mapping[str, JobItem]) -> None:
        self._config, self._items = config, items
        self._hooks = {name: found for name in TOLD if (found := _implemented(config, name))}
        self._off: list[object] = []
        self.switched_off: list[str] = []
        self.running = False

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def tell(self, name: str, job: Job | None = None, /, **said: object) -> None:
        """Call a hook wherever it is implemented."""
        for hook in self._hooks.get(name, ()):
            if hook.plugin in self._off or not self._concerns(hook, job):
                continue
            try:
                hook.call(config=self._config, **said)
            except BaseException as error:  # whatever a hook does, the run goes on
                if isinstance(error, KeyboardInterrupt) and not self.running:
                    raise
                self._switch_off(hook, error, job)

    def planned(self, plan: Plan) -> None:
        """Tell what was planned."""
        self.tell("pytest_jobtest_planned", plan=plan)

    def error(self, error: Failure, job: Job | None = None, phase: str = "") -> None:
        """Tell what went wrong."""
        self.tell("pytest_jobtest_error", job, error=error, job=job, phase=phase)

    def _concerns(self, hook: _Hook, job: Job | None) -> bool:
        if job is None or hook.folder is None:
            return True
        return self._items[job.id].path.is_relative_to(hook.folder)

    def _switch_off(self, hook: _Hook, error: BaseException, job: Job | None) -> None:
        """Call no hook of a plug-in any more, and say so once."""
        self._off.append(hook.plugin)
        file, line = hook.place(error, self._config.rootpath)
        place = f" ({file}:{line})" if line else ""
        said = f"the hooks of {hook.whose} are switched off: {hook.said(error)}{place}"
        self.switched_off.append(said)
        with suppress(pytest.PytestWarning):  # a user may want warnings to be errors; this run goes on
            warnings.warn_explicit(pytest.PytestWarning(said), None, hook.file, line)
        self.error(failure_of(error, with_text=True), job)


class Listener:
    """An observer that tells hooks what happens."""

    def __init__(self, hooks: Hooks, of: Orchestration) -> None:
        self._hooks, self._of = hooks, of
        self._since: dict[str, float] = {}
        self._over: dict[str, int] = {}
        hooks.running = True

    def __call__(self, entry: Entry) -> None:
        """Take in an entry."""
        engine = self._of.engine
        assert engine is not None
        summary, event = engine.summary, entry.event
        match event:
            case PhaseStarted():
                self._since[event.job] = entry.at
                self._tell("phase_started", event, attempt=event.attempt, phase=event.phase.value)
            case PhaseEnded():
                self._phase_ended(event, entry.at - self._since.pop(event.job, entry.at))
            case RetryPlanned():
                self._attempt_ended(summary, event, event.attempt, event.delay)
            case JobEnded():
                self._job_ended(summary, event)
            case RunEnded():
                status = event.exit_status
                self._hooks.tell("pytest_jobtest_run_ended", summary=summary, exit_status=status)

    def _job(self, id: str) -> Job:
        engine = self._of.engine
        assert engine is not None
        return engine.plan.graph[id]

    def _tell(
        self, what: str, event: PhaseStarted | PhaseEnded | RetryPlanned | JobEnded, **said: object
    ) -> None:
        job = self._job(event.job)
        self._hooks.tell(f"pytest_jobtest_{what}", job, job=job, **said)

    def _phase_ended(self, event: PhaseEnded, seconds: float) -> None:
        self._tell(
            "phase_ended",
            event,
            attempt=event.attempt,
            phase=event.phase.value,
            verdict=event.verdict.value,
            failure=event.failure,
            seconds=seconds,
        )
        if event.phase in TAIL and event.verdict is not Verdict.OK:
            error = event.failure or Failure(event.verdict.value)
            self._hooks.error(error, self._job(event.job), event.phase.value)

    def _attempt_ended(
        self, summary: Summary, event: RetryPlanned | JobEnded, attempt: int, retry_in: float | None
    ) -> None:
        """Tell of the end of an attempt; the next one may have begun meanwhile."""
        self._over[event.job] = attempt
        records = summary.jobs[event.job].attempts
        record = next(one for one in reversed(records) if one.number == attempt)
        self._tell("attempt_ended", event, attempt=attempt, record=record, retry_in=retry_in)

    def _job_ended(self, summary: Summary, event: JobEnded) -> None:
        record = summary.jobs[event.job]
        last = record.attempts[-1] if record.attempts else None
        if last is not None and self._over.get(event.job) != last.number:
            self._attempt_ended(summary, event, last.number, None)
        self._tell("job_ended", event, record=record)
        if event.outcome is Outcome.FAILED:
            error = (last.failure if last is not None else None) or Failure(event.reason)
            phase = last.phases[-1].phase.value if last is not None and last.phases else ""
            self._hooks.error(error, self._job(event.job), phase)
