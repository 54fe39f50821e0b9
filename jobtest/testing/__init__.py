"""Fakes and strategies for tests of jobs, of plug-ins and of jobtest itself.

Names are imported when first used: only `strategies` needs hypothesis (`pip install jobtest[test]`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobtest.core.model import Verdict
    from jobtest.state.memory import MemoryStore
    from jobtest.testing import strategies as strategies
    from jobtest.testing.clock import FakeClock
    from jobtest.testing.crash import Crashed, crash_points
    from jobtest.testing.executor import Act, ScriptedBodies, ScriptedExecutor, Span, simulate

_WHERE = {
    "Act": "testing.executor",
    "Crashed": "testing.crash",
    "FakeClock": "testing.clock",
    "MemoryStore": "state.memory",
    "ScriptedBodies": "testing.executor",
    "ScriptedExecutor": "testing.executor",
    "Span": "testing.executor",
    "Verdict": "core.model",
    "crash_points": "testing.crash",
    "simulate": "testing.executor",
}

__all__ = [
    "Act",
    "Crashed",
    "FakeClock",
    "MemoryStore",
    "ScriptedBodies",
    "ScriptedExecutor",
    "Span",
    "Verdict",
    "crash_points",
    "simulate",
    "strategies",
]


def __getattr__(name: str) -> object:
    if name == "strategies":
        return import_module("jobtest.testing.strategies")
    if name not in _WHERE:
        raise AttributeError(f"module 'jobtest.testing' has no attribute {name!r}")
    value = getattr(import_module(f"jobtest.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
