"""A plan and a drift are executors: they ask checks and never call a run phase."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jobtest.core.model import EdgeKind, Failure, Phase, Verdict
from jobtest.engine.calls import Result, Ticket
from jobtest.engine.executors.protocol import Executor, Finished, Prepare

__all__ = ["DriftExecutor", "PlanExecutor"]


class PlanExecutor:
    """Asks checks through another executor and says of a run phase that it would run.

    What a check says of a job below one that would run may be another thing by then, so it is unknown; so is
    a gate that does not hold now.

    Args:
        inner: Calls the checks.
        forced: Ids of jobs that run whatever their check says.
    """

    def __init__(self, inner: Executor, forced: Collection[str] = ()) -> None:
        self._inner = inner
        self._forced = forced
        self._ready: list[Finished] = []
        self._unsettled: dict[str, str] = {}

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Ask a check; answer for anything else."""
        if ticket.phase is Phase.CHECK or ticket.phase is Phase.DESCRIBE:
            self._inner.start(ticket, prepare)
        else:
            self._unsettled[ticket.job.id] = ticket.job.label
            self._ready.append((ticket, self._instead(ticket)))

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return answers of both kinds."""
        if self._ready:
            finished, self._ready = self._ready, []
            return finished
        return [(ticket, self._seen(ticket, result)) for ticket, result in self._inner.collect(timeout)]

    def cancel(self, ticket: Ticket) -> bool:
        """Ask the other executor."""
        return self._inner.cancel(ticket)

    def keeps_time(self, ticket: Ticket) -> bool:
        """Ask the other executor."""
        return self._inner.keeps_time(ticket)

    def note(self, ticket: Ticket) -> str:
        """Ask the other executor."""
        return self._inner.note(ticket)

    def wake(self) -> None:
        """Wake the other executor."""
        self._inner.wake()

    def close(self) -> None:
        """Close the other executor."""
        self._inner.close()

    def _instead(self, _: Ticket) -> Result:
        return Result(Verdict.WOULD_RUN)

    def _seen(self, ticket: Ticket, result: Result) -> Result:
        if ticket.job.goes:
            return result
        if result.verdict is Verdict.NOT_HOLDING and not ticket.job.has_run:
            result = self._unknown(result, f"it does not hold now: {result.failure}")
        elif result.verdict is Verdict.OK and ticket.job.id not in self._forced:
            for edge in ticket.job.edges:
                if edge.upstream in self._unsettled and edge.kind is not EdgeKind.AFTER:
                    result = self._unknown(
                        result, f"it holds now; known after {self._unsettled[edge.upstream]} has run"
                    )
                    break
        if result.verdict is Verdict.UNKNOWN:
            self._unsettled[ticket.job.id] = ticket.job.label
        return result

    @staticmethod
    def _unknown(result: Result, said: str) -> Result:
        return Result(Verdict.UNKNOWN, Failure(said), output=result.output)


class DriftExecutor(PlanExecutor):
    """As a plan, but a job that would run has drifted, and what cannot be asked is skipped."""

    def _instead(self, _: Ticket) -> Result:
        return Result(Verdict.DRIFTED)

    def _seen(self, _: Ticket, result: Result) -> Result:
        if result.verdict is Verdict.UNKNOWN:
            return Result(Verdict.SKIPPED, result.failure)
        return result
