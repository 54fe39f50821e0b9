"""Runs in jobtest's environment, in one process without pytest: the library alone, timed from inside.

    python library.py independent 10000        python library.py layers 100 100

prints JSON: seconds of wall and CPU for `graph` (from jobs to a valid graph), `plan` and `run`. Making the
job objects is not counted: that is collection. The store is the one in memory, the bodies do nothing.
"""

import json
import sys
import time

import scenarios
from scenarios import name

from jobtest import Graph, Job, Outcome, make_plan, run


def nothing(**values):
    """The body of every job; it takes what it is given."""


class Laps:
    """Wall and CPU seconds since the last lap, by name."""

    def __init__(self):
        self.laps = {}
        self.restart()

    def restart(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self, what):
        self.laps[what] = [time.perf_counter() - self.wall, time.process_time() - self.cpu]
        self.restart()


def main(kind, *sizes):
    shape = getattr(scenarios, kind)(*map(int, sizes))
    jobs = [Job.of(name(number), takes=[name(need) for need in needs]) for number, needs in enumerate(shape)]
    bodies = {job.id: nothing for job in jobs}
    laps = Laps()
    graph = Graph(jobs)
    laps.lap("graph")
    plan = make_plan(graph)
    laps.lap("plan")
    summary = run(plan, bodies)
    laps.lap("run")
    if summary.totals() != {Outcome.CHANGED: len(shape)}:
        sys.exit(f"not all jobs have run: {summary.totals()}")
    print(json.dumps(laps.laps))


if __name__ == "__main__":
    main(*sys.argv[1:])
