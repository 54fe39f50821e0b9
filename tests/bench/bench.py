"""What all scenarios share: how many rounds, and how a line-up of projects becomes samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import scenarios
from measure import BrokenRun, Command, Series, rounds
from peers import Missing, Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One side of a comparison: a tool, a shape, and what else its command needs.

    Sides with the same `place` share a project; `write` is for one that is not the tool's usual.
    """

    tool: str
    shape: scenarios.Shape
    more: tuple[str, ...] = ()
    write: Callable[[Path, scenarios.Shape], None] | None = None
    place: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)


Side = Entry | Callable[[Toolbox, str], Command]
"""A side of a comparison; a function gets the toolbox and a label for its folder, and may raise Missing."""


@dataclass(slots=True)
class Bench:
    """One run of the runner."""

    quick: bool
    toolbox: Toolbox = field(default_factory=Toolbox)

    def count(self, normal: int, quick: int) -> int:
        """How many rounds, or how many jobs."""
        return quick if self.quick else normal

    def measure(self, label: str, lineup: Mapping[str, Side], times: int) -> dict[str, Series]:
        """Run the sides in turn; those that this machine does not offer come back with the reason."""
        commands: dict[str, Command] = {}
        absent: dict[str, Series] = {}
        for key, side in lineup.items():
            place = f"{label}-{key}".replace(" ", "-")
            try:
                commands[key] = self.command(side, place)
            except (Missing, BrokenRun) as reason:
                absent[key] = Series(0, broken=f"{key}: {reason}")
        return absent | rounds(commands, times)

    def command(self, side: Side, place: str) -> Command:
        """Make the project of a side and the command that runs it; raises Missing."""
        if isinstance(side, Entry):
            label = side.place or place
            return self.toolbox.command(
                side.tool, label, side.shape, *side.more, write=side.write, **side.limits
            )
        return side(self.toolbox, place)

    def versus_pytest(
        self, label: str, shapes: Mapping[str, scenarios.Shape], times: int
    ) -> dict[str, Series]:
        """Measure jobtest and as many plain tests, and both with one job (keys `jobtest`, `pytest`)."""
        lineup: dict[str, Side] = {}
        for tool in ("jobtest", "pytest"):
            lineup[tool] = Entry(tool=tool, shape=scenarios.independent(1))
            for key, shape in shapes.items():
                lineup[f"{tool} {key}"] = Entry(tool=tool, shape=shape)
        return self.measure(label, lineup, times)
