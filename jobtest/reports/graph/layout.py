"""Where to draw what: a layered layout (Sugiyama), waves as columns, in a bounded number of sweeps.

Edges over several waves bend at places that are kept free for them; those that leave one job for far columns
share their bends. The order within a column follows the barycentres of the neighbours, the heights follow by
isotonic regression: as near to the mean of the neighbours as order and distances allow.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Layout", "Route", "lay_out"]

ORDER_SWEEPS = 8
"""There and back four times; more does not take away noticeably more crossings."""

HEIGHT_SWEEPS = 10

STIFF = 4.0
"""How much more a line wants to go straight from bend to bend than a node to be amid its neighbours."""

NODE_ROOM = 1.0
BEND_ROOM = 0.36
"""What an edge takes up where it passes a column, in heights of a node with its distance to the next."""


@dataclass(frozen=True, slots=True)
class Route:
    """How an edge goes: from its source over bends to its target, as places in the layout."""

    places: tuple[int, ...]


@dataclass(slots=True)
class Layout:
    """Places, of which the first are the nodes in their order, the rest are bends.

    Attributes:
        columns: Places from top to bottom, column by column.
        heights: Of the middle of each place; one unit is the room of a node. The least is 0.
        routes: One for each edge.
    """

    columns: list[list[int]]
    heights: list[float]
    routes: list[Route]


@dataclass(slots=True)
class _Net:
    """Places and the lines between those of adjacent columns."""

    column: list[int]
    columns: list[list[int]]
    nodes: int
    left: list[list[int]] = field(default_factory=list)
    right: list[list[int]] = field(default_factory=list)

    def add_line(self, source: int, target: int) -> None:
        self.right[source].append(target)
        self.left[target].append(source)

    def room(self, place: int) -> float:
        return NODE_ROOM if place < self.nodes else BEND_ROOM


def lay_out(waves: Sequence[Sequence[int]], edges: Sequence[tuple[int, int, Hashable]]) -> Layout:
    """Return the layout of a graph; the same input always gives the same one.

    Args:
        waves: Nodes, numbered from 0 without gaps, column by column.
        edges: Source, target in a later column, and a mark: only edges with the same mark share bends.
    """
    net = _Net([0] * sum(map(len, waves)), [list(wave) for wave in waves], sum(map(len, waves)))
    for at, wave in enumerate(waves):
        for node in wave:
            net.column[node] = at
    net.left = [[] for _ in net.column]
    net.right = [[] for _ in net.column]
    routes = _routes(net, edges)
    _sort(net)
    return Layout(net.columns, _heights(net), routes)


def _routes(net: _Net, edges: Sequence[tuple[int, int, Hashable]]) -> list[Route]:
    """Put bends where edges pass columns, the shorter edges first, as long as there are not too many."""
    left = 3 * net.nodes + 1000
    bends: dict[tuple[int, Hashable], list[int]] = {}
    routes: dict[int, Route] = {}
    span = [net.column[target] - net.column[source] for source, target, _ in edges]
    for at in sorted(range(len(edges)), key=span.__getitem__):
        source, target, mark = edges[at]
        chain = bends.setdefault((source, mark), [])
        missing = span[at] - 1 - len(chain)
        if missing > left:
            routes[at] = Route((source, target))
            continue
        left -= max(0, missing)
        for _ in range(missing):
            chain.append(_add_bend(net, chain[-1] if chain else source))
        places = (source, *chain[: span[at] - 1], target)
        net.add_line(*places[-2:])
        routes[at] = Route(places)
    return [routes[at] for at in range(len(edges))]


def _add_bend(net: _Net, after: int) -> int:
    bend = len(net.column)
    column = net.column[after] + 1
    net.column.append(column)
    net.columns[column].append(bend)
    net.left.append([])
    net.right.append([])
    net.add_line(after, bend)
    return bend


# --- order within columns ---


def _sort(net: _Net) -> None:
    """Order the columns so that few lines cross; the best of all sweeps stays."""
    best, fewest = [list(column) for column in net.columns], _crossings(net)
    for sweep in range(ORDER_SWEEPS):
        if not fewest:
            break
        rightward = sweep % 2 == 0
        neighbours = net.left if rightward else net.right
        places = _middles(net)
        for column in net.columns if rightward else reversed(net.columns):
            wanted = {place: _mean(neighbours[place], places, places[place]) for place in column}
            column.sort(key=wanted.__getitem__)
            _number(column, places)
        count = _crossings(net)
        if count < fewest:
            best, fewest = [list(column) for column in net.columns], count
    net.columns = best


def _middles(net: _Net) -> list[float]:
    places = [0.0] * len(net.column)
    for column in net.columns:
        _number(column, places)
    return places


def _number(column: Sequence[int], places: list[float]) -> None:
    for at, place in enumerate(column):
        places[place] = at - len(column) / 2


def _mean(neighbours: Sequence[int], places: Sequence[float], otherwise: float) -> float:
    return sum(places[one] for one in neighbours) / len(neighbours) if neighbours else otherwise


def _crossings(net: _Net) -> int:
    """Count pairs of lines that cross between adjacent columns."""
    rank = [0] * len(net.column)
    for column in net.columns:
        for at, place in enumerate(column):
            rank[place] = at
    crossings = 0
    for column in net.columns:
        ends: list[int] = []
        for place in column:
            targets = sorted(rank[target] for target in net.right[place])
            crossings += sum(len(ends) - bisect_right(ends, target) for target in targets)
            for target in targets:
                insort(ends, target)
    return crossings


# --- heights ---


def _heights(net: _Net) -> list[float]:
    heights = [0.0] * len(net.column)
    for column in net.columns:
        _stack(net, column, heights)
    for sweep in range(HEIGHT_SWEEPS):
        rightward = sweep % 2 == 0
        last = sweep >= HEIGHT_SWEEPS - 2
        for column in net.columns if rightward else reversed(net.columns):
            _settle(net, column, heights, net.left if rightward else net.right, both=last)
    top = min(heights, default=0.0)
    return [height - top for height in heights]


def _stack(net: _Net, column: Sequence[int], heights: list[float]) -> None:
    """Place a column without gaps, its middle at 0."""
    at = -sum(map(net.room, column)) / 2
    for place in column:
        heights[place] = at + net.room(place) / 2
        at += net.room(place)


def _settle(
    net: _Net, column: Sequence[int], heights: list[float], side: Sequence[Sequence[int]], *, both: bool
) -> None:
    """Move a column as near to its neighbours as order and distances allow."""
    offsets: list[float] = []
    wanted: list[tuple[float, float]] = []
    offset = 0.0
    for before, place in zip([None, *column], column, strict=False):
        if before is not None:
            offset += (net.room(before) + net.room(place)) / 2
        near = [*net.left[place], *net.right[place]] if both else side[place]
        weight = 1.0
        if place >= net.nodes:
            bends = [one for one in near if one >= net.nodes]
            near, weight = (bends, STIFF) if bends else (near, weight)
        offsets.append(offset)
        wanted.append((_mean(near, heights, heights[place]) - offset, weight))
    for place, height, offset in zip(column, _ascending(wanted), offsets, strict=True):
        heights[place] = height + offset


def _ascending(wanted: Iterable[tuple[float, float]]) -> list[float]:
    """Return the never descending numbers nearest to those wanted with weights, pooling violators."""
    pools: list[tuple[float, float, int]] = []
    for number, weight in wanted:
        mean, heavy, count = number, weight, 1
        while pools and pools[-1][0] > mean:
            before, load, many = pools.pop()
            mean = (before * load + mean * heavy) / (load + heavy)
            heavy += load
            count += many
        pools.append((mean, heavy, count))
    return [mean for mean, _, count in pools for _ in range(count)]
