"""The graph as a picture: one file without scripts, fonts or links, the same in every browser."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from jobtest.core.model import EdgeKind, Outcome
from jobtest.reports.graph.layout import Layout, lay_out
from jobtest.reports.graph.view import COLOURS, NO_COLOUR, Arrow, Node, View, plain

__all__ = ["to_svg"]

CHARACTER = 7.3
"""Mean width of a character of the font below at 13 px, on the safe side."""

LONGEST_LABEL = 40
"""Characters' widths of a label; the rest is in the tooltip."""

NODE_HEIGHT = 40
ROOM = 56
"""From the middle of a node to the middle of the next below."""

MARGIN = 24
PADDING = 14
NARROWEST = 84
GAP = 64
WIDEST_GAP = 180
LEGEND_LINE = 26
CORNER = 7

KIND_NAMES = {
    EdgeKind.VALUE: "takes the value",
    EdgeKind.NEEDS: "needs success",
    EdgeKind.AFTER: "comes after",
}

STYLE = """\
.jobtest-graph text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1b1f24 }
.jobtest-graph .name { font-size: 13px; text-anchor: middle }
.jobtest-graph .said { font-size: 10.5px; text-anchor: middle; fill: #3d4650 }
.jobtest-graph .key { font-size: 12px }
.jobtest-graph .edge { fill: none; stroke: #6b7682; stroke-width: 1.4 }
.jobtest-graph .needs { stroke-dasharray: 7 4 }
.jobtest-graph .after { stroke-dasharray: 1.5 4; stroke-linecap: round; stroke: #98a2ad }
.jobtest-graph path.critical { stroke: #1b1f24; stroke-width: 2.8 }
.jobtest-graph .job rect { stroke-width: 1.4 }
.jobtest-graph .job.critical rect { stroke-width: 2.8 }"""


def to_svg(view: View) -> str:
    """Return the graph as SVG 1.1: well-formed whatever the names hold, waves as columns from left to right.

    A job shows its name and its outcome, and in a tooltip its id and the reason. The time it takes grows with
    the number of jobs and edges, not faster but for a logarithm.
    """
    edges = [(arrow.source, arrow.target, arrow.kind) for arrow in view.arrows]
    picture = _Picture(view, lay_out(view.waves, edges))
    return "\n".join([*picture.lines(), ""])


@dataclass(frozen=True, slots=True)
class _Column:
    left: float
    right: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


class _Picture:
    def __init__(self, view: View, layout: Layout) -> None:
        self._view = view
        self._layout = layout
        self._labels = [_cut(node.label) for node in view.nodes]
        self._columns = self._place_columns()
        self._column_of = {place: at for at, column in enumerate(layout.columns) for place in column}
        self._critical = frozenset(view.critical_path)
        self._keys = [row for row in (list(self._outcome_keys()), list(self._line_keys())) if row]
        self._top = MARGIN + LEGEND_LINE * len(self._keys) + (MARGIN / 2 if self._keys else 0)

    def lines(self) -> Iterator[str]:
        right = max([column.right for column in self._columns[-1:]] + [self._legend_width()])
        width = round(right + MARGIN)
        height = round(self._top + ROOM * max(self._layout.heights, default=0) + NODE_HEIGHT + MARGIN)
        label = _xml(f"{len(self._view.nodes)} jobs{self._totals()}")
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" class="jobtest-graph" role="img" aria-label="{label}">'
        )
        yield f"<style>\n{STYLE}\n</style>"
        yield from self._markers()
        yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        yield from self._legend()
        yield from self._edges()
        for at, node in enumerate(self._view.nodes):
            yield self._job(at, node)
        yield "</svg>"

    # --- where ---

    def _place_columns(self) -> list[_Column]:
        """Give each column the width of its widest label, and room for its lines before the next one."""
        lines = [0] * len(self._layout.columns)
        column_of = {place: at for at, column in enumerate(self._layout.columns) for place in column}
        for a, b in {pair for route in self._layout.routes for pair in pairwise(route.places)}:
            lines[column_of[a]] += abs(self._layout.heights[a] - self._layout.heights[b]) > 0.01
        columns = []
        left = float(MARGIN)
        for column, crossing in zip(self._layout.columns, lines, strict=True):
            labels = [self._labels[place] for place in column if place < len(self._labels)]
            width = max([NARROWEST, *(round(_width(label) * CHARACTER + 2 * PADDING) for label in labels)])
            columns.append(_Column(left, left + width))
            left += width + min(WIDEST_GAP, GAP + 1.5 * crossing)
        return columns

    def _middle(self, place: int) -> float:
        return self._top + NODE_HEIGHT / 2 + ROOM * self._layout.heights[place]

    # --- edges ---

    def _markers(self) -> Iterator[str]:
        yield "<defs>"
        for name, colour in (("value", "#6b7682"), ("needs", "#6b7682"), ("critical", "#1b1f24")):
            yield _marker(name, f'<path d="M0 0L9 4L0 8z" fill="{colour}"/>')
        yield _marker("after", '<path d="M1 0.5L8 4L1 7.5" fill="none" stroke="#98a2ad" stroke-width="1.4"/>')
        yield "</defs>"

    def _edges(self) -> Iterator[str]:
        """Draw each shared part once, and what is critical on top of the rest."""
        drawn: set[tuple[int, int, EdgeKind]] = set()
        on_top = []
        yield '<g class="edge">'
        for arrow, route in zip(self._view.arrows, self._layout.routes, strict=True):
            if arrow.critical:
                on_top.append(_edge(arrow, self._path(route.places)))
                continue
            last = len(route.places) - 2
            while last > 0 and (*route.places[last - 1 : last + 1], arrow.kind) not in drawn:
                last -= 1
            drawn.update((a, b, arrow.kind) for a, b in pairwise(route.places))
            yield _edge(arrow, self._path(route.places[last:]))
        yield from on_top
        yield "</g>"

    def _path(self, places: Sequence[int]) -> str:
        """Return a path from the right of the first place, level in columns and swinging between them."""
        x, y = self._columns[self._column_of[places[0]]].right, self._middle(places[0])
        parts = [f"M{x:.0f} {y:.0f}"]
        for place in places[1:]:
            column, down = self._columns[self._column_of[place]], self._middle(place)
            end = column.left if place >= len(self._view.nodes) else column.left - 2
            if round(down) == round(y):
                parts.append(f"H{end:.0f}")
            else:
                bow = min((end - x) / 2, WIDEST_GAP)
                parts.append(f"C{x + bow:.0f} {y:.0f} {end - bow:.0f} {down:.0f} {end:.0f} {down:.0f}")
            if place >= len(self._view.nodes):
                parts.append(f"H{column.right:.0f}")
            x, y = column.right, down
        return "".join(parts)

    # --- jobs ---

    def _job(self, at: int, node: Node) -> str:
        column, middle = self._columns[self._column_of[at]], self._middle(at)
        said = ""
        line = middle + 4.5
        if node.outcome is not None:
            line = middle - 2
            word = node.outcome.value
            said = f'<text class="said" x="{column.middle:.0f}" y="{middle + 12:.0f}">{word}</text>'
        critical = " critical" if at in self._critical else ""
        width = column.right - column.left
        name = _xml(self._labels[at])
        return (
            f'<g class="job{critical}"><title>{_xml(_tooltip(node))}</title>'
            f"{_box(column.left, middle - NODE_HEIGHT / 2, width, NODE_HEIGHT, node.outcome)}"
            f'<text class="name" x="{column.middle:.0f}" y="{line:.0f}">{name}</text>{said}</g>'
        )

    # --- legend ---

    def _totals(self) -> str:
        totals = ", ".join(f"{count} {outcome.value}" for outcome, count in self._view.totals.items())
        return f": {totals}" if totals else ""

    def _outcome_keys(self) -> Iterator[tuple[str, str]]:
        for outcome, count in self._view.totals.items():
            yield _box(0, -10, 20, 14, outcome, corner=4), f"{outcome.value} {count}"

    def _line_keys(self) -> Iterator[tuple[str, str]]:
        for kind in self._view.kinds:
            look = f'class="edge {kind.value}" marker-end="url(#jobtest-{kind.value})"'
            yield f'<path {look} d="M0 -3H22"/>', KIND_NAMES[kind]
        if any(arrow.critical for arrow in self._view.arrows):
            yield (
                '<path class="edge critical" marker-end="url(#jobtest-critical)" d="M0 -3H22"/>',
                "critical path",
            )

    def _legend(self) -> Iterator[str]:
        for row, keys in enumerate(self._keys):
            x, y = float(MARGIN), MARGIN + 10 + LEGEND_LINE * row
            for sign, text in keys:
                yield (
                    f'<g transform="translate({x:.0f} {y})">{sign}'
                    f'<text class="key" x="30" y="1">{text}</text></g>'
                )
                x += _key_width(text)

    def _legend_width(self) -> float:
        return MARGIN + max((sum(_key_width(text) for _, text in row) for row in self._keys), default=0)


def _key_width(text: str) -> float:
    return 30 + len(text) * 7 + 22


def _marker(name: str, shape: str) -> str:
    return (
        f'<marker id="jobtest-{name}" markerUnits="userSpaceOnUse" markerWidth="10" markerHeight="8" '
        f'refX="7.5" refY="4" orient="auto">{shape}</marker>'
    )


def _edge(arrow: Arrow, path: str) -> str:
    marker = "critical" if arrow.critical else arrow.kind.value
    look = f"{arrow.kind.value} critical" if arrow.critical else arrow.kind.value
    return f'<path class="{look}" marker-end="url(#jobtest-{marker})" d="{path}"/>'


def _box(
    x: float, y: float, width: float, height: float, outcome: Outcome | None, *, corner: int = CORNER
) -> str:
    colour = COLOURS[outcome] if outcome is not None else NO_COLOUR
    broken = ' stroke-dasharray="5 3"' if colour.broken else ""
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="{corner}" '
        f'fill="{colour.fill}" stroke="{colour.line}"{broken}/>'
    )


def _tooltip(node: Node) -> str:
    lines = [plain(node.id)]
    if node.outcome is not None:
        lines.append(f"{node.outcome.value}: {node.reason}" if node.reason else node.outcome.value)
    return "\n".join(lines)


def _xml(text: str) -> str:
    """Return text that holds no control characters but line ends for use between tags or in quotes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _cut(label: str) -> str:
    if _width(label) <= LONGEST_LABEL:
        return label
    room = LONGEST_LABEL - 1.0
    kept = 0
    while (room := room - _width_of(label[kept])) >= 0:
        kept += 1
    return label[:kept] + "…"


def _width(label: str) -> float:
    return len(label) if label.isascii() else sum(map(_width_of, label))


@lru_cache(maxsize=4096)
def _width_of(character: str) -> float:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    return 1.8 if unicodedata.east_asian_width(character) in "WF" else 1.0
