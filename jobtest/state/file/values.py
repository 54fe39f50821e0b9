"""Values: a file each, named by digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from jobtest.core.errors import Problem, StateError
from jobtest.state.codec import digest_of
from jobtest.state.file.disk import Unsynced, write_whole
from jobtest.state.file.lines import BACK, lines_of, unreadable

__all__ = ["Values", "named_in"]

PAGE = 4096
"""Bytes that a power cut leaves all or none of. A longer text is synced at once."""

_NAMED = re.compile(rb'"value\\?"\s*:\s*\\?"([^"\\]+)')
"""A value that a line names: in an event, or in the text of a plan, where quotes have a backslash."""


class Values:
    """Texts by digest, as `<folder>/<first two letters>/<digest>.json`."""

    def __init__(self, folder: Path, unsynced: Unsynced) -> None:
        self._folder = folder
        self._unsynced = unsynced

    def put(self, digest: str, raw: bytes) -> None:
        """Keep a text. One that is there with the same size is left alone: it has the same content.

        Raises:
            OSError: it cannot be kept.
        """
        path = self._path(digest)
        with suppress(FileNotFoundError):
            if path.stat().st_size == len(raw):
                return
        for folder in (self._folder, path.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700)
                self._unsynced.add(folder.parent)
        write_whole(path, raw, self._unsynced if len(raw) <= PAGE else None)

    def get(self, digest: str) -> str | None:
        """Return a text; None if it is not there, or empty as after a power cut.

        Raises:
            StateError: it cannot be read, or is not what was kept.
        """
        path = self._path(digest)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            text = raw.decode("utf-8", "surrogatepass")
            if not text or digest_of(text) == digest:
                return text or None
        except ValueError:
            pass  # as below
        what = f"the state is damaged: the value {path.stem} is not what its digest says"
        raise StateError([Problem(what=what, at=(str(path),), fix=BACK)])

    def keep_only(self, named: Iterable[str], files: Iterable[Path]) -> None:
        """Remove all but those that are in `named`, or that a line of one of `files` names.

        Raises:
            OSError: one cannot be removed.
            StateError: one of `files` cannot be read.
        """
        left = set(self._folder.glob("*/*")) - {self._path(digest) for digest in named}
        for file in files:
            if not left:
                return
            left -= {self._path(digest) for digest in named_in(file)}
        for path in left:
            path.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        """Return where the text of a digest is; no digest leads out of the folder."""
        plain = re.fullmatch("[0-9a-f]{64}", digest)
        name = digest if plain else sha256(digest.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name}.json"


def named_in(path: Path) -> Iterator[str]:
    """Return the digests that a file of lines names, and maybe other words; the lines are not parsed."""
    for _, line in lines_of(path):
        for digest in _NAMED.findall(line):
            yield digest.decode("ascii")
