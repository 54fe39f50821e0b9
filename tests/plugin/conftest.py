"""The fixture `jobs`: writes a project, orchestrates it in this process, and says what came of it.

    def test_a_check_that_holds_leaves_its_job_alone(jobs):
        run = jobs('''
            from seen import note
            def check_a(): note("check")
            def job_a(): note("run")
        ''')
        assert run.outcomes == {"a": "unchanged"}
        assert run.seen == ["check"]

Job files may `import seen`: `note(what)` appends to `run.seen`, `meet(n)` waits until n bodies are there at
once (and fails if they are not within five seconds), `event(name)` is one `threading.Event` for all.
"""

import asyncio  # noqa: F401 - pytester forgets what a run imports for the first time; this is kept
import email.parser  # noqa: F401 - as above
import importlib
import pkgutil
import re
import sys
import textwrap
import threading
import types
import warnings
from collections import Counter

import pytest

import jobtest

for found in pkgutil.walk_packages(jobtest.__path__, "jobtest."):
    if ".dask" not in found.name and ".postgres" not in found.name:
        importlib.import_module(found.name)  # as above

PATIENCE = 5.0
"""Seconds after which bodies that should meet are said not to."""


class Seen:
    """What the job files of one run share with the test, as the module `seen`."""

    def __init__(self):
        self.notes = []
        self._lock = threading.Lock()
        self._barriers = {}
        self._events = {}

    def note(self, *what):
        self.notes.append(what[0] if len(what) == 1 else what)

    def meet(self, parties, name=""):
        with self._lock:
            barrier = self._barriers.setdefault((name, parties), threading.Barrier(parties))
        barrier.wait(PATIENCE)

    def event(self, name):
        with self._lock:
            return self._events.setdefault(name, threading.Event())

    def wait(self, name):
        assert self.event(name).wait(PATIENCE), f"{name} did not happen"

    def module(self):
        module = types.ModuleType("seen")
        module.note, module.meet, module.event, module.wait = self.note, self.meet, self.event, self.wait
        module.notes = self.notes
        return module


class _Recorder:
    """Keeps the reports of a run, and its engine."""

    def __init__(self):
        self.reports = []
        self.orchestration = None

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config):
        self.orchestration = config.pluginmanager.get_plugin("jobtest-orchestration")


def bare(id):
    """`a[1]` for `dir/job_x.py::job_a[1]`; a gate has its name without `check_`."""
    return re.sub(r"^.*?::(job|check)_", "", id, flags=re.DOTALL)


class Run:
    """An orchestrated session that is over.

    Attributes:
        ret: Exit status, an int.
        text: What it printed.
        errors: What it printed to standard error.
        stdout: The same as `text`, as pytester's LineMatcher.
        reports: All pytest.TestReport, in order.
        seen: What job files noted.
        summary: Of the engine, None if nothing was run.
    """

    def __init__(self, result, recorder, seen):
        self.ret = int(result.ret)
        self.stdout, self.stderr = result.stdout, result.stderr
        self.text, self.errors = result.stdout.str(), result.stderr.str()
        self.reports = recorder.reports
        self.seen = seen.notes
        self.engine = recorder.orchestration.engine if recorder.orchestration is not None else None
        self.plan = recorder.orchestration.plan if recorder.orchestration is not None else None
        self.summary = self.engine.summary if self.engine is not None else None
        self._result = result

    @property
    def outcomes(self):
        """Outcome by name, with parameters: {"a": "changed", "b[1]": "failed"}."""
        assert self.summary is not None, self.text + self.errors
        return {
            bare(id): record.outcome.value if record.outcome else None
            for id, record in self.summary.jobs.items()
        }

    def outcomes_by_name(self):
        return self.outcomes

    @property
    def jobs(self):
        """JobRecord by name."""
        assert self.summary is not None, self.text + self.errors
        return {bare(id): record for id, record in self.summary.jobs.items()}

    @property
    def reasons(self):
        return {name: record.reason for name, record in self.jobs.items()}

    @property
    def kinds(self):
        """Kind of failure by name, of those that failed."""
        return {name: record.kind.value for name, record in self.jobs.items() if record.kind is not None}

    @property
    def phases(self):
        """By name, the phases of each attempt: {"a": [["check", "run", "recheck"]]}."""
        return {
            name: [[phase.phase.value for phase in attempt.phases] for attempt in record.attempts]
            for name, record in self.jobs.items()
        }

    @property
    def values(self):
        assert self.engine is not None, self.text + self.errors
        return {bare(id): value for id, value in self.engine.values.items()}

    def reported(self, name):
        """When and outcome of the reports of a job: [("setup", "passed"), ...]."""
        return [(report.when, report.outcome) for report in self.of(name)]

    def of(self, name):
        """The reports of a job."""
        return [report for report in self.reports if bare(report.nodeid) == name]

    def longrepr(self, name):
        """How pytest shows what went wrong with a job."""
        return "\n".join(report.longreprtext for report in self.of(name) if report.longrepr)

    def section(self, name, stream):
        """What the last attempt of a job printed, as pytest shows it: stream is stdout, stderr or log."""
        sections = {title: text for report in self.of(name) for title, text in report.sections}
        return sections.get(f"Captured {stream} call", "")

    def counts(self):
        """The numbers of pytest's last line: {"passed": 2}; errors are "errors"."""
        return self._result.parseoutcomes()

    def times(self, what):
        """How often something was noted."""
        return Counter(self.seen)[what]

    def before(self, first, second):
        """Whether each note of `first` stands before each note of `second`; both must be there."""
        assert first in self.seen, self.seen
        assert second in self.seen, self.seen
        last = len(self.seen) - 1 - self.seen[::-1].index(first)
        return last < self.seen.index(second)


class Jobs:
    """Writes projects and runs them.

    Attributes:
        remembers: Whether runs have the state that a user's runs have; by default each forgets all.
    """

    remembers = False

    def __init__(self, pytester, monkeypatch):
        self.pytester = pytester
        self.path = pytester.path
        self._monkeypatch = monkeypatch

    def write(self, files):
        """Write files: from path to text, which is dedented."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")

    def run(self, *args, plugins=()):
        """Run `pytest --orchestrate` with the files that are there."""
        seen, recorder = Seen(), _Recorder()
        self._monkeypatch.setitem(sys.modules, "seen", seen.module())
        with warnings.catch_warnings():
            warnings.resetwarnings()
            result = self.pytester.runpytest_inprocess(
                "--orchestrate",
                "-p",
                "no:hypothesispytest",
                *([] if any(str(arg).startswith(("-J", "--job-parallel")) for arg in args) else ["-J1"]),
                *([] if self.remembers or "--job-state" in str(args) else ["--job-state=memory://"]),
                *args,
                plugins=[recorder, *plugins],
            )
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str(), result.stdout.str()
        return Run(result, recorder, seen)

    def __call__(self, source, *args, conftest=None, files=None, plugins=()):
        """Write `source` to `job_it.py`, maybe a `conftest.py` and more files, and run."""
        given = {"job_it.py": source}
        if conftest is not None:
            given["conftest.py"] = conftest
        self.write({**given, **(files or {})})
        return self.run(*args, plugins=plugins)


@pytest.fixture
def jobs(pytester, monkeypatch):
    """Write a project and orchestrate it: `run = jobs(source, "-J8", conftest=...)`."""
    return Jobs(pytester, monkeypatch)
