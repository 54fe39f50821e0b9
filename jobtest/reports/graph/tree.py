"""The graph as a tree of text: each job that nobody waits for, and under it what it waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobtest.core.model import EdgeKind, Outcome
from jobtest.reports.graph.view import Arrow, View

__all__ = ["Paint", "no_paint", "to_tree"]

DEEPEST = 32
"""Levels under a root. What is deeper gets a tree of its own further below: a chain of 10 000 jobs, each
further to the right than the one before, could not be read, and its text would be quadratic in its length."""

Paint = Callable[[Outcome, str], str]
"""From an outcome and its word to the word as it is printed, e.g. with colour."""


def no_paint(_: Outcome, text: str) -> str:
    """Return the text as it is."""
    return text


@dataclass(frozen=True, slots=True)
class _Pen:
    branch: str
    last: str
    down: str
    space: str


BOXES = _Pen("├── ", "└── ", "│   ", "    ")
ASCII = _Pen("|-- ", "`-- ", "|   ", "    ")


def to_tree(view: View, *, unicode: bool = True, paint: Paint = no_paint) -> str:
    """Return the tree; every job is opened once and from then on referred to with `(see above)`.

    An edge that takes a value has no mark, the others say `(needs)` or `(after)`. There are no more lines
    than jobs and edges together, and none is indented by more than `DEEPEST` levels.

    Args:
        view: What to draw.
        unicode: Draw with box characters; otherwise everything is ASCII, other characters are escaped.
        paint: How to colour the outcome of a job.
    """
    tree = _Tree(view, BOXES if unicode else ASCII, paint)
    waited_for = {arrow.source for arrow in view.arrows}
    tree.draw([at for at in range(len(view.nodes)) if at not in waited_for])
    text = "".join(f"{line}\n" for line in tree.lines)
    return text if unicode else text.encode("ascii", "backslashreplace").decode("ascii")


class _Tree:
    def __init__(self, view: View, pen: _Pen, paint: Paint) -> None:
        self.lines: list[str] = []
        self._view = view
        self._pen = pen
        self._paint = paint
        self._opened: set[int] = set()
        self._later: deque[int] = deque()
        self._put_off: set[int] = set()

    def draw(self, roots: Sequence[int]) -> None:
        """Draw the trees of the roots, each followed by those that were too deep in it."""
        for root in roots:
            self._draw(root)
            while self._later:
                self._draw(self._later.popleft())

    def _draw(self, root: int) -> None:
        self.lines.append(self._text(root, ""))
        todo = self._open(root, "", 0)
        while todo:
            arrow, prefix, is_last, depth = todo.pop()
            hand = self._pen.last if is_last else self._pen.branch
            reference = self._reference(arrow.source, depth)
            mark = f" ({arrow.kind.value})" if arrow.kind is not EdgeKind.VALUE else ""
            self.lines.append(f"{prefix}{hand}{self._text(arrow.source, mark)}{reference}")
            if not reference:
                todo += self._open(
                    arrow.source, prefix + (self._pen.space if is_last else self._pen.down), depth
                )

    def _open(self, at: int, prefix: str, depth: int) -> list[tuple[Arrow, str, bool, int]]:
        """Return what hangs under a node, the first to be drawn at the end."""
        self._opened.add(at)
        below = self._view.incoming[at]
        last = len(below) - 1
        return [(below[place], prefix, place == last, depth + 1) for place in range(last, -1, -1)]

    def _reference(self, at: int, depth: int) -> str:
        """Return where else to look for what hangs under a node, or nothing if it is to be drawn here."""
        if not self._view.incoming[at]:
            return ""
        if at in self._opened:
            return " (see above)"
        if depth < DEEPEST and at not in self._put_off:
            return ""
        if at not in self._put_off:
            self._put_off.add(at)
            self._later.append(at)
        return " (see below)"

    def _text(self, at: int, mark: str) -> str:
        node = self._view.nodes[at]
        outcome = f": {self._paint(node.outcome, node.outcome.value)}" if node.outcome is not None else ""
        return f"{node.label}{mark}{outcome}"
