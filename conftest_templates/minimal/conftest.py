"""Fixtures that all jobs of this project share. They are pytest fixtures; jobs ask for them by name."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workspace(pytestconfig):
    """The folder in which the jobs work; made when the first job asks for it."""
    folder = Path(pytestconfig.rootpath) / "workspace"
    folder.mkdir(exist_ok=True)
    return folder
