"""`${...}` in the texts of a job file: what it can mean, what is known now, and what waits for a job.

What lives here: `Scope` puts in what is known when the project is read; what is not is left in a `Template`.
A value that was put in is never read again: nothing in the environment or in a parameter is a reference. What
does not live here: which keys an entry has, and where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any, NamedTuple

from jobtest.config.places import KeyPath, Mistake, spelled
from jobtest.config.template import LEFT_OUT, Template, Waiting, Wrong, as_text, look_up, rebuilt
from jobtest.core.errors import did_you_mean

__all__ = ["BROKEN", "RENAME", "Scope", "Substituted"]

FOUND = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}\n]*)\}|\$\{")
INSIDE = re.compile(
    r"(?P<optional>\?)?"
    r"(?:env:(?P<variable>[^\s=]+)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)(?P<keys>(?:\.[A-Za-z0-9_-]+)*))"
)
DEEPEST = 100
"""Levels of tables and lists in one entry; more is a mistake, or meant to do harm."""
BROKEN = Template(())
"""Stands where something is wrong. It waits for nothing and fits everywhere, so one mistake is told once."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
RENAME = "give one of them another name"
SPELLINGS = (
    "write ${NAME}, ${NAME.key}, ${env:NAME}, each with ? after { if it may be missing; $${ for the text ${"
)


@dataclass(frozen=True, slots=True)
class Substituted:
    """Nested data with all put in that is known.

    Attributes:
        data: The same with values; a text that waits for something is a `Template`.
        mistakes: What is wrong with it.
        used: The names that were looked up.
    """

    data: object
    mistakes: tuple[Mistake, ...]
    used: frozenset[str]


class Scope:
    """What `${NAME}` means in one file.

    Nearest first: what waits in an entry, parameters that were set for this run, `[vars]`, parameters,
    builtins. A variable that is left out counts as not written.

    Attributes:
        mistakes: What is wrong in `[vars]`, with paths that begin with `vars`.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, object] = NOTHING,
        params: Mapping[str, object] = NOTHING,
        builtins: Mapping[str, object] = NOTHING,
        env: Mapping[str, str] = NOTHING,
        overriding: Collection[str] = (),
        jobs: Collection[str] = (),
    ) -> None:
        self._params, self._env, self._jobs = params, env, jobs
        self._written = {name: value for name, value in variables.items() if name not in overriding}
        self._order = {name: number for number, name in enumerate(self._written)}
        self._beneath: dict[str, object] = {**builtins, **params}
        self._known = dict(self._beneath)
        self._uses: dict[str, frozenset[str]] = {}
        self.mistakes: list[Mistake] = []
        self._read_variables()

    def substitute(self, data: object, waiting: Collection[str] = ()) -> Substituted:
        """Return nested data with every reference followed.

        Args:
            data: Tables, lists, and what stands in them.
            waiting: Names whose values are not known yet.
        """
        mistakes: list[Mistake] = []
        used: set[str] = set()

        def put_in(path: KeyPath, value: object) -> object:
            if isinstance(value, str):
                return self._read(value, path, waiting, used, mistakes) if "${" in value else value
            if isinstance(value, dict | list):
                mistakes.append(Mistake(path[:3], f"{spelled(path[:3])} has more than {DEEPEST} levels"))
                return BROKEN
            return value

        made = rebuilt(data, put_in, deepest=DEEPEST)
        return Substituted(made, tuple(mistakes), frozenset(used))

    def uses(self, names: Collection[str]) -> tuple[dict[str, object], frozenset[str]]:
        """Return the variables, as written, and the parameters that stand behind names, by whatever way."""
        if not names:
            return {}, frozenset()
        found = list(names)
        seen = set(found)
        for name in found:  # grows while it is gone through
            fresh = self._uses.get(name, frozenset()) - seen
            found.extend(fresh)
            seen |= fresh
        variables = sorted(seen & self._written.keys(), key=self._order.__getitem__)
        params = frozenset(name for name in seen if name in self._params and name not in self._uses)
        return {name: self._written[name] for name in variables}, params

    def _read_variables(self) -> None:
        uses = {name: _names(value) & self._written.keys() for name, value in self._written.items()}
        sorter = TopologicalSorter(uses)
        try:
            sorter.prepare()
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            what = f"vars use each other in a circle: {' -> '.join(cycle)}"
            self.mistakes.append(Mistake(("vars", cycle[0]), what, "write one of them without the others"))
        self._known.update(dict.fromkeys(self._written, BROKEN))  # until it is read
        while sorter.is_active() and (ready := sorter.get_ready()):  # as far as no circle is in the way
            for name in ready:
                self._read_variable(name)
            sorter.done(*ready)

    def _read_variable(self, name: str) -> None:
        result = self.substitute(self._written[name])
        self.mistakes.extend(one._replace(path=("vars", name, *one.path)) for one in result.mistakes)
        if result.data is not LEFT_OUT:
            self._known[name], self._uses[name] = result.data, result.used
        elif name in self._beneath:
            self._known[name] = self._beneath[name]
        else:
            del self._known[name]

    def _read(
        self, text: str, path: KeyPath, waiting: Collection[str], used: set[str], mistakes: list[Mistake]
    ) -> object:
        """Return what a text stands for."""
        pieces = list(_pieces(text))
        values: list[object] = []
        for piece in pieces:
            try:
                values.append(self._piece(piece, waiting, used, alone=len(pieces) == 1))
            except Wrong as wrong:
                mistakes.append(Mistake(path, wrong.what, wrong.fix))
        if len(values) < len(pieces):
            return BROKEN
        return values[0] if len(values) == 1 else _joined(values)

    def _piece(
        self, piece: str | _Spelled | Wrong, waiting: Collection[str], used: set[str], *, alone: bool
    ) -> object:
        """Return the value of a piece; in a longer text its text, unless it waits for something."""
        if isinstance(piece, Wrong):
            raise piece
        if isinstance(piece, str):
            return piece
        value = self._value(piece, waiting, used)
        return value if alone or isinstance(value, Template) else as_text(value, piece.text)

    def _value(self, asked: _Spelled, waiting: Collection[str], used: set[str]) -> object:
        if asked.variable:
            return self._environment(asked)
        name = asked.name
        if name in waiting or name in self._known:
            if asked.keys and name in self._jobs:
                raise Wrong(f"{asked.text} may mean the job {name!r} and {self._kind(name, waiting)}", RENAME)
            if name in waiting:
                return Template((Waiting(name, asked.keys, asked.optional, asked.text, is_job=False),))
            used.add(name)
            found = self._known[name]
            if found is BROKEN:
                return BROKEN
            return look_up(found, asked.keys, asked.text, repr(name), optional=asked.optional)
        if not asked.keys and not name.startswith("job_"):
            return self._unknown(asked, waiting)
        job = name.removeprefix("job_")
        return Template((Waiting(job, asked.keys, asked.optional, asked.text, is_job=True),))

    def _environment(self, asked: _Spelled) -> object:
        if asked.variable in self._env:
            return self._env[asked.variable]
        if asked.optional:
            return LEFT_OUT
        what = f"the environment variable {asked.variable!r} is not set"
        raise Wrong(what, f"set it, or write ${{?env:{asked.variable}}} if it may be missing")

    def _unknown(self, asked: _Spelled, waiting: Collection[str]) -> object:
        if asked.optional:
            return LEFT_OUT
        if asked.name in self._jobs:
            raise Wrong(f"{asked.text} is a job", f"write ${{job_{asked.name}}} for its value")
        raise Wrong(
            f"{asked.text} is not known", did_you_mean(asked.name, {*waiting, *self._known}, what="names are")
        )

    def _kind(self, name: str, waiting: Collection[str]) -> str:
        if name in waiting:
            return "a name under parametrize"
        if name in self._written:
            return "a name in [vars]"
        return "a parameter" if name in self._params else "a builtin"


class _Spelled(NamedTuple):
    """One `${...}`: `variable` of the environment, or `name` with `keys`."""

    text: str
    optional: bool
    variable: str
    name: str
    keys: tuple[str, ...]


def _pieces(text: str) -> Iterator[str | _Spelled | Wrong]:
    """Take a text apart. What is not spelled well comes as what is wrong with it."""
    end = 0
    for found in FOUND.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        end = found.end()
        yield _piece(found)
    if end < len(text):
        yield text[end:]


def _piece(found: re.Match[str]) -> str | _Spelled | Wrong:
    if found[0] == "$${":
        return "${"
    inside = found["inside"]
    if inside is None:
        return Wrong("there is a ${ without its }", "close it, or write $${ for the text ${")
    read = INSIDE.fullmatch(inside)
    if read is None:
        return Wrong(f"{found[0]} is not a reference", SPELLINGS)
    keys = tuple(read["keys"].split(".")[1:]) if read["keys"] else ()
    return _Spelled(found[0], bool(read["optional"]), read["variable"] or "", read["name"] or "", keys)


def _names(data: object) -> set[str]:
    """Return the names that nested data asks for."""
    found: set[str] = set()

    def look(_path: KeyPath, value: object) -> object:
        if isinstance(value, str) and "${" in value:
            found.update(piece.name for piece in _pieces(value) if isinstance(piece, _Spelled) and piece.name)
        return value

    rebuilt(data, look)
    return found


def _joined(values: Iterable[object]) -> object:
    """Return a text, or a template of one, from texts and templates."""
    parts: list[str | Waiting] = [""]
    for value in values:
        for part in value.parts if isinstance(value, Template) else (str(value),):
            last = parts[-1]
            if isinstance(part, str) and isinstance(last, str):
                parts[-1] = last + part
            else:
                parts.append(part)
    return "".join(map(str, parts)) if len(parts) == 1 else Template(tuple(parts))
