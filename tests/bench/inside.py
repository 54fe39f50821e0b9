"""Scenarios about one part of jobtest: the library without pytest, and the plugin when it has no work."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import scenarios
from bench import Bench, Entry, Side
from measure import Command, Series
from peers import HERE, PLAIN, PROJECTS, Toolbox
from table import Both, Row, Target, allowed, broken, duration, figures, more

BUDGET = 50e-6  # seconds a job, in the library
IMPORT = 5e-3  # seconds, of a pytest run that does not ask for jobs
LAPS = ("graph", "plan", "run")


def _library(kind: str, *sizes: int) -> Side:
    """The process that times the library from inside."""

    def make(toolbox: Toolbox, place: str) -> Command:
        argv = (toolbox.python("jobtest"), str(HERE / "library.py"), kind, *map(str, sizes))
        jobs = len(getattr(scenarios, kind)(*sizes))
        folder = PROJECTS / place
        folder.mkdir(parents=True, exist_ok=True)
        return Command(
            argv=argv, folder=folder, jobs=jobs, proof=lambda code, text: not code and '"run"' in text
        )

    return make


def _pytest(tests: int, *arguments: str) -> Side:
    """A plain pytest of so many tests, with these arguments."""

    def make(toolbox: Toolbox, place: str) -> Command:
        folder: Path = scenarios.fresh(PROJECTS / place, scenarios.write_pytest, scenarios.independent(tests))
        argv = (toolbox.python("jobtest"), *arguments)
        return Command(argv=argv, folder=folder, jobs=tests, proof=lambda code, _: code == 0)

    return make


def lapped(series: Series, laps: tuple[str, ...]) -> Both:
    """Median wall and CPU seconds of these laps together."""
    samples = [json.loads(sample.output.splitlines()[-1]) for sample in series.samples]
    wall, cpu = (median(sum(sample[lap][clock] for lap in laps) for sample in samples) for clock in (0, 1))
    return wall, cpu


def plan(bench: Bench) -> Iterator[Row]:
    """A plan of 10 000 jobs and 30 000 edges in the library against pytest's collection of 10 000 tests."""
    shape = scenarios.layers(100, 100)
    collect = (*PLAIN, "--collect-only")
    lineup = {
        "plan": _library("layers", 100, 100),
        "one": _pytest(1, *collect),
        "all": _pytest(len(shape), *collect),
    }
    series = bench.measure("plan", lineup, bench.count(5, 1))
    scenario, against = "plan 10 000, 29 700 edges", "pytest collects 10 000"
    lame = broken(scenario, against, *series.values())
    if lame is not None:
        yield lame
        return
    ours, theirs = lapped(series["plan"], ("graph", "plan")), more(series["all"], series["one"])
    shown = duration(ours[0]), duration(theirs[0])
    yield figures(scenario, against, shown, ours, theirs, Target(ratio=0.25))


def core(bench: Bench) -> Iterator[Row]:
    """The library alone (graph, plan, run) against 50 us a job, and against a task of doit."""
    lineup: dict[str, Side] = {
        "independent": _library("independent", 10_000),
        "chain": _library("chain", 10_000),
        "layers": _library("layers", 100, 100),
        "doit": Entry(tool="doit", shape=scenarios.independent(10_000)),
        "doit 1": Entry(tool="doit", shape=scenarios.independent(1)),
    }
    series = bench.measure("core", lineup, bench.count(5, 2))
    for key in ("independent", "chain", "layers"):
        yield _against_budget(f"library alone, {key}", series[key])
    yield _against_doit("library alone, independent", series["independent"], series["doit"], series["doit 1"])


def _each(both: Both, jobs: int) -> Both:
    return both[0] / jobs, both[1] / jobs


def _against_budget(scenario: str, series: Series) -> Row:
    lame = broken(scenario, "the budget", series)
    if lame is not None:
        return lame
    ours = _each(lapped(series, LAPS), series.jobs)
    shown = f"{duration(ours[0])}/job", f"{duration(BUDGET)}/job"
    return figures(scenario, "the budget", shown, ours, (BUDGET, BUDGET), Target(ratio=1.0))


def _against_doit(scenario: str, series: Series, full: Series, base: Series) -> Row:
    lame = broken(scenario, "doit", series, full, base)
    if lame is not None:
        return lame
    ours = _each(lapped(series, LAPS), series.jobs)
    theirs = _each(more(full, base), full.jobs - base.jobs)
    shown = f"{duration(ours[0])}/job", f"{duration(theirs[0])}/job"
    return figures(scenario, "doit, 10 000", shown, ours, theirs, Target(ratio=1.0, below=True))


def idle(bench: Bench) -> Iterator[Row]:
    """What the installed plugin costs a pytest run that does not ask for it: one test, with and without."""
    lineup = {"with": _pytest(1, *PLAIN[:-2]), "without": _pytest(1, *PLAIN)}
    series = bench.measure("idle", lineup, bench.count(25, 15))
    yield allowed("plugin without the flag", series["with"], series["without"], IMPORT)


SCENARIOS = (plan, core, idle)
