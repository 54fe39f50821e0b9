"""Output as it happens: with `-s` and `--capture=tee-sys`."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rarely

LIVE = """
    import time
    from pathlib import Path
    def job_a():
        print("first")
        while not Path("heard").exists():
            time.sleep(0.001)
        print("second")
"""


@pytest.mark.parametrize(("workers", "prefix"), [("-J1", ""), ("-J2", "a | ")])
def test_a_line_is_shown_while_its_job_runs(jobs, workers, prefix):
    jobs.write({"job_it.py": LIVE})
    command = [sys.executable, "-m", "pytest", "--orchestrate", "--job-state=memory://", "-s", "-v", workers]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as run:
        heard = []
        for line in run.stdout:
            heard.append(line)
            if line == f"{prefix}first\n":
                (jobs.path / "heard").touch()
    assert f"{prefix}second\n" in heard
    assert run.returncode == 0


def test_lines_of_jobs_at_once_are_whole_and_say_whose_they_are(jobs):
    run = jobs(
        """
        import asyncio, sys, threading, pytest
        from seen import meet
        def talk(n):
            for line in range(50):
                for word in (f"{n}", " ", "says ", f"{line}"):
                    sys.stdout.write(word)
                print()
                print(n, "err", line, file=sys.stderr)
        @pytest.mark.parametrize("n", range(8))
        def job_a(n):
            meet(8)
            threads = [threading.Thread(target=talk, args=(n,))]
            threads[0].start()
            threads[0].join()
            print(n, "has no end", end="")
        """,
        "-J8",
        "-s",
    )
    for n in range(8):
        said = re.findall(rf"(?:^|^job_it.py \S*)a\[{n}\] \| (.*)", run.text, re.MULTILINE)
        assert said == [*(f"{n} says {line}" for line in range(50)), f"{n} has no end"]
        said = re.findall(rf"^a\[{n}\] \| (.*)", run.errors, re.MULTILINE)
        assert said == [f"{n} err {line}" for line in range(50)]
        assert run.jobs[f"a[{n}]"].attempts[0].stdout == ""
    assert not re.search(r"^\d (says|err|has)", run.text + run.errors, re.MULTILINE)


def test_fixtures_bytes_and_logs_of_jobs_at_once_with_s(jobs):
    run = jobs(
        """
        import logging, sys, pytest
        @pytest.fixture
        def talking():
            print("of setup")
            yield
            print("of teardown")
        def job_a(talking):
            for one in "zażółć\\n\\nrest".encode():
                sys.stdout.buffer.write(bytes([one]))
            logging.getLogger("a").warning("logged")
            assert 0
        """,
        "-J2",
        "-s",
    )
    said = re.findall(r"(?:^|^job_it.py \S*)a \| (.*)", run.text, re.MULTILINE)
    assert said == ["of setup", "zażółć", "", "rest", "of teardown"]
    assert "Captured stdout" not in run.text
    assert "logged" in run.jobs["a"].attempts[0].log


def test_a_line_that_does_not_end_is_shown_before_it_fills_the_memory(jobs):
    run = jobs(
        """
        import sys
        def job_a():
            for _ in range(3):
                sys.stdout.write("x" * 70_000)
        """,
        "-J2",
        "-s",
    )
    assert run.text.count(f"a | {'x' * 70_000}\n") == 3


@pytest.mark.parametrize("workers", ["-J1", "-J2"])
def test_tee_sys_shows_at_once_and_keeps(jobs, workers):
    run = jobs("def job_a(): print('said'); assert 0", workers, "--capture=tee-sys", "--show-capture=no")
    assert run.jobs["a"].attempts[0].stdout == "said\n"
    assert re.search(r"said\n", run.text)


def test_a_job_that_runs_alone_has_the_terminal_with_s(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.filterwarnings("error")
        def job_a():
            print("alone")
        def job_b():
            print("among others")
        """,
        "-J2",
        "-s",
    )
    assert run.ret == 0, run.text
    assert re.search(r"^(.*[ +])?alone$", run.text, re.MULTILINE)
    assert "b | among others\n" in run.text
