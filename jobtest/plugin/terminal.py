"""What people see in the terminal beside pytest's own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from jobtest.core.events import Entry, PhaseEnded, PhaseStarted, RunStopped
from jobtest.core.model import Command, Outcome
from jobtest.core.planner import Plan
from jobtest.core.summary import JobRecord, Summary
from jobtest.plugin.described import described, rollbacks
from jobtest.plugin.inject import without_faults
from jobtest.plugin.replay import outcome_of
from jobtest.reports.history.text import SYMBOLS, counts

if TYPE_CHECKING:
    from jobtest.engine.loop import Engine
    from jobtest.plugin.session import Orchestration

__all__ = ["PhaseLines", "Terminal", "recap"]

COLOURS = {
    Outcome.UNCHANGED: {"green": True},
    Outcome.CHANGED: {"green": True, "bold": True},
    Outcome.WOULD_RUN: {"yellow": True, "bold": True},
    Outcome.UNKNOWN: {"yellow": True},
}
TOLD = frozenset(SYMBOLS) - {Outcome.FAILED, None}
"""Outcomes that have a name of their own in the terminal; a failure has pytest's."""

LONG = 1.0
"""Seconds from which a run says where its time went."""

FEW = 3
"""Jobs that are named in a line."""

MANY = 20
"""Lines of one kind that a summary shows at most."""


WHAT = {Command.PLAN: ", plan only", Command.DRIFT: ", drift only"}


class Terminal:
    """Says how jobs ended."""

    def __init__(self, orchestration: Orchestration) -> None:
        self._of = orchestration

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say what is asked for."""
        options = self._of.options
        asked = f", {options.verb.name} only" if options.verb.does != "apply" else ""
        what = f"{asked}{WHAT.get(options.command, '')}"
        source = f", context: {options.settings.context}" if options.settings.context else ""
        source += f", settings: {options.settings.source}" if options.settings.source else ""
        lines = [f"jobs: {', '.join(options.settings.paths)}, -J {options.workers}{what}{source}"]
        if config.get_verbosity() > 0:
            lines.append(f"run: {self._of.run_id}")
        return lines

    def pytest_report_collectionfinish(self, config: pytest.Config) -> list[str]:
        """Say how wide the plan is and who runs alone."""
        from jobtest.plugin.replay import wants_full

        plan, told, faults = self._of.plan, self._of.told, self._of.faults.texts
        if plan is not None and faults:
            told = [*told, f"faults: {', '.join(faults)}"]
        if plan is None or not plan.graph.jobs or config.get_verbosity() < 1:
            return told
        full = wants_full(config)
        lines = [
            *told,
            waves(plan),
            f"reports: full path ({full})" if full else "reports: lean path",
        ]
        lines += [f"alone: {job.id} ({job.exclusive})" for job in plan.graph if job.exclusive]
        isolated = sum(job.isolated for job in plan.graph)
        lines += [f"in processes of their own: {isolated} of {len(plan.graph)} jobs"] if isolated else []
        return lines

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
        """Name outcomes by their own names; the counts of pytest's last line stay its own."""
        outcome = outcome_of(report)
        if outcome is None or outcome not in TOLD:
            return None
        word = outcome.value.upper()
        if report.when == "call" and report.passed:
            return "passed", SYMBOLS[outcome], (word, COLOURS[outcome])
        if report.when == "setup" and report.skipped:
            return "skipped", SYMBOLS[outcome], (word, {"yellow": True})
        return None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what the run came to."""
        self._graph(terminalreporter)
        for error in self._of.files.errors:
            terminalreporter.write_line(error, red=True, bold=True)
        if self._of.engine is None:
            if self._of.plan is not None and not self._of.plan.graph.jobs:
                self._nothing(terminalreporter)
            return
        summary = self._of.engine.summary
        sections = {
            "plan": self._plan(summary) if summary.command is Command.PLAN else [],
            "described": described(summary, summary.values) if summary.command is Command.DESCRIBE else [],
            "rollbacks": rollbacks(summary),
            "changed definitions": self._redefined(summary),
            "notes": [
                *_notes(summary),
                *self._of.faults.missed(summary),
                *_switched_off(self._of.engine),
                *self._of.hooks_off,
            ],
            "root causes": _root_causes(summary),
        }
        for title, lines in sections.items():
            if lines:
                terminalreporter.section(title)
                terminalreporter.write("".join(f"{line}\n" for line in lines))
        aborted = self._of.engine is not None and self._of.engine.aborted
        if self._of.memory is not None and (self._of.options.keep or aborted):
            lines = self._of.memory.still_owed()
            terminalreporter.write("".join(f"{line}\n" for line in lines))
        written = [f"written: {file}" for file in self._of.files.written]
        for line in ["", *_where_time_went(summary), *self._again(summary), recap(summary), *written]:
            terminalreporter.write_line(line)

    def _plan(self, summary: Summary) -> list[str]:
        memory = self._of.memory
        known = memory.known_of if memory is not None and self._of.config.get_verbosity() > 0 else None
        lines = plan_lines(summary, known)
        if memory is not None:
            lines.append(memory.estimated(summary, self._of.options.workers))
        return lines

    def _redefined(self, summary: Summary) -> list[str]:
        asks = summary.command is Command.PLAN and not summary.plan.verb
        return self._of.memory.redefined(summary.plan) if self._of.memory is not None and asks else []

    def _again(self, summary: Summary) -> list[str]:
        """Return the command that tries again what failed, to be copied."""
        if summary.stopped and self._of.engine is not None and self._of.engine.interrupted:
            again = [arg for arg in without_faults(self._of.options.selection) if arg != "--job-resume"]
            return [f"again: {shlex.join(['pytest', *again, '--job-resume'])}"]
        failed = [id for id, record in summary.jobs.items() if record.outcome is Outcome.FAILED]
        if not failed or summary.command is not Command.APPLY:
            return []
        given = without_faults(self._of.options.selection)
        undone = any(
            record.rollback and record.outcome is Outcome.CHANGED for record in summary.jobs.values()
        )
        few = failed if len(failed) <= FEW and not undone else []
        only = [part for id in few for part in (_option_for(summary, id), id)]
        downstream = ["--job-downstream"] if only and "--job-downstream" not in given else []
        again = (
            [*given] if any(one.startswith("--job-only") for one in given) else [*given, *only, *downstream]
        )
        return [f"again: {shlex.join(['pytest', *again])}"]

    def _graph(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._of.plan is not None:
            encoding = (sys.stdout.encoding or "").lower().replace("-", "")
            tree = self._of.files.tree(self._of.plan, self._of.engine, unicode=encoding == "utf8")
            if tree:
                terminalreporter.section("graph")
                terminalreporter.write(tree if tree.endswith("\n") else f"{tree}\n")

    def _nothing(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._of.project is not None and self._of.project.items:
            terminalreporter.write_line("no jobs selected")
            return
        root = self._of.config.rootpath
        folders = ", ".join(
            str(root / path) if path != "." else str(root) for path in self._of.options.settings.paths
        )
        terminalreporter.write_line(
            "no jobs found: looked for job_NAME and check_NAME in job_*.py, and for entries of job_*.toml and"
            f" job_*.conf, below {folders}"
        )


def _option_for(summary: Summary, id: str) -> str:
    """Return the option with which a job that failed is tried again: one that was refused is forced."""
    return "--job-force" if summary.plan.decisions[id].refused else "--job-only"


class PhaseLines:
    """An observer that says with `-vv` what came of each phase, as it ends."""

    def __init__(self, config: pytest.Config, plan: Plan) -> None:
        self._reporter = config.pluginmanager.get_plugin("terminalreporter")
        self._plan = plan
        self._started: dict[str, float] = {}

    def __call__(self, entry: Entry) -> None:
        """Take in an entry."""
        event = entry.event
        if isinstance(event, PhaseStarted):
            self._started[event.job] = entry.at
        elif isinstance(event, PhaseEnded) and self._reporter is not None:
            seconds = entry.at - self._started.pop(event.job)
            said = f": {event.failure}" if event.failure is not None else ""
            verdict = event.verdict.value.replace("_", " ")
            self._reporter.ensure_newline()
            what = f"{self._plan.graph[event.job].label}: {event.phase.value} {verdict}"
            self._reporter.write_line(f"  {what} in {seconds:.2f}s{said}")


class StopLine:
    """An observer that says at once that an interrupt was heard, and what is waited for."""

    def __init__(self, of: Orchestration) -> None:
        self._of = of
        self._reporter = of.config.pluginmanager.get_plugin("terminalreporter")

    def __call__(self, entry: Entry) -> None:
        """Take in an entry."""
        engine = self._of.engine
        if not isinstance(entry.event, RunStopped) or self._reporter is None or engine is None:
            return
        if engine.interrupted:
            number = len(engine.under_way())
            said = f"{number} running, up to {engine.grace:g} s" if number else "nothing is running"
            self._reporter.ensure_newline()
            self._reporter.write_line(f"{entry.event.reason}: {said}; Ctrl-C once more ends all at once")


def recap(summary: Summary) -> str:
    """Return `12 jobs: 7 unchanged, 3 changed, 1 failed, 1 blocked in 41.2s`; zero counts are left out."""
    totals = {outcome.value: count for outcome, count in summary.totals().items()}
    said, number = counts(totals) or "none ended", len(summary.jobs)
    undone = sum(record.rollback is not None and record.rollback.ok for record in summary.jobs.values())
    said += f"; {undone} rolled back" if undone else ""
    return f"{number} job{'s' if number != 1 else ''}: {said} in {summary.seconds:.1f}s"


def _where_time_went(summary: Summary) -> list[str]:
    """Return the slowest jobs and the critical path of a run that took long enough to ask."""
    if summary.command is not Command.APPLY or summary.seconds < LONG:
        return []
    graph = summary.plan.graph
    slowest = sorted(summary.jobs.values(), key=lambda record: -record.seconds)[:FEW]
    named = ", ".join(f"{graph[one.id].label} {one.seconds:.1f}s" for one in slowest if one.seconds >= 0.05)
    path = _shortened([graph[id].label for id in summary.critical_path()])
    return [f"slowest: {named}", f"critical path: {' -> '.join(path)}"] if named else []


def _shortened(names: list[str]) -> list[str]:
    return [*names[: MANY // 2], "...", *names[-MANY // 2 :]] if len(names) > MANY else names


def waves(plan: Plan) -> str:
    """Return how many waves a plan has, and how wide it is."""
    return f"waves: {len(plan.waves)}, widest {max(map(len, plan.waves), default=0)}"


def plan_lines(summary: Summary, known: Callable[[str], list[str]] | None = None) -> list[str]:
    """Return a line for each job with what would happen and why, then waves and critical path.

    Args:
        summary: Of a plan.
        known: From the id of a job to lines about what is known of it from earlier runs.
    """
    plan = summary.plan
    width = max((len(plan.graph[id].label) for id in plan.order), default=0)
    lines = []
    for id in plan.order:
        record = summary.jobs[id]
        outcome = record.outcome or Outcome.UNKNOWN
        job = plan.graph[id]
        alone = f"; alone, {job.exclusive}" if job.exclusive else "; in a process" if job.isolated else ""
        symbol = SYMBOLS[outcome]
        lines.append(f"{symbol} {plan.graph[id].label:<{width}}  {outcome.value:<9}  {record.reason}{alone}")
        lines += [f"    {line}" for line in known(id)] if known is not None else []
    lines.append("")
    lines.append(waves(plan))
    path = _shortened([plan.graph[id].label for id in plan.critical_path])
    lines.append(f"critical path: {' -> '.join(path)}")
    return lines


def _notes(summary: Summary) -> list[str]:
    named = [
        (summary.plan.graph[id].label, note) for id, record in summary.jobs.items() for note in record.notes
    ]
    lines = [f"{name}: {note}" for name, note in named[:MANY]]
    return [*lines, f"... {len(named) - MANY} more"] if len(named) > MANY else lines


def _switched_off(engine: Engine) -> list[str]:
    return [f"{type(one).__name__} was switched off: {error}" for one, error in engine.switched_off]


def _root_causes(summary: Summary) -> list[str]:
    lines = []
    graph = summary.plan.graph
    for root, blocked in summary.root_causes().items():
        record: JobRecord = summary.jobs[root]
        lines.append(f"{graph[root].label}: {record.reason}")
        if blocked:
            names = [graph[id].label for id in blocked[:MANY]]
            more = f", ... {len(blocked) - MANY} more" if len(blocked) > MANY else ""
            lines.append(f"  blocks {', '.join(names)}{more}")
    return lines[: 2 * MANY]
