"""What goes on in a Dask worker: the functions that the orchestrator has called there.

A room belongs to one run. It has the processes that call phases, one for each thread of the worker that is
in use at once, and it ends them when nobody has asked for the run for a while: whoever started it has gone,
or cannot be reached, and has begun the attempts anew elsewhere.

Answers go back as events, which are fast; what has been answered by a task is its result, too, for what is
large and for an event that did not come.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from jobtest.engine.executors.dask.host import Gone, Host
from jobtest.engine.executors.dask.sources import differing, unpack
from jobtest.engine.executors.process.frames import Message

__all__ = ["LARGE", "LEASE", "call_phases", "leave", "prepare", "tell", "topic"]

LEASE = 60.0
"""Seconds without a word of the run after which its processes are ended."""

LONGEST_ANSWER = 45.0
"""Seconds that a body waits until a checkpoint is kept; then it hears that the state is lost."""

LARGE = 32 << 10
"""Characters of an answer that is not sent as an event: schedulers keep the last thousand events."""

LONGEST_END = 60.0
"""Seconds that tearing down what a process has set up may take."""

_rooms: dict[str, _Room] = {}
_guard = threading.Lock()


def topic(run: str) -> str:
    """Return the topic of the events of a run."""
    return f"jobtest-{run}"


# --- what the orchestrator has called ---


async def prepare(text: str, code: bytes | None = None) -> str:
    """Make a room and a process in it that has collected the project; return as JSON how that went.

    Args:
        text: JSON: the setup.
        code: The files of the project as a zip, if the worker does not see the same; None: not yet.

    Returns:
        JSON. `need`: the files that differ; or `ready`: what the process said; or `failed`: why there is
        none.
    """
    return await asyncio.to_thread(_prepare, json.loads(text), code)


def call_phases(text: str) -> str:
    """Call phases, one after the other; the only task.

    Args:
        text: JSON: `run`, `to` (scratch folder of the worker that is meant) and `orders`.

    Returns:
        JSON: answers by the key of the order.
    """
    from distributed import get_worker

    parcel = json.loads(text)
    worker = get_worker()
    answers: dict[str, Message] = {}
    room = _rooms.get(parcel["run"])
    for order in parcel["orders"]:
        if worker.local_directory != parcel["to"]:
            answer: Message = {"gone": "its Dask worker was started again"}
        elif room is None:
            answer = {"gone": "its Dask worker does not know the run any more"}
        else:
            answer = room.carry_out(order, worker)
        answers[order["id"]] = answer
        said = json.dumps(answer)
        if len(said) <= LARGE:
            worker.log_event(topic(parcel["run"]), {"id": order["id"], "answer": said})
    return json.dumps(answers)


async def tell(text: str) -> bool:
    """Tell a room something: that the run lives, the answer to a question, the end of an attempt at work.

    Returns:
        Whether it was at work for the attempt that is to be ended.
    """
    message = json.loads(text)
    room = _rooms.get(message["run"])
    return room is not None and room.hear(message)


async def leave(run: str) -> str:
    """Tear down what the processes of a run have set up, and end them; return as JSON what they said."""
    return await asyncio.to_thread(_leave, run)


# --- rooms ---


def _prepare(setup: dict[str, Any], code: bytes | None) -> str:
    with _guard:
        room = _rooms.get(setup["run"])
        if room is None:
            room = _rooms[setup["run"]] = _Room()
    said = room.prepare(setup, code)
    if "ready" not in said and "need" not in said:
        _leave(setup["run"])
    return json.dumps(said)


def _leave(run: str) -> str:
    with _guard:
        room = _rooms.pop(run, None)
    return json.dumps(room.close() if room is not None else [])


class _Room:
    def __init__(self) -> None:
        self._setup: dict[str, Any] = {}
        self._hosts: list[Host] = []
        self._free: list[Host] = []
        self._of: dict[str, Host] = {}
        self._answers: dict[str, SimpleQueue[Message]] = {}
        self._refused: set[str] = set()
        self._folder: Path | None = None
        self._heard = time.monotonic()
        self._closed = threading.Event()
        self._hold = threading.Condition()

    # --- before the run ---

    def prepare(self, setup: dict[str, Any], code: bytes | None) -> dict[str, object]:
        root = Path(setup["root"])
        try:
            if code is not None:
                self._folder = Path(tempfile.mkdtemp(prefix="jobtest-code-", dir=_local_folder()))
                unpack(code, self._folder)
                here = self._folder
            else:
                differs = differing(root, setup["prints"])
                if differs or not root.is_dir():
                    return {"need": differs}
                here = root
            missing = [name for name in setup["inputs"] if not (here / name).exists()]
            self._setup = _moved(setup, root, here)
            host = self._new_host()
        except (Gone, OSError, ValueError) as error:
            words = "".join(error.output.values()) if isinstance(error, Gone) else ""
            return {"failed": f"{type(error).__name__}: {error}", "output": words[-4000:]}
        self._free.append(host)
        threading.Thread(target=self._watch, name="jobtest-lease", daemon=True).start()
        return {"ready": host.ready, "missing": missing, "shipped": code is not None}

    def _new_host(self) -> Host:
        host = Host(self._setup, _local_folder())
        try:
            host.start()
        except BaseException:
            host.close(0.0)
            raise
        with self._hold:
            self._hosts.append(host)
        return host

    def _watch(self) -> None:
        """End everything when the run has not been heard of for too long."""
        while not self._closed.wait(1.0):
            if time.monotonic() - self._heard > LEASE:
                for host in list(self._hosts):
                    host.kill("lease")
                _leave(self._setup["run"])

    # --- the run ---

    def carry_out(self, order: Message, worker: Any) -> Message:  # noqa: ANN401 - of distributed, without types
        """Have an order carried out and return what it came to."""
        began = time.perf_counter()
        key = order["attempt"]
        try:
            host = self._take(key, fresh=order["fresh"])
        except (Gone, OSError) as error:
            return {"gone": f"there is no process: {error}"}
        if host is None:
            return {"gone": "the process that had it has ended", "why": "before"}
        try:
            answer = dict(self._ask(host, key, order, worker))
        except Gone as gone:
            answer = {"gone": str(gone), "why": gone.why, "output": gone.output}
        finally:
            self._give_back(key, host)
        if not answer.get("open"):
            self._of.pop(key, None)
        answer["took"] = time.perf_counter() - began
        return answer

    def _ask(self, host: Host, key: str, order: Message, worker: Any) -> Message:  # noqa: ANN401 - as above
        if key in self._refused and order["order"]["op"] == "phase":
            return {"gone": "", "why": "cancel"}

        def ask(question: Message) -> Message:
            answers = self._answers[key] = SimpleQueue()
            event = {"attempt": key, "worker": worker.address, "question": json.dumps(question)}
            worker.log_event(topic(self._setup["run"]), event)
            try:
                return answers.get(timeout=LONGEST_ANSWER)
            except Empty:
                return {"op": "answer", "lost": f"the run has not answered for {LONGEST_ANSWER:g} s"}
            finally:
                self._answers.pop(key, None)

        return host.ask(key, order["order"], order["timeout"], ask)

    def _take(self, key: str, *, fresh: bool) -> Host | None:
        """Return the process of an attempt, when it is free; another one, also a new one, if it is fresh."""
        with self._hold:
            host = self._of.get(key)
            if host is None and not fresh:
                return None
            if host is not None:
                while host not in self._free and host.alive:
                    self._hold.wait(1.0)
                if not host.alive:
                    return None
                self._free.remove(host)
                return host
            free = [one for one in self._free if one.alive]
            if free:
                self._free.remove(free[0])
        if not free:
            self._sweep()
            free = [self._new_host()]
        self._of[key] = free[0]
        return free[0]

    def _give_back(self, key: str, host: Host) -> None:
        with self._hold:
            self._free.append(host)
            self._hold.notify_all()

    def _sweep(self) -> None:
        """Take away what is left of processes that have ended."""
        with self._hold:
            dead = [one for one in self._hosts if not one.alive]
            self._hosts = [one for one in self._hosts if one.alive]
            self._free = [one for one in self._free if one.alive]
        for one in dead:
            one.close(0.0)

    def hear(self, message: Message) -> bool:
        """Take in a word of the orchestrator, on the worker's event loop."""
        self._heard = time.monotonic()
        match message["op"]:
            case "answer":
                answers = self._answers.get(message["attempt"])
                if answers is not None:
                    answers.put(message["answer"])
            case "cancel":
                key = message["attempt"]
                self._refused.add(key)
                return any(host.cancel(key, now=message["now"]) for host in list(self._hosts))
        return False

    def close(self) -> list[Message]:
        """End the processes; return what each said of it."""
        self._closed.set()
        said = [host.close(LONGEST_END) for host in self._hosts]
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        return said


def _local_folder() -> str | None:
    from distributed import get_worker

    with suppress(ValueError):
        return str(get_worker().local_directory)
    return None


def _moved(setup: Mapping[str, Any], root: Path, here: Path) -> dict[str, Any]:
    """Return the setup for a place where the project lies elsewhere."""
    if here == root:
        return dict(setup)

    def moved(text: str) -> str:
        return text.replace(str(root), str(here))

    return {**setup, "root": str(here), "args": [moved(one) for one in setup["args"]]}
