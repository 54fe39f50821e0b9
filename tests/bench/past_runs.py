"""Runs in jobtest's environment: makes a state of many past runs, or times how long one takes to open.

    python past_runs.py 1000 100        python past_runs.py open

Both are about the default state of the current folder. Numbers: so many runs of so many jobs are written to
it through the store, without running anything: three events a job, as if its check had held, and two a run.
`open`: seconds of wall and CPU for `open`, as JSON: it is owning the state and reading what a run asks of it
before it begins.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scenarios import name

from jobtest import Graph, Job, make_plan
from jobtest.core.events import Entry, Event, JobEnded, PhaseEnded, PhaseStarted, RunEnded, RunStarted
from jobtest.core.kept_plan import plan_to_data
from jobtest.core.model import Command, Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.engine.clock import new_run_id
from jobtest.state.opening import open_store
from jobtest.state.store import Owner, PastKept, RunKept, RunRecord

OWNER = Owner(host="bench", pid=os.getpid(), since=0.0, command="past_runs.py")
BEGINNING = 1.7e9  # seconds since the epoch
EACH = 60.0  # seconds from run to run


def _events(id: str) -> Iterator[Event]:
    yield PhaseStarted(id, 1, Phase.CHECK)
    yield PhaseEnded(id, 1, Phase.CHECK, Verdict.OK)
    yield JobEnded(id, Outcome.UNCHANGED, "check holds")


def write(runs: int, jobs: int) -> None:
    """Fill a new state."""
    ids = [f"job_part00.py::job_{name(number)}" for number in range(jobs)]
    plan = json.dumps(plan_to_data(make_plan(Graph([Job.of(id, check=True) for id in ids]))))
    events = [event for id in ids for event in _events(id)]
    journal = [RunStarted(Command.APPLY, jobs, 1), *events, RunEnded(0)]
    store = open_store("", Path.cwd(), durability="fast")
    store.own(OWNER)
    for number in range(runs):
        at = BEGINNING + EACH * number
        record = RunRecord(
            id=new_run_id(at), argv=("pytest", "--orchestrate"), jobs=jobs, started_at=at, ended_at=at + 1.0,
            exit_status=0, totals={"unchanged": jobs}, host="bench", cwd=str(Path.cwd()), version="0.1.0",
        )  # fmt: skip
        store.write(RunKept(record, plan))
        for seq, event in enumerate(journal):
            store.write(Entry(seq, at, record.id, event))
        store.commit()
    for id in ids:
        store.write(PastKept(id, Past(run=record.id, at=at, run_seconds=0.1)))
    store.close()


def open_() -> None:
    """Open the state as a run does, imports left out."""
    open_store("", Path.cwd()).close()
    wall, cpu = time.perf_counter(), time.process_time()
    store = open_store("", Path.cwd())
    store.own(OWNER)
    found = [store.pasts(), store.runs(50), store.owed()]
    laps = {"open": [time.perf_counter() - wall, time.process_time() - cpu]}
    store.close()
    if not all(found[:2]):
        sys.exit("there is nothing in the state")
    print(json.dumps(laps))


if __name__ == "__main__":
    if sys.argv[1] == "open":
        open_()
    else:
        write(*map(int, sys.argv[1:]))
