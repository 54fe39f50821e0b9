"""Runs of projects whose jobs have processes of their own, as users start them; for test_process_*.py.

far = run(folder, SOURCE, "-J4")
assert far.outcomes["a"] == "failed"
assert far.left() == []
"""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path

import pytest

HEADER = """
import os, sys, time, signal, pytest
from pathlib import Path
alone = pytest.mark.job(isolate=True)
"""

THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
"""A conftest because of which the process cannot be forked safely: the warden is a fresh interpreter."""

GRACE = 0.2
MARK = "JOBTEST_TEST_OF_PROCESSES"
FAULTS = int(os.environ.get("FAULTS", "0"))
"""Whether everything is tried, in all ways; each run is a process, or many."""

rarely = pytest.mark.rarely
WAYS = {"four workers": ("-J4", "")}
OTHER_WAYS = {"one worker, fresh warden": ("-J1", THREAD)}
if FAULTS:
    WAYS["two workers, fresh warden"] = ("-J2", THREAD)
    OTHER_WAYS["four workers"] = ("-J4", "")


def marked(mark):
    """Process ids of what has a mark in its environment or arguments, zombies aside: those have none."""
    found = set()
    for one in Path("/proc").iterdir():
        for file in ("environ", "cmdline") if one.name.isdigit() else ():
            with suppress(OSError):
                if f"{MARK}={mark}".encode() in (one / file).read_bytes():
                    found.add(int(one.name))
    return sorted(found)


def left_after(mark, seconds):
    """What is left of a run after some time; returns as soon as there is nothing."""
    until = time.monotonic() + seconds
    while found := marked(mark):
        if time.monotonic() > until:
            for pid in found:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            return found
        time.sleep(0.01)
    return []


def write(folder, source, conftest=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job_it.py").write_text(HEADER + textwrap.dedent(source))
    (folder / "conftest.py").write_text(textwrap.dedent(conftest))
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "jobtest.toml").write_text(f"grace = {GRACE}\n")


def start(folder, *args, mark, **more):
    """Start a run of what `write` has written."""
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-p", "no:cacheprovider"]
    command += ["--job-state=memory://", "--job-report=report.json", "--junitxml=junit.xml", *args]
    environment = {**os.environ, MARK: mark, "PYTHONFAULTHANDLER": ""}
    for name in ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **more}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, errors="replace", **streams)


def _bare(job):
    return re.sub(r"^.*?::(job|check)_", "", job["id"])


class Far:
    """A run in another process that is over."""

    def __init__(self, folder, mark, ret, text):
        self.folder, self._mark = folder, mark
        self.ret, self.text = ret, text
        assert (folder / "report.json").exists(), text
        self.report = json.loads((folder / "report.json").read_text())
        self.jobs = {_bare(job): job for job in self.report["jobs"]}
        self.cases = {
            case.get("name").removeprefix("job_"): case
            for case in ElementTree.parse(folder / "junit.xml").iter("testcase")
        }

    @property
    def outcomes(self):
        return {name: job["outcome"] for name, job in self.jobs.items()}

    @property
    def kinds(self):
        return {name: job["kind"] for name, job in self.jobs.items()}

    @property
    def reasons(self):
        return {name: job["reason"] for name, job in self.jobs.items()}

    def printed(self, name, stream="stdout"):
        """What the attempts of a job printed."""
        return "".join(attempt[stream] for attempt in self.jobs[name]["attempts"])

    def shown(self, name):
        """What the terminal shows of a job, without the lines around it."""
        found = re.findall(
            rf"^_+ (?:ERROR at \w+ of )?job_{name} _+\n(.*?)(?=^[_=]{{5}})", self.text, re.M | re.S
        )
        return "\n".join(found)

    def notes(self, name):
        """What jobs noted in a file."""
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def left(self, seconds=1.0):
        return left_after(self._mark, seconds)


def run(folder, source, *args, conftest=""):
    """Write a project, run it, and return what came of it."""
    write(folder, source, conftest)
    mark = uuid.uuid4().hex
    process = start(folder, *args, mark=mark)
    text, _ = process.communicate(timeout=120)
    return Far(folder, mark, process.returncode, text)


# --- runs that are killed ---

BOTH = pytest.mark.parametrize(
    "conftest", [pytest.param("", id="forked"), pytest.param(THREAD, id="fresh", marks=rarely)]
)

DAEMON = '''
import subprocess

def no_mark(command):
    """Start a process that has nothing of this one's environment; the test knows it by its arguments."""
    mark = os.environ["JOBTEST_TEST_OF_PROCESSES"]
    path = {"PATH": os.environ["PATH"]}
    subprocess.Popen(f"{command}; : JOBTEST_TEST_OF_PROCESSES={mark}", shell=True, env=path)

def daemon(name):
    """Start a process that nobody can know of: no parent, own session, no descriptor, deaf."""
    if not os.fork():
        os.setsid()
        if not os.fork():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 4096)
            Path(name).touch()
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not Path(name).exists():
        time.sleep(0.001)
'''

BUSY = (
    DAEMON
    + """
@alone
@pytest.mark.parametrize("n", range(8))
def job_a(n):
    daemon(f"daemon{n}")
    subprocess.Popen(["setsid", "-f", "sleep", "600"])
    no_mark("sleep 600")
    Path(f"ready{n}").touch()
    time.sleep(0.05 if n < 2 else 600)
"""
)


def meanwhile(condition, process, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.002)


def killed(folder, conftest, when, *more):
    """Start a run, kill it when it is time, and return what is left of it a second later."""
    write(folder, BUSY, conftest)
    mark = uuid.uuid4().hex
    with (folder / "printed").open("w") as printed:
        process = start(folder, "-J2", *more, mark=mark, stdout=printed)
        when(process)
        process.kill()
        process.wait()
    return left_after(mark, 1.0)
