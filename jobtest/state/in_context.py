"""One store for all contexts of a project: each sees its own runs, and what is known of jobs in them.

A job in `prod` is another job than the same one in `dev`: what is known of it stands under another key,
`//prod/` before its id, which no id of a project begins with. Without a context the key is the id. Runs are
told apart by their record; who owns the store owns it for all contexts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobtest.core.events import Entry
from jobtest.core.past import Past
from jobtest.state.store import Change, Owed, Owner, RunKept, RunRecord, RunsDropped, Store, ValueKept

__all__ = ["InContext"]

OTHERS = "//"
"""What the keys of all contexts begin with."""


class InContext:
    """A store as it is seen from one context.

    Args:
        store: Keeps everything.
        context: Name of the context, or empty.
    """

    def __init__(self, store: Store, context: str) -> None:
        self._store, self._context = store, context
        self._prefix = f"{OTHERS}{context}/" if context else ""

    @property
    def url(self) -> str:
        """What `--job-state` would say, for messages."""
        return self._store.url

    @property
    def durable(self) -> bool:
        """Whether it outlives the process."""
        return self._store.durable

    # --- reading ---

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return runs in this context, newest first."""
        asked = limit
        while True:
            records = self._store.runs(asked)
            found = [one for one in records if one.context == self._context]
            if limit is None or asked is None or len(found) >= limit or len(records) < asked:
                return found[:limit]
            asked *= 4

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its whole id."""
        return self._store.run(id)

    def plan(self, run: str) -> str | None:
        """Return the plan text of a run."""
        return self._store.plan(run)

    def entries(self, run: str, job: str = "") -> Iterator[Entry]:
        """Return the journal of a run in order; with `job` only the events of that job."""
        return self._store.entries(run, job)

    def outcomes(self, run: str) -> Mapping[str, int]:
        """Return how many jobs of a run have ended in each way so far."""
        return self._store.outcomes(run)

    def pasts(self) -> dict[str, Past]:
        """Return what is known of jobs in this context, by id."""
        found = self._store.pasts()
        return {key[len(self._prefix) :]: past for key, past in found.items() if self._is_here(key)}

    def value(self, digest: str) -> str | None:
        """Return the text of a value."""
        return self._store.value(digest)

    def owed(self) -> list[Owed]:
        """Return the cleanups that are owed in this context, by turn."""
        found = self._store.owed()
        return [replace(one, job=one.job[len(self._prefix) :]) for one in found if self._is_here(one.job)]

    def checkpoints(self) -> dict[str, dict[str, str]]:
        """Return the checkpoints of all jobs that have any in this context: JSON text by job and key."""
        found = self._store.checkpoints()
        return {key[len(self._prefix) :]: texts for key, texts in found.items() if self._is_here(key)}

    def owner(self) -> Owner | None:
        """Return who owns it now, if somebody does."""
        return self._store.owner()

    def _is_here(self, key: str) -> bool:
        return key.startswith(self._prefix) if self._prefix else not key.startswith(OTHERS)

    # --- writing ---

    def own(self, owner: Owner, timeout: float = 0.0) -> None:
        """Become the one that may write, in all contexts."""
        self._store.own(owner, timeout)

    def write(self, change: Change) -> None:
        """Take in a change; what it says of a job it says of the job in this context."""
        if self._prefix and not isinstance(change, Entry | RunKept | ValueKept | RunsDropped):
            change = replace(change, job=f"{self._prefix}{change.job}")
        self._store.write(change)

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written."""
        self._store.commit(at_once=at_once)

    def close(self) -> None:
        """Commit, let go of ownership and of files."""
        self._store.close()
