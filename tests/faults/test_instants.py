"""R1, R4: runs that are killed at random instants, and again when they go on."""

import pytest

from tests.faults.deaths import random_life, side_by_side, successive

STORES = [("-J1", "", 150), ("-J4", "", 200), ("-J4", "file:.jobtest", 150)]


@pytest.mark.parametrize(("workers", "state", "wanted"), STORES)
def test_killed_at_any_instant_a_run_goes_on_and_keeps_its_promises(
    tmp_path, seed, figures, workers, state, wanted
):
    """Each life is killed until it ends by itself, some four times."""
    while wanted > 0:
        seeds = range(seed, seed + max(2, wanted // 4))
        came = side_by_side(lambda one: random_life(tmp_path, one, workers, state=state), seeds)
        figures(f"random instants, {workers}, {state or 'sqlite'}", came)
        seed, wanted = seeds.stop, wanted - came.kills


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_a_run_that_is_killed_twenty_times_in_a_row_ends(tmp_path, seed, figures, workers):
    figures(f"kills of resumed runs, {workers}", successive(tmp_path, seed, workers))
