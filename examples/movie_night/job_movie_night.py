"""The movie night itself: everything else is there for this."""

import pytest


def check_movie_night(flat, movie):
    assert flat.look("evening") == f"watching {movie}"


@pytest.mark.job(needs=["table", "popcorn", "pizza", "lights"])
def job_movie_night(flat, movie):
    """Sit down and press play."""
    flat.put("evening", f"watching {movie}")
