"""Runs in jobtest's environment, in one process without pytest: the library alone, timed from inside.

    python library.py independent 10000        python library.py layers 100 100

prints JSON: seconds of wall and CPU for `graph` (from jobs to a valid graph), `plan` and `run`. Making the job objects
is not counted: collecting is another row's matter. The store is the one in memory, the bodies do nothing.
"""

import json
import sys
import time

import scenarios
from jobtest import Graph, Job, make_plan, run


def nothing(*_args, **_values):
    """The body of every job."""


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
    jobs = [
        Job(id=scenarios.name(number), needs=tuple(map(scenarios.name, needs)))
        for number, needs in enumerate(shape)
    ]
    bodies = {job.id: nothing for job in jobs}
    laps = Laps()
    graph = Graph(jobs)
    laps.lap("graph")
    plan = make_plan(graph)
    laps.lap("plan")
    done = run(plan, bodies)
    laps.lap("run")
    assert len(shape) == sum(job.outcome.value == "changed" for job in done.jobs), "not all jobs have run"
    print(json.dumps(laps.laps))


if __name__ == "__main__":
    main(*sys.argv[1:])
