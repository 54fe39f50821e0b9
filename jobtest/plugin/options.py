"""What the command line asks for, read and checked before anything is collected."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobtest.config.entry_points import EXECUTORS as OTHER_EXECUTORS
from jobtest.config.entry_points import offered
from jobtest.config.environment import from_environment
from jobtest.config.secrets import Secrets, read_secrets
from jobtest.config.settings import (
    EXECUTORS,
    Settings,
    in_context,
    is_executor,
    load_settings,
    parse_assignment,
)
from jobtest.config.verbs import Verb, find_verb
from jobtest.core.errors import Problem, UsageError, did_you_mean, nearest
from jobtest.core.model import Command
from jobtest.core.scope import Situation
from jobtest.plugin.files import refuse_unwritable
from jobtest.plugin.hidden import is_job_file
from jobtest.plugin.items import JobItem
from jobtest.plugin.params import Params
from jobtest.plugin.replayed import Replayed, read_replay

__all__ = ["Options", "Selector", "read_options", "select"]

ON = {"on": True, "off": False, "true": True, "false": False}
NO_SECRETS = Secrets()
NO_PLAN = ("describe", "cleanup")
"""Verbs of which nobody asks what they would do."""

ROLLBACK = ("job", "run")
"""What is rolled back when a job has failed."""

PLAN_AGAIN = "--plan --job-plan-out FILE"
GRAPHS = (".mmd", ".dot", ".svg", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is asked for.

    Attributes:
        settings: Of the project, as they are in the context.
        command: What the run is for.
        verb: The word for it; that of `apply` for a plan and a drift.
        workers: Jobs that may run at once.
        executor: Where jobs are called that do not say: `thread` or `process`; `here`: all on this thread.
        params: For the fixture `params`.
        set_params: Names that `--job-set` gave and the settings do not have.
        flags: Whether each flag that is known is on.
        set_flags: Names that `--job-flag` gave and the settings do not have.
        resources: Amounts that there are.
        selectors: From paths and node ids; empty: everything.
        reports: Files for the JSON report.
        events: File for the events, or None.
        graphs: `tree`, or files.
        state: URL of the state; empty: the default one.
        lock_timeout: Seconds to wait for another run on it.
        resume: Go on with the last run.
        keep: Leave cleanups for later.
        rolls_back: If a job fails, the whole run is rolled back.
        last_failed: Select what failed in the last run.
        plan_out: File for the plan, or None.
        plan_in: File of the plan that is to be run, or None.
        replay: The report that is to be replayed, or None.
        selection: The command line, for whoever reads a saved plan; secrets are masked.
        secrets: What must not be seen.
    """

    settings: Settings
    command: Command
    verb: Verb
    workers: int
    params: Params
    set_params: frozenset[str]
    flags: Mapping[str, bool]
    set_flags: frozenset[str]
    resources: Mapping[str, int]
    selectors: tuple[Selector, ...]
    reports: tuple[Path, ...]
    events: Path | None
    graphs: tuple[str, ...]
    state: str = ""
    lock_timeout: float = 0.0
    resume: bool = False
    keep: bool = False
    rolls_back: bool = False
    last_failed: bool = False
    plan_out: Path | None = None
    plan_in: Path | None = None
    replay: Replayed | None = None
    selection: tuple[str, ...] = ()
    executor: str = "thread"
    secrets: Secrets = NO_SECRETS

    @property
    def situation(self) -> Situation:
        """In what the run takes place, for conditions."""
        return Situation(context=self.settings.context, command=self.verb.name, flags=self.flags)


@dataclass(frozen=True, slots=True)
class Selector:
    """A path or node id of the command line.

    Attributes:
        text: As given.
        path: Absolute.
        name: Function name, with `[id]` or without; empty for a whole file or folder.
    """

    text: str
    path: Path
    name: str


def read_options(config: pytest.Config) -> Options:
    """Read settings and command line.

    Raises:
        UsageError: with everything that is wrong.
    """
    _refuse(config)
    option = config.option
    problems: list[Problem] = []

    def tried(read: object, *args: object) -> object:
        try:
            return read(*args)  # type: ignore[operator]  # a function of this module
        except UsageError as error:
            problems.extend(error.problems)
            return None

    loaded = tried(load_settings, config.rootpath)
    chosen = tried(in_context, loaded, option.job_context) if isinstance(loaded, Settings) else None
    settings = chosen if isinstance(chosen, Settings) else Settings()

    def given(texts: Sequence[str], read: object, *args: object) -> dict[str, Any]:
        found = (tried(read, text, *args) for text in texts)
        return dict(one for one in found if isinstance(one, tuple))

    set_params = given(option.job_set, parse_assignment, "--job-set")
    params = tried(_params, settings, set_params)
    resources = {**settings.resources, **given(option.job_resource, _amount)}
    set_flags = given(option.job_flag, _flag)
    workers = tried(_workers, option.job_parallel, settings)
    selectors = tried(_selectors, config)
    for name, files, known in (
        ("--job-report", option.job_report, (".json",)),
        ("--job-graph", [one for one in option.job_graph if one != "tree"], GRAPHS),
        ("--job-events", [option.job_events] if option.job_events else [], (".jsonl",)),
        ("--job-plan-out", [option.job_plan_out] if option.job_plan_out else [], (".toml",)),
    ):
        problems += [problem for file in files if (problem := _wrong_file(config, name, file, known))]
    executor = tried(_executor, option, settings)
    command = tried(_command, option, settings.commands)
    secrets = tried(_secrets, settings, params)
    hidden = secrets if isinstance(secrets, Secrets) else NO_SECRETS
    rolls_back = tried(_rolls_back, option)
    lock_timeout = tried(_seconds, "--job-lock-timeout", option.job_lock_timeout)
    replay = (
        tried(read_replay, config.invocation_params.dir / option.job_replay) if option.job_replay else None
    )
    if problems or not isinstance(command, tuple):
        raise UsageError(map(hidden.problem, problems))
    base = config.invocation_params.dir
    return Options(
        settings=settings,
        command=command[0],
        verb=command[1],
        workers=workers if isinstance(workers, int) else 1,
        params=Params(params if isinstance(params, dict) else {}),
        set_params=frozenset(set_params) - frozenset(settings.params),
        flags={**settings.flags, **set_flags},
        set_flags=frozenset(set_flags) - frozenset(settings.flags),
        resources=resources,
        selectors=selectors if isinstance(selectors, tuple) else (),
        reports=tuple(base / one for one in option.job_report),
        events=base / option.job_events if option.job_events else None,
        graphs=tuple(one if one == "tree" else str(base / one) for one in option.job_graph),
        state=option.job_state if option.job_state is not None else settings.state,
        lock_timeout=lock_timeout if isinstance(lock_timeout, float) else 0.0,
        resume=option.job_resume,
        keep=option.job_keep,
        rolls_back=bool(rolls_back),
        last_failed=bool(getattr(option, "lf", False)),
        plan_out=base / option.job_plan_out if option.job_plan_out else None,
        plan_in=base / option.job_apply if option.job_apply else None,
        replay=replay if isinstance(replay, Replayed) else None,
        selection=tuple(hidden.mask(str(arg)) for arg in config.invocation_params.args),
        executor=str(executor),
        secrets=hidden,
    )


def _secrets(settings: Settings, params: object) -> Secrets:
    """Return the secrets of the run; of parameters that cannot be read, none."""
    if not isinstance(params, dict):
        return NO_SECRETS
    return read_secrets(settings.secrets, params, os.environ, settings.source)


def _executor(option: argparse.Namespace, settings: Settings) -> str:
    """Return where jobs are called; with a debugger all of them here, where it can see them."""
    given = option.job_executor or settings.executor
    if not is_executor(given):
        fix = did_you_mean(given, [*EXECUTORS, *offered(OTHER_EXECUTORS)], what="there are")
        raise UsageError([Problem(what=f"--job-executor {given!r} is not known", fix=fix)])
    return "here" if option.usepdb else given


def _command(option: argparse.Namespace, verbs: Mapping[str, Verb]) -> tuple[Command, Verb]:
    """Return what the run is for, and the word for it.

    Raises:
        UsageError: two things at once, or something unknown.
    """
    asked = {"--plan": option.plan, "--drift": option.drift, "--job-apply": option.job_apply}
    asked["--job-inject"] = option.job_inject and (option.plan or option.drift)  # which run nothing
    given = [name for name, value in asked.items() if value]
    apply = next(verb for verb in verbs.values() if verb.does == "apply")
    verb, fix = find_verb(apply.name if option.job_command is None else option.job_command, verbs)
    problems = []
    if verb is None:
        problems.append(Problem(what=f"--job-command {option.job_command!r} is not known", fix=fix))
    elif verb != apply:
        given += [f"--job-command={verb.name}"] if not option.plan or verb.does in NO_PLAN else []
    if len(given) > 1:
        fix = "ask one at a time"
        problems.append(Problem(what=f"{given[0]} and {given[1]} are two questions", fix=fix))
    if option.job_plan_out and not option.plan:
        problems.append(Problem(what="--job-plan-out keeps a plan, and none is asked for", fix="add --plan"))
    if verb is not None and verb != apply:
        problems += _refused_for(verb, option)
    narrowing = ("only", "exclude", "force", "downstream", "no_upstream")
    also = [name for name in narrowing if getattr(option, f"job_{name}")] if option.job_apply else []
    if also:
        what = f"--job-apply runs what the plan says, and --job-{also[0].replace('_', '-')} says otherwise"
        problems.append(Problem(what=what, fix=f"leave it out, or make the plan with it: {PLAN_AGAIN}"))
    if option.job_resume and option.job_apply:
        fix = "make the plan with --job-resume, or run without a plan"
        problems.append(Problem(what="--job-resume and --job-apply are two questions", fix=fix))
    if problems or verb is None:
        raise UsageError(problems)
    if option.plan or option.drift:
        return Command.PLAN if option.plan else Command.DRIFT, verb
    return Command.VERB if verb.is_added else Command(verb.does), verb


def _refused_for(verb: Verb, option: argparse.Namespace) -> list[Problem]:
    """Return what is asked for beside another verb than that of apply, and means nothing for it."""
    given = {
        "--job-plan-out": (option.job_plan_out, "keeps a plan that can be applied"),
        "--job-force": (option.job_force, "is for jobs that are to run"),
        "--job-rollback": (option.job_rollback, "is for jobs that are to run"),
        "--job-inject": (option.job_inject, "is for jobs that are to run"),
    }
    fix = f"leave it out, or --job-command={verb.name}"
    return [
        Problem(what=f"{name} {what}, and this is for {verb.name}", fix=fix)
        for name, (value, what) in given.items()
        if value
    ]


def _rolls_back(option: argparse.Namespace) -> bool:
    given = option.job_rollback or "job"
    if given not in ROLLBACK:
        fix = did_you_mean(given, ROLLBACK, what="there are")
        raise UsageError([Problem(what=f"--job-rollback {given!r} is not known", fix=fix)])
    return bool(given == "run")


def _seconds(option: str, given: str | None) -> float:
    try:
        seconds = float(given or 0)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds < float("inf"):
        return seconds
    raise UsageError([Problem(what=f"{option} {given!r} must be a number of seconds >= 0")])


def _refuse(config: pytest.Config) -> None:
    """Refuse options of pytest and other plugins that cannot be followed for jobs."""
    option = config.option
    processes, dist = getattr(option, "numprocesses", None), getattr(option, "dist", "no")
    if processes or dist != "no":
        given = f"-n {processes}" if processes else f"--dist {dist}"
        problem = Problem(
            what=f"{given} belongs to pytest-xdist and runs tests in parallel", fix="for jobs use -J N"
        )
        raise UsageError([problem])
    for name, dest in (("--setup-plan", "setupplan"), ("--setup-only", "setuponly")):
        if getattr(option, dest, False):
            raise UsageError([Problem(what=f"{name} is for tests", fix="--plan shows what jobs would do")])
    if option.trace:
        raise UsageError(
            [Problem(what="--trace is for tests", fix="write breakpoint() in the job, and use -J 1")]
        )
    if option.usepdb and option.job_parallel not in (None, "1"):
        raise UsageError([Problem(what="--pdb needs the jobs one at a time", fix="use -J 1")])


def _wrong_file(config: pytest.Config, option: str, file: str, known: tuple[str, ...]) -> Problem | None:
    if Path(file).suffix not in known:
        what = f"{option} {file!r}: cannot tell what to write"
        return Problem(what=what, fix=f"end the name with one of: {' '.join(known)}")
    return refuse_unwritable(option, config.invocation_params.dir / file)


def _params(settings: Settings, given: Mapping[str, object]) -> dict[str, object]:
    """Return all parameters: those of the settings with what the environment says in them, and those given.

    Raises:
        UsageError: the environment lacks something that is not given.
    """
    context = settings.contexts[settings.context].params if settings.context else {}
    places = {name: f"contexts.{settings.context}.params.{name}" for name in context}
    wanted = {name: value for name, value in settings.params.items() if name not in given}
    found, problems = from_environment(wanted, os.environ, places, settings.source)
    if problems:
        raise UsageError(problems)
    return {**found, **given}


def _flag(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if not name or value not in ON:
        what = f"--job-flag {text!r}: a flag is on or off"
        raise UsageError([Problem(what=what, fix=f"write --job-flag {name or 'NAME'}=on")])
    return name, ON[value]


def _amount(text: str) -> tuple[str, int]:
    name, value = parse_assignment(text, "--job-resource")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        what = f"--job-resource {text!r}: the amount must be a whole number >= 0"
        raise UsageError([Problem(what=what, fix=f"write --job-resource {name}=2")])
    return name, value


def _workers(given: str | None, settings: Settings) -> int:
    if given is None:
        return settings.parallel if settings.parallel is not None else _cores()
    if given == "auto":
        return _cores()
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    raise UsageError([Problem(what=f"-J {given!r} must be a whole number >= 1, or auto", fix="e.g. -J 4")])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _selectors(config: pytest.Config) -> tuple[Selector, ...]:
    base = config.invocation_params.dir
    if config.args_source is config.ArgsSource.TESTPATHS:
        return ()
    selectors = []
    problems = []
    for text in config.args:
        head, bracket, rest = text.partition("[")
        file, *names = head.split("::")
        path = Path(os.path.normpath(base / file))
        if not path.exists():
            beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            close = nearest(path.name, beside)
            fix = (
                f"did you mean {path.parent / close}?" if close else "give a folder, a job file or a node id"
            )
            problems.append(Problem(what=f"{file}: no such file or folder", fix=fix))
        elif path.is_file() and not is_job_file(path):
            problems.append(Problem(what=f"{file} is not a job file", fix=f"rename it to job_{path.name}"))
        else:
            selectors.append(Selector(text, path, "::".join(names) + bracket + rest))
    if problems:
        raise UsageError(problems)
    if any(config.rootpath.is_relative_to(selector.path) and not selector.name for selector in selectors):
        return ()
    return tuple(selectors)


def select(
    selectors: Sequence[Selector], jobs: Sequence[JobItem]
) -> tuple[set[str], set[str], list[Problem]]:
    """Return the ids that paths and node ids select, those given by their name, and what selects nothing."""
    by_name: dict[tuple[Path, str], set[str]] = {}
    for item in jobs:
        for name in {item.name, item.originalname}:
            by_name.setdefault((item.path, name), set()).add(item.id_)
    selected: set[str] = set()
    named: set[str] = set()
    problems = []
    for selector in selectors:
        if not selector.name:
            selected |= {item.id_ for item in jobs if item.path.is_relative_to(selector.path)}
            continue
        found = by_name.get((selector.path, selector.name), set())
        if not found:
            names = [item.name for item in jobs if item.path == selector.path]
            fix = did_you_mean(selector.name, names, what="it has") or "the file has no jobs"
            problems.append(Problem(what=f"{selector.text}: there is no such job", fix=fix))
        named |= found
    return selected | named, named, problems
