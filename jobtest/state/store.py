"""The protocol of a store: a journal of entries, and the values of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from jobtest.core.events import Entry

__all__ = ["Store"]


class Store(Protocol):
    """Keeps what happened. The engine writes an entry here before it acts on it."""

    def append(self, entry: Entry) -> None:
        """Keep an entry; when this returns it is kept as safely as the store promises.

        Raises:
            OSError: it could not be kept; the run stops.
        """

    def entries(self, run: str) -> Iterable[Entry]:
        """Return the entries of a run, in order."""

    def put_value(self, run: str, job: str, value: object) -> None:
        """Keep the value of a job."""

    def values(self, run: str) -> dict[str, object]:
        """Return the values of a run by job id."""
