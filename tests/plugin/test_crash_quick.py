"""Runs that are killed and go on: the quick part of `tests/faults`, and `crash_points`, which users have.

The whole takes minutes: `tox -e faults`.
"""

import shutil
import textwrap

import pytest

from jobtest.testing import crash_points
from tests.faults.deaths import CRASH, crash, random_life, side_by_side
from tests.faults.lives import KILLED, RESUME, Project
from tests.faults.promises import broken, unkept
from tests.faults.test_power_loss import came_of, power_cuts, recorded

SEED = 20
QUICK = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")

SMALL = """
    from pathlib import Path

    def job_title():
        return "Hello"

    def check_page():
        assert Path("page").read_text() == "Hello"

    def job_page(title):
        Path("page").write_text(title)

    def cleanup_page():
        Path("cleaned").touch()
"""


@pytest.fixture
def small(tmp_path):
    """A function that makes a project of one file."""

    def make(source):
        folder = tmp_path / "small"
        folder.mkdir()
        (folder / "job_it.py").write_text(textwrap.dedent(source))
        return folder

    return make


@pytest.mark.rarely
def test_crash_points_kills_around_commits_and_sees_the_run_go_on(small):
    seen = []

    def verify(crashed):
        assert (crashed.project / "page").read_text() == "Hello"
        assert (crashed.project / "cleaned").exists()
        seen.append(crashed.point)

    points = crash_points(small(SMALL), *QUICK, verify=verify, every=5, workers=2)

    assert [point.point for point in points] == sorted(seen)
    assert sorted(seen) == [1, 6, 11]
    assert {point.statuses for point in points} == {(KILLED, 0)}
    assert points[0].where == "before commit 1, RunStarted"
    assert points[0].ran == ((), ("job_it.py::job_title", "job_it.py::job_page"))
    assert points[-1].done[0] == {"job_it.py::job_title", "job_it.py::job_page"}
    assert not points[0].project.exists()


def test_crash_points_refuses_a_project_that_does_not_end_well(small):
    with pytest.raises(ValueError, match="ends with 1 if nobody kills it"):
        crash_points(small("def job_it(): assert False"), *QUICK)


@pytest.mark.rarely
def test_crash_points_notices_a_job_that_cannot_run_again(small):
    source = """
        from pathlib import Path

        def job_it():
            Path("half").touch(exist_ok=False)
    """
    wanted = r"(?s)killed before commit 3, .*does not go on to its end; .*_POINT=5"
    with pytest.raises(AssertionError, match=wanted):
        crash_points(small(source), *QUICK, every=4, most=1)


@pytest.mark.rarely
def test_crash_points_notices_a_job_that_runs_though_it_was_done(small):
    with pytest.raises(AssertionError, match=r"ran again though they were done: \['job_it.py::job_title'\]"):
        crash_points(small("def job_title(): pass"), *QUICK, "--job-force", "title", every=5)


@pytest.mark.rarely
def test_killed_at_random_instants_a_run_goes_on_and_keeps_its_promises(tmp_path):
    came = side_by_side(lambda seed: random_life(tmp_path, seed, "-J4", kills=5), [SEED, SEED + 1])

    assert not came.breaches, "\n".join(came.breaches)
    assert came.kills


@pytest.mark.rarely
def test_what_runs_did_is_kept_though_each_that_goes_on_is_killed_as_it_begins(tmp_path):
    project = Project(tmp_path / "project", "-J1")
    project.live(*RESUME, FAULT="last run begin")
    for point in (2, 3):
        log = project.folder / f"log{point}"
        project.live(*CRASH, *RESUME, **{crash.LOG: str(log), crash.POINT: str(point)})
    found = broken(project)
    project.go_on()

    assert [life.status for life in project.lives] == [KILLED, KILLED, KILLED, 0]
    assert not [*found, *broken(project), *unkept(project)]
    assert {line.job for line in project.ledger() if line.life and line.enters} == {"last", "stubborn"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.rarely
def test_what_is_promised_outlives_a_power_cut():
    came = came_of(power_cuts(recorded("auto"), "auto", SEED, 30))

    assert not came.breaches, f"seed {SEED}:\n" + "\n".join(came.breaches)
