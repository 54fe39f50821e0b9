"""R38 to R42: two runs of one project, and what a dead one leaves of its lock."""

import os
import signal
import sqlite3
from contextlib import closing
from itertools import pairwise

import pytest

from tests.faults.lives import KILLED, RESUME, Project

USAGE = 4
STATES = ["", "file:.jobtest"]
PLACE = "merge run middle"


@pytest.fixture(params=STATES, ids=["sqlite", "file"])
def project(request, tmp_path):
    return Project(tmp_path / "project", "-J1", state=request.param)


@pytest.fixture
def first(project):
    """A run that is under way until the file `go` is there."""
    child = project.start(*RESUME, WAIT=PLACE)
    project.wait_for("waiting", child)
    yield child
    (project.folder / "go").touch()
    child.end()


def test_a_second_run_is_refused_at_once_and_told_by_whom(project, first):
    alone = Project(project.folder.with_name("alone"), "-J1", state=project.state).live("--plan")

    second = project.live(*RESUME)

    assert second.status == USAGE
    assert f"in use by process {first.process.pid} on " in second.output
    assert "--job-lock-timeout" in second.output
    assert second.seconds < alone.seconds + 1.0
    assert not [line for line in project.ledger() if line.life == second.number]


def test_a_second_run_waits_if_it_is_told_to(project, first):
    second = project.start(*RESUME, "--job-lock-timeout=60")
    second.wait_until_it_says("rootdir: ")
    second.sleep(0.5)
    assert second.process.poll() is None
    (project.folder / "go").touch()

    assert first.end().status == 0
    assert second.end().status == 0


def test_twenty_runs_at_once_come_one_after_the_other(tmp_path, project):
    children = [project.start(*RESUME, "--job-lock-timeout=60") for _ in range(20)]
    lives = [child.end() for child in children]

    assert [life.status for life in lives] == [0] * 20
    assert not [life.output for life in lives if "is locked" in life.output]
    numbers = [line.life for line in project.ledger() if line.what != "closed"]
    assert sum(one != two for one, two in pairwise(numbers)) < 20, "they came one after the other"
    if not project.state:
        with closing(sqlite3.connect(project.folder / ".jobtest" / "state.db")) as connection:
            assert connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone() == ("20",)


def test_the_lock_of_a_dead_run_is_free_though_its_forked_child_lives(project):
    child = project.start(*RESUME, WAIT=PLACE, FORK="merge run begin")
    project.wait_for("waiting", child)
    forked = int((project.folder / "forked").read_text())
    try:
        child.process.kill()
        project.lives.append(child.end())
        assert project.lives[0].status == KILLED
        second = project.live(*RESUME)  # it does not wait for a lock: this would be refused
        os.kill(forked, 0)
    finally:
        os.kill(forked, signal.SIGKILL)

    assert second.status == 0, second.output


def test_a_job_that_opens_and_closes_the_lock_does_not_free_it(project, first):
    for lock in (project.folder / ".jobtest").glob("*lock"):
        lock.open("rb").close()

    assert project.live(*RESUME).status == USAGE


def test_a_run_by_another_path_to_the_same_folder_is_refused(project, first):
    other = project.folder.with_name("link")
    other.symlink_to(project.folder)
    project.folder, kept = other, project.folder
    second = project.live(*RESUME)
    project.folder = kept

    assert second.status == USAGE, second.output
