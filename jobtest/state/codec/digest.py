"""The digest of a text, and the JSON that is common to writing and reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

from jobtest.state.codec import tags

__all__ = ["digest_of", "dump", "dump_sorted", "loads", "sha"]


def digest_of(text: str) -> str:
    """Return the digest that `encode` gave with `text`.

    Raises:
        ValueError: it is no such text.
    """
    try:
        return sha(dump_sorted(loads(text, _in_order)))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a value of jobtest: {error}") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"not a value of jobtest: {name} is not JSON")


def loads(text: str, hook: Callable[[dict[str, object]], object]) -> object:
    """Return what JSON text holds, its objects as `hook` makes them.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deep.
    """
    return json.JSONDecoder(object_hook=hook, parse_constant=_no_constant).decode(text)


dump = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode
dump_sorted = json.JSONEncoder(
    separators=(",", ":"), check_circular=False, allow_nan=False, sort_keys=True
).encode


def sha(text: str) -> str:
    """Return the SHA-256 of ASCII text as hex digits."""
    return sha256(text.encode("ascii")).hexdigest()


def _in_order(data: dict[str, object]) -> object:
    """Put what is unordered into the one order; `json` calls it from the inside out."""
    if len(data) == 1:
        ((tag, items),) = data.items()
        if tag in (tags.SET, tags.FROZENSET) and isinstance(items, list):
            items.sort(key=dump_sorted)
        elif tag == tags.DICT and isinstance(items, list):
            pairs = zip(items[::2], items[1::2], strict=True)
            data[tag] = [one for pair in sorted(pairs, key=lambda pair: dump_sorted(pair[0])) for one in pair]
    return data
