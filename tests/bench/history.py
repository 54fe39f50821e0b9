"""Scenarios about a state of many past runs: listing them, forgetting them, and starting one more."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import scenarios
from bench import Bench, Entry, Side
from inside import lapped
from measure import Command, Series, keep, once
from peers import HERE, PROJECTS, Toolbox, said
from table import Row, Target, allowed, broken, count, duration, figures, whole

LISTED = 0.3  # seconds that listing runs may take more than listing none
STARTED = 0.5  # seconds that many past runs may delay the start of one
RUNS, JOBS = 1_000, 100
KEPT = 200
MANY, FEW = 10_000, 10
CLI = ("-c", "import sys; from jobtest.cli.main import main; sys.exit(main())", "--root", ".")
PROGRAM = str(HERE / "past_runs.py")


@cache
def _past(python: str, runs: int, jobs: int) -> Path:
    """Return a folder with the state of so many past runs of so many jobs each, made once."""
    folder = PROJECTS / f"past-{runs}-{jobs}"
    folder.mkdir(parents=True, exist_ok=True)
    argv = (python, PROGRAM, str(runs), str(jobs))
    once(Command(argv=argv, folder=folder, jobs=0, proof=lambda code, _: code == 0, seconds_at_most=600.0))
    return keep(folder)


def _started(runs: int, jobs: int, side: Entry | tuple[str, ...], proof: str = "") -> Side:
    """A jobtest project, or a command of its environment, that starts with so many past runs in its state.

    Args:
        runs: How many; 0 for none.
        jobs: Of each run; three events each.
        side: What is started.
        proof: Pattern of what a command must print; it has ended with 0 in any case.
    """

    def make(toolbox: Toolbox, place: str) -> Command:
        start = _past(toolbox.python("jobtest"), runs, jobs) if runs else None
        if isinstance(side, Entry):
            made = toolbox.command(side.tool, place, side.shape, *side.more, write=side.write, **side.limits)
            return replace(made, start=start)
        folder = PROJECTS / place
        folder.mkdir(parents=True, exist_ok=True)
        argv = (toolbox.python("jobtest"), *side)
        return Command(argv=argv, folder=folder, jobs=0, proof=said(proof, runs), start=start)

    return make


def listing(bench: Bench) -> Iterator[Row]:
    """`jobtest runs` on 1 000 runs of 100 jobs, and `jobtest prune` that leaves 200 of them."""
    lineup = {
        "runs": _started(RUNS, JOBS, (*CLI, "runs"), f"{RUNS - 20} more"),
        "none": _started(0, 0, (*CLI, "runs"), "no runs yet"),
    }
    series = bench.measure("listing", lineup, bench.count(9, 5))
    yield allowed(f"jobtest runs, {count(RUNS)} of {JOBS} jobs", series["runs"], series["none"], LISTED)
    gone = RUNS - KEPT
    prune = _started(RUNS, JOBS, (*CLI, "prune", "--keep", str(KEPT)), f"forgot {gone} runs")
    yield _pruned(bench.measure("listing", {"prune": prune}, bench.count(3, 1))["prune"], gone)


def _pruned(series: Series, gone: int) -> Row:
    scenario, against = f"jobtest prune, {gone} runs of {JOBS} jobs", "a run of them"
    lame = broken(scenario, against, series)
    if lame is not None:
        return lame
    taken = median(series.values("wall"))
    return Row(scenario=scenario, measured=duration(taken), against=against, yardstick=duration(taken / gone))


def opening(bench: Bench) -> Iterator[Row]:
    """One job after 10 000 runs and after 10, none of them forgotten; the store alone; and forgetting some.

    Each run has 33 jobs, which makes a million events. With `--quick` it has one.
    """
    jobs = bench.count(33, 1)
    one = Entry(tool="jobtest", shape=scenarios.independent(1))
    keeps = replace(one, write=scenarios.with_settings(f"keep_runs = {10 * MANY}"))
    opens = (PROGRAM, "open")
    lineup: dict[str, Side] = {}
    for key, runs in (("many", MANY), ("few", FEW)):
        lineup[key] = _started(runs, jobs, keeps)
        lineup[f"{key} opened"] = _started(runs, jobs, opens, '"open"')
        lineup[f"{key} listed"] = _started(runs, jobs, (*CLI, "runs", "--limit", "5"), f"{runs - 5} more")
    lineup["forgetting"] = _started(MANY, jobs, one)
    series = bench.measure("opening", lineup, bench.count(5, 3))
    many, few = f"{count(MANY)} past runs", f"{FEW} past runs"
    yield allowed(f"one job, {many}", series["many"], series["few"], STARTED)
    yield _opened(f"opening the store, {many}", few, series["many opened"], series["few opened"])
    yield whole(f"one job, {many}, 20 forgotten", series["forgetting"], few, series["few"])
    yield allowed(f"jobtest runs, {many}", series["many listed"], series["few listed"], LISTED)


def _opened(scenario: str, against: str, ours: Series, theirs: Series) -> Row:
    """Compare what the store takes to open; 1.3 is for what else the machine does."""
    lame = broken(scenario, against, ours, theirs)
    if lame is not None:
        return lame
    mine, other = (lapped(side, ("open",)) for side in (ours, theirs))
    shown = duration(mine[0]), duration(other[0])
    return figures(scenario, against, shown, mine, other, Target(ratio=1.3))


SCENARIOS = (listing, opening)
