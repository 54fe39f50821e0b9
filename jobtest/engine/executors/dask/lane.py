"""Which Dask worker calls which phase, and what came of it. Knows a cluster by its `Link` alone.

An attempt that has something set up stays with its worker, and that takes up nothing else until the attempt
has ended. While phases are short, several go to a worker at once: a message costs more than they do.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jobtest.core.model import Failure, Job, Verdict
from jobtest.engine.calls import Isolated, Result, Ticket
from jobtest.engine.executors.dask.cluster import Link, Seat
from jobtest.engine.executors.dask.phases import is_held_open, is_last, result_without
from jobtest.engine.executors.process.frames import Message
from jobtest.engine.executors.protocol import Inbox

__all__ = ["Answer", "DaskLane"]

SHORT = 0.05
"""Seconds; while phases take less on average, a worker gets several at once."""

MANY = 8
"""Phases that a worker gets at once then."""

RENEWED = 10.0
"""Seconds between the words by which workers know that the run lives."""

LOOKED = 1.0
"""Seconds between looks at which workers there are."""

LONGEST_END = 70.0
"""Seconds until the end of an attempt is not waited for any more; workers give up a little earlier."""

HURRIED_END = 5.0
"""The same once the run is interrupted."""

Answer = Callable[[str, Message], Message]
"""From the job and the question of a body to the answer; called on another thread."""


@dataclass(slots=True)
class _Attempt:
    key: str
    job: Job
    seat: Seat | None = None
    holds: bool = False
    """It has something open at its worker."""
    ticket: Ticket | None = None
    call: Isolated | None = None
    order: dict[str, Any] | None = None
    cancelled: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    torn: Message | None = None


@dataclass(slots=True)
class _Parcel:
    seat: Seat
    waiting: dict[str, _Attempt]
    resources: Mapping[str, int]
    task: object = None


@dataclass(slots=True)
class _Worker:
    seat: Seat
    free: dict[str, float]
    parcels: int = 0
    queue: deque[_Attempt] = field(default_factory=deque)
    guests: set[str] = field(default_factory=set)
    """Attempts that wait for its answer, or have something open there that others must not run beside."""


class DaskLane:
    """Has phases called by the workers of a Dask cluster.

    Args:
        inbox: For results.
        link: To the cluster.
        run: Id of the run.
        seats: Workers that are ready.
        answer: Answers what bodies ask.
        admit: Makes a worker ready that came later; says why it cannot be, or empty.

    Attributes:
        gone: Called once, with a reason, when the scheduler has gone.
        interrupted: Tells whether somebody asked the run to end.
        refused: Workers that came later and were not used, and why, by their id.
    """

    def __init__(
        self,
        inbox: Inbox,
        link: Link,
        run: str,
        seats: Sequence[Seat],
        answer: Answer,
        admit: Callable[[Seat], str],
    ) -> None:
        self.gone: Callable[[str], None] = lambda reason: None
        self.interrupted: Callable[[], bool] = lambda: False
        self.refused: dict[str, str] = {}
        self._inbox, self._link, self._run, self._answer, self._admit = inbox, link, run, answer, admit
        self._guard = threading.RLock()
        self._workers = {seat.id: _Worker(seat, dict(seat.resources)) for seat in seats}
        self._offered = frozenset(name for seat in seats for name in seat.resources)
        self._attempts: dict[str, _Attempt] = {}
        self._by_job: dict[str, _Attempt] = {}
        self._backlog: deque[_Attempt] = deque()
        self._parcels: dict[str, _Parcel] = {}
        self._numbers = 0
        self._mean = 1.0
        self._lost = ""
        self._closed = False
        self._renewing: set[str] = set()
        self._arriving: set[str] = set()
        self._stopped = threading.Event()
        self._clerk = threading.Thread(target=self._serve, name="jobtest-dask", daemon=True)
        self._clerk.start()

    # --- on the main thread ---

    def key(self, ticket: Ticket) -> str:
        """Return the key of the attempt that a phase belongs to; there is one from now on."""
        with self._guard:
            found = self._by_job.get(ticket.job.id)
            if found is None:
                found = _Attempt(self._number(), ticket.job)
                self._by_job[found.job.id] = self._attempts[found.key] = found
            return found.key

    def start(self, ticket: Ticket, call: Isolated) -> None:
        """Have a phase called where its attempt is, or wherever there is room."""
        key = self.key(ticket)
        body = dict(call.message)
        with self._guard:
            attempt = self._attempts[key]
            attempt.ticket, attempt.call = ticket, call
            order = {"op": "phase", "last": is_last(ticket), "body": body}
            self._order(attempt, order, ticket.job.timeout)

    def cancel(self, ticket: Ticket) -> None:
        """End a phase that is under way; the second time at once."""
        with self._guard:
            attempt = self._by_job.get(ticket.job.id)
            if attempt is None or attempt.ticket is not ticket:
                return
            now, attempt.cancelled = attempt.cancelled, True
            if attempt in self._backlog:
                self._backlog.remove(attempt)
                self._finish(attempt, {"gone": "", "why": "cancel"})
                return
            address = attempt.seat.address if attempt.seat is not None else None
        told = {"run": self._run, "op": "cancel", "attempt": attempt.key, "now": now}
        _aside(lambda: self._tell(address, told))

    def end(self, job: str, *, waits: bool = True) -> Message | None:
        """End the attempt of a job, wait until nothing of it is left; return what its worker says of it.

        An attempt that has nothing to tear down holds nothing there: it has ended at once, `waits` or not.
        """
        with self._guard:
            attempt = self._by_job.pop(job, None)
            if attempt is None:
                return None
            if attempt.order is not None:  # it was given up, and goes on
                self._kill(attempt)
                return None
            if attempt.holds and not self._lost:
                self._order(attempt, {"op": "end", "job": job}, LONGEST_END - 10)
            else:
                attempt.ended.set()
        if not self._has_ended(attempt):
            self._kill(attempt)
        with self._guard:
            self._attempts.pop(attempt.key, None)
            self._let_go(attempt)
            self._fill()
        return attempt.torn

    def _has_ended(self, attempt: _Attempt) -> bool:
        """Wait until nothing of an attempt is left; not for long once the run is interrupted."""
        until, hurried = time.monotonic() + LONGEST_END, False
        while not attempt.ended.wait(0.1):
            if self.interrupted() and not hurried:
                until, hurried = min(until, time.monotonic() + HURRIED_END), True
            if time.monotonic() >= until:
                return False
        return True

    def _kill(self, attempt: _Attempt) -> None:
        """End the process that an attempt is called in."""
        address = attempt.seat.address if attempt.seat is not None else None
        told = {"run": self._run, "op": "cancel", "attempt": attempt.key, "now": True}
        _aside(lambda: self._tell(address, told))

    def close(self) -> None:
        """Take up nothing any more; what workers have is ended by whoever has prepared them."""
        self._closed = True
        self._stopped.set()
        self._clerk.join(LOOKED)

    # --- who gets what; with the guard held ---

    def _number(self) -> str:
        self._numbers += 1
        return str(self._numbers)

    def _order(self, attempt: _Attempt, order: dict[str, Any], timeout: float | None) -> None:
        if self._lost:
            self._finish(attempt, {"gone": self._lost})
            return
        attempt.order = {
            "id": self._number(),
            "attempt": attempt.key,
            "fresh": not attempt.holds,
            "timeout": timeout,
            "order": order,
        }
        if not attempt.holds:
            self._backlog.append(attempt)
        else:
            assert attempt.seat is not None
            worker = self._workers.get(attempt.seat.id)
            if worker is None:
                self._finish(attempt, {"gone": f"its Dask worker {attempt.seat.address} was lost"})
                return
            worker.queue.append(attempt)
        self._fill()

    def _fill(self) -> None:
        """Give workers what they have room for."""
        short = self._mean < SHORT
        for worker in sorted(self._workers.values(), key=lambda one: (one.parcels, len(one.guests))):
            at_once = worker.seat.threads * (2 if short else 1)
            while worker.parcels < at_once:
                found = self._pick(worker, short)
                if not found:
                    break
                self._send(worker, found)

    def _pick(self, worker: _Worker, short: bool) -> list[_Attempt]:
        """Return what goes to a worker in one parcel: first what it has begun."""
        many = min(MANY, -(-len(self._backlog) // len(self._workers)) + len(worker.queue)) if short else 1
        found: list[_Attempt] = []
        while worker.queue and len(found) < max(1, many):
            found.append(worker.queue.popleft())
        room = worker.seat.threads * (2 * MANY if short else 1) - len(worker.guests)
        passed: list[_Attempt] = []
        while self._backlog and room > 0 and len(found) < max(1, many):
            attempt = self._backlog.popleft()
            needs = self._needs(attempt.job)
            if any(worker.free.get(name, 0) < amount for name, amount in needs.items()):
                passed.append(attempt)
            elif needs and found:
                passed.append(attempt)
                break
            else:
                found.append(attempt)
                room -= 1
                if needs:
                    break
        self._backlog.extendleft(reversed(passed))
        return found

    def _needs(self, job: Job) -> dict[str, int]:
        """Return the resources of a job that workers offer."""
        if not self._offered or not job.resources:
            return {}
        return {name: amount for name, amount in job.resources.items() if name in self._offered}

    def _send(self, worker: _Worker, attempts: list[_Attempt]) -> None:
        orders, begun = [], False
        for attempt in attempts:
            assert attempt.order is not None
            begun = begun or attempt.holds
            orders.append(attempt.order)
            attempt.seat = worker.seat
            worker.guests.add(attempt.key)
        needs = self._needs(attempts[0].job) if len(attempts) == 1 else {}
        for name, amount in needs.items():
            worker.free[name] -= amount
        number = self._number()
        parcel = _Parcel(
            worker.seat, {order["id"]: one for order, one in zip(orders, attempts, strict=True)}, needs
        )
        self._parcels[number] = parcel
        worker.parcels += 1
        text = json.dumps({"run": self._run, "to": worker.seat.id, "orders": orders})
        try:
            parcel.task = self._link.submit(
                worker.seat, text, needs, int(begun), lambda _, why: self._ended(number, why)
            )
        except Exception as error:  # noqa: BLE001 - whatever a client raises that has lost its scheduler
            why = f"{type(error).__name__}: {error}"
            _aside(lambda: self._close_parcel(number, why))

    # --- what comes back; on other threads ---

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the run."""
        if "question" in event:
            question = json.loads(event["question"])
            _aside(lambda: self._reply(event["attempt"], event["worker"], question))
            return
        with self._guard:
            for parcel in self._parcels.values():
                attempt = parcel.waiting.pop(event["id"], None)
                if attempt is not None:
                    self._take_in(attempt, json.loads(event["answer"]))
                    return

    def _ended(self, number: str, why: str) -> None:
        """Take in that a task has ended."""
        with self._guard:
            parcel = self._parcels.get(number)
            if parcel is None:
                return
            if parcel.waiting and not why:
                _aside(lambda: self._fetch(number))
                return
        if why:
            _aside(lambda: self._close_parcel(number, why))
        else:
            self._close_parcel(number, why)

    def _fetch(self, number: str) -> None:
        """Fetch the result of a task some of whose answers have not come as events."""
        parcel = self._parcels.get(number)
        if parcel is None:
            return
        try:
            answers = json.loads(parcel.task.result(timeout=LONGEST_END))  # type: ignore[attr-defined]  # a future
        except Exception as error:  # noqa: BLE001 - the worker that has it may have gone meanwhile
            self._close_parcel(number, f"{type(error).__name__}: {error}")
            return
        with self._guard:
            for id, answer in answers.items():
                attempt = parcel.waiting.pop(id, None)
                if attempt is not None:
                    self._take_in(attempt, answer)
        self._close_parcel(number, "")

    def _close_parcel(self, number: str, why: str) -> None:
        """Take in that nothing comes of a task any more; what it has not answered is lost."""
        if why and self._link.seats() is None:
            self._lose()
        with self._guard:
            parcel = self._parcels.pop(number, None)
            if parcel is None:
                return
            worker = self._workers.get(parcel.seat.id)
            if worker is not None:
                worker.parcels -= 1
                for name, amount in parcel.resources.items():
                    worker.free[name] += amount
            for attempt in parcel.waiting.values():
                said = f"its Dask worker {parcel.seat.address} was lost{f' ({why})' if why else ''}"
                attempt.holds = False
                self._finish(attempt, {"gone": self._lost or said})
            self._fill()

    def _take_in(self, attempt: _Attempt, answer: Message) -> None:
        self._mean += 0.2 * (answer.get("took", 0.0) - self._mean)
        attempt.holds = bool(answer.get("open")) and "gone" not in answer
        self._finish(attempt, answer)
        self._fill()

    def _finish(self, attempt: _Attempt, answer: Message) -> None:
        """Hand in what became of an order."""
        ticket, call = attempt.ticket, attempt.call
        ending = attempt.order is not None and attempt.order["order"]["op"] == "end"
        attempt.ticket = attempt.call = attempt.order = None
        attempt.torn = answer.get("end", attempt.torn)
        if not attempt.holds or is_held_open(ticket, answer):
            self._let_go(attempt)
        if not attempt.holds:
            attempt.seat = None
        if ending:
            attempt.ended.set()
        if ticket is None or call is None:
            return
        if "result" in answer:
            result = call.result(answer)
            if attempt.cancelled:
                result = Result(Verdict.INTERRUPTED, Failure("interrupted"), output=result.output)
        else:
            result = result_without(ticket, answer, cancelled=attempt.cancelled)
        self._inbox.put(ticket, result)

    def _let_go(self, attempt: _Attempt) -> None:
        if attempt.seat is not None and attempt.seat.id in self._workers:
            self._workers[attempt.seat.id].guests.discard(attempt.key)

    # --- what may wait for the cluster: on threads of its own, as a worker that hangs never answers ---

    def _serve(self) -> None:
        renewed = time.monotonic()
        while not self._stopped.wait(LOOKED) and not self._lost:
            self._look()
            if time.monotonic() - renewed >= RENEWED:
                renewed = time.monotonic()
                with self._guard:
                    addresses = {one.seat.address for one in self._workers.values()} - self._renewing
                for address in addresses:
                    _aside(partial(self._renew, address))

    def _renew(self, address: str) -> None:
        self._renewing.add(address)
        self._tell(address, {"run": self._run, "op": "renew"})
        self._renewing.discard(address)

    def _tell(self, address: str | None, message: Message) -> None:
        if address is not None:
            self._link.tell(address, json.dumps(message))

    def _reply(self, key: str, address: str, question: Message) -> None:
        with self._guard:
            attempt = self._attempts.get(key)
        if attempt is None or attempt.seat is None or attempt.seat.address != address:
            return  # of an attempt that was given up: nothing of it counts any more
        answer = self._answer(attempt.job.id, question)
        self._tell(address, {"run": self._run, "op": "answer", "attempt": key, "answer": answer})

    def _look(self) -> None:
        """See which workers have gone, and which have come."""
        seats = self._link.seats()
        if seats is None:
            self._lose()
            return
        there = {seat.id: seat for seat in seats}
        with self._guard:
            gone = [id for id in self._workers if id not in there]
            for id in gone:
                del self._workers[id]
            numbers = [number for number, one in self._parcels.items() if one.seat.id in gone]
        for number in numbers:
            self._close_parcel(number, "")
        for seat in there.values():
            if seat.id not in {*self._workers, *self._arriving, *self.refused}:
                self._arriving.add(seat.id)
                _aside(partial(self._welcome, seat))
        if not self._workers and not self._arriving:
            self._lose("there is no Dask worker any more")

    def _welcome(self, seat: Seat) -> None:
        why = self._admit(seat)
        with self._guard:
            self._arriving.discard(seat.id)
            if why:
                self.refused[seat.id] = f"Dask worker {seat.address} was not used: {why}"
            else:
                self._workers[seat.id] = _Worker(seat, dict(seat.resources))
                self._fill()

    def _lose(self, why: str = "") -> None:
        """Take in that the cluster cannot be reached any more: nothing comes back."""
        with self._guard:
            if self._lost or self._closed:
                return
            self._lost = why or f"the Dask scheduler {self._link.address} was lost"
        self.gone(self._lost)  # first: what is told below is not to be tried again
        with self._guard:
            left = [one for one in self._attempts.values() if one.order is not None]
            self._parcels.clear()
            self._backlog.clear()
            for attempt in left:
                attempt.holds = False
                self._finish(attempt, {"gone": self._lost})


def _aside(errand: Callable[[], None]) -> None:
    """Do something on a thread of its own, which does not keep this process from ending."""
    threading.Thread(target=errand, name="jobtest-dask-errand", daemon=True).start()
