"""The Dask lane of a session: every worker is asked before anything runs, and told when the run is over."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobtest.core.errors import Problem, ProjectError, UsageError
from jobtest.core.planner import Plan
from jobtest.engine.executors.dask import preflight, room
from jobtest.engine.executors.dask.cluster import Cluster, connect
from jobtest.engine.executors.dask.lane import DaskLane
from jobtest.engine.executors.dask.sources import pack, prints_of
from jobtest.engine.executors.process.frames import Message
from jobtest.engine.executors.protocol import Inbox
from jobtest.engine.loop import Engine
from jobtest.plugin.builtin import names_key, run_id_key
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.isolated import answer
from jobtest.plugin.project import Project
from jobtest.state.prints import files_of

__all__ = ["dask_lane"]

HOST = "jobtest.plugin.dask_host"
"""What is run beside each worker."""


@contextmanager
def dask_lane(
    session: pytest.Session, project: Project, plan: Plan, run: str, lineage: str, url: str, workers: int
) -> Generator[tuple[Inbox, DaskLane | None]]:
    """Give the inbox of a run, and the lane for its isolated jobs if it has any.

    Args:
        session: The session.
        project: Its jobs.
        plan: What is done.
        run: Id of the run.
        lineage: Id of the first run of those that went on with each other.
        url: Of the cluster.
        workers: Jobs that may run at once; a cluster that is started here has as many workers.

    Raises:
        UsageError: of pytest; the cluster is not there, or what is wrong with all its workers.
    """
    inbox = Inbox()
    if not any(job.isolated for job in plan.graph):
        yield inbox, None
        return
    try:
        with connect(url, workers) as cluster:
            yield from _prepared(session, project, plan, cluster, inbox, f"{run}-{os.getpid()}", lineage)
    except ProjectError as error:
        raise pytest.UsageError(str(error)) from None


def _prepared(
    session: pytest.Session,
    project: Project,
    plan: Plan,
    cluster: Cluster,
    inbox: Inbox,
    run: str,
    lineage: str,
) -> Generator[tuple[Inbox, DaskLane]]:
    config = session.config
    setup = _setup(config, project, plan, run, lineage)
    packed = partial(pack, config.rootpath, setup["prints"])
    seats = cluster.seats() or ()
    lane: DaskLane | None = None
    try:
        problems = preflight.different_versions(cluster, [seat.address for seat in seats])
        problems = problems or preflight.prepare(cluster, seats, setup, packed)
        problems += _too_much(plan, [seat.resources for seat in seats])
        if problems:
            raise UsageError(problems)
        keeper = config.stash
        lane = DaskLane(
            inbox,
            cluster,
            run,
            seats,
            lambda job, question: answer(keeper[memory_key], job, question),
            lambda seat: preflight.admit(cluster, seat, setup, packed),
        )
        lane.gone = partial(_stop, session)
        cluster.listen(run, lane.hear)
        yield inbox, lane
    finally:
        if lane is not None:
            lane.close()
            _tell_refused(config, lane)
        there = [seat.address for seat in cluster.seats() or ()]
        said = cluster.everywhere(there, room.leave, run, seconds=room.LONGEST_END + 10)
        _tell_torn(config, said)


def _stop(session: pytest.Session, reason: str) -> None:
    """Let the run start nothing new, and say so at its end."""
    said = f"{reason}; go on with --job-resume"
    session.shouldstop = said
    engine = _engine(session.config)
    if engine is not None:
        engine.stop(said)


def _engine(config: pytest.Config) -> Engine | None:
    orchestration = config.pluginmanager.get_plugin("jobtest-orchestration")
    found: Engine | None = orchestration.engine if orchestration is not None else None
    return found


def _setup(config: pytest.Config, project: Project, plan: Plan, run: str, lineage: str) -> dict[str, Any]:
    """Return what a worker must know to have the same session."""
    root = config.rootpath
    return {
        "run": run,
        "seed": config.stash[run_id_key],
        "names": config.stash.get(names_key, None) or {},
        "lineage": lineage,
        "module": HOST,
        "root": str(root),
        "inifile": os.path.relpath(config.inipath, root) if config.inipath is not None else "",
        "args": [str(arg) for arg in config.invocation_params.args],
        "addopts": os.environ.get("PYTEST_ADDOPTS", ""),
        "paths": list(_paths(root)),
        "prints": prints_of(root, config.getini("norecursedirs")),
        "definitions": {job.id: job.definition for job in project.graph},
        "inputs": _inputs(root, project, plan),
    }


def _paths(root: Path) -> Iterable[str]:
    """Yield the folders below the rootdir that modules are imported from, but for installed packages."""
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".").absolute()
        inside = path.is_dir() and path.is_relative_to(root)
        if inside and "site-packages" not in path.parts and not (path / "os.py").exists():
            yield str(path.relative_to(root))


def _inputs(root: Path, project: Project, plan: Plan) -> list[str]:
    """Return the files that jobs name as inputs and that are there now."""
    found: set[str] = set()
    for job in plan.graph:
        if job.isolated:
            patterns = project.items[job.id].source.options.inputs
            found.update(files_of(root, patterns)[0] if patterns else ())
    return sorted(found)


def _too_much(plan: Plan, offers: list[object]) -> list[Problem]:
    """Return the jobs that need more of a resource of workers than one of them has."""
    problems = []
    for job in plan.graph:
        for name, amount in job.resources.items() if job.isolated else ():
            amounts = [float(offer.get(name, 0)) for offer in offers if isinstance(offer, dict)]
            if any(amounts) and max(amounts) < amount:
                what = f"job {job.label!r} needs {amount} of {name!r}"
                what += f", and no Dask worker has more than {max(amounts):g}"
                problems.append(
                    Problem(what=what, at=(job.at,), fix=f"start one: --resources {name}={amount}")
                )
    return problems


def _tell_refused(config: pytest.Config, lane: DaskLane) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    for line in lane.refused.values():
        reporter.ensure_newline()
        reporter.write_line(line)


def _tell_torn(config: pytest.Config, said: dict[str, object]) -> None:
    """Report what tearing down wide fixtures raised on workers: an error each, in no job."""
    for address, text in said.items():
        bodies: list[Message] = json.loads(text) if isinstance(text, str) else []
        for body in bodies:
            for torn in body.get("torn", ()):
                _report(config, f"Dask worker {address}", torn, body)


def _report(config: pytest.Config, where: str, torn: str, body: Message) -> None:
    names = {"stdout": "Captured stdout teardown", "stderr": "Captured stderr teardown"}
    report = pytest.TestReport(
        nodeid=where,
        location=(where, None, where),
        keywords={},
        outcome="failed",
        longrepr=torn,
        when="teardown",
        sections=[(title, body[name]) for name, title in names.items() if body.get(name)],
    )
    config.hook.pytest_runtest_logreport(report=report)
