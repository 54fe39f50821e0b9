"""From a job that has ended to pytest's reports, over one of two paths that must not differ.

The full path calls pytest's ordinary protocol, whose phases return or raise what was recorded; it is for
plugins that hook into it. The lean path makes the same three reports and sends them through
`pytest_runtest_logreport`.

A job that owes a cleanup, or holds something open, has its last report when that is done, so that a failing
cleanup is part of it. The full path cannot report in two parts: it waits, unless `--pdb` is to look into a
failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from jobtest.core.model import Kind, Outcome, Phase
from jobtest.core.summary import JobRecord
from jobtest.engine.calls import Output
from jobtest.plugin import fixtures
from jobtest.plugin.items import Elsewhere, JobItem, Told, one_traceback_at_a_time
from jobtest.plugin.masking import mask_report, secrets_of

__all__ = ["Replay", "outcome_of", "wants_full"]

BEFORE_CALL = frozenset({Kind.SETUP_ERROR, Kind.BROKEN_CHECK, Kind.CRASHED})
"""Kinds that pytest knows as errors, not failures."""

GOOD = frozenset({Outcome.CHANGED, Outcome.UNCHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN})
PROTOCOL = (
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtest_makereport",
    "pytest_pyfunc_call",
    "pytest_exception_interact",
)


IDLE = ("hypothesispytest",)
"""Plugins that do nothing for items like ours: hypothesis looks for property tests."""


def wants_full(config: pytest.Config) -> str:
    """Return which plugin from outside or which option needs the full path, or empty."""
    for option, dest in (("--pdb", "usepdb"), ("--trace", "trace"), ("--setup-show", "setupshow")):
        if getattr(config.option, dest, False):
            return option
    for name in PROTOCOL:
        for impl in getattr(config.hook, name).get_hookimpls():
            module = getattr(impl.function, "__module__", "") or ""
            if impl.plugin_name not in IDLE and not module.startswith(("_pytest.", "jobtest.")):
                return f"{impl.plugin_name} has {name}"
    return ""


class Replay:
    """Reports jobs.

    Args:
        session: The session.
        full: Which path.
        run_id: Of the run.
    """

    def __init__(self, session: pytest.Session, *, full: bool, run_id: str) -> None:
        self._session, self.full, self._run_id = session, full, run_id
        self._secrets = secrets_of(session.config)
        self._records: dict[str, JobRecord] = {}
        self._outputs: dict[str, list[tuple[str, Output]]] = {}
        self._waiting: set[str] = set()
        self._hooks: dict[object, fixtures.QuietHooks] = {}
        manager = session.config.pluginmanager
        idle = [plugin for plugin in map(manager.get_plugin, ("assertion", "warnings")) if plugin is not None]
        self._protocol = manager.subset_hook_caller("pytest_runtest_protocol", remove_plugins=idle)

    def keep(self, item: JobItem, when: Literal["setup", "teardown"], output: Output) -> None:
        """Keep what was printed outside of attempts: by fixtures, by what closes and cleans up."""
        if output.stdout or output.stderr or output.log:
            self._outputs.setdefault(item.id_, []).append((when, output))

    def ended(
        self, item: JobItem, record: JobRecord, errors: Mapping[Phase, BaseException], *, whole: bool
    ) -> None:
        """Report a job that has ended; with `whole` false its last report comes with `torn_down`."""
        self._records[item.id_] = record
        self._record(item, record, errors)
        if self.full:
            failed = record.outcome is Outcome.FAILED
            if whole or (failed and self._session.config.option.usepdb):
                self._replay(item)
            elif failed:
                self._waiting.add(item.id_)
            return
        item.ihook.pytest_runtest_logstart(nodeid=item.id_, location=item.location)
        setup = self._report(item, "setup")
        if setup.passed:
            self._report(item, "call", setup)
        if whole:
            self._finish(item, setup)

    def torn_down(self, item: JobItem, record: JobRecord) -> None:
        """Report the rest of a job."""
        self._waiting.discard(item.id_)
        if not self.full:
            self._finish(item, None)
        elif not (record.outcome is Outcome.FAILED and self._session.config.option.usepdb):
            self._replay(item)
        elif "teardown" in item.recorded:
            self._report(item, "teardown")

    @property
    def enough(self) -> str:
        """Why to stop for the sake of failures that are not reported yet, or empty."""
        most = self._session.config.option.maxfail or 0
        failures = self._session.testsfailed + len(self._waiting)
        return f"stopping after {failures} failures" if self._waiting and 0 < most <= failures else ""

    def _replay(self, item: JobItem) -> None:
        fixtures.again(item)
        if item.parent not in self._hooks:
            self._hooks[item.parent] = fixtures.QuietHooks(item)
        item.hooks = self._hooks[item.parent]
        self._protocol(item=item, nextitem=None)
        item.hooks = None
        item.recorded.clear()
        fixtures.forget(item)
        self._outputs.pop(item.id_, None)

    def _finish(self, item: JobItem, like: pytest.TestReport | None) -> None:
        self._report(item, "teardown", like)
        item.ihook.pytest_runtest_logfinish(nodeid=item.id_, location=item.location)
        item.recorded.clear()
        self._outputs.pop(item.id_, None)

    def _report(self, item: JobItem, when: Any, like: pytest.TestReport | None = None) -> pytest.TestReport:  # noqa: ANN401 - a literal
        """Make a report and send it; one without an exception is made from another one that has none."""
        if like is not None and like.passed and when not in item.recorded:
            report = object.__new__(type(like))
            report.__dict__.update(like.__dict__)
            report.when = when
        else:
            call = pytest.CallInfo.from_call(lambda: item.replay(when), when)
            with one_traceback_at_a_time:
                report = pytest.TestReport.from_item_and_call(item, call)
        self.decorate(item, report)
        item.ihook.pytest_runtest_logreport(report=report)
        return report

    # --- what a report says ---

    def _record(self, item: JobItem, record: JobRecord, errors: Mapping[Phase, BaseException]) -> None:
        if record.outcome is Outcome.FAILED:
            when = "setup" if record.kind in BEFORE_CALL else "call"
            item.recorded[when] = _error_of(record, errors)
        elif record.outcome not in GOOD:
            item.recorded["setup"] = fixtures.skip_here(record.reason)
        item.user_properties += [
            ("jobtest.outcome", record.outcome.value if record.outcome else ""),
            ("jobtest.attempts", len(record.attempts)),
            ("jobtest.reason", record.reason),
            ("jobtest.run_id", self._run_id),
        ]
        if record.injected:
            item.user_properties.append(("jobtest.injected", ", ".join(record.injected)))

    def decorate(self, item: JobItem, report: pytest.TestReport) -> None:
        """Put on a report what really happened: when, how long, what was printed, how the job ended."""
        record = self._records.get(item.id_)
        if record is None:
            return
        begun = record.started_at or record.ended_at or 0.0
        ended = record.ended_at or begun
        report.start = ended if report.when == "teardown" else begun
        report.stop = ended if report.when == "call" else report.start
        told = "setup" if "setup" in item.recorded else "call"  # what went wrong before has no call
        report.duration = record.seconds if report.when == told else 0.0
        report.user_properties = item.user_properties
        report.sections = self._sections(item, record, report.when)
        error = item.recorded.get(report.when)
        if report.failed and isinstance(error, Elsewhere):
            report.longrepr = Told(error)  # type: ignore[assignment]  # it has what pytest asks for
        report.__dict__["jobtest_outcome"] = record.outcome
        mask_report(report, self._secrets)

    def _sections(self, item: JobItem, record: JobRecord, when: str) -> list[tuple[str, str]]:
        """Return output as pytest names it, earlier attempts before it."""
        sections: list[tuple[str, str]] = []
        outputs = self._outputs.get(item.id_, [])
        parts = {"setup": ("setup",), "call": ("setup",), "teardown": ("setup", "call", "teardown")}[when]
        sections += [one for part, output in outputs if part in parts for one in _output(part, output)]
        if when == "setup" and record.kind not in BEFORE_CALL:
            return sections
        for attempt in record.attempts[:-1]:
            said = attempt.failure
            if when != "teardown":
                sections.append((f"attempt {attempt.number}", (said.text or str(said)) if said else "failed"))
            sections += _output(
                f"attempt {attempt.number}", Output(attempt.stdout, attempt.stderr, attempt.log)
            )
        if record.attempts:
            last = record.attempts[-1]
            if record.kind is Kind.RUN_ERROR and when == "call" and last.phases[-1].phase is Phase.RECHECK:
                failure = last.failure
                sections.append(
                    ("check after the run", (failure.text or str(failure)) if failure else "holds")
                )
            sections += _output("call", Output(last.stdout, last.stderr, last.log))
        return sections


def _output(part: str, output: Output) -> list[tuple[str, str]]:
    named = (("log", output.log), ("stdout", output.stdout), ("stderr", output.stderr))
    return [(f"Captured {name} {part}", text) for name, text in named if text]


def _error_of(record: JobRecord, errors: Mapping[Phase, BaseException]) -> BaseException:
    """Return the exception that a failure is shown by."""
    order = {
        Kind.RUN_ERROR: (Phase.RUN, Phase.DESCRIBE, Phase.RECHECK),
        Kind.CHECK_FAILED: (Phase.RECHECK, Phase.CHECK),
    }.get(record.kind or Kind.RUN_ERROR, tuple(reversed(list(Phase))))
    for phase in order:
        if phase in errors:
            return errors[phase]
    return pytest.fail.Exception(record.reason, pytrace=False)


def outcome_of(report: object) -> Outcome | None:
    """Return how the job of a report ended, or None if it is not of a job."""
    outcome = getattr(report, "jobtest_outcome", None)
    return outcome if isinstance(outcome, Outcome) else None
