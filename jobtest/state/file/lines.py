"""Files of JSON lines, each with a checksum: how they are read, and how they grow.

A last line without its end is one that somebody is just writing, or was when he was killed: it does not
count. Any other line that is not what was written makes the state unusable.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from jobtest.core.errors import Problem, StateError
from jobtest.state.changes import change_from_data, change_to_data
from jobtest.state.file.disk import Unsynced
from jobtest.state.store import Change, Owed

__all__ = [
    "BACK",
    "Lines",
    "change_of",
    "damaged",
    "is_of_kind",
    "last_of_kind",
    "line_of",
    "lines_of",
    "size_of",
    "unreadable",
]

BLOCK = 1 << 16
"""Bytes that are read at once from the end of a file."""

BACK = "put a copy of it back, or move it away: every job is then checked anew"

_OPENING, _COMMA = b'{"crc":"', b'",'
_KIND_AT = len(_OPENING) + 8 + len(_COMMA)
"""Where the first key after the checksum begins: `"change":"..."`."""

_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def line_of(change: Change | Owed) -> bytes:
    """Return a change as a line. Its checksum is that of all that follows the comma behind it."""
    rest = _json(change_to_data(change)).encode("ascii")[1:] + b"\n"
    return b"%b%08x%b%b" % (_OPENING, zlib.crc32(rest), _COMMA, rest)


def is_sound(line: bytes) -> bool:
    """Return whether a line is what was written."""
    return line[:_KIND_AT] == b"%b%08x%b" % (_OPENING, zlib.crc32(line[_KIND_AT:]), _COMMA)


def change_of(path: Path, number: int, line: bytes) -> Change | Owed:
    """Return the change that a line holds.

    Raises:
        StateError: it holds none.
    """
    try:
        return change_from_data(json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(path, number, str(error)) from error


def is_of_kind(line: bytes, kind: type) -> bool:
    """Return whether a line says that it holds a change of that type; nothing else of it is looked at."""
    return line.startswith(b'"change":"%b"' % kind.__name__.encode("ascii"), _KIND_AT)


def damaged(path: Path, number: int, why: str) -> StateError:
    """Return the error of a line that is not what was written."""
    what = f"the state is damaged: line {number} of {path.name} cannot be read: {why[:200]}"
    return StateError([Problem(what=what, at=(f"{path}:{number}",), fix=BACK)])


def unreadable(path: Path, error: OSError) -> StateError:
    """Return the error of a file that cannot be read."""
    what = f"the state cannot be read: {error.strerror or error}"
    return StateError(
        [Problem(what=what, at=(str(path),), fix="make it readable, or name another --job-state")]
    )


def size_of(path: Path) -> int:
    """Return the bytes that a file has now; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unreadable(path, error) from error


def lines_of(path: Path, upto: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a file that are complete, with their numbers from 1; none if it is not there.

    Each is what was written: nobody needs to parse those that he passes over.

    Args:
        path: Of the file.
        upto: Bytes to read; what the file has now if not given.

    Raises:
        StateError: it cannot be read, or is not what was written.
    """
    left = size_of(path) if upto is None else upto
    number = 0
    try:
        with path.open("rb") as stream:
            while left > 0:
                line = stream.readline(left)
                left -= len(line)
                number += 1
                if not line.endswith(b"\n"):
                    return
                if not is_sound(line):
                    raise damaged(path, number, "its checksum is wrong")
                yield number, line
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(path, error) from error


def last_of_kind(path: Path, kind: type) -> Change | Owed | None:
    """Return the last change of a type that a file holds, if any; fast if it is near the end.

    Raises:
        StateError: it cannot be read, or is not what was written.
    """
    tail = _tail(path)
    near = [line for line in tail if is_of_kind(line, kind)]
    if near and all(map(is_sound, tail)):
        return change_of(path, 0, near[-1])
    last = None
    for number, line in lines_of(path):
        if is_of_kind(line, kind):
            last = number, line
    return change_of(path, *last) if last else None


def _tail(path: Path) -> list[bytes]:
    """Return the complete lines of the last block of a file."""
    try:
        with path.open("rb") as stream:
            begin = max(stream.seek(0, os.SEEK_END) - BLOCK, 0)
            stream.seek(begin)
            lines = stream.read(BLOCK).splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(path, error) from error
    return [line for line in lines[1 if begin else 0 :] if line.endswith(b"\n")]


class Lines:
    """A file that grows by whole lines. Made if it is not there; a last line without its end is cut off."""

    def __init__(self, path: Path, unsynced: Unsynced) -> None:
        """Open it.

        Raises:
            OSError: it cannot be opened for writing.
        """
        self.path = path
        self._unsynced = unsynced
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._fd).st_size
        end = self._end(size)
        if end < size:
            os.ftruncate(self._fd, end)
        self._unsynced.add(path)
        self._unsynced.add(path.parent)

    @property
    def there(self) -> bool:
        """Whether the file is still in its folder."""
        return os.fstat(self._fd).st_nlink > 0

    def append(self, raw: bytes) -> None:
        """Write lines, in one piece as far as the disk takes it so.

        Raises:
            OSError: not all of it could be written; nothing must be written any more, for it would follow
                what may be half a line.
        """
        view = memoryview(raw)
        while view:
            view = view[os.write(self._fd, view) :]
        self._unsynced.add(self.path)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _end(self, size: int) -> int:
        """Return where the last complete line ends."""
        while size:
            begin = max(size - BLOCK, 0)
            found = os.pread(self._fd, size - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            size = begin
        return 0
