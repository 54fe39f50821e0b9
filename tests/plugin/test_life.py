"""The life of a job, end to end: checks, runs, values. How lives end is in test_life_end.py."""

import textwrap

import pytest
from lives import HEADER, LIVES

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])


@pytest.mark.parametrize("name", LIVES)
@both_ways
def test_life(jobs, workers, name):
    source, outcomes, reason, seen = LIVES[name]
    run = jobs(HEADER + textwrap.dedent(source), workers)
    assert run.outcomes == outcomes, run.text
    if reason is not None:
        assert run.reasons["a"] == reason
    if seen is not None:
        assert run.seen == seen
    bad = {"failed", "blocked", "cancelled"} & set(outcomes.values())
    assert run.ret == (1 if bad else 0)


@both_ways
def test_a_run_that_raised_although_its_check_holds_is_told_in_the_summary(jobs, workers):
    source, *_ = LIVES["a run that raises does not matter if the check holds then"]
    run = jobs(HEADER + textwrap.dedent(source), workers)
    run.stdout.fnmatch_lines(["a: run raised OSError: late, and its check holds"])


@both_ways
def test_a_gate_of_aspects_alone_has_the_name_before_them(jobs, workers):
    run = jobs(
        HEADER
        + """
def check_a__one(): note("one")
def check_a__two(): note("two")
@pytest.mark.job(needs="a")
def job_b(upstream): note(dict(upstream))
""",
        workers,
    )
    assert set(run.outcomes.values()) == {"unchanged", "changed"}
    assert run.seen == ["one", "two", {"a": "unchanged"}]


@both_ways
def test_async_jobs_share_one_event_loop(jobs, workers):
    run = jobs(
        HEADER
        + """
async def job_a(): note(id(asyncio.get_running_loop()))
async def job_b(a): note(id(asyncio.get_running_loop()))
""",
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert len(set(run.seen)) == 1


def test_async_jobs_run_side_by_side(jobs):
    run = jobs(
        HEADER
        + """
here = []
async def both():
    here.append(1)
    for _ in range(10000):
        if len(here) == 2: return
        await asyncio.sleep(0)
    raise AssertionError("alone")
async def job_a(): await both()
async def job_b(): await both()
""",
        "-J2",
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}


@both_ways
def test_the_second_run_of_the_same_project_changes_nothing(jobs, workers):
    source = """
    from pathlib import Path
    made = Path(__file__).with_name("made")
    def check_a(): assert made.exists()
    def job_a(): made.touch()
    """
    assert jobs(source, workers).outcomes == {"a": "changed"}
    second = jobs.run(workers)
    assert second.outcomes == {"a": "unchanged"}
    assert second.ret == 0
