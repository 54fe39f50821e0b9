"""Task type `prune`: delete old files of one folder, and nothing else."""

from __future__ import annotations

import math
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from jobtest.core.errors import Problem
from jobtest.tasks import NotAsWanted, TaskFailed

__all__ = ["check_task_prune", "describe_task_prune", "task_prune"]

DAY = 86400
SHOWN = 10
"""Files named in a reason or an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that the pattern matches: its path below the folder, when it was changed, how long it is."""

    path: PurePath
    changed_at: float
    bytes: int


def task_prune(
    folder: Path, older_than_days: float, local: dict[str, Any], pattern: str = "*", keep: int = 0
) -> None:
    """Delete the files of a folder that were last changed more than so many days ago.

    Only regular files are deleted, and only inside the folder: folders stay, and no symbolic link is followed
    or deleted. `--plan` shows what would be deleted. Each file that was is printed. A folder that holds the
    home folder or the rootdir, or is one of them, is refused.

    Args:
        folder: Where to look.
        older_than_days: Age from which files are deleted, in days; 0.5 are twelve hours.
        local: The time of the first look, for the whole attempt.
        pattern: Which files, below the folder, hidden ones included: `*` those in it, `*.log` some of them,
            `**/*` those in folders inside it, too.
        keep: How many files stay whatever their age: the newest.

    Example:
        [[job]]
        name = "old_backups"
        task = "prune"
        args = { folder = "backups", pattern = "*.tar.gz", older_than_days = 30, keep = 3 }
    """
    before = _limit(older_than_days, local)
    failed = []
    for file in _old(folder, pattern, keep, before):
        try:
            if _delete(folder, file, before):
                sys.stdout.write(f"deleted {_shown(file)}\n")
        except OSError as error:
            failed.append(f"{folder / file.path}: {error.strerror}")
    if failed:
        what = f"{len(failed)} old files of '{folder}' cannot be deleted"
        fix = "see who owns them, and the permissions of their folders"
        raise TaskFailed(Problem(what=what, at=tuple(failed[:SHOWN]), fix=fix))


def check_task_prune(
    folder: Path, older_than_days: float, local: dict[str, Any], pattern: str = "*", keep: int = 0
) -> None:
    """No file that the pattern matches is older, but for those that are kept.

    Args:
        folder: As for the task.
        older_than_days: As for the task.
        local: As for the task.
        pattern: As for the task.
        keep: As for the task.
    """
    old = _old(folder, pattern, keep, _limit(older_than_days, local))
    if old:
        names = [_shown(file) for file in old[:SHOWN]]
        more = f" and {len(old) - SHOWN} more" if len(old) > SHOWN else ""
        files = "1 file is" if len(old) == 1 else f"{len(old)} files are"
        raise NotAsWanted(f"{files} older than {older_than_days:g} days: {', '.join(names)}{more}")


def describe_task_prune(folder: Path, pattern: str = "*") -> dict[str, object]:
    """`path` of the folder, and `files` and `bytes` of what the pattern matches.

    Args:
        folder: As for the task.
        pattern: As for the task.
    """
    files = _matching(folder, pattern)
    return {"path": str(folder), "files": len(files), "bytes": sum(file.bytes for file in files)}


def _limit(older_than_days: float, local: dict[str, Any]) -> float:
    """Return the time before which a file is old: the same for all phases of an attempt.

    With another time for the recheck, a file could grow old in between, and fail the job.
    """
    if not (math.isfinite(older_than_days) and older_than_days >= 0):
        raise _refused(f"older_than_days = {older_than_days!r} is no age", "give a number of days, 0 or more")
    now: float = local.setdefault("now", time.time())
    return now - older_than_days * DAY


def _old(folder: Path, pattern: str, keep: int, before: float) -> list[_File]:
    """Return the files to delete, the oldest first."""
    if keep < 0:
        raise _refused(f"keep = {keep} is no number of files", "give a whole number, 0 or more")
    newest_first = sorted(_matching(folder, pattern), key=lambda file: (-file.changed_at, file.path))
    return [file for file in reversed(newest_first[keep:]) if file.changed_at < before]


def _matching(folder: Path, pattern: str) -> list[_File]:
    _refuse(folder, pattern)
    try:
        return list(_files(folder, pattern))
    except (ValueError, NotImplementedError) as error:
        fix = 'write a pattern like "*.log" or "**/*.log"'
        raise _refused(f"pattern = {pattern!r} is none: {error}", fix) from error


def _files(folder: Path, pattern: str) -> Iterator[_File]:
    root = folder.resolve()
    is_real = cache(lambda parent: parent.resolve() == parent)
    for found in root.glob(pattern):
        try:
            told = found.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(told.st_mode) and is_real(found.parent):
            yield _File(path=found.relative_to(root), changed_at=told.st_mtime, bytes=told.st_size)


def _refuse(folder: Path, pattern: str) -> None:
    if not folder.is_dir():
        raise _refused(
            f"folder = '{folder}' is not a folder", "make it in a job that this one needs, or name another"
        )
    for what, place in (("the rootdir", Path.cwd()), ("the home folder", Path.home())):
        if place.resolve().is_relative_to(folder.resolve()):
            raise _refused(
                f"folder = '{folder}' holds {what}, '{place}'", "name a folder that is made for old files"
            )
    parts = PurePath(pattern).parts
    if not parts or PurePath(pattern).is_absolute() or ".." in parts:
        fix = "give one relative to the folder, without '..'"
        raise _refused(f"pattern = {pattern!r} does not stay in the folder", fix)


def _delete(folder: Path, file: _File, before: float) -> bool:
    """Delete a file, unless it has been changed or replaced since it was found; tell whether it was deleted.

    The folders down to it are opened one by one, following no link: whoever may write there could have put
    one in the way meanwhile.
    """
    with ExitStack() as opened:
        try:
            below = _open(folder.resolve(), None, opened)
            for part in file.path.parent.parts:
                below = _open(part, below, opened)
            told = os.stat(file.path.name, dir_fd=below, follow_symlinks=False)
            if not stat.S_ISREG(told.st_mode) or told.st_mtime >= before:
                return False
            os.unlink(file.path.name, dir_fd=below)
        except FileNotFoundError:
            return False
    return True


def _open(path: Path | str, below: int | None, opened: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=below)
    opened.callback(os.close, descriptor)
    return descriptor


def _shown(file: _File) -> str:
    return str(file.path).encode("utf-8", "backslashreplace").decode()


def _refused(what: str, fix: str) -> TaskFailed:
    return TaskFailed(Problem(what=what, fix=fix))
