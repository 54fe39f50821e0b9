"""Values whose text is too long for a database: a file each, in a folder beside it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from pathlib import Path

from jobtest.state.sqlite.disk import sync_path, write_whole

__all__ = ["ValueFiles"]


class ValueFiles:
    """Texts by digest, as `<folder>/<first two letters>/<digest>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, digest: str, raw: bytes, *, sync: bool) -> None:
        """Keep a text; one that is there with the same size is left alone.

        Raises:
            OSError: it cannot be kept.
        """
        path = self.path(digest)
        if path.is_file() and path.stat().st_size == len(raw):
            return
        for folder in (self._folder, path.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700)
                if sync:
                    sync_path(folder.parent)
        write_whole(path, raw, sync=sync)

    def get(self, digest: str) -> bytes:
        """Return a text.

        Raises:
            OSError: it cannot be read.
        """
        return self.path(digest).read_bytes()

    def keep_only(self, digests: Container[str]) -> None:
        """Remove all files but those of `digests`."""
        known = {self.path(digest) for digest in digests}  # type: ignore[attr-defined]
        for file in self._folder.glob("*/*"):
            if file not in known:
                file.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Return where the text of a digest is; no digest leads out of the folder."""
        name = digest if re.fullmatch("[0-9a-f]{64}", digest) else hashlib.sha256(digest.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"
