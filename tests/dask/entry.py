"""pytest with the Dask lane in place of that of processes: `entry.py URL pytest-arguments`.

With the variable JOBTEST_TEST_ELSEWHERE workers are told that the project lies where they see nothing.
"""

import os
import sys
from contextlib import contextmanager

import pytest


def install(url):
    from jobtest.plugin import dask_lane

    @contextmanager
    def lane(session, project, plan, homes, run, lineage):
        workers = session.config.pluginmanager.get_plugin("jobtest-orchestration").options.workers
        with dask_lane.dask_lane(session, project, plan, run, lineage, url, workers) as found:
            yield found

    if os.environ.get("JOBTEST_TEST_ELSEWHERE"):
        setup = dask_lane._setup

        def elsewhere(config, *rest):
            return {**setup(config, *rest), "root": f"{config.rootpath}-not-here"}

        dask_lane._setup = elsewhere


if __name__ == "__main__":
    install(sys.argv[1])
    sys.exit(pytest.main(["--orchestrate", f"--job-executor={sys.argv[1]}", *sys.argv[2:]]))
