"""What the orchestrator knows of its warden: which attempts are out there, and what came of them."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobtest.core.model import Failure, Verdict
from jobtest.engine.calls import Isolated, Output, Result, Ticket
from jobtest.engine.executors.process.frames import Frames, Message
from jobtest.engine.executors.protocol import Inbox

__all__ = ["Answer", "LastWords", "ProcessLane", "Warden"]

CUT_SHORT = "was cut short"

LONGEST_END = 60.0
"""Seconds that tearing down after an attempt may take."""

Answer = Callable[[str, Message], Message]
"""From the job and the question of a child to the answer; called on another thread."""

LastWords = Callable[[str, Mapping[str, int]], Output]
"""From an attempt and how much of its output is known to the rest of it; called on another thread."""


class Warden(Protocol):
    """Where wardens come from."""

    def start(self) -> socket.socket:
        """Start a warden; return the connection to it.

        Raises:
            OSError: that could not be done.
        """


@dataclass(slots=True)
class _Attempt:
    """An attempt that has a process. `read` is how much of its output came with results."""

    key: str
    job: str
    ticket: Ticket | None = None
    call: Isolated | None = None
    read: dict[str, int] = field(default_factory=dict)
    gone: threading.Event = field(default_factory=threading.Event)
    torn: Message | None = None


class ProcessLane:
    """Has phases called by children of a warden, one child for each attempt.

    Args:
        inbox: For results.
        warden: Starts wardens: one at once, another one whenever it has gone.
        answer: Answers what children ask.
        last_words: Reads what a child printed that died before it could tell.
    """

    def __init__(self, inbox: Inbox, warden: Warden, answer: Answer, last_words: LastWords) -> None:
        self._inbox, self._warden, self._answer, self._last_words = inbox, warden, answer, last_words
        self._attempts: dict[str, _Attempt] = {}
        self._numbers = 0
        self._guard = threading.RLock()
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

    def key(self, ticket: Ticket) -> str:
        """Return the key of the attempt that a phase belongs to; there is one from now on."""
        found = self._of(ticket.job.id)
        if found is None:
            self._numbers += 1
            found = _Attempt(str(self._numbers), ticket.job.id)
            self._attempts[found.key] = found
        return found.key

    def start(self, ticket: Ticket, call: Isolated) -> None:
        """Have a phase called in the process of its attempt; the first one starts that."""
        job = ticket.job
        key = self.key(ticket)
        with self._guard:
            attempt = self._attempts[key]
            attempt.ticket, attempt.call = ticket, call
        order = {"op": "phase", "key": key, "timeout": job.timeout, "memory": job.memory}
        try:
            self._send({**order, "body": call.message})
        except OSError as error:
            self._fail(attempt, f"{CUT_SHORT}: there is no process: {error}")

    def cancel(self, ticket: Ticket) -> None:
        """End a phase that is under way with its whole attempt; the second time at once."""
        attempt = self._of(ticket.job.id)
        if attempt is None:
            return
        with self._guard:
            now = "cancelled" in attempt.read
            attempt.read["cancelled"] = 1
        self._try_to_send({"op": "cancel", "key": attempt.key, "now": now})

    def end(self, job: str) -> Message | None:
        """End the attempt of a job, wait until nothing of it is left; return what its child says of it."""
        attempt = self._of(job)
        if attempt is None:
            return None
        if self._try_to_send({"op": "end", "key": attempt.key, "timeout": LONGEST_END}):
            attempt.gone.wait(LONGEST_END + 10.0)
        with self._guard:
            self._attempts.pop(attempt.key, None)
        return attempt.torn

    def close(self) -> None:
        """End the warden, and what it has; waits until it is gone."""
        self._closed = True
        if self._frames is not None:
            self._frames.sock.shutdown(socket.SHUT_WR)
        if self._reader is not None:
            self._reader.join(10.0)

    def _of(self, job: str) -> _Attempt | None:
        with self._guard:
            return next((one for one in self._attempts.values() if one.job == job), None)

    def _send(self, message: Message) -> None:
        if self._frames is None:
            self.open()
        if self._reader is None:
            args = (self._frames,)
            self._reader = threading.Thread(target=self._read, args=args, name="jobtest-warden", daemon=True)
            self._reader.start()
        with self._guard:
            frames = self._frames
            if frames is None:
                raise ConnectionError("the helper that keeps processes has gone")
            frames.send(message)

    def _try_to_send(self, message: Message) -> bool:
        try:
            self._send(message)
        except OSError:
            return False
        return True

    # --- on the reader's thread ---

    def _read(self, frames: Frames) -> None:
        while (messages := frames.receive()) is not None:
            for message in messages:
                attempt = self._attempts.get(message.get("key", ""))
                if attempt is None:
                    continue
                if message["op"] == "said":
                    self._said(attempt, message["body"])
                else:
                    self._gone(attempt, message)
        self._lost(frames)

    def _said(self, attempt: _Attempt, body: Message) -> None:
        if "result" in body:
            with self._guard:
                ticket, call = attempt.ticket, attempt.call
                attempt.ticket = attempt.call = None
                attempt.read.update(body.get("read", {}))
            if ticket is not None and call is not None:
                self._inbox.put(ticket, call.result(body))
        elif "torn" in body:
            attempt.torn = body
        else:
            answer = self._answer(attempt.job, body)
            self._try_to_send({"op": "tell", "key": attempt.key, "body": answer})

    def _gone(self, attempt: _Attempt, message: Message) -> None:
        with self._guard:
            ticket = attempt.ticket
            self._attempts.pop(attempt.key, None)
        if ticket is not None:
            self._inbox.put(ticket, self._how(attempt, ticket, message))
        attempt.gone.set()

    def _lost(self, frames: Frames) -> None:
        """Take in that the warden has gone: so have all its children."""
        frames.close()
        with self._guard:
            if self._frames is frames:
                self._frames = self._reader = None
            left = list(self._attempts.values())
        for attempt in left:
            self._fail(attempt, f"{CUT_SHORT}: its process is lost, as the helper was killed that keeps it")

    def _fail(self, attempt: _Attempt, said: str) -> None:
        with self._guard:
            ticket = attempt.ticket
            self._attempts.pop(attempt.key, None)
        if ticket is not None:
            output = self._last_words(attempt.key, attempt.read)
            self._inbox.put(ticket, Result(Verdict.CRASHED, Failure(said), output=output))
        attempt.gone.set()

    def _how(self, attempt: _Attempt, ticket: Ticket, message: Message) -> Result:
        """Return what became of a phase whose process ended before it answered."""
        output = self._last_words(attempt.key, attempt.read)
        why = message["why"]
        if why == "timeout":
            said = f"timed out after {ticket.job.timeout:g} s"
            failure = Failure(said, "", types=("TimeoutError", "builtins.TimeoutError"))
            return Result(Verdict.TIMED_OUT, failure, output=output)
        if why == "cancel":
            return Result(Verdict.INTERRUPTED, Failure("interrupted"), output=output)
        if not message.get("forked", True):
            return Result(Verdict.CRASHED, Failure(f"{CUT_SHORT}: there is no process: {why}"), output=output)
        return Result(Verdict.CRASHED, Failure(_status(message, ticket.job.memory)), output=output)


def _status(message: Mapping[str, Any], memory: int) -> str:
    status, peak = message["status"], message.get("peak", 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if message["why"] == "silent" and number == signal.SIGKILL:
            return f"{CUT_SHORT}: its process closed its connection, and was killed"
        name = signal.strsignal(number) or "unknown"
        with suppress(ValueError):
            name = signal.Signals(number).name
        likely = ", likely out of memory" if number == signal.SIGKILL else ""
        limit = f", with a limit of {memory >> 20} MB" if memory else ""
        return f"{CUT_SHORT}: its process ended with {name}{likely} (it had {peak >> 10} MB at most{limit})"
    return f"{CUT_SHORT}: its process ended with exit status {os.WEXITSTATUS(status)}"
