"""The graph in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobtest.core.model import EdgeKind
from jobtest.reports.graph.view import NO_COLOUR, Node, View, plain

__all__ = ["quoted", "to_dot"]

LINES = {
    EdgeKind.VALUE: "",
    EdgeKind.NEEDS: "style=dashed",
    EdgeKind.AFTER: 'style=dotted arrowhead=vee color="#868e96"',
}


def to_dot(view: View) -> str:
    """Return the graph as a digraph; nodes are `n0`, `n1`, ... in definition order, the id is the tooltip."""
    return "\n".join(["digraph jobs {", *(f"  {line}" for line in _statements(view)), "}", ""])


def quoted(*lines: str) -> str:
    r"""Return the lines as one DOT string that Graphviz shows as they are, each centred.

    Inside quotes Graphviz knows the escapes of its labels (`\n`, `\N`, `\G`, ...) and the entities of HTML.
    """
    escaped = (
        line.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in map(plain, lines)
    )
    return '"' + "\\n".join(escaped) + '"'


def _statements(view: View) -> Iterator[str]:
    yield "// solid: takes the value; dashed: needs success; dotted: comes after; bold: critical path"
    yield "rankdir=LR"
    yield (
        'node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11 margin="0.15,0.07"'
        f' fillcolor="{NO_COLOUR.fill}" color="{NO_COLOUR.line}"]'
    )
    yield 'edge [color="#495057" arrowsize=0.7]'
    for at, node in enumerate(view.nodes):
        yield f"n{at} [{' '.join(_look(node))}]"
    for arrow in view.arrows:
        look = [LINES[arrow.kind], "penwidth=2.5" if arrow.critical else ""]
        attributes = " ".join(one for one in look if one)
        yield f"n{arrow.source} -> n{arrow.target}{f' [{attributes}]' if attributes else ''}"


def _look(node: Node) -> Iterable[str]:
    if node.outcome is None:
        yield f"label={quoted(node.label)}"
    else:
        yield f"label={quoted(node.label, node.outcome.value)}"
        yield f'fillcolor="{node.colour.fill}" color="{node.colour.line}"'
        if node.colour.broken:
            yield 'style="rounded,filled,dashed"'
    yield f"tooltip={quoted(node.id)}"
