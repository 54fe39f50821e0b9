"""The files that a run was asked for: events as they happen, report and graphs at the end."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobtest.core.errors import Problem, UsageError

if TYPE_CHECKING:
    from jobtest.core.planner import Plan
    from jobtest.engine.loop import Engine
    from jobtest.plugin.options import Options
    from jobtest.reports.events import EventLog

__all__ = ["ReportFiles", "refuse_unwritable"]


def refuse_unwritable(option: str, file: Path) -> Problem | None:
    """Return what keeps a file from being written, as far as that can be told before, or None."""
    folder = file.parent
    while not folder.exists():
        folder = folder.parent
    if file.is_dir():
        said = "it is a folder"
    elif not folder.is_dir():
        said = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        said = f"{file if file.exists() else folder} cannot be written"
    else:
        return None
    return Problem(what=f"{option} {str(file)!r}: {said}", fix="give a file that can be written")


class ReportFiles:
    """Writes what was asked for.

    Attributes:
        errors: What could not be written, a line each.
        written: The files that were.
    """

    def __init__(self, options: Options) -> None:
        self.errors: list[str] = []
        self.written: list[Path] = []
        self._options = options
        self._events: EventLog | None = None

    def open_events(self) -> EventLog | None:
        """Open the file of events, if one is asked for.

        Raises:
            UsageError: it cannot be opened.
        """
        if self._options.events is not None:
            from jobtest.reports.events import EventLog

            try:
                self._events = EventLog(self._options.events)
            except OSError as error:
                problem = Problem(what=f"--job-events cannot be written: {error}", fix="give another file")
                raise UsageError([problem]) from error
        return self._events

    def write(self, plan: Plan | None, engine: Engine | None) -> None:
        """Write reports and graphs; what cannot be written is kept in `errors`."""
        if self._events is not None and self._options.events is not None:
            self._events.close()
            self.written.append(self._options.events)
        if engine is not None:
            for file in self._options.reports:
                self._report(file, engine)
        if engine is not None and self._options.plan_out is not None:
            self._plan(self._options.plan_out, engine)
        if plan is not None:
            for where in self._options.graphs:
                if where != "tree":
                    self._graph(Path(where), plan, engine)

    def tree(self, plan: Plan, engine: Engine | None, *, unicode: bool) -> str:
        """Return the tree, if one is asked for, else nothing."""
        if "tree" not in self._options.graphs:
            return ""
        from jobtest.reports.graph import graph_tree

        return graph_tree(plan, engine.summary if engine is not None else None, unicode=unicode)

    def _report(self, file: Path, engine: Engine) -> None:
        from jobtest.reports.json_report import report_data, write_json

        try:
            record = engine.memory.record
            data = report_data(
                engine.summary,
                {**engine.memory.recalled, **engine.values},
                context=record.context or None,
                resumed_from=record.resumed_from or None,
                record=record,
            )
            hidden = self._options.secrets
            if hidden:
                jobs: Any = data["jobs"]
                data["jobs"] = [{**job, "value": hidden.masked(job["value"])} for job in jobs]
            write_json(file, data)
            self.written.append(file)
        except OSError as error:
            self.errors.append(f"--job-report cannot be written: {error}")

    def _plan(self, file: Path, engine: Engine) -> None:
        from jobtest.config.saved_plan import save
        from jobtest.plugin.applied import saved_plan

        try:
            context = self._options.settings.context
            save(file, saved_plan(engine.summary, shlex.join(self._options.selection), context))
            self.written.append(file)
        except UsageError as error:
            self.errors.append(f"--job-plan-out: {error}")

    def _graph(self, file: Path, plan: Plan, engine: Engine | None) -> None:
        from jobtest.reports.graph import write_graph

        try:
            write_graph(file, plan, engine.summary if engine is not None else None)
            self.written.append(file)
        except OSError as error:
            self.errors.append(f"--job-graph cannot be written: {error}")
