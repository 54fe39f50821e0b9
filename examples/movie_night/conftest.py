"""The flat in which the movie night takes place."""

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Flat:
    """A flat in which every thing is a small text file: look at it, or break it, with any editor."""

    folder: Path

    def look(self, thing: str) -> str:
        """The state of `thing`, or "missing"."""
        path = self.folder / f"{thing}.txt"
        return path.read_text(encoding="utf-8").strip() if path.exists() else "missing"

    def put(self, thing: str, state: str) -> None:
        """Bring `thing` into this state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{thing}.txt").write_text(f"{state}\n", encoding="utf-8")


@pytest.fixture
def flat(params):
    """The flat, below the workspace."""
    return Flat(Path(params.workspace))
