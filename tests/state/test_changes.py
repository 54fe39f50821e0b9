"""Changes to data and back."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.events import Entry, JobEnded
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.state.changes import change_from_data, change_to_data
from jobtest.state.known import Known
from jobtest.state.store import (
    Change,
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    CleanupOwed,
    Owed,
    PastKept,
    RunKept,
    RunRecord,
    RunsDropped,
    ValueKept,
)
from jobtest.testing import strategies as my

TEXT = st.text(st.characters(), max_size=5)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PASTS = st.builds(
    Past,
    run=TEXT,
    at=FLOATS,
    value=TEXT,
    inputs=st.dictionaries(TEXT, TEXT, max_size=2),
    run_seconds=st.none() | FLOATS,
)
RECORDS = st.builds(
    RunRecord,
    id=TEXT,
    argv=st.lists(TEXT, max_size=2).map(tuple),
    ended_at=st.none() | FLOATS,
    totals=st.dictionaries(TEXT, st.integers()),
)
JOBS = st.sampled_from(["a", "b"])
FACTS = {
    PastKept: st.builds(PastKept, JOBS, PASTS),
    Owed: st.builds(Owed, JOBS, TEXT, st.integers(1, 99)),
    CleanupDone: st.builds(CleanupDone, JOBS),
    CheckpointKept: st.builds(CheckpointKept, JOBS, TEXT, TEXT),
    CheckpointsDropped: st.builds(CheckpointsDropped, JOBS),
}
CHANGES = {
    **FACTS,
    Entry: st.builds(Entry, st.integers(0), FLOATS, TEXT, my.events()),
    RunKept: st.builds(RunKept, RECORDS, st.none() | TEXT),
    ValueKept: st.builds(ValueKept, TEXT, TEXT),
    CleanupOwed: st.builds(CleanupOwed, TEXT, TEXT),
    RunsDropped: st.builds(RunsDropped, st.lists(TEXT, max_size=2).map(tuple)),
}


@given(st.one_of(list(CHANGES.values())))
def test_a_change_to_json_and_back_is_the_same_change(change):
    data = json.loads(json.dumps(change_to_data(change)))

    assert change_from_data(data) == change
    assert change_from_data({**data, "mood": "good"}) == change
    assert next(iter(data)) == "change"


def test_every_kind_of_change_is_drawn():
    assert set(CHANGES) == {*get_args(Change), Owed}


def test_what_a_change_looks_like_as_data():
    change = Entry(3, 1.5, "r", JobEnded("a", Outcome.CHANGED))

    assert change_to_data(change) == {
        "change": "Entry",
        "seq": 3,
        "at": 1.5,
        "run": "r",
        "event": {"event": "JobEnded", "job": "a", "outcome": "changed"},
    }
    assert change_to_data(PastKept("a", Past(run="r"))) == {
        "change": "PastKept",
        "job": "a",
        "past": {"run": "r"},
    }


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"change": "Path"},
        {"change": []},
        {"change": "Entry"},
        {"change": "Entry", "seq": 1, "at": 1.0, "run": "r", "event": []},
        {"change": "Entry", "seq": 1, "at": 1.0, "run": "r", "event": {"event": "Nope"}},
        {"change": "PastKept", "job": "a"},
    ],
    ids=str,
)
def test_what_is_no_change_is_refused(data):
    with pytest.raises(ValueError, match="not a"):
        change_from_data(data)


@given(st.lists(st.one_of(list(FACTS.values()))))
def test_what_is_known_comes_to_the_same_when_it_is_said_with_fewer_facts(facts):
    known, again = Known(), Known()
    for fact in facts:
        known.take(fact)
    fewest = list(known.facts())
    for fact in fewest:
        again.take(fact)

    assert vars(again) == vars(known)
    assert known.turn == max((fact.turn for fact in facts if isinstance(fact, Owed)), default=0)
    assert len(fewest) <= len(known) + 2


def test_the_highest_turn_counts_whatever_is_said_later():
    known = Known()
    for fact in (Owed("a", "r", 5), Owed("b", "r", 3), CleanupDone("a")):
        known.take(fact)

    assert known.turned(CleanupOwed("c", "r")) == Owed("c", "r", 6)
    assert [fact for fact in known.facts() if isinstance(fact, Owed)] == [Owed("", "", 5), Owed("b", "r", 3)]
