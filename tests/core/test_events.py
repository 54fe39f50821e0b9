"""Events to data and back."""

import json
from typing import get_args

import pytest
from hypothesis import given

from jobtest.core.events import (
    Event,
    JobEnded,
    PhaseEnded,
    PhaseStarted,
    event_from_data,
    event_to_data,
    event_to_text,
)
from jobtest.core.model import Failure, Kind, Outcome, Phase, Verdict
from jobtest.testing import strategies as my


@given(my.events())
def test_an_event_to_json_and_back_is_the_same_event(event):
    data = json.loads(json.dumps(event_to_data(event)))
    assert event_from_data(data) == event
    assert hash(event_from_data(data)) == hash(event)


@given(my.events())
def test_fields_of_later_versions_are_passed_over(event):
    assert event_from_data({**event_to_data(event), "mood": "good"}) == event


def test_every_kind_of_event_is_drawn_by_the_strategy():
    assert len(my._EVENTS) == len(get_args(Event))


def test_what_has_its_default_is_left_out():
    assert event_to_data(PhaseStarted("a", 1, Phase.CHECK)) == {
        "event": "PhaseStarted",
        "job": "a",
        "attempt": 1,
        "phase": "check",
    }


def test_what_differs_from_its_default_is_there():
    event = PhaseEnded(
        "a", 2, Phase.RUN, Verdict.RAISED, Failure("no", "OSError", types=("OSError",)), notes=("n",)
    )
    assert event_to_data(event) == {
        "event": "PhaseEnded",
        "job": "a",
        "attempt": 2,
        "phase": "run",
        "verdict": "raised",
        "failure": {"message": "no", "type": "OSError", "types": ["OSError"]},
        "notes": ["n"],
    }


def test_kind_and_causes_survive():
    event = JobEnded("a", Outcome.BLOCKED, "upstream b failed", Kind.CRASHED, ("b", "c"))
    assert event_from_data(event_to_data(event)) == event


def test_an_explicit_none_is_none():
    data = {"event": "JobEnded", "job": "a", "outcome": "changed", "kind": None}
    assert event_from_data(data) == JobEnded("a", Outcome.CHANGED)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "not an event of jobtest: {}"),
        ({"event": "Lunch"}, "not an event of jobtest: {'event': 'Lunch'}"),
        ({"event": "JobEnded", "job": "a"}, "not a JobEnded: {'event': 'JobEnded', 'job': 'a'}"),
        ({"event": "JobEnded", "job": "a", "outcome": "fine"}, "'fine' is not a valid Outcome"),
        (
            {"event": "PhaseEnded", "job": "a", "attempt": 1, "phase": "run", "verdict": "ok", "failure": {}},
            "not a Failure: ",
        ),
    ],
)
def test_what_is_not_an_event_is_refused(data, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at
        event_from_data(data)
    assert str(caught.value).startswith(said)


@given(my.events())
def test_the_text_of_an_event_is_that_of_its_data(event):
    assert event_to_text(event) == json.dumps(event_to_data(event), separators=(",", ":"))
