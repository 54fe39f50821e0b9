"""A run that goes as an earlier one did."""

import json

import pytest

PROJECT = """
import time
from seen import note
def job_a(rng): note(("a", rng.random()))
def job_b(rng): note(("b", rng.random()))
def job_slow(rng):
    note(("slow", rng.random()))
    time.sleep(0.16)
def job_last(a, slow): note(("last", 0))
"""


def test_a_replay_has_the_order_and_the_randomness_of_its_report(jobs):
    jobs.remembers = True
    first = jobs(PROJECT, "--job-report=r.json")
    jobs.run()
    now = jobs.run()
    assert now.seen[0][0] == "slow", "history has changed the order"
    again = jobs.run("--job-replay=r.json")
    assert again.seen == first.seen


def test_a_job_that_the_report_does_not_know_comes_later(jobs):
    jobs(PROJECT, "--job-report=r.json")
    run = jobs("from seen import note\ndef job_new(): note(('new', 0))\n" + PROJECT, "--job-replay=r.json")
    assert run.seen[-1][0] == "new"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run_id": "x", "jobs": 3}', '{"run_id": "x", "jobs": [{}]}']
)
def test_what_is_not_a_report_is_refused(jobs, text):
    jobs.write({"r.json": text})
    run = jobs(PROJECT, "--job-replay=r.json")
    assert (run.ret, run.seen) == (4, [])
    assert "cannot be read: it is not a report of jobtest" in run.errors


def test_a_report_that_is_not_there_is_told(jobs):
    run = jobs(PROJECT, "--job-replay=r.json")
    assert run.ret == 4
    assert "No such file" in run.errors


def test_the_report_of_a_run_names_the_one_that_it_goes_on_with(jobs):
    jobs.remembers = True
    first = jobs("from pathlib import Path\ndef job_a(): assert Path('x').exists()\ndef job_b(): pass")
    (jobs.path / "x").touch()
    run = jobs.run("--job-resume", "--job-report=r.json")
    report = json.loads((jobs.path / "r.json").read_text())
    assert report["resumed_from"] == first.engine.run_id
    assert report["environment"]["cwd"] == str(jobs.path)
    assert run.reasons["b"] == f"resumed: done in run {first.engine.run_id}"
