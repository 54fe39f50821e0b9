"""Whole trees of processes: all of them are found, signalled, killed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from jobtest.engine.calls import Output
from jobtest.engine.executors.process.output import KEPT, read_from, without_frames
from jobtest.engine.executors.process.tree import children, descendants, kill_tree, reap, signal_tree


@pytest.fixture
def tree():
    script = "sleep 600 & sh -c 'sleep 600 & echo ready; wait' & wait"
    process = subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        kill_tree(process.pid)


def ended(pids):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not [pid for pid in pids if os.path.exists(f"/proc/{pid}/exe")]:
            return True
    return False


def test_all_descendants_are_found(tree):
    found = descendants(tree.pid)
    assert len(found) == 3
    assert set(children(tree.pid)) < set(found)


def test_a_whole_tree_is_killed(tree):
    below = descendants(tree.pid)
    kill_tree(tree.pid)
    assert tree.wait(5) == -signal.SIGKILL
    assert ended(below)


def test_a_whole_tree_gets_a_signal(tree):
    below = descendants(tree.pid)
    signal_tree(tree.pid, signal.SIGTERM)
    assert tree.wait(5) == -signal.SIGTERM
    assert ended(below)


def test_what_has_ended_or_is_no_child_is_not_waited_for():
    process = subprocess.Popen(["true"])
    process.wait()
    before = time.monotonic()
    reap([process.pid, 1], 5)
    assert time.monotonic() - before < 1
    assert children(process.pid) == []


def test_a_child_that_does_not_end_is_waited_for_a_while(tree):
    reap([tree.pid], 0.01)
    assert tree.poll() is None


# --- what they print ---


def test_output_is_read_from_where_it_was_left(tmp_path):
    (tmp_path / "1.stdout").write_text("before|after")
    assert read_from(tmp_path, "1", {"stdout": 7}) == Output("after", "")


def test_of_very_much_output_both_ends_are_kept(tmp_path):
    (tmp_path / "1.stdout").write_bytes(b"a" * KEPT + b"b" * KEPT)
    text = read_from(tmp_path, "1", {"stdout": 10}).stdout
    head, _, tail = text.partition(f"\n[{KEPT - 10} bytes are left out here]\n")
    assert (head, tail) == ("a" * (KEPT // 2), "b" * (KEPT // 2))


STACK = """said before
Fatal Python error: Segmentation fault

Thread 0x01 (most recent call first):
  File "/usr/lib/ctypes/__init__.py", line 519 in string_at
  File "/home/job_it.py", line 3 in job_a
  File "/lib/jobtest/engine/calls.py", line 152 in __call__
  File "/lib/pytest/__main__.py", line 9 in <module>

Current thread 0x02 (most recent call first):
  File "/lib/jobtest/engine/calls.py", line 152 in __call__
said after
"""


def test_stacks_end_where_jobtest_begins(tmp_path):
    cut = without_frames(Output("x", STACK), Path("/lib/jobtest"))
    assert "job_it.py" in cut.stderr
    assert "__main__" not in cut.stderr
    assert cut.stderr.count("calls.py") == 1  # of the thread that has nothing else
    assert cut.stderr.endswith("said after\n")
    assert cut.stdout == "x"
