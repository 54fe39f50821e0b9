"""What goes on beside a run: garbage collection in its place, a terminal that is gone, what reports say."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator
from typing import Any

import pytest

from jobtest.core.events import Entry, JobEnded
from jobtest.plugin.items import JobItem, one_traceback_at_a_time
from jobtest.plugin.replay import Replay

__all__ = ["Decorator", "Spare", "outlive_terminal"]

SPARED = 1000
"""Jobs after which their records are spared by the garbage collector."""


class Spare:
    """Takes what has been reported out of the garbage collector's way: reports and records live to the end.

    Otherwise it goes over all of them again and again, which is a third of the time of 10 000 jobs.
    """

    def __init__(self) -> None:
        self._ended = 0

    def __call__(self, entry: Entry) -> None:
        """Take in an entry."""
        if isinstance(entry.event, JobEnded):
            self._ended += 1
            if self._ended % SPARED == 0:
                gc.collect()
                gc.freeze()


class Decorator:
    """Puts on reports of the full path what really happened."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Decorate a report after all others have."""
        with one_traceback_at_a_time:
            report = yield
        if isinstance(item, JobItem):
            self._replay.decorate(item, report)
        return report


def outlive_terminal(config: pytest.Config) -> None:
    """Let a run go on in silence when nobody reads what it prints any more: `pytest ... | head`."""
    if not config.pluginmanager.has_plugin("terminalreporter"):
        return
    writer: Any = config.get_terminal_writer()
    gone = False

    def guarded(write: Callable[..., None]) -> Callable[..., None]:
        def written(*args: object, **kwargs: object) -> None:
            nonlocal gone
            if not gone:
                try:
                    write(*args, **kwargs)
                except OSError:
                    gone = True

        return written

    writer.write, writer.flush = guarded(writer.write), guarded(writer.flush)
