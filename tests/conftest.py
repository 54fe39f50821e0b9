"""Hypothesis profiles: quick while working, ci always the same, deep over night."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=SLOW)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
