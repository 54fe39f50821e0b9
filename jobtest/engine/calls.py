"""Calling the user's functions and judging what came of it. Whatever a body does, a `Result` comes back."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from jobtest.core.model import Failure, Job, Phase, Verdict

__all__ = [
    "NO_VALUE",
    "Call",
    "FunctionCall",
    "Isolated",
    "Key",
    "Output",
    "Result",
    "Ticket",
    "failure_of",
    "judge",
    "one_line",
    "short_repr",
    "timed_out",
]


class _NoValue:
    def __repr__(self) -> str:
        return "<no value>"


NO_VALUE = _NoValue()
Key = tuple[str, int, Phase]
BROKEN_CHECK = (NameError, ImportError, SyntaxError)
"""What a check does not raise to say that the desired state is not there (PRODUCT 4.2)."""

LONGEST_MESSAGE = 500
"""Characters of an exception's message that are kept as its one line."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is to be called: one phase of one attempt of a job; `error` is what it failed of, to roll back."""

    job: Job
    attempt: int
    phase: Phase
    error: Failure | None = None

    @property
    def key(self) -> Key:
        """What it is known by while it is under way."""
        return self.job.id, self.attempt, self.phase


@dataclass(slots=True)
class Output:
    """What a phase printed, logged and warned."""

    stdout: str = ""
    stderr: str = ""
    log: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """What came of a phase.

    Attributes:
        verdict: For the scheduler.
        failure: As text, for the journal.
        value: What the run or describe function returned, or `NO_VALUE`.
        error: The live exception; it stays in this process and in no journal.
        output: What was printed and logged meanwhile.
    """

    verdict: Verdict
    failure: Failure | None = None
    value: object = NO_VALUE
    error: BaseException | None = None
    output: Output | None = None


Function = Callable[..., object]


class Call(Protocol):
    """A phase that is ready to be called, on whatever thread."""

    @property
    def is_async(self) -> bool:
        """Whether `awaited` is to be used, on an event loop."""

    def __call__(self) -> Result:
        """Call the body; never raises."""

    async def awaited(self) -> Result:
        """Call and await the body; never raises but for the cancellation of the task."""

    def through(self, change: Callable[[Function], Function]) -> Call:
        """Return the same call of another function, which is made from its own."""


@dataclass(slots=True)
class Isolated:
    """A phase that is to be called in a process of its own.

    Attributes:
        message: What that process is told, as JSON data.
        result: From its answer to a result; called on the main thread.
    """

    message: Mapping[str, object]
    result: Callable[[Mapping[str, object]], Result]


Around = Callable[[], AbstractContextManager[Output | None]]
Judge = Callable[[Ticket, object, BaseException | None], Result]


class FunctionCall:
    """A function with its arguments.

    Args:
        ticket: What is called, for the judge.
        function: The user's function; sync or async.
        arguments: By name.
        around: Context in which it runs, on its thread; gives what it printed and logged.
        judged: From what it returned or raised to a result.
    """

    def __init__(
        self,
        ticket: Ticket,
        function: Function,
        arguments: Mapping[str, object],
        *,
        around: Around = nullcontext,
        judged: Judge | None = None,
    ) -> None:
        self._ticket = ticket
        self._function = function
        self._arguments = arguments
        self._around = around
        self._judge = judged or judge
        self.is_async = inspect.iscoroutinefunction(function)

    def __call__(self) -> Result:
        """Call the body on this thread."""
        __tracebackhide__ = True
        value: object = NO_VALUE
        error: BaseException | None = None
        with self._around() as output:
            try:
                value = self._function(**self._arguments)
                if inspect.isawaitable(value):
                    import asyncio  # large, and few need it

                    value = asyncio.run(_await(value))
            except BaseException as raised:  # noqa: BLE001 - a body may raise anything, and it is its own failure
                error = raised
        return self._result(value, error, output)

    def through(self, change: Callable[[Function], Function]) -> FunctionCall:
        """Return the same call of another function, which is made from its own."""
        return FunctionCall(
            self._ticket, change(self._function), self._arguments, around=self._around, judged=self._judge
        )

    async def awaited(self) -> Result:
        """Call and await the body on this loop."""
        __tracebackhide__ = True
        value: object = NO_VALUE
        error: BaseException | None = None
        with self._around() as output:
            try:
                value = self._function(**self._arguments)
                if inspect.isawaitable(value):
                    value = await value
            except BaseException as raised:  # noqa: BLE001 - as above
                error = raised
        return self._result(value, error, output)

    def _result(self, value: object, error: BaseException | None, output: Output | None) -> Result:
        result = self._judge(self._ticket, value, error)
        result.output = output
        return result


async def _await(value: Awaitable[object]) -> object:
    return await value


def judge(ticket: Ticket, value: object, error: BaseException | None) -> Result:
    """Return what a phase came to: PRODUCT 4.2 for checks, anything raised is a failure for the rest."""
    is_check = ticket.phase in (Phase.CHECK, Phase.RECHECK)
    if error is None:
        return _judge_check(ticket, value) if is_check else Result(Verdict.OK, value=value)
    if not is_check:
        return Result(Verdict.RAISED, failure_of(error, with_text=True), error=error)
    if isinstance(error, BROKEN_CHECK):
        return Result(Verdict.BROKEN, failure_of(error, with_text=True), error=error)
    return Result(
        Verdict.NOT_HOLDING, failure_of(error, with_text=ticket.phase is Phase.RECHECK), error=error
    )


def _judge_check(ticket: Ticket, value: object) -> Result:
    if value is None or value is True:
        return Result(Verdict.OK)
    if value is False:
        return Result(Verdict.NOT_HOLDING, Failure("it returned False"))
    rule = "a check holds when it returns None or True, and does not when it returns False"
    said = f"it returned {short_repr(value)}; {rule}"
    return Result(Verdict.BROKEN, Failure(said), error=TypeError(f"check of {ticket.job.name!r}: {said}"))


def failure_of(error: BaseException, *, with_text: bool = False) -> Failure:
    """Return an exception as text. Never raises, whatever its `__str__` does."""
    types = tuple(
        name for cls in type(error).__mro__ if cls not in (object, BaseException) for name in _names_of(cls)
    )
    text = ""
    if with_text:
        try:
            text = "".join(traceback.format_exception(error))
        except Exception:  # noqa: BLE001 - an exception that cannot even be formatted is still a failure
            text = f"{type(error).__name__} (it cannot be shown)"
    return Failure(one_line(error), type(error).__name__, text, types)


def _names_of(cls: type) -> Iterable[str]:
    """Return the names by which a class is known: bare, with its module, and with its package alone.

    The last is how many are imported: `requests.ConnectTimeout` is of the module `requests.exceptions`.
    """
    package = cls.__module__.partition(".")[0]
    name = cls.__qualname__
    return dict.fromkeys((name, f"{cls.__module__}.{name}", f"{package}.{name}"))


def timed_out(ticket: Ticket) -> Failure:
    """Return what is said of a phase that has had its time; `retry_on` may name `TimeoutError` for it."""
    return Failure(f"timed out after {ticket.job.timeout:g} s", types=failure_of(TimeoutError()).types)


def one_line(error: BaseException) -> str:
    """Return the first line of an exception's message, at most `LONGEST_MESSAGE` characters."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's `__str__` may raise anything
        return f"<unprintable {type(error).__name__}>"
    first = text.strip().partition("\n")[0]
    return first if len(first) <= LONGEST_MESSAGE else f"{first[:LONGEST_MESSAGE]}..."


def short_repr(value: object) -> str:
    """Return `repr`, at most 80 characters, whatever `__repr__` does."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the user's `__repr__` may raise anything
        text = f"<unprintable {type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
