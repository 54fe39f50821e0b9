"""The functions of jobs, with their fixtures: what the engine calls under pytest.

Set-up and teardown happen on the main thread; only the bodies themselves are called on workers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest

from jobtest.core.errors import JobtestError
from jobtest.core.model import TAIL, Failure, Outcome, Phase, Verdict
from jobtest.core.summary import JobRecord
from jobtest.engine.calls import (
    Call,
    FunctionCall,
    Isolated,
    Output,
    Result,
    Ticket,
    failure_of,
    judge,
)
from jobtest.engine.executors.faults import Injected
from jobtest.engine.library import Held
from jobtest.plugin import fixtures
from jobtest.plugin.checks import all_hold
from jobtest.plugin.facts import Attempt, Reports, RunFacts, attempt_key
from jobtest.plugin.file_check import FileCheck, FilesDiffer
from jobtest.plugin.handed import error_for, owed_calls, unknown_values, with_own
from jobtest.plugin.isolated import Crossing, outputs_of, warning_from
from jobtest.plugin.items import Elsewhere, JobItem, kind_of, one_traceback_at_a_time, parameters
from jobtest.plugin.output import OutputRoom
from jobtest.plugin.project import Project
from jobtest.plugin.setup_state import JobSetupState, together
from jobtest.plugin.surroundings import Surroundings
from jobtest.tasks import NotAsWanted, TaskFailed

if TYPE_CHECKING:
    from jobtest.engine.executors.lanes import Away

__all__ = ["JobBodies"]


Function = Callable[..., object]
SHOWN_PLAIN = FilesDiffer | NotAsWanted | TaskFailed | Injected
"""Errors that say all there is to say: where they were raised is nobody's business."""


class JobBodies:
    """Bodies of the jobs of a session.

    Attributes:
        exit: What `pytest.exit` raised in a body or a fixture, the first time.
        away: Calls jobs in processes of their own; None: all are called here.
        error_before: What the attempt before came to, if the run does not know it.

    Args:
        project: The jobs.
        registry: Copies of fixtures.
        state: What is set up.
        room: Captures output.
        replay: Reports a job that has ended.
        threads: Whether bodies are called on worker threads.
    """

    def __init__(
        self,
        project: Project,
        registry: fixtures.Registry,
        state: JobSetupState,
        room: OutputRoom,
        replay: Reports,
        *,
        threads: bool,
    ) -> None:
        self.engine: RunFacts
        self.away: tuple[Crossing, Away] | None = None
        self.error_before: str | None = None
        self._project, self._registry, self._state = project, registry, state
        self._room, self._replay, self._threads = room, replay, threads
        self._session: pytest.Session = registry.manager.session
        self._surroundings = Surroundings(self._session.config.rootpath)
        self._requests: dict[str, tuple[pytest.FixtureRequest, fixtures.AttemptFixtures]] = {}
        self._errors: dict[str, dict[Phase, BaseException]] = {}
        self._torn: dict[str, list[BaseException]] = {}
        self._tails: dict[str, int] = {}
        self._held = Held()
        self._files = FileCheck(self._session.config.rootpath)
        self.exit: BaseException | None = None

    # --- what the engine asks ---

    def prepare(self, ticket: Ticket, values: Mapping[str, object]) -> Call | Isolated | Result:
        """Set up the fixtures of a phase and return its call."""
        item = self._project.items[ticket.job.id]
        if item.source.own:
            values = with_own(self.engine, item, ticket, values)
        if self.away is not None and ticket.job.isolated:
            return self.away[0].call(item, ticket, values)
        if ticket.phase is Phase.CLOSE:
            return self._call(item, ticket, self._held.closer(ticket.job.id), {})
        kind = kind_of(ticket.phase, ticket.job.calls)
        functions = item.source.functions(kind)
        names = item.source.names.get(kind, ())
        unknown = unknown_values(self.engine, item, ticket, names, values)
        if unknown:
            self.show(ticket, Elsewhere(unknown, unknown))
            return Result(Verdict.SETUP_ERROR, Failure(unknown))
        try:
            if item not in self._state.stack:
                self._begin(item, ticket)
            arguments = self._set_up(item, ticket, names, values) if names else {}
        except BaseException as error:  # noqa: BLE001 - fixtures may raise anything, and it is their own failure
            return self._set_up_failed(item, ticket, error)
        ask = self._ask_files(item, ticket)
        if len(functions) == 1 and ask is None:
            (function,) = functions.values()
            wanted = parameters(function)
            given = {**arguments, **error_for(function, ticket, kind)}
            arguments = {name: given[name] for name in given if name in wanted or name not in arguments}
        else:
            function = all_hold({"": ask, **functions} if ask is not None else functions)
        if ticket.phase is Phase.RUN and ticket.job.is_generator:
            function = self._held.opener(ticket.job.id, function)
        return self._call(item, ticket, function, arguments)

    def attempt_over(self, job: str) -> None:
        """Close and tear down what an attempt held; another one follows."""
        item = self._project.items[job]
        self._close(item)
        self._room.attempt_over(item)
        self._leave(item, passed=False)
        self._errors.pop(job, None)

    def _close(self, item: JobItem) -> None:
        """Close what an attempt holds open, for which nobody waits any more."""
        if self._held.holds(item.id_):
            closing = Ticket(self.engine.plan.graph[item.id_], 0, Phase.CLOSE)
            closed = self._call(item, closing, self._held.closer(item.id_), {})()
            if closed.output is not None:
                self._replay.keep(item, "teardown", closed.output)
            if closed.error is not None:
                self._torn.setdefault(item.id_, []).append(closed.error)

    def at_once(self, job: str) -> bool:
        """Tell whether something is to be torn down, or other plugins are going to hear of the job."""
        item = self._project.items[job]
        return self._replay.full or self._state.holds(item) or self.engine.plan.graph[job].isolated

    def left(self, job: str) -> Output:
        """Return what a body has printed that is left behind."""
        return self._room.leave(self._project.items[job])

    def job_over(self, job: str) -> None:
        """Tear down and report a job that has ended; its last report waits for what it still owes.

        What it holds open may use its fixtures until it is closed. Those that belong to the whole process go
        at once, as other jobs run from here on.
        """
        item, record = self._project.items[job], self.engine.summary.jobs[job]
        owed = owed_calls(self.engine.plan, job, record)
        if Phase.CLOSE not in owed or item.exclusive:
            self._leave(item, passed=record.outcome is not Outcome.FAILED, waits=bool(item.fixturenames))
        self._tails[job] = len(owed)
        if not self._tails[job]:
            self._let_go(item)
        self._replay.ended(item, record, self._errors.pop(job, {}), whole=not self._tails[job])
        self._reported()

    def tail_over(self, job: str, result: Result, *, earlier: bool) -> None:
        """Take in how closing or cleaning up went; after the last of it, report."""
        item, record = self._project.items[job], self.engine.summary.jobs[job]
        self._leave(item, passed=result.verdict is Verdict.OK, waits=bool(item.fixturenames))
        if result.verdict is not Verdict.OK:
            said = str(result.failure) if result.failure is not None else ""
            shown = self._errors.pop(job, {})
            error = result.error or next(iter(shown.values()), Elsewhere(said, said))
            self._torn.setdefault(job, []).append(error)
        if result.output is not None:
            self._replay.keep(item, "teardown", result.output)
        if earlier:
            return
        self._tails[job] -= 1
        if not self._tails[job]:
            self._let_go(item)
            self._replay.torn_down(item, record)
        self._reported()

    def run_over(self) -> None:
        """Report the end of jobs whose cleanups do not come any more."""
        for job, missing in self._tails.items():
            if missing:
                item = self._project.items[job]
                self._let_go(item)
                self._replay.torn_down(item, self.engine.summary.jobs[job])
        self._room.tell_warnings()

    def _reported(self) -> None:
        """Tell warnings, and stop if whoever heard the report has had enough: -x, --maxfail, a plugin."""
        self._room.tell_warnings()
        enough = self._session.shouldfail or self._session.shouldstop or self._replay.enough
        if enough:
            self.engine.stop(str(enough))

    # --- between this process and that of an isolated attempt ---

    def facts(self, item: JobItem, ticket: Ticket) -> dict[str, object]:
        """Return what a phase may ask about the run, as data."""
        jobs = self.engine.summary.jobs
        ups = (edge.upstream for edge in self.engine.plan.graph.upstream(ticket.job.id))
        outcomes = {up: jobs[up].outcome.value for up in ups if jobs[up].outcome is not None}
        return {"error": self._error_before(item, ticket), "outcomes": outcomes}

    def take_in(self, item: JobItem, body: Mapping[str, Any]) -> None:
        """Take in what belongs to a report, from another process; on any thread."""
        for when, output in outputs_of(body["sections"]):
            self._replay.keep(item, when, output)
            self._room.show(item, output)
        if "result" in body:
            self._room.show(item, Output(**body["result"]["output"]))
        for data in body["warnings"]:
            self._room.warned(warning_from(data), item.id_)
        item.user_properties += [(name, value) for name, value in body["properties"]]
        if body["exit"] is not None:
            self._heed_exit(pytest.exit.Exception(*body["exit"]))
        if body.get("files") is not None:
            self._files.found[item.id_] = body["files"]

    def show(self, ticket: Ticket, error: BaseException) -> None:
        """Let pytest show an error as that of a phase."""
        self._errors.setdefault(ticket.job.id, {})[ticket.phase] = error

    def shown(self, ticket: Ticket) -> BaseException | None:
        """Return what is shown as the error of a phase."""
        return self._errors.get(ticket.job.id, {}).get(ticket.phase)

    def end(self, item: JobItem) -> list[BaseException]:
        """Close and tear down everything; return what was raised."""
        self._close(item)
        self._leave(item, passed=not self._errors.get(item.id_))
        self._let_go(item)
        error = item.recorded.pop("teardown", None)
        return [error] if error is not None else []

    def _end_away(self, item: JobItem, *, waits: bool) -> None:
        """End the process of an attempt, and take in how that went."""
        assert self.away is not None
        body = self.away[1].end(item.id_, waits=waits)
        if body is not None:
            self.take_in(item, body)
            torn = [Elsewhere(text, text.splitlines()[-1]) for text in body["torn"]]
            self._torn.setdefault(item.id_, []).extend(torn)

    # --- fixtures ---

    def files(self, job: str) -> Mapping[str, str] | None:
        """Return what is to be kept of the files that a job names."""
        return self._files.found.get(job)

    def _ask_files(self, item: JobItem, ticket: Ticket) -> Callable[[], None] | None:
        options, id = item.source.options, ticket.job.id
        if not (options.inputs or options.outputs):
            return None
        if ticket.job.goes:
            return partial(self._files.there, options, asked_again=ticket.phase is Phase.RECHECK)
        if ticket.phase is Phase.CHECK:
            return partial(self._files.check, id, options, self.engine.plan.pasts.get(id))
        if ticket.phase is Phase.RECHECK:
            return partial(self._files.recheck, id, options, self.engine.summary.jobs[id])
        return None

    def _begin(self, item: JobItem, ticket: Ticket) -> None:
        self._state.enter(item)
        if item.exclusive:
            fixtures.filter_warnings(item, self._state)
        if item.fixturenames:
            attempt = Attempt(
                ticket.attempt, self._error_before(item, ticket), f"{self.engine.lineage}/{ticket.job.id}"
            )
            attempt.upstream = self._outcomes(ticket)
            item.stash[attempt_key] = attempt
            takes = {take.parameter: take.upstream for take in ticket.job.takes}
            own = fixtures.AttemptFixtures(item, self._registry, takes, self._refuse)
            late = partial(self._late, item)
            self._requests[ticket.job.id] = fixtures.begin(item, own, late), own

    def _error_before(self, item: JobItem, ticket: Ticket) -> str:
        """Return what the attempt before came to, or empty."""
        if self.error_before is not None:
            return self.error_before
        if ticket.attempt == 1 and item.stash.get(attempt_key, None) is None:
            return ""
        return last_error(self.engine.summary.jobs[ticket.job.id])

    def _set_up(
        self, item: JobItem, ticket: Ticket, names: Sequence[str], values: Mapping[str, object]
    ) -> dict[str, object]:
        request, own = self._requests[ticket.job.id]
        item.stash[attempt_key].phase = ticket.phase.value
        if values.keys() >= set(names):
            return {name: values[name] for name in names}
        for name, value in values.items():
            own.offer(name, value)
        arguments: dict[str, object] = {}
        item.funcargs = arguments
        with self._fixtures(item, "teardown" if ticket.phase in TAIL else "setup"):
            for name in names:
                arguments[name] = values[name] if name in values else request.getfixturevalue(name)
        return arguments

    @contextmanager
    def _fixtures(self, item: JobItem, when: Literal["setup", "teardown"]) -> Iterator[None]:
        """Call the code of fixtures: what it does to the process is on purpose, what it prints is kept."""
        try:
            with self._surroundings.changed_on_purpose(), self._room.main(item) as output:
                yield
        finally:
            self._replay.keep(item, when, output)

    def _late(self, item: JobItem, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever a fixture has
        """Set up on the main thread what a body on another one asks for."""

        def set_up() -> Any:  # noqa: ANN401 - as above
            with self._fixtures(item, "setup"):
                return ask()

        return self.engine.on_main(set_up)

    def _set_up_failed(self, item: JobItem, ticket: Ticket, error: BaseException) -> Result:
        if isinstance(error, KeyboardInterrupt) and self.engine.interrupted:
            return Result(Verdict.NOT_BEGUN, Failure("interrupted"), error=error)
        if isinstance(error, pytest.skip.Exception):
            return _skipped(ticket, error.msg or "skipped")
        self._heed_exit(error)
        self._errors.setdefault(ticket.job.id, {})[ticket.phase] = error
        return Result(Verdict.SETUP_ERROR, self._failure(item, error), error=error)

    def _leave(self, item: JobItem, *, passed: bool, waits: bool = True) -> None:
        if self.away is not None and self.engine.plan.graph[item.id_].isolated:
            self._end_away(item, waits=waits)
            return
        if not self._state.holds(item):
            self._state.leave(item)
            return
        fixtures.tell_result(item, passed=passed)
        with self._fixtures(item, "teardown"):
            errors = self._state.leave(item)
        self._requests.pop(item.id_, None)
        for error in errors:
            self._heed_exit(error)
            self._torn.setdefault(item.id_, []).append(error)

    def _let_go(self, item: JobItem) -> None:
        """Count an item as done, and keep what teardown raised for its last report."""
        errors = self._torn.pop(item.id_, [])
        if self._state.is_last(item):
            with self._fixtures(item, "teardown"):
                errors += self._state.done(item)
        else:
            errors += self._state.done(item)
        if errors:
            for error in errors:
                self._heed_exit(error)
            item.recorded["teardown"] = together(errors)

    def _refuse(self, name: str) -> None:
        if name.removeprefix("job_") in self._project.names:
            raise JobtestError(
                f"job {name.removeprefix('job_')!r} is asked for with getfixturevalue, and may not have run\n"
                "  fix: make it a parameter of the job, or of a fixture that it uses"
            )

    def _outcomes(self, ticket: Ticket) -> dict[str, str]:
        jobs = self.engine.summary.jobs
        found = {}
        for edge in self.engine.plan.graph.upstream(ticket.job.id):
            outcome = jobs[edge.upstream].outcome
            if outcome is not None:
                found[self.engine.plan.graph[edge.upstream].label] = outcome.value
        return found

    # --- calls ---

    def _call(
        self, item: JobItem, ticket: Ticket, function: Function, arguments: Mapping[str, object]
    ) -> FunctionCall:
        worker = self._threads and not ticket.job.exclusive
        capture = self._room.worker if worker else self._room.body
        around = self._surroundings.around
        return FunctionCall(
            ticket, function, arguments, around=lambda: around(capture(item)), judged=self._judge
        )

    def _judge(self, ticket: Ticket, value: object, error: BaseException | None) -> Result:
        if error is None:
            result = judge(ticket, value, None)
            if result.error is not None:
                self.show(ticket, pytest.fail.Exception(str(result.error), pytrace=False))
            return result
        if isinstance(error, pytest.skip.Exception):
            return _skipped(ticket, error.msg or "skipped")
        self._heed_exit(error)
        result = judge(ticket, value, error)
        if "asyncio" in sys.modules and isinstance(error, sys.modules["asyncio"].CancelledError):
            return result  # on the event loop, where others wait
        if isinstance(error, SHOWN_PLAIN) and result.failure is not None:
            self.show(ticket, pytest.fail.Exception(str(error), pytrace=False))
            kind = "" if isinstance(error, Injected) else result.failure.type  # its text says what it is
            result.failure = replace(result.failure, type=kind, text=str(error))
            return result
        self.show(ticket, error)
        if result.failure is not None and result.failure.text:
            result.failure = self._failure(self._project.items[ticket.job.id], error)
        return result

    def _heed_exit(self, error: BaseException) -> None:
        """Let `pytest.exit` end the session: what runs comes to its end, cleanups run, then it is raised."""
        if isinstance(error, pytest.exit.Exception):
            self.exit = self.exit or error
            self.engine.stop(f"pytest.exit: {error.msg}")

    @staticmethod
    def _failure(item: JobItem, error: BaseException) -> Failure:
        """Return an exception as text, shown as pytest shows it."""
        plain = failure_of(error, with_text=True)
        try:
            with one_traceback_at_a_time:
                text = str(item.repr_failure(pytest.ExceptionInfo.from_exception(error)))
        except Exception:  # noqa: BLE001 - an exception that pytest cannot show is still a failure
            return plain
        return Failure(plain.message, plain.type, text, plain.types)


def _skipped(ticket: Ticket, reason: str) -> Result:
    """Return what `pytest.skip` means: of a cleanup, that there is nothing to clean up."""
    if ticket.phase in TAIL:
        return Result(Verdict.OK)
    return Result(Verdict.SKIPPED, Failure(reason))


def last_error(record: JobRecord) -> str:
    """Return what the last attempt that ended came to, one line."""
    for attempt in reversed(record.attempts):
        if attempt.failure is not None:
            return str(attempt.failure)
    return ""
