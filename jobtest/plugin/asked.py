"""What the user asked for on the command line, as names of jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from jobtest.core.model import Command

__all__ = ["EXCLUDED", "Asked"]

EXCLUDED = "excluded by --job-exclude"
"""Reason of jobs that the user did not want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for on the command line.

    Attributes:
        selected: Ids left by paths, node ids, `-k`, `-m`; None: everything.
        named: Ids given as node ids.
        only: Names of `--job-only`.
        exclude: Names of `--job-exclude`.
        force: Names of `--job-force`.
        downstream: Whether to add what depends on the selection.
        alone: Whether to leave out what the selected jobs need.
        keep: Whether to leave cleanups for later.
        order: Places in the order of an earlier run, by id; jobs are started in it as far as they can be.
        command: What the run is for.
        verb: Prefix of the functions that are called; `apply`: those of the jobs themselves.
        reverse: Jobs come after those that need them.
        rolls_back: If a job fails, the whole run is rolled back.
    """

    selected: Collection[str] | None = None
    named: Collection[str] = ()
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    force: Sequence[str] = ()
    downstream: bool = False
    alone: bool = False
    keep: bool = False
    order: Mapping[str, int] = field(default_factory=dict)
    command: Command = Command.APPLY
    verb: str = "apply"
    reverse: bool = False
    rolls_back: bool = False
