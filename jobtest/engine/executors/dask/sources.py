"""The code of a project: which files it has, whether another place has the same, and how they get there."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

__all__ = ["LARGEST", "TooLarge", "differing", "pack", "prints_of", "unpack"]

LARGEST = 32 << 20
"""Bytes of code that are shipped at most; a project has data in it if it is more."""

SUFFIXES = (".py", ".toml", ".ini", ".cfg", ".conf")
NEVER = (".*", "__pycache__", "venv", "node_modules", "*.egg", "*.egg-info", "build", "dist")


class TooLarge(Exception):
    """More code than may be shipped."""


def prints_of(root: Path, hidden: Iterable[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of every Python and settings file below the rootdir, by path with `/`, sorted.

    Args:
        root: The rootdir.
        hidden: Patterns of names of folders that are passed over, beside those that never hold code and
            virtual environments.

    Raises:
        OSError: a file cannot be read.
    """
    names = sorted(_names(root, (*NEVER, *hidden)))
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def _names(root: Path, hidden: tuple[str, ...]) -> Iterator[str]:
    for folder, below, files in os.walk(root):
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        below[:] = [one for one in below if not any(fnmatch(one, pattern) for pattern in hidden)]
        for file in files:
            path = Path(folder, file)
            if path.suffix in SUFFIXES and path.is_file():
                yield path.relative_to(root).as_posix()


def differing(root: Path, prints: Mapping[str, str]) -> list[str]:
    """Return the files that are not below a folder, or not the same there, by path."""
    found = []
    for name, digest in prints.items():
        try:
            same = hashlib.sha256((root / name).read_bytes()).hexdigest() == digest
        except OSError:
            same = False
        if not same:
            found.append(name)
    return found


def pack(root: Path, names: Iterable[str]) -> bytes:
    """Return files below the rootdir as a zip.

    Raises:
        TooLarge: they have more than `LARGEST` bytes.
        OSError: a file cannot be read.
    """
    packed, size = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            data = (root / name).read_bytes()
            size += len(data)
            if size > LARGEST:
                raise TooLarge(f"the code has more than {LARGEST >> 20} MB")
            archive.writestr(name, data)
    return packed.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of a zip below a folder.

    Raises:
        ValueError: a name leads out of the folder, or they have more than `LARGEST` bytes; nothing is
            written then.
        OSError: a file cannot be written.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > LARGEST:
            raise ValueError(f"more than {LARGEST >> 20} MB")
        for entry in entries:
            path = PurePosixPath(entry.filename)
            if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in entry.filename:
                raise ValueError(f"{entry.filename!r} leads out of the folder")
        for entry in entries:
            target = folder / entry.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
