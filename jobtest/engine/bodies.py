"""What the loop asks of whoever knows the user's functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from jobtest.engine.calls import Call, Isolated, Output, Result, Ticket

__all__ = ["Bodies"]


class Bodies(Protocol):
    """Knows the user's functions by job id. All methods are called on the main thread."""

    def prepare(self, ticket: Ticket, values: Mapping[str, object]) -> Call | Isolated | Result:
        """Make a phase ready to be called.

        Args:
            ticket: Which phase of which job.
            values: The values of upstream jobs by parameter, and under the job's own name its own, if there
                is one.

        Returns:
            The call, or what the phase came to without one, e.g. because its set-up failed.
        """

    def attempt_over(self, job: str) -> None:
        """Let go of what an attempt held, another attempt will follow."""

    def left(self, job: str) -> Output:
        """Return what a body has printed that is left behind, and go on without it."""

    def at_once(self, job: str) -> bool:
        """Tell whether the end of a job is to be seen to before anything else begins, as that takes time."""

    def job_over(self, job: str) -> None:
        """Let go of what a job held and report it: it has ended."""

    def tail_over(self, job: str, result: Result, *, earlier: bool) -> None:
        """Report what came of closing, rolling back or cleaning up after a job.

        Args:
            job: Its id.
            result: What came of it.
            earlier: It was owed by an earlier run, and came before anything else.
        """

    def files(self, job: str) -> Mapping[str, str] | None:
        """Return the digests of the files that a job names, by path; None if it names none."""

    def run_over(self) -> None:
        """Report what is not reported yet: of a run that was ended at once, cleanups do not come any more."""
