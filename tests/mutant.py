"""A hand mutant: what `mutants.py` puts into a copy of the tree."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """One lie: where (in core, if no folder is named), what is said there and instead, what that breaks."""

    file: str
    old: str
    new: str
    breaks: str

    def path(self, root: Path) -> Path:
        """Return the file in a tree."""
        return root / "jobtest" / f"{self.file if '/' in self.file else f'core/{self.file}'}.py"
