"""Values to text, without recursion: the parts that wait are in a list, not on the stack."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cached_property, partial
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from jobtest.state.codec import tags
from jobtest.state.codec.digest import digest_of, dump, dump_sorted, sha
from jobtest.state.codec.home import Home

__all__ = ["Encoded", "NotStorable", "encode"]

DEEPEST = 200
"""Containers in containers: `json` recurses, and Python stops it at about 1000 frames. Ends cycles, too."""

MOST_ITEMS = 1_000_000
"""Items in all: a few lists that hold each other twice can stand for more than any disk."""

LARGEST_INT = 14_000
"""Bits: Python refuses to read whole numbers of more than 4300 digits."""

LONGEST_PATH = 200
"""Characters of the place that a message names."""

_PAIR = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")
"""Between two halves of one character that are two characters of a str: JSON would make one of them."""


class NotStorable(ValueError):
    """A value that cannot be stored; the message names the place and the type of the part in the way."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as text.

    Attributes:
        text: JSON, all ASCII, in which dicts have the order that they had.
        digest: SHA-256 as hex digits of the same with everything unordered in one order: equal values of
            equal types have equal digests, in whatever order their dicts and sets are.
    """

    text: str
    digest: str


def encode(value: object, home: Home) -> Encoded:
    """Return a value as text.

    Args:
        value: None, bool, int, float, str, list, dict, tuple, set, frozenset, bytes, Decimal, UUID, a path, a
            date, a time, a datetime, a timedelta; an enum or a dataclass that `home` knows; these in each
            other. Not their subclasses.
        home: Where classes are looked up.

    Raises:
        NotStorable: it is, or holds, anything else, or is too deep or too large, or holds itself.
    """
    if value is None:
        return _NONE
    if _is_plain(value):
        text = dump(value)
        return Encoded(text, sha(text))
    writer = _Writer(home)
    try:
        tree = writer.tree(value)
        text = dump(tree)
        return Encoded(text, digest_of(text) if writer.unordered else sha(dump_sorted(tree)))
    except RecursionError as error:
        raise NotStorable(f"$ is {_a(type(value))} nested too deep to be stored from here") from error


_NONE = Encoded("null", sha("null"))


class _Offence(Exception):
    """What is wrong with a part of a value; whoever knows where it is makes a `NotStorable` of it."""


_Place = tuple[Any, Callable[[Any], str], object] | None
"""The place of what holds it, how the step from there is written, and the step."""


def _place_text(place: _Place) -> str:
    steps = []
    while place is not None:
        place, written, step = place
        steps.append(written(step))
    path = "$" + "".join(reversed(steps))
    return path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}..."


def _named(step: str) -> str:
    return f".{step}" if step.isidentifier() else f"[{step[:LONGEST_PATH]!r}]"


def _numbered(step: int) -> str:
    return f"[{step}]"


def _one_of(_: int) -> str:
    return "{...}"


def _key_or_value(step: int) -> str:
    return f".{'values' if step % 2 else 'keys'}()[{step // 2}]"


def _a(cls: type) -> str:
    name = cls.__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _is_plain(value: object) -> bool:
    """Return whether JSON has it as it is."""
    cls = type(value)
    if cls is str:
        return value.isascii()  # type: ignore[attr-defined,no-any-return]  # it is a str
    if cls is int:
        return value.bit_length() <= LARGEST_INT  # type: ignore[attr-defined,no-any-return]  # it is an int
    if cls is float:
        return math.isfinite(value)  # type: ignore[arg-type]  # it is a float
    return value is None or cls is bool


class _Writer:
    """Makes JSON data of one value, container by container."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._todo: list[tuple[object, Any, Any, int, _Place]] = []
        self._left = MOST_ITEMS
        self._sets: list[list[Any]] = []
        self.unordered = False

    def tree(self, value: object) -> object:
        """Return the value as JSON data."""
        made: list[object] = [None]
        self._todo.append((value, made, 0, 0, None))
        while self._todo:
            this, into, key, depth, place = self._todo.pop()
            try:
                into[key] = self._one(this, depth, place)
            except _Offence as offence:
                raise NotStorable(f"{_place_text(place)} is {offence}") from None
        for items in reversed(self._sets):  # from the inside out: what holds another was opened before it
            items.sort(key=dump_sorted)
        return made[0]

    def _one(self, value: object, depth: int, place: _Place) -> object:
        cls = type(value)
        if type(cls) is type and cls in _SCALARS:  # what has a metaclass may have no hash
            return _SCALARS[cls](value)
        if issubclass(cls, Enum):
            return self._enum(value)  # type: ignore[arg-type]  # it is one
        if depth == DEEPEST:
            raise _Offence(f"{_a(cls)} nested more than {DEEPEST} deep")
        if cls is list:
            return self._items(value, depth, place)  # type: ignore[arg-type]  # it is a list
        if cls is dict:
            return self._dict(value, depth, place)  # type: ignore[arg-type]  # it is a dict
        if cls is tuple:
            return {tags.TUPLE: self._items(value, depth, place)}  # type: ignore[arg-type]  # it is a tuple
        if cls is set or cls is frozenset:
            return self._set(value, depth, place)  # type: ignore[arg-type]  # it is one of them
        if is_dataclass(cls):
            return self._dataclass(value, depth, place)
        raise _Offence(_a(cls))

    def _fill(
        self,
        made: Any,  # noqa: ANN401 - a list or a dict
        items: Iterable[tuple[object, object]],
        depth: int,
        place: _Place,
        written: Callable[[Any], str],
    ) -> None:
        """Leave to do what is not plain among the items that `made` holds already."""
        self._left -= len(made)
        if self._left < 0:
            raise _Offence(f"a part of a value of more than {MOST_ITEMS} items")
        for key, item in items:
            if not _is_plain(item):
                self._todo.append((item, made, key, depth + 1, (place, written, key)))

    def _items(
        self,
        value: Iterable[object],
        depth: int,
        place: _Place,
        written: Callable[[int], str] = _numbered,
    ) -> list[object]:
        made = list(value)
        self._fill(made, enumerate(made), depth, place, written)
        return made

    def _set(self, value: Iterable[object], depth: int, place: _Place) -> object:
        made = self._items(value, depth, place, _one_of)
        self._sets.append(made)
        self.unordered = True
        return {tags.SET if type(value) is set else tags.FROZENSET: made}

    def _dict(self, value: dict[object, object], depth: int, place: _Place) -> object:
        if _is_object(value):
            made = dict(value)
            self._fill(made, value.items(), depth, place, _named)
            return made
        self.unordered = True
        flat = [one for item in value.items() for one in item]
        return {tags.DICT: self._items(flat, depth, place, _key_or_value)}

    def _enum(self, value: Enum) -> object:
        cls = type(value)
        name = self._name(cls)
        if cls.__members__.get(value._name_ or "") is value:
            return {tags.ENUM: [name, value._name_]}
        if isinstance(value, Flag) and type(value._value_) is int:
            return {tags.ENUM: [name, value._value_]}
        raise _Offence(f"{_a(cls)} that is none of its members")

    def _dataclass(self, value: object, depth: int, place: _Place) -> object:
        name, stored = self._name(type(value)), _fields_of(value)
        made = {"class": name, **stored}  # no field can be called so: it is a keyword
        self._fill(made, stored.items(), depth, place, _named)
        return {tags.DATACLASS: made}

    def _name(self, cls: type) -> str:
        name = self._home.name(cls)
        if name is None:
            raise _Offence(
                f"{_a(cls)}, which the module of the job does not have by the name {cls.__qualname__}"
            )
        return name


def _is_object(value: dict[object, object]) -> bool:
    """Return whether a dict can be an object of JSON: its keys are text, and it does not look like a tag."""
    for key in value:
        if type(key) is not str or not (key.isascii() or _PAIR.search(key) is None):
            return False
    return len(value) != 1 or not next(iter(value)).startswith(tags.PREFIX)  # type: ignore[attr-defined]  # it is a str


def _fields_of(value: object) -> dict[str, object]:
    """Return the fields of a dataclass, if they are all there is to it."""
    cls = type(value)
    try:
        object.__new__(cls)
        stored = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]  # it is one
    except TypeError:
        raise _Offence(f"{_a(cls)}, which is more than a dataclass") from None
    except AttributeError as error:
        raise _Offence(f"{_a(cls)} without its field {error.name!r}") from None
    for name in getattr(value, "__dict__", ()):
        if name not in stored and not isinstance(getattr(cls, name, None), cached_property):
            raise _Offence(f"{_a(cls)} with an attribute {name!r} that is no field")
    return stored


def _refuse_int(_: int) -> object:
    raise _Offence(f"an int of more than {LARGEST_INT} bits")


def _write_str(value: str) -> object:
    pieces = _PAIR.split(value)
    return value if len(pieces) == 1 else {tags.STR: pieces}


def _write_path(tag: str, value: PurePath) -> object:
    return {tag: _write_str(str(value))}


def _write_moment(tag: str, value: datetime | time) -> object:
    zone = value.tzinfo
    made: dict[str, object] = {"at": value.replace(tzinfo=None).isoformat()}
    if type(zone) is ZoneInfo and type(zone.key) is str:
        made["zone"] = zone.key
    elif type(zone) is timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        made["offset"] = offset.total_seconds()
        if name != timezone(offset).tzname(None):
            made["name"] = _write_str(name)
    elif zone is not None:
        raise _Offence(f"{_a(type(value))} whose zone is {_a(type(zone))}")
    if value.fold:
        made["fold"] = 1
    return {tag: made}


_SCALARS: Mapping[type, Callable[[Any], object]] = {
    int: _refuse_int,
    float: lambda value: {tags.FLOAT: repr(value)},
    str: _write_str,
    bytes: lambda value: {tags.BYTES: b64encode(value).decode("ascii")},
    Decimal: lambda value: {tags.DECIMAL: str(value)},
    UUID: lambda value: {tags.UUID: str(value)},
    PurePosixPath: partial(_write_path, tags.POSIX),
    PureWindowsPath: partial(_write_path, tags.WINDOWS),
    type(Path()): partial(_write_path, tags.PATH),
    datetime: partial(_write_moment, tags.DATETIME),
    time: partial(_write_moment, tags.TIME),
    date: lambda value: {tags.DATE: value.isoformat()},
    timedelta: lambda value: {tags.DELTA: [value.days, value.seconds, value.microseconds]},
}
"""How a value without parts is written that is not plain: None and bool never come here."""
