"""R3: a run is killed from inside each phase, at its beginning, in its middle, at its end (W2 to W9)."""

from collections import Counter

import pytest

from tests.faults.deaths import killed_once, side_by_side
from tests.faults.lives import KILLED, Project

PLACES = ("begin", "middle", "end")
ONCE, TWICE = 1, 2

# place, how often the run phase of the job begins in both runs together, how often its cleanup
CASES = [
    *((f"deploy check {place}", ONCE, 0) for place in PLACES),
    ("deploy run begin", TWICE, 0),
    ("deploy run middle", TWICE, 0),
    ("deploy run end", ONCE, 0),
    *((f"deploy recheck {place}", ONCE, 0) for place in PLACES),
    *((f"version describe {place}", ONCE, 0) for place in PLACES),
    *((f"report run {place}", TWICE, ONCE) for place in PLACES),  # no check
    *((f"merge cleanup {place}", ONCE, TWICE) for place in PLACES),
    *((f"later run {place}", TWICE, ONCE) for place in PLACES),  # its value is wanted, and was not kept
    ("later cleanup middle", ONCE, TWICE),
    *((f"server run {place}", TWICE, 0) for place in PLACES),
    ("flaky run begin", 4, ONCE),  # it fails twice in any case
    ("copied run middle", TWICE, 0),
    ("steps run step 1", ONCE, 0),  # the steps come before what the ledger knows as its run
    ("deploy fixture setup", ONCE, 0),
    ("deploy fixture teardown", ONCE, 0),
    ("machine fixture setup", 0, 0),
    ("machine fixture teardown", 0, 0),
    ("last run middle", TWICE, 0),
]


@pytest.mark.parametrize(("place", "runs", "cleanups"), CASES, ids=[place for place, _, _ in CASES])
def test_killed_in_a_phase_a_run_goes_on_as_the_table_says(tmp_path, figures, place, runs, cleanups):
    projects = [Project(tmp_path / workers, workers) for workers in ("-J1", "-J4")]

    came = side_by_side(lambda project: killed_once(project, place, FAULT=place), projects)

    figures("inside phases", came)
    job = place.split()[0]
    for project in projects:
        assert [life.status for life in project.lives] == [KILLED, 0]
        ledger = Counter((line.job, line.phase, line.what) for line in project.ledger())
        assert ledger[job, "run", "begin"] == runs
        assert ledger[job, "cleanup", "begin"] == cleanups


def test_steps_of_which_a_checkpoint_is_kept_are_not_done_again(tmp_path, figures):
    project = Project(tmp_path / "project", "-J1")

    came = killed_once(project, "steps", FAULT="steps run step 1")

    figures("inside phases", came)
    steps = Counter(line.what for line in project.ledger() if line.what.startswith("step "))
    assert steps == {"step 0": 1, "step 1": 2, "step 2": 1}
