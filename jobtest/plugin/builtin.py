"""The fixtures of jobtest; a plugin of its own, registered when jobs are run.

They are functions of the module because pytest is giving up wide fixtures that are methods of an instance.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from jobtest.plugin.checkpoint import Checkpoint, memory_key
from jobtest.plugin.facts import Attempt, attempt_key
from jobtest.plugin.params import Params

__all__ = ["VALUE", "context_key", "names_key", "params_key", "run_id_key"]

VALUE = "_jobtest_value"
"""Name of the fixture of which the values of jobs are made."""

params_key = pytest.StashKey[Params]()
context_key = pytest.StashKey[str | None]()
run_id_key = pytest.StashKey[str]()
names_key = pytest.StashKey[dict[str, object]]()
"""Names that stand for a value in every job file; the same for the whole run, on all lanes."""


@pytest.fixture(scope="session")
def params(pytestconfig: pytest.Config) -> Params:
    """Parameters from the settings and --job-set: params.movie or params["movie"]."""
    return pytestconfig.stash[params_key]


@pytest.fixture(scope="session")
def context(pytestconfig: pytest.Config) -> str | None:
    """Name of the context that --job-context chose, or None."""
    return pytestconfig.stash[context_key]


@pytest.fixture(scope="session")
def shared() -> dict[str, Any]:
    """A dict that all jobs of the run share."""
    return {}


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> Attempt:
    """Which attempt this is: number, phase, error of the attempt before, key."""
    found: Attempt = request.node.stash[attempt_key]
    return found


@pytest.fixture
def local(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A dict of this attempt alone."""
    found: dict[str, Any] = request.node.stash[attempt_key].local
    return found


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    """Progress of this job that outlives the attempt and the run: get(key, default), set(key, value)."""
    return Checkpoint(request.config.stash[memory_key], request.node)


@pytest.fixture
def upstream(request: pytest.FixtureRequest) -> dict[str, str]:
    """How the upstream jobs ended, by name."""
    found: dict[str, str] = request.node.stash[attempt_key].upstream
    return found


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers, seeded by run and job."""
    return random.Random(f"{request.config.stash[run_id_key]} {request.node.nodeid}")


@pytest.fixture(scope="session", name=VALUE)
def _value() -> None:
    """The value of a job."""
