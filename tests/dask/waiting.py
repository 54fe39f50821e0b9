"""Waiting for what happens elsewhere."""

import time

PATIENCE = 30.0
"""Seconds."""


def wait_for(what):
    """Wait until something is true; polls, with a deadline."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
