"""How files and places are shown to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

__all__ = ["fixture_location", "relative"]


def fixture_location(definition: pytest.FixtureDef[Any], rootpath: Path) -> str:
    """Return `file:line fixture name` of a fixture."""
    code = getattr(definition.func, "__code__", None)
    if code is None:
        return f"fixture {definition.argname}"
    return f"{relative(Path(code.co_filename), rootpath)}:{code.co_firstlineno} fixture {definition.argname}"


def relative(path: Path, rootpath: Path) -> str:
    """Return a path as users see it: below the rootdir without it, with `/`."""
    return path.relative_to(rootpath).as_posix() if path.is_relative_to(rootpath) else str(path)
