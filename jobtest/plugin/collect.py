"""From a job file to items: functions by prefix, one item for each parametrisation."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobtest.core.errors import Problem, nearest
from jobtest.core.model import Phase
from jobtest.plugin import fixtures
from jobtest.plugin.mark import MarkOptions, read_marks
from jobtest.plugin.source import defined_twice, may_yield_twice

__all__ = [
    "COMPANIONS",
    "Elsewhere",
    "JobItem",
    "JobModule",
    "Source",
    "Told",
    "one_traceback_at_a_time",
    "problems_key",
    "sources_key",
]

COMPANIONS = ("cleanup", "describe", "update", "delete", "rollback")
"""Prefixes of functions that belong to a job and make none by themselves."""

LATER = ("update", "delete", "rollback")
"""Companions that this version finds and does not run."""

OWN_MARKS = ("job", "parametrize", "skip", "skipif", "xfail")
"""Marks that say something of the job as a whole."""

ENDS_SESSION = (KeyboardInterrupt, pytest.exit.Exception)
"""What pytest ends the session for when it meets it in its protocol; a job that raised it has failed."""

PACKAGE = Path(__file__).parents[1]
"""Where the code of jobtest lies."""

Function = Callable[..., object]
NO_NAMES: Mapping[Phase, Mapping[Phase, Sequence[str]]] = {
    Phase.RUN: {Phase.RUN: ()},
    Phase.CHECK: {Phase.CHECK: ()},
}
"""The names of a job that asks for nothing, by its only phase; most of a large project are such."""

one_traceback_at_a_time = threading.RLock()
"""While pytest makes a traceback it changes the warning filters of the process, and puts them back; and the
parser that it asks may raise SystemError when two threads do so at once (CPython 3.11)."""

problems_key = pytest.StashKey[list[Problem]]()
sources_key = pytest.StashKey[list["Source"]]()


@dataclass(slots=True, eq=False)
class Source:
    """What the functions of one job say, before names are resolved.

    Attributes:
        name: The bare name.
        id: Node id without parameters.
        path: File relative to the rootdir.
        at: `file:line name` of its main function.
        main: The run function; of a gate, its first check.
        run: The run function, or None for a gate.
        checks: Check functions by name; all must hold.
        companions: Other functions by prefix.
        options: What its marks say.
        names: For each phase, the names that are set up for it, in order.
        places: Where functions stand, by function name.
        own: Names by which it asks for its own value; None where there is none yet.
        items: One for each parametrisation.
        groups: Names that were parametrised together.
        digest: Of its definition without parameters; empty until it is asked for.
        params: Names of parameters of the project that its functions and fixtures ask for.
    """

    name: str
    id: str
    path: str
    at: str
    main: Function
    run: Function | None
    checks: Mapping[str, Function]
    companions: Mapping[str, Function]
    options: MarkOptions
    places: Mapping[str, str]
    names: Mapping[Phase, Sequence[str]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    marked: frozenset[str] = frozenset()
    items: list[JobItem] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    digest: str = ""
    params: frozenset[str] = frozenset()

    @property
    def place(self) -> tuple[str, int]:
        """File, and line from 0."""
        file, _, line = self.at.rpartition(":")
        return file, int(line.split(" ")[0]) - 1

    def functions(self, phase: Phase) -> Mapping[str, Function]:
        """Return the functions that a phase calls, by name."""
        match phase:
            case Phase.CHECK | Phase.RECHECK:
                return self.checks
            case Phase.RUN:
                return {f"job_{self.name}": self.run} if self.run else {}
            case Phase.DESCRIBE | Phase.CLEANUP:
                found = self.companions.get(phase.value)
                return {f"{phase.value}_{self.name}": found} if found else {}
            case Phase.CLOSE:
                return {}

    def only_order(self, name: str) -> None:
        """Take a name for that of a job whose value is not wanted: nothing is set up for it."""
        self.names = {phase: [one for one in names if one != name] for phase, names in self.names.items()}


class Elsewhere(Exception):
    """Stands for what was raised in another process.

    Args:
        text: The traceback as the user should see it.
        message: One line.
    """

    def __init__(self, text: str, message: str) -> None:
        super().__init__(message)
        self.text, self.message = text, message


class Told:
    """A traceback that came as text, where pytest has one that it made itself."""

    def __init__(self, error: Elsewhere) -> None:
        self._text = error.text
        self.reprcrash = SimpleNamespace(message=error.message)

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write it as pytest does."""
        for line in self._text.splitlines():
            marks = {"red": True, "bold": True} if line.startswith("E ") else {}
            tw.line(line, **marks)


class JobItem(pytest.Function):
    """One job. Its phases are run by the engine; pytest's protocol replays what was recorded."""

    source: Source

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.id_: str = self.nodeid
        self.recorded: dict[str, BaseException] = {}
        self.exclusive = ""
        self.hooks: Any = None

    @property
    def ihook(self) -> Any:
        """The hooks to call for it; others while it is replayed."""
        return self.hooks or super().ihook

    @property
    def above(self) -> tuple[Any, ...]:
        """The collectors above, outermost first."""
        chain: tuple[Any, ...] = self.parent.chain  # type: ignore[union-attr]  # a job stands in a job file
        return chain

    @property
    def location(self) -> tuple[str, int | None, str]:
        """File, line from 0, and name, as pytest has it, found faster."""
        return *self.source.place, self.name

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it is defined, which may be a file that its own imports it from."""
        file, line = self.source.place
        return self.config.rootpath / file, line, self.name

    def runtest(self) -> None:
        """Replay the run of a job that has ended."""
        self.replay("call")

    def replay(self, when: str) -> None:
        """Raise what was recorded for a part of pytest's protocol, if anything was."""
        __tracebackhide__ = True
        error = self.recorded.get(when)
        if isinstance(error, ENDS_SESSION):
            shown = str(self.repr_failure(pytest.ExceptionInfo.from_exception(error)))
            raise pytest.fail.Exception(shown, pytrace=False)
        if error is not None:
            raise error

    def _traceback_filter(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        """Leave out the frames of jobtest; for the rest do as pytest does."""
        if not self.config.getoption("fulltrace", False):
            users = excinfo.traceback.filter(lambda entry: not Path(entry.path).is_relative_to(PACKAGE))
            excinfo.traceback = users or excinfo.traceback
        return super()._traceback_filter(excinfo)


class JobModule(pytest.Module):
    """A job file."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Find the jobs of the file; what is wrong with it goes to the session's problems."""
        self._found: dict[str, Function] = {}
        self.chain = tuple(self.listchain())
        list(super().collect())
        self._drop_helpers()
        self._relative = fixtures.relative(self.path, self.config.rootpath)
        self._autouse = fixtures.autouse_names(self)
        self._places = {name: f"{self._file_of(f)}:{line_of(f)} {name}" for name, f in self._found.items()}
        for name, *lines in defined_twice(self.path):
            at = [f"{self._relative}:{line} {name}" for line in lines]
            self._problem(f"{name} is defined twice in one file", at, "rename one of them")
        for source in self._sources():
            self.session.stash[sources_key].append(source)
            yield from source.items

    def _getobj(self) -> Any:
        try:
            return super()._getobj()  # type: ignore[no-untyped-call]  # private, see fixtures.PRIVATE
        except self.CollectError as error:
            if isinstance(error.__cause__, SyntaxError):
                raise self.CollectError(_syntax_problem(error.__cause__, self)) from None
            raise
        except SystemExit as error:
            file = fixtures.relative(self.path, self.config.rootpath)
            fix = "put what a script does below `if __name__ == '__main__':`"
            problem = Problem(what=f"{file} ends Python while it is imported: {error!r}", at=(file,), fix=fix)
            raise self.CollectError(str(problem)) from None

    def _file_of(self, function: Function) -> str:
        """Return the file of a function: this one, or the one that it is imported from."""
        file = inspect.unwrap(function).__code__.co_filename
        if file == str(self.path):
            return self._relative
        return fixtures.relative(Path(file), self.config.rootpath)

    def note(self, name: str, obj: object) -> None:
        """Take in a module-level name; functions with a known prefix are kept."""
        prefix, _, rest = name.partition("_")
        if not rest or prefix not in ("job", "check", *COMPANIONS) or not callable(obj):
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

    def _problem(self, what: str, at: Iterable[str], fix: str = "") -> None:
        places = tuple(place for place in at if place)
        self.session.stash[problems_key].append(Problem(what=what, at=places, fix=fix))

    def _sources(self) -> Iterator[Source]:
        runs = {name.removeprefix("job_"): f for name, f in self._found.items() if name.startswith("job_")}
        checks, gates = self._checks(runs)
        companions = self._companions({*runs, *gates})
        for function in self._found:
            prefix, _, rest = function.partition("_")
            if prefix == "job":
                yield from self._source(rest, runs[rest], checks.get(rest, {}), companions.get(rest, {}))
            elif prefix == "check":
                name = rest if rest in checks else rest.rpartition("__")[0]
                if name not in runs and next(iter(checks[name])) == function:
                    yield from self._source(name, None, checks[name], companions.get(name, {}))

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
                self._problem(what, at, f"rename it to check_{close}, or give the gate a name less like it")
        return found, gates

    def _companions(self, jobs: set[str]) -> dict[str, dict[str, Function]]:
        found: dict[str, dict[str, Function]] = {}
        for function, obj in self._found.items():
            prefix, _, rest = function.partition("_")
            if prefix not in COMPANIONS:
                continue
            if rest in jobs:
                found.setdefault(rest, {})[prefix] = obj
                if prefix in LATER:
                    self.warn(pytest.PytestWarning(f"{function} is not run by this version of jobtest"))
            else:
                close = nearest(rest, jobs)
                fix = f"did you mean {prefix}_{close}?" if close else f"write job_{rest}, or remove it"
                self._problem(f"{function} has no job", (self._places[function],), fix)
        return found

    def _source(
        self,
        name: str,
        run: Function | None,
        checks: Mapping[str, Function],
        companions: Mapping[str, Function],
    ) -> Iterator[Source]:
        main_name = f"job_{name}" if run else next(iter(checks))
        main = run or checks[main_name]
        at = self._places[main_name]
        definition = fixtures.define(self, main_name, main)
        _parameters.setdefault(main, fixtures.own_arguments(definition))
        marks = list(definition.iter_markers())
        options, problems = read_marks([mark for mark in marks if mark.name == "job"], name, at)
        self.session.stash[problems_key] += problems
        id = f"{self.nodeid}::{main_name}"
        source = Source(name, id, self._relative, at, main, run, checks, companions, options, self._places)
        source.marked = frozenset(mark.name for mark in marks)
        source.used = [used for mark in marks if mark.name == "usefixtures" for used in mark.args]
        self._refuse(source, main_name)
        asked = _find_names(source, definition, self._autouse)
        info, specs, source.groups = fixtures.parametrize(definition, asked, "parametrize" in source.marked)
        common = {"fixtureinfo": info, "originalname": main_name, "callobj": main}
        if not specs:
            item = JobItem.from_parent(self, name=main_name, **common)
            item.source = source
            source.items.append(item)
        for spec in specs:
            full = f"{main_name}[{spec.id}]" if spec.id else main_name
            item = JobItem.from_parent(self, name=full, callspec=spec, keywords={spec.id: True}, **common)
            item.source = source
            source.items.append(item)
        yield source

    def _refuse(self, source: Source, main_name: str) -> None:
        """Refuse functions of a kind that cannot be run, and marks in the wrong place."""
        named = {main_name: source.main, **source.checks}
        named |= {f"{prefix}_{source.name}": function for prefix, function in source.companions.items()}
        for name, function in named.items():
            at = (self._places[name],)
            flags = inspect.unwrap(function).__code__.co_flags
            if inspect.unwrap(function).__code__.co_posonlyargcount:
                self._problem(f"{name} has positional-only parameters", at, "take the / out of its signature")
            if flags & inspect.CO_ASYNC_GENERATOR:
                self._problem(
                    f"{name} is an async generator", at, "use async def with return, or def with yield"
                )
            elif flags & inspect.CO_GENERATOR and function is not source.run:
                self._problem(f"{name} yields; only a job can hold something open", at, "use return")
            elif flags & inspect.CO_GENERATOR and may_yield_twice(function):
                self._problem(
                    f"{name} yields more than once", at, "one yield: before it set up, after it tear down"
                )
            marks = [mark.name for mark in getattr(function, "pytestmark", []) if mark.name in OWN_MARKS]
            if name != main_name and marks:
                self._problem(f"{name} has the mark {marks[0]}", at, f"put it on {main_name}")
            if "xfail" in marks:
                self._problem(f"{name} has the mark xfail, which says nothing about a job", at, "remove it")


def _syntax_problem(error: SyntaxError, module: JobModule) -> str:
    """Return what is wrong with the text of a file, with the line and the place in it."""
    file = fixtures.relative(module.path, module.config.rootpath)
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


def line_of(function: Function) -> int:
    """Return the line on which a function begins, its decorators included, as pytest counts."""
    return int(inspect.unwrap(function).__code__.co_firstlineno)


def _find_names(source: Source, definition: pytest.Function, auto: Sequence[str]) -> list[str]:
    """Find the names that are set up for each phase; return those that its functions ask for."""
    names: dict[Phase, Sequence[str]] = {}
    all_asked: dict[str, None] = {}
    for phase in (Phase.CHECK, Phase.RUN, Phase.DESCRIBE, Phase.CLEANUP):
        functions = source.functions(phase).values()
        if functions:
            used = source.used if phase is Phase.RUN or source.run is None else []
            if phase is not Phase.RUN:
                used = [*used, *(name for function in functions for name in _used_by(function))]
            asked = [*auto, *used, *(name for function in functions for name in parameters(function))]
            names[phase] = fixtures.closure(definition, asked)[0] if asked else ()
            all_asked.update(dict.fromkeys(asked))
    source.names = names if all_asked or len(names) > 1 else NO_NAMES.get(next(iter(names)), names)
    return list(all_asked)


def _used_by(function: Function) -> list[str]:
    marks: Sequence[pytest.Mark] = getattr(function, "pytestmark", [])
    return [name for mark in marks if mark.name == "usefixtures" for name in mark.args]


_parameters: dict[Function, tuple[str, ...]] = {}
"""What `parameters` has found out, and what pytest has, which costs the same again."""


def parameters(function: Function) -> tuple[str, ...]:
    """Return the names of the parameters that a function must be given."""
    found = _parameters.get(function)
    if found is None:
        found = _parameters[function] = _find_parameters(function)
    return found


def _find_parameters(function: Function) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    if code is not None and not (
        code.co_argcount or code.co_kwonlyargcount or hasattr(function, "__wrapped__")
    ):
        return ()
    return tuple(
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and parameter.default is parameter.empty
    )


def first_line(function: Function) -> str:
    """Return the first line of a docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0].strip()
