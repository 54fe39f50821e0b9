"""The errors a user meets before anything runs, and the one that means a bug in jobtest.

What lives here: how an error says what is wrong, where, and what to do. What does not: the failures of jobs,
which are data (`jobtest.core.model.Failure`) and end in a report, not in an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = [
    "AlreadyEnded",
    "IllegalTransition",
    "JobtestError",
    "Problem",
    "ProjectError",
    "StateError",
    "StateLocked",
    "StateLost",
    "UsageError",
    "did_you_mean",
    "nearest",
]


class JobtestError(Exception):
    """Whatever jobtest raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a project: what, where, and what to do.

    Attributes:
        what: One sentence, with the offending value in it.
        at: The places, as `file:line name`; both sides of a conflict, each edge of a cycle.
        fix: What to do, or empty where nothing sensible can be said.
        tentative: It may come from a file that could not be read.
    """

    what: str
    at: tuple[str, ...] = ()
    fix: str = ""
    tentative: bool = False

    def __str__(self) -> str:
        lines = [self.what, *(f"  at: {place}" for place in self.at)]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class ProjectError(JobtestError):
    """A project that cannot be planned. Carries every problem found, not only the first.

    Attributes:
        problems: At least one, in a stable order.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(ProjectError):
    """An option or a setting that cannot be followed."""


class StateError(UsageError):
    """A state that cannot be used: foreign, newer, damaged, unreadable. It is left as it is."""


class StateLocked(StateError):
    """A state that another run holds."""


class StateLost(JobtestError):
    """A state that could not keep what was written: nothing may start any more.

    The disk is full, the state was taken away, or another run has taken it over.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class AlreadyEnded(JobtestError):
    """A job that has ended in a run is to end in it again. This is a bug in jobtest."""

    def __init__(self, job: str, run: str) -> None:
        self.job, self.run = job, run
        super().__init__(f"job {job!r} has ended in run {run} already\n  fix: this is a bug in jobtest")


class IllegalTransition(JobtestError):
    """An event that the present state of a run does not allow.

    This is a bug in jobtest, or a journal of another run.
    """

    def __init__(self, job: str, state: str, event: str) -> None:
        self.job, self.state, self.event = job, state, event
        super().__init__(
            f"job {job!r} is {state} and cannot take {event}\n"
            "  fix: this is a bug in jobtest, or the journal belongs to another plan"
        )


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is spelled most like `name`, or None if none is close."""
    letters = sorted(name)
    same = [one for one in known if sorted(one) == letters]
    if same:
        return min(same)
    found = get_close_matches(name, known, n=1, cutoff=0.6 if len(name) > 3 else 0.5)
    return found[0] if found else None


def did_you_mean(name: str, known: Collection[str], *, what: str = "known are") -> str:
    """Return the `fix` of an unknown name: the nearest one, else the list (at most twelve), else nothing.

    Args:
        name: What was asked for.
        known: What could have been asked for.
        what: How the list is introduced.
    """
    close = nearest(name, known)
    if close is not None:
        return f"did you mean {close!r}?"
    if not known:
        return ""
    listed = sorted(known)
    return f"{what}: {', '.join(listed[:12])}{', ...' if len(listed) > 12 else ''}"
