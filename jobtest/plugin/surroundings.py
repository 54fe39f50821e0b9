"""The folder and the environment variables of the process, put back after every phase (PRODUCT 4.12).

Both belong to the whole process. What a body changes is undone when its phase ends; bodies that run beside
it on other threads can see it until then.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from jobtest.engine.calls import Output

__all__ = ["Surroundings"]

OF_PYTEST = "PYTEST_CURRENT_TEST"
"""Set and removed by pytest itself while it replays; not ours to put back."""

RAW: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
"""What CPython keeps the variables in, undecoded; copying it costs a fiftieth of copying `os.environ`."""


def _variables() -> dict[Any, Any]:
    return dict(RAW)


class Surroundings:
    """Remembers how the process should look between phases.

    Args:
        rootdir: The folder in which every phase starts.
    """

    def __init__(self, rootdir: Path) -> None:
        self._rootdir = str(rootdir)
        self._variables = _variables()

    @contextmanager
    def changed_on_purpose(self) -> Generator[None]:
        """Keep what fixtures do to the variables meanwhile, and not what bodies beside them do."""
        _listen()
        _hearing.append((threading.get_ident(), self._variables))
        try:
            yield
        finally:
            _hearing.pop()

    @contextmanager
    def around(self, capture: AbstractContextManager[Output]) -> Generator[Output]:
        """Run a phase in the rootdir, and put folder and variables back after it."""
        os.chdir(self._rootdir)
        with capture as output:
            try:
                yield output
            finally:
                self._put_back()

    def _put_back(self) -> None:
        now, before = _variables(), self._variables
        if now != before:
            for name in now.keys() | before.keys():
                if now.get(name) != before.get(name) and os.fsdecode(name) != OF_PYTEST:
                    _set(os.fsdecode(name), before.get(name))
        os.chdir(self._rootdir)


def _set(name: str, value: str | bytes | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = os.fsdecode(value)


_hearing: list[tuple[int, dict[Any, Any]]] = []
"""The thread on which a fixture is being called, and where the variables that it sets are kept."""


@cache
def _listen() -> None:
    """Hear of every change of a variable, and on which thread, by CPython's audit events; once a process."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("os.putenv", "os.unsetenv") or not _hearing:
        return
    thread, variables = _hearing[-1]
    if thread == threading.get_ident():
        if event == "os.putenv":
            variables[arguments[0]] = arguments[1]
        else:
            variables.pop(arguments[0], None)
