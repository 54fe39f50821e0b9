"""What every drawing of a graph shows: labels and outcomes of jobs, kinds of edges, the critical path."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from types import MappingProxyType

from jobtest.core.model import EdgeKind, Outcome
from jobtest.core.planner import Plan
from jobtest.core.summary import Summary

__all__ = ["COLOURS", "NO_COLOUR", "Arrow", "Colour", "Node", "View", "plain"]


@dataclass(frozen=True, slots=True)
class Colour:
    """How a job is drawn: the area, its border, and whether the border is broken."""

    fill: str
    line: str
    broken: bool = False


NO_COLOUR = Colour("#ffffff", "#5c6773")
COLOURS: Mapping[Outcome, Colour] = MappingProxyType(
    {
        Outcome.UNCHANGED: Colour("#eaf2f0", "#5f8b82"),
        Outcome.CHANGED: Colour("#d3f2d6", "#2b8a3e"),
        Outcome.FAILED: Colour("#ffd8d2", "#c92a2a"),
        Outcome.BLOCKED: Colour("#ffe6c7", "#c4610a"),
        Outcome.SKIPPED: Colour("#f1f3f5", "#98a2ad", broken=True),
        Outcome.POSTPONED: Colour("#e9e1ff", "#7048e8", broken=True),
        Outcome.CANCELLED: Colour("#fff4c2", "#a07c00", broken=True),
        Outcome.WOULD_RUN: Colour("#d5ebff", "#1971c2"),
        Outcome.UNKNOWN: Colour("#f8f9fa", "#7d8790", broken=True),
    }
)

STRENGTH = (EdgeKind.AFTER, EdgeKind.NEEDS, EdgeKind.VALUE)
"""Of several edges between two jobs the last of these is drawn."""


@dataclass(frozen=True, slots=True)
class Node:
    """A job in a drawing.

    Attributes:
        id: Id of the job, as it is.
        label: Its short name on one line, safe to print; the id where the name alone would be ambiguous.
        wave: Number of jobs before it on the longest way from the beginning.
        outcome: How it ended, if it is known.
        reason: Why, on one line, safe to print.
    """

    id: str
    label: str
    wave: int
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def colour(self) -> Colour:
        """How it is drawn."""
        return COLOURS[self.outcome] if self.outcome is not None else NO_COLOUR


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge in a drawing, from the job waited for to the one that waits: places in `View.nodes`."""

    source: int
    target: int
    kind: EdgeKind
    critical: bool = False


@dataclass(frozen=True)
class View:
    """A graph as it is drawn.

    Attributes:
        nodes: In definition order.
        arrows: At most one between two jobs, by target, in the order asked for.
        waves: Places of the nodes, wave by wave, each in the order of the plan.
        critical_path: Places of the nodes on the critical path, first to last.
    """

    nodes: Sequence[Node]
    arrows: Sequence[Arrow]
    waves: Sequence[Sequence[int]]
    critical_path: Sequence[int]

    @classmethod
    def of(cls, plan: Plan, summary: Summary | None = None) -> View:
        """Return the view of a plan; with a summary, outcomes and critical path are those of the run."""
        place = {id: at for at, id in enumerate(plan.graph.jobs)}
        path = summary.critical_path() if summary is not None else plan.critical_path
        critical = [place[id] for id in path if id in place]
        return cls(
            nodes=tuple(_nodes(plan, summary)),
            arrows=tuple(_arrows(plan, place, set(pairwise(critical)))),
            waves=tuple(tuple(place[id] for id in wave) for wave in plan.waves),
            critical_path=tuple(critical),
        )

    @cached_property
    def totals(self) -> Mapping[Outcome, int]:
        """How many jobs ended in each way, for the ways that there are, in the order of `Outcome`."""
        count = Counter(node.outcome for node in self.nodes)
        return {outcome: count[outcome] for outcome in Outcome if count[outcome]}

    @cached_property
    def kinds(self) -> Sequence[EdgeKind]:
        """The kinds of edges that there are, in the order of `EdgeKind`."""
        there = {arrow.kind for arrow in self.arrows}
        return [kind for kind in EdgeKind if kind in there]

    @cached_property
    def incoming(self) -> Sequence[Sequence[Arrow]]:
        """For each node the arrows that end there."""
        found: list[list[Arrow]] = [[] for _ in self.nodes]
        for arrow in self.arrows:
            found[arrow.target].append(arrow)
        return found


def _nodes(plan: Plan, summary: Summary | None) -> Iterable[Node]:
    names = [plain(job.label) for job in plan.graph]
    count = Counter(names)
    for job, name in zip(plan.graph, names, strict=True):
        label = name if count[name] == 1 else plain(job.id)
        wave = plan.decisions[job.id].wave
        record = summary.jobs.get(job.id) if summary is not None else None
        if record is None:
            yield Node(job.id, label, wave)
        else:
            yield Node(job.id, label, wave, record.outcome, plain(record.reason))


def _arrows(plan: Plan, place: Mapping[str, int], critical: set[tuple[int, int]]) -> Iterable[Arrow]:
    for id, target in place.items():
        kinds: dict[int, EdgeKind] = {}
        for edge in plan.graph.upstream(id):
            source = place[edge.upstream]
            kinds[source] = max(kinds.get(source, EdgeKind.AFTER), edge.kind, key=STRENGTH.index)
        for source, kind in kinds.items():
            yield Arrow(source, target, kind, (source, target) in critical)


REORDERS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make others be shown elsewhere; a name must not rewrite the line it stands on."""


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return text on one line that is safe in UTF-8, XML and a terminal.

    White space of any kind becomes a space; what controls instead of showing, lone surrogates and code points
    that are no characters become U+FFFD. Everything else stays.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cs") or character in REORDERS or ord(character) & 0xFFFE == 0xFFFE:
        return "\ufffd"
    return character
