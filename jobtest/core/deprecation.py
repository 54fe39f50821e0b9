"""What has a better name now: the old one works one minor version more, and warns with the new one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["RENAMED", "JobtestDeprecationWarning", "Renamed", "renamed"]

P = ParamSpec("P")
R = TypeVar("R")


class JobtestDeprecationWarning(DeprecationWarning):
    """Something goes in a later version; the message says in which, and what takes its place."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A keyword that has another name now.

    Attributes:
        of: The function.
        old: The name that goes.
        new: The name that takes its place.
        goes: The first version without the old one, as `0.3`.
    """

    of: str
    old: str
    new: str
    goes: str

    def __str__(self) -> str:
        return f"{self.of}({self.old}=...) is now {self.new}=; {self.old}= goes in {self.goes}"


RENAMED: list[Renamed] = []
"""All there are, of the modules that were imported."""


def renamed(old: str, new: str, *, goes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function be called with the old name of a keyword, too.

    Args:
        old: The name that goes.
        new: The name that takes its place.
        goes: The first version without the old one: two minor versions after the one that warns first.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        what = Renamed(f"{function.__module__}.{function.__qualname__}", old, new, goes)
        RENAMED.append(what)

        @wraps(function)
        def called(*args: P.args, **keywords: P.kwargs) -> R:
            if old in keywords:
                if new in keywords:
                    raise TypeError(f"{what.of}() was given {old}= and {new}=, which are the same")
                warnings.warn(JobtestDeprecationWarning(str(what)), stacklevel=2)
                keywords[new] = keywords.pop(old)
            return function(*args, **keywords)

        return called

    return decorated
