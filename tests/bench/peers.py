"""The tools that are measured: how each is installed, started, and shown to have done its work.

Each Python tool lives in an environment of its own below `.envs`, made once and used again. A tool that
cannot be installed or imported is no error: `Toolbox.python` raises Missing and its rows give the reason.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import scenarios
from measure import Command

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = HERE / ".envs"
PROJECTS = HERE / ".work"

REQUIREMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    # environment: what pip is given, what must import
    "jobtest": (("-e", str(ROOT)), "import pytest, jobtest"),
    "xdist": (("-e", str(ROOT), "pytest-xdist"), "import pytest, xdist"),
    "pytask": (("pytask",), "import pytask"),
    "doit": (("doit",), "import doit"),
    "luigi": (("luigi",), "import luigi"),
    "dojobber": (("DoJobber",), "import dojobber"),
}
ORCHESTRATE = ("-m", "pytest", "--orchestrate", "-q", "-p", "no:cacheprovider")
PLAIN = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:jobtest")


class Missing(Exception):
    """A tool this machine cannot offer; the text is the reason."""


def said(pattern: str, count: int) -> Callable[[int, str], bool]:
    """Proof: exit code 0 and a line that counts what was done."""
    wanted = re.compile(pattern.format(count))
    return lambda code, text: code == 0 and wanted.search(text) is not None


def lines(start: str, count: int) -> Callable[[int, str], bool]:
    """Proof: exit code 0 and so many lines that begin in this way."""
    return lambda code, text: code == 0 and sum(line.startswith(start) for line in text.splitlines()) == count


def _output(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a project of this tool is written, started and checked."""

    environment: str  # "" for a program on PATH
    write: Callable[[Path, scenarios.Shape], None]
    arguments: tuple[str, ...]
    proof: Callable[[int], Callable[[int, str], bool]]


TOOLS = {
    "jobtest": Tool(
        environment="jobtest",
        write=scenarios.write_jobtest,
        arguments=(*ORCHESTRATE, "-J", "1"),
        proof=lambda jobs: said(r"\b{} (passed|changed)", jobs),
    ),
    "pytest": Tool(
        environment="jobtest",
        write=scenarios.write_pytest,
        arguments=PLAIN,
        proof=lambda jobs: said(r"\b{} passed", jobs),
    ),
    "xdist": Tool(
        environment="xdist",
        write=scenarios.write_pytest,
        arguments=(*PLAIN, "-n", "2"),
        proof=lambda jobs: said(r"\b{} passed", jobs),
    ),
    "pytask": Tool(
        environment="pytask",
        write=scenarios.write_pytask,
        arguments=("-m", "pytask", "build"),
        proof=lambda jobs: said(r"\b{}  Succeeded", jobs),
    ),
    "doit": Tool(
        environment="doit",
        write=scenarios.write_doit,
        arguments=("-m", "doit", "run"),
        proof=lambda jobs: lines(".  n:", jobs),
    ),
    "luigi": Tool(
        environment="luigi",
        write=scenarios.write_luigi,
        arguments=("flow.py",),
        proof=lambda jobs: said(r"^{} done", jobs),
    ),
    "dojobber": Tool(
        environment="dojobber",
        write=scenarios.write_dojobber,
        arguments=("flow.py",),
        proof=lambda jobs: said(r"(?m)^{} done, True", jobs),
    ),
    "make": Tool(
        environment="",
        write=scenarios.write_make,
        arguments=("make",),
        proof=lambda jobs: lambda code, text: code == 0,
    ),
}


@dataclass(slots=True)
class Toolbox:
    """Makes environments and projects when they are first asked for."""

    broken: dict[str, str] = field(default_factory=dict)
    made: set[Path] = field(default_factory=set)

    def python(self, environment: str) -> str:
        """The interpreter of an environment, installed if need be; raises Missing."""
        if environment in self.broken:
            raise Missing(self.broken[environment])
        place = ENVIRONMENTS / environment
        python, ready = place / "bin" / "python", place / "ready.txt"
        requirement, probe = REQUIREMENTS[environment]
        stamp = f"{sys.version} {requirement}"
        if not ready.exists() or ready.read_text() != stamp:
            self._install(environment, requirement, probe)
            ready.write_text(stamp)
        return str(python)

    def _install(self, environment: str, requirement: tuple[str, ...], probe: str) -> None:
        place = ENVIRONMENTS / environment
        python = str(place / "bin" / "python")
        print(f"installing {environment} ...", file=sys.stderr, flush=True)
        shutil.rmtree(place, ignore_errors=True)
        for argv in (
            (sys.executable, "-m", "venv", str(place)),
            (python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirement),
            (python, "-c", probe),
        ):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                self.broken[environment] = f"cannot be installed: {last[:120]}"
                raise Missing(self.broken[environment])

    def command(
        self,
        tool: str,
        label: str,
        shape: scenarios.Shape,
        *more: str,
        write: Callable[[Path, scenarios.Shape], None] | None = None,
        **limits: float,
    ) -> Command:
        """A project of this shape and the command that runs it; raises Missing.

        The project is made anew the first time, with its own `write` if it is not the tool's usual.
        """
        kind = TOOLS[tool]
        if kind.environment:
            argv = (self.python(kind.environment), *kind.arguments, *more)
        elif program := shutil.which(kind.arguments[0]):
            argv = (program, *kind.arguments[1:], *more)
        else:
            raise Missing(f"no {kind.arguments[0]} on PATH")
        folder = PROJECTS / f"{tool}-{label}"
        if folder not in self.made:
            scenarios.fresh(folder, write or kind.write, shape)
            self.made.add(folder)
        return Command(argv=argv, folder=folder, jobs=len(shape), proof=kind.proof(len(shape)), **limits)

    def versions(self) -> str:
        """Name and version of every tool that could be installed, for the facts above the table."""
        found = []
        for environment in REQUIREMENTS:
            names = ("pytest", "jobtest") if environment == "jobtest" else (environment,)
            script = f"from importlib.metadata import version\nfor n in {names!r}: print(n, version(n))"
            if (ENVIRONMENTS / environment / "ready.txt").exists():
                found += _output(str(ENVIRONMENTS / environment / "bin" / "python"), "-c", script)
        if make := shutil.which("make"):
            found += _output(make, "--version")[:1]
        return ", ".join(found)
