"""Measures jobtest against its peers and prints one table of ratios from one run.

    python tests/bench/run.py [--quick] [--only SCENARIO ...] [--json FILE]

Cost per job is the wall time of a whole process minus that of the same with one job, over the number of jobs
more. The sides of a row run in turn; its ratio is the median of the ratios of the rounds. Every run starts
without a state of earlier ones, unless its row is about that; runs of jobtest write down what happens. Peers
are installed into environments of their own below `tests/bench/.envs` the first time, by this Python's pip.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from bench import Bench
from clusters import SCENARIOS as CLUSTERS
from compare import SCENARIOS as COMPARED
from data import SCENARIOS as DATA
from history import SCENARIOS as HISTORY
from inside import SCENARIOS as INSIDE
from lanes import SCENARIOS as LANES
from remembering import SCENARIOS as REMEMBERING
from table import Row, render

SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (*COMPARED, *INSIDE, *DATA, *LANES, *REMEMBERING, *HISTORY, *CLUSTERS)
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller projects for slow peers")
    parser.add_argument(
        "--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    return parser.parse_args()


def _load() -> str:
    """Return the load average, by which a reader can tell whether others were at work too."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"


def main() -> int:
    """Run the scenarios asked for and print the table; 1 if a target was missed or a row has no figure."""
    given = _arguments()
    bench = Bench(quick=given.quick)
    rows: list[Row] = []
    start, load = time.monotonic(), _load()
    for name in given.only or SCENARIOS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += SCENARIOS[name](bench)
    took = time.monotonic() - start
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"Python {platform.python_version()}, {cores} cores, {platform.system()} {platform.machine()}"
    print(f"{machine}; {'quick' if given.quick else 'normal'} run of {took:.0f} s; load {load} to {_load()}")
    print(f"{bench.toolbox.versions()}\n\n{render(rows)}")
    if given.json:
        data = {
            "machine": machine,
            "quick": given.quick,
            "seconds": took,
            "rows": [row.data() for row in rows],
        }
        given.json.write_text(json.dumps(data, indent=1) + "\n")
    return int(any(row.note or row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
