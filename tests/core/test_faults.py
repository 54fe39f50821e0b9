import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.data import from_data, to_data
from jobtest.core.faults import Fault, FaultKind, fault_from

attempts = st.integers(1, 9)
seconds = st.floats(0, exclude_min=True, allow_infinity=False)
faults = st.one_of(
    st.builds(
        Fault, st.sampled_from([FaultKind.FAIL, FaultKind.TIMEOUT, FaultKind.KILL]), attempts, attempts
    ),
    st.builds(Fault, st.just(FaultKind.DELAY), attempts, attempts, seconds),
)


@given(faults, attempts)
def test_what_is_told_of_a_fault_is_the_fault_of_that_attempt(fault, attempt):
    assert fault_from(fault.told(attempt)) == Fault(fault.kind, attempt, attempt, fault.seconds)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "fail",
        "fial at attempt 1",
        "fail at attempt 0",
        "fail 2 s at attempt 1",
        "delay at attempt 1",
        "delay 2x s at attempt 1",
        "fail at attempt 1 and more",
    ],
)
def test_what_tells_of_no_fault_is_none(told):
    assert fault_from(told) is None


@given(faults)
def test_a_fault_crosses_into_a_process_as_data(fault):
    assert from_data(Fault, to_data(fault)) == fault


def test_a_fault_is_in_the_attempts_that_it_names():
    assert [Fault(FaultKind.FAIL, 2, 3).at(attempt) for attempt in (1, 2, 3, 4)] == [False, True, True, False]
    assert [Fault(FaultKind.FAIL, 2).at(attempt) for attempt in (1, 2, 99)] == [False, True, True]


@given(faults, faults)
def test_two_faults_share_the_first_attempt_that_both_are_in(one, other):
    both = [attempt for attempt in range(1, 20) if one.at(attempt) and other.at(attempt)]
    assert one.shared(other) == other.shared(one) == (both[0] if both else None)
