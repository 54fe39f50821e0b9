"""Words and lines that the texts of the history share; made for a terminal of any kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jobtest.core.model import Outcome, Phase, Verdict
from jobtest.core.summary import AttemptRecord, JobRecord, PhaseRecord
from jobtest.reports.times import iso_utc

__all__ = [
    "SYMBOLS",
    "attempt_lines",
    "clipped",
    "columns",
    "counts",
    "one_line",
    "phase_said",
    "tail_lines",
    "took",
    "when",
]

LONGEST = 200
"""Characters of a value that are shown in a line."""

SYMBOLS: Mapping[Outcome | None, str] = {
    Outcome.UNCHANGED: ".",
    Outcome.CHANGED: "+",
    Outcome.WOULD_RUN: "~",
    Outcome.UNKNOWN: "?",
    Outcome.FAILED: "F",
    Outcome.BLOCKED: "b",
    Outcome.SKIPPED: "s",
    Outcome.POSTPONED: "p",
    Outcome.CANCELLED: "c",
    None: "-",
}
"""One character for each outcome, in the order in which counts are given; a dash for none yet."""

_SAID: Mapping[tuple[Phase | None, Verdict], str] = {
    (Phase.CHECK, Verdict.OK): "holds",
    (Phase.RECHECK, Verdict.OK): "holds",
    (None, Verdict.NOT_HOLDING): "does not hold",
    (None, Verdict.BROKEN): "is broken",
    (None, Verdict.SETUP_ERROR): "set-up failed",
}

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, lone surrogates, ends of lines, and what makes others be shown elsewhere."""


def one_line(text: str) -> str:
    r"""Return text on one line: what controls instead of showing becomes an escape like `\x1b` or `\n`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def clipped(text: str) -> str:
    """Return text on one line of at most 200 characters."""
    shown = one_line(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def when(seconds: float) -> str:
    """Return seconds since the epoch as `2026-01-31 10:00:00Z`."""
    return f"{iso_utc(seconds)[:19]}Z".replace("T", " ")


def took(seconds: float | None) -> str:
    """Return a duration, or a dash."""
    return "-" if seconds is None else f"{seconds:.2f}s"


def counts(totals: Mapping[str, int]) -> str:
    """Return `7 unchanged, 3 changed`; what there is none of is left out."""
    names = [outcome.value for outcome in SYMBOLS if outcome is not None]
    return ", ".join(f"{totals[name]} {name}" for name in names if totals.get(name))


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Yield rows as lines with aligned columns; the last column is as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{indent}{'  '.join(cells)}".rstrip()


def phase_said(phase: PhaseRecord) -> str:
    """Return what came of a phase in a few words."""
    if phase.verdict is None:
        return "under way"
    usual = phase.verdict.value.replace("_", " ")
    return _SAID.get((phase.phase, phase.verdict)) or _SAID.get((None, phase.verdict)) or usual


def attempt_lines(attempts: Iterable[AttemptRecord], indent: str) -> Iterator[str]:
    """Yield a line for each phase of each attempt: which, what came of it, how long it took, what it said."""
    rows = [
        (
            "" if at else f"attempt {attempt.number}",
            phase.phase.value,
            phase_said(phase),
            took(phase.seconds if phase.ended_at is not None else None),
            one_line(str(phase.failure)) if phase.failure is not None else "",
        )
        for attempt in attempts
        for at, phase in enumerate(attempt.phases)
    ]
    return columns(rows, indent)


def tail_lines(record: JobRecord, indent: str) -> Iterator[str]:
    """Yield a line for each rollback of a job, and for what else went wrong after it had ended."""
    for phase in record.tails:
        name = "what it held open" if phase.phase is Phase.CLOSE else phase.phase.value
        earlier = phase is record.earlier_rollback or phase is record.earlier_cleanup
        owed = " of an earlier run" if earlier else ""
        if phase.phase is Phase.ROLLBACK or not phase.ok:
            yield f"{indent}{name}{owed}: {_came_of(phase)}"


def _came_of(phase: PhaseRecord) -> str:
    if phase.verdict is None:
        return "under way"
    if phase.ok:
        return "done"
    return one_line(str(phase.failure)) if phase.failure is not None else phase.verdict.value
