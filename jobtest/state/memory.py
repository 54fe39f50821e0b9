"""A store that forgets when the process ends."""

from __future__ import annotations

from collections.abc import Iterable

from jobtest.core.events import Entry

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps entries and values in lists and dicts; the values are the objects themselves."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        self._values: dict[str, dict[str, object]] = {}

    def append(self, entry: Entry) -> None:
        """Keep an entry."""
        try:
            self._entries[entry.run].append(entry)
        except KeyError:
            self._entries[entry.run] = [entry]

    def entries(self, run: str) -> Iterable[Entry]:
        """Return the entries of a run, in order."""
        return tuple(self._entries.get(run, ()))

    def put_value(self, run: str, job: str, value: object) -> None:
        """Keep the value of a job."""
        self._values.setdefault(run, {})[job] = value

    def values(self, run: str) -> dict[str, object]:
        """Return the values of a run by job id."""
        return dict(self._values.get(run, {}))
