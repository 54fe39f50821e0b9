"""R15 to R17: the power fails at any instant of real runs; what may be left on the disk is opened.

Runs are recorded under strace, the images are made by `power_loss`.
"""

import functools
import json
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobtest.core.errors import StateError
from jobtest.state.changes import change_from_data
from jobtest.state.memory import MemoryStore
from jobtest.state.opening import open_store
from jobtest.state.store import Owner, ValueKept
from tests.faults.deaths import Came
from tests.faults.lives import RESUME, Project
from tests.faults.power_loss import CALLS, STRACE, Disk, calls

POINTS = int(os.environ.get("POINTS", "2000"))
LATE = 0.35
"""Seconds after which a commit must be on the disk in `auto`: 100 ms, and what a busy machine adds."""

ME = Owner(host="here", pid=1, since=0.0, command="pytest")
JOBS = frozenset({*(f"{name}[{row}]" for name in ("fetch", "parse") for row in range(4)), "merge", "report"})
ONLY = ("-J2", "--job-only", "job_sources.py::job_report")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@dataclass(frozen=True)
class Recorded:
    """Runs of a project, as the disk saw them.

    Attributes:
        root: Its folder.
        state: URL of the state, or empty.
        calls: What came to the disk.
        commits: What was kept: whether at once, and the changes.
    """

    root: Path
    state: str
    calls: tuple
    commits: tuple


@functools.cache
def recorded(durability, state=""):
    """Return two runs, of which the second goes on after the first was killed, and a third one."""
    folder = Path(tempfile.mkdtemp(prefix="jobtest-power-"), "project")
    project = Project(folder, *ONLY, state=state, jobs=JOBS)
    (folder / "jobtest.toml").write_text(f'durability = "{durability}"\n')
    marks, log = folder / "marks", folder / "calls"
    before = (*STRACE, "-o", str(log), "-e", f"trace={CALLS}")
    project.live(*RESUME, before=before, MARKS=str(marks), FAULT="parse[2] run middle")
    for _ in range(2):
        life = project.live(*RESUME, before=before, MARKS=str(marks))
        assert life.status == 0, life.output
    commits = [json.loads(line) for line in marks.read_text().splitlines()]
    found = Recorded(folder, state, tuple(calls(log.read_text())), tuple(commits))
    shutil.rmtree(folder.parent)
    return found


@functools.cache
def snapshots(recorded):
    """Return what a state holds after each number of commits."""
    store, values = MemoryStore(), {}
    found = [content(store)]
    for commit in recorded.commits:
        for data in commit["changes"]:
            change = change_from_data(data)
            store.write(change)
            if isinstance(change, ValueKept):
                values[change.digest] = change.text
        found.append(content(store))
    return found, values


def content(store):
    runs = store.runs()
    return {
        "runs": runs,
        "entries": {run.id: list(store.entries(run.id)) for run in runs},
        "outcomes": {run.id: dict(store.outcomes(run.id)) for run in runs},
        "pasts": store.pasts(),
        "owed": store.owed(),
        "checkpoints": store.checkpoints(),
    }
