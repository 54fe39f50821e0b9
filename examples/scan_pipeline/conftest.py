"""What the jobs of the pipeline share: where things are, and what the catalogue should know."""

import sysconfig
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import lineage
import pytest
from catalogue import Catalogue
from lineage import PACKAGES, SKIP


@pytest.fixture(scope="session")
def library():
    """The code base: the standard library of the running Python."""
    return Path(sysconfig.get_path("stdlib"))


@pytest.fixture(scope="session")
def wanted(library):
    """Package to the fingerprint of its source as it is now: what the catalogue should know."""
    return {package: lineage.fingerprint(library, package, SKIP) for package in PACKAGES}


@pytest.fixture
def workspace(params):
    """The folder of everything in between; it is there only while there is something to do."""
    return Path(params.workspace)


@pytest.fixture
def catalogue(params):
    """The catalogue that everything is for."""
    return Catalogue(Path(params.catalogue))


@dataclass(frozen=True)
class Backups:
    """A folder of dated copies, named like `catalogue-2026-01-31.sqlite`."""

    folder: Path

    def named(self, day: date) -> Path:
        """The file of this day's backup."""
        return self.folder / f"catalogue-{day:%Y-%m-%d}.sqlite"

    def newest(self) -> Path | None:
        """The latest backup, if there is any."""
        return max(self.folder.glob("catalogue-*.sqlite"), default=None)

    def before(self, day: date) -> list[Path]:
        """The backups of the days before this one, except for the newest: one is always kept."""
        files = sorted(self.folder.glob("catalogue-*.sqlite"))[:-1]
        return [file for file in files if file < self.named(day)]


@pytest.fixture(scope="session")
def today():
    """One date for the whole run, also around midnight."""
    return datetime.now(UTC).date()


@pytest.fixture
def backups(params):
    """The backups of the catalogue."""
    return Backups(Path(params.backups))
