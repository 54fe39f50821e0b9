"""What waits for a job: texts with `${job.key}` in them, completed when the job has ended.

What lives here: `Template`, and how values are found and put in. A value that was put in is never read again:
nothing in the value of a job is a reference. What does not live here: reading `${...}` (`substitution`).
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from jobtest.config.places import KeyPath, shown, spelled
from jobtest.core.errors import Problem, ProjectError, did_you_mean

__all__ = [
    "LEFT_OUT",
    "Template",
    "Waiting",
    "Wrong",
    "as_text",
    "fill",
    "look_up",
    "rebuilt",
    "references",
    "templates",
]

SCALARS = (str, int, float, Decimal, date, time, timedelta, PurePath, UUID)


class _LeftOut(Enum):
    """Stands for an optional reference that found nothing, where it is all of a text."""

    LEFT_OUT = "left out"


LEFT_OUT = _LeftOut.LEFT_OUT


class Wrong(Exception):
    """A reference that leads nowhere; told as a mistake or as a problem, where somebody knows the place."""

    def __init__(self, what: str, fix: str = "") -> None:
        self.what, self.fix = what, fix
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reference to what is not known before the run.

    Attributes:
        name: A job, without the prefix `job_`; or one of the names under `parametrize`.
        keys: Where to look in its value.
        optional: It may be missing.
        spelled: As it is written, `${backup.path}`.
        is_job: It is the value of a job.
    """

    name: str
    keys: tuple[str, ...]
    optional: bool
    spelled: str
    is_job: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A text that waits for something. One part: the value itself, of whatever type; more: their text.

    Attributes:
        parts: Texts, and what it waits for.
    """

    parts: tuple[str | Waiting, ...]

    @property
    def jobs(self) -> tuple[Waiting, ...]:
        """The references to values of jobs, in order."""
        return tuple(part for part in self.parts if isinstance(part, Waiting) and part.is_job)

    @property
    def names(self) -> frozenset[str]:
        """The names under `parametrize` that it waits for."""
        return frozenset(part.name for part in self.parts if isinstance(part, Waiting) and not part.is_job)

    def fill(self, values: Mapping[str, object]) -> object:
        """Return the value with everything put in; `LEFT_OUT` for a lone optional one that is missing.

        Args:
            values: Names under `parametrize`, and jobs, with their value.

        Raises:
            ProjectError: something that is not optional is missing, or has no text where one is needed.
        """
        try:
            if len(self.parts) == 1 and isinstance(self.parts[0], Waiting):
                return _arrived(self.parts[0], values)
            return "".join(self._texts(values))
        except Wrong as wrong:
            raise ProjectError([Problem(what=wrong.what, fix=wrong.fix)]) from None

    def _texts(self, values: Mapping[str, object]) -> Iterator[str]:
        for part in self.parts:
            yield part if isinstance(part, str) else as_text(_arrived(part, values), part.spelled)

    def __str__(self) -> str:
        return "".join(
            part.replace("${", "$${") if isinstance(part, str) else part.spelled for part in self.parts
        )

    def __repr__(self) -> str:
        return repr(str(self))


def templates(data: object) -> list[tuple[KeyPath, Template]]:
    """Return all templates in nested data, each with its path."""
    found: list[tuple[KeyPath, Template]] = []

    def look(path: KeyPath, value: object) -> object:
        if isinstance(value, Template):
            found.append((path, value))
        return value

    rebuilt(data, look)
    return found


def references(data: object) -> list[tuple[KeyPath, Waiting]]:
    """Return all that nested data waits for, each with the path of the text in which it stands."""
    return [
        (path, part)
        for path, template in templates(data)
        for part in template.parts
        if isinstance(part, Waiting)
    ]


def fill(data: object, values: Mapping[str, object]) -> object:
    """Return nested data with every template filled. Its tables and lists are new ones at each call.

    Args:
        data: Arguments of an entry.
        values: As for `Template.fill`.

    Raises:
        ProjectError: as for `Template.fill`; all at once, with the argument.
    """
    problems: list[Problem] = []

    def put_in(path: KeyPath, value: object) -> object:
        if not isinstance(value, Template):
            return value
        try:
            return value.fill(values)
        except ProjectError as error:
            problems.extend(
                Problem(what=f"args.{spelled(path)}: {one.what}", fix=one.fix) for one in error.problems
            )
            return LEFT_OUT

    result = rebuilt(data, put_in)
    if problems:
        raise ProjectError(problems)
    return result


def rebuilt(data: object, leaf: Callable[[KeyPath, object], object], *, deepest: int = sys.maxsize) -> object:
    """Return nested data made anew, with `leaf` of all that is neither table nor list.

    Args:
        data: Tables and lists in each other.
        leaf: Gets the path and what stands there; if it returns `LEFT_OUT`, the key or element is left out.
        deepest: Levels; a table or list below them is given to `leaf` as it is.
    """
    if not isinstance(data, dict | list):
        return leaf((), data)
    top = _empty_like(data)
    todo: deque[tuple[KeyPath, _Nested, _Nested]] = deque([((), data, top)])
    while todo:  # nothing recurses over what users write
        path, source, target = todo.popleft()
        for key, value in source.items() if isinstance(source, dict) else enumerate(source):
            here = (*path, key)
            made: object
            if isinstance(value, dict | list) and len(here) <= deepest:
                made = _empty_like(value)
                todo.append((here, value, made))
            else:
                made = leaf(here, value)
            if made is LEFT_OUT:
                continue
            if isinstance(target, list):
                target.append(made)
            else:
                target[key] = made
    return top


_Nested = dict[Any, object] | list[object]


def _empty_like(data: _Nested) -> _Nested:
    return {} if isinstance(data, dict) else []


def _arrived(part: Waiting, values: Mapping[str, object]) -> object:
    """Return what a template has waited for."""
    owner = f"the value of job {part.name!r}" if part.is_job else repr(part.name)
    if part.name not in values:
        if part.optional:
            return LEFT_OUT
        raise Wrong(f"{part.spelled}: {owner} is not there")
    return look_up(values[part.name], part.keys, part.spelled, owner, optional=part.optional)


def look_up(value: object, keys: Sequence[str], text: str, owner: str, *, optional: bool) -> object:
    """Follow keys into a value: of mappings, fields of dataclasses, numbers of elements.

    Args:
        value: Of a name or of a job.
        keys: None of them: the value itself.
        text: The reference, for messages.
        owner: Whose value it is, for messages, with the name in quotes at its end.
        optional: Return `LEFT_OUT` for what is missing.

    Raises:
        Wrong: a key is missing.
    """
    for key in keys:
        if isinstance(value, Template):
            raise Wrong(f"{text}: {owner} waits for a job", "write ${job.key} itself, with all its keys")
        try:
            value = _step(value, key, text, owner)
        except Wrong:
            if optional:
                return LEFT_OUT
            raise
        owner = f"{owner[:-1]}.{key}'"
    return value


def _step(value: object, key: str, text: str, owner: str) -> object:
    fix = f"it is {shown(value)}"
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        fix = did_you_mean(key, [str(one) for one in value], what="it has") or "it is empty"
    elif is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        if key in names:
            return getattr(value, key)
        fix = did_you_mean(key, names, what="it has")
    elif isinstance(value, list | tuple):
        if key.isdecimal() and len(key) < 10 and int(key) < len(value):
            return value[int(key)]
        fix = f"it has {len(value)} elements, counted from 0"
    raise Wrong(f"{text}: {owner} has no {key!r}", fix)


def as_text(value: object, text: str) -> str:
    """Return what a value is in a longer text; `text` is the reference that led to it."""
    if value is LEFT_OUT:
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SCALARS):
        return str(value)
    raise Wrong(f"{text} is {shown(value)}, which cannot stand in a longer text", "let it stand alone")
