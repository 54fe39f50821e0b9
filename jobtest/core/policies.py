"""The life of one job: which phase follows which verdict, and how it ends. Pure functions, no state.

The table (PRODUCT 4). `check` and `recheck` ask the same function; a job without a check has only `run`.

| phase | verdict | then |
|---|---|---|
| check | ok | end `unchanged` (`changed` if an earlier attempt ran); or run, if forced; or hold, if its
value is taken and there is none |
| check | not_holding | run; a gate: try again or end `failed (check_failed)` |
| check, recheck | broken | end `failed (broken_check)` |
| any | setup_error | try again or end `failed (setup_error)` |
| run | ok | recheck, after describe if the check takes what that returns; without a check: end `changed` |
| run | raised | the same; without a check: try again or end `failed (run_error)` |
| run | would_run, drifted | end `would-run`, `failed (check_failed)`: from the executors of a plan, a drift |
| recheck | ok | end `changed`; `failed (run_error)` if run raised, and its check held before, too, or its
value is wanted and there is none |
| recheck | not_holding | try again or end `failed` |
| describe | ok | end as the check or the recheck said, or ask the recheck |
| describe | raised | end `failed (run_error)` |
| any | timed_out, crashed | try again or end `failed (timeout)`, `failed (crashed)` |
| any | abandoned | end `failed (timeout)`: never two live bodies of one job |
| any | skipped, unknown, interrupted, not_begun | end `skipped`, `unknown`, `cancelled` |

Of a job whose run phase takes it away (`Job.goes`), all is well if its check does not hold: where the table
says ok it is not_holding, and the other way round. If jobs are described, nothing runs: check, describe, end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jobtest.core.events import Event, JobEnded, PhaseEnded, PhaseStarted
from jobtest.core.model import (
    FILES_DIFFER,
    EdgeKind,
    Failure,
    Job,
    Kind,
    OnFailure,
    Outcome,
    Phase,
    Retry,
    Verdict,
)

__all__ = [
    "Again",
    "End",
    "Go",
    "Hold",
    "Progress",
    "Step",
    "doomed_end",
    "dooms",
    "first_phase",
    "held",
    "may_take_back",
    "next_step",
    "retry_delay",
    "uses",
]

LONGEST_DELAY = 365 * 86400.0
"""Seconds that no delay exceeds if the user does not say: a year, which any clock can count."""


@dataclass(slots=True)
class Progress:
    """What the decision about a job depends on, beside its last verdict.

    Attributes:
        attempt: Number of the attempt.
        must_run: It runs even if its check holds, and this is why; empty if not.
        wanted: Another job takes its value.
        has_value: It has a value.
        exists: What it brings about is there, for all that is known from earlier runs.
        entered: Its run phase has been entered, in this attempt or an earlier one.
        reason: Why it runs, for the report.
        run_failure: What its run phase raised in this attempt.
        pending: How it ends once its describe function has answered; None: the recheck is asked then.
    """

    attempt: int = 1
    must_run: str = ""
    wanted: bool = False
    has_value: bool = False
    exists: bool = False
    entered: bool = False
    reason: str = ""
    run_failure: Failure | None = None
    pending: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """Start a phase; `pending` as in `Progress`."""

    phase: Phase
    reason: str = ""
    pending: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """This attempt failed; try again if one is left, else end as said."""

    otherwise: End
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Hold:
    """The check holds and there is no value: wait until a consumer wants one, or none can any more."""


@dataclass(frozen=True, slots=True)
class End:
    """The job ends."""

    outcome: Outcome
    reason: str
    kind: Kind | None = None
    notes: tuple[str, ...] = ()


Step = Go | Again | Hold | End


def first_phase(job: Job) -> Phase:
    """Return the phase with which every attempt of a job starts."""
    if job.has_check and not job.unasked:
        return Phase.CHECK
    return Phase.DESCRIBE if job.calls == "describe" else Phase.RUN


def next_step(job: Job, progress: Progress, ended: PhaseEnded) -> Step:
    """Return what follows the end of a phase; the table of this module.

    Raises:
        ValueError: the verdict cannot come from the phase; this is a bug of the executor.
    """
    said = str(ended.failure) if ended.failure else ""
    word = job.word if ended.phase is Phase.RUN else ended.phase.value
    match ended.verdict:
        case Verdict.SETUP_ERROR:
            end = End(Outcome.FAILED, f"set-up failed: {said}", Kind.SETUP_ERROR)
            return Again(end, ended.failure)
        case Verdict.SKIPPED:
            return End(Outcome.SKIPPED, said)
        case Verdict.UNKNOWN:
            return End(Outcome.UNKNOWN, said)
        case Verdict.INTERRUPTED | Verdict.NOT_BEGUN:
            return End(Outcome.CANCELLED, said or "interrupted", Kind.CANCELLED)
        case Verdict.TIMED_OUT:
            return Again(End(Outcome.FAILED, f"{word} {said}", Kind.TIMEOUT), ended.failure)
        case Verdict.ABANDONED:
            return End(Outcome.FAILED, f"{word} {said}", Kind.TIMEOUT)
        case Verdict.CRASHED:
            return Again(End(Outcome.FAILED, f"{word} {said}", Kind.CRASHED), ended.failure)
        case Verdict.BROKEN if ended.phase in (Phase.CHECK, Phase.RECHECK):
            return End(Outcome.FAILED, f"its check is broken: {said}", Kind.BROKEN_CHECK)
    if ended.verdict not in _DECIDED_BY.get(ended.phase, ()):
        raise ValueError(
            f"{ended.phase.value} cannot end as {ended.verdict.value}; this is a bug of the executor"
        )
    return _AFTER[ended.phase](job, progress, ended, said)


def _after_check(job: Job, progress: Progress, ended: PhaseEnded, said: str) -> Step:
    if job.calls == "describe":
        return _seen(job, progress, ended, said)
    if job.goes:
        return _still_there(progress, ended, said)
    if ended.verdict is Verdict.NOT_HOLDING:
        if not job.has_run:
            end = End(Outcome.FAILED, f"check did not hold: {said}", Kind.CHECK_FAILED)
            return Again(end, ended.failure)
        whole = ended.failure is not None and ended.failure.type == FILES_DIFFER
        return Go(Phase.RUN, said if whole else f"check did not hold: {said}")
    if job.has_run and progress.must_run:
        return Go(Phase.RUN, progress.must_run)
    if job.has_describe and progress.entered:
        return Go(Phase.DESCRIBE, progress.reason, Outcome.CHANGED)
    if job.has_describe:
        return Go(Phase.DESCRIBE, "check holds", Outcome.UNCHANGED)
    if job.has_run and progress.wanted and not progress.has_value:
        return Hold()
    return held(progress)


def _seen(job: Job, progress: Progress, ended: PhaseEnded, said: str) -> Step:
    """Return what follows the check of a job that is described."""
    holds = ended.verdict is Verdict.OK
    reason = "as declared" if holds else f"drifted: {said}" if progress.exists else progress.reason
    if job.has_describe and (holds or progress.exists):
        return Go(Phase.DESCRIBE, reason, Outcome.UNCHANGED)
    return End(Outcome.UNCHANGED, reason)


def _still_there(progress: Progress, ended: PhaseEnded, said: str) -> Step:
    """Return what follows the check of a job that is to go."""
    if ended.verdict is Verdict.OK:
        return Go(Phase.RUN, "it is there")
    if progress.entered:
        note = f"it was not there any more before attempt {progress.attempt}"
        return End(Outcome.CHANGED, progress.reason, None, (note,))
    return End(Outcome.UNCHANGED, f"not there: {said}")


def held(progress: Progress) -> End:
    """Return how a job ends whose check holds before its run phase: changed, if an earlier attempt ran."""
    if progress.entered:
        note = f"its check held before attempt {progress.attempt} ran"
        return End(Outcome.CHANGED, progress.reason, None, (note,))
    return End(Outcome.UNCHANGED, "check holds")


def _after_run(job: Job, progress: Progress, ended: PhaseEnded, said: str) -> Step:
    match ended.verdict:
        case Verdict.WOULD_RUN:
            return End(Outcome.WOULD_RUN, progress.reason)
        case Verdict.DRIFTED:
            return End(Outcome.FAILED, progress.reason, Kind.CHECK_FAILED)
    if job.has_check:
        return Go(Phase.DESCRIBE if _describes_for_check(job) else Phase.RECHECK, progress.reason)
    if ended.verdict is Verdict.RAISED:
        return Again(End(Outcome.FAILED, f"{job.word} raised {said}", Kind.RUN_ERROR), ended.failure)
    return _changed(job, progress)


def _after_recheck(job: Job, progress: Progress, ended: PhaseEnded, said: str) -> Step:
    raised = progress.run_failure
    if job.goes:
        return _gone_at_last(job, progress, ended)
    if ended.verdict is Verdict.NOT_HOLDING:
        reason = f"check did not hold after the run: {said}"
        if raised is not None:
            reason = f"{job.word} raised {raised}; {reason}"
        kind = Kind.CHECK_FAILED if raised is None else Kind.RUN_ERROR
        return Again(End(Outcome.FAILED, reason, kind), raised or ended.failure)
    if raised is not None and progress.must_run:
        reason = f"{job.word} raised {raised}; its check holds, but it did before: {progress.must_run}"
        return Again(End(Outcome.FAILED, reason, Kind.RUN_ERROR), raised)
    if raised is not None and progress.wanted and not progress.has_value and not job.has_describe:
        said = "its check holds, but there is no value and another job takes it"
        reason = f"{job.word} raised {raised}; {said}"
        return Again(End(Outcome.FAILED, reason, Kind.RUN_ERROR), raised)
    return _changed(job, progress)


def _gone_at_last(job: Job, progress: Progress, ended: PhaseEnded) -> Step:
    """Return what follows the recheck of a job that was to go."""
    raised = progress.run_failure
    first = f"{job.word} raised {raised}" if raised is not None else ""
    if ended.verdict is Verdict.OK:
        reason = f"{first}; its check still holds" if first else f"its check still holds after {job.word}"
        kind = Kind.CHECK_FAILED if raised is None else Kind.RUN_ERROR
        return Again(End(Outcome.FAILED, reason, kind), raised)
    notes = (f"{first}, and its check does not hold any more",) if first else ()
    return End(Outcome.CHANGED, progress.reason, None, notes)


def _after_describe(job: Job, progress: Progress, ended: PhaseEnded, said: str) -> Step:
    if ended.verdict is Verdict.RAISED:
        raised = progress.run_failure if progress.pending is None else None
        first = f"{job.word} raised {raised}; " if raised is not None else ""
        return End(Outcome.FAILED, f"{first}describe raised {said}", Kind.RUN_ERROR)
    if progress.pending is None:
        return Go(Phase.RECHECK, progress.reason)
    return _ended(job, progress.pending, progress)


def _changed(job: Job, progress: Progress) -> Step:
    if job.has_describe and not _describes_for_check(job):
        return Go(Phase.DESCRIBE, progress.reason, Outcome.CHANGED)
    return _ended(job, Outcome.CHANGED, progress)


def _describes_for_check(job: Job) -> bool:
    return job.has_check and job.has_describe and job.own_value


def _ended(job: Job, outcome: Outcome, progress: Progress) -> End:
    raised = progress.run_failure
    notes = (f"{job.word} raised {raised}, and its check holds",) if raised is not None else ()
    return End(outcome, progress.reason, None, notes)


_DECIDED_BY: Mapping[Phase, tuple[Verdict, ...]] = {
    Phase.CHECK: (Verdict.OK, Verdict.NOT_HOLDING),
    Phase.RUN: (Verdict.OK, Verdict.RAISED, Verdict.WOULD_RUN, Verdict.DRIFTED),
    Phase.RECHECK: (Verdict.OK, Verdict.NOT_HOLDING),
    Phase.DESCRIBE: (Verdict.OK, Verdict.RAISED),
}

_AFTER: dict[Phase, Callable[[Job, Progress, PhaseEnded, str], Step]] = {
    Phase.CHECK: _after_check,
    Phase.RUN: _after_run,
    Phase.RECHECK: _after_recheck,
    Phase.DESCRIBE: _after_describe,
}


def uses(kind: EdgeKind, upstream: Job) -> bool:
    """Tell whether an edge makes use of what its upstream job made: its value, or what it holds open."""
    return kind is EdgeKind.VALUE or (kind is EdgeKind.NEEDS and upstream.is_generator)


def dooms(upstream: Job, outcome: Outcome, kind: EdgeKind, *, has_value: bool) -> bool:
    """Tell whether a job that did not end well takes with it the one at the other end of an edge."""
    if outcome is Outcome.FAILED and upstream.on_failure is OnFailure.CONTINUE:
        return kind is EdgeKind.VALUE and not has_value
    return kind is not EdgeKind.AFTER


def doomed_end(upstream: Job, ended: JobEnded, job: str, *, reverse: bool = False) -> JobEnded:
    """Return how a job ends that comes after one that did not end well: it names the root cause.

    Args:
        upstream: The one that did not end well.
        ended: How it ended.
        job: Id of the job that comes after it.
        reverse: That is needed by the other one, not the other way round.
    """
    who = f"{upstream.label}, which needs it," if reverse else f"upstream {upstream.label}"
    causes = ended.causes or (ended.job,)
    if ended.outcome is Outcome.FAILED:
        no_value = " and left no value" if upstream.on_failure is OnFailure.CONTINUE else ""
        return JobEnded(job, Outcome.BLOCKED, f"{who} failed{no_value}", None, causes)
    if ended.outcome is Outcome.BLOCKED or ended.causes:
        return JobEnded(job, ended.outcome, ended.reason, None, causes)
    reason = f"{who} is {ended.outcome.value}: {ended.reason}"
    return JobEnded(job, ended.outcome, reason, None, causes)


def may_take_back(decided: Event | None) -> bool:
    """Tell whether a decision not carried out may be taken back: not the end or the rest of an attempt."""
    if isinstance(decided, PhaseStarted):
        return decided.phase is Phase.RUN
    return not isinstance(decided, JobEnded)


def retry_delay(retry: Retry, attempt: int, failure: Failure | None, chance: float) -> float | None:
    """Return the seconds to wait after a failed attempt, or None if there is no further one.

    Args:
        retry: The policy of the job.
        attempt: Number of the attempt that failed, from 1.
        failure: What it failed of.
        chance: A number in [0, 1) from which jitter is made.
    """
    if attempt > retry.retries:
        return None
    if retry.on and (failure is None or not set(retry.on).intersection(failure.types)):
        return None
    longest = LONGEST_DELAY if retry.max_delay is None else retry.max_delay
    try:
        grown = attempt if retry.linear else retry.backoff ** (attempt - 1)
        delay = min(retry.delay * grown, longest)
    except OverflowError:
        delay = longest if retry.delay else 0.0
    return min(delay * (1 + retry.jitter * (2 * chance - 1)), longest)
