"""What only the text of a job file says: names defined twice, yields, parameters asked for."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

__all__ = ["asked_of", "defined_twice", "may_yield_twice"]

Function = Callable[..., object]


KINDS = ("job", "task", "check", "cleanup", "describe", "update", "delete", "rollback")


@cache
def _definitions(kinds: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(rf"^(?:async +)?def +((?:{'|'.join(kinds)})_\w+)".encode(), re.M)


def defined_twice(path: Path, kinds: tuple[str, ...] = ()) -> list[tuple[str, int, int]]:
    """Return the functions that a file defines more than once at its top level, with both lines.

    The file has been imported. Reading it as text is enough as long as no name comes twice; only then it is
    parsed.
    """
    text = path.read_bytes()
    names = _definitions((*KINDS, *kinds)).findall(text)
    if len(names) == len(set(names)):
        return []
    first: dict[str, int] = {}
    twice = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.encode() in names:
            if node.name in first:
                twice.append((node.name, first[node.name], node.lineno))
            first.setdefault(node.name, node.lineno)
    return twice


def may_yield_twice(function: Function) -> bool:
    """Tell whether some way through a generator function passes two yields."""
    tree = _tree(function)
    return tree is not None and _yields(tree.body) > 1


def _yields(body: Iterable[ast.AST]) -> int:
    """Return the most yields on a way through some statements; a loop counts twice what is in it."""
    return sum(_yields_of(node) for node in body)


def _yields_of(node: ast.AST) -> int:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
            return 0
        case ast.Yield() | ast.YieldFrom():
            return 1
        case ast.If():
            return _yields_of(node.test) + max(_yields(node.body), _yields(node.orelse))
        case ast.Try():
            handled = max((_yields(handler.body) for handler in node.handlers), default=0)
            return max(_yields(node.body) + _yields(node.orelse), handled) + _yields(node.finalbody)
        case ast.For() | ast.While():
            leaves = any(isinstance(one, ast.Break | ast.Return) for one in ast.walk(node))
            return _yields(node.body) * (1 if leaves else 2) + _yields(node.orelse)
        case _:
            return _yields(ast.iter_child_nodes(node))


def asked_of(function: Function, parameter: str) -> Sequence[tuple[str, int]]:
    """Return the names that a function surely asks of a parameter, as attribute or item, with their lines.

    Names that it also tests with `in` are left out: it can do without them.
    """
    tree = _tree(function)
    if tree is None:
        return ()
    first = inspect.unwrap(function).__code__.co_firstlineno - 1
    tested = {
        node.left.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Constant)
        and _is(node.comparators[0], parameter)
    }
    asked: dict[str, int] = {}
    for node in ast.walk(tree):
        name: object = None
        if isinstance(node, ast.Attribute | ast.Subscript) and _is(node.value, parameter):
            if isinstance(node, ast.Attribute):
                name = node.attr
            elif isinstance(node.slice, ast.Constant):
                name = node.slice.value
            if isinstance(name, str) and name not in tested:
                asked.setdefault(name, first + node.lineno)
    return tuple(asked.items())


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _tree(function: Function) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return None
    found = module.body[0] if module.body else None
    return found if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) else None
