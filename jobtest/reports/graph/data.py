"""The graph as JSON, for programs: nodes and edges with ids as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jobtest.reports.graph.view import View

__all__ = ["SCHEMA", "to_json"]

SCHEMA = 1


def to_json(view: View) -> str:
    """Return the graph as JSON in ASCII, one node or edge a line.

    `{"schema", "nodes": [{"id", "label", "wave", "outcome", "critical"}], "edges": [{"from", "to", "kind",
    "critical"}], "critical_path": [id]}`; `from` is the job waited for, `outcome` is null if it is not known,
    `kind` is `value`, `needs` or `after`.
    """
    critical = set(view.critical_path)
    nodes = (
        {
            "id": node.id,
            "label": node.label,
            "wave": node.wave,
            "outcome": node.outcome.value if node.outcome is not None else None,
            "critical": at in critical,
        }
        for at, node in enumerate(view.nodes)
    )
    edges = (
        {
            "from": view.nodes[arrow.source].id,
            "to": view.nodes[arrow.target].id,
            "kind": arrow.kind.value,
            "critical": arrow.critical,
        }
        for arrow in view.arrows
    )
    path = json.dumps([view.nodes[at].id for at in view.critical_path])
    return (
        f'{{\n "schema": {SCHEMA},\n "nodes": {_lines(nodes)},\n "edges": {_lines(edges)},\n'
        f' "critical_path": {path}\n}}\n'
    )


def _lines(items: Iterable[object]) -> str:
    lines = ",\n  ".join(json.dumps(item) for item in items)
    return f"[\n  {lines}\n ]" if lines else "[]"
