"""From a job file to items: functions by prefix, one item for each parametrisation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobtest.core.errors import Problem, nearest
from jobtest.core.model import Phase
from jobtest.plugin import fixtures
from jobtest.plugin.items import (
    JobItem,
    Source,
    know_parameters,
    line_of,
    parameters,
    problems_key,
    sources_key,
)
from jobtest.plugin.mark import read_marks
from jobtest.plugin.shown import relative
from jobtest.plugin.source import defined_twice, may_yield_twice

__all__ = [
    "COMPANIONS",
    "JobCollector",
    "JobModule",
]

COMPANIONS = ("cleanup", "describe", "update", "delete", "rollback")
"""Prefixes of functions that belong to a job and make none by themselves."""

PHASES = (Phase.CHECK, Phase.RUN, Phase.DESCRIBE, Phase.CLEANUP)
OWN_PHASE = ("describe", "cleanup")
"""Companions that never take the place of the run function."""

OWN_MARKS = ("job", "parametrize", "skip", "skipif", "xfail")
"""Marks that say something of the job as a whole."""

Function = Callable[..., object]
NO_NAMES: Mapping[Phase | str, Mapping[Phase | str, Sequence[str]]] = {
    Phase.RUN: {Phase.RUN: ()},
    Phase.CHECK: {Phase.CHECK: ()},
}
"""The names of a job that asks for nothing, by its only phase; most of a large project are such."""


def companions_of(config: pytest.Config) -> tuple[str, ...]:
    """Return the prefixes of functions that belong to a job, with those of verbs that the project adds."""
    orchestration = config.pluginmanager.get_plugin("jobtest-orchestration")
    verbs = orchestration.options.settings.commands.values() if orchestration is not None else ()
    return (*COMPANIONS, *(verb.does for verb in verbs if verb.is_added))


class JobCollector(pytest.Module):
    """A file of jobs: what becomes of their functions, wherever these come from."""

    def _getobj(self) -> Any:
        try:
            return super()._getobj()  # type: ignore[no-untyped-call]  # private, see fixtures.PRIVATE
        except self.CollectError as error:
            if isinstance(error.__cause__, SyntaxError):
                raise self.CollectError(_syntax_problem(error.__cause__, self)) from None
            raise
        except SystemExit as error:
            file = relative(self.path, self.config.rootpath)
            fix = "put what a script does below `if __name__ == '__main__':`"
            problem = Problem(what=f"{file} ends Python while it is imported: {error!r}", at=(file,), fix=fix)
            raise self.CollectError(str(problem)) from None

    def begin(self) -> None:
        """Note what all jobs of the file have in common."""
        self.chain = tuple(self.listchain())
        self._relative = relative(self.path, self.config.rootpath)
        self._autouse = fixtures.autouse_names(self)

    def found(self, sources: Iterable[Source]) -> Iterator[pytest.Item]:
        """Hand over what was found: the sources to the session, their items to pytest."""
        for source in sources:
            self.session.stash[sources_key].append(source)
            yield from source.items

    def problem(self, what: str, at: Iterable[str], fix: str = "") -> None:
        """Tell what is wrong with the file."""
        places = tuple(place for place in at if place)
        self.session.stash[problems_key].append(Problem(what=what, at=places, fix=fix))

    def complete(self, source: Source, definition: pytest.Function) -> Source:
        """Give a source its names and its items, one for each parametrisation.

        Args:
            source: What its functions say.
            definition: Of its main function, from `fixtures.define`.
        """
        marks = list(definition.iter_markers())
        source.marked = frozenset(mark.name for mark in marks)
        source.used = [used for mark in marks if mark.name == "usefixtures" for used in mark.args]
        asked = _find_names(source, definition, self._autouse)
        info, specs, source.groups = fixtures.parametrize(definition, asked, "parametrize" in source.marked)
        common = {"fixtureinfo": info, "originalname": definition.name, "callobj": source.main}
        for spec in specs or [None]:
            full = f"{definition.name}[{spec.id}]" if spec is not None and spec.id else definition.name
            given = {} if spec is None else {"callspec": spec, "keywords": {spec.id: True}}
            item = JobItem.from_parent(self, name=full, **given, **common)
            item.source = source
            source.items.append(item)
            if spec is not None and any(mark.name == "job" for mark in spec.marks):
                what = f"job {source.name!r}: the mark job stands on the parameter {spec.id!r}"
                fix = "put it on the function; for one parameter alone write a job of its own"
                self.problem(what, (source.at,), fix)
        return source


class JobModule(JobCollector):
    """A job file in Python."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Find the jobs of the file; what is wrong with it goes to the session's problems."""
        self._found: dict[str, Function] = {}
        self._prefixes = companions_of(self.config)
        list(super().collect())
        self.begin()
        self._drop_helpers()
        self._places = {name: f"{self._file_of(f)}:{line_of(f)} {name}" for name, f in self._found.items()}
        for name, *lines in defined_twice(self.path, self._prefixes):
            at = [f"{self._relative}:{line} {name}" for line in lines]
            self.problem(f"{name} is defined twice in one file", at, "rename one of them")
        yield from self.found(self._sources())

    def _file_of(self, function: Function) -> str:
        """Return the file of a function: this one, or the one that it is imported from."""
        file = inspect.unwrap(function).__code__.co_filename
        if file == str(self.path):
            return self._relative
        return relative(Path(file), self.config.rootpath)

    def note(self, name: str, obj: object) -> None:
        """Take in a module-level name; functions with a known prefix are kept."""
        prefix, _, rest = name.partition("_")
        if not rest or prefix not in ("job", "check", *self._prefixes) or not callable(obj):
            return
        if inspect.isfunction(inspect.unwrap(obj)):
            self._found[name] = obj

    def _drop_helpers(self) -> None:
        """Drop what the file imports for its own use; jobs of the project, with their checks, stay."""
        for name, function in list(self._found.items()):
            prefix, _, rest = name.partition("_")
            where = Path(inspect.unwrap(function).__code__.co_filename)
            if where == self.path:
                continue
            of_job = f"job_{rest}" in self._found or f"job_{rest.rpartition('__')[0]}" in self._found
            of_project = where.is_relative_to(self.config.rootpath) and (prefix == "job" or of_job)
            if not of_project:
                del self._found[name]

    def _sources(self) -> Iterator[Source]:
        runs = {name.removeprefix("job_"): f for name, f in self._found.items() if name.startswith("job_")}
        checks, gates = self._checks(runs)
        companions = self._companions({*runs, *gates})
        for function in self._found:
            prefix, _, rest = function.partition("_")
            if prefix == "job":
                yield self._source(rest, runs[rest], checks.get(rest, {}), companions.get(rest, {}))
            elif prefix == "check":
                name = rest if rest in checks else rest.rpartition("__")[0]
                if name not in runs and next(iter(checks[name])) == function:
                    yield self._source(name, None, checks[name], companions.get(name, {}))

    def _checks(self, runs: Mapping[str, Function]) -> tuple[dict[str, dict[str, Function]], Iterable[str]]:
        """Return check functions by job, and the names of gates."""
        found: dict[str, dict[str, Function]] = {}
        gates: dict[str, None] = {}
        spelled = [name.removeprefix("check_") for name in self._found if name.startswith("check_")]
        for rest in spelled:
            bare = rest.rpartition("__")[0]
            name = rest if rest in runs or not bare else bare
            found.setdefault(name, {})[f"check_{rest}"] = self._found[f"check_{rest}"]
            if name not in runs:
                gates[name] = None
        misspelt = _Misspelt(name for name in runs if name not in found)
        for gate in gates:
            close = misspelt.find(gate)
            if close:
                at = (self._places[next(iter(found[gate]))], self._places[f"job_{close}"])
                what = f"check_{gate} has no job, and job_{close} has no check"
                self.problem(what, at, f"rename it to check_{close}, or give the gate a name less like it")
        return found, gates

    def _companions(self, jobs: set[str]) -> dict[str, dict[str, Function]]:
        found: dict[str, dict[str, Function]] = {}
        for function, obj in self._found.items():
            prefix, _, rest = function.partition("_")
            if prefix not in self._prefixes:
                continue
            if rest in jobs:
                found.setdefault(rest, {})[prefix] = obj
            else:
                close = nearest(rest, jobs)
                fix = f"did you mean {prefix}_{close}?" if close else f"write job_{rest}, or remove it"
                self.problem(f"{function} has no job", (self._places[function],), fix)
        return found

    def _source(
        self,
        name: str,
        run: Function | None,
        checks: Mapping[str, Function],
        companions: Mapping[str, Function],
    ) -> Source:
        main_name = f"job_{name}" if run else next(iter(checks))
        main = run or checks[main_name]
        at = self._places[main_name]
        definition = fixtures.define(self, main_name, main)
        know_parameters(main, fixtures.own_arguments(definition))
        options, problems = read_marks(definition.iter_markers("job"), name, at)
        self.session.stash[problems_key] += problems
        id = f"{self.nodeid}::{main_name}"
        source = Source(name, id, self._relative, at, main, run, checks, companions, options, self._places)
        self._refuse(source, main_name)
        return self.complete(source, definition)

    def _refuse(self, source: Source, main_name: str) -> None:
        """Refuse functions of a kind that cannot be run, and marks in the wrong place."""
        named = {main_name: source.main, **source.checks}
        named |= {f"{prefix}_{source.name}": function for prefix, function in source.companions.items()}
        for name, function in named.items():
            at = (self._places[name],)
            flags = inspect.unwrap(function).__code__.co_flags
            if inspect.unwrap(function).__code__.co_posonlyargcount:
                self.problem(f"{name} has positional-only parameters", at, "take the / out of its signature")
            if flags & inspect.CO_ASYNC_GENERATOR:
                self.problem(
                    f"{name} is an async generator", at, "use async def with return, or def with yield"
                )
            elif flags & inspect.CO_GENERATOR and function is not source.run:
                self.problem(f"{name} yields; only a job can hold something open", at, "use return")
            elif flags & inspect.CO_GENERATOR and may_yield_twice(function):
                self.problem(
                    f"{name} yields more than once", at, "one yield: before it set up, after it tear down"
                )
            marks = [mark.name for mark in getattr(function, "pytestmark", []) if mark.name in OWN_MARKS]
            if name != main_name and marks:
                self.problem(f"{name} has the mark {marks[0]}", at, f"put it on {main_name}")
            if "xfail" in marks:
                self.problem(f"{name} has the mark xfail, which says nothing about a job", at, "remove it")


def _syntax_problem(error: SyntaxError, module: JobCollector) -> str:
    """Return what is wrong with the text of a file, with the line and the place in it."""
    file = relative(module.path, module.config.rootpath)
    shown = ""
    if error.text:
        text = error.text.rstrip("\n")
        shown = f"\n    {text}\n    {' ' * ((error.offset or 1) - 1)}^"
    return f"{Problem(what=f'{file} cannot be read: {error.msg}', at=(f'{file}:{error.lineno}',))}{shown}"


class _Misspelt:
    """Finds names that differ by one letter. Numbers make names different."""

    def __init__(self, names: Iterable[str]) -> None:
        self._known = {variant: name for name in names for variant in self._variants(name)}

    def find(self, name: str) -> str:
        """Return a name that this one is probably a slip of the pen for, or empty."""
        for variant in self._variants(name):
            known = self._known.get(variant, "")
            if known and _digits(known) == _digits(name):
                return known
        return ""

    @staticmethod
    def _variants(name: str) -> Iterator[str]:
        yield name
        if len(name) > 2:
            yield from (name[:at] + name[at + 1 :] for at in range(len(name)))


def _digits(name: str) -> list[str]:
    return [character for character in name if character.isdigit()]


def _find_names(source: Source, definition: pytest.Function, auto: Sequence[str]) -> list[str]:
    """Find the names that are set up for each phase; return those that its functions ask for."""
    names: dict[Phase | str, Sequence[str]] = {}
    all_asked: dict[str, None] = {}
    kinds: list[Phase | str] = [*PHASES, *(one for one in source.companions if one not in OWN_PHASE)]
    for kind in kinds:
        functions = source.functions(kind).values()
        if functions:
            used = source.used if kind in (Phase.RUN, "update") or source.run is None else []
            if kind is not Phase.RUN:
                used = [*used, *(name for function in functions for name in _used_by(function))]
            asked = [*auto, *used, *(name for function in functions for name in parameters(function))]
            if kind == "rollback":
                asked = [name for name in asked if name != "error"]
            names[kind] = fixtures.closure(definition, asked)[0] if asked else ()
            all_asked.update(dict.fromkeys(asked))
    source.names = names if all_asked or len(names) > 1 else NO_NAMES.get(next(iter(names)), names)
    return list(all_asked)


def _used_by(function: Function) -> list[str]:
    marks: Sequence[pytest.Mark] = getattr(function, "pytestmark", [])
    return [name for mark in marks if mark.name == "usefixtures" for name in mark.args]
