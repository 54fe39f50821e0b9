"""F6: a run is killed before and after each commit of its journal."""

import pytest

from tests.faults.deaths import at_point, commits, side_by_side

STORES = [("-J1", "", 1), ("-J4", "", 5), ("-J1", "file:.jobtest", 7)]


@pytest.mark.parametrize(("workers", "state", "every"), STORES)
def test_killed_around_any_commit_a_run_goes_on_and_keeps_its_promises(
    tmp_path, figures, workers, state, every
):
    points = range(1, 2 * commits(tmp_path, workers, state=state) + 1, every)
    came = side_by_side(lambda point: at_point(tmp_path, point, workers, state=state), points)
    figures(f"around commits, {workers}, {state or 'sqlite'}", came)
    assert came.kills > 0.9 * len(points)
