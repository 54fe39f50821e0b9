"""Asking all workers, before anything runs, whether they can do what the run will ask of them.

First with functions of the standard library: a worker that lacks jobtest cannot be asked with ours.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from jobtest.core.errors import Problem
from jobtest.core.version import VERSION
from jobtest.engine.executors.dask import room
from jobtest.engine.executors.dask.cluster import Cluster, Seat, side_by_side
from jobtest.engine.executors.dask.host import LONGEST_START
from jobtest.engine.executors.dask.sources import TooLarge
from jobtest.engine.executors.process.frames import Message

__all__ = ["admit", "different_versions", "prepare"]

PATIENCE = 30.0
"""Seconds that a worker has to say which versions it has."""

SHOWN = 5
"""Names in a problem."""

Pack = Callable[[], bytes]
"""Makes the zip of the project's code; raises TooLarge."""


def different_versions(cluster: Cluster, addresses: Sequence[str]) -> list[Problem]:
    """Return which workers have another Python or jobtest, or none."""
    problems = []
    ours = _minor(platform.python_version())
    pythons = cluster.everywhere(addresses, platform.python_version, seconds=PATIENCE)
    versions = cluster.everywhere(addresses, importlib.metadata.version, "jobtest", seconds=PATIENCE)
    for address in addresses:
        python, version = pythons.get(address), versions.get(address)
        at = (_place(address),)
        if not isinstance(python, str):
            problems.append(Problem(what=f"a worker does not answer: {python!r}", at=at))
        elif _minor(python) != ours:
            what = f"a worker has Python {python}, and this run has {platform.python_version()}"
            problems.append(Problem(what=what, at=at, fix=f"start it with Python {ours}"))
        if isinstance(version, importlib.metadata.PackageNotFoundError):
            fix = f"install it there: pip install 'jobtest[dask]=={VERSION}'"
            problems.append(Problem(what="a worker has no jobtest", at=at, fix=fix))
        elif isinstance(python, str) and version != VERSION:
            what = f"a worker has jobtest {version}, and this run has {VERSION}"
            problems.append(Problem(what=what, at=at, fix=f"install jobtest=={VERSION} there"))
    return _merged(problems)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def prepare(cluster: Cluster, seats: Sequence[Seat], setup: Message, pack: Pack) -> list[Problem]:
    """Have every worker collect the project, all at once; return what is wrong, of all of them.

    Where the same files are found at the same place, they are used; elsewhere they are shipped.
    """
    text = json.dumps(setup)
    code = cache(pack)
    calls = {seat.address: partial(_prepare, cluster, seat, text, code) for seat in seats}
    problems: list[Problem] = []
    for address, found in side_by_side(calls, LONGEST_START).items():
        silent = Problem(what=f"a worker does not answer: {found}", at=(_place(address),))
        problems += [silent] if isinstance(found, Exception) else found
    return _merged(problems)


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Return each problem once, with all the workers that have it."""
    found: dict[str, Problem] = {}
    for problem in problems:
        before = found.get(problem.what, replace(problem, at=()))
        found[problem.what] = replace(before, at=(*before.at, *problem.at))
    return list(found.values())


def admit(cluster: Cluster, seat: Seat, setup: Message, pack: Pack) -> str:
    """Make a worker ready that came later; return why it cannot be, or empty."""
    if different_versions(cluster, [seat.address]):
        return "it has another version of Python or jobtest"
    problems = prepare(cluster, [seat], setup, pack)
    return "; ".join(problem.what for problem in problems)


def _prepare(cluster: Cluster, seat: Seat, text: str, pack: Pack) -> list[Problem]:
    at = (_place(seat.address),)
    said = _asked(cluster.at(seat.address, room.prepare, text))
    if "need" in said:
        try:
            code = pack()
        except (TooLarge, OSError) as error:
            fix = "have it see the project at the same path, or put what is no code elsewhere"
            what = f"a worker does not see the project, and it cannot be shipped: {error}"
            return [Problem(what=what, at=at, fix=fix)]
        said = _asked(cluster.at(seat.address, room.prepare, text, code))
    if "failed" in said:
        words = f"\n{said['output']}" if said.get("output") else ""
        return [Problem(what=f"a worker cannot collect the project: {said['failed']}{words}", at=at)]
    ready = said["ready"]
    if ready.get("failed"):
        fix = "install there what the jobs import"
        what = f"a worker cannot collect the project:\n{ready['failed']}"
        return [Problem(what=what, at=at, fix=fix)]
    problems = [Problem(what=what, at=at, fix=_SAME) for what in ready["problems"]]
    if said["missing"]:
        what = f"a worker does not see files that jobs name as inputs: {_listed(said['missing'])}"
        fix = "put the project on a disk that all workers see at the same path"
        problems.append(Problem(what=what, at=at, fix=fix))
    return problems


_SAME = "have the same code and the same packages there"


def _asked(answer: object) -> dict[str, Any]:
    if isinstance(answer, str):
        found: dict[str, Any] = json.loads(answer)
        return found
    return {"failed": f"{type(answer).__name__}: {answer}"}


def _place(address: str) -> str:
    return f"Dask worker {address}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f", ... {more} more" if more > 0 else "")
