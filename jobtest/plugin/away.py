"""The process lane of a session: opened before there are threads, closed when the run is over.

This module is a plugin of fresh wardens, too: those collect the project as the session did, and serve.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from jobtest.core.planner import Plan
from jobtest.engine.calls import Output
from jobtest.engine.executors.process.fork import Wardens
from jobtest.engine.executors.process.fresh import Fresh, Post, post
from jobtest.engine.executors.process.lane import ProcessLane
from jobtest.engine.executors.process.output import read_from, without_frames
from jobtest.engine.executors.process.warden import GRACE, Orders, serve
from jobtest.engine.executors.protocol import Inbox
from jobtest.plugin.builtin import names_key, run_id_key
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.child import Children
from jobtest.plugin.isolated import Homes, answer
from jobtest.plugin.items import PACKAGE, sources_key
from jobtest.plugin.project import Project, build_project
from jobtest.state.codec import ModuleHome

__all__ = ["process_lane"]

TEMPORARY = ("tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory")
"""Fixtures that make folders below one for the whole session."""


@contextmanager
def process_lane(
    session: pytest.Session, project: Project, plan: Plan, homes: Homes, run: str, lineage: str
) -> Generator[tuple[Inbox, ProcessLane | None]]:
    """Give the inbox of a run, and the lane for its isolated jobs if it has any.

    Args:
        session: The session.
        project: Its jobs.
        plan: What is done.
        homes: From the id of a job to the place whose types its value may have.
        run: Id of the run.
        lineage: Id of the first run of those that went on with each other.
    """
    inbox = Inbox()
    isolated = [job.id for job in plan.graph if job.isolated]
    if not isolated:
        yield inbox, None
        return
    if not hasattr(os, "fork"):
        raise pytest.UsageError(
            f"{plan.graph[isolated[0]].label} wants a process of its own, and this system has no fork\n"
            "  fix: --job-executor=thread, and no isolate, memory and executor='process'"
        )
    facts: dict[str, object] = {
        "lineage": lineage,
        "seed": session.config.stash[run_id_key],
        "names": session.config.stash.get(names_key, None) or {},
        "temporary": _temporary(session, project, isolated),
    }
    children = Children(session, project, plan, homes, lineage)
    warden = Wardens(children.ready, partial(_fresh, session.config, facts), run, _grace(session.config))
    children.folder = warden.folder
    stash = session.config.stash
    lane = ProcessLane(
        inbox,
        warden,
        lambda job, question: answer(stash[memory_key], job, question),
        partial(_last_words, warden.folder),
    )
    try:
        lane.open()
        yield inbox, lane
    finally:
        lane.close()
        warden.close()


def _last_words(folder: Path, place: str, read: dict[str, int]) -> Output:
    return without_frames(read_from(folder, place, read), PACKAGE)


def _grace(config: pytest.Config) -> float:
    """Return how long a process has from SIGTERM to SIGKILL: no longer than jobs have after an interrupt."""
    orchestration = config.pluginmanager.get_plugin("jobtest-orchestration")
    return GRACE if orchestration is None else min(GRACE, orchestration.options.settings.grace)


def _temporary(session: pytest.Session, project: Project, isolated: list[str]) -> str:
    """Return the folder for temporary files, made before there are processes that would make one each."""
    if not any(name in project.items[id].fixturenames for id in isolated for name in TEMPORARY):
        return ""
    factory = getattr(session.config, "_tmp_path_factory", None)
    return str(factory.getbasetemp()) if factory is not None else ""


# --- fresh wardens ---


def _fresh(config: pytest.Config, facts: dict[str, object], orders: Orders) -> Fresh:
    """Return what starts the same session again as a warden. It writes nowhere that this one writes."""
    cache = str(orders.folder / "cache")
    here = str(config.invocation_params.dir)
    command = [
        sys.executable,
        *(() if here in sys.path or "" in sys.path else ("-P",)),  # `-m` would look for modules here
        *("-m", "pytest", "-p", __name__),
        *map(str, config.invocation_params.args),
        *("--job-state=memory://", f"--log-file={os.devnull}", "-o", f"cache_dir={cache}"),
    ]
    shares = getattr(config.option, "capture", "no") == "no"
    return Fresh(command, Path(config.invocation_params.dir), orders, facts, shares=shares)


_given: list[Post] = []


def pytest_addoption() -> None:
    """Take what this process was given, before anything of the user can see it."""
    given = post()
    if given is not None:
        _given.append(given)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read job files with the names of the run that this one serves."""
    if _given:
        session.config.stash[names_key] = _given[0].facts["names"]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session) -> Generator[None]:
    """Serve as a warden instead of planning; never comes back."""
    if _given:
        _serve(session, _given[0])
    yield


def _serve(session: pytest.Session, given: Post) -> None:
    options = session.config.pluginmanager.get_plugin("jobtest-orchestration").options  # type: ignore[union-attr]
    sources = session.stash[sources_key]
    project, problems = build_project(session, sources, options)
    if problems or session.testsfailed:
        raise pytest.UsageError("\n".join(map(str, problems)) or "the project cannot be collected any more")
    if given.facts["temporary"]:
        session.config._tmp_path_factory._basetemp = Path(given.facts["temporary"])  # type: ignore[attr-defined]
    found: dict[str, ModuleHome] = {}

    def homes(id: str) -> ModuleHome:
        module = project.items[id].module
        return found.setdefault(module.__name__, ModuleHome(module))

    session.config.stash[run_id_key] = given.facts["seed"]
    plan = Plan(project.graph, {}, {})
    children = Children(session, project, plan, homes, given.facts["lineage"])
    children.folder = given.orders.folder
    given.ready()
    serve(given.socket, children.ready, given.orders)
