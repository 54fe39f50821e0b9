"""Text to values. Tags say what is made; classes are those of a `Home`, and their code is not called."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from jobtest.state.codec import tags
from jobtest.state.codec.digest import loads
from jobtest.state.codec.home import Home

__all__ = ["Changed", "decode"]


class Changed(ValueError):
    """A stored value of a class that is not what it was when the value was stored."""


def decode(text: str, home: Home) -> object:
    """Return the value that `encode` made `text` from.

    Raises:
        Changed: the class of a part of it is gone or is not what it was.
        ValueError: it is no such text, or one of a later version.
    """
    try:
        return loads(text, partial(_restore, home))
    except ValueError:
        raise
    except (TypeError, LookupError, ArithmeticError, OSError, RecursionError) as error:
        raise ValueError(f"not a value of jobtest: {error}") from error


def _restore(home: Home, data: dict[str, Any]) -> object:
    """Return what an object of JSON stands for; `json` calls it from the inside out."""
    if len(data) != 1:
        return data
    ((tag, content),) = data.items()
    if not tag.startswith(tags.PREFIX):
        return data
    if tag not in _READERS:
        raise ValueError(f"not a value of this version of jobtest: unknown tag {tag!r}")
    return _READERS[tag](content, home)


def _expect(content: Any, cls: type) -> Any:  # noqa: ANN401 - whatever JSON holds
    if type(content) is not cls:
        raise TypeError(f"{cls.__name__} is expected, not {type(content).__name__}")
    return content


def _read_text(make: Callable[[str], object]) -> Callable[[Any, Home], object]:
    return lambda content, _: make(_expect(content, str))


def _read_list(make: Callable[[list[Any]], object]) -> Callable[[Any, Home], object]:
    return lambda content, _: make(_expect(content, list))


def _read_dict(content: list[Any]) -> object:
    return dict(zip(content[::2], content[1::2], strict=True))


def _read_moment(cls: Any, content: Any, _: Home) -> object:  # noqa: ANN401 - datetime or time, and JSON
    made = cls.fromisoformat(_expect(content, dict)["at"])
    if "zone" in content:
        made = made.replace(tzinfo=ZoneInfo(content["zone"]))
    elif "offset" in content:
        offset = timedelta(seconds=content["offset"])
        made = made.replace(
            tzinfo=timezone(offset, content["name"]) if "name" in content else timezone(offset)
        )
    return made.replace(fold=content.get("fold", 0))


def _read_enum(content: Any, home: Home) -> object:  # noqa: ANN401 - whatever JSON holds
    name, member = _expect(content, list)
    cls = home.type(_expect(name, str))
    if cls is None or not issubclass(cls, Enum):
        raise Changed(f"{name} was an enum when this value was stored, and is none now")
    if type(member) is int and issubclass(cls, Flag):
        return cls(member)
    if member not in cls.__members__:
        raise Changed(f"{name} had a member {member!r} when this value was stored, and has none now")
    return cls.__members__[member]


def _read_dataclass(content: Any, home: Home) -> object:  # noqa: ANN401 - whatever JSON holds
    name = _expect(_expect(content, dict).pop("class"), str)
    cls = home.type(name)
    if cls is None or not is_dataclass(cls):
        raise Changed(f"{name} was a dataclass when this value was stored, and is none now")
    now = {field.name for field in fields(cls)}
    if now != content.keys():
        had, has = (", ".join(sorted(names)) or "none" for names in (content, now))
        raise Changed(f"{name} had the fields {had} when this value was stored, and has {has} now")
    made: object = object.__new__(cls)
    for field, item in content.items():
        object.__setattr__(made, field, item)  # as a frozen one allows; its own code is not called
    return made


_READERS: Mapping[str, Callable[[Any, Home], object]] = {
    tags.FLOAT: _read_text(float),
    tags.STR: _read_list("".join),
    tags.BYTES: _read_text(partial(b64decode, validate=True)),
    tags.DECIMAL: _read_text(Decimal),
    tags.UUID: _read_text(UUID),
    tags.PATH: _read_text(Path),
    tags.POSIX: _read_text(PurePosixPath),
    tags.WINDOWS: _read_text(PureWindowsPath),
    tags.DATETIME: partial(_read_moment, datetime),
    tags.TIME: partial(_read_moment, time),
    tags.DATE: _read_text(date.fromisoformat),
    tags.DELTA: _read_list(lambda content: timedelta(*content)),
    tags.TUPLE: _read_list(tuple),
    tags.SET: _read_list(set),
    tags.FROZENSET: _read_list(frozenset),
    tags.DICT: _read_list(_read_dict),
    tags.ENUM: _read_enum,
    tags.DATACLASS: _read_dataclass,
}
