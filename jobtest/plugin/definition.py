"""The digest of a job's definition: the source of its functions, its marks, its parameters (PRODUCT 8.8)."""

from __future__ import annotations

import hashlib
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from types import CodeType

from jobtest.plugin.items import Source

__all__ = ["definition_of"]


def definition_of(source: Source, params: Mapping[str, object]) -> str:
    """Return a digest of all that defines a job: the same as long as nothing of it is edited.

    Helpers and fixtures that its functions use are not part of it.
    """
    if not source.digest:
        source.digest = _digest(repr(list(_parts(source))))
    return _digest(f"{source.digest} {dict(params)!r}") if params else source.digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _parts(source: Source) -> Iterator[object]:
    yield source.options
    if source.entry is not None:
        yield source.entry.task, source.entry.raw
    if source.run is not None:
        yield f"job_{source.name}", text_of(source.run)
    for name, function in source.checks.items():
        yield name, text_of(function)
    for prefix, function in sorted(source.companions.items()):
        yield prefix, text_of(function)


def text_of(function: Callable[..., object]) -> str:
    """Return the lines on which a function stands, decorators included."""
    code = inspect.unwrap(function).__code__
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    return "".join(lines[code.co_firstlineno - 1 : _last_line(code)])


def _last_line(code: CodeType) -> int:
    """Return the last line on which something of a function stands, the functions within it included."""
    last, todo = code.co_firstlineno, [code]
    while todo:
        this = todo.pop()
        last = max(last, *(end for _, end, _, _ in this.co_positions() if end is not None), last)
        todo += [one for one in this.co_consts if isinstance(one, CodeType)]
    return last
