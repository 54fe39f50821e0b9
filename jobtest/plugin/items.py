"""The items of pytest that stand for jobs, and what their functions say."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jobtest.core.errors import Problem
from jobtest.core.model import Phase
from jobtest.plugin.mark import MarkOptions

if TYPE_CHECKING:
    from jobtest.config.job_file import Entry

__all__ = [
    "PACKAGE",
    "Elsewhere",
    "JobItem",
    "Source",
    "Told",
    "first_line",
    "kind_of",
    "know_parameters",
    "line_of",
    "one_traceback_at_a_time",
    "parameters",
    "problems_key",
    "sources_key",
]

NO_FAILURES = (KeyboardInterrupt, pytest.exit.Exception, pytest.xfail.Exception)
"""What pytest takes for no failure when it meets it in its protocol, but ends the session, or counts it as
expected; a job that raised it has failed."""

PACKAGE = Path(__file__).parents[1]
"""Where the code of jobtest lies."""

Function = Callable[..., object]

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
        names: For each phase, or prefix of a function that may take the place of the run function, the names
            that are set up for it, in order.
        places: Where functions stand, by function name.
        own: Names by which it asks for its own value; None where there is none yet.
        items: One for each parametrisation.
        groups: Names that were parametrised together.
        digest: Of its definition without parameters; empty until it is asked for.
        params: Names of parameters of the project that its functions and fixtures ask for.
        entry: Of a job file that is data; None for a job in Python.
        locate: Tells where it asks for a job of that name, to the column; None if its functions tell.
        module: Whose classes its values may have; None: that of its file.
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
    names: Mapping[Phase | str, Sequence[str]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    marked: frozenset[str] = frozenset()
    items: list[JobItem] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    digest: str = ""
    params: frozenset[str] = frozenset()
    entry: Entry | None = None
    locate: Callable[[str], str] | None = None
    module: ModuleType | None = None

    @property
    def place(self) -> tuple[str, int]:
        """File, and line from 0."""
        file, known, line = self.at.rpartition(":")
        return (file, int(line.split(" ")[0]) - 1) if known else (self.path, 0)

    def at_keyword(self, key: str) -> str:
        """Return where a keyword of the mark stands; to the column, in a file that is data."""
        return self.at if self.entry is None else self.entry.at(key)

    def functions(self, kind: Phase | str) -> Mapping[str, Function]:
        """Return the functions that a phase calls, by name; or that of a prefix, from `kind_of`."""
        match kind:
            case Phase.CHECK | Phase.RECHECK:
                return self.checks
            case Phase.RUN:
                return {f"job_{self.name}": self.run} if self.run else {}
        prefix = kind if isinstance(kind, str) else kind.value
        found = self.companions.get(prefix)
        return {f"{prefix}_{self.name}": found} if found else {}

    def only_order(self, name: str) -> None:
        """Take a name for that of a job whose value is not wanted: nothing is set up for it."""
        self.names = {phase: [one for one in names if one != name] for phase, names in self.names.items()}


def kind_of(phase: Phase, calls: str) -> Phase | str:
    """Return by what a source knows the functions of a phase.

    Args:
        phase: Which.
        calls: Prefix of the function that its run phase calls.
    """
    if phase is Phase.RUN and calls != "job":
        return calls
    if phase is Phase.ROLLBACK:
        return "rollback"
    return Phase.CHECK if phase is Phase.RECHECK else phase


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
    def module(self) -> Any:
        """The module whose classes its values may have."""
        return super().module if self.source.module is None else self.source.module

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
        if isinstance(error, NO_FAILURES):
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


def line_of(function: Function) -> int:
    """Return the line on which a function begins, its decorators included, as pytest counts."""
    return int(inspect.unwrap(function).__code__.co_firstlineno)


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


def know_parameters(function: Function, names: tuple[str, ...]) -> None:
    """Take in the names of the parameters of a function, which somebody has found out already."""
    _parameters.setdefault(function, names)
