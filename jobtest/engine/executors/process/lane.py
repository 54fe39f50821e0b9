"""What the orchestrator knows of its warden: which attempts are out there, and what came of them."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from jobtest.core.model import Failure, Verdict
from jobtest.engine.calls import Isolated, Output, Result, Ticket, timed_out
from jobtest.engine.executors.process.frames import Frames, Message
from jobtest.engine.executors.protocol import Inbox

__all__ = ["Answer", "LastWords", "ProcessLane", "Warden"]

CUT_SHORT = "was cut short"
LOST = f"{CUT_SHORT}: its process is lost, as the helper was killed that keeps it"

LONGEST_END = 60.0
"""Seconds that tearing down after an attempt may take, of a job without a timeout."""

HURRIED_END = 5.0
"""Seconds that it gets at most once the run is interrupted."""

NOTHING: Message = {"sections": [], "warnings": [], "properties": [], "exit": None}
"""What a child says beside, when it says nothing."""

MOST_WARDENS = 3
"""How many of them may end one after another before a phase is given up."""

Answer = Callable[[str, Message], Message]
"""From the job and the question of a child to the answer; called on another thread."""

Made = Callable[[], Result]

LastWords = Callable[[str, Mapping[str, int]], Output]
"""From the place of an attempt and how much of its output is known to the rest; called on another thread."""


class Warden(Protocol):
    """Where wardens come from."""

    def start(self) -> socket.socket:
        """Start a warden; return the connection to it.

        Raises:
            OSError: that could not be done.
        """

    def sweep(self) -> None:
        """Wait for a warden whose connection has ended, and kill what it has left behind."""


@dataclass(slots=True)
class _Attempt:
    """An attempt that has a process.

    Attributes:
        key: Its name with the warden.
        place: Name of the files for what it prints.
        job: Its job.
        ticket: The phase that is under way, with its `call`.
        begun: A phase was sent.
        cancelled: It was told to end.
        limit: Seconds that it may take to tear down.
        ending: The same, once it was told to; 0 if it goes on.
        over: It has said what came of its last phase, and ends without being told to.
        held: The result of its last phase, until it has torn down: meanwhile other jobs go on.
        dead: What comes of its phases, once its process has ended before its time.
        read: How much of its output came with results.
        gone: Nothing is left of its process.
        torn: What its child said of tearing down.
    """

    key: str
    place: str
    job: str
    ticket: Ticket | None = None
    call: Isolated | None = None
    begun: bool = False
    cancelled: bool = False
    limit: float = LONGEST_END
    ending: float = 0.0
    over: bool = False
    held: tuple[Ticket, Made] | None = None
    dead: Result | None = None
    read: dict[str, int] = field(default_factory=dict)
    gone: threading.Event = field(default_factory=threading.Event)
    torn: Message | None = None


class _Places:
    """Names of files for what attempts print. They are used again, as making a file takes long."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._free: list[str] = []
        self._number = 0

    def take(self, key: str) -> str:
        """Return a place that nobody prints to."""
        if self._free:
            found = self._free.pop()
        else:
            self._number += 1
            found = str(self._number)
        self._taken[key] = found
        return found

    def free(self, key: str) -> None:
        """Give back the place of an attempt of which nothing is left, and whose output was read."""
        place = self._taken.pop(key, None)
        if place is not None:
            self._free.append(place)


class ProcessLane:
    """Has phases called by children of a warden, one child for each attempt.

    Args:
        inbox: For results.
        warden: Starts wardens: one at once, another one whenever it has gone.
        answer: Answers what children ask.
        last_words: Reads what a child printed that died before it could tell.

    Attributes:
        interrupted: Tells whether somebody asked the run to end.
    """

    def __init__(self, inbox: Inbox, warden: Warden, answer: Answer, last_words: LastWords) -> None:
        self.interrupted: Callable[[], bool] = lambda: False
        self._inbox, self._warden, self._answer, self._last_words = inbox, warden, answer, last_words
        self._attempts: dict[str, _Attempt] = {}
        self._places = _Places()
        self._numbers = 0
        self._guard = threading.Lock()
        self._sending = threading.Lock()
        self._frames: Frames | None = None
        self._reader: threading.Thread | None = None
        self._closed = False

    # --- on the main thread ---

    def open(self) -> None:
        """Start the warden, as long as there are no threads.

        Raises:
            OSError: that could not be done.
        """
        self._frames = Frames(self._warden.start())

    def start(self, ticket: Ticket, call: Isolated) -> None:
        """Have a phase called in the process of its attempt; the first one starts that."""
        attempt = self._of(ticket.job.id)
        if attempt is None or attempt.over:
            attempt = self._begin(ticket.job.id, attempt)
        with self._guard:
            dead, attempt.torn = attempt.dead, None
            if dead is None:
                attempt.ticket, attempt.call = ticket, call
        if dead is not None:
            self._inbox.put(ticket, dead)
            return
        attempt.limit = ticket.job.timeout or LONGEST_END
        order = {
            "op": "phase",
            "key": attempt.key,
            "first": not attempt.begun,
            "place": attempt.place,
            "timeout": ticket.job.timeout,
            "ends": attempt.limit,
            "body": call.message,
        }
        try:
            sent = self._sent(attempt, order)
        except OSError as error:
            self._fail(attempt, f"{CUT_SHORT}: there is no process: {error}")
            return
        if not sent:
            self._fail(attempt, LOST)

    def _sent(self, attempt: _Attempt, order: Message) -> bool:
        """Send a phase; its warden has to be there, but for the first one, which goes to any.

        Raises:
            OSError: there is no warden, and none can be started.
        """
        if attempt.begun:
            return self._send(self._frames, order)
        for _ in range(MOST_WARDENS):
            frames = self._frames or self._open()
            if self._send(frames, order):
                with self._guard:
                    attempt.begun = True
                    return frames is self._frames
            if self._reader is not None:
                self._reader.join(LONGEST_END)  # until nothing is left of the one that has gone
        raise ConnectionError("whatever helper is started ends at once")

    def _begin(self, job: str, before: _Attempt | None) -> _Attempt:
        self._numbers += 1
        key = str(self._numbers)
        made = _Attempt(key, self._places.take(key), job)
        with self._guard:
            if before is not None:
                self._attempts.pop(before.key, None)
            self._attempts[made.key] = made
        return made

    def cancel(self, ticket: Ticket) -> None:
        """End a phase that is under way with its whole attempt; the second time at once."""
        attempt = self._of(ticket.job.id)
        if attempt is not None:
            self._send(self._frames, {"op": "cancel", "key": attempt.key, "now": attempt.cancelled})
            attempt.cancelled = True

    def end(self, job: str, *, waits: bool = True) -> Message | None:
        """End the attempt of a job, wait until nothing of it is left; return what its child says of it.

        To tear down it has as long as a phase of its job. If there is nothing to tear down, and no attempt
        follows, nobody need wait.
        """
        attempt = self._of(job)
        if attempt is None:
            return None
        limit = attempt.ending = attempt.limit
        order = {"op": "end", "key": attempt.key, "timeout": limit}
        ends = attempt.over or (attempt.dead is None and self._send(self._frames, order))
        if ends and waits:
            self._wait(attempt, limit + 2 * HURRIED_END)
        with self._guard:
            self._attempts.pop(attempt.key, None)
        return attempt.torn

    def _wait(self, attempt: _Attempt, seconds: float) -> None:
        """Wait until nothing of an attempt is left; when the run is interrupted, not for long."""
        until, hurried = time.monotonic() + seconds, False
        while not attempt.gone.wait(0.1) and time.monotonic() < until:
            if self.interrupted() and not hurried:
                hurried, until = True, min(until, time.monotonic() + 2 * HURRIED_END)
                attempt.ending = HURRIED_END
                self._send(self._frames, {"op": "end", "key": attempt.key, "timeout": HURRIED_END})

    def close(self) -> None:
        """End the warden, and what it has; waits until it is gone."""
        self._closed = True
        with self._guard:
            frames = self._frames
        if frames is None:
            return
        with suppress(OSError):
            frames.sock.shutdown(socket.SHUT_WR)
        if self._reader is None:
            frames.close()
            self._frames = None
        else:
            self._reader.join(10.0)

    def _of(self, job: str) -> _Attempt | None:
        with self._guard:
            return next((one for one in self._attempts.values() if one.job == job), None)

    def _open(self) -> Frames:
        if self._closed:
            raise ConnectionError("the run is over")
        self.open()
        assert self._frames is not None
        return self._frames

    def _send(self, frames: Frames | None, message: Message) -> bool:
        """Send a message to a warden; False if it has gone."""
        if frames is None:
            return False
        if self._reader is None and frames is self._frames:
            args = (frames,)
            self._reader = threading.Thread(target=self._read, args=args, name="jobtest-warden", daemon=True)
            self._reader.start()
        try:
            with self._sending:
                frames.send(message)
        except OSError:
            return False
        return True

    # --- on the reader's thread ---

    def _read(self, frames: Frames) -> None:
        while (messages := frames.receive()) is not None:
            for message in messages:
                attempt = self._attempts.get(message["key"])
                if message["op"] == "said":
                    if attempt is not None:
                        self._said(frames, attempt, message["body"])
                    continue
                if attempt is not None:
                    self._gone(attempt, message)
                self._places.free(message["key"])
        self._lost(frames)

    def _said(self, frames: Frames, attempt: _Attempt, body: Message) -> None:
        if "result" in body:
            self._has_result(attempt, body)
        elif "torn" in body:
            attempt.torn = body
        else:
            answer = self._answered(attempt, body)
            self._send(frames, {"op": "tell", "key": attempt.key, "body": answer})

    def _has_result(self, attempt: _Attempt, body: Message) -> None:
        call, ticket = attempt.call, self._take_ticket(attempt)
        if ticket is None or call is None:
            return
        made = partial(self._result, attempt, call, body)
        if body.get("over"):
            attempt.over, attempt.ending = True, attempt.limit
            if "torn" not in body:
                attempt.held = ticket, made
                return
            attempt.torn = {**NOTHING, "torn": body["torn"]}
        self._inbox.put(ticket, made)

    def _result(self, attempt: _Attempt, call: Isolated, body: Message) -> Result:
        """Make the result of an answer; on the main thread, where reports are."""
        try:
            attempt.read.update(body["read"])
            return call.result(body)
        except Exception as error:  # noqa: BLE001 - a job can write anything to its connection
            self._send(self._frames, {"op": "cancel", "key": attempt.key, "now": True})
            said = f"{CUT_SHORT}: what its process said is no answer: {error!r}"
            return Result(Verdict.CRASHED, Failure(said))

    def _answered(self, attempt: _Attempt, body: Message) -> Message:
        try:
            return self._answer(attempt.job, body)
        except Exception as error:  # noqa: BLE001 - as above
            return {"op": "answer", "lost": repr(error)}

    def _take_ticket(self, attempt: _Attempt) -> Ticket | None:
        """Return the phase that is under way, for the one who tells what came of it."""
        with self._guard:
            ticket, attempt.ticket, attempt.call = attempt.ticket, None, None
        return ticket

    def _gone(self, attempt: _Attempt, message: Message) -> None:
        verdict, said = _came_to(message)
        self._ended(attempt, verdict, said)

    def _lost(self, frames: Frames) -> None:
        """Take in that the warden has gone: so have all its children."""
        with self._sending:
            frames.close()
        if not self._closed:
            self._warden.sweep()
        with self._guard:
            self._frames = self._reader = None
            left = [one for one in self._attempts.values() if one.begun and not one.gone.is_set()]
        for attempt in left:
            self._fail(attempt, LOST)
            self._places.free(attempt.key)

    def _fail(self, attempt: _Attempt, said: str) -> None:
        self._ended(attempt, Verdict.CRASHED, said)

    def _ended(self, attempt: _Attempt, verdict: Verdict, said: str) -> None:
        """Take in that a process has ended; if that was before its time, its attempt has failed."""
        with self._guard:
            ticket, attempt.ticket, attempt.call = attempt.ticket, None, None
            if ticket is not None:
                self._attempts.pop(attempt.key, None)
            elif attempt.torn is None and verdict is not Verdict.INTERRUPTED:
                attempt.dead = Result(Verdict.CRASHED, Failure(said))
                late = f"timed out after {attempt.ending:g} s" if verdict is Verdict.TIMED_OUT else said
                attempt.torn = {**NOTHING, "torn": [f"its teardown {late}"]}
        if ticket is not None:
            self._inbox.put(ticket, self._how(attempt, ticket, verdict, said))
        attempt.gone.set()
        if attempt.held is not None:
            self._inbox.put(*attempt.held)

    def _how(self, attempt: _Attempt, ticket: Ticket, verdict: Verdict, said: str) -> Result:
        """Return what became of a phase whose process ended before it answered."""
        failure = timed_out(ticket) if verdict is Verdict.TIMED_OUT else Failure(said)
        if ticket.job.memory and "memory" in said:
            failure = Failure(f"{said}, with a limit of {ticket.job.memory >> 20} MB")
        return Result(verdict, failure, output=self._last_words(attempt.place, attempt.read))


def _came_to(message: Message) -> tuple[Verdict, str]:
    """Return what an attempt came to whose process has ended, and what is said of it."""
    why = message["why"]
    if not message.get("forked", True):
        return Verdict.CRASHED, f"{CUT_SHORT}: there is no process: {why}"
    if why == "timeout":
        return Verdict.TIMED_OUT, "timed out"
    if why == "cancel":
        return Verdict.INTERRUPTED, "interrupted"
    return Verdict.CRASHED, f"{CUT_SHORT}: its process {_status(message)}"


def _status(message: Message) -> str:
    status, peak = message["status"], message["peak"] >> 10
    if not os.WIFSIGNALED(status):
        return f"ended with exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if message["why"] == "silent" and number == signal.SIGKILL:
        return "closed its connection, and was killed"
    name = signal.strsignal(number) or "unknown"
    with suppress(ValueError):
        name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return f"ended with {name}, likely out of memory (it had {peak} MB at most)"
    return f"ended with {name}"
