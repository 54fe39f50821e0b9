"""Scenarios about a Dask cluster: what a job costs there against a task that is merely submitted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import scenarios
from bench import Bench, Side
from measure import Command
from peers import HERE, PROJECTS, REQUIREMENTS, ROOT, Missing, Toolbox, said
from table import Row, Target, cost, count

JOBS = 2_000
WORKERS = 3
WIDE = ("48", "12")
"""Jobs at once, against tasks that are all submitted at once."""

NARROW = "3"
"""Jobs at once, one for each worker, against as many tasks at once: there each waits for its message."""

CLUSTER = ROOT / "tests" / "dask"
REQUIREMENTS["dask"] = (("-e", f"{ROOT}[dask]"), "import pytest, jobtest, distributed")


@contextmanager
def _cluster(python: str) -> Iterator[str]:
    """Start a cluster for the time of a block, and give its address."""
    argv = (python, str(CLUSTER / "cluster.py"), str(WORKERS))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started.stdout.readline().strip()
        started.stdin.close()


def _jobs(address: str, jobs: int, at_once: str) -> Side:
    def make(toolbox: Toolbox, place: str) -> Command:
        folder = scenarios.fresh(PROJECTS / place, scenarios.write_jobtest, scenarios.independent(jobs))
        argv = (toolbox.python("dask"), str(CLUSTER / "entry.py"), f"dask://{address}", "-q", "-J", at_once)
        return Command(argv=argv, folder=folder, jobs=jobs, proof=said(r"\b{} (passed|changed)", jobs))

    return make


def _submits(address: str, tasks: int, *at_once: str) -> Side:
    def make(toolbox: Toolbox, place: str) -> Command:
        folder = PROJECTS / place
        folder.mkdir(parents=True, exist_ok=True)
        argv = (toolbox.python("dask"), str(HERE / "submits.py"), address, str(tasks), *at_once)
        return Command(argv=argv, folder=folder, jobs=tasks, proof=said(r"\b{} submitted", tasks))

    return make


def dask(bench: Bench) -> Iterator[Row]:
    """Jobs that do nothing on a cluster of three workers, against as many bare submits."""
    jobs = bench.count(JOBS, JOBS // 2)
    try:
        python = bench.toolbox.python("dask")
    except Missing as reason:
        yield Row(scenario="no-op on Dask", against="client.submit", note=str(reason))
        return
    with _cluster(python) as address:
        lineup: dict[str, Side] = {}
        for tasks in (jobs, 1):
            lineup[f"submit {tasks}"] = _submits(address, tasks)
            lineup[f"submit {tasks} {NARROW}"] = _submits(address, tasks, NARROW)
            for at_once in (*WIDE, NARROW):
                lineup[f"jobs {tasks} {at_once}"] = _jobs(address, tasks, at_once)
        series = bench.measure("dask", lineup, bench.count(5, 2))
    for at_once in (*WIDE, NARROW):
        few = f" {at_once}" if at_once == NARROW else ""
        ours = series[f"jobs {jobs} {at_once}"], series[f"jobs 1 {at_once}"]
        theirs = series[f"submit {jobs}{few}"], series[f"submit 1{few}"]
        against = f"client.submit,{few} at once" if few else "client.submit"
        target = Target(ratio=1.5) if at_once == WIDE[0] else None
        yield cost(f"no-op on Dask {count(jobs)}, -J {at_once}", ours, against, theirs, target)


SCENARIOS = (dask,)
