"""What goes on in the process of an isolated attempt: the same set-up and calls as in the session's process.

It is a fork of a process that has collected the project, so the functions are there. Fixtures of all scopes
are set up here, for this attempt alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from jobtest.core.data import to_data
from jobtest.core.errors import Problem, StateLost
from jobtest.core.model import Outcome, Phase
from jobtest.core.planner import Plan
from jobtest.core.summary import AttemptRecord, JobRecord, PhaseRecord
from jobtest.engine.calls import NO_VALUE, Call, Isolated, Output, Result, Ticket
from jobtest.engine.executors.process.frames import Frames
from jobtest.engine.executors.process.output import Streams
from jobtest.plugin import builtin, fixtures
from jobtest.plugin.bodies import JobBodies
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.collect import JobItem
from jobtest.plugin.isolated import PHASES, Homes, values_from, warning_to
from jobtest.plugin.output import OutputRoom
from jobtest.plugin.project import Project
from jobtest.state.codec import NotStorable, encode

if TYPE_CHECKING:
    pass

__all__ = ["Children"]


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
        self.folder: Path

    def live(self, frames: Frames, key: str) -> None:
        """Do what is asked until the end; the life of one child."""
        captured = self._session.config.option.capture != "no"
        streams = Streams(self.folder, key) if captured else None
        run = _Run(self._plan, self._lineage, frames)
        child = _Child(self._session, self._project, run, streams, self._homes)
        run.attend(child.do)


class _Run:
    """What the bodies may know of the run, as far as it was told."""

    interrupted = False

    def __init__(self, plan: Plan, lineage: str, frames: Frames) -> None:
        self.plan, self.lineage = plan, lineage
        self.values: dict[str, object] = {}
        self.memory = _Memory(self)
        self.summary = SimpleNamespace(jobs=_Records(), values=self.values)
        self._frames = frames
        self._waiting: list[Mapping[str, Any]] = []
        self._guard = threading.Lock()

    def attend(self, do: Any) -> None:  # noqa: ANN401 - a method of another class
        """Have messages attended to until there are no more, or the last one."""
        while True:
            message = self._next()
            if message is None or do(message):
                return

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the orchestrator something."""
        self._frames.send(message)

    def ask(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the orchestrator something and return its answer; from any thread, one at a time."""
        with self._guard:
            self.send(message)
            found = self._next()
        if found is None:
            raise StateLost(Problem(what="the run has gone"))
        return found

    def _next(self) -> Mapping[str, Any] | None:
        while not self._waiting:
            messages = self._frames.receive()
            if messages is None:
                return None
            self._waiting += messages
        return self._waiting.pop(0)

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
    """Takes what is printed from the files behind the descriptors."""

    def __init__(self, config: pytest.Config, streams: Streams | None) -> None:
        super().__init__(config, threads=False)
        self._streams = streams

    @contextmanager
    def _main_capture(self, item: JobItem, output: Output) -> Generator[None]:
        begins = self._streams.sizes() if self._streams is not None else {}
        with fixtures.caplog_handler(item):
            try:
                yield
            finally:
                if self._streams is not None:
                    printed = self._streams.since(begins)
                    output.stdout, output.stderr = printed.stdout, printed.stderr

    def take_warnings(self) -> list[dict[str, object]]:
        """Return the warnings since the last time, as data."""
        warned, self._warned[:] = list(self._warned), []
        return [warning_to(message) for message, _ in warned]


class _Kept:
    """Takes the place of a replay: keeps what fixtures print."""

    enough = ""

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
        return [[when, asdict(output)] for when, output in told]


class _Child:
    def __init__(
        self,
        session: pytest.Session,
        project: Project,
        run: _Run,
        streams: Streams | None,
        homes: Homes,
    ) -> None:
        self._session, self._project, self._run = session, project, run
        self._streams, self._homes = streams, homes
        self._room = _Room(session.config, streams)
        self._kept = _Kept()
        self._state = fixtures.replace_setup_state(session)
        registry = fixtures.Registry(session, builtin.VALUE)
        self._bodies = JobBodies(project, registry, self._state, self._room, self._kept, threads=False)
        self._bodies.engine = run
        session.config.stash[memory_key] = run.memory
        self._runner: asyncio.Runner | None = None
        self._item: JobItem | None = None
        self._told = 0

    def do(self, message: Mapping[str, Any]) -> bool:
        """Do what a message asks for; True for the last one."""
        if message["op"] == "end":
            self._end()
            return True
        item = self._project.items[message["job"]]
        first, self._item = self._item is None, item
        if first:
            self._state.expect([item])
            self._told = len(item.user_properties)
        with self._room.open(item):
            self._phase(item, message)
        return False

    def _phase(self, item: JobItem, message: Mapping[str, Any]) -> None:
        ticket = Ticket(self._run.plan.graph[item.id_], message["attempt"], PHASES[message["phase"]])
        values = values_from(message["values"], self._homes)
        self._learn(item, ticket, message, values)
        call = self._bodies.prepare(ticket, values)
        result = self._call(call)
        self._run.summary.jobs[item.id_].attempts[-1].phases[-1].verdict = result.verdict
        self._send(item, ticket, result)

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

    def _call(self, call: Call | Isolated | Result) -> Result:
        if isinstance(call, Result):
            return call
        assert not isinstance(call, Isolated)
        if not call.is_async:
            return call()
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(call.awaited())

    def _send(self, item: JobItem, ticket: Ticket, result: Result) -> None:
        text, unstorable = None, ""
        if result.value is not NO_VALUE:
            try:
                text = encode(result.value, self._homes(item.id_)).text
            except NotStorable as error:
                unstorable = str(error)
        shown = self._bodies.shown(ticket)
        data = {
            "verdict": result.verdict.value,
            "failure": to_data(result.failure) if result.failure is not None else None,
            "value": text,
            "unstorable": unstorable,
            "output": asdict(result.output or Output()),
            "error": str(item.repr_failure(pytest.ExceptionInfo.from_exception(shown))) if shown else "",
        }
        files = self._bodies.files(item.id_)
        self._run.send({**self._beside(item), "result": data, "files": files, "read": self._sizes()})

    def _sizes(self) -> dict[str, int]:
        return self._streams.sizes() if self._streams is not None else {}

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
        with self._room.open(item):
            errors = self._bodies.end(item)
        if self._runner is not None:
            self._runner.close()
        shown = [str(item.repr_failure(pytest.ExceptionInfo.from_exception(error))) for error in errors]
        self._run.send({**self._beside(item), "torn": shown})
