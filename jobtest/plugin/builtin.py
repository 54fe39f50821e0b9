"""The fixtures of jobtest."""

from __future__ import annotations

import random
from typing import Any

import pytest

from jobtest.plugin.bodies import Attempt, attempt_key
from jobtest.plugin.params import Params

__all__ = ["VALUE", "BuiltinFixtures"]

VALUE = "_jobtest_value"
"""Name of the fixture of which the values of jobs are made."""


class BuiltinFixtures:
    """A plugin with the fixtures of jobtest.

    Args:
        params: Parameters of the run.
        run_id: Id of the run.
    """

    def __init__(self, params: Params, run_id: str) -> None:
        self._params, self._run_id = params, run_id
        self._shared: dict[str, Any] = {}

    @pytest.fixture(scope="session")
    def params(self) -> Params:
        """Parameters from the settings and --job-set: params.movie or params["movie"]."""
        return self._params

    @pytest.fixture(scope="session")
    def context(self) -> str | None:
        """Name of the context, or None."""
        return None

    @pytest.fixture(scope="session")
    def shared(self) -> dict[str, Any]:
        """A dict that all jobs of the run share."""
        return self._shared

    @pytest.fixture
    def attempt(self, request: pytest.FixtureRequest) -> Attempt:
        """Which attempt this is: number, phase, error of the attempt before, key."""
        found: Attempt = request.node.stash[attempt_key]
        return found

    @pytest.fixture
    def local(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """A dict of this attempt alone."""
        found: dict[str, Any] = request.node.stash[attempt_key].local
        return found

    @pytest.fixture
    def upstream(self, request: pytest.FixtureRequest) -> dict[str, str]:
        """How the upstream jobs ended, by name."""
        found: dict[str, str] = request.node.stash[attempt_key].upstream
        return found

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> random.Random:
        """Random numbers, seeded by run and job."""
        return random.Random(f"{self._run_id} {request.node.nodeid}")

    @pytest.fixture(scope="session", name=VALUE)
    def _value(self) -> None:
        """The value of a job."""
