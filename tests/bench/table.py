"""Rows of ratios, and how they look: aligned for the eye, and Markdown for a note."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from measure import Series, difference, per_job, ratio

Both = tuple[float, float]
"""Seconds of wall and of CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the ratio may be; `below` means less than, not at most."""

    ratio: float
    stretch: float | None = None
    below: bool = False

    def __str__(self) -> str:
        text = f"{'<' if self.below else '<='} {self.ratio:g}"
        return text if self.stretch is None else f"{text} ({self.stretch:g})"

    def verdict(self, measured: float) -> str:
        """`ok`, `ok, stretch` or `MISSED`."""
        if measured > self.ratio or (self.below and measured == self.ratio):
            return "MISSED"
        return "ok, stretch" if self.stretch is not None and measured <= self.stretch else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: what was measured, against what, both figures, both ratios, and what was asked for."""

    scenario: str
    measured: str = ""
    against: str = ""
    yardstick: str = ""
    wall: float | None = None
    cpu: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """How the wall ratio stands to the target; `-` without one."""
        if self.note:
            return "no figure"
        return self.target.verdict(self.wall) if self.target and self.wall is not None else "-"

    def cells(self) -> list[str]:
        """The row as text."""
        ratios = ["-" if value is None else f"{value:.2f}" for value in (self.wall, self.cpu)]
        target = str(self.target) if self.target else "-"
        return [self.scenario, self.measured, self.against, self.yardstick, *ratios, target, self.verdict]

    def data(self) -> dict[str, object]:
        """The row for `--json`."""
        return asdict(self) | {"verdict": self.verdict}


HEAD = ["scenario", "jobtest", "against", "which is", "wall", "CPU", "target", "verdict"]
RIGHT = {1, 3, 4, 5}


def render(rows: Sequence[Row]) -> str:
    """The table."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]

    def padded(line: list[str]) -> str:
        cells = [
            text.rjust(width) if column in RIGHT else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        ("-" * (width - 1) + ":") if column in RIGHT else "-" * width for column, width in enumerate(widths)
    ]
    notes = dict.fromkeys(f"no figure: {row.note}" for row in rows if row.note)
    table = [padded(lines[0]), f"| {' | '.join(rule)} |", *map(padded, lines[1:])]
    return "\n".join([*table, *([""] if notes else []), *notes])


def count(number: int) -> str:
    """10 000, not 10000."""
    return f"{number:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """Three digits and a unit that suits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if abs(seconds) * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError("unreachable")


def broken(scenario: str, against: str, *series: Series) -> Row | None:
    """The row of a comparison that has no figures, if it has none."""
    for one in series:
        if one.broken or not one.samples:
            return Row(scenario=scenario, against=against, note=one.broken or "not measured")
    return None


def figures(
    scenario: str, against: str, shown: tuple[str, str], ours: Both, theirs: Both, target: Target | None
) -> Row:
    """Compare two pairs of wall and CPU seconds; `shown` is how they are written."""
    return Row(
        scenario=scenario,
        measured=shown[0],
        against=against,
        yardstick=shown[1],
        wall=ours[0] / theirs[0],
        cpu=ours[1] / theirs[1],
        target=target,
    )


def cost(
    scenario: str,
    ours: tuple[Series, Series],
    against: str,
    theirs: tuple[Series, Series],
    target: Target | None = None,
) -> Row:
    """Compare costs per job; each side is the full project and the one-job project."""
    lame = broken(scenario, against, *ours, *theirs)
    if lame is not None:
        return lame
    walls = [per_job(*ours, "wall"), per_job(*theirs, "wall")]
    cpus = [per_job(*ours, "cpu"), per_job(*theirs, "cpu")]
    return Row(
        scenario=scenario,
        measured=f"{duration(statistics.median(walls[0]))}/job",
        against=f"{against}, {count(theirs[0].jobs)}",
        yardstick=f"{duration(statistics.median(walls[1]))}/job",
        wall=ratio(*walls),
        cpu=ratio(*cpus),
        target=target,
    )


def whole(scenario: str, ours: Series, against: str, theirs: Series, target: Target | None = None) -> Row:
    """Compare whole processes."""
    lame = broken(scenario, against, ours, theirs)
    if lame is not None:
        return lame
    return Row(
        scenario=scenario,
        measured=duration(statistics.median(ours.values("wall"))),
        against=against,
        yardstick=duration(statistics.median(theirs.values("wall"))),
        wall=ratio(ours.values("wall"), theirs.values("wall")),
        cpu=ratio(ours.values("cpu"), theirs.values("cpu")),
        target=target,
    )


def more(full: Series, base: Series) -> Both:
    """Median wall and CPU seconds by which one takes longer."""
    return difference(full, base, "wall"), difference(full, base, "cpu")


def allowed(scenario: str, full: Series, base: Series, seconds: float) -> Row:
    """Compare what one takes longer than the other with what it may."""
    against = "the allowance"
    lame = broken(scenario, against, full, base)
    if lame is not None:
        return lame
    ours = more(full, base)
    shown = duration(ours[0]), duration(seconds)
    return figures(scenario, against, shown, ours, (seconds, seconds), Target(ratio=1.0))


def allowed_each(scenario: str, full: Series, base: Series, seconds: float) -> Row:
    """Compare the cost of a job with what it may."""
    against = "the allowance"
    lame = broken(scenario, against, full, base)
    if lame is not None:
        return lame
    wall, cpu = (statistics.median(per_job(full, base, what)) for what in ("wall", "cpu"))
    shown = f"{duration(wall)}/job", f"{duration(seconds)}/job"
    return figures(scenario, against, shown, (wall, cpu), (seconds, seconds), Target(ratio=1.0))
