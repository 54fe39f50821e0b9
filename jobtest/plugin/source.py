"""What only the text of a job file says: names defined twice, yields, parameters asked for."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SourceFile", "asked_of", "may_yield_twice", "read_source"]

Function = Callable[..., object]


@dataclass
class SourceFile:
    """The functions at the top level of a file.

    Attributes:
        lines: Line of the `def` of each function, the first one.
        twice: Name and line of each further function of the same name.
    """

    lines: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, int]] = field(default_factory=list)


def read_source(path: Path) -> SourceFile:
    """Read the top level of a Python file that has been imported."""
    found = SourceFile()
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in found.lines and node.name.startswith(("job_", "check_", "cleanup_", "describe_")):
                found.twice.append((node.name, node.lineno))
            found.lines.setdefault(node.name, node.lineno)
    return found


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
    """Return the names that a function surely asks of a parameter, as attribute or constant item, with their
    lines.

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
