"""Which jobs are to be rolled back, told from the events of a run."""

from __future__ import annotations

from collections.abc import Sequence

from jobtest.core.events import Event, JobEnded, PhaseEnded, PhaseStarted
from jobtest.core.model import NOT_ENTERED, Outcome, Phase
from jobtest.core.planner import Plan

__all__ = ["Rollbacks"]


class Rollbacks:
    """Hears the events of a run, and says which jobs are to be rolled back because of each.

    A job that has failed for good is, if its run phase was entered; if the whole run is rolled back, all
    others whose run phase was entered in it are, too, as soon as they have ended.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._jobs = {job.id for job in plan.graph if job.has_rollback}
        self._turns: dict[str, int] = {}
        self._started = 0
        self._entered = {id for id in self._jobs if _was_entered(plan, id)}
        self._ended: list[str] = []
        self._whole_run = False

    def turn(self, job: str) -> int:
        """Return the place of a job in the order in which run phases were entered; 0: in an earlier run."""
        return self._turns.get(job, 0)

    def take(self, event: Event) -> Sequence[str]:
        """Take in an event; return the jobs that are to be rolled back from now on, first entered first."""
        if not self._jobs:
            return ()
        match event:
            case PhaseStarted(phase=Phase.RUN) if event.job in self._jobs and event.job not in self._entered:
                self._started += 1
                self._turns[event.job] = self._started
            case PhaseEnded(phase=Phase.RUN) if event.job in self._jobs:
                if event.verdict not in NOT_ENTERED:
                    self._entered.add(event.job)
            case JobEnded():
                return self._due(event)
        return ()

    def _due(self, event: JobEnded) -> Sequence[str]:
        failed = event.outcome is Outcome.FAILED
        if event.job in self._entered:
            self._ended.append(event.job)
        if self._plan.rolls_back and failed:
            self._whole_run = True
        if self._whole_run:
            due, self._ended = sorted(self._ended, key=self.turn), []
            return due
        return [event.job] if failed and event.job in self._entered else []


def _was_entered(plan: Plan, id: str) -> bool:
    """Tell whether the run phase of a job was entered in a run that this one goes on with."""
    left = plan.decisions[id].resumed
    return left is not None and left.outcome is None and left.entered
