"""Hypothesis profiles: quick while working, ci always the same, deep over night.

A test with the mark `rarely` takes its time to show in one more way what others show: `pytest -m rarely`.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=SLOW)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config):
    config.addinivalue_line("markers", "rarely: takes its time; runs with -m rarely")


def pytest_collection_modifyitems(config, items):
    if not int(os.environ.get("FAULTS", "0")) and config.option.markexpr != "rarely":
        for item in items:
            if item.get_closest_marker("rarely"):
                item.add_marker(pytest.mark.skip(reason="it takes its time: -m rarely"))
