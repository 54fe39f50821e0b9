"""What other installed packages offer, by entry point: looked up when asked for, imported when used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from jobtest.core.errors import Problem, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["EXECUTORS", "LOADERS", "STORES", "TASKS", "load", "offered", "suffixes"]

STORES = "jobtest.stores"
EXECUTORS = "jobtest.executors"
LOADERS = "jobtest.loaders"
TASKS = "jobtest.tasks"


def offered(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group, by name in order.

    Raises:
        UsageError: two packages offer the same name.
    """
    from importlib import metadata  # looking them up takes 10 ms, and nearly nobody needs any

    found: dict[str, EntryPoint] = {}
    problems = []
    for point in sorted(metadata.entry_points(group=group), key=lambda one: (one.name, one.value)):
        first = found.setdefault(point.name, point)
        if first.value != point.value:
            what = f"two packages offer {point.name!r} in {group}"
            problems.append(
                Problem(what=what, at=(_place(first), _place(point)), fix="uninstall one of them")
            )
    if problems:
        raise UsageError(problems)
    return found


def suffixes() -> frozenset[str]:
    """Return the suffixes of job files that packages read: `.yaml` for the entry point `yaml`."""
    return _suffixes(tuple(sys.path))


@cache
def _suffixes(path: tuple[str, ...]) -> frozenset[str]:
    """What is installed is looked up once for a path."""
    from importlib import metadata

    return frozenset(f".{point.name}" for point in metadata.entry_points(group=LOADERS))


def load(point: EntryPoint) -> object:
    """Import what an entry point names.

    Raises:
        UsageError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # whatever the package of somebody else does
        what = f"{point.group}: {point.name!r} cannot be loaded: {type(error).__name__}: {error}"
        fix = "correct, upgrade or uninstall that package"
        raise UsageError([Problem(what=what, at=(_place(point),), fix=fix)]) from error


def _place(point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "a package"
    return f"{package}: {point.name} = {point.value}"
