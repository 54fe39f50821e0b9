"""What the jobs of the release share: the version, and where things are."""

from pathlib import Path

import pytest


@pytest.fixture
def version(params):
    """The version to release, also when `--job-set version=1.5` made it a number."""
    return str(params.version)


@pytest.fixture
def sources():
    """The package that is released."""
    return Path("greeter/src/greeter")


@pytest.fixture
def dist(params):
    """The folder of the wheels built so far, with their checksums."""
    return Path(params.workspace, "dist")


@pytest.fixture
def key_file(params):
    """The file of the signing key."""
    return Path(params.workspace, "signing.key")


@pytest.fixture
def index(params):
    """The package index: one folder per project, with a page of links (PEP 503)."""
    return Path(params.workspace, "index")


@pytest.fixture
def environment(params):
    """The virtual environment in which the release is tried out."""
    return Path(params.workspace, "smoke")
