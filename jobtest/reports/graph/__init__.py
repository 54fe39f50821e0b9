"""The graph of a plan as text or picture, coloured by what a run came to; no programs and no network needed.

Each format is one module that turns a `View` into text. In all of them an edge that takes a value, one that
only needs success and one that only orders look different, and an outcome is written, not only coloured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from jobtest.core.errors import Problem, UsageError
from jobtest.core.planner import Plan
from jobtest.core.summary import Summary
from jobtest.reports.files import write_whole
from jobtest.reports.graph.data import to_json
from jobtest.reports.graph.dot import to_dot
from jobtest.reports.graph.mermaid import to_mermaid
from jobtest.reports.graph.svg import to_svg
from jobtest.reports.graph.tree import Paint, no_paint, to_tree
from jobtest.reports.graph.view import View

__all__ = ["TREE", "graph_format", "graph_tree", "write_graph"]

TREE = "tree"
"""What stands in place of a file name for the tree that is printed."""

FORMATS: Mapping[str, Callable[[View], str]] = {
    ".mmd": to_mermaid,
    ".dot": to_dot,
    ".svg": to_svg,
    ".json": to_json,
}


def graph_format(where: str | os.PathLike[str]) -> str:
    """Return `tree` or the known extension of a file name; asked before the run, a typo costs nothing.

    Raises:
        UsageError: it is neither; the message names the known ones.
    """
    name = os.fspath(where)
    extension = os.path.splitext(name)[1].lower()
    if name == TREE or extension in FORMATS:
        return extension if name != TREE else TREE
    known = ", ".join(FORMATS)
    raise UsageError(
        [
            Problem(
                what=f"a graph cannot be written to {name!r}: its name says no known format",
                fix=f"give {TREE!r}, or the name of a file that ends in one of {known}",
            )
        ]
    )


def write_graph(
    where: str | os.PathLike[str],
    plan: Plan,
    summary: Summary | None = None,
    *,
    unicode: bool = True,
    paint: Paint = no_paint,
) -> str:
    """Draw the graph of a plan in the format that the name of the file asks for.

    Args:
        where: `tree`, or a file that ends in .mmd, .dot, .svg or .json; written whole or not at all.
        plan: What to draw.
        summary: What a run of this plan came to, whole or so far, if the outcomes are to be shown.
        unicode: Of the tree: draw with box characters; otherwise its text is ASCII.
        paint: Of the tree: how to colour the outcome of a job.

    Returns:
        The tree, to be printed; empty if a file was written.

    Raises:
        UsageError: the name says no known format.
        OSError: the file cannot be written.
    """
    form = graph_format(where)
    if form == TREE:
        return graph_tree(plan, summary, unicode=unicode, paint=paint)
    write_whole(where, FORMATS[form](View.of(plan, summary)))
    return ""


def graph_tree(
    plan: Plan, summary: Summary | None = None, *, unicode: bool = True, paint: Paint = no_paint
) -> str:
    """Return the tree of `to_tree` for a plan and, if given, what a run of it came to."""
    return to_tree(View.of(plan, summary), unicode=unicode, paint=paint)
