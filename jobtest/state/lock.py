"""The lock on a state that lives in files: the kernel's, so that it is free the moment its holder is dead.

What lives here: `FileLock`. The kernel alone decides who holds it; the file `<path>.info` beside it only
tells others who that is, and may be wrong, stale or missing.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from weakref import WeakSet

from jobtest.core.data import from_data, to_data
from jobtest.core.errors import Problem, StateError, StateLocked
from jobtest.state.store import Owner

__all__ = ["FileLock"]

AT_LEAST = 0.1
"""Seconds for which the lock is always tried: somebody who only asks for the holder has it for an instant."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two tries. They grow by a tenth, so that a pause is about a tenth of the wait so far."""

LONGEST_INFO = 1 << 20
"""Bytes of the info file that are read; a command line is shorter."""

_NOBODY = Owner(host="", pid=0, since=0.0, command="")


class FileLock:
    """Excludes others, in this process too, by `flock` on a file that is never replaced or deleted.

    A child that outlives this process does not keep it: the file is closed in programs that are started and
    in processes that are forked. Whoever opens and closes the file does not let go of it. Two paths to one
    file are one lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._fd: int | None = None
        _ALL.add(self)

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._fd is not None

    def take(self, owner: Owner, timeout: float = 0.0) -> None:
        """Take the lock, waiting up to `timeout` seconds for it; does nothing if this object holds it.

        Raises:
            StateLocked: somebody else holds it.
            StateError: the file cannot be opened or locked.
        """
        if self._fd is not None:
            return
        deadline = time.monotonic() + max(timeout, AT_LEAST)
        pause = FIRST_PAUSE
        while not self._try():
            left = deadline - time.monotonic()
            if left <= 0:
                self._refuse()
            time.sleep(min(pause, left))
            pause = min(pause * 1.1, LONGEST_PAUSE)
        self._write_info(owner)

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        if self._fd is None:
            return
        with suppress(OSError):
            self._info.unlink()
        fd, self._fd = self._fd, None
        os.close(fd)

    def holder(self) -> Owner | None:
        """Return who holds it now, if somebody does; its fields are empty if that could not be found out.

        Nothing is written.

        Raises:
            StateError: the file cannot be opened or locked.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self._path, error) from error
        try:
            taken = _flock(self._path, fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)
        return None if taken else self._read_info()

    def _try(self) -> bool:
        try:  # `_fd` is set before it is locked: a child that is forked in between must close it, too
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self._path, error) from error
        taken = False
        try:
            taken = _flock(self._path, self._fd, fcntl.LOCK_EX) and self._still_there()
        finally:
            if not taken:
                fd, self._fd = self._fd, None
                os.close(fd)
        return taken

    def _refuse(self) -> NoReturn:
        raise StateLocked([_locked(self._path, self._read_info())])

    def _still_there(self) -> bool:
        """Return whether the locked file is the one at the path: its folder may have been replaced."""
        assert self._fd is not None
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False

    @property
    def _info(self) -> Path:
        return self._path.with_name(f"{self._path.name}.info")

    def _write_info(self, owner: Owner) -> None:
        beside = self._info.with_name(f"{self._info.name}.tmp")
        with suppress(OSError):  # it is for messages only: a full disk shows at the first write of the state
            self._info.unlink(missing_ok=True)
            beside.unlink(missing_ok=True)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="utf-8") as stream:
                json.dump(to_data(owner), stream)
            beside.replace(self._info)

    def _read_info(self) -> Owner:
        try:
            with self._info.open("rb") as stream:
                read = from_data(Owner, json.loads(stream.read(LONGEST_INFO)))
        except (OSError, ValueError, TypeError, RecursionError):
            return _NOBODY
        right = all(
            isinstance(this, kind)
            for this, kind in ((read.host, str), (read.pid, int), (read.since, float), (read.command, str))
        )
        return read if right else _NOBODY


_ALL: WeakSet[FileLock] = WeakSet()


def _close_in_child() -> None:
    """Close the files of all locks: the kernel keeps a lock until the last process has closed its file."""
    for lock in list(_ALL):
        fd, lock._fd = lock._fd, None
        if fd is not None:
            os.close(fd)


os.register_at_fork(after_in_child=_close_in_child)


def _flock(path: Path, fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable(path, error) from error
    return True


def _unusable(path: Path, error: OSError) -> StateError:
    return StateError(
        [
            Problem(
                what=f"the state cannot be locked: {error.strerror}",
                at=(str(path),),
                fix="keep the state in a folder of a local disk that you may write to (--job-state)",
            )
        ]
    )


def _locked(path: Path, holder: Owner) -> Problem:
    wait = "wait with --job-lock-timeout SECONDS, or stop"
    if holder is _NOBODY:
        return Problem(
            what="the state is in use by another process",
            at=(str(path),),
            fix=f"{wait} the process that holds this file",
        )
    return Problem(
        what=f"the state is in use by process {holder.pid} on {holder.host!r} since {_utc(holder.since)}: "
        f"{holder.command}",
        at=(str(path),),
        fix=f"{wait} process {holder.pid}",
    )


def _utc(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} (no time)"
