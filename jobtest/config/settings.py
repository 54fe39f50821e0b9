"""The settings of a project: `[tool.jobtest]` in `pyproject.toml`, or `jobtest.toml`; one or the other."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobtest.config.contexts import Context
from jobtest.config.entry_points import EXECUTORS as OTHER_EXECUTORS
from jobtest.config.entry_points import offered
from jobtest.config.verbs import BUILT_IN, Verb, read_verbs
from jobtest.core.errors import Problem, UsageError, did_you_mean

__all__ = ["EXECUTORS", "Settings", "in_context", "load_settings", "parse_assignment", "read_toml"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the settings say, checked.

    Attributes:
        source: The file they come from, for messages; empty if there is none.
        paths: Folders with job files, relative to the rootdir.
        parallel: Jobs that may run at once; None for `auto`.
        params: Parameters for the fixture `params`.
        resources: Amounts that there are.
        retry_limit: Retries that a whole run may spend; None: no limit.
        state: Where runs are remembered, as a URL; empty: `.jobtest/state.db` below the rootdir.
        durability: When what is remembered outlives a power cut: `auto`, `full` or `fast`.
        keep_runs: How many runs are remembered; older ones are forgotten.
        executor: Where jobs are called that do not say: on a `thread`, or in a `process` of their own.
        grace: Seconds that running jobs get after an interrupt.
        large_value: Characters from which the text of a value goes to a file of its own.
        retries: Further attempts of jobs that do not say.
        timeout: Seconds that each phase of jobs that do not say may take; None: no limit.
        flags: Whether flags are on.
        contexts: By name.
        commands: Verbs by name: the built-in ones, renamed as the project says, and those that it adds.
        context: Name of the context that was chosen, or empty.
        allow_faults: Faults may be injected: the chosen context says so, or without one the settings.
        secrets: Names of parameters, and of variables as `env:NAME`, whose values are masked.
    """

    source: str = ""
    paths: tuple[str, ...] = (".",)
    parallel: int | None = 1
    params: Mapping[str, object] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    retry_limit: int | None = None
    state: str = ""
    durability: str = "auto"
    keep_runs: int = 200
    large_value: int = 1_000_000
    executor: str = "thread"
    grace: float = 10.0
    retries: int = 0
    timeout: float | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)
    contexts: Mapping[str, Context] = field(default_factory=dict)
    commands: Mapping[str, Verb] = field(default_factory=lambda: BUILT_IN)
    context: str = ""
    allow_faults: bool = False
    secrets: tuple[str, ...] = ()


KNOWN = (
    "paths",
    "parallel",
    "params",
    "resources",
    "retry_limit",
    "state",
    "durability",
    "keep_runs",
    "large_value",
    "executor",
    "grace",
    "retries",
    "timeout",
    "flags",
    "contexts",
    "commands",
    "secrets",
    "allow_faults",
)
IN_CONTEXT = ("params", "allow_faults", "flags", "resources")
"""What a context may say."""

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
"""What contexts and flags may be called: it stands in command lines and lists."""

EXECUTORS = ("thread", "process", "dask://")
DURABILITIES = ("auto", "full", "fast")


def load_settings(rootdir: Path) -> Settings:
    """Read the settings below `rootdir`.

    Raises:
        UsageError: a file cannot be read, is not TOML, has unknown keys or wrong values; all problems at
            once.
    """
    pyproject, own = rootdir / "pyproject.toml", rootdir / "jobtest.toml"
    tables = {}
    if pyproject.is_file():
        tool = read_toml(pyproject).get("tool", {})
        if isinstance(tool, dict) and "jobtest" in tool:
            tables["pyproject.toml [tool.jobtest]"] = tool["jobtest"]
    if own.is_file():
        tables["jobtest.toml"] = read_toml(own)
    if len(tables) > 1:
        what = "there are settings in two files"
        raise UsageError([Problem(what=what, at=tuple(tables), fix="keep one of them")])
    for source, table in tables.items():
        return _Reader(source, rootdir).settings(table)
    return Settings()


def in_context(settings: Settings, name: str | None) -> Settings:
    """Return the settings as they are in a context: what it says goes over the rest, key by key.

    Args:
        settings: Of the project.
        name: Of the context; None: no context.

    Raises:
        UsageError: there is no such context.
    """
    flags = dict.fromkeys((flag for one in settings.contexts.values() for flag in one.flags), False)
    if name is None:
        return replace(settings, flags={**flags, **settings.flags})
    if name not in settings.contexts:
        table = "contexts" if settings.source == "jobtest.toml" else "tool.jobtest.contexts"
        fix = f"declare it: [{table}.{name}]"
        if settings.contexts:
            fix = did_you_mean(name, settings.contexts, what="there are")
        raise UsageError([Problem(what=f"--job-context {name!r} is no context of this project", fix=fix)])
    chosen = settings.contexts[name]
    return replace(
        settings,
        context=name,
        allow_faults=chosen.allow_faults,
        params={**settings.params, **chosen.params},
        resources={**settings.resources, **chosen.resources},
        flags={**flags, **settings.flags, **chosen.flags},
    )


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML 1.0 file, with or without a byte order mark.

    Raises:
        UsageError: it cannot be read or is not TOML; with line and column where the parser tells them.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        said = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        problem = Problem(what=f"{path.name} cannot be read: {said}", at=(str(path),), fix="correct the file")
        raise UsageError([problem]) from error


def parse_assignment(text: str, option: str) -> tuple[str, object]:
    """Return key and value of `KEY=VALUE`. The value is read as TOML; what is not TOML is text.

    Raises:
        UsageError: there is no `=`, or nothing before it.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        what = f"{option} {text!r} has no {'value' if key else 'key'}"
        raise UsageError([Problem(what=what, fix=f"write {option} KEY=VALUE")])
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, value
    return (key, parsed["value"]) if list(parsed) == ["value"] else (key, value)


class _Reader:
    def __init__(self, source: str, rootdir: Path) -> None:
        self._source, self._rootdir = source, rootdir
        self._problems: list[Problem] = []

    def settings(self, table: object) -> Settings:
        if not isinstance(table, dict):
            raise UsageError([Problem(what=f"{self._source} must be a table", fix="write key = value lines")])
        self._refuse_unknown("", table, KNOWN)
        settings = Settings(
            source=self._source,
            paths=self._paths(table.get("paths", ["."])),
            parallel=self._parallel(table.get("parallel", 1)),
            params=self._table("params", table.get("params", {})),
            resources=self._resources("resources", table.get("resources", {})),
            retry_limit=self._retry_limit(table.get("retry_limit")),
            state=self._text("state", table.get("state", "")),
            durability=self._one_of("durability", table.get("durability", "auto"), DURABILITIES),
            keep_runs=self._whole("keep_runs", table.get("keep_runs", 200), 1, "a whole number >= 1"),
            large_value=self._whole(
                "large_value", table.get("large_value", 1_000_000), 1000, "a whole number >= 1000"
            ),
            executor=self._executor(table.get("executor", "thread")),
            grace=self._seconds("grace", table.get("grace", 10.0)),
            retries=self._whole("retries", table.get("retries", 0), 0, "a whole number >= 0"),
            timeout=self._timeout(table.get("timeout")),
            flags=self._flags("flags", table.get("flags", {})),
            contexts=self._contexts(table.get("contexts", {})),
            commands=self._commands(table.get("commands", {})),
            secrets=self._secrets(table.get("secrets", [])),
            allow_faults=self._bool("allow_faults", table.get("allow_faults", False)),
        )
        if self._problems:
            raise UsageError(self._problems)
        return settings

    def _refuse_unknown(self, prefix: str, table: Mapping[str, object], known: Collection[str]) -> None:
        for key in table:
            if key not in known:
                fix = did_you_mean(key, known, what="keys are")
                what = f"unknown setting {f'{prefix}{key}'!r}"
                self._problems.append(Problem(what=what, at=(self._source,), fix=fix))

    def _wrong(self, key: str, value: object, rule: str) -> None:
        self._problems.append(Problem(what=f"setting {key} = {value!r} must be {rule}", at=(self._source,)))

    def _commands(self, value: object) -> Mapping[str, Verb]:
        verbs, problems = read_verbs(self._table("commands", value), self._source)
        self._problems += problems
        return verbs

    def _secrets(self, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(one, str) and one.strip("?") for one in value):
            return tuple(value)
        self._wrong("secrets", value, "a list of names: of parameters, or env:NAME")
        return ()

    def _paths(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            self._wrong("paths", value, "a list of folders")
            return (".",)
        for one in value:
            folder = Path(os.path.normpath(self._rootdir / one))
            if not folder.is_relative_to(self._rootdir) or not folder.is_dir():
                self._wrong("paths", one, f"a folder below {self._rootdir}")
        return tuple(value)

    def _parallel(self, value: object) -> int | None:
        if value == "auto":
            return None
        return self._whole("parallel", value, 1, 'a whole number >= 1, or "auto"')

    def _retry_limit(self, value: object) -> int | None:
        return None if value is None else self._whole("retry_limit", value, 0, "a whole number >= 0")

    def _whole(self, key: str, value: object, least: int, rule: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        self._wrong(key, value, rule)
        return least

    def _text(self, key: str, value: object) -> str:
        if isinstance(value, str):
            return value
        self._wrong(key, value, "text")
        return ""

    def _executor(self, value: object) -> str:
        if isinstance(value, str) and is_executor(value):
            return value
        return self._one_of("executor", value, (*EXECUTORS, *offered(OTHER_EXECUTORS)))

    def _one_of(self, key: str, value: object, known: tuple[str, ...]) -> str:
        if value in known:
            return str(value)
        self._wrong(key, value, " or ".join(repr(one) for one in known))
        return known[0]

    def _seconds(self, key: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return float(value)
        self._wrong(key, value, "a number of seconds >= 0")
        return 0.0

    def _timeout(self, value: object) -> float | None:
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
            return float(value)
        self._wrong("timeout", value, "a number of seconds > 0")
        return None

    def _bool(self, key: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        self._wrong(key, value, "true or false")
        return False

    def _contexts(self, value: object) -> dict[str, Context]:
        return {
            name: self._context(f"contexts.{name}", one)
            for name, one in self._named("contexts", value, "dev")
        }

    def _context(self, key: str, value: object) -> Context:
        table = self._table(key, value)
        self._refuse_unknown(f"{key}.", table, IN_CONTEXT)
        return Context(
            params=self._table(f"{key}.params", table.get("params", {})),
            resources=self._resources(f"{key}.resources", table.get("resources", {})),
            flags=self._flags(f"{key}.flags", table.get("flags", {})),
            allow_faults=self._bool(f"{key}.allow_faults", table.get("allow_faults", False)),
        )

    def _flags(self, key: str, value: object) -> dict[str, bool]:
        return {name: self._bool(f"{key}.{name}", on) for name, on in self._named(key, value, "beta")}

    def _named(self, key: str, value: object, example: str) -> list[tuple[str, object]]:
        """Return the entries of a table whose keys are names."""
        found = []
        for name, one in self._table(key, value).items():
            if re.fullmatch(NAME, name):
                found.append((name, one))
            else:
                what = f"setting {key}: {name!r} must be a name of letters, digits, _, - and ."
                fix = f"e.g. {example}"
                self._problems.append(Problem(what=what, at=(self._source,), fix=fix))
        return found

    def _table(self, key: str, value: object) -> dict[str, object]:
        if isinstance(value, dict):
            return value
        self._wrong(key, value, "a table")
        return {}

    def _resources(self, key: str, value: object) -> dict[str, int]:
        return {
            name: self._whole(f"{key}.{name}", amount, 0, "a whole number >= 0")
            for name, amount in self._table(key, value).items()
        }


def is_executor(given: str) -> bool:
    """Tell whether there is an executor of that name: an own one, or one of another package.

    Raises:
        UsageError: two packages offer it.
    """
    if given in ("thread", "process") or given.startswith("dask://"):
        return True
    return given.partition("://")[0] in offered(OTHER_EXECUTORS)
