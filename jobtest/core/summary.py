"""What a run came to, folded from its entries: the same entries always give the same summary.

Readers (terminal, JSON, graph) look here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    BodyEnded,
    Entry,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunStarted,
    RunStopped,
)
from jobtest.core.faults import INJECTED
from jobtest.core.model import TAIL, Failure, Kind, Outcome, Phase, Verdict
from jobtest.core.planner import Plan
from jobtest.core.policies import first_phase

__all__ = ["AttemptRecord", "JobRecord", "PhaseRecord", "Summary", "summarize"]


@dataclass(slots=True)
class PhaseRecord:
    """One call of the user's code. Times in seconds since the epoch."""

    phase: Phase
    started_at: float
    ended_at: float | None = None
    verdict: Verdict | None = None
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether it did what it should."""
        return self.verdict is Verdict.OK

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it runs."""
        return self.ended_at - self.started_at if self.ended_at is not None else 0.0


@dataclass(slots=True)
class AttemptRecord:
    """One pass check, run, recheck, with what it printed and logged."""

    number: int
    phases: list[PhaseRecord] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    log: str = ""

    @property
    def failure(self) -> Failure | None:
        """What its last phase went wrong of, if it did."""
        last = self.phases[-1] if self.phases else None
        return last.failure if last is not None and not last.ok else None


@dataclass(slots=True)
class JobRecord:
    """What is known of one job. Times in seconds since the epoch; waits in seconds.

    `value` is the digest of the value that it made in this run, if that can be stored; else empty.
    `earlier_cleanup` and `earlier_rollback` are those that an earlier run owed, if they came before anything
    else. `lingers`: a body of it was abandoned, and goes on.
    """

    id: str
    outcome: Outcome | None = None
    reason: str = ""
    kind: Kind | None = None
    causes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    order: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    close: PhaseRecord | None = None
    rollback: PhaseRecord | None = None
    earlier_rollback: PhaseRecord | None = None
    cleanup: PhaseRecord | None = None
    earlier_cleanup: PhaseRecord | None = None
    value: str = ""
    lingers: bool = False
    waited_resource: float = 0.0
    waited_backoff: float = 0.0
    waited_worker: float = 0.0
    waited_upstream: float = 0.0
    since: float | None = None

    @property
    def seconds(self) -> float:
        """Time in phases, over all attempts."""
        return sum(phase.seconds for attempt in self.attempts for phase in attempt.phases)

    @property
    def injected(self) -> list[str]:
        """The faults that it was given on purpose, as `Fault.told` tells them."""
        told = (note.partition("\n")[0] for note in self.notes if note.startswith(INJECTED))
        return [note.removeprefix(INJECTED) for note in told]

    @property
    def failure(self) -> Failure | None:
        """What it has failed of for good: what its last run phase raised, if it did."""
        if self.outcome is not Outcome.FAILED:
            return None
        phases = self.attempts[-1].phases if self.attempts else []
        raised = [one.failure for one in phases if one.phase is Phase.RUN and not one.ok]
        raised += [one.failure for one in phases[-1:] if not one.ok]
        return next((one for one in raised if one is not None), Failure(self.reason))

    @property
    def tails(self) -> list[PhaseRecord]:
        """What came after it had ended, and what earlier runs owed."""
        found = (self.earlier_rollback, self.earlier_cleanup, self.close, self.rollback, self.cleanup)
        return [one for one in found if one is not None]

    def tail(self, phase: Phase, *, earlier: bool) -> PhaseRecord | None:
        """Return what came of a phase after its end; `earlier`: of one that an earlier run owed."""
        match phase:
            case Phase.ROLLBACK:
                return self.earlier_rollback if earlier else self.rollback
            case Phase.CLEANUP:
                return self.earlier_cleanup if earlier else self.cleanup
            case _:
                return self.close

    def begin_tail(self, phase: PhaseRecord, *, earlier: bool) -> None:
        """Take in that a phase after its end has begun; `earlier` as for `tail`."""
        match phase.phase:
            case Phase.ROLLBACK if earlier:
                self.earlier_rollback = phase
            case Phase.ROLLBACK:
                self.rollback = phase
            case Phase.CLEANUP if earlier:
                self.earlier_cleanup = phase
            case Phase.CLEANUP:
                self.cleanup = phase
            case _:
                self.close = phase


class Summary:
    """The fold of a run.

    Args:
        plan: What was to be done.

    Attributes:
        values: The values of jobs by id, as far as they are known in this process; put there by the engine.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.run_id = ""
        self.command = plan.command
        self.workers = 1
        self.started_at = 0.0
        self.ended_at: float | None = None
        self.exit_status: int | None = None
        self.stopped = ""
        self.jobs: dict[str, JobRecord] = {id: JobRecord(id) for id in plan.graph.jobs}
        self.values: dict[str, object] = {}
        self._started = 0
        self._last = 0.0

    @property
    def seconds(self) -> float:
        """How long the run took, so far or as a whole."""
        return max(0.0, (self.ended_at if self.ended_at is not None else self._last) - self.started_at)

    def totals(self) -> Counter[Outcome]:
        """Return how many jobs ended in each way."""
        return Counter(record.outcome for record in self.jobs.values() if record.outcome is not None)

    def root_causes(self) -> Mapping[str, list[str]]:
        """Return the failed jobs, each with those it blocked."""
        roots: dict[str, list[str]] = {
            id: [] for id, record in self.jobs.items() if record.outcome is Outcome.FAILED
        }
        for id, record in self.jobs.items():
            if record.outcome is Outcome.BLOCKED:
                for cause in record.causes[:1]:
                    roots.setdefault(cause, []).append(id)
        return roots

    def critical_path(self) -> list[str]:
        """Return the chain of jobs, each waiting for the one before, that took the longest in all."""
        length: dict[str, tuple[float, int]] = {}
        before: dict[str, str | None] = {}
        for id in self.plan.order:
            if self.jobs[id].attempts:
                upstream = [edge.upstream for edge in self.plan.graph.upstream(id) if edge.upstream in length]
                last = before[id] = max(upstream, key=length.__getitem__, default=None)
                seconds, jobs = length[last] if last is not None else (0.0, 0)
                length[id] = seconds + self.jobs[id].seconds, jobs + 1
        at = max(length, key=length.__getitem__, default=None)
        path = []
        while at is not None:
            path.append(at)
            at = before[at]
        return path[::-1]

    def apply(self, entry: Entry) -> None:
        """Take in an entry; they come in the order of the journal."""
        event, self._last = entry.event, entry.at
        match event:
            case PhaseStarted():
                self._phase_started(self.jobs[event.job], event, entry.at)
            case PhaseEnded():
                self._phase_ended(self.jobs[event.job], event, entry.at)
            case JobEnded():
                self._job_ended(self.jobs[event.job], event, entry.at)
            case AttemptSuspended() | RetryPlanned():
                self.jobs[event.job].since = entry.at
            case BackoffEnded():
                record = self.jobs[event.job]
                record.waited_backoff += entry.at - (entry.at if record.since is None else record.since)
                record.since = entry.at
            case BodyEnded():
                self.jobs[event.job].lingers = False
            case RunStarted():
                self.run_id, self.command, self.workers = entry.run, event.command, event.workers
                self.started_at = entry.at
            case RunStopped():
                self.stopped = event.reason
            case _:
                self.exit_status, self.ended_at = event.exit_status, entry.at

    def _phase_started(self, record: JobRecord, event: PhaseStarted, at: float) -> None:
        phase = PhaseRecord(event.phase, at)
        if event.phase in TAIL:
            record.begin_tail(phase, earlier=not event.attempt)
            return
        if event.phase is first_phase(self.plan.graph[record.id]):
            self._attempt_started(record, event, at)
        record.attempts[-1].phases.append(phase)

    def _attempt_started(self, record: JobRecord, event: PhaseStarted, at: float) -> None:
        if record.started_at is None:
            record.started_at, record.order = at, self._started
            self._started += 1
        self._count_waits(record, event.held_by, at)
        if record.attempts and record.attempts[-1].number == event.attempt:
            record.attempts.pop()
        record.attempts.append(AttemptRecord(event.attempt))

    def _count_waits(self, record: JobRecord, held_by: str, at: float) -> None:
        """Split the time since the run, the suspension or the backoff in that for upstream and the rest."""
        since = self.started_at if record.since is None else record.since
        ends = (self.jobs[edge.upstream].ended_at for edge in self.plan.graph.upstream(record.id))
        ready = max((end for end in ends if end is not None and end > since), default=since)
        record.waited_upstream += ready - since
        if held_by:
            record.waited_resource += at - ready
        else:
            record.waited_worker += at - ready

    @staticmethod
    def _phase_ended(record: JobRecord, event: PhaseEnded, at: float) -> None:
        if event.phase in TAIL:
            phase = record.tail(event.phase, earlier=not event.attempt)
        else:
            attempt = record.attempts[-1]
            phase = attempt.phases[-1]
            attempt.stdout += event.stdout
            attempt.stderr += event.stderr
            attempt.log += event.log
        if phase is not None:
            phase.ended_at, phase.verdict, phase.failure = at, event.verdict, event.failure
        if event.phase in (Phase.RUN, Phase.DESCRIBE):
            record.value = event.value
        record.lingers = event.verdict is Verdict.ABANDONED
        if event.notes:
            record.notes += event.notes

    @staticmethod
    def _job_ended(record: JobRecord, event: JobEnded, at: float) -> None:
        record.outcome, record.reason, record.kind, record.causes = (
            event.outcome,
            event.reason,
            event.kind,
            event.causes,
        )
        record.notes += event.notes
        record.ended_at = at


def summarize(plan: Plan, entries: Iterable[Entry]) -> Summary:
    """Return the summary of a journal, whole or cut short."""
    summary = Summary(plan)
    for entry in entries:
        summary.apply(entry)
    return summary
