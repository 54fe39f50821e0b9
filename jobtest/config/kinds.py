"""What a value must be for an annotation, strictly: no text becomes a number, no number becomes text.

What lives here: the hooks with which `cattrs` makes values, and how its errors become sentences.
What does not live here: parameters and their functions (`arguments`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, is_typeddict

from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn
from cattrs.gen.typeddicts import make_dict_structure_fn as make_typed_dict_fn

from jobtest.config.places import KeyPath, Mistake, shown, spelled
from jobtest.config.template import templates
from jobtest.core.errors import did_you_mean

__all__ = ["Hook", "hook_of", "mistakes_of", "rule_of"]

Hook = Callable[[Any], object]
_Cattrs = Callable[[Any, Any], object]
SCALARS: Mapping[type, tuple[str, tuple[type, ...]]] = {
    str: ("text", (str,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    bool: ("true or false", (bool,)),
    bytes: ("bytes", (bytes,)),
    Path: ("a path", (str, PurePath)),
    PurePath: ("a path", (str, PurePath)),
    datetime: ("a date with a time", (datetime,)),
    date: ("a date", (date,)),
    time: ("a time", (time,)),
    NoneType: ("nothing", (NoneType,)),
}
NOT_ALSO: Mapping[type, type] = {int: bool, float: bool, date: datetime}
"""What Python counts among a kind, and people do not."""
AS_THEY_ARE = SCALARS.keys() - {float, Path, PurePath}
LISTS: Mapping[object, Callable[[list[object]], object]] = {
    list: list,
    Sequence: list,
    Collection: list,
    Iterable: list,
    tuple: tuple,
    set: set,
    AbstractSet: frozenset,
    frozenset: frozenset,
}
TABLES = (dict, Mapping)


class Refused(ValueError):
    """A value that is not what an annotation says."""


def hook_of(kind: object) -> Hook:
    """Return what makes a value of a kind, or raises what `mistakes_of` reads.

    Raises:
        Exception: whatever comes of looking at an annotation that makes no sense.
    """
    hook = _converter().get_structure_hook(kind)
    return lambda value: hook(value, kind)


def rule_of(kind: Any) -> str:  # noqa: ANN401 - a kind is a type, or stands for types
    """Return what a value must be, as it stands in a sentence: `a whole number`."""
    origin = _origin(kind)
    if _among(kind, SCALARS):
        return SCALARS[kind][0]
    if origin is Literal:
        return _one_of(get_args(kind))
    if isinstance(origin, type) and issubclass(origin, Enum):
        return _one_of([one.value for one in origin])
    if origin in (Union, UnionType):
        return " or ".join(rule_of(arm) for arm in get_args(kind) if arm is not NoneType)
    if origin in LISTS:
        return "a list"
    if origin in TABLES or is_dataclass(origin) or is_typeddict(origin):
        return "a table"
    return f"a {origin.__name__}" if isinstance(origin, type) else "of its kind"


def mistakes_of(error: Exception, path: KeyPath, given: object) -> Iterator[Mistake]:
    """Return what an error of a hook says, but for what waits for a job: that is not known yet.

    Args:
        error: From the hook.
        path: Of the value, which begins with the name of a parameter.
        given: The value.
    """
    todo: list[tuple[Exception, KeyPath]] = [(error, ())]
    for one, below in todo:  # grows while it is gone through
        if isinstance(one, IterableValidationError | ClassValidationError):
            noted, bare = one.group_exceptions()
            todo.extend((inner, (*below, _key(note))) for inner, note in noted)
            todo.extend((inner, below) for inner in bare)
        elif isinstance(one, ForbiddenExtraKeysError):
            known = (
                [field.name for field in fields(one.cl)] if is_dataclass(one.cl) else one.cl.__annotations__
            )
            for key in sorted(one.extra_fields):
                what = f"{_spelled((*path, *below, key))} is not known"
                yield Mistake((*path, *below, key), what, did_you_mean(key, known, what="keys are"))
        elif isinstance(one, KeyError) and below and one.args == (below[-1],):
            yield Mistake((*path, *below[:-1]), f"{_spelled((*path, *below))} is missing")
        else:
            value = _at(given, below)
            if not templates(value):
                yield Mistake((*path, *below), _said(one, (*path, *below), value))


def _said(error: Exception, path: KeyPath, value: object) -> str:
    name = _spelled(path)
    if isinstance(error, RecursionError):
        return f"{name} is nested too deep"
    if not isinstance(error, Refused):
        return f"{name} = {shown(value)} is refused: {error}"
    rule = str(error)
    if rule.startswith("one of "):
        return f"{name} = {shown(value)} must be {rule}"
    return f"{name} must be {rule}, not {shown(value)}"


def _spelled(path: KeyPath) -> str:
    return spelled(("args", *path))


def _key(note: Any) -> str | int:  # noqa: ANN401 - a note of cattrs, of one of two kinds
    key: str | int = note.name if hasattr(note, "name") else note.index
    return key


def _one_of(values: Iterable[object]) -> str:
    return f"one of {', '.join(map(repr, values))}"


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, structure_fallback_factory=_instance)
    register = converter.register_structure_hook_factory
    for scalar in SCALARS:
        converter.register_structure_hook(scalar, _scalar(scalar))
    converter.register_structure_hook(Enum, lambda value, kind: _enum(kind)(value, kind))
    register(lambda kind: _origin(kind) is Literal, _literal)
    register(lambda kind: _origin(kind) in (Union, UnionType), lambda kind: _union(kind, converter))
    register(lambda kind: _among(_origin(kind), LISTS), lambda kind: _list(kind, converter))
    register(lambda kind: _among(_origin(kind), TABLES), lambda kind: _table(kind, converter))
    register(lambda kind: is_dataclass(_origin(kind)), lambda kind: _record(kind, converter))
    register(is_typeddict, lambda kind: _record(kind, converter))
    return converter


def _scalar(scalar: type) -> _Cattrs:
    rule, accepted = SCALARS[scalar]
    but = NOT_ALSO.get(scalar)

    def hook(value: object, kind: Any) -> object:  # noqa: ANN401 - as rule_of
        if isinstance(kind, type) and issubclass(kind, Enum):  # of text or of numbers
            return _enum(kind)(value, kind)
        if not isinstance(value, accepted) or (but is not None and isinstance(value, but)):
            raise Refused(rule)
        return value if kind in AS_THEY_ARE else kind(value)

    return hook


def _enum(kind: type[Enum]) -> _Cattrs:
    def hook(value: object, _: object) -> object:
        for member in kind:
            if value is member or (type(value) is type(member.value) and value == member.value):
                return member
        raise Refused(rule_of(kind))

    return hook


def _literal(kind: object) -> _Cattrs:
    def hook(value: object, _: object) -> object:
        for choice in get_args(kind):
            if type(value) is type(choice) and value == choice:
                return choice
        raise Refused(rule_of(kind))

    return hook


def _union(kind: object, converter: Converter) -> _Cattrs:
    arms = get_args(kind)
    others = [arm for arm in arms if arm is not NoneType]

    def hook(value: object, _: object) -> object:
        if value is None and len(others) < len(arms):
            return None
        if len(others) == 1:
            return converter.structure(value, others[0])
        exact = [arm for arm in others if type(value) is _origin(arm)]
        inside: list[BaseValidationError] = []
        for arm in dict.fromkeys((*exact, *others)):
            try:
                return converter.structure(value, arm)
            except Refused:
                continue
            except BaseValidationError as error:
                inside.append(error)
        if len(inside) == 1:  # it is meant, and something in it is wrong
            raise inside[0]
        raise Refused(rule_of(kind))

    return hook


def _list(kind: Any, converter: Converter) -> _Cattrs:  # noqa: ANN401 - as rule_of
    origin, inner = _origin(kind), get_args(kind)
    make = LISTS[origin]
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return _row(inner, converter)
    elements = list_structure_factory(
        cast("type", GenericAlias(list, inner[0]) if inner else list), converter
    )

    def hook(value: object, _: object) -> object:
        if not isinstance(value, list | tuple | AbstractSet):
            raise Refused("a list")
        return make(elements(value, list))

    return hook


def _row(inner: Sequence[Any], converter: Converter) -> _Cattrs:
    """Return the hook of a tuple with a kind for each of its elements."""

    def hook(value: object, kind: object) -> object:
        if not isinstance(value, list | tuple) or len(value) != len(inner):
            raise Refused(f"a list of {len(inner)}")
        made, errors = [], []
        for number, (one, arm) in enumerate(zip(value, inner, strict=True)):
            try:
                made.append(converter.structure(one, arm))
            except (Refused, BaseValidationError) as error:
                error.add_note(IterableValidationNote("", number, arm))
                errors.append(error)
        if errors:
            raise IterableValidationError("", errors, tuple)
        return tuple(made)

    return hook


def _table(kind: Any, converter: Converter) -> _Cattrs:  # noqa: ANN401 - as rule_of
    items = make_mapping_structure_fn(kind, converter, dict) if get_args(kind) else None

    def hook(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise Refused("a table")
        return dict(value) if items is None else items(value, kind)

    return hook


def _record(kind: Any, converter: Converter) -> _Cattrs:  # noqa: ANN401 - as rule_of
    make = (
        make_typed_dict_fn(kind, converter) if is_typeddict(kind) else make_dict_structure_fn(kind, converter)
    )

    def hook(value: object, _: object) -> object:
        if not is_typeddict(kind) and isinstance(value, _origin(kind)):
            return value
        if not isinstance(value, Mapping):
            raise Refused("a table")
        return make(dict(value), kind)

    return hook


def _instance(kind: Any) -> _Cattrs:  # noqa: ANN401 - as rule_of
    """Return the hook of a kind that no job file can spell: only a job can have made such a value."""

    def hook(value: object, _: object) -> object:
        if (
            isinstance(kind, type)
            and not getattr(kind, "_is_protocol", False)
            and not isinstance(value, kind)
        ):
            raise Refused(rule_of(kind))
        return value

    return hook


def _origin(kind: Any) -> Any:  # noqa: ANN401 - as rule_of
    found: Any = get_origin(kind)
    return kind if found is None else found


def _at(value: object, path: KeyPath) -> object:
    for key in path:
        value = value[key]  # type: ignore[index] # an error has shown the way
    return value


def _among(kind: Any, kinds: Mapping[Any, object] | tuple[object, ...]) -> bool:  # noqa: ANN401 - as rule_of
    try:
        return kind in kinds
    except TypeError:  # it cannot be hashed: none of these
        return False
