"""A body that was left behind, as the scheduler sees it."""

import pytest

from jobtest.core.errors import IllegalTransition
from jobtest.core.events import BodyEnded
from jobtest.core.model import Job, Outcome, Verdict
from jobtest.core.scheduler import State
from tests.core.driver import Drive, said, until


def test_an_abandoned_body_ends_once_and_only_after_its_job():
    drive = Drive([Job.of("a", resources={"db": 1})], said({"a run": Verdict.ABANDONED}), resources={"db": 1})
    until(drive, State.DECIDING)
    with pytest.raises(IllegalTransition):
        drive.apply(BodyEnded("a"))
    drive.to_the_end()
    assert drive.scheduler.outcome("a") is Outcome.FAILED
    drive.apply(BodyEnded("a"))
    with pytest.raises(IllegalTransition):
        drive.apply(BodyEnded("a"))
