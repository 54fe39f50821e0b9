"""Which lane a phase takes: the main thread, a worker thread, the event loop, a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from jobtest.core.model import Job
from jobtest.engine.calls import Isolated, Key, Result, Ticket
from jobtest.engine.executors.main import MainLane
from jobtest.engine.executors.protocol import Finished, Inbox, Prepare
from jobtest.engine.executors.thread import ThreadLane

if TYPE_CHECKING:
    from jobtest.engine.executors.loop import LoopLane

__all__ = ["Away", "Lane", "Lanes", "lane_of"]


class Lane(Enum):
    """Where a phase is called."""

    MAIN = "main"
    THREAD = "thread"
    LOOP = "loop"
    AWAY = "away"
    """In another process."""


def lane_of(job: Job, workers: int, *, is_async: bool = False) -> Lane:
    """Return where a phase of a job is called.

    What can be ended at its timeout, or at least be left behind, is not called on the main thread.
    """
    if job.isolated:
        return Lane.AWAY
    if job.timeout is None and (workers == 1 or (job.exclusive and not is_async)):
        return Lane.MAIN
    return Lane.LOOP if is_async else Lane.THREAD


class Away(Protocol):
    """Calls phases outside of this process; results come to an inbox that it was made with.

    Attributes:
        interrupted: Tells whether somebody asked the run to end.
    """

    interrupted: Callable[[], bool]

    def start(self, ticket: Ticket, call: Isolated) -> None:
        """Have a phase called."""

    def cancel(self, ticket: Ticket) -> None:
        """End a phase that is under way, and all that it has started."""

    def end(self, job: str, *, waits: bool = True) -> Mapping[str, Any] | None:
        """End the attempt of a job, wait until nothing of it is left; return what is said of it there.

        If there is nothing to tear down, and no attempt follows, nobody need wait.
        """

    def close(self) -> None:
        """End what it has; waits until it is gone."""


class Lanes:
    """Calls each phase where its job belongs.

    Args:
        workers: Phases that may be under way at once; with one, bodies are called on the main thread.
        inbox: For results; the one that `away` was made with.
        away: For jobs that are isolated.
    """

    def __init__(self, workers: int = 1, inbox: Inbox | None = None, away: Away | None = None) -> None:
        self._workers, self._inbox, self._away = workers, inbox or Inbox(), away
        self._main, self._threads = MainLane(self._inbox), ThreadLane(self._inbox)
        self._loop: LoopLane | None = None
        self._taken: dict[Key, Lane] = {}

    @property
    def calling(self) -> bool:
        """Whether a body is being called on the main thread."""
        return self._main.calling

    def start(self, ticket: Ticket, prepare: Prepare) -> None:
        """Prepare here, call the body on its lane."""
        call = prepare()
        self._inbox.expect()
        if isinstance(call, Result):
            self._inbox.put(ticket, call)
            return
        if isinstance(call, Isolated):
            assert self._away is not None, ticket
            self._taken[ticket.key] = Lane.AWAY
            self._away.start(ticket, call)
            return
        lane = self._taken[ticket.key] = lane_of(ticket.job, self._workers, is_async=call.is_async)
        match lane:
            case Lane.MAIN:
                self._main.start(ticket, call)
            case Lane.LOOP:
                self._loop = self._loop or _loop_lane(self._inbox)
                self._loop.start(ticket, call)
            case _:
                self._threads.start(ticket, call)

    def collect(self, timeout: float | None) -> Sequence[Finished]:
        """Return what has finished."""
        found = self._inbox.collect(timeout)
        for ticket, _ in found:
            self._taken.pop(ticket.key, None)
        return found

    def cancel(self, ticket: Ticket) -> bool:
        """Begin to end a phase that is under way; a thread cannot be ended."""
        match self._taken.get(ticket.key):
            case Lane.AWAY if self._away is not None:
                self._away.cancel(ticket)
            case Lane.LOOP if self._loop is not None:
                self._loop.cancel(ticket)
            case _:
                return False
        return True

    def keeps_time(self, ticket: Ticket) -> bool:
        """Tell whether timeouts are kept elsewhere: there, also while this process is stopped."""
        return self._taken.get(ticket.key) is Lane.AWAY

    def note(self, ticket: Ticket) -> str:
        """Return what is to be told of a phase that has not come to its end, or empty."""
        return self._loop.note(ticket) if self._loop is not None else ""

    def wake(self) -> None:
        """Make a waiting `collect` return."""
        self._inbox.wake()

    def close(self) -> None:
        """End what has nothing to do any more."""
        self._main.close()
        self._threads.close()
        if self._loop is not None:
            self._loop.close()
        if self._away is not None:
            self._away.close()


def _loop_lane(inbox: Inbox) -> LoopLane:
    """Return a lane for async bodies; what it imports is large, and few runs have any."""
    from jobtest.engine.executors.loop import LoopLane

    return LoopLane(inbox)
