"""The old name of something works one minor version more, and warns with the new one."""

import warnings

import pytest

import jobtest
from jobtest.core.deprecation import RENAMED, JobtestDeprecationWarning, renamed
from jobtest.core.version import VERSION
from jobtest.testing import crash_points


@pytest.fixture
def greet():
    @renamed("whom", "name", goes="9.9")
    def greet(*, name="you"):
        return f"hello {name}"

    yield greet
    RENAMED.pop()


def test_the_old_name_works_and_warns_with_the_new_one_where_it_is_used(greet):
    with pytest.warns(JobtestDeprecationWarning) as caught:
        assert greet(whom="Ada") == "hello Ada"

    (warning,) = caught
    assert str(warning.message).endswith("greet(whom=...) is now name=; whom= goes in 9.9")
    assert warning.filename == __file__


def test_the_new_name_does_not_warn(greet):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (greet(name="Ada"), greet()) == ("hello Ada", "hello you")


def test_both_names_at_once_are_refused(greet):
    with pytest.raises(TypeError, match=r"greet\(\) was given whom= and name=, which are the same"):
        greet(whom="Ada", name="Eve")


def test_crash_points_still_takes_at_once_for_workers(tmp_path):
    said = r"^jobtest\.testing\.crash\.crash_points\(at_once=\.\.\.\) is now workers=; at_once= goes in 0\.3$"
    with (
        pytest.warns(JobtestDeprecationWarning, match=said),
        pytest.raises(FileNotFoundError, match="not there"),
    ):
        crash_points(tmp_path / "not there", at_once=2)


def test_what_is_deprecated_goes_when_it_was_said_to_go():
    """On failure: take the old name away, with its line in the change log."""
    now = tuple(int(part) for part in VERSION.split(".")[:2])

    assert [one for one in RENAMED if tuple(map(int, one.goes.split("."))) <= now] == []


def test_users_can_name_the_warning():
    assert jobtest.JobtestDeprecationWarning is JobtestDeprecationWarning
    assert issubclass(JobtestDeprecationWarning, DeprecationWarning)
