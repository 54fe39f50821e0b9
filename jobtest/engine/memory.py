"""What a run writes down and what it knows from earlier ones, over a store.

Each entry of the journal is written here, with what belongs to it (values, what is known of a job from now
on, cleanups that are owed). `commit` comes before anybody acts on it: the intent to run a body before the
body, the end of a job before it is reported (PRODUCT 8.2).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from jobtest.config.secrets import Secrets
from jobtest.core.errors import Problem, StateLost
from jobtest.core.events import (
    Entry,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_to_data
from jobtest.core.model import NOT_ENTERED, Command, EdgeKind, Job, Outcome, Phase, Verdict
from jobtest.core.past import OwedRollback, Past
from jobtest.core.planner import Plan
from jobtest.core.rollbacks import Rollbacks
from jobtest.core.summary import JobRecord, Summary
from jobtest.state.codec import Home, NotStorable, decode, encode
from jobtest.state.store import (
    Change,
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    CleanupOwed,
    PastKept,
    RunKept,
    RunRecord,
    Store,
    ValueKept,
)

__all__ = ["Memory", "expected_seconds", "recall"]

Homes = Callable[[str], Home]
NO_SECRETS = Secrets()
SHORTEST = 0.1
"""Seconds that a job counts for at least: what is shorter is noise, and would shuffle equal jobs."""


class _NoHome:
    """A place without types of its own."""

    def name(self, _: type) -> None:
        """Return no name."""

    def type(self, _: str) -> None:
        """Return no type."""


def no_homes(_: str) -> Home:
    """Return a place without types of its own, for any job."""
    return _NoHome()


class Memory:
    """Writes down one run.

    Args:
        store: Keeps it; owned.
        record: The run, as far as it is known before it begins.
        homes: From the id of a job to the place whose types its value may have.
        recalled: Values of earlier runs by job id, from `recall`.
        secrets: What must not be seen: it is masked in events, and a value that holds it is not kept.

    Attributes:
        lost: Why nothing can be kept any more, or None; from then on nothing is written.
    """

    def __init__(
        self,
        store: Store,
        record: RunRecord,
        *,
        homes: Homes = no_homes,
        recalled: Mapping[str, object] | None = None,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self.record, self.secrets = record, secrets
        self.recalled = dict(recalled or {})
        self.lost: StateLost | None = None
        self._store, self._homes = store, homes
        self._lock = threading.RLock()
        self._known: set[str] = set()
        self._promised: bool | None = None
        self._owing: set[str] = set()
        self._owed = {one.job for one in store.owed()}  # by earlier runs
        self._files: dict[str, Mapping[str, str]] = {}
        self._checkpoints = store.checkpoints()  # read now: later it would commit what is written by then
        self._plan: Plan
        self._rollbacks: Rollbacks
        self._now: dict[str, Past] = {}
        self._before: dict[str, Past] = {}
        self._changes: tuple[Change, ...] = ()

    def begin(self, plan: Plan, changes: tuple[Change, ...] = ()) -> None:
        """Say what the run is going to do, and what else is to be known from its beginning on."""
        self._plan, self._changes, self._rollbacks = plan, changes, Rollbacks(plan)
        if not plan.verb and plan.command is not Command.CLEANUP:
            gone = {id for id, past in plan.pasts.items() if past.gone}
            self.recalled = {id: value for id, value in self.recalled.items() if id not in gone}

    def entry(self, entry: Entry, summary: Summary, taken: Callable[[str], Mapping[str, str]]) -> None:
        """Write an entry with what belongs to it; `commit` keeps it.

        Args:
            entry: The entry.
            summary: What the run has come to before it.
            taken: From a job to the digests of the values that it takes.
        """
        event = entry.event
        match event:
            case PhaseStarted() | PhaseEnded():
                self._rollbacks.take(event)
                self._phase(entry, event)
            case JobEnded():
                due = self._rollbacks.take(event)
                job = self._plan.graph[event.job]
                self._ended(job, event, entry, summary.jobs[job.id], taken)
                for id in due:
                    self._owe_rollback(id, event, entry.run, summary.jobs[id])
                self._promise(entry, at_once=job.once or bool(due))
            case RetryPlanned() | RunStopped():
                self._promise(entry)
            case RunStarted():
                self.record = replace(self.record, jobs=len(self._plan.graph), started_at=entry.at)
                text = json.dumps(plan_to_data(self._plan), separators=(",", ":"), default=repr)
                self._promise(RunKept(self.record, text), *self._changes, entry, at_once=True)
            case RunEnded():
                totals = {outcome.value: number for outcome, number in summary.totals().items()}
                ended = replace(self.record, ended_at=entry.at, exit_status=event.exit_status, totals=totals)
                self._promise(RunKept(ended), entry, at_once=True)
            case _:
                self._write(entry)

    def _phase(self, entry: Entry, event: PhaseStarted | PhaseEnded) -> None:
        match event:
            case PhaseStarted(phase=Phase.RUN):
                job = self._plan.graph[event.job]
                if job.has_cleanup and job.id not in self._owing:
                    self._owing.add(job.id)
                    self._write(CleanupOwed(job.id, entry.run))
                self._promise(entry, at_once=job.has_cleanup or job.has_rollback or job.once)
            case PhaseStarted(phase=Phase.CLEANUP | Phase.ROLLBACK):
                self._promise(entry)
            case PhaseEnded(phase=Phase.RUN):
                self._run_ended(event)
                self._write(entry)
            case PhaseEnded(phase=Phase.CLEANUP):
                if event.verdict is Verdict.OK:
                    self._owing.discard(event.job)
                    self._write(CleanupDone(event.job))
                self._promise(entry, at_once=True)
            case PhaseEnded(phase=Phase.ROLLBACK):
                self._rolled_back(event, entry.at)
                self._promise(entry, at_once=True)
            case _:
                self._write(entry)

    def _run_ended(self, event: PhaseEnded) -> None:
        """Take back what was written for a body that was not entered after all."""
        if event.verdict not in NOT_ENTERED:
            self._owed.add(event.job)
        elif event.job in self._owing and event.job not in self._owed:
            self._owing.discard(event.job)
            self._write(CleanupDone(event.job))

    def _owe_rollback(self, job: str, event: JobEnded, run: str, record: JobRecord) -> None:
        """Write that a job is to be rolled back, and what is known of it if that is done."""
        ended = event if event.job == job else record
        owed = OwedRollback(
            run=run,
            turn=self._rollbacks.turn(job),
            error=ended.reason if ended.outcome is Outcome.FAILED else "",
            before=self._before.get(job) or self._plan.pasts.get(job),
        )
        self._keep(job, replace(self._known_of(job), rollback=owed))

    def _rolled_back(self, event: PhaseEnded, at: float) -> None:
        """Write what is known of a job from now on; if its rollback raised, that is what was known."""
        known = self._known_of(event.job)
        done = known.rollback.done(at) if known.rollback and event.verdict is Verdict.OK else known
        self._before[event.job] = replace(done, rollback=None)
        self._keep(event.job, self._before[event.job])

    def _known_of(self, job: str) -> Past:
        return self._now.get(job) or self._plan.pasts.get(job) or Past()

    def _keep(self, job: str, past: Past) -> None:
        self._now[job] = past
        self._write(PastKept(job, past))

    def put(self, job: Job, value: object) -> tuple[str, str]:
        """Keep a value; return its digest, and why it cannot be stored if it cannot."""
        try:
            encoded = encode(value, self._homes(job.id))
        except NotStorable as error:
            return "", str(error)
        secret = self.secrets.find(encoded.text)
        if secret:
            return "", f"it holds the secret {secret!r}"
        if encoded.digest not in self._known:
            self._known.add(encoded.digest)
            self._write(ValueKept(encoded.digest, encoded.text))
        return encoded.digest, ""

    def files(self, job: str, found: Mapping[str, str]) -> None:
        """Take in the digests of the files that a job names; they are kept when it ends well."""
        self._files[job] = {self.secrets.mask(path): digest for path, digest in found.items()}

    # --- checkpoints; from any thread ---

    def checkpoints(self, job: str) -> dict[str, str]:
        """Return the checkpoints of a job, JSON text by key."""
        with self._lock:
            return self._checkpoints.setdefault(job, {})

    def put_checkpoint(self, job: str, key: str, text: str) -> None:
        """Keep a checkpoint at once.

        Raises:
            StateLost: it could not be kept.
        """
        with self._lock:
            self.checkpoints(job)[key] = text
            self._promise(CheckpointKept(job, key, text), at_once=True)
            self.commit()
            if self.lost is not None:
                raise self.lost

    # --- writing ---

    def commit(self) -> None:
        """Commit what others are going to rely on, with all that was written before."""
        if self._promised is None or self.lost is not None:
            return
        at_once, self._promised = self._promised, None
        try:
            with self._lock:
                self._store.commit(at_once=at_once)
        except (StateLost, OSError) as error:
            self._lose(error)

    def _promise(self, *changes: Change, at_once: bool = False) -> None:
        """Write changes that others are going to rely on; `at_once` as for the commit."""
        self._write(*changes)
        self._promised = at_once or bool(self._promised)

    def _write(self, *changes: Change) -> None:
        if self.lost is None:
            try:
                with self._lock:
                    for change in changes:
                        self._store.write(change)
            except (StateLost, OSError) as error:
                self._lose(error)

    def _lose(self, error: StateLost | OSError) -> None:
        """Note why the store cannot keep anything any more."""
        if isinstance(error, StateLost):
            self.lost = error
        else:
            what, fix = f"the state cannot be written: {error}", "see to it, and start the same command again"
            self.lost = StateLost(Problem(what=what, at=(self._store.url,), fix=fix))

    def _ended(
        self,
        job: Job,
        event: JobEnded,
        entry: Entry,
        record: JobRecord,
        taken: Callable[[str], Mapping[str, str]],
    ) -> None:
        """Write what is known from now on of a job that has ended well, if it was asked or ran."""
        if event.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED) or not record.attempts:
            return
        past = self._plan.pasts.get(job.id) or Past()
        if self._plan.verb:
            if self._plan.command in (Command.DELETE, Command.ROLLBACK):
                self._keep(job.id, past.lost(entry.at))
            return
        left = self._plan.decisions[job.id].resumed
        if left is not None and left.entered:
            past = replace(past, value="")
        now = _after(past, job, event.outcome, entry, record, taken(job.id), self._files.get(job.id))
        if event.outcome is Outcome.CHANGED or _differ(past, now):
            self._keep(job.id, now)
        if self.checkpoints(job.id):
            self.checkpoints(job.id).clear()
            self._write(CheckpointsDropped(job.id))


def _after(
    past: Past,
    job: Job,
    outcome: Outcome,
    entry: Entry,
    record: JobRecord,
    taken: Mapping[str, str],
    files: Mapping[str, str] | None,
) -> Past:
    phases = [phase for attempt in record.attempts for phase in attempt.phases]
    checks = [phase.seconds for phase in phases if phase.phase is Phase.CHECK]
    runs = [phase.seconds for phase in phases if phase.phase is Phase.RUN and phase.ok]
    inputs = {id: past.inputs[id] for take in job.takes for id in take.upstream if id in past.inputs}
    changed = outcome is Outcome.CHANGED
    return Past(
        run=entry.run,
        at=entry.at,
        definition=job.definition,
        inputs={**inputs, **taken},
        files=past.files if files is None else files,
        check_seconds=checks[-1] if checks else past.check_seconds,
        run_seconds=runs[-1] if runs else past.run_seconds,
        value=record.value if record.value or runs else past.value,
        changed_run=entry.run if changed else past.changed_run,
        changed_at=entry.at if changed else past.changed_at,
    )


def _differ(past: Past, now: Past) -> bool:
    """Tell whether more than times is new."""
    new = replace(now, run=past.run, at=past.at, check_seconds=past.check_seconds)
    return not past.run or new != past


def expected_seconds(past: Past) -> float:
    """Return how long a job takes if it runs, as far as that is known; never less than `SHORTEST`."""
    run = past.run_seconds or 0.0
    return max(SHORTEST, round(run + past.check_seconds * (2 if past.run_seconds is not None else 1), 1))


def recall(
    store: Store,
    graph: Graph,
    pasts: Mapping[str, Past],
    homes: Homes = no_homes,
    *,
    every: bool = False,
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the stored values that somebody could ask for, and why others cannot be had, by job id.

    Args:
        store: Where they are.
        graph: The jobs.
        pasts: What is known of them.
        homes: From the id of a job to the place whose types its value may have.
        every: All stored values are asked for.
    """
    found: dict[str, object] = {}
    broken: dict[str, str] = {}
    for id, job in graph.jobs.items():
        past = pasts.get(id)
        if past is None or not past.value:
            continue
        if (
            every
            or job.own_value
            or job.has_cleanup
            or job.functions
            or any(kind is EdgeKind.VALUE for _, kind in graph.downstream(id))
        ):
            text = store.value(past.value)
            try:
                if text is None:
                    raise ValueError("it is not in the store")
                found[id] = decode(text, homes(id))
            except ValueError as error:
                broken[id] = str(error)
    return found, broken
