"""The tests here start clusters of this machine: they run if the command line names this folder.

    pytest tests/dask        (or: tox -e dask)

A quick one of them runs always, if `distributed` is installed: `test_quick.py`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from os.path import normpath
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST = 90.0
"""Seconds that a run may take before the test gives up."""


def pytest_ignore_collect(collection_path, config):
    """Leave out what needs Dask where there is none, and what is slow unless it is asked for."""
    if importlib.util.find_spec("distributed") is None:
        return True
    named = (Path(normpath(config.invocation_params.dir / arg.split("::")[0])) for arg in config.args)
    asked = any(path.is_relative_to(HERE) for path in named)
    return None if asked or collection_path in (HERE, HERE / "test_quick.py") else True


class Run:
    """What came of a run."""

    def __init__(self, process, folder, report):
        self.status, self.text = process.returncode, process.stdout
        found = json.loads(report.read_text()) if report.exists() else {"jobs": []}
        self.jobs = {job["id"].rpartition("::job_")[2]: job for job in found["jobs"]}
        self.outcomes = {name: job["outcome"] for name, job in self.jobs.items()}
        log = folder / "notes"
        self.notes = log.read_text().splitlines() if log.exists() else []


class Place:
    """A project in a folder of its own, and how it is run."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\n")

    def write(self, **files):
        """Write files; in job files `note(text)` leaves a line in `notes`."""
        for name, text in files.items():
            head = NOTE.format(file=str(self.folder / "notes")) if name.startswith("job_") else ""
            (self.folder / f"{name}.py").write_text(head + textwrap.dedent(text))

    def start(self, url, *args, **variables):
        """Start a run and return its process."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        return subprocess.Popen(
            [
                sys.executable,
                HERE / "entry.py",
                url,
                f"--job-report={report}",
                "-p",
                "no:cacheprovider",
                *args,
            ],
            cwd=self.folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process):
        """Wait for a run and say what came of it."""
        try:
            out, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, _ = process.communicate()
            raise AssertionError(f"it did not end:\n{out}") from None
        done = subprocess.CompletedProcess(process.args, process.returncode, out)
        return Run(done, self.folder, self.folder / "report.json")

    def run(self, url, *args, **variables):
        """Run it."""
        return self.finish(self.start(url, *args, **variables))


NOTE = """\
import os

def note(text):
    fd = os.open({file!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{{text}}\\n".encode())
    os.close(fd)

"""


@pytest.fixture
def place(tmp_path):
    """A project."""
    return Place(tmp_path / "project")


class Cluster:
    """A cluster of this machine in a process of its own."""

    def __init__(self, workers, folder, *args):
        self._process = subprocess.Popen(
            [sys.executable, HERE / "cluster.py", str(workers), *args],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.url = f"dask://{self._process.stdout.readline().strip()}"

    def kill(self):
        """Kill the scheduler, and all that belongs to it."""
        os.killpg(self._process.pid, 9)
        self._process.wait()

    def close(self):
        """End it."""
        self._process.stdin.close()
        if self._process.poll() is None:
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process.stdout.close()


@pytest.fixture
def start(tmp_path_factory):
    """Start clusters: `start(workers)`; they end with the test."""
    started = []

    def one(workers, *args):
        started.append(Cluster(workers, tmp_path_factory.mktemp("cluster"), *args))
        return started[-1]

    yield one
    for cluster in started:
        cluster.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two workers for the tests of a file that leave them alone."""
    made = Cluster(2, tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()
