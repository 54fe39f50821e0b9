"""The values that jobs take, by digest: what is known of them now, and what was recorded earlier."""

from __future__ import annotations

from jobtest.core.planner import Plan

__all__ = ["Inputs"]


class Inputs:
    """Compares the values that jobs take with those of their last success (PRODUCT 4.5).

    A value that cannot be stored has no digest, and is never found to have changed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known = {id: past.value for id, past in plan.pasts.items() if not past.gone}
        for id, decision in plan.decisions.items():
            if decision.resumed is not None and decision.resumed.value:
                self._known[id] = decision.resumed.value

    def learn(self, job: str, digest: str) -> None:
        """Take in the digest of the value that a job has now; empty if it is not known."""
        self._known[job] = digest

    def stored(self, job: str) -> bool:
        """Tell whether the value of a job is known by its digest."""
        return bool(self._known.get(job))

    def taken(self, job: str) -> dict[str, str]:
        """Return the digests of the values that a job takes now, as far as they are known, by upstream id."""
        takes = self._plan.graph[job].takes
        found = {id: self._known.get(id, "") for take in takes for id in take.upstream}
        return {id: digest for id, digest in found.items() if digest}

    def recorded(self, job: str) -> list[str]:
        """Return the jobs whose values a job took at its last success, among those it takes now."""
        past = self._plan.pasts.get(job)
        if past is None or not past.inputs or not self._plan.graph[job].tracks:
            return []
        takes = self._plan.graph[job].takes
        return [id for take in takes for id in take.upstream if id in past.inputs]

    def changed(self, job: str) -> str:
        """Return an upstream job whose value is not the one recorded, or empty."""
        past = self._plan.pasts.get(job)
        for id in self.recorded(job):
            now = self._known.get(id, "")
            if now and past is not None and now != past.inputs[id]:
                return id
        return ""
