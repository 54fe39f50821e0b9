"""Whose output it is: what a job prints, logs and warns belongs to its attempt, whatever runs beside it.

On the main thread pytest's own capture sees everything, down to file descriptors. On worker threads and on
the event loop only what goes through `sys.stdout` and `sys.stderr` can be told apart: by a context variable,
and in threads that a job starts itself by what is remembered on them. What a child process writes to the
inherited descriptors there goes to the terminal.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

import pytest

from jobtest.engine.calls import Output
from jobtest.plugin import fixtures
from jobtest.plugin.items import JobItem
from jobtest.plugin.masking import mask_warning, secrets_of
from jobtest.plugin.streams import (
    Echo,
    Masks,
    Piece,
    Sink,
    Take,
    current,
    label_of,
    routed,
    shortened,
    threads_of_jobs,
    whose,
)
from jobtest.plugin.taps import taps_key

__all__ = ["OutputRoom"]

Recorded = list[tuple[warnings.WarningMessage, str]]


class _LogHandler(logging.Handler):
    """Gives log records to the phase that logged them; those of unknown threads to the only phase."""

    only: Sink | None = None

    def __init__(self, take: Take) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        if self.only is not None or whose() is not None:
            line = f"{self.format(record)}\n"
            if not self._take("log", line) and self.only is not None:
                self.only.write("log", line)


class _Late:
    """Shows in the summary what was printed after the end of its job."""

    def __init__(self, told: list[tuple[str, str]]) -> None:
        self._told = told

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("output after the end of its job")
        for label, text in self._told:
            for line in text.splitlines():
                terminalreporter.write_line(f"{label} | {line}")


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
        method = config.option.capture if manager is not None else "no"
        self._capture = manager if method != "no" else None
        self._echoes = method == "tee-sys" or (threads and method == "no")
        self._secrets = secrets_of(config)
        self._masks: Masks | None = None
        self._terminal: dict[str, TextIO] = {}
        self._routers: dict[str, Any] = {}
        self._phases: dict[str, Sink] = {}
        self._attempts: dict[str, int] = {}
        self._late: dict[tuple[str, int], Sink] = {}
        self._guard = threading.RLock()
        self._warned: Recorded = []
        self._log_handler = _LogHandler(self._take)
        self.inside = False

    @contextmanager
    def open(self, item: JobItem) -> Iterator[None]:
        """Capture until the end of the block; `item` lends its hooks to assertion explanations."""
        with self._listening(), fixtures.assertion_details(item), self._routing():
            yield

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Take in warnings, what is logged, and what threads raise."""
        with ExitStack() as stack:
            if self._config.pluginmanager.has_plugin("warnings"):
                stack.enter_context(fixtures.warnings_for(self._config))
                warnings.showwarning = self._warn
            stack.enter_context(self._logging())
            stack.enter_context(threads_of_jobs(self._tell_apart))
            if self._config.pluginmanager.has_plugin("threadexception"):
                stack.enter_context(self._thread_errors())
            yield

    @contextmanager
    def main(self, item: JobItem) -> Generator[Output]:
        """Capture a phase, or a part of its set-up, on the main thread.

        With other jobs on worker threads, as there: pytest's capture would take in what they print.
        """
        self.inside = True
        try:
            with self.worker(item) as output:
                if self._threads and not item.exclusive:
                    yield output
                else:
                    with self._main_capture(item, output):
                        yield output
        finally:
            self.inside = False

    @contextmanager
    def body(self, item: JobItem) -> Generator[Output]:
        """Capture a body on the main thread; the warning filters that it sets are its own.

        With a timeout it may be on another one, which may be left behind and must not hold the capture.
        """
        if threading.current_thread() is not threading.main_thread():
            if self._capture is not None:
                self._route()
                self._install()
            with self.worker(item) as output:
                yield output
            return
        with warnings.catch_warnings(), self.main(item) as output:
            sink = self._log_handler.only = current.get()
            try:
                yield output
            finally:
                self._log_handler.only = None
                if sink is not None and _leaves_tasks():
                    self._tell_apart(sink)

    @contextmanager
    def worker(self, item: JobItem) -> Generator[Output]:
        """Capture a phase on a worker thread or an event loop, or what fixtures do beside those."""
        before = self._phases.get(item.id_)
        sink = self._phases[item.id_] = self._begin(item)
        output = Output()
        token = current.set(sink)
        try:
            yield output
        finally:
            current.reset(token)
            self._end(sink, before)
            _give(sink.close(), output)

    def leave(self, item: JobItem) -> Output:
        """Return what a phase that is left behind has printed; what it goes on to print comes late."""
        output = Output()
        sink = self._phases.pop(item.id_, None)
        if sink is not None:
            _give(sink.close(), output)
        return output

    def attempt_over(self, item: JobItem) -> None:
        """Take what threads of the attempts so far print from here on for late: another attempt follows."""
        self._attempts[item.id_] = self._attempts.get(item.id_, 1) + 1

    def warned(self, message: warnings.WarningMessage, nodeid: str) -> None:
        """Take in a warning of a phase in another process."""
        self._warned.append((message, nodeid))

    def show(self, item: JobItem, output: Output) -> None:
        """Show with `-s` what was printed in another process, which with secrets cannot show it itself."""
        if self._capture is None and self._secrets and self._terminal:
            echo = Echo(label_of(item.name), self._terminal, self._end_line, self._secrets)
            for name, text in (("stdout", output.stdout), ("stderr", output.stderr)):
                if text:
                    echo.write(name, text)
            echo.close()

    def tell_warnings(self) -> None:
        """Hand the warnings of the phases so far to pytest; after the run, show what was printed late."""
        number = len(self._warned)  # other threads may add to them meanwhile
        warned = self._warned[:number]
        del self._warned[:number]
        for message, nodeid in warned:
            shown = mask_warning(message, self._secrets) if self._secrets else message
            self._config.hook.pytest_warning_recorded.call_historic(
                kwargs={"warning_message": shown, "nodeid": nodeid, "when": "runtest", "location": None}
            )
        if not self._terminal:
            self._tell_late()

    # --- phases ---

    def _sink(self, id: str, name: str, attempt: int) -> Sink:
        echo = Echo(label_of(name), self._terminal, self._end_line, self._secrets) if self._echoes else None
        return Sink(id, name, attempt, echo, keeps=self._capture is not None)

    def _begin(self, item: JobItem) -> Sink:
        """Return a place for the output of a phase, with what came late for the ones before it."""
        id, attempt = item.id_, self._attempts.get(item.id_, 1)
        sink = self._sink(id, item.name, attempt)
        if self._late:
            with self._guard:
                late = self._late.pop((id, attempt), None)
            for kind, text in late.close().items() if late is not None else ():
                sink.write(kind, text)
        return sink

    def _end(self, sink: Sink, before: Sink | None) -> None:
        if self._phases.get(sink.nodeid) is sink:
            del self._phases[sink.nodeid]
            if before is not None and before.open:
                self._phases[sink.nodeid] = before
        if self._routers and not self._phases:
            self._install()  # a body may have replaced them
        if self._masks is not None and not self._phases:
            self._settle()

    def _take(self, kind: str, piece: Piece) -> bool:
        """Take in what is printed or logged on this thread; False if it belongs to no job."""
        sink = whose()
        if sink is None or not self._terminal:
            return False
        if not sink.write(kind, piece):
            now = self._phases.get(sink.nodeid)
            if now is None or now.attempt != sink.attempt or not now.write(kind, piece):
                self._take_late(sink, kind, piece)
        return True

    def _take_late(self, sink: Sink, kind: str, piece: Piece) -> None:
        """Keep what a thread prints while no phase of its attempt runs, for the next one or the end."""
        key = sink.nodeid, sink.attempt
        with self._guard:
            if key not in self._late:
                self._late[key] = self._sink(sink.nodeid, sink.name, sink.attempt)
            self._late[key].write(kind, piece)

    def _tell_late(self) -> None:
        left = [*self._late.values(), *self._phases.values()]  # those of bodies that were left behind
        told = [(sink.label, text) for sink in left for text in sink.close().values()]
        self._late, self._phases = {}, {}
        if told:
            self._config.pluginmanager.register(_Late(told))

    @contextmanager
    def _main_capture(self, item: JobItem, output: Output) -> Iterator[None]:
        sink = current.get()
        assert sink is not None
        if self._capture is None:
            if self._config.get_verbosity() > 0:
                self._end_line()
            self._put(self._terminal)
            try:
                yield
            finally:
                self._install()
            return
        alone = item.exclusive
        with fixtures.caplog_handler(item) if alone else _nothing():
            self._capture.suspend_global_capture()  # --setup-show may have left it on, behind routers
            self._capture.resume_global_capture()
            if alone:
                self._capture.activate_fixture()
            self._pass_on(sink)
            try:
                yield
            finally:
                sink.hold()
                if alone:
                    self._capture.deactivate_fixture()
                self._capture.suspend_global_capture(in_=False)
                output.stdout, output.stderr = map(shortened, self._capture.read_global_capture())
                self._install()

    def _end_line(self) -> None:
        """Keep live output off the line of the job before it."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()

    # --- the standard streams ---

    @contextmanager
    def _routing(self) -> Iterator[None]:
        before = self._terminal = {"stdout": sys.stdout, "stderr": sys.stderr}
        if self._secrets:
            self._mask()
        if self._threads:
            self._route()
            self._install()
        try:
            yield
        finally:
            if self._routers or self._masks is not None:
                self._put(before)
            if self._masks is not None:
                self._settle()
            self._routers, self._terminal, self._masks = {}, {}, None

    def _mask(self) -> None:
        """Let all that jobs write to the terminal go through masks."""
        self._masks = Masks(self._terminal, self._secrets)
        self._terminal = self._masks.streams
        taps = self._config.stash.get(taps_key, None)
        if taps is not None:
            taps.start()
        if self._capture is None:
            self._put(self._terminal)

    def _settle(self) -> None:
        """Show what may have been the beginning of a secret: no phase is there that could go on with it."""
        assert self._masks is not None
        self._masks.settle()
        taps = self._config.stash.get(taps_key, None)
        if taps is not None:
            taps.settle()

    def _route(self) -> None:
        """Make the routers, from now on."""
        if not self._routers:
            take = self._take
            self._routers = {name: routed(stream, name, take) for name, stream in self._terminal.items()}

    def _install(self) -> None:
        """Put the routers in place, again after pytest's capture has put back what it knew."""
        if self._routers:
            self._put(self._routers)

    @staticmethod
    def _put(streams: Mapping[str, Any]) -> None:
        sys.stdout, sys.stderr = streams["stdout"], streams["stderr"]

    def _pass_on(self, sink: Sink) -> None:
        """Let pytest's capture have the output of a phase, and no other if threads may be left of others."""
        sink.pass_on({"stdout": sys.stdout, "stderr": sys.stderr})
        if self._routers:
            self._cover(sink)

    def _cover(self, sink: Sink) -> None:
        for name, stream in (sink.through or {}).items():
            if getattr(sys, name) is stream:
                setattr(sys, name, routed(stream, name, self._take))

    def _tell_apart(self, sink: Sink) -> None:
        """Tell apart on the main thread, too, from the first thread on that may outlive its phase."""
        if not self._routers and sink.through is not None:
            self._route()
            self._cover(sink)

    # --- logging and warnings ---

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

    @contextmanager
    def _thread_errors(self) -> Iterator[None]:
        """Give what a thread raises to the job that started it: pytest would tell of it at the very end."""
        before = threading.excepthook
        threading.excepthook = functools.partial(self._thread_raised, before)
        try:
            yield
        finally:
            threading.excepthook = before

    def _thread_raised(self, before: Callable[..., object], raised: threading.ExceptHookArgs) -> None:
        sink = whose()
        if sink is None:
            before(raised)
            return
        if raised.exc_type is SystemExit:  # ends a thread without a word, as anywhere
            return
        threading.__excepthook__(raised)  # writes to sys.stderr
        at = traceback.extract_tb(raised.exc_traceback)[-1]
        said = f"a thread raised {raised.exc_type.__name__}: {raised.exc_value}"
        warning = pytest.PytestUnhandledThreadExceptionWarning(said)
        message = warnings.WarningMessage(warning, type(warning), at.filename, at.lineno or 0)
        self._warned.append((message, sink.nodeid))

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sink = whose()
        text = message if isinstance(message, Warning) else category(message)
        record = warnings.WarningMessage(text, category, filename, lineno, file, line)
        self._warned.append((record, sink.nodeid if sink is not None else ""))


def _give(kept: Mapping[str, str], output: Output) -> None:
    if kept:
        output.stdout += kept.get("stdout", "")
        output.stderr += kept.get("stderr", "")
        output.log = kept.get("log", "").removesuffix("\n")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _leaves_tasks() -> bool:
    """Tell whether an async body that ends has left tasks behind on its loop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    loop = asyncio._get_running_loop()  # the public one raises without a loop, at the cost of a phase
    return loop is not None and len(asyncio.all_tasks(loop)) > 1
