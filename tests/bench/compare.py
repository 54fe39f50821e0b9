"""Scenarios that compare whole processes: jobtest, plain pytest and the peers, each on its own project."""

from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median

import scenarios
from bench import Bench, Entry, Side
from measure import Series
from table import Row, Target, broken, cost, count, duration, whole

LIKE_PYTEST = Target(ratio=1.0, stretch=0.6)
LINEAR = Target(ratio=1.3)
LESS = Target(ratio=1.0, below=True)
SLEEP, SLEEPERS, WORKERS = 0.05, 200, 16


def _with_pytest(scenario: str, series: Mapping[str, Series], key: str) -> Row:
    ours, theirs = (series[f"jobtest {key}"], series["jobtest"]), (series[f"pytest {key}"], series["pytest"])
    return cost(scenario, ours, "plain pytest", theirs, LIKE_PYTEST)


def _with_itself(scenario: str, series: Mapping[str, Series]) -> Row:
    base = series["jobtest"]
    return cost(scenario, (series["jobtest 10000"], base), "jobtest", (series["jobtest 1000"], base), LINEAR)


def one(bench: Bench) -> Iterator[Row]:
    """One job, whole process, beside one task of every peer."""
    tools = ("jobtest", "pytest", "pytask", "doit", "luigi", "dojobber", "make")
    lineup = {tool: Entry(tool=tool, shape=scenarios.independent(1)) for tool in tools}
    series = bench.measure("one", lineup, bench.count(15, 5))
    for tool in tools[1:]:
        name = "plain pytest, 1" if tool == "pytest" else f"{tool}, 1"
        yield whole("one job, process", series["jobtest"], name, series[tool])


def independent(bench: Bench) -> Iterator[Row]:
    """100, 1 000 and 10 000 jobs that need nothing; whether the cost is linear; peak memory."""
    few = bench.versus_pytest("few", {"100": scenarios.independent(100)}, bench.count(15, 5))
    yield _with_pytest("independent 100", few, "100")
    shapes = {str(jobs): scenarios.independent(jobs) for jobs in (1_000, 10_000)}
    series = bench.versus_pytest("independent", shapes, bench.count(5, 1))
    yield _with_pytest("independent 1 000", series, "1000")
    yield _with_pytest("independent 10 000", series, "10000")
    yield _with_itself("independent 10 000", series)
    yield _memory("independent 10 000", series["jobtest 10000"], series["pytest 10000"])


def _memory(scenario: str, ours: Series, theirs: Series) -> Row:
    """Compare peaks; every project of 10 000 jobs has such a row."""
    scenario, against = f"{scenario}, peak", "plain pytest, 10 000"
    lame = broken(scenario, against, ours, theirs)
    if lame is not None:
        return lame
    mine, other = (median(side.values("peak")) / 1024 for side in (ours, theirs))
    return Row(
        scenario=scenario,
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
    yield _with_pytest("chain 1 000", series, "1000")
    yield _with_pytest("chain 10 000", series, "10000")
    yield _with_itself("chain 10 000", series)
    yield _memory("chain 10 000", series["jobtest 10000"], series["pytest 10000"])


def layers(bench: Bench) -> Iterator[Row]:
    """100 layers of 100 jobs with three edges each, against plain pytest and DoJobber.

    DoJobber is quadratic here, half a minute for 100 x 100: it runs once, and a smaller graph with `--quick`.
    """
    side = bench.count(100, 60)
    tools = ("jobtest", "pytest", "dojobber")
    lineup = {tool: Entry(tool=tool, shape=scenarios.independent(1)) for tool in tools}
    for tool in tools[:2]:
        lineup[f"{tool} layers"] = Entry(tool=tool, shape=scenarios.layers(100, 100))
    lineup["dojobber layers"] = Entry(
        tool="dojobber", shape=scenarios.layers(side, side), limits={"rounds": 1, "warm": False}
    )
    series = bench.measure("layers", lineup, bench.count(5, 1))
    yield _with_pytest("layers 100 x 100", series, "layers")
    yield _memory("layers 100 x 100", series["jobtest layers"], series["pytest layers"])
    ours, theirs = (("jobtest layers", "jobtest"), ("dojobber layers", "dojobber"))
    pairs = [(series[full], series[base]) for full, base in (ours, theirs)]
    yield cost("layers 100 x 100", pairs[0], f"dojobber {side} x {side}", pairs[1], LESS)


def fan(bench: Bench) -> Iterator[Row]:
    """One job, 5 000 that take its value, one that needs them all."""
    series = bench.versus_pytest("fan", {"fan": scenarios.fan(5_000)}, bench.count(5, 1))
    yield _with_pytest("1 to 5 000 to 1", series, "fan")


def peers(bench: Bench) -> Iterator[Row]:
    """Independent jobs against every peer: 1 000 each, then what the slow ones do in about 20 seconds."""
    tools = ("pytask", "luigi", "dojobber", "doit", "make")
    yield from _peers(bench, tools, 1_000, {}, bench.count(5, 2), {})
    slow = {"rounds": 2, "warm": False}
    targets = {"pytask": Target(ratio=0.1), "luigi": Target(ratio=0.2)}
    yield from _peers(bench, ("pytask", "luigi"), bench.count(4_000, 2_500), targets, bench.count(3, 1), slow)
    yield from _peers(
        bench, ("doit", "make"), bench.count(10_000, 4_000), {"make": LESS}, bench.count(3, 1), {}
    )


def _peers(
    bench: Bench,
    tools: tuple[str, ...],
    jobs: int,
    targets: Mapping[str, Target],
    times: int,
    limits: Mapping[str, float],
) -> Iterator[Row]:
    """Compare costs per job at one size; `limits` are those of the peers."""
    lineup: dict[str, Side] = {}
    for tool in ("jobtest", *tools):
        own = {} if tool == "jobtest" else limits
        lineup[f"{tool} 1"] = Entry(tool=tool, shape=scenarios.independent(1))
        lineup[tool] = Entry(tool=tool, shape=scenarios.independent(jobs), limits=own)
    series = bench.measure(f"peers{jobs}", lineup, times)
    ours = series["jobtest"], series["jobtest 1"]
    for tool in tools:
        name = "make, a process each" if tool == "make" else tool
        theirs = series[tool], series[f"{tool} 1"]
        yield cost(f"independent {count(jobs)}", ours, name, theirs, targets.get(tool))


def sleep(bench: Bench) -> Iterator[Row]:
    """200 jobs of 50 ms on 16 workers against the 13 waves they must take; one job's process taken off."""
    wide = "-J", str(WORKERS)
    write = partial(scenarios.write_jobtest, body=f"time.sleep({SLEEP})")
    lineup = {
        "one": Entry(tool="jobtest", shape=scenarios.independent(1), more=wide),
        "all": Entry(tool="jobtest", shape=scenarios.independent(SLEEPERS), more=wide, write=write),
    }
    series = bench.measure("sleep", lineup, bench.count(9, 3))
    scenario = f"{SLEEPERS} x {duration(SLEEP)}, -J {WORKERS}"
    ideal = -(-SLEEPERS // WORKERS) * SLEEP
    lame = broken(scenario, "the ideal", *series.values())
    if lame is not None:
        yield lame
        return
    taken = median(series["all"].values("wall")) - median(series["one"].values("wall"))
    yield Row(
        scenario=scenario,
        measured=duration(taken),
        against="the ideal",
        yardstick=duration(ideal),
        wall=taken / ideal,
        target=Target(ratio=1.15),
    )


SCENARIOS = (one, independent, chain, layers, fan, peers, sleep)
