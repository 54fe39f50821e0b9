"""Tests of these tests: a store that breaks a promise, and the breach that has to be found."""

import pytest

from tests.faults.lives import KILLED, RESUME, Project
from tests.faults.promises import broken, unkept

CONTROLS = [
    ("commits", "last run begin", "reported, and not in the state"),
    ("commits", "last run begin", "it was reported done by life 0"),
    ("intents", "report run middle", "it was under way, and nobody was told"),
    ("owed", "merge run middle", "owed by the journals"),
    ("owed", "last run begin", "not cleaned up after its last run phase"),
    ("pasts", "last run begin", "its past does not know"),
]


@pytest.mark.parametrize(("loses", "place", "breach"), CONTROLS)
def test_a_store_that_loses_something_is_found_out(tmp_path, loses, place, breach):
    project = Project(tmp_path / "project", "-J1")
    life = project.live(*RESUME, FAULT=place, LOSES=loses)
    found = broken(project)
    project.live(*RESUME)
    found += [*broken(project), *unkept(project)]

    assert life.status == KILLED
    assert [text for text in found if breach in text], "\n".join(found)


def test_a_store_that_loses_nothing_is_not(tmp_path):
    project = Project(tmp_path / "project", "-J1")
    project.live(*RESUME, FAULT="last run begin", LOSES="nothing")
    project.live(*RESUME)

    assert not [*broken(project), *unkept(project)]
