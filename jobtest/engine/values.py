"""The values of a run: which of them each phase is handed over."""

from __future__ import annotations

from jobtest.core.model import Command, Failure, Phase, Take, Verdict
from jobtest.core.past import Resumed
from jobtest.core.planner import Plan
from jobtest.engine.calls import NO_VALUE, Result, Ticket
from jobtest.engine.memory import Memory

__all__ = ["Values"]

UNNEEDED = (Phase.ROLLBACK, Phase.CLEANUP)
"""Phases that may ask for less than their job does; who knows their functions sees to what is missing."""


class Values:
    """Knows the values of jobs: those made in this run, and those that earlier ones have stored.

    Args:
        plan: What is done.
        memory: Has those of earlier runs.
        made: Those of this run by job id; filled by whoever has them made.

    Attributes:
        entered: Ids of jobs whose run phase was entered: their stored values are not theirs any more.
    """

    def __init__(self, plan: Plan, memory: Memory, made: dict[str, object]) -> None:
        self.entered = {id for id, one in plan.decisions.items() if _was_cut_short(one.resumed)}
        self._plan, self._memory, self._made = plan, memory, made
        if plan.command is Command.DESCRIBE:
            there = (id for id in plan.graph.jobs if id in plan.pasts and plan.pasts[id].exists)
            made.update({id: memory.recalled[id] for id in there if id in memory.recalled})

    def given(self, ticket: Ticket) -> dict[str, object] | Result:
        """Return the values that a phase is handed over, or what it comes to without them."""
        job = ticket.job
        values: dict[str, object] = {}
        for take in job.takes:
            needed = ticket.phase is not Phase.CHECK or take.parameter in job.early
            missing = self._take(take, values)
            if missing and needed and not self._plan.verb and ticket.phase not in UNNEEDED:
                name = self._plan.graph[missing].label
                return Result(Verdict.UNKNOWN, Failure(f"known after {name} has run"))
        if job.own_value:
            own = self._own(ticket)
            if own is not NO_VALUE:
                values[job.name] = own
            elif ticket.phase in (Phase.CHECK, Phase.RECHECK):
                return Result(Verdict.NOT_HOLDING, Failure("its own value is not known yet"))
        return values

    def _own(self, ticket: Ticket) -> object:
        recalls = ticket.phase is Phase.CHECK or self._plan.verb
        stored = self._memory.recalled if recalls else {}
        return self._made.get(ticket.job.id, stored.get(ticket.job.id, NO_VALUE))

    def _take(self, take: Take, values: dict[str, object]) -> str:
        """Fetch the value of a parameter; return the id of an upstream job that has none, or empty."""
        taken = []
        for upstream in take.upstream:
            taken.append(self._of(upstream))
            if taken[-1] is NO_VALUE:
                return upstream
        if take.keys is None:
            values[take.parameter] = taken[0]
        else:
            values[take.parameter] = dict(zip(take.keys, taken, strict=True))
        return ""

    def _of(self, id: str) -> object:
        """Return the value of a job: of this run, or the one stored if it has not run; or `NO_VALUE`."""
        if id in self._made and self._plan.command is not Command.VERB:
            return self._made[id]
        if id in self._memory.recalled and (self._plan.verb or id not in self.entered):
            return self._memory.recalled[id]
        return None if self._is_gate(id) else NO_VALUE

    def _is_gate(self, id: str) -> bool:
        """Tell whether a job has nothing that could make a value; what is taken of it is None."""
        if id not in self._plan.graph:
            return False
        job = self._plan.graph[id]
        return not job.has_run and not job.has_describe


def _was_cut_short(left: Resumed | None) -> bool:
    return left is not None and left.outcome is None and left.entered
