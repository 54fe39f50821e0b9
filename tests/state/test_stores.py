"""What every store promises. One suite; a store is one line in `STORES`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import Entry, RunStarted
from jobtest.core.model import Command
from jobtest.state.memory import MemoryStore
from jobtest.testing import strategies as my

STORES = [MemoryStore]

each = pytest.mark.parametrize("make", STORES)


@each
@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), my.events())))
def test_entries_come_back_as_they_were_by_run_and_in_order(make, made):
    store = make()
    entries = [Entry(number, float(number), run, event) for number, (run, event) in enumerate(made)]
    for entry in entries:
        store.append(entry)
    for run in ("r1", "r2", "r3"):
        assert list(store.entries(run)) == [entry for entry in entries if entry.run == run]


@each
def test_what_is_read_does_not_change_when_more_is_written(make):
    store = make()
    entry = Entry(0, 1.0, "r", RunStarted(Command.APPLY, 1, 1))
    store.append(entry)
    read = store.entries("r")
    store.append(Entry(1, 2.0, "r", entry.event))
    assert list(read) == [entry]


@each
def test_the_last_value_of_a_job_counts_in_its_run(make):
    store = make()
    store.put_value("r1", "a", 1)
    store.put_value("r1", "a", [2])
    store.put_value("r2", "a", 3)
    store.put_value("r2", "b", None)
    assert (store.values("r1"), store.values("r2"), store.values("r3")) == (
        {"a": [2]},
        {"a": 3, "b": None},
        {},
    )


@each
def test_values_that_were_read_are_the_readers_own(make):
    store = make()
    store.put_value("r", "a", 1)
    store.values("r").clear()
    assert store.values("r") == {"a": 1}
