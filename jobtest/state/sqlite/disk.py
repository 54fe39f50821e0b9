"""Files beside the database: written as a whole or not at all. No thought for SQLite here."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["beside", "make_folder", "put_in_place", "sync_file", "sync_path", "write_whole"]


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file that belongs to the database at `path`: its name and an ending."""
    return path.with_name(path.name + ending)


def make_folder(folder: Path) -> None:
    """Make a folder for a state if it is not there: for its owner alone, and ignored by git.

    A power cut does not take it back, nor the folders above it that were missing too.
    """
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # somebody else begins, too
            one.mkdir(mode=0o700 if one == folder else 0o777)
            sync_path(one.parent)
    if missing:
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def write_whole(path: Path, raw: bytes, *, sync: bool) -> None:
    """Write a file that only its owner can read; at any instant all of it is there, or what was before.

    Args:
        path: Of the file, in a folder that is there. Two must not write it at the same time.
        raw: Its content.
        sync: A power cut does not take it back either.
    """
    new = beside(path, ".new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as stream:
        stream.write(raw)
    put_in_place(new, path, sync=sync)


def put_in_place(new: Path, path: Path, *, sync: bool) -> None:
    """Rename a file that is complete."""
    if sync:
        sync_path(new)
    new.replace(path)
    if sync:
        sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Bring a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_file(fd)
    finally:
        os.close(fd)


if sys.platform == "darwin":
    import fcntl

    def sync_file(fd: int) -> None:
        """Bring an open file to the disk, past the cache of the drive."""
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)

else:

    def sync_file(fd: int) -> None:
        """Bring an open file to the disk."""
        os.fdatasync(fd)
