"""A store that forgets when the process ends, and the plainest reading of what every store promises."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from jobtest.core.errors import AlreadyEnded
from jobtest.core.events import Entry, JobEnded, PhaseEnded
from jobtest.core.past import Past
from jobtest.state.known import Known
from jobtest.state.store import Change, CleanupOwed, Owed, Owner, RunKept, RunRecord, RunsDropped, ValueKept

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps everything in dicts. What is written is there at once; `commit` has nothing to do.

    When runs are forgotten, a value stays if a past names it, or an entry or the plan of a run that is left;
    all others go, whoever named them.
    """

    url = "memory://"
    durable = False

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self._plans: dict[str, str] = {}
        self._entries: dict[str, list[Entry]] = {}
        self._outcomes: dict[str, dict[str, str]] = {}
        self._values: dict[str, str] = {}
        self._known = Known()
        self._owner: Owner | None = None

    # --- reading ---

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return runs, newest first."""
        return [self._runs[id] for id in sorted(self._runs, reverse=True)[:limit]]

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its whole id."""
        return self._runs.get(id)

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        return self._plans.get(run)

    def entries(self, run: str, job: str = "") -> Iterator[Entry]:
        """Return the journal of a run in order; with `job` only the events of that job."""
        found = tuple(self._entries.get(run, ()))
        return (entry for entry in found if not job or getattr(entry.event, "job", "") == job)

    def outcomes(self, run: str) -> Mapping[str, int]:
        """Return how many jobs of a run have ended in each way so far."""
        return dict(Counter(self._outcomes.get(run, {}).values()))

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs, by id."""
        return dict(self._known.pasts)

    def value(self, digest: str) -> str | None:
        """Return the text of a value."""
        return self._values.get(digest)

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed, by turn."""
        return sorted(self._known.owed.values(), key=lambda one: one.turn)

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of all jobs that have any: JSON text by job and key."""
        return {job: dict(texts) for job, texts in self._known.checkpoints.items()}

    def owner(self) -> Owner | None:
        """Return who owns it now, if somebody does."""
        return self._owner

    # --- writing ---

    def own(self, owner: Owner, timeout: float = 0.0) -> None:
        """Become the one that may write; nobody else can reach it."""
        self._owner = self._owner or owner

    def write(self, change: Change) -> None:
        """Take in a change; readers see it at once.

        Raises:
            AlreadyEnded: the job has ended in that run.
        """
        match change:
            case Entry():
                self._journal(change)
            case RunKept(record, plan):
                self._runs[record.id] = record
                if plan is not None:
                    self._plans[record.id] = plan
            case ValueKept(digest, text):
                self._values.setdefault(digest, text)
            case RunsDropped(runs):
                self._drop(runs)
            case CleanupOwed():
                self._known.take(self._known.turned(change))
            case _:
                self._known.take(change)

    def commit(self, *, at_once: bool = False) -> None:
        """Do nothing: nothing here outlives the process."""

    def close(self) -> None:
        """Let go of ownership; what was written can still be read."""
        self._owner = None

    def _journal(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, JobEnded):
            ended = self._outcomes.setdefault(entry.run, {})
            if event.job in ended:
                raise AlreadyEnded(event.job, entry.run)
            ended[event.job] = event.outcome.value
        self._entries.setdefault(entry.run, []).append(entry)

    def _drop(self, runs: Iterable[str]) -> None:
        for run in runs:
            for kept in (self._runs, self._plans, self._entries, self._outcomes):
                kept.pop(run, None)
        named = {past.value for past in self._known.pasts.values()}
        for plan in self._plans.values():
            named |= _named_by_plan(plan)
        for entries in self._entries.values():
            named |= {entry.event.value for entry in entries if isinstance(entry.event, PhaseEnded)}
        self._values = {digest: text for digest, text in self._values.items() if digest in named}


def _named_by_plan(text: str) -> set[str]:
    """Return the digests of the values that a plan takes over from earlier runs; of what is none, nothing."""
    try:
        decisions = json.loads(text)["decisions"]
        return {(one.get("resumed") or {}).get("value", "") for one in decisions}
    except (ValueError, LookupError, TypeError, AttributeError):
        return set()
