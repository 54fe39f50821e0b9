"""Tearing down in a process takes as long as it takes: the other jobs go on meanwhile."""

import pytest
from processes import run

SOURCE = """
@pytest.fixture
def slow():
    yield
    until = time.monotonic() + 10
    while not Path("second").exists():
        assert time.monotonic() < until, "no other job goes on"
        time.sleep(0.005)

@pytest.fixture
def for_ever():
    yield
    time.sleep(600)

@alone
def job_runs(slow): pass

def check_holds(slow): pass
@alone
def job_holds(slow): raise AssertionError("its check holds")

@pytest.mark.job(isolate=True, timeout=0.3)
def job_hangs(for_ever): pass

@alone
def job_first(): pass
@alone
def job_second(first): Path("second").touch()
@pytest.mark.job(isolate=True, needs=["runs", "hangs"])
def job_after(): pass
"""


@pytest.mark.rarely
def test_other_jobs_go_on_while_a_process_tears_down_and_one_that_hangs_is_an_error(tmp_path):
    far = run(tmp_path, SOURCE, "-J4")
    changed = dict.fromkeys(["runs", "hangs", "first", "second", "after"], "changed")
    assert far.outcomes == {**changed, "holds": "unchanged"}, far.text
    assert "its teardown timed out after 0.3 s" in far.shown("hangs")
    assert "no other job goes on" not in far.text
    assert far.ret == 1
