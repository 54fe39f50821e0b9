"""Files that task types write: whole or not at all, and what is told of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from jobtest.core.errors import Problem
from jobtest.tasks import TaskFailed

__all__ = ["described", "explained", "place_of", "put_in_place", "remove", "replacing"]


@contextmanager
def explained(what: str, at: Path | None = None, fix: str = "") -> Iterator[None]:
    """Turn an error of the operating system into one that says what could not be done.

    Args:
        what: What is tried, as "'x' cannot be written".
        at: Where; without it the file that the error names.
        fix: What to do about it.
    """
    try:
        yield
    except OSError as error:
        where = at if at is not None else error.filename
        places = () if where is None else (str(where),)
        raise TaskFailed(Problem(what=f"{what}: {error.strerror or error}", at=places, fix=fix)) from error


def place_of(target: Path) -> Path:
    """Return where a file is to be written: symbolic links are followed, folders that are missing are made.

    Raises:
        TaskFailed: something that is no file is there: it would be replaced.
    """
    try:
        place = Path(os.path.realpath(target))
    except ValueError as error:
        problem = Problem(what=f"{str(target)!r} is no path of a file", fix="take the null character out")
        raise TaskFailed(problem) from error
    with explained(f"'{target}' cannot be written", place.parent, "give a file in a folder that can be made"):
        place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_file():
        kind = "a folder" if place.is_dir() else "no regular file"
        problem = Problem(what=f"'{target}' is {kind}", at=(str(place),), fix="give the path of a file")
        raise TaskFailed(problem)
    return place


@contextmanager
def replacing(target: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Write a file beside its target, and put it in place when the block ends; nothing is left of an error.

    Args:
        target: As for `place_of`.
        mode: Its permissions; without them those of the file that is replaced.

    Raises:
        TaskFailed: it cannot be written. What the block raises is left as it is.
    """
    place = place_of(target)
    beside = place.parent / f".jobtest-{uuid4().hex}.part"
    fix = "see that the folder can be written and has room"
    with explained(f"'{target}' cannot be written", place, fix):
        stream = beside.open("xb")
    try:
        with stream:
            yield stream
        with explained(f"'{target}' cannot be written", place, fix):
            put_in_place(beside, place, mode)
    finally:
        beside.unlink(missing_ok=True)


def put_in_place(beside: Path, place: Path, mode: int | None = None) -> None:
    """Let a finished file take the place of another: at any instant, even of a power cut, one is there.

    Raises:
        OSError: it cannot.
    """
    if mode is None and place.exists():
        mode = stat.S_IMODE(place.stat().st_mode)
    if mode is not None:
        beside.chmod(mode)
    _sync(beside)
    os.replace(beside, place)
    _sync(place.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def described(target: Path) -> dict[str, object]:
    """Return what there is to tell of a file: `path`, `exists` and, if it does, `bytes` and `sha256`."""
    if not target.is_file():
        return {"path": str(target), "exists": False}
    with explained(f"'{target}' cannot be read", target), target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"path": str(target), "exists": True, "bytes": stream.tell(), "sha256": digest}


def remove(target: Path) -> None:
    """Delete a file, if it is there."""
    with explained(f"'{target}' cannot be deleted", target):
        target.unlink(missing_ok=True)
