"""The kitchen: pizza is ordered early, popcorn needs patience."""

import pytest


def check_pizza(flat):
    assert flat.look("pizza") == "delivered"


@pytest.mark.job(priority=5)
def job_pizza(flat):
    """Order the pizza before anything else is done: it has the longest way."""
    flat.put("pizza", "delivered")


KERNELS_IN_A_FULL_BOWL = 100
KERNELS_IN_THE_POT = 40


def popped(flat):
    """How many popped kernels there are in the bowl."""
    return 0 if flat.look("popcorn") == "missing" else int(flat.look("popcorn"))


def check_popcorn(flat):
    assert popped(flat) >= KERNELS_IN_A_FULL_BOWL


@pytest.mark.job(retries=4, retry_delay=0.2)
def job_popcorn(flat):
    """Pop one pot of kernels; it takes several pots to fill the bowl."""
    flat.put("stove", "hot")
    flat.put("popcorn", str(popped(flat) + KERNELS_IN_THE_POT))


def cleanup_popcorn(flat):
    flat.put("stove", "off")
