"""The living room: a couch, and a television that listens to nothing but its remote control."""

import pytest


def check_couch(flat):
    assert flat.look("couch") == "free"


def job_couch(flat):
    """Carry the laundry away."""
    flat.put("couch", "free")


def check_batteries(flat, params):
    assert flat.look("batteries") == params.batteries


def job_batteries(flat, params):
    """Put the batteries that the drawer offers into the remote control."""
    flat.put("batteries", params.batteries)


def describe_batteries(flat):
    return flat.look("batteries")


def check_remote(flat, batteries):
    assert batteries == "charged"
    assert flat.look("remote") == "paired"


def job_remote(flat, batteries):
    """Pair the remote control with the television."""
    flat.put("remote", "paired" if batteries == "charged" else "silent")


def check_tv(flat):
    assert flat.look("tv") == "on"


@pytest.mark.job(needs=["remote"])
def job_tv(flat):
    """Switch the television on."""
    flat.put("tv", "on")


def check_movie(flat, params):
    assert flat.look("movie") == params.movie


@pytest.mark.job(needs=["tv"])
def job_movie(flat, params):
    """Find the movie."""
    flat.put("movie", params.movie)


def describe_movie(flat):
    return flat.look("movie")


def check_lights(flat):
    assert flat.look("lights") == "dim"


@pytest.mark.job(after=["arrive"])
def job_lights(flat):
    """Dim the lights, once everybody has found a seat."""
    flat.put("lights", "dim")
