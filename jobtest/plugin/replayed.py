"""A run that is to go as an earlier one did: its order of starting, its randomness, its faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobtest.config.faults import AskedFault
from jobtest.core.errors import Problem, UsageError
from jobtest.core.faults import fault_from

__all__ = ["Replayed", "read_replay"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a JSON report says of the order of a run.

    Attributes:
        run: Id of the run; jitter and the fixture `rng` are seeded by it.
        order: Place among those that started, by job id; from 0.
        faults: What was injected in it.
    """

    run: str
    order: Mapping[str, int]
    faults: tuple[AskedFault, ...] = ()


def read_replay(path: Path) -> Replayed:
    """Read the order of a run from its JSON report, and its injected faults.

    Raises:
        UsageError: there is no such file, or it is not a report.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        jobs = data["jobs"]
        order = {str(job["id"]): int(job["order"]) for job in jobs if job["order"] is not None}
        faults = tuple(
            AskedFault(f"{told} of {job['id']}", str(job["id"]), fault)
            for job in jobs
            for told in job.get("injected", ())
            if (fault := fault_from(told)) is not None
        )
        return Replayed(str(data["run_id"]), order, faults)
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = error if isinstance(error, OSError) else "it is not a report of jobtest"
        what = f"--job-replay {str(path)!r} cannot be read: {said}"
        fix = "give a file that --job-report=FILE.json wrote"
        raise UsageError([Problem(what=what, fix=fix)]) from error
