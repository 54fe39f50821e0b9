"""A plan and a drift are executors: they ask checks and never call a run phase."""

from __future__ import annotations

from collections.abc import Sequence

from jobtest.core.model import Failure, Phase, Verdict
from jobtest.engine.calls import Result, Ticket
from jobtest.engine.executors.protocol import Executor, Finished, Prepare

__all__ = ["DriftExecutor", "PlanExecutor"]


class PlanExecutor:
    """Asks checks through another executor and says of a run phase that it would run.

    A gate that does not hold now may hold when what is before it has run, so its outcome is unknown.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._ready: list[Finished] = []

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Ask a check; answer for anything else."""
        if ticket.phase is Phase.CHECK or ticket.phase is Phase.DESCRIBE:
            self._inner.start(ticket, prepare)
        else:
            self._ready.append((ticket, self._instead(ticket)))

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return answers of both kinds."""
        if self._ready:
            finished, self._ready = self._ready, []
            return finished
        return [(ticket, self._seen(ticket, result)) for ticket, result in self._inner.collect(timeout)]

    def wake(self) -> None:
        """Wake the other executor."""
        self._inner.wake()

    def close(self) -> None:
        """Close the other executor."""
        self._inner.close()

    def _instead(self, _: Ticket) -> Result:
        return Result(Verdict.WOULD_RUN)

    def _seen(self, ticket: Ticket, result: Result) -> Result:
        if result.verdict is Verdict.NOT_HOLDING and not ticket.job.has_run:
            said = Failure(f"it does not hold now: {result.failure}")
            return Result(Verdict.UNKNOWN, said, output=result.output)
        return result


class DriftExecutor(PlanExecutor):
    """As a plan, but a job that would run has drifted, and what cannot be asked is skipped."""

    def _instead(self, _: Ticket) -> Result:
        return Result(Verdict.DRIFTED)

    def _seen(self, _: Ticket, result: Result) -> Result:
        if result.verdict is Verdict.UNKNOWN:
            return Result(Verdict.SKIPPED, result.failure)
        return result
