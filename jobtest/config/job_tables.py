"""The tables of a job file and of all that it includes: merged, and cut into one part for each job.

Promised: tables are merged key by key, and a later file wins; `[[job]]` tables of several files with one name
are one; everything else is replaced. Two jobs never have one name. What stands in a part is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from jobtest.config.places import Mistake, Origin, Source, shown
from jobtest.core.errors import Problem, did_you_mean

__all__ = ["Part", "Tables", "Told"]

TOP_KEYS = ("vars", "job", "tasks", "include")
NO_TABLE: Mapping[str, object] = {}


class Told:
    """What is wrong, to be told in the order of the file."""

    def __init__(self) -> None:
        self._problems: list[tuple[tuple[int, int, int], Problem]] = []

    def mistake(
        self, origin: Origin, mistake: Mistake, *, head: str = "", also: tuple[str, ...] = ()
    ) -> None:
        """Keep a mistake.

        Args:
            origin: The table in which it is.
            mistake: With the path below that table.
            head: How the sentence begins.
            also: The other side of a conflict.
        """
        path, what, fix = mistake
        places = (origin.at(*path), *also)
        self._problems.append((origin.order(*path), Problem(what=head + what, at=places, fix=fix)))

    def problems(self) -> list[Problem]:
        """Return all that was kept, by file, line and column."""
        return [problem for _, problem in sorted(self._problems, key=itemgetter(0))]


@dataclass(slots=True)
class Part:
    """A job before it is read.

    Attributes:
        table: As it is written.
        origin: Where that is.
        name: Of the job; empty where there is none.
        in_pipeline: It is an element of `tasks`: its key `name` is the task type.
        follows: In a pipeline, the job before it.
    """

    table: Mapping[str, object]
    origin: Origin
    name: str
    in_pipeline: bool = False
    follows: str = ""


class Tables:
    """What the files make together.

    Attributes:
        top: The merged keys of the top.
        origin: Where those stand.
        parts: One for each job, in order: included ones first, `[[job]]` before `tasks`.
    """

    def __init__(self, sources: Sequence[Source], told: Told) -> None:
        self._sources, self._told = sources, told
        self.origin = Origin(tuple((number, source, ()) for number, source in enumerate(sources)))
        self.top: dict[str, object] = {}
        for source in sources:
            merge(self.top, source.data)
        for key in self.top:
            if key not in TOP_KEYS:
                fix = did_you_mean(key, TOP_KEYS, what="put it into vars if texts refer to it; keys are")
                self._wrong(key, f"unknown key {key!r}", fix)
        self.parts = self._told_apart([*self._jobs(), *self._pipeline()])

    def variables(self) -> Mapping[str, object]:
        """Return `[vars]`."""
        value = self.top.get("vars", NO_TABLE)
        if isinstance(value, dict):
            return value
        self._wrong(
            "vars", f"vars = {shown(value)} must be a table", "write [vars] and NAME = VALUE below it"
        )
        return NO_TABLE

    def _wrong(self, key: str, what: str, fix: str) -> None:
        self._told.mistake(self.origin, Mistake((key,), what, fix))

    def _jobs(self) -> list[Part]:
        parts: list[Part] = []
        earlier: dict[str, Part] = {}
        for number, source in enumerate(self._sources):
            here: dict[str, Part] = {}
            for index, table in self._elements(number, source, "job", "write [[job]] above each job"):
                stand = (number, source, ("job", index))
                name = table.get("name")
                part = earlier.get(name) if isinstance(name, str) else None
                if part is None:
                    part = Part(table, Origin((stand,)), name if isinstance(name, str) else "")
                    parts.append(part)
                    here.setdefault(part.name, part)
                else:
                    table_so_far = dict(part.table)
                    merge(table_so_far, table)
                    part.table, part.origin = table_so_far, Origin((*part.origin.stands, stand))
            earlier.update(here)
        return parts

    def _pipeline(self) -> list[Part]:
        last = [(number, source) for number, source in enumerate(self._sources) if "tasks" in source.data][
            -1:
        ]
        seen: Counter[str] = Counter()
        parts: list[Part] = []
        for number, source in last:
            for index, table in self._elements(number, source, "tasks", "write tasks = [{name = TYPE}, ...]"):
                task = table.get("name")
                name = task if isinstance(task, str) else ""
                seen[name] += 1
                if name and seen[name] > 1:
                    name = f"{name}_{seen[name]}"
                follows = parts[-1].name if parts else ""
                origin = Origin(((number, source, ("tasks", index)),))
                parts.append(Part(table, origin, name, in_pipeline=True, follows=follows))
        return parts

    def _elements(
        self, number: int, source: Source, key: str, fix: str
    ) -> Iterator[tuple[int, Mapping[str, object]]]:
        value = source.data.get(key, [])
        origin = Origin(((number, source, ()),))
        if not isinstance(value, list):
            self._told.mistake(
                origin, Mistake((key,), f"{key} = {shown(value)} must be a list of tables", fix)
            )
            return
        for index, table in enumerate(value):
            if isinstance(table, dict):
                yield index, table
            else:
                self._told.mistake(
                    origin, Mistake((key, index), f"{key}: {shown(table)} must be a table", fix)
                )

    def _told_apart(self, parts: Sequence[Part]) -> list[Part]:
        first: dict[str, Part] = {}
        kept: list[Part] = []
        for part in parts:
            other = first.setdefault(part.name, part)
            if part.name and other is not part:
                mistake = Mistake(("name",), f"two jobs have the name {part.name!r}", "rename one of them")
                self._told.mistake(part.origin, mistake, also=(other.origin.at("name"),))
            else:
                kept.append(part)
        return kept


def merge(into: dict[str, object], later: Mapping[str, object]) -> None:
    """Put tables over others, key by key; tables that are in both are made anew, not changed."""
    todo = [(into, later)]
    for target, source in todo:  # grows while it is gone through: nothing recurses
        for key, value in source.items():
            below = target.get(key)
            if isinstance(below, dict) and isinstance(value, dict):
                copy = dict(below)
                target[key] = copy
                todo.append((copy, value))
            else:
                target[key] = value
