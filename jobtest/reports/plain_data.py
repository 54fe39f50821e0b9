"""Which values a report can hold: those that JSON gives back as they were (tuples as lists)."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["NotPlain", "plain_data"]

DEEPEST = 200
"""Containers in containers: `json` recurses, and Python stops it at about 1000 frames. Ends cycles, too."""

MOST_ITEMS = 1_000_000
"""Items in all: a few lists that hold each other twice can stand for more than any disk."""

LARGEST_INT = 14_000
"""Bits: Python refuses to write whole numbers of more than 4300 digits."""

Put = Callable[[object], None]


class NotPlain(ValueError):
    """A value that a report cannot hold; the message names the type of the part that is in the way."""


def plain_data(value: object) -> object:
    """Return a copy of `value` made of None, bool, int, finite float, str, list, and dict with str keys.

    Raises:
        NotPlain: it is, or holds, anything else, or is too deep or too large.
    """
    result: list[object] = []
    todo: list[tuple[object, int, Put]] = [(value, 0, result.append)]
    left = MOST_ITEMS
    while todo:
        this, depth, put = todo.pop()
        left -= 1
        if not left:
            raise NotPlain(f"{type(value).__name__} of more than {MOST_ITEMS} items")
        if isinstance(this, dict | list | tuple):
            if depth == DEEPEST:
                raise NotPlain(f"{type(value).__name__} nested more than {DEEPEST} deep")
            if isinstance(this, dict):
                put(_open_dict(this, depth + 1, todo))
            else:
                put(_open_list(this, depth + 1, todo))
        else:
            put(_scalar(this))
    return result[0]


def _open_dict(
    this: dict[object, object], depth: int, todo: list[tuple[object, int, Put]]
) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, item in this.items():
        if not isinstance(key, str):
            raise NotPlain(f"{type(this).__name__} with a key of type {type(key).__name__}")
        made[str.__str__(key)] = None
        todo.append((item, depth, _setter(made, str.__str__(key))))
    return made


def _setter(made: dict[str, object], key: str) -> Put:
    def put(item: object) -> None:
        made[key] = item

    return put


def _open_list(
    this: list[object] | tuple[object, ...], depth: int, todo: list[tuple[object, int, Put]]
) -> list[object]:
    made: list[object] = []
    todo.extend((item, depth, made.append) for item in reversed(this))
    return made


def _scalar(this: object) -> object:
    """Return the value as its plain type: the string of a string enum, the number of a subclass of int."""
    if this is None or isinstance(this, bool):
        return this
    if isinstance(this, str):
        return str.__str__(this)
    if isinstance(this, int):
        if this.bit_length() > LARGEST_INT:
            raise NotPlain(f"{type(this).__name__} of more than {LARGEST_INT} bits")
        return int.__int__(this)
    if isinstance(this, float):
        if not math.isfinite(this):
            raise NotPlain(f"{type(this).__name__} {float.__repr__(this)}")
        return float.__float__(this)
    raise NotPlain(type(this).__name__)
