"""What goes on in the process of an isolated attempt: the same set-up and calls as in the session's process.

It is a fork of a process that has collected the project, so the functions are there. Fixtures of all scopes
are set up here, for this attempt alone.

Each page of memory that a child writes to is copied first, and in Python to call a function is to write: what
all attempts have alike is made in the warden, once.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from jobtest.core.data import from_data, to_data
from jobtest.core.errors import Problem, StateLost
from jobtest.core.model import Failure, Job, Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.core.planner import Plan
from jobtest.core.summary import AttemptRecord, JobRecord, PhaseRecord
from jobtest.engine.calls import NO_VALUE, Call, Isolated, Output, Result, Ticket, failure_of, one_line
from jobtest.engine.executors.faults import with_fault
from jobtest.engine.executors.process.frames import Frames
from jobtest.engine.executors.process.output import Streams
from jobtest.engine.executors.process.warden import MARK, ChildMain
from jobtest.plugin import builtin, fixtures
from jobtest.plugin.bodies import JobBodies
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.isolated import PHASES, Homes, values_from, warning_to
from jobtest.plugin.items import JobItem
from jobtest.plugin.masking import secrets_of
from jobtest.plugin.output import OutputRoom
from jobtest.plugin.project import Project
from jobtest.state.codec import NotStorable, encode

if TYPE_CHECKING:
    import asyncio

__all__ = ["Children"]

LONGEST_TEXT = 1 << 16
"""Characters of a traceback that are told."""


class Children:
    """Makes processes live for the attempts of a session.

    Args:
        session: The session.
        project: Its jobs.
        plan: What is done.
        homes: From the id of a job to the place whose types its value may have.
        lineage: Id of the first run of those that went on with each other.
    """

    def __init__(
        self, session: pytest.Session, project: Project, plan: Plan, homes: Homes, lineage: str
    ) -> None:
        self._session, self._project, self._plan = session, project, plan
        self._homes, self._lineage = homes, lineage
        self._captured = getattr(session.config.option, "capture", "no") != "no" or bool(
            secrets_of(session.config)
        )
        self.folder: Path

    def ready(self) -> ChildMain:
        """Return what goes on in a child; made in the warden."""
        if any(map(self._is_async, self._project.items)):
            import asyncio  # noqa: F401 - so that not every child has to
        run = _Run(self._plan, self._lineage)
        streams = Streams(self.folder, captured=self._captured)
        child = _Child(self._session, self._project, run, streams, self._homes)

        child.get_ready()

        def live(frames: Frames) -> None:
            """Do what is asked until the end; the life of one child."""
            run.begin(frames)
            run.attend(child.do)

        return live

    def _is_async(self, id: str) -> bool:
        phases = (Phase.CHECK, Phase.RUN, Phase.DESCRIBE, Phase.CLEANUP)
        source = self._project.items[id].source
        functions = (one for phase in phases for one in source.functions(phase).values())
        return self._plan.graph[id].isolated and any(map(inspect.iscoroutinefunction, functions))


class _Run:
    """What the bodies may know of the run, as far as it was told."""

    interrupted = False

    def __init__(self, plan: Plan, lineage: str) -> None:
        self.pasts: dict[str, Past] = {}
        self.plan, self.lineage = replace(plan, pasts=self.pasts), lineage
        self.values: dict[str, object] = {}
        self.memory = _Memory(self)
        self.summary = SimpleNamespace(jobs=_Records(), values=self.values)
        self._frames: Frames
        self._pid = 0
        self._orders: list[Mapping[str, Any]] = []
        self._answers: list[Mapping[str, Any]] = []
        self._asking = threading.Lock()
        self._heard = threading.Condition()
        self._hears = self._over = False

    def begin(self, frames: Frames) -> None:
        """Take in how the orchestrator is spoken to from this process."""
        self._frames, self._pid = frames, os.getpid()

    def attend(self, do: Callable[[Mapping[str, Any]], bool]) -> None:
        """Have messages attended to until there are no more, or the last one."""
        while not (self._orders or self._over):  # there is no other thread yet
            self._take(self._frames.receive())
        while True:
            message = self._orders.pop(0) if self._orders else self._next(self._orders)
            if message is None or do(message):
                return

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the orchestrator something. A copy of this process, made by the job, has nothing to tell."""
        if os.getpid() != self._pid:
            os._exit(0)
        self._frames.send(message)

    def ask(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the orchestrator something and return its answer; from any thread, one at a time."""
        with self._asking:
            self.send(message)
            found = self._next(self._answers)
        if found is None:
            raise StateLost(Problem(what="the run has gone"))
        return found

    def _next(self, wanted: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Return the next order, or answer. A thread that the job left behind may ask beside the main one."""
        with self._heard:
            while not wanted and not self._over:
                if self._hears:
                    self._heard.wait()
                    continue
                self._hears = True
                self._heard.release()
                try:
                    messages = self._frames.receive()
                finally:
                    self._heard.acquire()
                    self._hears = False
                self._take(messages)
                self._heard.notify_all()
            return wanted.pop(0) if wanted else None

    def _take(self, messages: Iterable[Mapping[str, Any]] | None) -> None:
        self._over = messages is None
        for message in messages or ():
            (self._answers if message["op"] == "answer" else self._orders).append(message)

    def on_main(self, function: Any) -> Any:  # noqa: ANN401 - whatever it returns
        """Call a function; another thread of the body has it called where it is."""
        return function()

    def stop(self, reason: str) -> None:
        """The orchestrator hears of it with the result."""


class _Records(dict[str, JobRecord]):
    """A record for every job that is asked for."""

    def __missing__(self, id: str) -> JobRecord:
        made = self[id] = JobRecord(id)
        return made


class _Memory:
    """Checkpoints, by way of the orchestrator."""

    def __init__(self, run: _Run) -> None:
        self.recalled: dict[str, object] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self._run = run

    def checkpoints(self, job: str) -> dict[str, str]:
        """Return the checkpoints of a job."""
        return self.kept.setdefault(job, {})

    def put_checkpoint(self, job: str, key: str, text: str) -> None:
        """Have a checkpoint kept; it is when this returns."""
        said = self._run.ask({"checkpoint": key, "text": text})
        self.checkpoints(job)[key] = text
        if said["lost"]:
            raise StateLost(Problem(what=said["lost"]))


class _Room(OutputRoom):
    """Takes what is printed from the files behind the descriptors, and limits memory meanwhile.

    Afterwards there has to be enough of it to tell what happened.

    Attributes:
        memory: Bytes that the user's code may have; 0: no limit.
    """

    def __init__(self, config: pytest.Config, streams: Streams) -> None:
        super().__init__(config, threads=False)
        self.memory = 0
        self._streams = streams
        self._for_ever = ExitStack()

    def listen(self) -> None:
        """Take in from now on what is the same for all items."""
        self._for_ever.enter_context(self._listening())

    def begin(self, item: JobItem) -> None:
        """Capture from now on, as long as this process lives."""
        self._for_ever.enter_context(fixtures.assertion_details(item))
        self._for_ever.enter_context(self._routing())

    @contextmanager
    def _main_capture(self, item: JobItem, output: Output) -> Generator[None]:
        begins = self._streams.sizes()
        with fixtures.caplog_handler(item):
            if self.memory:
                _limit_memory(self.memory)
            try:
                yield
            finally:
                if self.memory:
                    _limit_memory(0)
                printed = self._streams.since(begins)
                output.stdout, output.stderr = printed.stdout, printed.stderr

    def take_warnings(self) -> list[dict[str, object]]:
        """Return the warnings since the last time, as data."""
        warned, self._warned[:] = list(self._warned), []
        return [warning_to(message) for message, _ in warned]


def _limit_memory(limit: int) -> None:
    """Limit the bytes of data of this process; 0: no more than from the beginning. Not on Windows."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = most if most != resource.RLIM_INFINITY and (not limit or limit > most) else limit
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (allowed or resource.RLIM_INFINITY, most))


class _Kept:
    """Takes the place of a replay: keeps what fixtures print."""

    enough = ""
    full = False

    def __init__(self) -> None:
        self.sections: list[tuple[str, Output]] = []

    def keep(self, item: JobItem, when: Literal["setup", "teardown"], output: Output) -> None:
        """Keep what was printed."""
        if output.stdout or output.stderr or output.log:
            self.sections.append((when, output))

    def ended(
        self, item: JobItem, record: JobRecord, errors: Mapping[Phase, BaseException], *, whole: bool
    ) -> None:
        """Nothing is reported here."""

    def torn_down(self, item: JobItem, record: JobRecord) -> None:
        """Nothing is reported here."""

    def told(self) -> list[list[object]]:
        """Return what was printed since the last time, as data."""
        told, self.sections = self.sections, []
        return [[when, _plain(output)] for when, output in told]


class _Child:
    def __init__(
        self,
        session: pytest.Session,
        project: Project,
        run: _Run,
        streams: Streams,
        homes: Homes,
    ) -> None:
        self._project, self._run, self._homes = project, run, homes
        self._streams = streams
        self._room = _Room(session.config, streams)
        self._kept = _Kept()
        self._state = fixtures.replace_setup_state(session)
        self._registry = fixtures.Registry(session, builtin.VALUE)
        session.config.stash[memory_key] = run.memory
        self._bodies: JobBodies
        self._runner: asyncio.Runner | None = None
        self._item: JobItem | None = None
        self._told = 0

    def get_ready(self) -> None:
        """Do in the warden what its children need not do."""
        self._room.listen()

    def _make_bodies(self) -> JobBodies:
        """Return the bodies; the variables of this process are as they should be from now on."""
        state, room = self._state, self._room
        bodies = JobBodies(self._project, self._registry, state, room, self._kept, threads=False)
        bodies.engine = self._run
        return bodies

    def _begin(self, item: JobItem, mark: str, place: str) -> None:
        """Take in whose process this is."""
        os.environ[MARK] = mark
        self._streams.begin(place)
        self._state.expect([item])
        self._told = len(item.user_properties)
        self._bodies = self._make_bodies()
        self._room.begin(item)

    def do(self, message: Mapping[str, Any]) -> bool:
        """Do what a message asks for; True for the last one."""
        if message["op"] == "end":
            self._end()
            return True
        item = self._project.items[message["job"]]
        first, self._item = self._item is None, item
        if first:
            self._begin(item, message["mark"], message["place"])
        over = self._phase(item, message)
        if over and item.fixturenames:
            self._end()
        return over

    def _phase(self, item: JobItem, message: Mapping[str, Any]) -> bool:
        """Call a phase and tell what came of it; return whether it was the last one.

        After that, if there is nothing in it that takes time, everything is torn down before that is told.
        """
        job, error = self._run.plan.graph[item.id_], message["failure"]
        if message["calls"] != job.calls:
            job = replace(job, calls=message["calls"], is_generator=False)
        error = from_data(Failure, error) if error is not None else None
        ticket = Ticket(job, message["attempt"], PHASES[message["phase"]], error)
        values = values_from(message["values"], self._homes)
        self._learn(item, ticket, message, values)
        call = with_fault(self._bodies.prepare(ticket, values), message.get("fault"))
        result = self._call(call)
        self._run.summary.jobs[item.id_].attempts[-1].phases[-1].verdict = result.verdict
        over = message["ends"] == "any" or (message["ends"] == "ok" and result.verdict is Verdict.OK)
        torn = {"torn": self._torn(item)} if over and not item.fixturenames else {}
        said = {**self._said(item, ticket, _with_limit(ticket.job, result)), "over": over, **torn}
        self._run.send({**said, **self._beside(item), "read": self._streams.sizes()})
        return over

    def _learn(
        self, item: JobItem, ticket: Ticket, message: Mapping[str, Any], values: dict[str, object]
    ) -> None:
        """Take in what the bodies may ask about the run."""
        if item.source.name in values:
            self._run.values[item.id_] = values[item.source.name]
        self._run.memory.kept[item.id_] = dict(message["checkpoints"])
        jobs = self._run.summary.jobs
        for id, outcome in message["outcomes"].items():
            jobs[id].outcome = Outcome(outcome)
        record = jobs[item.id_]
        if not record.attempts or record.attempts[-1].number != ticket.attempt:
            record.attempts.append(AttemptRecord(ticket.attempt))
        record.attempts[-1].phases.append(PhaseRecord(ticket.phase, 0.0))
        self._bodies.error_before = message["error"]
        self._room.memory = ticket.job.memory
        if message["past"] is not None:
            self._run.pasts[item.id_] = from_data(Past, message["past"])

    def _call(self, call: Call | Isolated | Result) -> Result:
        if isinstance(call, Result):
            return call
        assert not isinstance(call, Isolated)
        if not call.is_async:
            return call()
        import asyncio

        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(call.awaited())

    def _said(self, item: JobItem, ticket: Ticket, result: Result) -> dict[str, object]:
        text, unstorable = None, ""
        if result.value is not NO_VALUE:
            try:
                text = encode(result.value, self._homes(item.id_)).text
            except NotStorable as error:
                unstorable = str(error)
            except Exception as error:  # noqa: BLE001 - the user's class may have its own idea of itself
                unstorable = one_line(error) or type(error).__name__
        shown = self._bodies.shown(ticket)
        if result.failure is not None:
            result.failure = replace(result.failure, text=_cut(result.failure.text))
        data = {
            "verdict": result.verdict.value,
            "failure": to_data(result.failure) if result.failure is not None else None,
            "value": text,
            "unstorable": unstorable,
            "output": _plain(result.output or Output()),
            "error": _shown_of(item, ticket.job, shown) if shown else "",
        }
        files = self._bodies.files(item.id_)
        return {"result": data, "files": files}

    def _beside(self, item: JobItem) -> dict[str, object]:
        """Return what belongs to a report beside the result."""
        new: Sequence[tuple[str, object]] = item.user_properties[self._told :]
        self._told = len(item.user_properties)
        plain = (str, int, float, bool, type(None))
        exit = self._bodies.exit
        return {
            "sections": self._kept.told(),
            "warnings": self._room.take_warnings(),
            "properties": [[name, value if isinstance(value, plain) else str(value)] for name, value in new],
            "exit": [exit.msg, exit.returncode] if isinstance(exit, pytest.exit.Exception) else None,
        }

    def _end(self) -> None:
        """Tear everything down."""
        item = self._item
        if item is None:
            return
        torn = self._torn(item)
        self._run.send({**self._beside(item), "torn": torn})

    def _torn(self, item: JobItem) -> list[str]:
        """Tear down; return what was raised, as it is shown."""
        errors = self._bodies.end(item)
        if self._runner is not None:
            self._runner.close()
        return [_shown(item, error) for error in errors]


def _plain(output: Output) -> dict[str, object]:
    """Return output as data."""
    return {name: getattr(output, name) for name in Output.__slots__}


def _shown(item: JobItem, error: BaseException) -> str:
    """Return an exception as pytest shows it, cut to `LONGEST_TEXT` characters; never raises."""
    if isinstance(error, pytest.fail.Exception) and not error.pytrace:
        return _cut(str(error.msg))
    try:
        shown = item.repr_failure(pytest.ExceptionInfo.from_exception(error))
        if not item.config.pluginmanager.has_plugin("terminalreporter") or isinstance(shown, str):
            return _cut(str(shown))
        stream = StringIO()
        writer = type(item.config.get_terminal_writer())(file=stream)
        writer.hasmarkup = False
        shown.toterminal(writer)
    except Exception:  # noqa: BLE001 - an exception that pytest cannot show is still a failure
        return _cut(failure_of(error, with_text=True).text)
    return _cut(stream.getvalue().strip("\n"))  # where `str` would take the indent of the first line, too


def _shown_of(item: JobItem, job: Job, error: BaseException) -> str:
    said = _limit_reached(job, error)
    return _shown(item, error) + (f"\nE   {said}" if said else "")


def _cut(text: str) -> str:
    """Return a text, or its beginning and its end if it is very long."""
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters are left out here]\n{text[-half:]}"


def _with_limit(job: Job, result: Result) -> Result:
    """Name the limit in the failure of a job that has reached it."""
    said = _limit_reached(job, result.error)
    if said and result.failure is not None:
        result.failure = replace(result.failure, message=f"{result.failure.message} {said}".strip())
    return result


def _limit_reached(job: Job, error: BaseException | None) -> str:
    if not job.memory or not isinstance(error, MemoryError):
        return ""
    return f"the limit of this job is {job.memory >> 20} MB"
