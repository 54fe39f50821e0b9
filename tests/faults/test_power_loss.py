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
from jobtest.core.past import Past
from jobtest.state.changes import change_from_data
from jobtest.state.memory import MemoryStore
from jobtest.state.opening import open_store
from jobtest.state.store import Owner, ValueKept
from tests.faults.deaths import Came
from tests.faults.lives import KILLED, RESUME, Project
from tests.faults.power_loss import CALLS, STRACE, Disk, calls

POINTS = int(os.environ.get("POINTS", "2000"))
LATE = 0.35
"""Seconds after which a commit must be on the disk in `auto`: 100 ms, and what a busy machine adds."""

ME = Owner(host="here", pid=1, since=0.0, command="pytest")
JOBS = frozenset({*(f"{name}[{row}]" for name in ("fetch", "parse") for row in range(4)), "merge", "report"})
ONLY = ("-J1", "--job-only", "job_sources.py::job_report")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@dataclass(frozen=True, eq=False)
class Recorded:
    """Runs of a project, as the disk saw them.

    Attributes:
        root: Its folder.
        state: URL of the state, or empty.
        calls: What came to the disk.
        commits: What was kept: by which run, whether at once, and the changes.
        ends: When each run made its last call.
    """

    root: Path
    state: str
    calls: tuple
    commits: tuple
    ends: tuple


@functools.cache
def recorded(durability, state=""):
    """Return three runs, of which the second goes on after the first was killed.

    Not with the file store: nobody syncs the journal any more of a run that was killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="jobtest-power-"), "project")
    project = Project(folder, *ONLY, state=state, jobs=JOBS)
    (folder / "jobtest.toml").write_text(f'durability = "{durability}"\n')
    marks, log, ends = folder / "marks", folder / "calls", []
    before = (*STRACE, "-o", str(log), "-e", f"trace={CALLS}")
    for fault in ("" if state else "parse[2] run middle", "", ""):
        life = project.live(*RESUME, before=before, MARKS=str(marks), FAULT=fault)
        assert life.status == (KILLED if fault else 0), life.output
        ends.append(tuple(calls(log.read_text()))[-1].at)
    commits = tuple(json.loads(line) for line in marks.read_text().splitlines())
    found = Recorded(folder, state, tuple(calls(log.read_text())), commits, tuple(ends))
    shutil.rmtree(folder.parent)
    return found


@functools.cache
def snapshots(recorded):
    """Return what a state holds after each commit, with the number of commits; and the values.

    A commit of the file store is cut in two by a power cut: there it is after each change.
    """
    store, values = MemoryStore(), {}
    found = [(0, content(store))]
    for number, commit in enumerate(recorded.commits):
        for data in commit["changes"]:
            change = change_from_data(data)
            store.write(change)
            if isinstance(change, ValueKept):
                values[change.digest] = change.text
            if recorded.state:
                found.append((number, content(store)))
        found.append((number + 1, content(store)))
    return found, values


def content(store):
    """Return what a state holds: journals, and what is known beside them."""
    runs = store.runs()
    entries = {run.id: list(store.entries(run.id)) for run in runs}
    outcomes = {run.id: dict(store.outcomes(run.id)) for run in runs}
    return (runs, entries, outcomes), (store.pasts(), store.owed(), store.checkpoints())


@dataclass(frozen=True)
class Left:
    """What a power cut left.

    Attributes:
        marked: Commits that had returned.
        promised: How many of them must be there.
        found: How many are there; None if it is none of the states that there were.
        wrong: What else is wrong.
    """

    marked: int
    promised: int
    found: int | None
    wrong: str = ""

    @property
    def breach(self):
        if self.wrong:
            return self.wrong
        if self.found is None:
            return f"what is there was never so; {self.marked} commits"
        if not self.promised <= self.found <= self.marked + 1:
            return f"{self.found} commits are there, of {self.marked}; {self.promised} were promised"
        return ""


def power_cuts(recorded, durability, seed, points, *, lies=False):
    """Cut the power at random instants, and return what was left each time."""
    rng, disk, returned = random.Random(seed), Disk(recorded.root, lies=lies), []
    cuts = sorted(rng.choices(range(len(recorded.calls)), k=points))
    for number, call in enumerate(recorded.calls):
        while cuts and cuts[0] == number:
            cuts.pop(0)
            promised = _promised(recorded, durability, returned, call.at)
            yield _left(recorded, disk.image(rng), len(returned), promised)
        disk.take(call)
        if call.name == "write" and call.ended and call.path.endswith("/marks"):
            returned.append(call.at)


def _promised(recorded, durability, returned, now):
    """Return how many commits must be there.

    In `auto` nobody syncs any more what a run kept that was killed within the last 100 ms.
    """
    if durability == "full":
        return len(returned)
    must = [number for number in range(len(returned)) if recorded.commits[number]["at_once"]]
    for number, at in enumerate(returned if durability == "auto" else ()):
        end = recorded.ends[int(recorded.commits[number]["life"])]
        if at < min(now, end) - LATE:
            must.append(number)
    return max(must, default=-1) + 1


def _left(recorded, image, marked, promised):
    with tempfile.TemporaryDirectory(prefix="jobtest-power-", dir=_memory()) as folder:
        for path, raw in image.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(raw)
        store = open_store(recorded.state, Path(folder))
        try:
            store.own(ME)
            found, lost = content(store), _lost_values(recorded, store, promised)
        except StateError as error:
            return Left(marked, promised, None, f"it is refused: {error}")
        finally:
            store.close()
    halves = found if recorded.state else [found]  # of which each is in files of its own
    places = [_place(recorded, half, marked) for half in halves]
    least = None if None in places else min(places)
    return Left(marked, promised, least, f"values are lost: {lost}" if lost else "")


def _place(recorded, half, marked):
    """Return after how many commits this was what there was; of several numbers the one nearest to all."""
    same = [number for number, known in snapshots(recorded)[0] if half in (known, *known)]
    return min(same, key=lambda number: abs(number - marked), default=None)


def _lost_values(recorded, store, promised):
    """Return the values that are not there, of those that jobs had when the promised commits were made."""
    known, values = snapshots(recorded)
    (_, _, _), (then, _, _) = next(kept for number, kept in known if number == promised)
    now = store.pasts()
    same = (job for job, past in then.items() if past.value and now.get(job, Past()).value == past.value)
    named = {then[job].value for job in same}
    return [digest for digest in named if store.value(digest) != values[digest]]


def _memory():
    """A folder in the memory, if there is one: nothing of this needs to come to a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def came_of(lefts):
    lefts = list(lefts)
    return Came(len(lefts), tuple(left.breach for left in lefts if left.breach))


@pytest.mark.parametrize(("durability", "state"), [("auto", ""), ("full", ""), ("auto", "file:.jobtest")])
def test_what_is_promised_outlives_a_power_cut(figures, seed, durability, state):
    cuts = power_cuts(recorded(durability, state), durability, seed, POINTS // 3)

    figures(f"power cuts, {durability}, {state or 'sqlite'}", came_of(cuts), "points")


def test_with_fast_only_the_tail_is_lost_and_something_is(figures, seed):
    """That something is lost shows that the simulation bites."""
    lefts = list(power_cuts(recorded("fast"), "fast", seed, POINTS // 4))

    figures("power cuts, fast, sqlite", came_of(lefts), "points")
    assert sum(left.found < left.marked for left in lefts) > POINTS // 100


def test_a_disk_that_lies_about_syncs_is_noticed(seed):
    lefts = list(power_cuts(recorded("full"), "full", seed, POINTS // 10, lies=True))

    assert sum(bool(left.breach) for left in lefts) > len(lefts) // 5
