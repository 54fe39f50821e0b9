"""Frozen dataclasses to JSON data and back: what a journal, a saved plan and a store hold.

To data and back is the identity. Fields that have their default are left out; fields of later versions are
passed over when they are read, and those that an earlier version did not have get their default.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["from_data", "to_data", "to_text"]

T = TypeVar("T")
_dump = JSONEncoder(separators=(",", ":")).encode
PLAIN = frozenset({str, int, float, bool, type(None)})
Reader = Callable[[Any], Any]
_FIELDS: dict[type, tuple[tuple[str, object], ...]] = {}
_READERS: dict[type, tuple[tuple[str, Reader | None], ...]] = {}


def to_data(value: object) -> dict[str, object]:
    """Return a dataclass as JSON data: enums as their values, tuples and frozen sets as lists.

    Args:
        value: A dataclass of jobtest whose fields are JSON, enums, or tuples, frozen sets, mappings from text
            and dataclasses of such.
    """
    out: dict[str, object] = {}
    for name, default in _FIELDS.get(type(value)) or _fields_of(type(value)):
        this = getattr(value, name)
        if this is not default and (default is MISSING or this != default):
            out[name] = this if type(this) in PLAIN else _to_json(this)
    return out


def to_text(value: object, head: str = "") -> str:
    """Return `to_data` of a dataclass as JSON text in ASCII; a third of the time of both steps.

    Args:
        value: As for `to_data`.
        head: JSON members that come first, ending with a comma if there are any.
    """
    parts = []
    for name, default in _FIELDS.get(type(value)) or _fields_of(type(value)):
        this = getattr(value, name)
        if this is default or (default is not MISSING and this == default):
            continue
        if type(this) is str:
            parts.append(f'"{name}":{quoted(this)}')
        elif type(this) is int:
            parts.append(f'"{name}":{this}')
        elif type(this) is float and isfinite(this):
            parts.append(f'"{name}":{this!r}')
        elif this is True:
            parts.append(f'"{name}":true')
        elif isinstance(this, Enum):
            parts.append(f'"{name}":"{this.value}"')
        else:
            parts.append(f'"{name}":{_dump(_to_json(this))}')
    return f"{{{head}{','.join(parts)}}}"


def from_data(cls: type[T], data: Mapping[str, object]) -> T:
    """Return what `to_data` made `data` from.

    Raises:
        ValueError: `data` is not of that kind.
    """
    known: dict[str, Any] = {}
    try:
        for name, read in _READERS.get(cls) or _readers_of(cls):
            if name in data:
                known[name] = data[name] if read is None else read(data[name])
        return cls(**known)
    except TypeError as error:
        raise ValueError(f"not a {cls.__name__}: {data!r}") from error


def _to_json(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_json(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {name: _to_json(one) for name, one in value.items()}
    return to_data(value) if is_dataclass(value) else value


def _fields_of(cls: type) -> tuple[tuple[str, object], ...]:
    """Return name and default of each field."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple((field.name, _default(field)) for field in fields(cls))
    return _FIELDS[cls]


def _default(field: Any) -> object:  # noqa: ANN401 - a field of any type
    made: object = field.default_factory() if field.default_factory is not MISSING else field.default
    return made


def _readers_of(cls: type) -> tuple[tuple[str, Reader | None], ...]:
    """Return name and reader of each field; no reader is needed where JSON has the field's type."""
    if cls not in _READERS:
        hints = get_type_hints(cls)
        _READERS[cls] = tuple((field.name, _reader(hints[field.name])) for field in fields(cls))
    return _READERS[cls]


def _reader(hint: Any) -> Reader | None:  # noqa: ANN401 - a type hint has no type of its own
    origin, arms = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _reader(next(arm for arm in arms if arm is not type(None)))
        return inner and (lambda value: None if value is None else inner(value))
    if origin is tuple:
        return _reader_of_many(tuple, _reader(arms[0]))
    if origin is frozenset:
        return _reader_of_many(frozenset, None)
    if origin is not None and issubclass(origin, Mapping):
        return _reader_of_mapping(_reader(arms[1]))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: from_data(hint, _expected(dict, value))
    return None


def _reader_of_many(make: Callable[[Iterable[Any]], object], one: Reader | None) -> Reader:
    def read(value: Any) -> object:  # noqa: ANN401 - JSON
        _expected(list, value)
        return make(value if one is None else map(one, value))

    return read


def _reader_of_mapping(one: Reader | None) -> Reader:
    def read(value: Any) -> object:  # noqa: ANN401 - JSON
        _expected(dict, value)
        return value if one is None else {name: one(this) for name, this in value.items()}

    return read


def _expected(kind: type, value: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} was expected: {value!r}")
    return value
