"""Task types: functions `task_NAME` of the project, of other distributions, and built in. Found by name.

Those of a project stand in `conftest.py`, where they are seen by the job files of the same folder and below,
or in files `task_*.py`, where all job files see them. The nearest one is meant, as for jobs; a type of the
project goes before one of another distribution, and that before a built-in one.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import pytest

from jobtest.config import entry_points
from jobtest.config.arguments import Arguments
from jobtest.core.errors import Problem, did_you_mean, nearest
from jobtest.plugin.collect import COMPANIONS, JobCollector
from jobtest.plugin.hidden import NEVER_JOBS
from jobtest.plugin.items import PACKAGE, line_of, problems_key
from jobtest.plugin.shown import relative
from jobtest.plugin.source import defined_twice
from jobtest.tasks import BUILT_IN

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["TaskType", "TaskTypes", "unknown_type"]

Function = Callable[..., object]


@dataclass(frozen=True, slots=True)
class TaskType:
    """A task type.

    Attributes:
        name: Its name.
        at: `file:line name` of its function, for messages.
        run: `task_NAME`.
        checks: `check_task_NAME` and `check_task_NAME__ASPECT`, by name.
        companions: `cleanup_task_NAME` and others, by prefix.
        arguments: What each function takes.
        module: Where they stand.
    """

    name: str
    at: str
    run: Function
    checks: Mapping[str, Function]
    companions: Mapping[str, Function]
    arguments: Mapping[Function, Arguments] = field(repr=False)
    module: ModuleType

    @property
    def argument_names(self) -> list[str]:
        """The names of all that its functions take."""
        return list(dict.fromkeys(name for one in self.arguments.values() for name in one.names))


def unknown_type(name: str, at: str) -> TaskType:
    """Return what stands for a type that does not exist, so that the rest of the project can be looked at."""

    def run(**_: object) -> None:
        pass

    return TaskType(name, at, run, {}, {}, {run: Arguments(run)}, ModuleType(name))


class TaskFile(JobCollector):
    """A file of task types: imported as a job file is, and nothing is collected from it."""


class TaskTypes:
    """The task types that the job files of a session see."""

    def __init__(self, session: pytest.Session, prefixes: Sequence[str] = COMPANIONS) -> None:
        self._session, self._prefixes = session, tuple(prefixes)
        self._root = session.config.rootpath
        self._known: dict[ModuleType, dict[str, TaskType]] = {}
        self._files: dict[str, list[ModuleType]] | None = None
        self._elsewhere: dict[str, TaskType] = {}

    def visible(self, path: Path) -> Visible:
        """Return the task types that a job file sees."""
        files = self._task_files()
        conftests = self._conftests()
        levels = []
        for folder in (path.parent, *path.parent.parents):
            here = [*conftests.get(str(folder), ()), *files.get(str(folder), ())]
            if here:
                levels.append([self._types(module) for module in here])
        levels.append([self._types(module) for modules in files.values() for module in modules])
        return Visible(self, levels)

    def elsewhere(self, name: str) -> TaskType | None:
        """Return a type of another distribution, or a built-in one."""
        if name not in self._elsewhere:
            if name in self._offered:
                function = cast("Function", entry_points.load(self._offered[name]))
                self._elsewhere[name] = self._type(name, function, sys.modules[function.__module__])
            elif name in BUILT_IN:
                module = importlib.import_module(BUILT_IN[name])
                self._elsewhere[name] = self._type(name, vars(module)[f"task_{name}"], module)
        return self._elsewhere.get(name)

    def names_elsewhere(self) -> list[str]:
        """Return the names of the types of other distributions and of those that are built in."""
        return [*self._offered, *BUILT_IN]

    @cached_property
    def _offered(self) -> Mapping[str, EntryPoint]:
        return entry_points.offered(entry_points.TASKS)

    # --- the project's own ---

    def _conftests(self) -> dict[str, list[ModuleType]]:
        found: dict[str, list[ModuleType]] = {}
        for plugin in self._session.config.pluginmanager.get_plugins():
            file = getattr(plugin, "__file__", None)
            if isinstance(plugin, ModuleType) and file and Path(file).name == "conftest.py":
                found.setdefault(str(Path(file).parent), []).append(plugin)
        return found

    def _task_files(self) -> dict[str, list[ModuleType]]:
        """Import the task files of the project, once; those that cannot be are told as problems."""
        if self._files is None:
            self._files = {}
            for path in self._find_files():
                try:
                    module = TaskFile.from_parent(self._session, path=path).obj
                except pytest.Collector.CollectError as error:
                    self._problem(str(error), relative(path, self._root))
                else:
                    self._files.setdefault(str(path.parent), []).append(module)
        return self._files

    def _find_files(self) -> Iterator[Path]:
        hidden = (*NEVER_JOBS, *self._session.config.getini("norecursedirs"))
        for top in self._session.config.args:
            for folder, below, files in os.walk(top):
                below[:] = sorted(
                    one for one in below if not any(fnmatch(one, pattern) for pattern in hidden)
                )
                if "pyvenv.cfg" in files:
                    below.clear()
                    continue
                yield from (Path(folder, one) for one in sorted(files) if fnmatch(one, "task_*.py"))

    def _types(self, module: ModuleType) -> dict[str, TaskType]:
        if module not in self._known:
            self._known[module] = {
                name.removeprefix("task_"): self._type(name.removeprefix("task_"), function, module)
                for name, function in vars(module).items()
                if name.startswith("task_") and inspect.isfunction(inspect.unwrap(function))
            }
            self._refuse(module)
        return self._known[module]

    def _type(self, name: str, run: Function, module: ModuleType) -> TaskType:
        spelled = run.__name__
        checks: dict[str, Function] = {}
        companions: dict[str, Function] = {}
        for other, function in vars(module).items():
            prefix, _, rest = other.partition("_")
            if not inspect.isfunction(function):
                continue
            if prefix == "check" and (rest == spelled or rest.startswith(f"{spelled}__")):
                checks[other] = function
            elif prefix in self._prefixes and rest == spelled:
                companions[prefix] = function
        functions = (run, *checks.values(), *companions.values())
        arguments = {one: Arguments(one, self._at(one)) for one in functions}
        faults = [fault for one in arguments.values() for fault in one.faults]
        self._session.stash[problems_key] += faults
        return TaskType(name, self._at(run), run, checks, companions, arguments, module)

    def _at(self, function: Function) -> str:
        file = Path(inspect.unwrap(function).__code__.co_filename)
        if file.is_relative_to(PACKAGE):
            return f"{function.__name__} of jobtest"
        return f"{relative(file, self._root)}:{line_of(function)} {function.__name__}"

    def _refuse(self, module: ModuleType) -> None:
        """Tell what is wrong with the task types of a module."""
        file = relative(Path(module.__file__ or ""), self._root)
        for name, *lines in defined_twice(Path(module.__file__ or "")):
            if "task_" in name:
                at = [f"{file}:{line} {name}" for line in lines]
                self._problem(f"{name} is defined twice in one file", *at, fix="rename one of them")
        types = self._known[module]
        for name, function in vars(module).items():
            prefix, _, rest = name.partition("_task_")
            if prefix in ("check", *self._prefixes) and rest and inspect.isfunction(function):
                bare = rest if rest in types else rest.rpartition("__")[0]
                if bare not in types:
                    close = nearest(rest, types)
                    fix = (
                        f"did you mean {prefix}_task_{close}?"
                        if close
                        else f"write task_{rest}, or remove it"
                    )
                    self._problem(f"{name} has no task type", self._at(function), fix=fix)

    def _problem(self, what: str, *at: str, fix: str = "") -> None:
        self._session.stash[problems_key].append(Problem(what=what, at=at, fix=fix))


class Visible:
    """The task types that a job file sees, nearest first."""

    def __init__(self, types: TaskTypes, levels: Sequence[Sequence[Mapping[str, TaskType]]]) -> None:
        self._types, self._levels = types, levels
        self._found: dict[str, TaskType | Problem] = {}

    def find(self, name: str, job: str, at: Callable[[], str]) -> TaskType | Problem:
        """Return the type of a name, or what is wrong with it.

        Args:
            name: As written.
            job: Who asks.
            at: Tells where.
        """
        for level in self._levels:
            found = list(dict.fromkeys(types[name].at for types in level if name in types))
            if len(found) > 1:
                what = f"job {job!r} is of type {name!r}, which is more than one task type"
                return Problem(what=what, at=(at(), *found), fix="rename one of them")
            if found:
                return next(types[name] for types in level if name in types)
        elsewhere = self._types.elsewhere(name)
        if elsewhere is not None:
            return elsewhere
        known = {one for level in self._levels for types in level for one in types}
        fix = did_you_mean(name, known.union(self._types.names_elsewhere()), what="task types are")
        return Problem(what=f"job {job!r}: there is no task type {name!r}", at=(at(),), fix=fix)
