"""The tests here take minutes: they run if the command line names this folder, or something in it.

    pytest tests/faults        (or: tox -e faults)

A quick part of them is `tests/plugin/test_crash_quick.py`.
"""

import os
import random
from os.path import normpath
from pathlib import Path

import pytest

HERE = Path(__file__).parent
rows_key = pytest.StashKey[dict]()


def pytest_ignore_collect(collection_path, config):
    """Leave out the project always, and all else unless it is asked for."""
    if collection_path == HERE / "project":
        return True
    named = (Path(normpath(config.invocation_params.dir / arg.split("::")[0])) for arg in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def seed():
    """What random tests begin with: that of the environment variable `SEED`, or another one each time."""
    return int(os.environ.get("SEED", random.SystemRandom().randrange(10**9)))


@pytest.fixture
def figures(pytestconfig, seed):
    """Call it with what came of deaths: it goes into the table that is shown at the end, and must be well."""
    rows = pytestconfig.stash.setdefault(rows_key, {"SEED": seed})

    def note(what, came, unit="kills"):
        number, breaches, _ = rows.get(what, (0, 0, ""))
        rows[what] = number + came.kills, breaches + len(came.breaches), unit
        assert not came.breaches, "\n".join(came.breaches)

    return note


def pytest_terminal_summary(terminalreporter, config):
    """Show the figures."""
    rows = config.stash.get(rows_key, {})
    if rows:
        terminalreporter.section("figures")
        terminalreporter.write_line(f"SEED={rows.pop('SEED')} repeats it")
    for what, (number, breaches, unit) in rows.items():
        terminalreporter.write_line(f"{what}: {number} {unit}, {breaches} breaches")
