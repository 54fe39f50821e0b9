"""The smallest job: a file with a greeting in it."""

from pathlib import Path

import pytest


@pytest.fixture
def greeting(params):
    """The file that shall hold the greeting."""
    return Path(params.workspace, "greeting.txt")


def check_hello(greeting, params):
    assert greeting.exists()
    assert greeting.read_text(encoding="utf-8") == f"Hello, {params.name}!\n"


def job_hello(greeting, params):
    """Write the greeting."""
    greeting.parent.mkdir(parents=True, exist_ok=True)
    greeting.write_text(f"Hello, {params.name}!\n", encoding="utf-8")
