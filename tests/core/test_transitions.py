"""What a state does not allow, and plans of ten thousand jobs."""

import pytest

from jobtest.core.errors import IllegalTransition
from jobtest.core.events import (
    AttemptSuspended,
    BackoffEnded,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunEnded,
    RunStarted,
)
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Job, Outcome, Phase, Retry, Verdict
from jobtest.core.planner import make_plan
from jobtest.core.scheduler import Scheduler, State
from tests.core.driver import Drive, said, until

NO, RAISED = Verdict.NOT_HOLDING, Verdict.RAISED


# --- illegal transitions ---


def ended(phase=Phase.CHECK, attempt=1, job="a"):
    return PhaseEnded(job, attempt, phase, Verdict.OK)


def started(phase=Phase.CHECK, attempt=1, job="a"):
    return PhaseStarted(job, attempt, phase)


END = JobEnded("a", Outcome.UNCHANGED, "check holds")
RETRY, SUSPEND, BACKOFF_ENDED = RetryPlanned("a", 1, 0.0), AttemptSuspended("a", 1, ()), BackoffEnded("a")
TAILS = [started(Phase.CLOSE), started(Phase.CLEANUP), ended(Phase.CLOSE), ended(Phase.CLEANUP)]
ILLEGAL = {
    State.WAITING: [started(), ended(), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
    State.READY: [ended(), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
    State.ACTIVE: [started(), ended(Phase.RUN), ended(attempt=2), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
    State.DECIDING: [started(), started(Phase.RUN, 2), ended(), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
    State.BACKOFF: [started(), ended(), END, RETRY, SUSPEND, *TAILS],
    State.ENDED: [started(), ended(), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
    State.IDLE: [started(), ended(), END, RETRY, SUSPEND, BACKOFF_ENDED, *TAILS],
}


@pytest.mark.parametrize(
    ("state", "event"),
    [pytest.param(s, e, id=f"{s.value}-{e}") for s, events in ILLEGAL.items() for e in events],
)
def test_what_a_state_does_not_allow_raises(state, event):
    retry = Retry(retries=1, delay=9.0)
    job = Job.of("a", check=True, needs=["u"], retry=retry)
    jobs = [Job.of("u"), job, Job.of("z", takes=["a"], check=True)]
    script = said({"a check": NO, "a recheck": NO}) if state is not State.IDLE else None
    drive = until(Drive(jobs, script), state)
    with pytest.raises(IllegalTransition, match=f"^job 'a' is {state.value} and cannot take "):
        drive.scheduler.apply(event, drive.now)


def test_a_job_that_is_not_the_best_cannot_start():
    drive = Drive([Job.of("a"), Job.of("b")])
    with pytest.raises(IllegalTransition, match="job 'b' is ready and cannot take run started"):
        drive.apply(started(Phase.RUN, job="b"))


def test_only_the_first_backoff_that_is_over_can_end():
    jobs = [Job.of("a", retry=Retry(retries=1, delay=9)), Job.of("b", retry=Retry(retries=1, delay=5))]
    drive = until(Drive(jobs, said({"a run": RAISED, "b run": RAISED}), capacity=2), State.BACKOFF)
    until(drive, State.BACKOFF, "b")
    with pytest.raises(IllegalTransition, match="job 'a' is backoff and cannot take BackoffEnded"):
        drive.apply(BACKOFF_ENDED)


@pytest.mark.parametrize(
    "event", [started(job="x"), ended(job="x"), JobEnded("x", Outcome.CHANGED), BackoffEnded("x")]
)
def test_a_job_of_another_plan_is_refused(event):
    with pytest.raises(
        IllegalTransition, match=f"job 'x' is not in the plan and cannot take {type(event).__name__}"
    ):
        Drive([Job.of("a")]).apply(event)


def test_the_events_of_the_run_itself_change_nothing():
    scheduler = Scheduler(make_plan(Graph([Job.of("a")])))
    scheduler.apply(RunStarted(Command.APPLY, 1, 1), 0.0)
    scheduler.apply(RunEnded(0), 0.0)
    assert scheduler.command(0.0) == started(Phase.RUN)


# --- size ---


def chain(length, last, **rest):
    return [
        Job.of("j0", **rest),
        *(Job.of(f"j{n}", takes=[f"j{n - 1}"], **rest) for n in range(1, length - 1)),
        Job.of(f"j{length - 1}", takes=[f"j{length - 2}"], check=last),
    ]


def test_a_chain_of_ten_thousand_runs():
    assert set(Drive(chain(10_000, last=False)).to_the_end().outcomes().values()) == {Outcome.CHANGED}


def test_a_chain_of_ten_thousand_that_nobody_needs_idles():
    drive = Drive(chain(10_000, last=True)).to_the_end()
    assert set(drive.outcomes().values()) == {Outcome.UNCHANGED}
    assert drive.started() == ["j9999"]


def test_a_chain_of_ten_thousand_is_demanded_by_its_end():
    drive = Drive(chain(10_000, last=True), said({"j9999 check": NO})).to_the_end()
    assert set(drive.outcomes().values()) == {Outcome.CHANGED}


def test_a_chain_of_ten_thousand_is_blocked_by_its_beginning():
    drive = Drive(chain(10_000, last=False), said({"j0 run": RAISED})).to_the_end()
    assert list(drive.outcomes().values()) == [Outcome.FAILED, *[Outcome.BLOCKED] * 9_999]
