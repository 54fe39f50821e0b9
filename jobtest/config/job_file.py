"""Job files, `job_*.toml` and `job_*.conf`: their entries as plain data, and all that is wrong with them.

What lives here: which keys an entry has, of what kind they are, and what is put in. What does not live here:
what a task type takes (`arguments`), and what the keywords of the mark mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from jobtest.config import hocon, loaders
from jobtest.config.job_tables import Part, Tables, Told
from jobtest.config.places import KeyPath, Mistake, Origin, shown, spelled
from jobtest.config.substitution import RENAME, Scope
from jobtest.config.template import references, templates
from jobtest.config.toml_files import read_sources
from jobtest.core.errors import Problem, did_you_mean, nearest

__all__ = ["Entry", "read_job_file"]

T = TypeVar("T")
OWN_KEYS = frozenset({"name", "task", "args", "parametrize", "description"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
NAME_RULE = "use letters, digits, _ and -, beginning with a letter or _"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One `[[job]]`, or one element of `tasks`.

    Attributes:
        name: Of the job: letters, digits, `_` and `-`.
        task: The task type.
        args: Its arguments; a text that waits for something is a `Template`.
        options: Keywords of the mark, as written, with all put in.
        parametrize: Name to values.
        description: What it is for.
        place: Where it stands, `ops/job_x.toml:12:1`.
        raw: `entry`, as it is written, and the `vars` behind it, as they are written: what its definition is.
        params: Parameters of the project that it uses, directly or through `vars`.
        origin: The files in which its keys stand.
    """

    name: str
    task: str
    args: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    parametrize: Mapping[str, Sequence[object]] = field(default_factory=dict)
    description: str = ""
    place: str
    raw: Mapping[str, object] = field(repr=False)
    params: frozenset[str] = frozenset()
    origin: Origin = field(repr=False, compare=False)

    def at(self, *path: str | int) -> str:
        """Return the place of a key, `at("args", "source")`: `ops/job_x.toml:14:10`.

        What is not written there has the place of what is around it. The first question about a file costs a
        walk over its text; nobody else pays.
        """
        return self.origin.at(*path)


def read_job_file(
    path: Path,
    *,
    root: Path,
    keywords: Collection[str],
    params: Mapping[str, object],
    builtins: Mapping[str, object],
    env: Mapping[str, str],
    overriding: Collection[str] = (),
) -> tuple[tuple[Entry, ...], list[Problem]]:
    """Return the entries of a job file in order, and all that is wrong, in the order of the file.

    Args:
        path: A `.toml` or `.conf` file, or one of which an installed package knows the suffix.
        root: The rootdir; places are relative to it.
        keywords: What an entry may have besides its own keys: the keywords of the mark.
        params: Parameters of the project.
        builtins: Names that there always are, `CWD` and so on.
        env: The environment.
        overriding: Parameters that were set for this run: they win over `[vars]`.

    Raises:
        UsageError: it is a `.conf` file, and the extra `hocon` is not installed.
    """
    if path.suffix == ".conf":
        names = {**builtins, **params}
        sources, unread = hocon.read_source(path, root, names=names, env=env, overriding=overriding)
    elif path.suffix == ".toml":
        sources, unread = read_sources(path, root)
    else:
        sources, unread = loaders.read_source(path, root, names={**builtins, **params}, env=env)
    if not sources:
        return (), unread
    told = Told()
    tables = Tables(sources, told)
    scope = Scope(
        variables=tables.variables(),
        params=params,
        builtins=builtins,
        env=env,
        overriding=overriding,
        jobs={part.name for part in tables.parts},
    )
    for mistake in scope.mistakes:
        told.mistake(tables.origin, mistake, head=f"{spelled(mistake.path)}: ")
    known = frozenset({*OWN_KEYS, *keywords})
    entries = [_Reader(part, scope, known, told).entry() for part in tables.parts]
    if "include" in tables.top and not entries and not unread:
        what = f"{sources[-1].name} has no jobs, nor has what it includes"
        told.mistake(tables.origin, Mistake(("include",), what, "write [[job]], or correct the include"))
    return tuple(entry for entry in entries if entry is not None), [*unread, *told.problems()]


class _Reader:
    """Reads one job. What is wrong is told, and left out of what is made: one mistake is told once."""

    def __init__(self, part: Part, scope: Scope, known: frozenset[str], told: Told) -> None:
        self._part, self._scope, self._told = part, scope, told
        self._known = known - {"task"} if part.in_pipeline else known
        self._used: set[str] = set()

    def entry(self) -> Entry | None:
        """Return the job, or None if it has no usable name or no task type."""
        part, table = self._part, self._part.table
        unknown = [key for key in table if key not in self._known]
        for key in unknown:
            self._unknown(key)
        meant = {nearest(key, OWN_KEYS) for key in unknown}
        named, task = self._named(meant), self._task(meant)
        parametrize = self._parametrize()
        args = self._args(parametrize)
        options = self._options()
        description = self._of_kind("description", str, "", "must be text")
        if not named or not task:
            return None
        variables, params = self._scope.uses(self._used)
        return Entry(
            name=part.name,
            task=task,
            args=args,
            options=options,
            parametrize=parametrize,
            description=description,
            place=part.origin.at(),
            raw={"entry": table, "vars": variables},
            params=params,
            origin=part.origin,
        )

    def _wrong(self, path: KeyPath, what: str, fix: str = "") -> None:
        head = f"job {self._part.name!r}: " if self._part.name else ""
        self._told.mistake(self._part.origin, Mistake(path, what, fix), head=head)

    def _unknown(self, key: str) -> None:
        if key == "task":
            fix = "in tasks, name is the task type"
        else:
            fix = did_you_mean(key, self._known, what="keys are")
        self._wrong((key,), f"unknown key {key!r}", fix)

    def _named(self, meant: Collection[str | None]) -> bool:
        value = self._part.table.get("name")
        if value is None:
            if "name" not in meant:
                what = "a task has no name" if self._part.in_pipeline else "a job has no name"
                self._wrong((), what, 'write name = "..."')
            return False
        if isinstance(value, str) and NAME.fullmatch(value):
            return True
        self._told.mistake(
            self._part.origin, Mistake(("name",), f"name = {shown(value)} is not usable", NAME_RULE)
        )
        return False

    def _task(self, meant: Collection[str | None]) -> str:
        value = self._part.table.get("name" if self._part.in_pipeline else "task")
        if isinstance(value, str) and value:
            return value
        if self._part.in_pipeline:
            return ""  # it has no name, which is told
        if value is not None:
            self._wrong(("task",), f"task = {shown(value)} must be the name of a task type")
        elif "task" not in meant:
            what = "it has no task" if self._part.name else "a job has no task"
            self._wrong((), what, 'write task = "..."')
        return ""

    def _of_kind(self, key: str, kind: type[T], default: T, rule: str, fix: str = "") -> T:
        value = self._part.table.get(key, default)
        if isinstance(value, kind):
            return value
        self._wrong((key,), f"{key} = {shown(value)} {rule}", fix)
        return default

    def _substituted(
        self, data: Mapping[str, object], below: KeyPath, waiting: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return a table with all put in; `below` is its path."""
        result = self._scope.substitute(data, waiting)
        self._used |= result.used
        for path, what, fix in result.mistakes:
            self._wrong((*below, *path), f"{spelled((*below, *path))}: {what}", fix)
        return cast("dict[str, Any]", result.data)

    def _known_now(self, data: Mapping[str, object], below: KeyPath) -> dict[str, Any]:
        """Return a table with all put in, without the keys that wait for something, which they must not."""
        made = self._substituted(data, below)
        for path, template in templates(made):
            if template.parts:
                what = f"{spelled((*below, *path))}: {template} is not known before the run"
                self._wrong((*below, *path), what, "the value of a job can stand in args only")
        waits = {path[0] for path, _ in templates(made)}
        return {key: value for key, value in made.items() if key not in waits}

    def _parametrize(self) -> dict[str, Sequence[object]]:
        written = self._of_kind(
            "parametrize", dict, {}, "must be a table", "write parametrize = { NAME = [...] }"
        )
        found: dict[str, Sequence[object]] = {}
        for name, values in self._known_now(written, ("parametrize",)).items():
            path = ("parametrize", name)
            if not name.isidentifier():
                self._wrong(path, f"parametrize: {name!r} is not usable", "use letters, digits and _")
            elif not isinstance(values, list) or not values:
                self._wrong(path, f"{spelled(path)} = {shown(values)} must be a list of values")
            else:
                found[name] = values
        return found

    def _args(self, waiting: Collection[str]) -> dict[str, object]:
        written = self._of_kind("args", dict, {}, "must be a table", "write args = { NAME = VALUE }")
        args = self._substituted(written, ("args",), waiting)
        for path, reference in references(args) if waiting else ():
            if reference.is_job and reference.name in waiting:
                what = f"{reference.spelled} may mean the job {reference.name!r} and a name under parametrize"
                self._wrong(("args", *path), f"{spelled(('args', *path))}: {what}", RENAME)
        return args

    def _options(self) -> dict[str, object]:
        written = {key: value for key, value in self._part.table.items() if key in self._known - OWN_KEYS}
        options = self._known_now(written, ())
        for key in ("needs", "after"):
            if isinstance(options.get(key), dict):  # one name under conditions, without the list
                options[key] = [options[key]]
        if self._part.follows:
            options["needs"] = [self._part.follows, *self._needs(options.get("needs", []))]
        return options

    def _needs(self, value: object) -> list[object]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, list):
            return value
        self._wrong(
            ("needs",), f"needs = {shown(value)} must be a list of names", "write needs = [...] in tasks"
        )
        return []
