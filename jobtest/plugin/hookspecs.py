"""The hooks of jobtest: what a `conftest.py` or a plug-in may define to hear of a run, or to change its jobs.

Called on the main thread of the session, never where a body is called. `pytest_jobtest_collected` is asked
before anything is decided, and what it raises ends the session. All others hear of what is on record already:
one that raises is switched off with all others of its plug-in, named once, and the run goes on without it.

An implementation names the arguments that it wants, in any order. Hooks and arguments are added; none is
renamed or taken away without a version in which the old one works and warns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from jobtest.core.model import Failure, Job
    from jobtest.core.planner import Plan
    from jobtest.core.summary import AttemptRecord, JobRecord, Summary

__all__ = [
    "pytest_jobtest_attempt_ended",
    "pytest_jobtest_collected",
    "pytest_jobtest_error",
    "pytest_jobtest_job_ended",
    "pytest_jobtest_phase_ended",
    "pytest_jobtest_phase_started",
    "pytest_jobtest_planned",
    "pytest_jobtest_run_ended",
]


def pytest_jobtest_collected(config: pytest.Config, jobs: dict[str, Job]) -> None:
    """Change jobs, or take some away, before anything is decided.

    Names are resolved, nothing is checked yet: what this makes of the jobs is, together with all that is
    wrong with the project. A job is data that cannot be changed: put another one in its place. Its id stays.
    `skip` is the reason to skip it. A job that is taken away was never there; others must not need it.

    What is changed here is no part of `definition`, by which a job is known to be another one than at its
    last run. Processes that collect the project again ask again: the answer must be the same there.

    Args:
        config: Of the session.
        jobs: All jobs of the project by id, in definition order.

    Example:
        Retry what talks to the network, and leave out what is not for a laptop::

            from dataclasses import replace
            from jobtest import Retry

            def pytest_jobtest_collected(jobs):
                for id, job in list(jobs.items()):
                    if job.name.startswith("fetch_"):
                        jobs[id] = replace(job, retry=Retry(retries=3))
                    if id.startswith("cluster/"):
                        del jobs[id]
    """


def pytest_jobtest_planned(config: pytest.Config, plan: Plan) -> None:
    r"""Hear what was planned, before anything runs; also with `--collect-only`.

    Args:
        config: Of the session.
        plan: What takes part and why: `order`, `waves`, `graph` (of jobs), `left_out`.

    Example:
        Keep the order, to compare it with that of another day::

            def pytest_jobtest_planned(config, plan):
                (config.rootpath / "order.txt").write_text("\n".join(plan.order))
    """


def pytest_jobtest_phase_started(config: pytest.Config, job: Job, attempt: int, phase: str) -> None:
    """Hear that a phase is about to call the user's code.

    Args:
        config: Of the session.
        job: Whose phase it is.
        attempt: Its number, from 1; 0 for the cleanup of an earlier run.
        phase: `check`, `run`, `recheck`, `describe`, `close`, `rollback`, `cleanup`.

    Example:
        Leave a trace for whoever finds the machine hanging::

            def pytest_jobtest_phase_started(config, job, attempt, phase):
                now = f"{phase} of {job.label}, attempt {attempt}"
                (config.rootpath / "now.txt").write_text(now)
    """


def pytest_jobtest_phase_ended(
    config: pytest.Config,
    job: Job,
    attempt: int,
    phase: str,
    verdict: str,
    failure: Failure | None,
    seconds: float,
) -> None:
    """Hear what came of a phase.

    Args:
        config: Of the session.
        job: Whose phase it was.
        attempt: Its number, from 1; 0 for the cleanup of an earlier run.
        phase: As for `pytest_jobtest_phase_started`.
        verdict: `ok`, `not_holding` (a check), `raised`, `broken`, `timed_out`, ... as in the events.
        failure: What went wrong: `message`, `type`, `text` (the traceback); None if nothing did.
        seconds: How long it took.

    Example:
        Collect how long checks take::

            def pytest_jobtest_phase_ended(config, job, phase, verdict, seconds):
                if phase in ("check", "recheck"):
                    with open(config.rootpath / "checks.csv", "a") as file:
                        print(job.name, verdict, f"{seconds:.3f}", sep=",", file=file)
    """


def pytest_jobtest_attempt_ended(
    config: pytest.Config, job: Job, attempt: int, record: AttemptRecord, retry_in: float | None
) -> None:
    """Hear that an attempt is over, and whether another follows.

    Args:
        config: Of the session.
        job: Whose attempt it was.
        attempt: Its number, from 1.
        record: What came of it: `phases` (each with `phase`, `ok`, `seconds`, `failure`), `stdout`, `stderr`.
        retry_in: Seconds until the next attempt begins; None: there is none.

    Example:
        Find out what is flaky::

            def pytest_jobtest_attempt_ended(config, job, attempt, record, retry_in):
                if retry_in is not None:
                    with open(config.rootpath / "flaky.txt", "a") as file:
                        print(f"{job.label}, attempt {attempt}: {record.failure}", file=file)
    """


def pytest_jobtest_job_ended(config: pytest.Config, job: Job, record: JobRecord) -> None:
    """Hear how a job ended; each job of the plan ends once, also one that is blocked or skipped.

    Args:
        config: Of the session.
        job: The job.
        record: `outcome`, `reason`, `kind` (of a failure), `causes`, `notes`, `seconds`, `attempts`.

    Example:
        Touch a file for each change, to which something else listens::

            from jobtest import Outcome

            def pytest_jobtest_job_ended(config, job, record):
                if record.outcome is Outcome.CHANGED:
                    (config.rootpath / f"{job.name}.changed").write_text(record.reason)
    """


def pytest_jobtest_run_ended(config: pytest.Config, summary: Summary, exit_status: int) -> None:
    """Hear how the run ended: the last thing that is told, also after an interrupt.

    A notifier is one of these. A run that was killed ends without it.

    Args:
        config: Of the session.
        summary: What it came to: `command`, `run_id`, `jobs` (records by id), `totals()`, `seconds`.
        exit_status: Of pytest.

    Example:
        Post to a chat how a run went wrong; if the chat is not there, the run ends as it did::

            import json
            import os
            from urllib.request import Request, urlopen

            def pytest_jobtest_run_ended(summary, exit_status):
                if exit_status and summary.command.value == "apply":
                    counts = {outcome.value: number for outcome, number in summary.totals().items()}
                    said = json.dumps({"text": f"exit status {exit_status}: {counts}"})
                    urlopen(Request(os.environ["CHAT_URL"], said.encode()), timeout=10).close()
    """


def pytest_jobtest_error(config: pytest.Config, error: Failure, job: Job | None, phase: str) -> None:
    """Hear of everything that went wrong for good, in one place.

    That is: a job that failed (once, after its last attempt); its cleanup, its rollback, or the end of what
    it held open; the state that is lost; a hook that raised; an internal error.

    Args:
        config: Of the session.
        error: What went wrong: `message`, `type`, `text` (the traceback, as far as there is one).
        job: Whose error it is, None if it is nobody's.
        phase: In which phase it came up, or empty.

    Example:
        Hand everything to the log of the machine::

            import logging

            def pytest_jobtest_error(error, job, phase):
                where = f"{job.label} ({phase})" if job is not None else "the run"
                logging.getLogger("jobs").error("%s: %s", where, error)
    """
