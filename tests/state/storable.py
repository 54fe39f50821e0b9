"""What values can be stored: strategies, classes to be found by name, and a way to compare to the letter."""

import sys
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from jobtest.state.codec import ModuleHome


class Colour(Enum):
    RED = "r"
    GREEN = "g"
    ALSO_RED = "r"  # noqa: PIE796 - on purpose


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Right(Flag):
    READ = 1
    WRITE = 2
    ALL = 3


@dataclass
class Point:
    x: object
    y: object = 0

    class Unit(Enum):
        CM = 1

    @cached_property
    def both(self):
        return (self.x, self.y)


@dataclass(frozen=True, slots=True)
class Frozen:
    name: object
    made: list = field(default_factory=list, init=False, compare=False)

    def __post_init__(self):
        raise AssertionError("a restored value is not made anew")


@dataclass(frozen=True)
class Key:
    of: object


@dataclass
class Empty:
    pass


@dataclass(eq=False)
class Thing:
    of: object


Alias = Point

HOME = ModuleHome(sys.modules[__name__])


def frozen(name, made):
    value = object.__new__(Frozen)
    object.__setattr__(value, "name", name)
    object.__setattr__(value, "made", made)
    return value


def shape(value, *, ordered=True):
    """Return what a value is to the letter: types, signs, folds, zones, and the order of dicts."""
    cls = type(value)
    if cls is float:
        return cls, repr(value)
    if cls in (list, tuple):
        return cls, *(shape(one, ordered=ordered) for one in value)
    if cls in (set, frozenset):
        return cls, *sorted((shape(one, ordered=ordered) for one in value), key=repr)
    if cls is dict:
        pairs = [(shape(key, ordered=ordered), shape(one, ordered=ordered)) for key, one in value.items()]
        return cls, *(pairs if ordered else sorted(pairs, key=repr))
    if is_dataclass(cls):
        return cls, *(shape(getattr(value, one.name), ordered=ordered) for one in fields(value))
    if cls in (datetime, time):
        zone = value.tzinfo
        return cls, value.replace(tzinfo=None).isoformat(), value.fold, repr(zone)
    return cls, str(value) if isinstance(value, PurePath) else repr(value)


_TEXT = st.one_of(
    st.text(max_size=6),
    st.text(st.characters(), max_size=6),
    st.text(st.sampled_from("\ud800\udbff\udc00\udfffa\x00é\U0001f600"), max_size=6),
    st.sampled_from(["jobtest:path/1", "jobtest:dict/1", "jobtest:", "class", ""]),
)
_OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
_ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(timezone, _OFFSETS),
    st.builds(timezone, _OFFSETS, _TEXT),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(ZoneInfo),
)
_MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001 - zones are drawn beside
_PARTS = st.lists(st.text(st.characters(exclude_characters="\x00"), max_size=4), max_size=3)
_HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 13_999).map(lambda bits: -1 << bits),
    st.floats(),
    _TEXT,
    st.binary(max_size=6),
    st.decimals(),
    st.decimals().map(str).map(Decimal),
    st.uuids(),
    st.builds(lambda at, zone, fold: at.replace(tzinfo=zone, fold=fold), _MOMENTS, _ZONES, st.integers(0, 1)),
    st.builds(
        lambda at, zone, fold: at.time().replace(tzinfo=zone, fold=fold), _MOMENTS, _ZONES, st.integers(0, 1)
    ),
    st.dates(),
    st.timedeltas(),
    _PARTS.map(lambda parts: Path(*parts)),
    _PARTS.map(lambda parts: PurePosixPath(*parts)),
    st.lists(st.sampled_from(["C:", "a", "..", "\\\\srv\\share", "/"]), max_size=3).map(
        lambda parts: PureWindowsPath(*parts)
    ),
    st.sampled_from([*Colour, *Level, *Right, Right(0), Point.Unit.CM]),
)
_KEYS = st.recursive(
    _HASHABLE.filter(lambda one: not (isinstance(one, Decimal) and one.is_snan())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3), st.builds(Key, inner)
    ),
    max_leaves=4,
)
KEYS = st.deferred(lambda: _KEYS)
"""What can be in a set; each is storable."""

_VALUES = st.recursive(
    _HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_TEXT, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(frozen, inner, st.lists(inner, max_size=2)),
        st.builds(Empty),
    ),
    max_leaves=12,
)
VALUES = st.deferred(lambda: _VALUES)
"""What can be stored. Deferred: messages of hypothesis would spell it all out."""
