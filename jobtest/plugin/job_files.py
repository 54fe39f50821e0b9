"""Job files that are data: `job_*.toml`, `job_*.conf`. Each entry becomes a job like any other.

An entry has a task type, whose functions take its arguments. What is left to them are fixtures, parameters
of `parametrize`, and the values of the jobs that its arguments refer to: these are the parameters of the
functions that stand for it here, so that everything else is as for jobs in Python.
"""

from __future__ import annotations

import inspect
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from jobtest.config.arguments import Arguments
from jobtest.config.job_file import Entry, read_job_file
from jobtest.config.template import fill, references
from jobtest.core.errors import Problem, ProjectError, did_you_mean, nearest
from jobtest.plugin import fixtures
from jobtest.plugin.builtin import names_key, params_key, run_id_key
from jobtest.plugin.collect import JobCollector, companions_of
from jobtest.plugin.items import JobItem, Source, know_parameters, problems_key
from jobtest.plugin.mark import KEYWORDS, MarkOptions, read_marks
from jobtest.plugin.shown import relative
from jobtest.plugin.task_types import TaskType, TaskTypes, unknown_type
from jobtest.tasks import TaskFailed

__all__ = ["JobFile", "builtin_names"]

Function = Callable[..., object]


types_key = pytest.StashKey[TaskTypes]()


def builtin_names(config: pytest.Config) -> dict[str, object]:
    """Return the names that stand for a value in every job file; the same for the whole run, on all lanes."""
    if names_key not in config.stash:
        run = config.stash[run_id_key]
        now = datetime.now().astimezone()
        names: dict[str, object] = {
            "CWD": str(config.invocation_params.dir),
            "HOME": str(Path.home()),
            "NOW": f"{now:%Y-%m-%dT%H:%M:%S}",
            "PLATFORM": platform.system().lower(),
            "ROOTDIR": str(config.rootpath),
            "RUN_ID": run,
            "TODAY": f"{now:%Y-%m-%d}",
        }
        config.stash[names_key] = names
    return config.stash[names_key]


class JobFile(JobCollector):
    """A job file that is data."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Read the file; what is wrong with it goes to the session's problems."""
        self.begin()
        stash = self.config.stash
        types = stash.setdefault(types_key, TaskTypes(self.session, companions_of(self.config)))
        params = stash[params_key]
        entries, problems = read_job_file(
            self.path,
            root=self.config.rootpath,
            keywords=KEYWORDS,
            params=params,
            builtins=builtin_names(self.config),
            env=os.environ,
            overriding={text.partition("=")[0].strip() for text in self.config.option.job_set},
        )
        self.session.stash[problems_key] += problems
        visible = types.visible(self.path)
        for entry in entries:
            found = visible.find(entry.task, entry.name, partial(entry.at, "task"))
            if isinstance(found, Problem):
                self.session.stash[problems_key].append(found)
                found = unknown_type(entry.task, entry.place)
            yield from self.found([_Maker(self, entry, found).source()])

    def _getobj(self) -> Any:  # noqa: ANN401 - as pytest has it
        """Return a module without anything in it."""
        return ModuleType(self.path.stem)


class _Maker:
    """Makes the source of one entry.

    Args:
        file: Where it stands.
        entry: The entry.
        type: Its task type.
    """

    def __init__(self, file: JobFile, entry: Entry, type: TaskType) -> None:
        self._file, self._entry, self._type = file, entry, type
        self._references = references(entry.args)
        self._values: dict[str, str] = {}
        self._problems: list[Problem] = file.session.stash[problems_key]

    def source(self) -> Source:
        """Return the source, with all that is wrong told."""
        entry, type = self._entry, self._type
        misspelt = self._refuse_unknown()
        run = self._bound(type.run, also=entry.parametrize)
        checks = {name: self._bound(f) for name, f in type.checks.items() if not self._missing(f)}
        companions = {prefix: self._bound(f) for prefix, f in type.companions.items() if not self._missing(f)}
        for name in self._missing(type.run):
            if name in misspelt:
                continue
            what = f"job {entry.name!r}: task type {type.name!r} needs the argument {name!r}"
            self._problem(what, entry.at("args"), type.at, fix=f"add {name} = ... to args")
        marks = [pytest.mark.job(**entry.options).mark] if entry.options else []
        ways = [pytest.mark.parametrize(*one).mark for one in entry.parametrize.items()]
        run.pytestmark = [*marks, *ways]  # type: ignore[attr-defined]  # as decorators do
        at = f"{entry.place.rpartition(':')[0] or entry.place} {entry.name}"
        options, problems = read_marks(marks, entry.name, at, entry.at)
        self._problems += problems
        path = relative(self._file.path, self._file.config.rootpath)
        source = Source(
            entry.name,
            f"{self._file.nodeid}::{entry.name}",
            path,
            at,
            run,
            run,
            checks,
            companions,
            replace(options, values=self._meant(options)) if self._values else options,
            _Everywhere(at),
        )
        source.params, source.entry, source.locate = entry.params, entry, self._locate
        source.module = type.module
        self._file.complete(source, fixtures.define(self._file, entry.name, run))
        self._refuse_mistyped(source.items)
        return source

    def _problem(self, what: str, *at: str, fix: str = "") -> None:
        self._problems.append(Problem(what=what, at=at, fix=fix))

    def _locate(self, name: str) -> str:
        """Return where the entry asks for a job."""
        for key in ("needs", "after"):
            asked = self._entry.options.get(key)
            for number, one in enumerate(asked if isinstance(asked, list) else ()):
                if one == name or (isinstance(one, Mapping) and one.get("job") == name):
                    return self._entry.at(key, number)
            if asked == name:
                return self._entry.at(key)
        for path, reference in self._references:
            if reference.is_job and reference.name == name:
                return self._entry.at("args", *path)
        return self._entry.place

    def _refuse_unknown(self) -> set[str]:
        """Tell which arguments no function takes; return those that were probably meant."""
        known = self._type.argument_names
        meant: set[str] = set()
        if any(one.open for one in self._type.arguments.values()):
            return meant
        for name in self._entry.args:
            if name not in known:
                what = f"job {self._entry.name!r}: task type {self._type.name!r} has no argument {name!r}"
                fix = did_you_mean(name, known, what="arguments are") or "it takes none"
                self._problem(what, self._entry.at("args", name), self._type.at, fix=fix)
                meant.add(nearest(name, known) or "")
        return meant

    def _missing(self, function: Function) -> list[str]:
        """Return the parameters of a function that are neither given nor fixtures."""
        arguments = self._type.arguments[function]
        left = [
            name for name in arguments.names if name in arguments.required and name not in self._entry.args
        ]
        return [name for name in left if not fixtures.is_fixture(self._file, name)]

    def _given(self, arguments: Arguments) -> dict[str, object]:
        args = self._entry.args
        return {name: args[name] for name in args if arguments.open or name in arguments.names}

    def _bound(self, function: Function, also: Iterable[str] = ()) -> Function:
        """Return a function of the task type with the arguments of the entry."""
        arguments = self._type.arguments[function]
        given = self._given(arguments)
        missing = self._missing(function)
        left = [one for one in arguments.names if one in arguments.required and one not in {*given, *missing}]
        asked = [reference for path, reference in self._references if path[0] in given]
        jobs = {one.name: self._parameter(one.name) for one in asked if one.is_job}
        names = dict.fromkeys([*also, *(one.name for one in asked if not one.is_job)])
        parameters = (*dict.fromkeys([*left, *names, *jobs.values()]),)

        def call(**values: object) -> object:
            __tracebackhide__ = True
            known = {name: values[name] for name in names}
            known |= {job: values[parameter] for job, parameter in jobs.items()}
            try:
                converted = arguments.convert(cast("dict[str, object]", fill(given, known)))
            except ProjectError as error:
                raise TaskFailed(_together(error.problems)) from None
            return function(**converted, **{name: values[name] for name in left})

        call.__wrapped__ = function  # type: ignore[attr-defined]  # as functools.wraps does
        call.__name__ = function.__name__
        call.__doc__ = self._entry.description or function.__doc__
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what pytest and we go by
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in parameters]
        )
        know_parameters(call, parameters)
        return call

    def _parameter(self, job: str) -> str:
        """Return the parameter that takes the value of a job; no two jobs have the same one."""
        name = f"job_{job.replace('-', '_')}"
        while self._values.setdefault(name, job) != job:
            name += "_"
        return name

    def _meant(self, options: MarkOptions) -> dict[str, str]:
        """Return the job behind each parameter that takes a value; `needs` may say which one is meant."""
        full = {one.job.rpartition("::")[2].removeprefix("job_"): one.job for one in options.needs}
        return {parameter: full.get(job, job) for parameter, job in self._values.items()}

    def _refuse_mistyped(self, items: Sequence[JobItem]) -> None:
        """Tell which arguments are of the wrong kind, as far as their values are known before the run."""
        told: set[tuple[object, ...]] = set()
        for item in items:
            spec = getattr(item, "callspec", None)
            values = spec.params if spec is not None else {}
            for arguments in self._type.arguments.values():
                known = self._known(self._given(arguments), values)
                for path, what, fix in arguments.problems(known, elsewhere=arguments.required):
                    if path not in told:
                        told.add(path)
                        at = self._entry.at("args", *path)
                        self._problem(f"job {self._entry.name!r}: {what}", at, self._type.at, fix=fix)

    def _known(self, given: Mapping[str, object], values: Mapping[str, object]) -> Mapping[str, object]:
        """Return the arguments that are known when values of parameters are, and those of jobs are not."""
        if not self._references:
            return given
        waiting = {path[0] for path, reference in self._references if reference.is_job}
        sure = {name: value for name, value in given.items() if name not in waiting}
        return cast("dict[str, object]", fill(sure, values))


def _together(problems: Sequence[Problem]) -> Problem:
    return problems[0] if len(problems) == 1 else Problem(what="\n".join(map(str, problems)))


class _Everywhere(dict[str, str]):
    """The same place for every function."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def __missing__(self, name: str) -> str:
        return self._place
