"""The event stream: one line of JSON per entry, as it happens, for whoever follows a run with `tail -f`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from jobtest.core.events import Entry, event_to_data
from jobtest.reports.times import iso_utc

__all__ = ["EventLog", "entry_to_line"]


def entry_to_line(entry: Entry) -> str:
    """Return an entry as one line of JSON in ASCII, fields at their default left out."""
    data = {"seq": entry.seq, "at": iso_utc(entry.at), "run": entry.run, **event_to_data(entry.event)}
    return json.dumps(data)


class EventLog:
    """An observer that appends each entry to a file at once, so that a reader sees whole lines.

    The file is opened here, so that a path that cannot be written is known before the run; what was in it is
    gone. Folders that are missing are made.

    Args:
        path: The file.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._stream = target.open("w", encoding="utf-8", newline="\n")

    def __call__(self, entry: Entry) -> None:
        """Write an entry."""
        self._stream.write(entry_to_line(entry) + "\n")
        self._stream.flush()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._stream.close()
