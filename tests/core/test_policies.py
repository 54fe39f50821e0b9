"""The table of `jobtest.core.policies`, row by row, and the delays between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import PhaseEnded
from jobtest.core.model import Failure, Job, Kind, Outcome, Phase, Retry, Verdict
from jobtest.core.policies import (
    LONGEST_DELAY,
    Again,
    End,
    Go,
    Hold,
    Progress,
    first_phase,
    next_step,
    retry_delay,
)

CHECKED = Job.of("a", check=True)
DESCRIBED = Job.of("a", check=True, has_describe=True)
LATE = Failure("timed out after 2 s")
SELF_SEEN = Job.of("a", check=True, has_describe=True, own_value=True)
RUN_ONLY = Job.of("a")
GATE = Job.of("a", check=True, has_run=False)
NO = Failure("no")
RED = Failure("red", "OSError")


def after(job, phase, verdict, failure=None, **progress):
    return next_step(job, Progress(**progress), PhaseEnded("a", 1, phase, verdict, failure))


def failed(reason, kind, failure):
    return Again(End(Outcome.FAILED, reason, kind), failure)


def test_an_attempt_begins_with_the_check_if_there_is_one():
    assert first_phase(CHECKED) is Phase.CHECK
    assert first_phase(RUN_ONLY) is Phase.RUN


ROWS = {
    "a check that holds ends the job": (
        after(CHECKED, Phase.CHECK, Verdict.OK),
        End(Outcome.UNCHANGED, "check holds"),
    ),
    "a forced job runs though its check holds": (
        after(CHECKED, Phase.CHECK, Verdict.OK, must_run="forced"),
        Go(Phase.RUN, "forced"),
    ),
    "a forced gate has nothing to run": (
        after(GATE, Phase.CHECK, Verdict.OK, must_run="forced"),
        End(Outcome.UNCHANGED, "check holds"),
    ),
    "a check that holds is described": (
        after(DESCRIBED, Phase.CHECK, Verdict.OK, wanted=True),
        Go(Phase.DESCRIBE, "check holds", Outcome.UNCHANGED),
    ),
    "a job whose value is taken, with none known, holds": (
        after(CHECKED, Phase.CHECK, Verdict.OK, wanted=True),
        Hold(),
    ),
    "a job whose value is taken and known ends": (
        after(CHECKED, Phase.CHECK, Verdict.OK, wanted=True, has_value=True),
        End(Outcome.UNCHANGED, "check holds"),
    ),
    "a gate whose value is taken has none to wait for": (
        after(GATE, Phase.CHECK, Verdict.OK, wanted=True),
        End(Outcome.UNCHANGED, "check holds"),
    ),
    "a check that does not hold lets the job run": (
        after(CHECKED, Phase.CHECK, Verdict.NOT_HOLDING, NO),
        Go(Phase.RUN, "check did not hold: no"),
    ),
    "a gate that does not hold is tried again or fails": (
        after(GATE, Phase.CHECK, Verdict.NOT_HOLDING, NO),
        failed("check did not hold: no", Kind.CHECK_FAILED, NO),
    ),
    "a broken check fails the job for good": (
        after(CHECKED, Phase.CHECK, Verdict.BROKEN, RED),
        End(Outcome.FAILED, "its check is broken: OSError: red", Kind.BROKEN_CHECK),
    ),
    "a broken recheck fails the job for good": (
        after(CHECKED, Phase.RECHECK, Verdict.BROKEN, RED),
        End(Outcome.FAILED, "its check is broken: OSError: red", Kind.BROKEN_CHECK),
    ),
    "a run is followed by the recheck": (
        after(CHECKED, Phase.RUN, Verdict.OK, reason="why"),
        Go(Phase.RECHECK, "why"),
    ),
    "a run without a check decides": (
        after(RUN_ONLY, Phase.RUN, Verdict.OK, reason="why"),
        End(Outcome.CHANGED, "why"),
    ),
    "a run without a check is described": (
        after(Job.of("a", has_describe=True), Phase.RUN, Verdict.OK, reason="why"),
        Go(Phase.DESCRIBE, "why", Outcome.CHANGED),
    ),
    "a run that raised is followed by the recheck": (
        after(CHECKED, Phase.RUN, Verdict.RAISED, RED, reason="why"),
        Go(Phase.RECHECK, "why"),
    ),
    "a run that raised without a check is tried again or fails": (
        after(RUN_ONLY, Phase.RUN, Verdict.RAISED, RED),
        failed("run raised OSError: red", Kind.RUN_ERROR, RED),
    ),
    "a plan says that it would run": (
        after(CHECKED, Phase.RUN, Verdict.WOULD_RUN, reason="why"),
        End(Outcome.WOULD_RUN, "why"),
    ),
    "a drift is a failure": (
        after(CHECKED, Phase.RUN, Verdict.DRIFTED, reason="why"),
        End(Outcome.FAILED, "why", Kind.CHECK_FAILED),
    ),
    "a recheck that holds makes it changed": (
        after(CHECKED, Phase.RECHECK, Verdict.OK, reason="why"),
        End(Outcome.CHANGED, "why"),
    ),
    "a recheck that holds is described": (
        after(DESCRIBED, Phase.RECHECK, Verdict.OK, reason="why"),
        Go(Phase.DESCRIBE, "why", Outcome.CHANGED),
    ),
    "a recheck that holds forgives a run that raised": (
        after(CHECKED, Phase.RECHECK, Verdict.OK, reason="why", run_failure=RED),
        End(Outcome.CHANGED, "why", None, ("run raised OSError: red, and its check holds",)),
    ),
    "a recheck does not forgive if the value is taken and there is none": (
        after(CHECKED, Phase.RECHECK, Verdict.OK, run_failure=RED, wanted=True),
        failed(
            "run raised OSError: red; its check holds, but there is no value and another job takes it",
            Kind.RUN_ERROR,
            RED,
        ),
    ),
    "a recheck forgives if the value is taken and there is one": (
        after(CHECKED, Phase.RECHECK, Verdict.OK, run_failure=RED, wanted=True, has_value=True),
        End(Outcome.CHANGED, "", None, ("run raised OSError: red, and its check holds",)),
    ),
    "a recheck forgives if the value is taken and can be described": (
        after(DESCRIBED, Phase.RECHECK, Verdict.OK, run_failure=RED, wanted=True),
        Go(Phase.DESCRIBE, "", Outcome.CHANGED),
    ),
    "a run that raised says nothing if nothing went wrong and nobody takes a value": (
        after(CHECKED, Phase.RECHECK, Verdict.OK, wanted=True),
        End(Outcome.CHANGED, ""),
    ),
    "a recheck that does not hold is tried again or fails": (
        after(CHECKED, Phase.RECHECK, Verdict.NOT_HOLDING, NO),
        failed("check did not hold after the run: no", Kind.CHECK_FAILED, NO),
    ),
    "a recheck that does not hold after a run that raised blames the run": (
        after(CHECKED, Phase.RECHECK, Verdict.NOT_HOLDING, NO, run_failure=RED),
        failed("run raised OSError: red; check did not hold after the run: no", Kind.RUN_ERROR, RED),
    ),
    "what was described ends as the recheck said": (
        after(DESCRIBED, Phase.DESCRIBE, Verdict.OK, pending=Outcome.CHANGED, reason="why"),
        End(Outcome.CHANGED, "why"),
    ),
    "the note about a run that raised outlives the describe phase": (
        after(DESCRIBED, Phase.DESCRIBE, Verdict.OK, pending=Outcome.CHANGED, run_failure=RED),
        End(Outcome.CHANGED, "", None, ("run raised OSError: red, and its check holds",)),
    ),
    "what was described ends as the check said": (
        after(DESCRIBED, Phase.DESCRIBE, Verdict.OK, pending=Outcome.UNCHANGED, reason="check holds"),
        End(Outcome.UNCHANGED, "check holds"),
    ),
    "a check that holds after an earlier attempt ran is described": (
        after(DESCRIBED, Phase.CHECK, Verdict.OK, entered=True, reason="why"),
        Go(Phase.DESCRIBE, "why", Outcome.CHANGED),
    ),
    "a check that takes what is described is asked after that": (
        after(SELF_SEEN, Phase.RUN, Verdict.OK, reason="why"),
        Go(Phase.DESCRIBE, "why"),
    ),
    "and then": (
        after(SELF_SEEN, Phase.DESCRIBE, Verdict.OK, reason="why"),
        Go(Phase.RECHECK, "why"),
    ),
    "a phase that timed out is tried again or fails, whatever the check would say": (
        after(CHECKED, Phase.RUN, Verdict.TIMED_OUT, LATE),
        failed("run timed out after 2 s", Kind.TIMEOUT, LATE),
    ),
    "a check that timed out is no check that does not hold": (
        after(CHECKED, Phase.CHECK, Verdict.TIMED_OUT, LATE),
        failed("check timed out after 2 s", Kind.TIMEOUT, LATE),
    ),
    "a body that goes on is not tried again: never two at once": (
        after(CHECKED, Phase.RUN, Verdict.ABANDONED, LATE),
        End(Outcome.FAILED, "run timed out after 2 s", Kind.TIMEOUT),
    ),
    "a phase whose process died is tried again or fails": (
        after(CHECKED, Phase.RECHECK, Verdict.CRASHED, LATE),
        failed("recheck timed out after 2 s", Kind.CRASHED, LATE),
    ),
    "it is described once": (
        after(SELF_SEEN, Phase.RECHECK, Verdict.OK, reason="why"),
        End(Outcome.CHANGED, "why"),
    ),
    "what cannot be described for the recheck blames the run, too": (
        after(SELF_SEEN, Phase.DESCRIBE, Verdict.RAISED, RED, run_failure=RED),
        End(Outcome.FAILED, "run raised OSError: red; describe raised OSError: red", Kind.RUN_ERROR),
    ),
    "a describe function that raises fails the job": (
        after(DESCRIBED, Phase.DESCRIBE, Verdict.RAISED, RED, pending=Outcome.CHANGED),
        End(Outcome.FAILED, "describe raised OSError: red", Kind.RUN_ERROR),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    step, expected = ROWS[row]
    assert step == expected


@pytest.mark.parametrize("phase", [Phase.CHECK, Phase.RUN, Phase.RECHECK, Phase.DESCRIBE])
def test_any_phase_may_be_skipped_unknown_or_interrupted_or_fail_in_its_set_up(phase):
    assert after(DESCRIBED, phase, Verdict.SKIPPED, NO) == End(Outcome.SKIPPED, "no")
    assert after(DESCRIBED, phase, Verdict.UNKNOWN, NO) == End(Outcome.UNKNOWN, "no")
    assert after(DESCRIBED, phase, Verdict.INTERRUPTED, NO) == End(Outcome.CANCELLED, "no", Kind.CANCELLED)
    assert after(DESCRIBED, phase, Verdict.INTERRUPTED) == End(
        Outcome.CANCELLED, "interrupted", Kind.CANCELLED
    )
    expected = failed("set-up failed: OSError: red", Kind.SETUP_ERROR, RED)
    assert after(DESCRIBED, phase, Verdict.SETUP_ERROR, RED) == expected


IMPOSSIBLE = [
    (Phase.CHECK, Verdict.RAISED),
    (Phase.CHECK, Verdict.WOULD_RUN),
    (Phase.CHECK, Verdict.DRIFTED),
    (Phase.RUN, Verdict.NOT_HOLDING),
    (Phase.RUN, Verdict.BROKEN),
    (Phase.RECHECK, Verdict.RAISED),
    (Phase.RECHECK, Verdict.WOULD_RUN),
    (Phase.DESCRIBE, Verdict.NOT_HOLDING),
    (Phase.DESCRIBE, Verdict.BROKEN),
    (Phase.CLOSE, Verdict.OK),
    (Phase.CLEANUP, Verdict.OK),
]


@pytest.mark.parametrize(("phase", "verdict"), IMPOSSIBLE)
def test_a_verdict_that_a_phase_cannot_come_to_is_a_bug_of_the_executor(phase, verdict):
    with pytest.raises(ValueError, match=f"^{phase.value} cannot end as {verdict.value}; this is a bug"):
        after(DESCRIBED, phase, verdict)


# --- delays ---


def delays(retry, chance=0.5):
    found = []
    while (delay := retry_delay(retry, len(found) + 1, None, chance)) is not None:
        found.append(delay)
    return found


def test_without_retries_there_is_no_further_attempt():
    assert retry_delay(Retry(), 1, RED, 0.5) is None


def test_a_fixed_delay_stays():
    assert delays(Retry(retries=3, delay=2)) == [2, 2, 2]


def test_a_backoff_grows_by_its_factor_up_to_the_longest_delay():
    assert delays(Retry(retries=5, delay=1, backoff=2, max_delay=5)) == [1, 2, 4, 5, 5]


def test_jitter_makes_a_delay_shorter_or_longer_by_its_fraction():
    retry = Retry(retries=1, delay=10, jitter=0.2)
    assert [retry_delay(retry, 1, None, chance) for chance in (0.0, 0.5, 1.0)] == [8, 10, 12]


def test_a_year_is_the_longest_delay_if_none_is_given():
    assert delays(Retry(retries=2000, delay=1.0, backoff=10.0))[-1] == LONGEST_DELAY
    assert delays(Retry(retries=2000, delay=1, backoff=10))[-1] == LONGEST_DELAY
    assert delays(Retry(retries=2000, delay=0.0, backoff=10.0))[-1] == 0


@given(st.integers(1, 5000), st.floats(0, 1e6), st.floats(0, 100), st.floats(0, 1), st.floats(0, 0.99))
def test_no_delay_is_negative_or_longer_than_the_longest(attempt, delay, backoff, jitter, chance):
    retry = Retry(retries=5000, delay=delay, backoff=backoff, max_delay=60.0, jitter=jitter)
    found = retry_delay(retry, attempt, None, chance)
    assert found is not None
    assert 0 <= found <= 60


@pytest.mark.parametrize(
    ("types", "again"),
    [(("ConnectionError",), True), (("OSError", "ValueError"), True), (("ValueError",), False)],
)
def test_only_the_named_exceptions_are_tried_again(types, again):
    failure = Failure(
        "reset", "ConnectionResetError", "", ("ConnectionResetError", "ConnectionError", "OSError")
    )
    assert (retry_delay(Retry(retries=1, on=types), 1, failure, 0.5) is not None) is again


def test_what_raised_nothing_is_not_among_the_named_exceptions():
    assert retry_delay(Retry(retries=1, on=("OSError",)), 1, None, 0.5) is None
