"""Scenarios about job files that are data."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import scenarios
from bench import Bench, Side
from measure import Command
from peers import Toolbox, said
from table import Row, Target, count, whole

ENTRIES = 5_000

TASK = "def task_note(number: int, word: str, tags: list[str] = []):\n    pass\n"
ENTRY = """[[job]]
name = "{name}"
task = "note"
args = {{ number = {number}, word = "x${{PLATFORM}}", tags = ["a"] }}
"""


def write_toml(folder: Path, shape: scenarios.Shape) -> None:
    """All jobs as entries of one file, each with three arguments."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(TASK)
    entries = (ENTRY.format(name=scenarios.name(number), number=number) for number in range(len(shape)))
    (folder / "job_all.toml").write_text("\n".join(entries))


def _collected(write: Callable[[Path, scenarios.Shape], None]) -> Side:
    """A project of 5 000 jobs that is collected and not run."""
    shape = scenarios.independent(ENTRIES)

    def side(toolbox: Toolbox, place: str) -> Command:
        command = toolbox.command("jobtest", place, shape, "--collect-only", write=write)
        return replace(command, proof=said(r"\b{} tests collected", ENTRIES))

    return side


def entries(bench: Bench) -> Iterator[Row]:
    """The collection of 5 000 entries of one TOML file against that of as many functions."""
    lineup = {"data": _collected(write_toml), "functions": _collected(scenarios.write_jobtest)}
    series = bench.measure("entries", lineup, bench.count(7, 3))
    scenario = f"{count(ENTRIES)} entries of TOML, collected"
    yield whole(scenario, series["data"], "as many functions", series["functions"], Target(ratio=1.5))


SCENARIOS = (entries,)
