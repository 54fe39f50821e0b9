"""How a report gets onto the disk: as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from uuid import uuid4

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file as UTF-8; at any instant either the old or the new content is there, never a part.

    Folders that are missing are made. A symbolic link is followed; a file that exists keeps its permissions;
    what is no regular file (`/dev/stdout`, a pipe) is simply written to.

    Raises:
        OSError: it cannot be written; what was there before is as it was, and nothing is left beside it.
    """
    target = Path(os.path.realpath(path))
    before = target.stat().st_mode if target.exists() else None
    if before is not None and not stat.S_ISREG(before):
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".jobtest-{uuid4().hex}.tmp"
    try:
        with beside.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if before is not None:
            beside.chmod(stat.S_IMODE(before))
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
