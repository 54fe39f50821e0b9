"""A copy of the project, and the lives of the runs in it: how each was started, how it died, what it said.

What lives here: starting, killing, reading what was said. What has to be true then is `promises`.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "project"
RESUME = ("--job-resume", "-v")
PATIENCE = 60.0
"""Seconds after which a run that should have ended is said to hang."""

FETCHES, PARSES = [f"fetch[{row}]" for row in range(4)], [f"parse[{row}]" for row in range(4)]
SENDS, CLIENTS = [f"send[{to}]" for to in ("eu", "us", "jp")], [f"client[{to}]" for to in ("eu", "us", "jp")]
UPSTREAM = {
    **dict.fromkeys([*FETCHES, "token", "flaky", "stubborn", "server", "later", "version"], ()),
    **{parse: (fetch,) for parse, fetch in zip(PARSES, FETCHES, strict=True)},
    "merge": PARSES,
    "gate": ("merge",),
    "report": ("merge",),
    **dict.fromkeys(SENDS, ("token",)),
    "notice": SENDS,
    **dict.fromkeys(CLIENTS, ("server",)),
    "deploy": ("later", "version"),
    **dict.fromkeys(["steps", "copied", "beat"], ()),
    "final": ("merge", "report", "notice", "flaky", *CLIENTS, "deploy", "steps", "gate"),
    "last": ("final",),
}
"""What each job of the project waits for."""

ALL = frozenset(UPSTREAM)

OUTCOMES = "CHANGED|UNCHANGED|FAILED|BLOCKED|SKIPPED|CANCELLED"
REPORTED = re.compile(rf"^\S*::(?:job|check)_(\S+) ({OUTCOMES})\b", re.MULTILINE)
KILLED = -signal.SIGKILL
POISON = "runs in a row were killed while it ran"


@dataclass(frozen=True)
class Life:
    """A run that is over.

    Attributes:
        number: As in the ledger, from 0.
        status: Exit status; negative for a signal.
        output: What it printed: what it has told the user.
        seconds: How long it took.
    """

    number: int
    status: int
    output: str
    seconds: float

    @property
    def reported(self):
        """Outcome by job, as far as it was printed."""
        return dict(REPORTED.findall(self.output))

    @property
    def run(self):
        """The id of the run, or empty if it did not come to say so."""
        found = re.search(r"^run: (\S+)$", self.output, re.MULTILINE)
        return found[1] if found else ""

    @property
    def goes_on(self):
        """Whether it says that it goes on with the run before."""
        return "going on: " in self.output


class Child:
    """A run that is under way."""

    def __init__(self, number, process, output):
        self.number, self.process, self.output = number, process, output
        self.began = time.monotonic()

    def sleep(self, seconds):
        """Wait for some time, or for its end."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def wait_until_it_says(self, text, timeout=PATIENCE):
        """Wait until it has printed something, or has ended."""
        until = time.monotonic() + timeout
        while text not in self._said() and self.process.poll() is None:
            assert time.monotonic() < until, f"it does not say {text!r}:\n{self._said()}"
            time.sleep(0.002)

    def end(self, timeout=PATIENCE):
        """Wait for its end; one that hangs is killed, and an error."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it hangs:\n{self._said()}") from None
        return Life(self.number, status, self._said(), time.monotonic() - self.began)

    def _said(self):
        return self.output.read_text(errors="replace")


class Project:
    """A fresh copy of a project.

    Attributes:
        folder: Where it is.
        lives: Those that are over.
        jobs: Those that take part.
    """

    def __init__(self, folder, *args, state="", jobs=ALL, source=None):
        self.folder = Path(shutil.copytree(source or template(), folder))
        self.lives = []
        self.args, self.state, self.jobs = args, state, jobs
        self._started = 0

    def start(self, *args, before=(), **environment):
        """Start a run: `pytest --orchestrate` with the arguments of the project and these."""
        state = [f"--job-state={self.state}"] if self.state else []
        command = [*before, sys.executable, "-m", "pytest", "--orchestrate", *self.args, *state, *args]
        number, self._started = self._started, self._started + 1
        output = self.folder / f"out{number}.txt"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **PLAIN, "LIFE": str(number), **environment},
            )
        return Child(number, process, output)

    def live(self, *args, before=(), kill=None, **environment):
        """Start a run and wait for its end, or kill it when `kill` returns, if it has not ended by then."""
        child = self.start(*args, before=before, **environment)
        if kill is not None:
            kill(child)
            child.process.kill()
        self.lives.append(child.end())
        return self.lives[-1]

    def go_on(self, *args, most=6):
        """Start the same command until it ends with 0.

        That a job was under way in too many killed runs in a row may fail it for one run.
        """
        for _ in range(most):
            life = self.live(*(args or RESUME))
            if life.status == 0:
                return life
            assert life.status == 1, f"exit status {life.status}:\n{life.output}"
            assert POISON in life.output, life.output
        raise AssertionError(f"it does not end:\n{life.output}")

    def ledger(self):
        """Return its lines, as (life, job, attempt, phase, what)."""
        path = self.folder / "ledger"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Line(int(a), b, int(c), d, e) for a, b, c, d, e in (line.split("\t") for line in lines)]

    def wait_for(self, path, child, timeout=PATIENCE):
        """Wait until a file of the project is there."""
        until = time.monotonic() + timeout
        while not (self.folder / path).exists():
            assert time.monotonic() < until, f"{path} does not come"
            assert child.process.poll() is None, child.end().output
            time.sleep(0.002)

    def drop(self):
        """Remove it; one of which something is wrong stays."""
        shutil.rmtree(self.folder)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the ledger."""

    life: int
    job: str
    attempt: int
    phase: str
    what: str

    @property
    def enters(self):
        """Whether a run phase begins."""
        return (self.phase, self.what) == ("run", "begin")


PLAIN = {"PYTHONUNBUFFERED": "1", "PYTEST_ADDOPTS": "", "COLUMNS": "300", "NO_COLOR": "1"}
"""What is printed is at once in the file; and lines are not cut."""


@functools.cache
def template():
    """Return a copy of the project with compiled modules, so that each life need not compile them."""
    folder = Path(tempfile.mkdtemp(prefix="jobtest-faults-")) / "project"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pytest", "--orchestrate", "--collect-only", "-q"]
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, **PLAIN}, capture_output=True)
    for left in ("world", "busy", ".jobtest"):
        shutil.rmtree(folder / left, ignore_errors=True)
    (folder / "ledger").unlink()
    return folder
