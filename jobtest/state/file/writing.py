"""The one that writes: what goes to which file in which order, and the end of all writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

from jobtest.core.errors import AlreadyEnded, Problem, StateLost
from jobtest.core.events import Entry, JobEnded
from jobtest.state.file.disk import Unsynced, write_whole
from jobtest.state.file.folder import Layout, check, make, unwritable
from jobtest.state.file.lines import Lines, line_of
from jobtest.state.file.reading import Reader
from jobtest.state.file.values import Values
from jobtest.state.known import Fact
from jobtest.state.store import Change, CleanupOwed, RunKept, RunsDropped, ValueKept
from jobtest.state.sync import GroupSync

__all__ = ["Writer"]

FEW = 1000
"""Lines of what is known that are never worth a rewrite."""


DELAY = 0.1
"""Seconds after which a commit is on the disk, if it is not to be there at once."""


class _To(Enum):
    """Where a change goes that goes to no journal."""

    KNOWN = "known"
    VALUES = "values"


class Writer:
    """Writes the state at a place, until it is closed or lost. Whoever makes one holds the lock.

    Attributes:
        lost: Why nothing can be kept any more, or None.
    """

    def __init__(self, layout: Layout, durability: str) -> None:
        """Take the state over, making it if it is not there.

        Raises:
            StateError: it cannot be used or written.
        """
        self.lost: Problem | None = None
        self._layout = layout
        self._reader = Reader(layout)
        self._durability = durability
        self._unsynced = Unsynced()
        self._values = Values(layout.values, self._unsynced)
        self._pending: list[tuple[str | _To, Change | Fact]] = []
        self._ended: dict[str, set[str]] = {}
        self._run: Lines | None = None
        self._run_id = ""
        try:
            _prepare(layout)
            self._known, self._known_lines = self._reader.known()
            self._facts = Lines(layout.known, self._unsynced)
            self._place = _place(layout.top)
        except OSError as error:
            raise unwritable(Path(error.filename or layout.top), error) from error
        self._group = GroupSync(self._unsynced.sync, DELAY)

    @property
    def pending(self) -> bool:
        """Whether something is written and not committed."""
        return bool(self._pending)

    def write(self, change: Change) -> None:
        """Take in a change; runs are forgotten at once, with what was written before committed.

        Raises:
            AlreadyEnded: the job has ended in that run.
            StateLost: it cannot be kept.
        """
        self._refuse_if_lost()
        match change:
            case Entry(run=run, event=event):
                if isinstance(event, JobEnded):
                    self._end(run, event.job)
                self._pending.append((run, change))
            case RunKept(record):
                self._pending.append((record.id, change))
            case ValueKept():
                self._pending.append((_To.VALUES, change))
            case RunsDropped(runs):
                self.commit()
                self._drop(runs)
            case _:
                fact = self._known.turned(change) if isinstance(change, CleanupOwed) else change
                self._known.take(fact)
                self._pending.append((_To.KNOWN, fact))

    def commit(self, *, at_once: bool = False) -> None:
        """Write what was taken in, file by file in the order given, and sync it as `durability` says.

        Raises:
            StateLost: it could not be kept.
        """
        self._refuse_if_lost()
        if not self._pending and not at_once:
            return
        pending, self._pending = self._pending, []
        try:
            self._look_around()
            for to, changes in groupby(pending, key=itemgetter(0)):
                self._put(to, [change for _, change in changes])
            if at_once or self._durability == "full":
                self._group.now()
            elif self._durability == "auto":
                self._group.soon()
            if self._known_lines > 2 * len(self._known) + FEW:
                self._rewrite()
        except OSError as error:
            self._lose(error)

    def close(self) -> None:
        """Commit and let go of files; after a loss only let go.

        Raises:
            StateLost: what was written could not be kept, and nobody was told yet.
        """
        if self.lost is not None:
            return
        self.commit()
        try:
            self._group.close()
        except OSError as error:
            self._lose(error)
        self._let_go()

    def _put(self, to: str | _To, changes: list[Change | Fact]) -> None:
        if to is _To.VALUES:
            for change in changes:
                if isinstance(change, ValueKept):
                    self._values.put(change.digest, change.text.encode("utf-8", "surrogatepass"))
            return
        raw = b"".join(map(line_of, changes))
        if isinstance(to, str):
            self._journal(to).append(raw)
        else:
            self._facts.append(raw)
            self._known_lines += len(changes)

    def _journal(self, run: str) -> Lines:
        """Return the file of a run; one is open at a time."""
        if self._run is None or self._run_id != run:
            self._close_run()
            if not self._layout.runs.is_dir():
                self._layout.runs.mkdir(mode=0o700)
                self._unsynced.add(self._layout.top)
            self._run, self._run_id = Lines(self._layout.run(run), self._unsynced), run
        return self._run

    def _end(self, run: str, job: str) -> None:
        if run not in self._ended:
            self._ended[run] = set(self._reader.ended(run))
        if job in self._ended[run]:
            raise AlreadyEnded(job, run)
        self._ended[run].add(job)

    def _drop(self, runs: Iterable[str]) -> None:
        try:
            self._look_around()
            self._close_run()
            for run in runs:
                self._ended.pop(run, None)
                self._layout.run(run).unlink(missing_ok=True)
            self._unsynced.add(self._layout.runs)
            self._values.keep_only(
                (past.value for past in self._known.pasts.values()),
                (self._layout.run(id) for id in self._layout.run_ids()),
            )
        except OSError as error:
            self._lose(error)

    def _rewrite(self) -> None:
        """Say what is known with as few lines as possible, in a new file that takes the place of the old."""
        facts = list(self._known.facts())
        write_whole(self._layout.known, b"".join(map(line_of, facts)))
        self._facts.close()
        self._facts = Lines(self._layout.known, self._unsynced)
        self._known_lines = len(facts)

    def _look_around(self) -> None:
        """Compare what lies at the place with what is written to."""
        there = self._facts.there and (self._run is None or self._run.there)
        if not there or _place(self._layout.top) != self._place:
            raise FileNotFoundError(errno.ENOENT, "it was removed or replaced")

    def _refuse_if_lost(self) -> None:
        if self.lost is not None:
            raise StateLost(self.lost)

    def _lose(self, error: OSError) -> NoReturn:
        """End all writing: what follows would come after what may be half a line."""
        self.lost = _problem(self._layout.top, error)
        with suppress(OSError):
            self._group.close()
        self._let_go()
        raise StateLost(self.lost) from error

    def _let_go(self) -> None:
        self._close_run()
        self._facts.close()

    def _close_run(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


def _prepare(layout: Layout) -> None:
    """Make the state if it is not there, and find out now whether it could be written later."""
    if not check(layout.top):
        make(layout.top)
    for path in (layout.top, layout.runs, layout.values, layout.known):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _place(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _problem(path: Path, error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what, fix = f"state disk is full: {path}", "make room and run again"
    elif error.errno == errno.ENOENT:
        what, fix = "the state was removed or replaced while it was used", "put it back, or run again"
    else:
        what, fix = f"the state cannot be written: {error.strerror or error}", "mend the disk and run again"
    return Problem(what=what, at=(str(error.filename or path),), fix=fix)
