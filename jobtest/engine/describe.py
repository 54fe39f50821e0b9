"""A run as its record tells it: who, where, with what."""

from __future__ import annotations

import os
import platform
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path

from jobtest.core.model import Command
from jobtest.core.planner import Plan
from jobtest.core.version import VERSION
from jobtest.state.store import Owner, RunRecord

__all__ = ["describe_run", "owner_of"]


def describe_run(
    id: str,
    plan: Plan,
    *,
    started_at: float,
    workers: int = 1,
    argv: Sequence[str] = (),
    root: Path | None = None,
    resumed: RunRecord | None = None,
    context: str = "",
) -> RunRecord:
    """Return the record of a run that is about to begin.

    Args:
        id: Its id.
        plan: What it is going to do.
        started_at: When it begins, in seconds since the epoch.
        workers: Jobs that may run at once.
        argv: The command line.
        root: Folder of the project, whose revision is told.
        resumed: The run that it goes on with.
        context: Name of the context, or empty.
    """
    return RunRecord(
        id=id,
        command=plan.verb if plan.command is Command.VERB else plan.command.value,
        lineage=resumed.lineage or resumed.id if resumed else id,
        resumed_from=resumed.id if resumed else "",
        context=context,
        argv=tuple(argv),
        cwd=str(Path.cwd()),
        revision=_revision(root) if root else "",
        host=socket.gethostname(),
        pid=os.getpid(),
        version=VERSION,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        workers=workers,
        jobs=len(plan.graph),
        started_at=started_at,
    )


def owner_of(record: RunRecord) -> Owner:
    """Return who owns the store for a run."""
    command = shlex.join(record.argv)
    return Owner(host=record.host, pid=record.pid, since=record.started_at, command=command)


def _revision(root: Path) -> str:
    """Return the revision that a working copy of git stands on, read without git; empty if there is none."""
    for folder in (root, *root.parents):
        head = folder / ".git" / "HEAD"
        try:
            text = head.read_text(encoding="utf-8").strip()
            if not text.startswith("ref: "):
                return text
            return _of_reference(folder / ".git", text.removeprefix("ref: "))
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def _of_reference(git: Path, name: str) -> str:
    loose = git / name
    if loose.is_file():
        return loose.read_text(encoding="utf-8").strip()
    for line in (git / "packed-refs").read_text(encoding="utf-8").splitlines():
        if line.endswith(f" {name}"):
            return line.split(" ")[0]
    return ""
