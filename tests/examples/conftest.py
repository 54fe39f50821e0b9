"""Runs the examples as a user does: copies of their folders, real processes, and the text on the terminal.

Beside each example lies `expected.txt`: commands after a `$`, each followed by what it prints, without times,
ids of runs and paths. `UPDATE_EXPECTED=1 pytest tests/examples` writes these files anew; read the difference.
"""

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

NOT_THE_USERS = ("PYTEST_", "JOBTEST_", "COVERAGE_", "GITHUB_", "GITLAB_", "CI")

OF_THIS_RUN = (
    "platform ",
    "cachedir: ",
    "hypothesis profile ",
    "run: ",
    "rootdir: ",
    "configfile: ",
    "plugins: ",
    "reports: ",
    "slowest: ",
    "critical path: ",
    "written: ",
    "in         ",
    "by         ",
)
"""Beginnings of lines that are left out."""

PROGRAMS = {
    "python": [],
    "pytest": ["-m", "pytest"],
    "jobtest": ["-c", "import sys; from jobtest.cli.main import main; sys.exit(main())"],
}
"""Commands of an `expected.txt`, as this Python runs them."""

RUN_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
ASSIGNS = re.compile(r"[A-Z_]+=")
WHEN = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


def normalised(output: str) -> str:
    """The output without what differs between machines, versions and runs."""
    kept = (line.rstrip() for line in output.splitlines() if not line.startswith(OF_THIS_RUN))
    text = "\n".join(line for line in kept if line.strip(" ^") or not line)
    text = WHEN.sub("WHEN", RUN_ID.sub("RUN", text))
    text = re.sub(r"\b\d+(\.\d+)?(ms|s)\b", "TIME", text)
    text = re.sub(r"^(\w+) = \{.*\}$", r"\1 = {...}", text, flags=re.MULTILINE)
    return re.sub(r"([=_-])\1{4,}", r"\1\1\1\1\1", text).strip() + "\n"


@dataclass(frozen=True)
class Done:
    """A command that has ended, and the processor time it took, which does not grow on a busy machine."""

    exit_code: int
    output: str
    cpu_seconds: float
    report: dict | None

    @property
    def recap(self) -> str:
        """The counts of the last line that has some, like "18 jobs: 18 changed"."""
        recaps = re.findall(r"(\d+ jobs?: .*?) in [\d.]+ ?s", self.output)
        assert recaps, self.output
        return recaps[-1]

    @property
    def jobs(self) -> dict[str, dict]:
        """What the report says of each job, by name with parameters, like `scan[json]`."""
        assert self.report is not None, self.output
        return {job["name"] + "".join(re.findall(r"\[.*", job["id"])): job for job in self.report["jobs"]}

    def having(self, outcome: str) -> set[str]:
        """The jobs that ended like this."""
        return {name for name, job in self.jobs.items() if job["outcome"] == outcome}


@dataclass(frozen=True)
class Example:
    """A copy of an example in a folder of its own, in a terminal of some columns."""

    name: str
    folder: Path
    columns: int = 100

    @property
    def expected(self) -> Path:
        """The file with the commands of the example and what they print."""
        return EXAMPLES / self.name / "expected.txt"

    def run(
        self, *arguments: str, cwd: Path | None = None, program: str = "pytest", **variables: str
    ) -> Done:
        """Run `pytest ARGUMENTS` in the copy, or from another folder, with variables in the environment."""
        report = self.folder.parent / "report.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, *PROGRAMS[program], *arguments]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(NOT_THE_USERS)}
        environment |= {
            "COLUMNS": str(self.columns),
            "PY_COLORS": "0",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment |= {"PYTHONUNBUFFERED": "1", **variables}  # a run that is killed has printed what it had
        # Other plugins of this environment may print what they like, and take long to import.
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        options = ["-p", "jobtest.plugin", "-p", "no:cacheprovider", f"--job-report={report}"]
        environment["PYTEST_ADDOPTS"] = shlex.join(options)
        before = os.times()
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        content = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
        killed = "Killed\n" if done.returncode == -signal.SIGKILL else ""  # what a shell says then
        return Done(done.returncode, done.stdout + killed, seconds, content)

    def do(self, command: str) -> Done:
        """Run a command of a shell; of the form `VARIABLE=VALUE pytest ARGUMENTS` if it is one of ours."""
        words = shlex.split(command)
        variables = dict(word.split("=", 1) for word in itertools.takewhile(ASSIGNS.match, words))
        program, *arguments = words[len(variables) :]
        if program in PROGRAMS:
            return self.run(*arguments, program=program, **variables)
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return Done(done.returncode, done.stdout, 0.0, None)

    def play(self) -> "Story":
        """Run the commands of `expected.txt` one after the other.

        Jobs that took long in an earlier run go first in the next: on a busy machine the order may be
        another one. So what is not as expected is played once more, in a fresh copy.
        """
        commands = re.findall(r"^\$ (.*)$", self.expected.read_text(encoding="utf-8"), re.MULTILINE)
        story = Story(self, [(command, self.do(command)) for command in commands])
        if os.environ.get("UPDATE_EXPECTED"):
            self.expected.write_text(story.printed, encoding="utf-8")
        if story.printed != story.expected:
            again = fresh(self.name, self.folder.parent / "again")
            story = Story(again, [(command, again.do(command)) for command in commands])
        return story


def fresh(name: str, above: Path) -> Example:
    """A copy of an example, as it is cloned, in a folder of its name below another one."""
    leftovers = shutil.ignore_patterns("work", ".jobtest", ".pytest_cache", "__pycache__")
    return Example(name, Path(shutil.copytree(EXAMPLES / name, above / name, ignore=leftovers)))


@dataclass(frozen=True)
class Story:
    """The commands of `expected.txt` and what came of them."""

    example: Example
    runs: list[tuple[str, Done]]

    @property
    def printed(self) -> str:
        """All commands with what they have printed, in the form of `expected.txt`."""
        return "\n".join(f"$ {command}\n{normalised(done.output)}" for command, done in self.runs)

    @property
    def expected(self) -> str:
        """What they should print."""
        return self.example.expected.read_text(encoding="utf-8")

    def __getitem__(self, index: int) -> Done:
        """The result of the first, second, ... command."""
        return self.runs[index][1]


@pytest.fixture(scope="session")
def copy_of(tmp_path_factory):
    """A function: an example, by its name as it is cloned, or as some runs have left it, to a copy of it."""

    def copy(example: str | Example) -> Example:
        above = tmp_path_factory.mktemp("example")
        if isinstance(example, str):
            return fresh(example, above)
        folder = above / example.name
        return Example(example.name, Path(shutil.copytree(example.folder, folder, symlinks=True)))

    return copy


@pytest.fixture
def new_project(tmp_path_factory):
    """A function: from path to text of files to a project that consists of them."""

    def make(files: dict[str, str]) -> Example:
        folder = tmp_path_factory.mktemp("project") / "shop"
        folder.mkdir()
        for name, text in {"pytest.ini": "", **files}.items():
            (folder / name).write_text(text, encoding="utf-8")
        return Example("shop", folder, columns=80)

    return make


@pytest.fixture(name="examples")
def examples_fixture():
    """The folder of all examples, as it is cloned."""
    return EXAMPLES


@pytest.fixture(name="normalised")
def normalised_fixture():
    """The function that takes times, versions and paths out of a text."""
    return normalised
