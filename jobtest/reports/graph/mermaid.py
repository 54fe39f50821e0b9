"""The graph in the language of Mermaid, which GitHub and GitLab draw in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobtest.core.model import EdgeKind
from jobtest.reports.graph.view import Node, View, plain

__all__ = ["escaped", "to_mermaid"]

LINES = {EdgeKind.VALUE: "-->", EdgeKind.NEEDS: "-.->", EdgeKind.AFTER: "-. after .->"}

MOST_EDGES = 500
"""Edges that Mermaid draws unless `maxEdges` of the page says otherwise; a diagram may not set it."""

SAFE = "-./:()[]=,+@ "
"""Marks that mean nothing in a quoted label. All others but letters and digits are written as entities."""


def to_mermaid(view: View) -> str:
    """Return the graph as a flowchart; nodes are `n0`, `n1`, ... in definition order."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _statements(view)), ""])


def escaped(text: str) -> str:
    """Return text for a quoted label such that it is shown as it is.

    Entities are written `#34;`: inside quotes Mermaid still sees HTML, Markdown, its own entities, comments
    (`%%`) and lists (`1. `).
    """
    text = plain(text)
    made = [_escape(character, text[at - 1 : at], text[at + 1 : at + 2]) for at, character in enumerate(text)]
    lists = re.match(r"\s*(?:\d+(?=[.)])|(?=[-+]))", text)
    if lists and lists.end() < len(text):
        made[lists.end()] = f"#{ord(text[lists.end()])};"
    return "".join(made)


def _escape(character: str, before: str, after: str) -> str:
    if character.isalnum() or character in SAFE:
        return character
    if character == "_" and before.isalnum() and after.isalnum():
        return character
    return f"#{ord(character)};"


def _statements(view: View) -> Iterator[str]:
    yield "%% --> takes the value, -.-> needs success, -. after .-> only comes later"
    if len(view.arrows) > MOST_EDGES:
        yield f"%% more than {MOST_EDGES} edges: the page must set maxEdges to {len(view.arrows)}"
    for at, node in enumerate(view.nodes):
        yield f'n{at}["{_label(node)}"]{_class(node)}'
    for arrow in view.arrows:
        yield f"n{arrow.source} {LINES[arrow.kind]} n{arrow.target}"
    for outcome in view.totals:
        colour = next(node.colour for node in view.nodes if node.outcome is outcome)
        broken = ",stroke-dasharray:4 3" if colour.broken else ""
        yield (
            f"classDef {outcome.value.replace('-', '_')} "
            f"fill:{colour.fill},stroke:{colour.line},color:#1b1f24{broken}"
        )
    critical = [str(at) for at, arrow in enumerate(view.arrows) if arrow.critical]
    if critical:
        yield f"linkStyle {','.join(critical)} stroke-width:4px"


def _label(node: Node) -> str:
    label = escaped(node.label) or " "
    return label if node.outcome is None else f"{label}<br/>{node.outcome.value}"


def _class(node: Node) -> str:
    return "" if node.outcome is None else f":::{node.outcome.value.replace('-', '_')}"
