"""A project with runs in its state, and the command line over it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from jobtest.cli.main import main
from jobtest.state.sqlite import SqliteStore
from tests.cli.journals import ME


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Project:
    """A folder with a state."""

    path: Path
    call: object

    @property
    def store(self):
        """Its store, for reading and writing in a test; close it."""
        return SqliteStore(self.path / ".jobtest" / "state.db")

    def keep(self, *journals):
        """Write runs; nobody owns the state afterwards."""
        store = self.store
        store.own(ME)
        for journal in journals:
            journal.keep(store)
        store.close()
        return self

    def ids(self):
        """The runs that there are, newest first."""
        store = self.store
        found = [record.id for record in store.runs()]
        store.close()
        return found

    def jobtest(self, *arguments):
        """Call `jobtest`."""
        return self.call(*arguments)


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    (tmp_path / "pyproject.toml").write_text("[tool.jobtest]\n")
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        status = main(list(arguments))
        return Said(status, *capsys.readouterr())

    return Project(tmp_path, call)
