"""R2, R20, R21: a run is killed at each write and sync, or the disk fails there.

strace does it; nothing of it is known to jobtest. A run of three jobs, with a cleanup and a value.
"""

import re
import shutil

import pytest

from tests.faults.deaths import Came, ended, killed_once, side_by_side
from tests.faults.lives import RESUME, Project
from tests.faults.promises import broken

STRACE = ("strace", "-f", "-qq", "-o")
JOBS = frozenset({"later", "version", "deploy"})
ONLY = ("-J1", "--job-only", "job_rest.py::job_deploy")
FILE = "file:.jobtest"

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

# call, where the state is, and of how many the one is taken
KILLS = [
    ("pwrite64", "", 2),
    ("fdatasync", "", 1),
    ("ftruncate", "", 1),
    ("rename", "", 1),
    ("unlink", "", 3),
    ("write", FILE, 4),
    ("fsync", FILE, 1),
    ("rename", FILE, 1),
]
FAILURES = [
    ("fdatasync", "EIO", "", 1),
    ("pwrite64", "ENOSPC", "", 11),
    ("pwrite64", "EIO", "", 13),
    ("fsync", "EIO", FILE, 2),
]


def three_jobs(folder, state):
    return Project(folder, *ONLY, state=state, jobs=JOBS)


def calls_of(folder, call, state):
    """Return how often a run makes a call."""
    project = three_jobs(folder / "counted", state)
    log = project.folder / "calls"
    life = project.live(*RESUME, before=(*STRACE, str(log), "-e", f"trace={call}"))
    assert life.status == 0, life.output
    return len(re.findall(r"^\d+ +\w+\(", log.read_text(), re.MULTILINE))


def inject(call, what):
    return (*STRACE, "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}")


@pytest.mark.parametrize(("call", "state", "every"), KILLS)
def test_killed_at_any_write_or_sync_a_run_goes_on(tmp_path, figures, call, state, every):
    def killed_at(number):
        project = three_jobs(tmp_path / f"{number}", state)
        how = inject(call, f"signal=SIGKILL:when={number}")
        return killed_once(project, f"{call} {number} {state}", before=how)

    numbers = range(1, calls_of(tmp_path, call, state) + 1, every)
    came = side_by_side(killed_at, numbers)

    figures(f"at each {call}, {state or 'sqlite'}", came)
    assert came.kills > 0.9 * len(numbers)


@pytest.mark.parametrize(("call", "error", "state", "every"), FAILURES)
def test_where_the_disk_fails_a_run_stops_and_can_go_on(tmp_path, figures, call, error, state, every):
    def fails_at(number):
        project = three_jobs(tmp_path / f"{number}", state)
        life = project.live(*RESUME, before=inject(call, f"error={error}:when={number}+"))
        how = f"{call} {number} {error} {state}"
        breaches = [f"{how}: {text}" for text in (*_said_badly(life), *broken(project))]
        return Came(1, ended(project, how, breaches).breaches)

    came = side_by_side(fails_at, range(1, calls_of(tmp_path, call, state) + 1, every))

    figures(f"{error} of {call}, {state or 'sqlite'}", came, "failures")


def _said_badly(life):
    """A disk that fails is told in words, and ends with 3, or with 4 before anything has begun.

    If all was written down before, and only tidying up fails, 0 is the truth.
    """
    if "Traceback" in life.output or "INTERNALERROR" in life.output:
        yield f"a traceback:\n{life.output}"
    done = life.reported.keys() == JOBS and {*life.reported.values()} == {"CHANGED"}
    if life.status not in ((0, 3) if done else (3, 4)):
        yield f"exit status {life.status}:\n{life.output}"
