"""Stores that are wrapped around that of a run, if the environment says so.

`MARKS=FILE`: what the store was given is written to the file, line by line, each time that it has kept it.
`LOSES=...`: the store breaks a promise, to see that this is noticed.
"""

import json
import os

from jobtest.core.events import Entry, PhaseStarted
from jobtest.core.model import Phase
from jobtest.state.changes import change_to_data
from jobtest.state.store import CleanupOwed, PastKept


class Marking:
    """Says what was kept."""

    def __init__(self, store, marks):
        self._store, self._written = store, []
        self._marks = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)

    def __getattr__(self, name):
        return getattr(self._store, name)

    def write(self, change):
        self._store.write(change)
        self._written.append(change_to_data(change))

    def commit(self, *, at_once=False):
        self._store.commit(at_once=at_once)
        written, self._written = self._written, []
        kept = {"life": os.environ["LIFE"], "at_once": at_once, "changes": written}
        os.write(self._marks, (json.dumps(kept) + "\n").encode())


class Forgetful:
    """Loses something: `commits` that are not at once, `intents` to run, `owed` cleanups, `pasts`."""

    def __init__(self, store, what):
        self._store, self._what, self._intends = store, what, False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def write(self, change):
        lost = {"owed": CleanupOwed, "pasts": PastKept}.get(self._what, ())
        event = change.event if isinstance(change, Entry) else None
        self._intends = isinstance(event, PhaseStarted) and event.phase is Phase.RUN
        if not isinstance(change, lost):
            self._store.write(change)

    def commit(self, *, at_once=False):
        lost = {"commits": not at_once, "intents": self._intends}.get(self._what, False)
        if not lost:
            self._store.commit(at_once=at_once)


def wrap(config):
    orchestration = config.pluginmanager.get_plugin("jobtest-orchestration")
    if "MARKS" in os.environ:
        orchestration.wrap = lambda store: Marking(store, os.environ["MARKS"])
    if "LOSES" in os.environ:
        orchestration.wrap = lambda store: Forgetful(store, os.environ["LOSES"])
