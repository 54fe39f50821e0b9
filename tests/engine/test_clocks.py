"""Real time, false time, and ids that sort by it."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.engine.clock import SystemClock, new_run_id
from jobtest.testing import FakeClock


def test_the_clock_of_the_system_never_goes_back():
    clock = SystemClock()
    times = [clock.now() for _ in range(100)]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000


def test_a_fake_clock_tells_the_time_that_it_was_told():
    clock = FakeClock(100.0)
    clock.advance(5)
    assert clock.now() == 105
    clock.advance_to(110)
    clock.advance_to(107)
    assert clock.now() == 110


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match=r"^time does not go back: advance\(-1\)$"):
        FakeClock().advance(-1)


@given(st.integers(0, (1 << 48) - 1), st.integers(1, 1 << 40))
def test_run_ids_are_uuids_of_version_seven_that_sort_by_time(earlier, later):
    one, other = new_run_id(earlier / 1000), new_run_id(min(earlier + later, (1 << 48) - 1) / 1000)
    assert uuid.UUID(one).version == 7
    assert uuid.UUID(one).variant == uuid.RFC_4122
    assert str(uuid.UUID(one)) == one
    assert one[:13] <= other[:13]
    assert abs((uuid.UUID(one).int >> 80) - earlier) <= 1


def test_two_run_ids_of_one_instant_differ():
    assert new_run_id(1.0) != new_run_id(1.0)
