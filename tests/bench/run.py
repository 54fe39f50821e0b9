"""Measures jobtest against its peers and prints one table of ratios from one run.

    python tests/bench/run.py [--quick] [--only SCENARIO ...] [--json FILE]

Cost per job is the wall time of a whole process minus that of the same with one job, over the number of jobs more.
Every row is measured by running the two sides in turn; each ratio is the median of the ratios of the rounds. Peers are
installed into environments of their own below `tests/bench/.envs`, by the pip of this machine, the first time.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import scenarios
from measure import Command, Series, rounds
from peers import HERE, PLAIN, PROJECTS, Missing, Toolbox
from table import Row, Target, broken, cost, count, duration, render, whole

SAME_AS_PYTEST = Target(ratio=1.0, stretch=0.6)
LINEAR = Target(ratio=1.3)
LESS = Target(ratio=1.0, below=True)
SLEEP, SLEEPERS, WORKERS = 0.05, 200, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One side of a comparison: a tool, a shape, and what else its command needs."""

    tool: str
    shape: scenarios.Shape
    more: tuple[str, ...] = ()
    body: str = "pass"
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Bench:
    """What all scenarios share."""

    quick: bool
    toolbox: Toolbox = field(default_factory=Toolbox)

    def count(self, normal: int, quick: int) -> int:
        """How many rounds, or how many jobs."""
        return quick if self.quick else normal

    def measure(self, label: str, lineup: dict[str, Entry], times: int) -> dict[str, Series]:
        """Run the entries in turn; those that this machine does not offer come back with the reason."""
        commands: dict[str, Command] = {}
        absent: dict[str, Series] = {}
        for key, entry in lineup.items():
            try:
                commands[key] = self.toolbox.command(
                    entry.tool, f"{label}-{key}", entry.shape, *entry.more, body=entry.body, **entry.limits
                )
            except Missing as reason:
                absent[key] = Series(len(entry.shape), broken=str(reason))
        return absent | rounds(commands, times)

    def versus_pytest(self, label: str, shapes: dict[str, scenarios.Shape], times: int) -> dict[str, Series]:
        """Measure jobtest and as many plain tests, and both with one job (keys `jobtest`, `pytest`)."""
        lineup = {}
        for tool in ("jobtest", "pytest"):
            lineup[tool] = Entry(tool=tool, shape=scenarios.independent(1))
            for key, shape in shapes.items():
                lineup[f"{tool} {key}"] = Entry(tool=tool, shape=shape)
        return self.measure(label, lineup, times)


def _cost_of_pytest(scenario: str, series: dict[str, Series], key: str) -> Row:
    ours, theirs = series[f"jobtest {key}"], series[f"pytest {key}"]
    pair = (ours, series["jobtest"]), (theirs, series["pytest"])
    return cost(scenario, pair[0], "plain pytest", pair[1], SAME_AS_PYTEST)


def one(bench: Bench) -> Iterator[Row]:
    """One job, whole process, beside one task of every peer."""
    tools = ("jobtest", "pytest", "pytask", "doit", "luigi", "dojobber", "make")
    lineup = {tool: Entry(tool=tool, shape=scenarios.independent(1)) for tool in tools}
    series = bench.measure("one", lineup, bench.count(15, 5))
    for tool in tools[1:]:
        name = "plain pytest, 1 test" if tool == "pytest" else f"{tool}, 1 task"
        yield whole("one job, process", series["jobtest"], name, series[tool])


def independent(bench: Bench) -> Iterator[Row]:
    """100, 1 000 and 10 000 jobs that need nothing; whether the cost is linear; peak memory."""
    small = bench.versus_pytest("few", {"100": scenarios.independent(100)}, bench.count(15, 5))
    yield _cost_of_pytest("independent 100", small, "100")
    shapes = {str(jobs): scenarios.independent(jobs) for jobs in (1_000, 10_000)}
    series = bench.versus_pytest("many", shapes, bench.count(5, 1))
    yield _cost_of_pytest("independent 1 000", series, "1000")
    yield _cost_of_pytest("independent 10 000", series, "10000")
    base = series["jobtest"]
    large, medium = (series["jobtest 10000"], base), (series["jobtest 1000"], base)
    yield cost("independent 10 000", large, "jobtest itself", medium, LINEAR)
    yield _memory(series["jobtest 10000"], series["pytest 10000"])


def _memory(ours: Series, theirs: Series) -> Row:
    against = "plain pytest, 10 000"
    lame = broken("peak memory 10 000", against, ours, theirs)
    if lame is not None:
        return lame
    mine, other = (statistics.median(side.values("peak")) / 1024 for side in (ours, theirs))
    return Row(
        scenario="peak memory 10 000",
        measured=f"{mine:.0f} MiB",
        against=against,
        yardstick=f"{other:.0f} MiB",
        wall=mine / other,
        target=Target(ratio=2.0),
    )


def chain(bench: Bench) -> Iterator[Row]:
    """Chains of 1 000 and 10 000 jobs, each taking the value of the one before."""
    shapes = {str(jobs): scenarios.chain(jobs) for jobs in (1_000, 10_000)}
    series = bench.versus_pytest("chain", shapes, bench.count(5, 1))
    yield _cost_of_pytest("chain 1 000", series, "1000")
    yield _cost_of_pytest("chain 10 000", series, "10000")
    base = series["jobtest"]
    yield cost(
        "chain 10 000",
        (series["jobtest 10000"], base),
        "jobtest itself",
        (series["jobtest 1000"], base),
        LINEAR,
    )


def layers(bench: Bench) -> Iterator[Row]:
    """100 layers of 100 jobs with three edges each, against plain pytest and DoJobber."""
    shape = scenarios.layers(100, 100)
    theirs = bench.count(
        100, 60
    )  # DoJobber is quadratic here: half a minute for 100 x 100, so it runs only once
    lineup = {
        "jobtest": Entry(tool="jobtest", shape=scenarios.independent(1)),
        "pytest": Entry(tool="pytest", shape=scenarios.independent(1)),
        "dojobber": Entry(tool="dojobber", shape=scenarios.independent(1)),
        "jobtest layers": Entry(tool="jobtest", shape=shape),
        "pytest layers": Entry(tool="pytest", shape=shape),
        "dojobber layers": Entry(
            tool="dojobber", shape=scenarios.layers(theirs, theirs), limits={"rounds": 1, "warm": False}
        ),
    }
    series = bench.measure("layers", lineup, bench.count(5, 1))
    yield _cost_of_pytest("layers 100 x 100", series, "layers")
    ours, peer = (
        (series["jobtest layers"], series["jobtest"]),
        (series["dojobber layers"], series["dojobber"]),
    )
    yield cost("layers 100 x 100", ours, "DoJobber, layers", peer, LESS)


def fan(bench: Bench) -> Iterator[Row]:
    """One job, 5 000 that take its value, one that needs them all."""
    series = bench.versus_pytest("fan", {"fan": scenarios.fan(5_000)}, bench.count(5, 1))
    yield _cost_of_pytest("1 to 5 000 to 1", series, "fan")


def peers(bench: Bench) -> Iterator[Row]:
    """Independent jobs against every peer: 1 000, then as many as the slow ones do in about 20 seconds."""
    tools = ("jobtest", "pytask", "luigi", "dojobber", "doit", "make")
    yield from _peers(bench, tools, 1_000, {}, bench.count(5, 2))
    slow = {"rounds": 2, "warm": False}
    targets = {"pytask": Target(ratio=0.1), "luigi": Target(ratio=0.2)}
    yield from _peers(bench, ("jobtest", "pytask", "luigi"), bench.count(4_000, 2_500), targets, 2, slow)
    make = {"make": LESS}
    yield from _peers(bench, ("jobtest", "doit", "make"), bench.count(10_000, 4_000), make, bench.count(3, 1))


def _peers(
    bench: Bench,
    tools: tuple[str, ...],
    jobs: int,
    targets: dict[str, Target],
    times: int,
    limits: dict[str, float] | None = None,
) -> Iterator[Row]:
    lineup = {}
    for tool in tools:
        lineup[f"{tool} 1"] = Entry(tool=tool, shape=scenarios.independent(1))
        own = limits if limits and tool != "jobtest" else {}
        lineup[tool] = Entry(tool=tool, shape=scenarios.independent(jobs), limits=own)
    series = bench.measure(f"peers{jobs}", lineup, times)
    ours = series["jobtest"], series["jobtest 1"]
    for tool in tools[1:]:
        name = "make, a process each" if tool == "make" else tool
        theirs = series[tool], series[f"{tool} 1"]
        yield cost(f"independent {count(jobs)}", ours, name, theirs, targets.get(tool))


def sleep(bench: Bench) -> Iterator[Row]:
    """200 jobs of 50 ms on 16 workers against the 13 waves they must take; start-up of the process taken off."""
    wide = ("-J", str(WORKERS))
    lineup = {
        "one": Entry(tool="jobtest", shape=scenarios.independent(1), more=wide),
        "all": Entry(
            tool="jobtest", shape=scenarios.independent(SLEEPERS), more=wide, body=f"time.sleep({SLEEP})"
        ),
    }
    series = bench.measure("sleep", lineup, bench.count(9, 3))
    scenario = f"{SLEEPERS} x {duration(SLEEP)}, -J {WORKERS}"
    ideal = -(-SLEEPERS // WORKERS) * SLEEP
    lame = broken(scenario, "the ideal", *series.values())
    if lame is not None:
        yield lame
        return
    floor = statistics.median(series["one"].values("wall"))
    taken = statistics.median(series["all"].values("wall")) - floor
    yield Row(
        scenario=scenario,
        measured=duration(taken),
        against="the ideal",
        yardstick=duration(ideal),
        wall=taken / ideal,
        target=Target(ratio=1.15),
    )


def _library(bench: Bench, label: str, kind: str, *sizes: int) -> Command:
    """The command that times the library from inside; raises Missing."""
    python = bench.toolbox.python("jobtest")
    folder = PROJECTS / f"library-{label}"
    folder.mkdir(parents=True, exist_ok=True)
    argv = (python, str(HERE / "library.py"), kind, *map(str, sizes))
    jobs = len(getattr(scenarios, kind)(*sizes))
    return Command(
        argv=argv, folder=folder, jobs=jobs, proof=lambda code, text: code == 0 and '"run"' in text
    )


def _inside(series: Series, what: tuple[str, ...], clock: int) -> list[float]:
    """Seconds of these laps in each sample; clock 0 is wall, 1 is CPU."""
    laps = [json.loads(sample.output.splitlines()[-1]) for sample in series.samples]
    return [sum(lap[name][clock] for name in what) for lap in laps]


def plan(bench: Bench) -> Iterator[Row]:
    """A plan of 10 000 jobs and 30 000 edges in the library against pytest's own collection of 10 000 tests."""
    shape = scenarios.layers(100, 100)
    scenario, against = f"plan, {count(scenarios.edges(shape))} edges", "pytest --collect-only, 10 000"
    try:
        python = bench.toolbox.python("jobtest")
        commands = {"plan": _library(bench, "plan", "layers", 100, 100)}
    except Missing as reason:
        yield Row(scenario=scenario, against=against, note=str(reason))
        return
    for key, tests in (("one", scenarios.independent(1)), ("all", shape)):
        folder = scenarios.fresh(PROJECTS / f"pytest-collect-{key}", scenarios.write_pytest, tests)
        commands[key] = Command(
            argv=(python, *PLAIN, "--collect-only"),
            folder=folder,
            jobs=len(tests),
            proof=lambda code, text: code == 0 and "collected" in text,
        )
    series = rounds(commands, bench.count(5, 1))
    lame = broken(scenario, against, *series.values())
    if lame is not None:
        yield lame
        return
    ours = [statistics.median(_inside(series["plan"], ("graph", "plan"), clock)) for clock in (0, 1)]
    theirs = [
        statistics.median(series["all"].values(what)) - statistics.median(series["one"].values(what))
        for what in ("wall", "cpu")
    ]
    yield Row(
        scenario=scenario,
        measured=duration(ours[0]),
        against=against,
        yardstick=duration(theirs[0]),
        wall=ours[0] / theirs[0],
        cpu=ours[1] / theirs[1],
        target=Target(ratio=0.25),
    )


def core(bench: Bench) -> Iterator[Row]:
    """The library alone (graph, plan, run) against 50 us a job, and against a task of doit."""
    doit = {"doit": Entry(tool="doit", shape=scenarios.independent(10_000))}
    doit["doit 1"] = Entry(tool="doit", shape=scenarios.independent(1))
    peer = bench.measure("core", doit, bench.count(5, 2))
    shapes = {
        "independent": ("independent", 10_000),
        "chain": ("chain", 10_000),
        "layers": ("layers", 100, 100),
    }
    try:
        commands = {key: _library(bench, key, *args) for key, args in shapes.items()}
    except Missing as reason:
        yield Row(scenario="library alone", against="50 us/job", note=str(reason))
        return
    for key, series in rounds(commands, bench.count(5, 2)).items():
        scenario = f"library alone, {key}"
        lame = broken(scenario, "the budget", series)
        if lame is not None:
            yield lame
            continue
        wall, cpu = (
            statistics.median(_inside(series, ("graph", "plan", "run"), clock)) / series.jobs
            for clock in (0, 1)
        )
        shown = f"{duration(wall)}/job"
        yield Row(
            scenario=scenario,
            measured=shown,
            against="the budget",
            yardstick="50 us/job",
            wall=wall / 50e-6,
            cpu=cpu / 50e-6,
            target=Target(ratio=1.0),
        )
        if key == "independent":
            yield _core_and_doit(scenario, shown, wall, cpu, peer)


def _core_and_doit(scenario: str, shown: str, wall: float, cpu: float, peer: dict[str, Series]) -> Row:
    lame = broken(scenario, "doit", *peer.values())
    if lame is not None:
        return lame
    per_task = [
        (statistics.median(peer["doit"].values(what)) - statistics.median(peer["doit 1"].values(what)))
        / (peer["doit"].jobs - 1)
        for what in ("wall", "cpu")
    ]
    return Row(
        scenario=scenario,
        measured=shown,
        against="doit, 10 000",
        yardstick=f"{duration(per_task[0])}/job",
        wall=wall / per_task[0],
        cpu=cpu / per_task[1],
        target=LESS,
    )


def idle(bench: Bench) -> Iterator[Row]:
    """What the installed plugin costs a plain pytest run that does not ask for it: one test, with and without."""
    scenario, against = "plugin without its flag", "5 ms over no plugin"
    try:
        python = bench.toolbox.python("jobtest")
    except Missing as reason:
        yield Row(scenario=scenario, against=against, note=str(reason))
        return
    folder = scenarios.fresh(PROJECTS / "pytest-idle", scenarios.write_pytest, scenarios.independent(1))
    commands = {
        key: Command(argv=(python, *argv), folder=folder, jobs=1, proof=lambda code, text: code == 0)
        for key, argv in (("with", PLAIN[:-2]), ("without", PLAIN))
    }
    series = rounds(commands, bench.count(25, 15))
    lame = broken(scenario, against, *series.values())
    if lame is not None:
        yield lame
        return
    more = {
        what: statistics.median(
            a - b for a, b in zip(series["with"].values(what), series["without"].values(what), strict=True)
        )
        for what in ("wall", "cpu")
    }
    yield Row(
        scenario=scenario,
        measured=duration(more["wall"]),
        against=against,
        yardstick="5 ms",
        wall=more["wall"] / 5e-3,
        cpu=more["cpu"] / 5e-3,
        target=Target(ratio=1.0),
    )


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (one, independent, chain, layers, fan, peers, sleep, plan, core, idle)
}


def main() -> int:
    """Run the scenarios asked for and print the table; exit 1 if a target was missed or a row has no figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, smaller projects for the slowest peers"
    )
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    given = parser.parse_args()
    bench = Bench(quick=given.quick)
    rows: list[Row] = []
    start = time.monotonic()
    for name in given.only or SCENARIOS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += SCENARIOS[name](bench)
    took = time.monotonic() - start
    facts = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    mode = "quick" if given.quick else "normal"
    print(f"{facts}; {bench.toolbox.versions()}; {mode} run of {took:.0f} s\n\n{render(rows)}")
    if given.json:
        data = {"machine": facts, "quick": given.quick, "seconds": took, "rows": [row.data() for row in rows]}
        given.json.write_text(json.dumps(data, indent=1) + "\n")
    return int(any(row.note or row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
