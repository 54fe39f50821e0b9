"""What bodies know of the run that they belong to, and where they tell what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

import pytest

from jobtest.core.model import Phase
from jobtest.core.planner import Plan
from jobtest.core.summary import JobRecord
from jobtest.engine.calls import Output
from jobtest.plugin.items import JobItem

__all__ = ["Attempt", "Reports", "RunFacts", "attempt_key"]

T = TypeVar("T")
attempt_key = pytest.StashKey["Attempt"]()


class Attempt:
    """The fixture `attempt`: which attempt of which job this is.

    Attributes:
        number: From 1.
        phase: The phase that is being called: `check`, `run`, `recheck`, `describe`, `rollback` or `cleanup`.
        error: What the attempt before came to, one line; empty in the first.
        key: The same for every attempt of a job within a run and those that go on with it, for what is to
            be done once.
    """

    def __init__(self, number: int, error: str, key: str) -> None:
        self.number, self.error, self.key = number, error, key
        self.phase = ""
        self.local: dict[str, Any] = {}
        self.upstream: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<attempt {self.number}, {self.phase}>"


class RunFacts(Protocol):
    """What bodies ask of the run: an engine, or in a process of its own what that was told."""

    plan: Plan
    summary: Any
    values: dict[str, object]
    memory: Any

    @property
    def lineage(self) -> str:
        """Id of the first run of those that went on with each other."""

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked the run to end."""

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on the main thread and return its value."""

    def stop(self, reason: str) -> None:
        """Start nothing new."""


class Reports(Protocol):
    """Where what comes of jobs is told."""

    full: bool
    """Whether plugins take part in each report, which may take its time."""

    @property
    def enough(self) -> str:
        """Why to stop, or empty."""

    def keep(self, item: JobItem, when: Literal["setup", "teardown"], output: Output) -> None:
        """Keep what was printed outside of attempts."""

    def ended(
        self, item: JobItem, record: JobRecord, errors: Mapping[Phase, BaseException], *, whole: bool
    ) -> None:
        """Report a job that has ended; with `whole` false its last report comes with `torn_down`."""

    def torn_down(self, item: JobItem, record: JobRecord) -> None:
        """Report the rest of a job."""
