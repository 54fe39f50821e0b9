"""Files as wholes, and what is on the disk for certain. No thought for states here."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

__all__ = ["Unsynced", "sync_path", "write_whole"]


class Unsynced:
    """The files and folders that were written and may not be on the disk yet. For any thread."""

    def __init__(self) -> None:
        self._paths: dict[Path, None] = {}
        self._lock = threading.Lock()

    def add(self, path: Path) -> None:
        """Take in a file or a folder that was written."""
        with self._lock:
            self._paths[path] = None

    def sync(self) -> None:
        """Bring them to the disk, in the order in which they came; those that are gone are passed over.

        Raises:
            OSError: what was written is not on the disk.
        """
        with self._lock:
            paths, self._paths = self._paths, {}
        for path in paths:
            try:
                sync_path(path)
            except FileNotFoundError:
                continue


def write_whole(path: Path, raw: bytes, unsynced: Unsynced | None = None) -> None:
    """Write a file that only its owner can read; at any instant all of it is there, or what was before.

    Args:
        path: Of the file, in a folder that is there. Two must not write it at the same time.
        raw: Its content.
        unsynced: Where it is noted that a power cut may leave an empty file; without it none does.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as stream:
        stream.write(raw)
    if unsynced is None:
        sync_path(new)
    new.replace(path)
    if unsynced is None:
        sync_path(path.parent)
    else:
        unsynced.add(path)
        unsynced.add(path.parent)


def sync_path(path: Path) -> None:
    """Bring a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _sync(fd)
    finally:
        os.close(fd)


if sys.platform == "darwin":
    import fcntl

    def _sync(fd: int) -> None:
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # past the cache of the drive

else:

    def _sync(fd: int) -> None:
        os.fsync(fd)
