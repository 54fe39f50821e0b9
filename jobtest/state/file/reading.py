"""What a state holds, read from its files. Nothing is written, and nothing is kept in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import cast, get_args

from jobtest.core.events import Entry, JobEnded
from jobtest.state.file.folder import Layout
from jobtest.state.file.lines import change_of, damaged, is_of_kind, last_of_kind, lines_of, size_of
from jobtest.state.known import Fact, Known
from jobtest.state.store import RunKept, RunRecord

__all__ = ["Reader"]

_JOB_ENDED = b'"event":{"event":"JobEnded"'
"""In the line of such an entry, and in no other: in text, quotes have a backslash."""

_FACTS = get_args(Fact)


class Reader:
    """Reads the state at a place. One that is not there is empty.

    Every method raises `StateError` if what it needs cannot be read or is not what was written.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def runs(self, limit: int | None) -> list[RunRecord]:
        """Return runs, newest first."""
        found: list[RunRecord] = []
        for id in self._layout.run_ids():
            if limit is not None and len(found) >= limit:
                break
            record = self.run(id)
            if record is not None:
                found.append(record)
        return found

    def run(self, id: str) -> RunRecord | None:
        """Return a run by its id; None if not even its first line is whole."""
        last = last_of_kind(self._layout.run(id), RunKept)
        return cast("RunKept", last).record if last else None

    def plan(self, id: str) -> str | None:
        """Return the plan text of a run: it is in its first line."""
        path = self._layout.run(id)
        for number, line in lines_of(path):
            first = change_of(path, number, line)
            return first.plan if isinstance(first, RunKept) else None
        return None

    def entries(self, run: str, job: str) -> Iterator[Entry]:
        """Return the entries of a run that are there now, in order."""
        return self._entries(run, job, size_of(self._layout.run(run)))

    def ended(self, run: str) -> dict[str, str]:
        """Return the outcomes of the jobs of a run that have ended."""
        path = self._layout.run(run)
        found: dict[str, str] = {}
        for number, line in lines_of(path):
            if _JOB_ENDED in line:
                event = cast("JobEnded", cast("Entry", change_of(path, number, line)).event)
                found[event.job] = event.outcome.value
        return found

    def outcomes(self, run: str) -> dict[str, int]:
        """Return how many jobs of a run have ended in each way."""
        return dict(Counter(self.ended(run).values()))

    def known(self) -> tuple[Known, int]:
        """Return what is known beside the runs, and how many lines say so."""
        path = self._layout.known
        known, number = Known(), 0
        for number, line in lines_of(path):
            fact = change_of(path, number, line)
            if not isinstance(fact, _FACTS):
                raise damaged(path, number, f"{type(fact).__name__} does not belong here")
            known.take(fact)
        return known, number

    def _entries(self, run: str, job: str, upto: int) -> Iterator[Entry]:
        path = self._layout.run(run)
        named = b'"job":' + json.dumps(job).encode("ascii") if job else b""
        for number, line in lines_of(path, upto):
            if named in line and is_of_kind(line, Entry):
                entry = cast("Entry", change_of(path, number, line))
                if not job or getattr(entry.event, "job", "") == job:
                    yield entry
