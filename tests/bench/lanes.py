"""Scenarios about where bodies are called: processes, both cores, the event loop."""

from collections.abc import Iterator
from functools import partial

import scenarios
from bench import Bench, Entry
from table import Row, Target, allowed, count, whole

ISOLATED = 200
DEAR = 0.015  # seconds that a process may cost beyond a thread
AWAITING = 1_000
PROCESS = ("--job-executor=process", "-J", "2")
THREAD = ("-J", "2")

COMPUTING = "end = time.process_time() + 1.0\n    while time.process_time() < end:\n        pass"
SLEEPING = "import asyncio\n    await asyncio.sleep(0.05)"


def processes(bench: Bench) -> Iterator[Row]:
    """200 jobs that do nothing, each in a process of its own, against threads and against pytest-xdist."""
    shape = scenarios.independent(ISOLATED)
    lineup = {
        "process": Entry(tool="jobtest", shape=shape, more=PROCESS, place="isolated"),
        "thread": Entry(tool="jobtest", shape=shape, more=THREAD, place="isolated"),
        "xdist": Entry(tool="xdist", shape=shape),
    }
    series = bench.measure("processes", lineup, bench.count(5, 3))
    scenario = f"{count(ISOLATED)} isolated, -J 2"
    yield allowed(f"{scenario}, over threads", series["process"], series["thread"], DEAR * ISOLATED)
    yield whole(scenario, series["process"], "pytest-xdist -n 2", series["xdist"], Target(ratio=2.0))


def cores(bench: Bench) -> Iterator[Row]:
    """Two jobs that compute for a second each, side by side in processes, against one after the other."""
    shape = scenarios.independent(2)
    write = partial(scenarios.write_jobtest, body=COMPUTING)
    lineup = {
        "both": Entry(tool="jobtest", shape=shape, more=PROCESS, write=write, place="computing"),
        "in turn": Entry(tool="jobtest", shape=shape, write=write, place="computing"),
    }
    series = bench.measure("cores", lineup, bench.count(5, 3))
    yield whole("2 that compute, processes", series["both"], "in turn", series["in turn"], Target(ratio=0.6))


def awaiting(bench: Bench) -> Iterator[Row]:
    """1 000 async jobs of 50 ms, all at once, against one of them."""
    write = partial(scenarios.write_jobtest, body=SLEEPING, define="async def")
    wide = "-J", str(AWAITING)
    lineup = {
        "all": Entry(tool="jobtest", shape=scenarios.independent(AWAITING), more=wide, write=write),
        "one": Entry(tool="jobtest", shape=scenarios.independent(1), more=wide, write=write),
    }
    series = bench.measure("awaiting", lineup, bench.count(5, 3))
    scenario = f"{count(AWAITING)} async x 50 ms, -J {AWAITING}"
    yield whole(scenario, series["all"], "one of them", series["one"], Target(ratio=3.0))


SCENARIOS = (processes, cores, awaiting)
