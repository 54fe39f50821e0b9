"""The pytest plugin: the only room that knows pytest.

This file and `hookspecs` are imported by every pytest run, so they hold no more than options and the names of
hooks; the rest is imported when `--orchestrate` is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pytest_addhooks", "pytest_addoption", "pytest_configure", "pytest_load_initial_conftests"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of jobtest, all in one group of `--help`."""
    group = parser.getgroup("jobtest", "jobs (jobtest)")
    add = group.addoption
    add("--orchestrate", action="store_true", help="run the jobs of job_*.py instead of tests")
    add("-J", "--job-parallel", metavar="N", help="jobs that may run at once: a number or auto (default: 1)")
    add(
        "--job-executor",
        metavar="WHERE",
        help="where jobs are called that do not say: thread (default), process, or dask://HOST:PORT",
    )
    add("--plan", action="store_true", help="ask the checks and show what would run and why; run nothing")
    add(
        "--drift",
        action="store_true",
        help="ask the checks only; a job that is not in its desired state fails",
    )
    repeated = {"action": "append", "default": [], "metavar": "NAME"}
    add("--job-only", **repeated, help="this job and what it needs; may be repeated")
    add("--job-exclude", **repeated, help="not this job, nor what needs it; may be repeated")
    add(
        "--job-no-upstream",
        action="store_true",
        help="only the selected jobs; the values that they take are those that are stored",
    )
    add("--job-downstream", action="store_true", help="add what depends on the selected jobs")
    add("--job-force", **repeated, help="run this job even if its check holds; may be repeated")
    add(
        "--job-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a parameter (fixture params); VALUE is TOML, or else text; may be repeated",
    )
    add("--job-context", metavar="NAME", help="the context to run in, one that the settings declare")
    add(
        "--job-flag",
        action="append",
        default=[],
        metavar="NAME=on|off",
        help="switch a flag on or off; may be repeated",
    )
    add(
        "--job-resource",
        action="append",
        default=[],
        metavar="NAME=N",
        help="how much there is of a resource",
    )
    add(
        "--job-resume",
        action="store_true",
        help="go on with the last run if it is not finished: jobs that ended well are not done again",
    )
    add(
        "--job-state",
        metavar="URL",
        help="where runs are remembered: memory://, sqlite:///FILE, file:///FOLDER, postgresql://...",
    )
    add(
        "--job-lock-timeout",
        metavar="SECONDS",
        help="how long to wait for another run on the same state to end (default: 0)",
    )
    add("--job-keep", action="store_true", help="leave cleanups for --job-command=cleanup")
    add(
        "--job-rollback",
        metavar="WHAT",
        help="what is rolled back when a job fails: job (default), or run: the whole run",
    )
    add(
        "--job-command",
        metavar="VERB",
        help="apply (default), describe, delete, rollback, cleanup, or a verb that the project adds",
    )
    add("--job-plan-out", metavar="FILE.toml", help="keep what --plan shows, to be reviewed and applied")
    add("--job-apply", metavar="FILE.toml", help="run exactly this plan; refuse if anything has changed")
    add("--job-replay", metavar="FILE.json", help="start jobs in the order of a report, with its randomness")
    add(
        "--job-inject",
        action="append",
        default=[],
        metavar="FAULTS",
        help="let run phases fail on purpose, e.g. fail:a@1, delay:b=2, timeout:c, kill:d; may be repeated",
    )
    add("--job-report", action="append", default=[], metavar="FILE.json", help="write a report of the run")
    add("--job-events", metavar="FILE.jsonl", help="write each event of the run, one a line, as it happens")
    add(
        "--job-graph",
        action="append",
        default=[],
        metavar="tree|FILE",
        help="show the graph: tree, or a file .mmd .dot .svg .json",
    )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hooks known: a conftest may have them whether jobs are run or tests."""
    from jobtest.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


MARK = "job(needs=, after=, retries=, ...): how a job is run; see jobtest.job for all keywords"


def pytest_load_initial_conftests(early_config: pytest.Config, args: Sequence[str]) -> None:
    """Refuse the options of pytest-xdist before they are found unknown."""
    if not early_config.known_args_namespace.orchestrate:
        return
    for arg in args:
        if arg in ("-n", "--numprocesses", "--dist") or arg.startswith(("-n=", "--numprocesses=", "--dist=")):
            raise pytest.UsageError(_NOT_XDIST.format(arg=arg))
        if arg.startswith("-n") and (arg[2:].isdigit() or arg[2:] in ("auto", "logical")):
            raise pytest.UsageError(_NOT_XDIST.format(arg=arg))


_NOT_XDIST = "{arg} belongs to pytest-xdist and runs tests in parallel\n  fix: for jobs use -J N, or -J auto"


def pytest_configure(config: pytest.Config) -> None:
    """Switch orchestration on if asked to; else only know the mark, for tests that import job files."""
    config.addinivalue_line("markers", MARK)
    if config.option.orchestrate:
        from jobtest.plugin.session import configure

        configure(config)
    else:
        given = [arg for arg in config.invocation_params.args if isinstance(arg, str)]  # addopts are for both
        asked = [name for name, dest in _NEEDS_FLAG.items() if getattr(config.option, dest)]
        asked = [name for name in asked if any(arg.startswith(name) for arg in given)]
        if asked:
            raise pytest.UsageError(f"{asked[0]} is for jobs\n  fix: add --orchestrate")


_NEEDS_FLAG = {
    "-J": "job_parallel",
    "--job-executor": "job_executor",
    "--plan": "plan",
    "--drift": "drift",
    "--job-only": "job_only",
    "--job-exclude": "job_exclude",
    "--job-downstream": "job_downstream",
    "--job-force": "job_force",
    "--job-no-upstream": "job_no_upstream",
    "--job-resume": "job_resume",
    "--job-state": "job_state",
    "--job-lock-timeout": "job_lock_timeout",
    "--job-keep": "job_keep",
    "--job-rollback": "job_rollback",
    "--job-command": "job_command",
    "--job-plan-out": "job_plan_out",
    "--job-apply": "job_apply",
    "--job-replay": "job_replay",
    "--job-inject": "job_inject",
    "--job-set": "job_set",
    "--job-context": "job_context",
    "--job-flag": "job_flag",
    "--job-resource": "job_resource",
    "--job-report": "job_report",
    "--job-events": "job_events",
    "--job-graph": "job_graph",
}
