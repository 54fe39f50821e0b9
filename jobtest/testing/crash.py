"""Runs of a project that are killed at each commit of their journal, and go on when they are started again.

What lives here: `crash_points` for tests, and the plugin that it loads into the runs (`-p
jobtest.testing.crash`), which wraps the store. Nothing of it is known to the rest of jobtest.

The plugin reads two variables of the environment: `JOBTEST_CRASH_LOG` names a file to which it appends what
the store kept, as JSON lines, and without which it does nothing; `JOBTEST_CRASH_POINT` is the number of the
point at which the run is killed. Point 2 K - 1 is before commit K, point 2 K after it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobtest.core.deprecation import renamed
from jobtest.core.events import Entry, JobEnded, PhaseEnded, PhaseStarted
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_from_data
from jobtest.core.model import Phase
from jobtest.state.store import Change, CleanupDone, RunKept, Store

if TYPE_CHECKING:
    import pytest

__all__ = ["Crashed", "crash_points"]

LOG, POINT = "JOBTEST_CRASH_LOG", "JOBTEST_CRASH_POINT"
LEFT_OUT = (".git", ".jobtest", ".pytest_cache")
"""What a copy of a project is made without: above all the state of its own runs."""

LAST_LINES = 30
"""Lines of what a run printed that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """What came of one point: of the run that was killed there, and of those that went on with it.

    Attributes:
        point: Its number, from 1.
        where: Before or after which commit, and what that commit keeps.
        project: The folder, as the last run left it; a copy is removed when `verify` has returned.
        statuses: Exit status of each run: -9 of the first, 0 of the last.
        ran: For each run the ids of the jobs whose run phase began, in order.
        done: For each run the ids of the jobs that it could report as done: changed, or the check held.
        output: For each run what it printed.
    """

    point: int
    where: str
    project: Path
    statuses: tuple[int, ...]
    ran: tuple[tuple[str, ...], ...]
    done: tuple[frozenset[str], ...]
    output: tuple[str, ...]


@renamed("at_once", "workers", goes="0.3")
def crash_points(
    project: Path | Callable[[], Path],
    *args: str,
    verify: Callable[[Crashed], None] | None = None,
    every: int = 1,
    workers: int = 1,
    most: int = 3,
    timeout: float = 60.0,
) -> list[Crashed]:
    """Kill `pytest --orchestrate --job-resume` before and after each commit; return what came of going on.

    Each point has a fresh folder, in which one run is killed (SIGKILL) and the same command is started again
    until it ends with 0. Asserted is that it does, that every job has ended well then, and that no job runs
    again that an earlier run could report as done. Excepted are jobs that have to run again to be of use,
    and what needs them: those that hold something open (generators), whose value cannot be stored, or whose
    cleanup has come already.

    Args:
        project: A folder of which each point gets a copy; or a function that makes a fresh folder, for a
            project whose world is not only its folder.
        args: Further arguments of pytest.
        verify: Looks at the world after each point; what it raises is raised.
        every: Leave out all but each n-th point.
        workers: Points that are tried side by side.
        most: Runs after the killed one within which it has to end with 0.
        timeout: Seconds for one run.

    Raises:
        AssertionError: something is not as asserted; with the point and how to see it again.
        ValueError: the project does not end with 0 if nobody kills it.
    """
    command = [sys.executable, "-m", "pytest", "--orchestrate", "--job-resume"]
    trial = _Trial([*command, "-p", __name__, *args], project, most, timeout)
    commits = trial.commits()

    def tried(point: int) -> Crashed | None:
        with trial.folder() as folder:
            crashed = trial.kill(folder, point)
            if crashed is not None and verify is not None:
                verify(crashed)
            return crashed

    pool = ThreadPoolExecutor(workers)
    try:
        return [one for one in pool.map(tried, range(1, 2 * commits + 1, every)) if one is not None]
    finally:
        pool.shutdown(cancel_futures=True)


# --- the side of the test ---


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is over.

    Attributes:
        status: Its exit status, negative for a signal.
        output: What it printed.
        told: What it told of itself, as pairs of a kind and a text.
    """

    status: int
    output: str
    told: Sequence[tuple[str, str]]

    def all(self, *kinds: str) -> list[str]:
        """Return what it told of these kinds, in order."""
        return [text for kind, text in self.told if kind in kinds]

    @property
    def done(self) -> frozenset[str]:
        """The jobs that it may have reported as done; that nobody needed one is no more than that."""
        checked = {*self.all("checked")}
        return frozenset([*self.all("changed"), *(id for id in self.all("unchanged") if id in checked)])

    @property
    def unended(self) -> list[str]:
        """The jobs that have not ended, or not well."""
        fine = {*self.all("changed", "unchanged", "skipped")}
        return [id for id in self.all("job") if id not in fine]


class _Trial:
    """A command and the folders in which it is killed."""

    def __init__(
        self, command: Sequence[str], project: Path | Callable[[], Path], most: int, timeout: float
    ) -> None:
        self._command, self._project, self._most, self._timeout = command, project, most, timeout

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a fresh folder; a copy is removed afterwards."""
        if not isinstance(self._project, Path):
            yield self._project()
            return
        with tempfile.TemporaryDirectory(prefix="jobtest-crash-") as above:
            ignored = shutil.ignore_patterns(*LEFT_OUT)
            yield Path(shutil.copytree(self._project, Path(above, self._project.name), ignore=ignored))

    def commits(self) -> int:
        """Return how many commits a run makes that nobody kills.

        Raises:
            ValueError: it does not end with 0.
        """
        with self.folder() as folder:
            run = self._run(folder, 0)
        if run.status:
            raise ValueError(f"the project ends with {run.status} if nobody kills it:\n{_tail(run.output)}")
        return len(run.all("commit"))

    def kill(self, folder: Path, point: int) -> Crashed | None:
        """Kill a run at a point and go on with it; None if it ended before it came there."""
        runs = [self._run(folder, point)]
        where = "".join(runs[0].all("killed"))
        if not where:
            return None
        while runs[-1].status and len(runs) <= self._most:
            runs.append(self._run(folder, 0))
        again = f"to see it again: {POINT}={point} {LOG}=log {' '.join(self._command)}"
        said = f"killed {where} (point {point}), then exit status {[run.status for run in runs[1:]]}"
        for run in runs[1:]:
            said += f"\n{_tail(run.output)}"
        assert not runs[-1].status, f"{said}\nit does not go on to its end; {again}"
        assert not runs[-1].unended, f"{said}\nhave not ended well: {runs[-1].unended}; {again}"
        repeated = _repeated(runs)
        assert not repeated, f"{said}\nran again though they were done: {repeated}; {again}"
        return Crashed(
            point=point,
            where=where,
            project=folder,
            statuses=tuple(run.status for run in runs),
            ran=tuple(tuple(run.all("ran")) for run in runs),
            done=tuple(run.done for run in runs),
            output=tuple(run.output for run in runs),
        )

    def _run(self, folder: Path, point: int) -> _Run:
        with tempfile.TemporaryDirectory(prefix="jobtest-crash-") as beside:
            log = Path(beside, "log")
            log.touch()
            told = {**os.environ, LOG: str(log), POINT: str(point)}
            with subprocess.Popen(
                self._command, cwd=folder, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            ) as child:
                try:
                    output = child.communicate(timeout=self._timeout)[0].decode(errors="replace")
                except subprocess.TimeoutExpired:
                    child.kill()
                    raise AssertionError(
                        f"a run has not ended within {self._timeout} s, point {point}"
                    ) from None
            return _Run(child.returncode, output, [*map(json.loads, log.read_bytes().splitlines())])


def _repeated(runs: Sequence[_Run]) -> list[str]:
    """Return the jobs that ran again though an earlier run had done them."""
    done: set[str] = set()
    repeated: list[str] = []
    for run in runs:
        repeated += [id for id in run.all("ran") if id in done]
        done |= run.done
    excepted = {id for run in runs for id in run.all("excepted")}
    return [id for id in repeated if id not in excepted]


def _tail(output: str) -> str:
    return "\n".join(output.splitlines()[-LAST_LINES:])


# --- the side of the run ---


class _Watched:
    """A store that tells what it keeps, and kills this process before or after one of its commits.

    All else it passes on.
    """

    def __init__(self, store: Store, log: int, point: int) -> None:
        self._store, self._log, self._point = store, log, point
        self._graph = Graph([])
        self._commits = 0
        self._last = ""
        self._untold: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def write(self, change: Change) -> None:
        """Take in a change; what is to be told of it is told when it is kept."""
        self._store.write(change)
        self._note(change)

    def commit(self, *, at_once: bool = False) -> None:
        """Keep what was written; there is a point before and one after."""
        self._commits += 1
        where = f"commit {self._commits}{self._last}"
        self._die(2 * self._commits - 1, f"before {where}")
        self._store.commit(at_once=at_once)
        self._tell(*self._untold, ("commit", str(self._commits)))
        self._untold = []
        self._die(2 * self._commits, f"after {where}")

    def _die(self, point: int, where: str) -> None:
        if point == self._point:
            self._tell(("killed", where))
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, *lines: tuple[str, str]) -> None:
        os.write(self._log, "".join(f"{json.dumps(line)}\n" for line in lines).encode())

    def _note(self, change: Change) -> None:
        if isinstance(change, Entry):
            event = change.event
            parts = (type(event).__name__, getattr(event, "job", ""), *_value(event, "phase", "outcome"))
            self._last = f", {' '.join(part for part in parts if part)}"
        match change:
            case Entry(event=PhaseStarted(job=job, phase=Phase.RUN)):
                self._untold.append(("ran", job))
            case Entry(event=PhaseEnded(job=job, has_value=True, value="")):
                self._except(job)
            case Entry(event=JobEnded(job=job, outcome=outcome)):
                self._untold.append((outcome.value, job))
            case CleanupDone(job=job):
                self._except(job)
            case RunKept(plan=str() as text):
                self._begin(plan_from_data(json.loads(text)).graph)

    def _begin(self, graph: Graph) -> None:
        self._graph = graph
        self._untold += [("job", id) for id in graph.jobs]
        self._untold += [("checked", job.id) for job in graph if job.has_check]
        for job in graph:
            if job.is_generator:
                self._except(job.id)

    def _except(self, job: str) -> None:
        """Tell that a job may run again though it is done, and so what needs it."""
        below = self._graph.descendants([job]) if job in self._graph else {job}
        self._untold += [("excepted", id) for id in sorted(below)]


def _value(event: object, *names: str) -> list[str]:
    return [getattr(event, name).value for name in names if hasattr(event, name)]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Wrap the store of a run if the environment asks for it."""
    orchestration = session.config.pluginmanager.get_plugin("jobtest-orchestration")
    if LOG in os.environ and orchestration is not None:
        log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        point = int(os.environ.get(POINT, "0"))
        orchestration.wrap = lambda store: cast("Store", _Watched(store, log, point))
