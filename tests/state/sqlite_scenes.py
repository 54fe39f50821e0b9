"""A state with everything in it, what can be read of one, and a life to be cut short."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobtest.core.events import Entry, JobEnded, PhaseEnded, PhaseStarted, RunStarted
from jobtest.core.model import Command, Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.state.codec import digest_of
from jobtest.state.sqlite import SqliteStore
from jobtest.state.store import (
    CheckpointKept,
    CleanupOwed,
    Owner,
    PastKept,
    RunKept,
    RunRecord,
    ValueKept,
)

ME = Owner(host="box", pid=4711, since=1_700_000_000.0, command="pytest --orchestrate")
LONG = json.dumps("long " * 100)
LARGE = 200
"""Characters: `LONG` goes to a file, what else is here does not."""


def opened(path, **options):
    """Return a store that is owned."""
    store = SqliteStore(path, **{"large": LARGE, **options})
    store.own(ME)
    return store


def started(run, jobs=3):
    """Return the changes that begin a run."""
    record = RunRecord(id=run, context="test", argv=("pytest",), jobs=jobs, started_at=1_700_000_000.0)
    return [
        RunKept(record, json.dumps({"plan of": run, "filler": list(range(300))})),
        Entry(0, 1_700_000_000.0, run, RunStarted(Command.APPLY, jobs, 1)),
    ]


def changed(run, number, text="[1]"):
    """Return the changes that a job makes which runs and has a value; `number` counts jobs from 0."""
    job, seq, at = f"job_{number}.py::job_{number}", 3 * number + 1, 1_700_000_001.5 + number
    digest = digest_of(text)
    past = Past(run=run, at=at, definition=f"{number:064x}", value=digest, changed_run=run, changed_at=at)
    return [
        CleanupOwed(job, run),
        Entry(seq, at, run, PhaseStarted(job, 1, Phase.RUN)),
        CheckpointKept(job, "rows", str(number)),
        ValueKept(digest, text),
        Entry(seq + 1, at + 1, run, PhaseEnded(job, 1, Phase.RUN, Verdict.OK, stdout="hi\n", value=digest)),
        PastKept(job, past),
        Entry(seq + 2, at + 2, run, JobEnded(job, Outcome.CHANGED, "its value is new")),
    ]


def fill(store, runs=("r1", "r2"), jobs=3):
    """Write some runs and commit them."""
    for run in runs:
        for change in started(run, jobs):
            store.write(change)
        for number in range(jobs):
            for change in changed(run, number, LONG if number == 1 else f"[{number}]"):
                store.write(change)
    store.commit()


def read(store):
    """Return all that a store gives, as plain data."""
    runs = store.runs()
    entries = {run.id: list(store.entries(run.id)) for run in runs}
    named = {getattr(entry.event, "value", "") for kept in entries.values() for entry in kept} - {""}
    return {
        "runs": runs,
        "plans": {run.id: store.plan(run.id) for run in runs},
        "entries": entries,
        "outcomes": {run.id: dict(store.outcomes(run.id)) for run in runs},
        "pasts": store.pasts(),
        "values": {digest: store.value(digest) for digest in sorted(named)},
        "owed": store.owed(),
        "checkpoints": store.checkpoints(),
    }


def read_and_close(path):
    """Return what a new reader finds."""
    store = SqliteStore(path, large=LARGE)
    try:
        return read(store)
    finally:
        store.close()


def as_killed(path):
    """Return a copy of a state as it would be if its owner were killed now."""
    folder = Path(tempfile.mkdtemp(dir=path.parents[1]))
    return shutil.copytree(path.parent, folder / "copy") / path.name


def said(error):
    """Return the only problem of an error."""
    (problem,) = error.value.problems
    return problem


strace = pytest.mark.skipif(
    shutil.which("strace") is None or not sys.platform.startswith("linux"), reason="needs strace"
)


def faulty(arguments, *faults, log="/dev/null", trace="none"):
    """Run Python with some system calls failing; a fault is `CALL:error=ENOSPC:when=3` and the like."""
    traced = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={trace}"]
    for fault in faults:
        traced += ["-e", f"trace={fault.partition(':')[0]}", "-e", f"inject={fault}"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{Path(__file__).parent}"}
    command = [*traced, sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)


def life(path, jobs, durability="auto"):
    """Run jobs one by one, saying on standard output what is done, as a run would."""
    store = opened(path, durability=durability)
    for change in started("r1", jobs):
        store.write(change)
    store.commit(at_once=True)
    for number in range(jobs):
        before, after = changed("r1", number)[:2], changed("r1", number, f"[{number}]")[2:]
        for change in before:
            store.write(change)
        store.commit(at_once=number % 2 == 0)
        for change in after:
            store.write(change)
        store.commit(at_once=number % 2 == 1)
        print(number, flush=True)
    store.close()


if __name__ == "__main__":
    life(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
