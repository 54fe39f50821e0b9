"""Starts processes, times them from outside and makes ratios. Knows nothing of tools, scenarios or tables.

Wall seconds are a monotonic clock read before the start and after the child is reaped; CPU seconds and peak
memory are the operating system's account of the finished child (`os.wait4`), with the grandchildren it waited
for. What is compared runs in turn, A B B A, so that a machine that gets slower makes both slower.
"""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LITTER = (
    ".jobtest",
    ".pytask",
    "pytask.lock",
    ".doit.db",
    ".doit.db.bak",
    ".doit.db.dat",
    ".doit.db.dir",
    "done.txt",  # left by projects of scenarios
    "killed.txt",
)
OUTPUT = "bench-output.txt"
FORGOTTEN = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "MAKEFLAGS",
    "VIRTUAL_ENV",
)


class BrokenRun(Exception):
    """A command that did not do what it was measured for; the text says what happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One process to time. `proof` gets exit code and output and says whether the work was really done.

    It starts without anything that earlier runs have left, or with what lies in the folder `start`.
    """

    argv: tuple[str, ...]
    folder: Path
    jobs: int
    proof: Callable[[int, str], bool]
    start: Path | None = None
    rounds: int = 1_000_000  # a slow peer takes part in fewer rounds than the others
    warm: bool = True
    seconds_at_most: float = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finished process: seconds, seconds of CPU, KiB at its peak, what it printed."""

    wall: float
    cpu: float
    peak: int
    output: str


@dataclass(slots=True)
class Series:
    """The samples of one command, or why there are none."""

    jobs: int
    samples: list[Sample] = field(default_factory=list)
    broken: str = ""

    def values(self, what: str) -> list[float]:
        """One figure of each sample: `wall`, `cpu` or `peak`."""
        return [float(getattr(sample, what)) for sample in self.samples]


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in FORGOTTEN}
    return kept | {"PYTHONHASHSEED": "0", "NO_COLOR": "1", "COLUMNS": "100"}


def _clean(folder: Path) -> None:
    for entry in LITTER:
        path = folder / entry
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def keep(folder: Path) -> Path:
    """Move what a run has left in its project to a folder beside it, from which another one can start."""
    place = folder.with_name(f"{folder.name}-left")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for entry in LITTER:
        if (folder / entry).exists():
            (folder / entry).rename(place / entry)
    return place


def _put_back(place: Path, folder: Path) -> None:
    """Copy what was kept, down to the disk: who syncs later would have to wait for it."""
    shutil.copytree(place, folder, dirs_exist_ok=True)
    for copy in (folder / path.relative_to(place) for path in place.rglob("*") if path.is_file()):
        fd = os.open(copy, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself in the same moment
        os.killpg(group, signal.SIGKILL)


def once(command: Command) -> Sample:
    """Run a command in a project in the state that it starts from; raises BrokenRun if its proof fails."""
    _clean(command.folder)
    if command.start is not None:
        _put_back(command.start, command.folder)
    output = command.folder / OUTPUT
    with output.open("wb") as sink:
        start = time.perf_counter()
        child = subprocess.Popen(
            command.argv, cwd=command.folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=sink,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        alarm = threading.Timer(command.seconds_at_most, _kill, (child.pid,))
        alarm.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        alarm.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    text = output.read_text("utf-8", "replace")
    if child.returncode == -signal.SIGKILL and wall >= command.seconds_at_most:
        raise BrokenRun(f"{command.folder.name}: did not end within {command.seconds_at_most:.0f} s")
    if not command.proof(child.returncode, text):
        said = [line.strip() for line in text.splitlines() if line.strip()] or ["no output"]
        told = next((line for line in said if "rror" in line), said[-1])
        raise BrokenRun(f"{command.folder.name}: exit {child.returncode}, {told[:160]}")
    return Sample(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss, output=text)


def rounds(commands: Mapping[str, Command], count: int) -> dict[str, Series]:
    """Run all commands in turn `count` times after one warm-up; a broken one is left out from then on."""
    series = {key: Series(command.jobs) for key, command in commands.items()}
    for number in range(-1, count):
        turn = list(commands.items())[:: -1 if number % 2 else 1]  # forth and back: nobody is always second
        for key, command in turn:
            idle = not command.warm if number < 0 else number >= command.rounds
            if idle or series[key].broken:
                continue
            try:
                sample = once(command)
            except (BrokenRun, OSError) as error:
                series[key] = Series(command.jobs, broken=str(error))
            else:
                if number >= 0:
                    series[key].samples.append(sample)
    return series


def per_job(full: Series, base: Series, what: str) -> list[float]:
    """Cost of one more job, one figure a round: this project minus the one-job project (its median)."""
    floor = statistics.median(base.values(what))
    return [(value - floor) / (full.jobs - base.jobs) for value in full.values(what)]


def difference(full: Series, base: Series, what: str) -> float:
    """Median of what one takes more than the other, round by round."""
    pairs = zip(full.values(what), base.values(what), strict=True)
    return statistics.median(a - b for a, b in pairs)


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """Median of the ratios of the rounds; with fewer rounds on one side, of the medians."""
    mine, other = list(ours), list(theirs)
    if len(mine) != len(other):
        return statistics.median(mine) / statistics.median(other)
    return statistics.median(a / b if b else float("inf") for a, b in zip(mine, other, strict=True))
