"""A pytest session beside a Dask worker: collects the project once, then calls the phases it is asked for.

    python -m jobtest.plugin.dask_host DESCRIPTOR FOLDER

Fixtures of function scope belong to one attempt; wider ones are set up once here, for all attempts, and torn
down at the end. What lives here: the session and its orders. What does not: who sends them
(`jobtest.engine.executors.dask.host`), and what a phase is (`jobtest.plugin.child`).
"""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import pytest

from jobtest.core.planner import Plan
from jobtest.engine.executors.process.frames import Frames
from jobtest.engine.executors.process.output import Streams, read_from
from jobtest.engine.executors.process.tree import descendants
from jobtest.plugin import builtin
from jobtest.plugin.checkpoint import memory_key
from jobtest.plugin.child import _Child, _Run
from jobtest.plugin.items import JobItem
from jobtest.plugin.project import Project
from jobtest.state.codec import Home, ModuleHome

__all__ = ["main"]

NOT_HERE = {
    "collectonly": False, "keyword": "", "markexpr": "", "lf": False, "failedfirst": False, "xmlpath": None,
    "maxfail": 0, "plan": False, "drift": False, "job_only": [], "job_exclude": [], "job_force": [],
    "job_downstream": False, "job_no_upstream": False, "job_resume": False, "job_state": "memory://",
    "job_lock_timeout": None, "job_keep": False, "job_command": None, "job_plan_out": None, "job_apply": None,
    "job_replay": None, "job_report": [], "job_events": None, "job_graph": [], "job_parallel": "1",
    "job_executor": "process", "usepdb": False, "basetemp": None, "report_log": None, "htmlpath": None,
    "json_report": False, "allure_report_dir": None,
}  # fmt: skip
"""Options that are for the whole run: here there are all jobs, and nothing is planned, kept or reported."""

ROOMY = 8 << 20
"""Bytes of output that have been told, after which the files behind the streams are emptied."""

SAID = 4000
"""Characters of what was printed that are told when the project cannot be collected."""

SHOWN = 5


class _Wire:
    """The connection to the worker. When it ends, this process does, with all that it has started."""

    def __init__(self, sock: socket.socket, folder: Path) -> None:
        self.frames, self._folder = Frames(sock), folder
        self._messages: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        threading.Thread(target=self._read, name="jobtest-wire", daemon=True).start()

    def _read(self) -> None:
        while (messages := self.frames.receive()) is not None:
            for message in messages:
                self._messages.put(message)
        shutil.rmtree(self._folder, ignore_errors=True)
        for pid in descendants(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)

    def next(self) -> Mapping[str, Any]:
        """Wait for a message."""
        return self._messages.get()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; nothing happens if nobody reads it, as this process ends then."""
        with suppress(OSError):
            self.frames.send(message)


class _HostRun(_Run):
    """What the bodies may know of the run; what they say waits until the order is done."""

    def __init__(self, plan: Plan, lineage: str, wire: _Wire) -> None:
        super().__init__(plan, lineage)
        self.said: dict[str, Any] = {}
        self._wire = wire

    def send(self, message: Mapping[str, Any]) -> None:
        """Keep what belongs to the answer."""
        self.said = dict(message)

    def ask(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the orchestrator something and return its answer; from any thread, one at a time."""
        with self._asking:
            self._wire.send(message)
            return self._wire.next()


class _Desk(_Child):
    """Calls phases of many attempts, one at a time."""

    _run: _HostRun

    def __init__(self, session: pytest.Session, project: Project, run: _HostRun, streams: Streams) -> None:
        super().__init__(session, project, run, streams, _homes(project))
        self._bodies = self._make_bodies()
        self._state.expect(project.items.values())  # never all done: wide fixtures stay until the end

    def phase(self, body: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
        """Call a phase and return what came of it; with `last` its attempt is torn down, too."""
        self._item = item = self._project.items[body["job"]]
        self._told = len(item.user_properties)
        with self._room.open(item):
            self._phase(item, {**body, "ends": ""})
        answer = self._run.said
        if last or not _stays(item):
            answer["end"] = self.end(item.id_)
        answer["open"] = "end" not in answer
        return answer

    def end(self, job: str) -> dict[str, Any]:
        """End the attempt of a job and return what came of that."""
        self._item = item = self._project.items[job]
        self._told = len(item.user_properties)
        self._state.expect([item])  # it counts as done in a moment, and others are still to come
        self._end()
        self._bodies.attempt_over(item.id_)
        self._runner = None
        self._empty_streams()
        return self._run.said

    def close(self) -> dict[str, Any]:
        """Tear down what is set up for all; return what that raised and printed."""
        item = next(iter(self._project.items.values()))
        torn = []
        with self._room.open(item), self._room.main(item) as output:
            try:
                self._state.teardown_exact(None)
            except BaseException as error:  # noqa: BLE001 - fixtures may raise anything
                torn.append(str(item.repr_failure(pytest.ExceptionInfo.from_exception(error))))
        return {"torn": torn, "stdout": output.stdout, "stderr": output.stderr}

    def _empty_streams(self) -> None:
        if sum(self._streams.sizes().values()) > ROOMY:
            for fd in (1, 2):
                os.ftruncate(fd, 0)


def _stays(item: JobItem) -> bool:
    """Tell whether an attempt leaves something here for its later phases."""
    options = item.source.options
    run = item.source.run
    is_generator = run is not None and inspect.isgeneratorfunction(inspect.unwrap(run))
    return is_generator or bool(item.fixturenames or options.inputs or options.outputs)


def _homes(project: Project) -> Any:  # noqa: ANN401 - a function
    known: dict[str, Home] = {}

    def home(id: str) -> Home:
        module = project.items[id].module
        if module.__name__ not in known:
            known[module.__name__] = ModuleHome(module)
        return known[module.__name__]

    return home


class _HostPlugin:
    """Turns an orchestrated session into one that waits for orders."""

    def __init__(self, wire: _Wire, streams: Streams, setup: Mapping[str, Any]) -> None:
        self._wire, self._streams, self._setup = wire, streams, setup
        self._failed: list[str] = []
        self.told = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take away what is for the whole run, before anybody looks."""
        for name, value in NOT_HERE.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        config.args, config.args_source = [str(config.rootpath)], config.ArgsSource.TESTPATHS

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Be the same run, and the first to be asked for its loop."""
        config = session.config
        config.stash[builtin.run_id_key] = self._setup["seed"]
        config.stash[builtin.names_key] = self._setup["names"]
        config.pluginmanager.register(_Loop(self), "jobtest-dask-loop")  # late, and so before all others

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what cannot be collected."""
        if report.failed:
            self._failed.append(report.longreprtext)

    def loop(self, session: pytest.Session) -> NoReturn:
        """Tell how the project is, then do what is asked until the end."""
        orchestration: Any = session.config.pluginmanager.get_plugin("jobtest-orchestration")
        project, plan = orchestration.project, orchestration.plan
        if self._failed or plan is None:
            self.fail("\n".join(self._failed) or "there are no jobs")
            _end()
        self._ready(_differences(self._setup["definitions"], project))
        self._serve(session, project, plan)
        _end()

    def fail(self, why: str) -> None:
        """Say that there is no use in this process."""
        self.told = True
        self._wire.send({"done": {"failed": why, "problems": []}})

    def _ready(self, problems: list[str]) -> None:
        self.told = True
        self._wire.send({"done": {"failed": "", "problems": problems}})

    def _serve(self, session: pytest.Session, project: Project, plan: Plan) -> None:
        run = _HostRun(plan, self._setup["lineage"], self._wire)
        desk = _Desk(session, project, run, self._streams)
        session.config.stash[memory_key] = run.memory
        while True:
            order = self._wire.next()
            match order["op"]:
                case "phase":
                    done = desk.phase(order["body"], last=order["last"])
                case "end":
                    done = {"end": desk.end(order["job"])}
                case _:
                    self._wire.send({"done": desk.close()})
                    return
            self._wire.send({"done": done})


class _Loop:
    def __init__(self, plugin: _HostPlugin) -> None:
        self._plugin = plugin

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> NoReturn:
        """Wait for orders instead of running what there is."""
        self._plugin.loop(session)


def _end() -> NoReturn:
    """End at once: plugins that write reports at the end of a session have nothing to write here."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _differences(expected: Mapping[str, str], project: Project) -> list[str]:
    """Return what is not as it is where the run was started."""
    found = {job.id: job.definition for job in project.graph}
    problems = []
    for what, ids in (
        ("a worker does not find jobs", [id for id in expected if id not in found]),
        ("a worker finds jobs that this run does not have", [id for id in found if id not in expected]),
        (
            "a worker has other definitions of jobs",
            [id for id in found if expected.get(id, found[id]) != found[id]],
        ),
    ):
        if ids:
            more = f", ... {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            problems.append(f"{what}: {', '.join(ids[:SHOWN])}{more}")
    return problems


def main(descriptor: int, folder: Path) -> None:
    """Be such a process until it is told to end."""
    streams = Streams(folder, captured=True)
    streams.begin("host")
    wire = _Wire(socket.socket(fileno=descriptor), folder)
    setup = wire.next()
    os.environ["PYTEST_ADDOPTS"] = setup["addopts"]
    sys.path[:0] = [str(Path(setup["root"], one)) for one in setup["paths"]]
    os.chdir(setup["root"])
    sys.dont_write_bytecode = True  # several hosts may share the folder with the run
    plugin = _HostPlugin(wire, streams, setup)
    config = ["-c", str(Path(setup["root"], setup["inifile"]))] if setup["inifile"] else []
    fixed = [
        "--orchestrate",
        "--rootdir",
        setup["root"],
        *config,
        "-o",
        f"cache_dir={folder / 'cache'}",
        f"--log-file={os.devnull}",
    ]
    try:
        status = pytest.main([*setup["args"], *fixed], plugins=[plugin])
        said = f"pytest ended with {status!r}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is told
        said = traceback.format_exc()
    try:
        if not plugin.told:
            printed = read_from(folder, "host", {})
            plugin.fail(f"{said}\n{printed.stdout[-SAID:]}{printed.stderr[-SAID:]}")
    finally:
        _end()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
