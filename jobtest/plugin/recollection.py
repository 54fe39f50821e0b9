"""What a session knows from earlier runs, and what its own run takes over from them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobtest.config.verbs import Verb
from jobtest.core.errors import Problem, StateError, UsageError
from jobtest.core.estimate import estimate
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_from_data
from jobtest.core.model import Command, Outcome
from jobtest.core.past import Past, Resumed
from jobtest.core.planner import Plan
from jobtest.core.resume import Left, how_left, resume
from jobtest.core.summary import Summary, summarize
from jobtest.core.verbs import verb_graph
from jobtest.engine.memory import expected_seconds, recall
from jobtest.plugin.items import JobItem
from jobtest.plugin.options import Options
from jobtest.reports.history.text import when
from jobtest.state.codec import Home, ModuleHome
from jobtest.state.in_context import InContext
from jobtest.state.opening import open_store
from jobtest.state.store import Change, CleanupOwed, Owner, PastKept, RunRecord, RunsDropped, Store

__all__ = ["Recollection", "Recovered"]

UNFINISHED = (Outcome.FAILED, Outcome.BLOCKED, Outcome.CANCELLED, Outcome.POSTPONED)
WOULD = (Outcome.WOULD_RUN, Outcome.UNKNOWN)
FEW = 5
"""Names that a line shows."""

WRITES = (Command.APPLY, Command.CLEANUP, Command.DELETE, Command.ROLLBACK, Command.VERB)
"""What is written down; a plan, a drift and a description only read."""

CHANGES = (Command.APPLY, Command.DELETE, Command.ROLLBACK)
"""What changes which jobs are there: goes on with its like only, and first does rollbacks that are owed."""

MOST_DROPPED = 20
"""Runs that are forgotten at the end of a run at most, so that no run waits long for it."""


@dataclass(slots=True)
class Recovered:
    """What this run takes over.

    Attributes:
        resumed: Where the run that is gone on with left jobs.
        record: That run, if there is one.
        owed: Jobs whose cleanups come with this run if they take part, in the order of being entered.
        under_way: Another run is, so that nothing can be said of what it leaves.
        all_owed: Jobs whose cleanups are owed, in that order.
        undo: Jobs whose rollbacks come first with this run if they take part, in the order of being entered.
        all_undo: Jobs whose rollbacks are owed, in that order.
        first: They come before anything else.
        changes: What is written down with the beginning of this run.
        lines: What the user is told.
    """

    resumed: dict[str, Resumed] = field(default_factory=dict)
    record: RunRecord | None = None
    owed: tuple[str, ...] = ()
    all_owed: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    all_undo: tuple[str, ...] = ()
    first: bool = False
    under_way: bool = False
    changes: tuple[Change, ...] = ()
    lines: list[str] = field(default_factory=list)


class Recollection:
    """The state of a project, as one session uses it.

    Attributes:
        store: Where runs are remembered.
        pasts: What is known of jobs.
        values: Stored values that somebody could ask for, by job id.
        seconds: How long jobs take, as far as that is known.
    """

    def __init__(self, url: str, root: Path, *, durability: str, large: int, context: str = "") -> None:
        self.store: Store = InContext(open_store(url, root, durability=durability, large=large), context)
        self.pasts: dict[str, Past] = {}
        self.values: dict[str, object] = {}
        self.seconds: dict[str, float] = {}
        self._homes: dict[str, Home] = {}
        self._loaded: list[Summary | None] = []
        self._items: Mapping[str, JobItem] = {}

    def own(self, owner: Owner, timeout: float) -> None:
        """Become the one run that writes.

        Raises:
            StateError: the state cannot be used, or another run holds it.
        """
        self.store.own(owner, timeout)

    def read(self, graph: Graph, items: Mapping[str, JobItem], *, every: bool = False) -> list[str]:
        """Read what is known of the jobs of a project; return what the user should know about it.

        Args:
            graph: The jobs.
            items: By id.
            every: All stored values are asked for.
        """
        self._items = items
        self.pasts = self.store.pasts()
        self.values, broken = recall(self.store, graph, self.pasts, self.home, every=every)
        for id in broken:
            self.pasts[id] = replace(self.pasts[id], value="")
        known = ((id, past) for id, past in self.pasts.items() if id in graph and past.run)
        self.seconds = {id: expected_seconds(past) for id, past in known}
        return [f"the stored value of {graph[id].label} is of no use: {why}" for id, why in broken.items()]

    def home(self, id: str) -> Home:
        """Return the module of a job, whose types its value may have."""
        item = self._items[id]
        name = item.module.__name__
        if name not in self._homes:
            self._homes[name] = ModuleHome(item.module)
        return self._homes[name]

    # --- earlier runs ---

    def recover(self, graph: Graph, run: str, options: Options) -> Recovered:
        """Return what a run takes over from the ones before.

        Args:
            graph: All jobs of the project.
            run: Id of the new run.
            options: What it is asked for.
        """
        found, command, goes_on = Recovered(), options.command, options.resume
        if command is Command.CLEANUP:
            found.all_owed = tuple(one.job for one in self.store.owed())
            return found
        if command not in WRITES and self._is_owned(found):
            return found
        verb = options.verb.does
        last = self._last(verb)
        killed = last is not None and last.ended_at is None
        if last is not None and killed and command in WRITES and last.host == socket.gethostname():
            found.lines += _swept(last.id)
        if goes_on and (last is None or last.command != verb):
            why = f"the last run was for {last.command}" if last is not None else "there is no earlier run"
            found.lines.append(f"nothing to resume: {why}; this is a new one")
            goes_on = False
        if last is not None and (killed or goes_on):
            try:
                self._look_at(last, graph, found, options.verb, goes_on=goes_on)
            except UsageError as error:
                if goes_on or isinstance(error, StateError):
                    raise
                found.lines += [problem.what for problem in error.problems]
        self._inherit(run, found, keep=options.keep, every=verb == "apply")
        self._inherit_rollbacks(graph, found)
        found.undo = found.undo if command in CHANGES else ()
        if command not in WRITES:
            found.changes, found.owed = (), ()
        return found

    def _is_owned(self, found: Recovered) -> bool:
        """Tell whether another run is under way, also to the user."""
        owner = self.store.owner()
        if owner is not None:
            found.under_way = True
            found.lines.append(f"another run is under way: pid {owner.pid} on {owner.host}: {owner.command}")
        return found.under_way

    def _last(self, verb: str) -> RunRecord | None:
        """Return the last run that counts for a verb: of those that change which jobs are there, any."""
        changes = [command.value for command in CHANGES]
        counts = changes if verb in (*changes, "describe") else [verb]
        return next((one for one in self.store.runs(50) if one.command in counts), None)

    def _look_at(self, last: RunRecord, graph: Graph, found: Recovered, verb: Verb, *, goes_on: bool) -> None:
        plan = self.plan_of(last)
        left = how_left(plan, self.store.entries(last.id))
        if last.ended_at is None and last.command == Command.APPLY.value:
            self._doubt(last, graph, left, found)
        elif last.ended_at is not None and _is_finished(last):
            ended = f", which ended with exit status {last.exit_status}" if last.exit_status else ""
            done = f"all jobs of run {last.id} are done{ended}"
            found.lines.append(f"nothing to resume: {done}; this is a new run")
            return
        if not goes_on:
            same = "" if last.command == verb.does else f"--job-command={last.command} "
            how = _how_it_ended(last, plan, left)
            found.lines.append(f"{how}; {same}--job-resume would have gone on with it")
            return
        owed = {one.job for one in self.store.owed()}
        stored = {id for id, past in self.pasts.items() if past.value}
        for id in (id for id, past in self.pasts.items() if past.rollback and id in left):
            left[id] = Left()
        found.record = last
        if plan.verb:
            graph = verb_graph(graph, verb.does, self.pasts, reverse=verb.reverse)
        found.resumed = resume(graph, plan, left, last.id, stored=stored, owed=owed)
        found.lines.append(f"going on: {_how_it_ended(last, plan, left)}")
        found.lines += _what_is_new(graph, plan, left)

    def plan_of(self, record: RunRecord) -> Plan:
        """Return the plan of a run.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            return plan_from_data(json.loads(self.store.plan(record.id) or "{}"))
        except ValueError as error:
            what = f"the plan of run {record.id} cannot be read: {error}"
            fix = "run without --job-resume and --lf"
            raise UsageError([Problem(what=what, at=(self.store.url,), fix=fix)]) from error

    def _doubt(self, last: RunRecord, graph: Graph, left: Mapping[str, Left], found: Recovered) -> None:
        """Note which jobs that must not run twice may have run when a run was killed."""
        for id, one in left.items():
            if one.ran and id in graph and graph[id].once:
                self.pasts[id] = replace(self.pasts.get(id, Past()), doubt=last.id)
                found.changes += (PastKept(id, self.pasts[id]),)

    def _inherit(self, run: str, found: Recovered, *, keep: bool, every: bool) -> None:
        """Take over cleanups: those of runs that were killed; or if a run is gone on with, `every` one."""
        owed = self.store.owed()
        if found.record is None or not every:
            killed = [one for one in owed if self._was_killed(one.run)]
            found.owed, found.first = tuple(one.job for one in killed), True
        else:
            found.owed = () if keep else tuple(one.job for one in owed)
            found.changes += tuple(CleanupOwed(one.job, run) for one in owed)
        found.all_owed = tuple(one.job for one in owed)

    def _inherit_rollbacks(self, graph: Graph, found: Recovered) -> None:
        """Take over rollbacks that are owed, and forget those for which there is no function any more."""
        owing = [(one.rollback.run, one.rollback.turn, id) for id, one in self.pasts.items() if one.rollback]
        for _, _, id in sorted(owing):
            if id in graph and graph[id].has_rollback:
                found.undo += (id,)
                continue
            what = "a rollback is owed, and there is no rollback function any more"
            found.lines.append(f"{graph[id].label if id in graph else id}: {what}; it is not done")
            self.pasts[id] = replace(self.pasts[id], rollback=None)
            found.changes += (PastKept(id, self.pasts[id]),)
        found.all_undo = found.undo

    def _was_killed(self, run: str) -> bool:
        record = self.store.run(run)
        return record is None or record.ended_at is None

    def owed_lines(self, found: Recovered, graph: Graph, plan: Plan) -> list[str]:
        """Return what the user should know about cleanups that earlier runs owe.

        Args:
            found: What is taken over.
            graph: All jobs of the project.
            plan: What this run is going to do.
        """
        lines = []
        gone = [id for id in found.all_owed if id not in graph or not graph[id].has_cleanup]
        if gone:
            what = f"{_named(gone)}: a cleanup is owed, and there is no cleanup function any more"
            lines.append(f"{what}; `jobtest prune --owed ID` forgets it")
        if plan.command is Command.CLEANUP or found.under_way:
            return lines
        lines += _undo_lines(found, graph, plan)
        if plan.owed:
            order = "first" if plan.owed_first else "at the end"
            names = _named([graph[id].label for id in plan.owed])
            lines.append(f"cleanups owed by earlier runs, done {order}: {names}")
        later = [graph[id].label for id in found.all_owed if id not in (*plan.owed, *gone)]
        if later:
            lines.append(f"cleanups owed by earlier runs: {_named(later)}; --job-command=cleanup does them")
        return lines

    # --- selection ---

    def last_failed(self) -> tuple[set[str], str]:
        """Return what failed or was blocked in the last run, and a line that says so."""
        last = self._last("apply")
        if last is None:
            return set(), "last failed: there is no earlier run; all jobs are selected"
        left = how_left(self.plan_of(last), self.store.entries(last.id))
        bad = {id for id, one in left.items() if one.outcome in (Outcome.FAILED, Outcome.BLOCKED)}
        bad |= {id for id, one in left.items() if one.ran}
        if not bad:
            return set(), f"last failed: nothing in run {last.id}; all jobs are selected"
        return bad, f"last failed: {len(bad)} of run {last.id}"

    def missing_values(self, graph: Graph, selected: set[str]) -> list[Problem]:
        """Return a problem for each value that is taken of a job outside of a selection and is not stored."""
        problems = []
        for job in (graph[id] for id in graph.jobs if id in selected):
            taken = (id for take in job.takes for id in take.upstream if id not in selected)
            for id in taken:
                if id not in self.values and (graph[id].has_run or graph[id].has_describe):
                    up = graph[id].label
                    what = f"--job-no-upstream: job {job.label} takes the value of {up}, and none is stored"
                    fix = f"run {up} once, or leave out --job-no-upstream"
                    problems.append(Problem(what=what, at=(job.at,), fix=fix))
        return problems

    # --- for a plan ---

    def known_of(self, id: str) -> list[str]:
        """Return lines about earlier runs of a job: its last success, its last attempts if they failed."""
        past, lines = self.pasts.get(id), []
        if past is not None and past.run:
            took = f", took {past.run_seconds:.1f}s" if past.run_seconds is not None else ""
            same = past.changed_run == past.run
            lines.append(f"last success {when(past.at)} in run {past.run}{took if same else ''}")
            if past.changed_run and not same:
                lines.append(f"last changed {when(past.changed_at)} in run {past.changed_run}{took}")
        last = self._last_loaded()
        record = last.jobs.get(id) if last is not None else None
        if last is not None and record is not None and record.outcome in UNFINISHED:
            tried = f" after {len(record.attempts)} attempts" if len(record.attempts) > 1 else ""
            outcome = record.outcome.value if record.outcome is not None else ""
            lines.append(f"{outcome}{tried} in the last run, {last.run_id}: {record.reason}")
        return lines or ["never ended well so far"]

    def redefined(self, plan: Plan) -> list[str]:
        """Return a line for each job that is defined otherwise than at its last success."""
        return [
            f"{job.label}: its definition has changed since its last success, in run {self.pasts[job.id].run}"
            for job in plan.graph
            if job.id in self.pasts and self.pasts[job.id].definition not in ("", job.definition)
        ]

    def _last_loaded(self) -> Summary | None:
        """Return the last run, read once."""
        if not self._loaded:
            last = self._last("apply")
            summary = summarize(self.plan_of(last), self.store.entries(last.id)) if last is not None else None
            self._loaded.append(summary)
        return self._loaded[0]

    def estimated(self, summary: Summary, workers: int) -> str:
        """Return a line that says how long a run would take, told from earlier ones."""
        known = {id: past for id, past in self.pasts.items() if id in summary.jobs and past.run}
        if not known:
            return "estimated time: not known before the first run"
        full = {id: (past.run_seconds or 0.0) + 2 * past.check_seconds for id, past in known.items()}
        usual = sum(full.values()) / len(full)
        seconds: dict[str, float] = {}
        for id, record in summary.jobs.items():
            if record.outcome in WOULD:
                seconds[id] = full.get(id, usual)
            else:
                seconds[id] = record.seconds
        new = sum(id not in known for id in summary.jobs if summary.jobs[id].outcome in WOULD)
        guessed = f"; {new} never ran and count as the mean" if new else ""
        return f"estimated time: {estimate(summary.plan, seconds, workers):.1f}s with -J {workers}{guessed}"

    # --- the end ---

    def still_owed(self) -> list[str]:
        """Return lines about rollbacks and cleanups that are owed after this run."""
        undo = [id for id, past in self.store.pasts().items() if past.rollback]
        lines = self._owed("rollback", undo, "the next run of these jobs does them")
        cleanups = [one.job for one in self.store.owed()]
        return lines + self._owed("cleanup", cleanups, "pytest --orchestrate --job-command=cleanup does them")

    def _owed(self, what: str, jobs: Sequence[str], then: str) -> list[str]:
        names = [self._items[id].source.name if id in self._items else id for id in jobs]
        many = "s are" if len(names) > 1 else " is"
        return [f"{len(names)} {what}{many} owed: {_named(names)}; {then}"] if names else []

    def forget(self, keep: int) -> None:
        """Forget runs that are older than the newest `keep`, a few at a time."""
        runs = self.store.runs(keep + MOST_DROPPED)
        owing = {one.run for one in self.store.owed()}
        old = [one.id for one in runs[keep:] if one.id not in owing]
        if old:
            self.store.write(RunsDropped(tuple(old)))
            self.store.commit()


def _undo_lines(found: Recovered, graph: Graph, plan: Plan) -> list[str]:
    lines = []
    if plan.undo:
        names = _named([graph[id].label for id in plan.undo])
        lines.append(f"rollbacks owed by earlier runs, done first: {names}")
    later = [graph[id].label for id in found.all_undo if id not in plan.undo]
    if later:
        lines.append(f"rollbacks owed by earlier runs: {_named(later)}; the next run of these jobs does them")
    return lines


def _swept(run: str) -> list[str]:
    """Kill what a killed run has left behind; return a line that says so."""
    from jobtest.engine.executors.process.leftovers import kill_leftovers

    number = kill_leftovers(run)
    many = "processes" if number > 1 else "process"
    return [f"killed {number} {many} that run {run} had left behind"] if number else []


def _is_finished(record: RunRecord) -> bool:
    """Tell whether every job of a run has ended, and none in a way that may be tried again."""
    ended = sum(record.totals.values()) == record.jobs
    return ended and not any(record.totals.get(outcome.value) for outcome in UNFINISHED)


def _how_it_ended(record: RunRecord, plan: Plan, left: Mapping[str, Left]) -> str:
    good = [id for id, one in left.items() if one.outcome in (Outcome.CHANGED, Outcome.UNCHANGED)]
    at = when(record.started_at)
    how = "was killed" if record.ended_at is None else f"ended with exit status {record.exit_status}"
    said = f"run {record.id} of {at} {how} with {len(good)} of {len(left)} jobs done"
    running = [plan.graph[id].label for id, one in left.items() if one.ran]
    return f"{said}, running: {_named(running)}" if running else said


def _what_is_new(graph: Graph, plan: Plan, left: Mapping[str, Left]) -> list[str]:
    """Return lines about jobs that have changed or gone since a run was left."""
    lines = []
    gone = [plan.graph[id].label for id in left if id not in graph]
    if gone:
        lines.append(f"no longer there: {_named(gone)}")
    done = (id for id, one in left.items() if one.outcome in (Outcome.CHANGED, Outcome.UNCHANGED))
    other = [id for id in done if id in graph and graph[id].definition != plan.graph[id].definition]
    if other:
        names = _named([graph[id].label for id in other])
        lines.append(f"done, and defined differently since; begins anew: {names}")
    return lines


def _named(names: Sequence[str]) -> str:
    more = f", ... {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
