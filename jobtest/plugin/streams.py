"""Streams that know whose they are: what is written on a thread or in a task goes to the phase it belongs to.

A phase is known by a context variable. Threads do not inherit it (before Python 3.14 never, from then on not
everywhere), so who starts one is remembered on it; work for a pool takes it along, as its threads serve all.
"""

from __future__ import annotations

import codecs
import concurrent.futures
import functools
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from jobtest.config.secrets import Secrets

__all__ = [
    "KEPT",
    "Echo",
    "Masks",
    "Piece",
    "Sink",
    "Take",
    "current",
    "label_of",
    "routed",
    "shortened",
    "threads_of_jobs",
    "whose",
]

Piece = str | bytes

KEPT = 1 << 20
"""Characters of one stream of one phase that are kept: half of them from its beginning, half from its end."""

PIECES = 4096
"""Pieces after which they are made one: `print` writes two a line, and each costs more than what is in it."""

LONGEST_LINE = 1 << 16
"""Characters of a line after which its live echo does not wait for its end."""

MARK = "_jobtest_output"
"""The attribute of a thread that says whose it is."""


NOTHING: Mapping[str, str] = {}


class _Kept:
    """What was written to one stream; of very much its beginning and its end."""

    __slots__ = ("_head", "_left_out", "_pieces", "_size")

    def __init__(self) -> None:
        self._head: str | None = None
        self._pieces: list[Piece] = []
        self._size = self._left_out = 0

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > 2 * KEPT or len(self._pieces) > PIECES:
            self._pack()

    def text(self) -> str:
        self._pack()
        tail = _text(self._pieces)
        if self._head is None:
            return tail
        said = f"\n[{self._left_out} characters are left out here]\n" if self._left_out else ""
        return f"{self._head}{said}{tail}"

    def _pack(self) -> None:
        """Make one piece of many, and drop what is in the middle of too much."""
        joined: Piece = _joined(self._pieces)
        if self._head is None and len(joined) > KEPT:
            self._head, joined = _text([joined[: KEPT // 2]]), joined[KEPT // 2 :]
        over = len(joined) - KEPT // 2 if self._head is not None else 0
        if over > 0:
            self._left_out += over
            joined = joined[over:]
        self._pieces, self._size = [joined], len(joined)


def _joined(pieces: list[Piece]) -> Piece:
    """Return what was written as text and as bytes, in order: as text if none of it was bytes."""
    try:
        return "".join(pieces)  # type: ignore[arg-type]  # hardly ever bytes, and then it raises
    except TypeError:
        return b"".join(one.encode(errors="replace") if isinstance(one, str) else one for one in pieces)


def _text(pieces: list[Piece]) -> str:
    """Return what was written; bytes that are no UTF-8 are replaced."""
    joined = _joined(pieces)
    return joined if isinstance(joined, str) else joined.decode(errors="replace")


class Echo:
    """Shows what is written at once, in whole lines that say whose they are.

    Args:
        label: Of the job.
        streams: Where to, by name.
        ready: Called before lines are written.
        secrets: What must not be cut in two: lines are masked by the streams.
    """

    def __init__(
        self, label: str, streams: dict[str, TextIO], ready: Callable[[], None], secrets: Secrets
    ) -> None:
        self._label, self._streams, self._ready, self._secrets = label, streams, ready, secrets
        self._begun: dict[str, list[Piece]] = {name: [] for name in streams}

    def write(self, name: str, piece: Piece) -> None:
        """Take in a piece, and show the lines that it ends."""
        begun = self._begun[name]
        begun.append(piece)
        ends = "\n" in piece if isinstance(piece, str) else b"\n" in piece
        if ends or len(piece) > LONGEST_LINE or len(begun) > PIECES:
            whole, newline, rest = _text(begun).rpartition("\n")
            if not newline:
                whole, rest = self._secrets.cut(rest) if self._secrets else (rest, "")
            self._begun[name] = [rest] if rest else []
            self._show(name, whole)

    def close(self) -> None:
        """Show what has no end yet."""
        for name, begun in self._begun.items():
            if begun:
                self._show(name, _text(begun))
        self._begun = {name: [] for name in self._streams}

    def _show(self, name: str, text: str) -> None:
        """Write lines in one go, so that no other thread writes between them."""
        self._ready()
        stream = self._streams[name]
        stream.write("".join(f"{self._label} | {line}\n" for line in text.split("\n")))
        stream.flush()


class Sink:
    """Where the output of one phase goes.

    Args:
        nodeid: Of the job.
        name: Of its function, with parameters.
        attempt: From 1.
        echo: Shows what is printed at once.
        keeps: Whether what is printed is kept.

    Attributes:
        through: Streams that take what is printed in its stead: those of pytest's capture.
    """

    __slots__ = ("_echo", "_guard", "_keeps", "_kept", "attempt", "name", "nodeid", "open", "through")

    def __init__(self, nodeid: str, name: str, attempt: int, echo: Echo | None, *, keeps: bool) -> None:
        self.nodeid, self.name, self.attempt = nodeid, name, attempt
        self.open = True
        self.through: dict[str, Any] | None = None
        self._echo, self._keeps = echo, keeps
        self._kept: dict[str, _Kept] = {}
        self._guard = threading.RLock()  # a signal handler may print while this thread holds it

    @property
    def label(self) -> str:
        """Its name, for people."""
        return label_of(self.name)

    def write(self, kind: str, piece: Piece) -> bool:
        """Take in a piece of `stdout`, `stderr` or `log`; False if the phase is over."""
        with self._guard:
            if not self.open:
                return False
            if kind == "log":
                self._keep(kind, piece)
            elif self.through is not None:
                stream = self.through[kind]
                (stream if isinstance(piece, str) else stream.buffer).write(piece)
            else:
                if self._echo is not None:
                    self._echo.write(kind, piece)
                if self._keeps:
                    self._keep(kind, piece)
            return True

    def _keep(self, kind: str, piece: Piece) -> None:
        if kind not in self._kept:
            self._kept[kind] = _Kept()
        self._kept[kind].add(piece)

    def pass_on(self, streams: dict[str, Any]) -> None:
        """Let streams of pytest's capture have what is printed, and what is there already."""
        with self._guard:
            self.through = streams
            for kind in streams:
                if kind in self._kept:
                    streams[kind].write(self._kept.pop(kind).text())

    def hold(self) -> None:
        """Take in from here on what pytest's capture took."""
        with self._guard:
            self.through = None

    def close(self) -> Mapping[str, str]:
        """Take in no more; return what there is, by kind."""
        with self._guard:
            self.open = False
            if self._echo is not None:
                self._echo.close()
            if not self._kept:
                return NOTHING
            return {kind: kept.text() for kind, kept in self._kept.items()}


def label_of(name: str) -> str:
    """Return `a[1]` for `job_a[1]`."""
    return name.partition("_")[2]


current: ContextVar[Sink | None] = ContextVar("jobtest_output", default=None)


def whose() -> Sink | None:
    """Return the phase that this code belongs to: by its context, or else by the thread."""
    sink = current.get()
    return sink if sink is not None else getattr(threading.current_thread(), MARK, None)


def _forget() -> None:
    """A forked process is not the job's any more: it has the memory, and nobody reads it."""
    current.set(None)
    thread = threading.current_thread()
    if hasattr(thread, MARK):
        delattr(thread, MARK)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

Take = Callable[[str, Piece], bool]


class Masks:
    """Standard streams that mask secrets; what may be the beginning of one waits.

    Args:
        streams: What is written to, by name.
        secrets: What must not be seen.

    Attributes:
        streams: What to write to instead, by name.
    """

    def __init__(self, streams: Mapping[str, TextIO], secrets: Secrets) -> None:
        self._to = streams
        self._begun = {name: secrets.stream() for name in streams}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in streams}
        self._guard = threading.RLock()
        self.streams: dict[str, Any] = {name: routed(one, name, self._take) for name, one in streams.items()}

    def _take(self, name: str, piece: Piece) -> bool:
        with self._guard:
            text = piece if isinstance(piece, str) else self._decoders[name].decode(piece)
            self._to[name].write(self._begun[name].feed(text))
        return True

    def settle(self) -> None:
        """Write what waits: nothing follows that it could be the beginning of."""
        with self._guard:
            for name, begun in self._begun.items():
                rest = begun.close()
                if rest:
                    self._to[name].write(rest)
                    self._to[name].flush()


class _Router(io.TextIOBase):
    """Stands in for a standard stream: what a job writes goes where it belongs, the rest to the stream."""

    def __init__(self, stream: TextIO, name: str, take: Take) -> None:
        self._stream, self._name, self._take = stream, name, take

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        return len(text) if self._take(self._name, text) else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open: it is not ours. Called when this object is thrown away, too."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a stream has it, the base class says None
        return "utf-8"

    @property
    def buffer(self) -> _Buffer:
        return _Buffer(self._stream, self._name, self._take)


class _Buffer(io.BufferedIOBase):
    """The same for bytes."""

    def __init__(self, stream: TextIO, name: str, take: Take) -> None:
        self._stream, self._name, self._take = stream, name, take

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever has bytes
        piece = bytes(data)
        return len(piece) if self._take(self._name, piece) else self._stream.buffer.write(piece)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open, as above."""

    def writable(self) -> bool:
        return True


def routed(stream: Any, name: str, take: Take) -> Any:  # noqa: ANN401 - what stands for a stream
    """Return a stream that offers what is written to `take`, and writes to `stream` what that does not take.

    Args:
        stream: A text stream.
        name: `stdout` or `stderr`.
        take: From a name and a piece to whether it was taken.
    """
    return _Router(stream, name, take)


INTERPRETERS: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", ())
"""Pools of Python 3.14 whose threads have nothing in common with those that give them work."""


@contextmanager
def threads_of_jobs(started: Callable[[Sink], None]) -> Iterator[None]:
    """Remember who starts a thread, or gives work to the threads of a pool; `started` hears of it."""
    start = threading.Thread.start
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @functools.wraps(start)
    def start_of(thread: threading.Thread) -> None:
        sink = whose()
        if sink is not None:
            setattr(thread, MARK, sink)
            started(sink)
        start(thread)

    @functools.wraps(submit)
    def submit_of(
        pool: ThreadPoolExecutor,
        function: Callable[..., Any],
        /,
        *args: Any,  # noqa: ANN401 - those of the function
        **named: Any,  # noqa: ANN401 - as above
    ) -> Future[Any]:
        sink = whose()
        if sink is None or isinstance(pool, INTERPRETERS):
            return submit(pool, function, *args, **named)
        return submit(pool, _as_part_of, sink, function, *args, **named)

    threading.Thread.start = start_of  # type: ignore[assignment, method-assign]
    ThreadPoolExecutor.submit = submit_of  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


def _as_part_of(sink: Sink, function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
    """Call a function for a phase, on a thread that may be that of another one."""
    token = current.set(sink)
    try:
        return function(*args, **named)
    finally:
        current.reset(token)


def shortened(text: str) -> str:
    """Return a text, of a very long one its beginning and its end."""
    if len(text) <= KEPT:
        return text
    kept = _Kept()
    kept.add(text)
    return kept.text()
