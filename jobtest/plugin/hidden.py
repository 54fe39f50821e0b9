"""Which files have jobs, and a word about those that nobody will look at."""

from __future__ import annotations

import os
import warnings
from fnmatch import fnmatch
from pathlib import Path

import pytest

from jobtest.config.entry_points import suffixes
from jobtest.plugin.shown import relative

__all__ = ["DATA", "NEVER_JOBS", "is_job_file", "warn_if_hidden"]

DATA = (".toml", ".conf")
"""Suffixes of job files that are data."""

NEVER_JOBS = (".*", "*.egg", "venv", "node_modules", "CVS", "_darcs", "{arch}", "__pycache__")
"""Folders that nobody expects jobs in; they are passed over without a word."""


def is_job_file(path: Path) -> bool:
    """Tell whether a file is one that jobs are collected from."""
    if not path.name.startswith("job_"):
        return False
    return path.suffix in (".py", *DATA) or path.suffix in suffixes()


def warn_if_hidden(config: pytest.Config, folder: Path) -> None:
    """Warn if a folder has job files and is not going to be looked at."""
    patterns = config.getini("norecursedirs")
    if not any(fnmatch(folder.name, pattern) for pattern in patterns):
        return
    if any(fnmatch(folder.name, pattern) for pattern in NEVER_JOBS):
        return
    for path, _, files in os.walk(folder):
        for file in sorted(files):
            if is_job_file(Path(file)):
                where = Path(path) / file
                shown = relative(where, config.rootpath)
                said = f"{shown} is not collected: norecursedirs hides {folder.name}/"
                warning = pytest.PytestWarning(f"{said}; move it, or set norecursedirs")
                warnings.warn_explicit(warning, None, str(where), 1)
                return
