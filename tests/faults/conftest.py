"""The tests here take minutes: they run if the command line names this folder, or something in it.

    pytest tests/faults        (or: tox -e faults)

A quick part of them is `tests/plugin/test_crash_quick.py`.
"""

import os
import random
from pathlib import Path

import pytest

HERE = Path(__file__).parent
rows_key = pytest.StashKey[list]()


def pytest_ignore_collect(collection_path, config):
    """Leave out the project always, and all else unless it is asked for."""
    if collection_path == HERE / "project":
        return True
    named = (Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def seed():
    """What random tests begin with: that of the environment variable `SEED`, or another one each time."""
    return int(os.environ.get("SEED", random.SystemRandom().randrange(10**9)))


@pytest.fixture
def figures(pytestconfig, seed):
    """Call it with a row of the table that is shown at the end: what, how many, how many breaches."""
    rows = pytestconfig.stash.setdefault(rows_key, [f"SEED={seed} repeats it"])
    return lambda *row: rows.append("  ".join(map(str, row)))


def pytest_terminal_summary(terminalreporter, config):
    """Show the figures."""
    if rows_key in config.stash:
        terminalreporter.section("figures")
        for row in config.stash[rows_key]:
            terminalreporter.write_line(row)
