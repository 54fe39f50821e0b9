"""Whose output it is: what a body prints, logs and warns belongs to its job, whatever runs beside it.

On the main thread pytest's own capture sees everything, down to file descriptors. On worker threads only
what goes through `sys.stdout` and `sys.stderr` can be told apart, by a context variable; what a child
process writes to the inherited descriptors there goes to the terminal.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import pytest

from jobtest.engine.calls import Output
from jobtest.plugin import fixtures
from jobtest.plugin.collect import JobItem

__all__ = ["OutputRoom"]

Recorded = list[tuple[warnings.WarningMessage, str]]


class _Sink:
    """Where the output of one phase goes."""

    __slots__ = ("log", "nodeid", "stderr", "stdout", "warned")

    def __init__(self, nodeid: str, warned: Recorded) -> None:
        self.nodeid = nodeid
        self.stdout: list[str | bytes] = []
        self.stderr: list[str | bytes] = []
        self.log: list[str] = []
        self.warned = warned


_current: ContextVar[_Sink | None] = ContextVar("jobtest_output", default=None)


class _Router(io.TextIOBase):
    """Stands in for a standard stream: what a phase writes goes to its sink."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        sink = _current.get()
        if sink is None:
            return self._stream.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        getattr(sink, self._name).append(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open: it is not ours. Called when this object is thrown away, too."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a stream has it, the base class says None
        return "utf-8"

    @property
    def buffer(self) -> _Buffer:
        return _Buffer(self._stream, self._name)


class _Buffer(io.BufferedIOBase):
    """The same for bytes."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever has bytes
        sink = _current.get()
        if sink is None:
            return self._stream.buffer.write(data)
        getattr(sink, self._name).append(bytes(data))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open, as above."""

    def writable(self) -> bool:
        return True


def _text(pieces: list[str | bytes]) -> str:
    """Return what was written as text and as bytes, in order; bytes that are no UTF-8 are replaced."""
    try:
        return "".join(pieces)  # type: ignore[arg-type]  # hardly ever bytes, and then it raises
    except TypeError:
        encoded = (one.encode(errors="replace") if isinstance(one, str) else one for one in pieces)
        return b"".join(encoded).decode(errors="replace")


class _LogHandler(logging.Handler):
    """Gives log records to the phase that logged them; those of its threads to the only phase."""

    only: _Sink | None = None

    def emit(self, record: logging.LogRecord) -> None:
        sink = _current.get() or self.only
        if sink is not None:
            sink.log.append(self.format(record))


class OutputRoom:
    """Captures output for the time of a run.

    Args:
        config: Of the session.
        threads: Whether bodies run on worker threads.
    """

    def __init__(self, config: pytest.Config, *, threads: bool) -> None:
        self._config = config
        self._threads = threads
        manager = config.pluginmanager.getplugin("capturemanager")
        self._capture = manager if manager is not None and config.option.capture != "no" else None
        self._routers: dict[str, _Router] = {}
        self._warned: Recorded = []
        self._log_handler = _LogHandler()
        self.inside = False

    @contextmanager
    def open(self, item: JobItem) -> Iterator[None]:
        """Capture until the end of the block; `item` lends its hooks to assertion explanations."""
        with ExitStack() as stack:
            if self._config.pluginmanager.has_plugin("warnings"):
                stack.enter_context(fixtures.warnings_for(self._config))
                warnings.showwarning = self._warn
            stack.enter_context(fixtures.assertion_details(item))
            stack.enter_context(self._logging())
            if self._threads and self._capture is not None:
                stack.enter_context(self._routing())
            yield

    @contextmanager
    def main(self, item: JobItem) -> Generator[Output]:
        """Capture a phase, or a part of its set-up, on the main thread.

        With other jobs on worker threads, as there: pytest's capture would take in what they print.
        """
        self.inside = True
        try:
            with self.worker(item) as output:
                if self._routers and not item.exclusive:
                    yield output
                else:
                    with self._main_capture(item, output):
                        yield output
        finally:
            self.inside = False

    @contextmanager
    def body(self, item: JobItem) -> Generator[Output]:
        """Capture a body on the main thread; the warning filters that it sets are its own."""
        with warnings.catch_warnings(), self.main(item) as output:
            self._log_handler.only = _current.get()
            try:
                yield output
            finally:
                self._log_handler.only = None

    @contextmanager
    def worker(self, item: JobItem) -> Generator[Output]:
        """Capture a phase on a worker thread or an event loop, or what fixtures do beside those."""
        sink = _Sink(item.id_, self._warned)
        output = Output()
        token = _current.set(sink)
        try:
            yield output
        finally:
            _current.reset(token)
            output.stdout += _text(sink.stdout)
            output.stderr += _text(sink.stderr)
            output.log = "\n".join(sink.log)

    def warned(self, message: warnings.WarningMessage, nodeid: str) -> None:
        """Take in a warning of a phase in another process."""
        self._warned.append((message, nodeid))

    def tell_warnings(self) -> None:
        """Hand the warnings of the phases so far to pytest."""
        warned, self._warned[:] = list(self._warned), []
        for message, nodeid in warned:
            self._config.hook.pytest_warning_recorded.call_historic(
                kwargs={"warning_message": message, "nodeid": nodeid, "when": "runtest", "location": None}
            )

    @contextmanager
    def _main_capture(self, item: JobItem, output: Output) -> Iterator[None]:
        if self._capture is None:
            self._end_line()
            yield
            return
        alone = item.exclusive
        with fixtures.caplog_handler(item) if alone else _nothing():
            self._capture.resume_global_capture()
            if alone:
                self._capture.activate_fixture()
            try:
                yield
            finally:
                if alone:
                    self._capture.deactivate_fixture()
                self._capture.suspend_global_capture(in_=False)
                output.stdout, output.stderr = self._capture.read_global_capture()
                self._install()

    def _end_line(self) -> None:
        """Keep live output off the line of the job before it."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() > 0:
            reporter.ensure_newline()

    @contextmanager
    def _routing(self) -> Iterator[None]:
        self._routers = {name: _Router(getattr(sys, name), name) for name in ("stdout", "stderr")}
        before = sys.stdout, sys.stderr
        self._install()
        try:
            yield
        finally:
            self._routers = {}
            sys.stdout, sys.stderr = before

    def _install(self) -> None:
        """Put the routers in place, again after pytest's capture has put back what it knew."""
        if self._routers:
            sys.stdout, sys.stderr = self._routers["stdout"], self._routers["stderr"]

    def _wish(self, name: str) -> str | None:
        """Return an option of the logging plugin, or else the setting of the same name."""
        found: str | None = self._config.getoption(name, None) or self._config.getini(name)
        return found

    @contextmanager
    def _logging(self) -> Iterator[None]:
        if not self._config.pluginmanager.has_plugin("logging"):
            yield
            return
        handler = self._log_handler
        handler.setFormatter(logging.Formatter(self._wish("log_format"), self._wish("log_date_format")))
        root = logging.getLogger()
        level = root.level
        wanted = self._wish("log_level")
        root.addHandler(handler)
        if wanted:
            name = str(wanted).upper()
            root.setLevel(int(name) if name.isdigit() else name)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sink = _current.get()
        text = message if isinstance(message, Warning) else category(message)
        record = warnings.WarningMessage(text, category, filename, lineno, file, line)
        self._warned.append((record, sink.nodeid if sink is not None else ""))


@contextmanager
def _nothing() -> Iterator[None]:
    yield
