"""Which project is meant, and the store with its state."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from jobtest.config.settings import Settings, load_settings, read_toml
from jobtest.core.errors import Problem, UsageError
from jobtest.state.opening import open_store
from jobtest.state.store import Store

__all__ = ["find_root", "open_state", "settings_of"]

STATE = ".jobtest"


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards with settings of jobtest; else with a state; else `start` itself.

    Raises:
        UsageError: a `pyproject.toml` on the way cannot be read.
    """
    folders = (start, *start.parents)
    tests: tuple[Callable[[Path], bool], ...] = (_has_settings, lambda folder: (folder / STATE).is_dir())
    return next((folder for has in tests for folder in folders if has(folder)), start)


def _has_settings(folder: Path) -> bool:
    if (folder / "jobtest.toml").is_file():
        return True
    pyproject = folder / "pyproject.toml"
    tool = read_toml(pyproject).get("tool") if pyproject.is_file() else None
    return isinstance(tool, dict) and "jobtest" in tool


def _root(arguments: Namespace) -> Path:
    given: str | None = getattr(arguments, "root", None)
    if given is None:
        return find_root(Path.cwd())
    root = Path(given).absolute()
    if not root.is_dir():
        raise UsageError([Problem(what=f"--root {given!r} is no folder")])
    return root


def settings_of(arguments: Namespace) -> Settings:
    """Return the settings of the project.

    Raises:
        UsageError: they cannot be followed.
    """
    return load_settings(_root(arguments))


def open_state(arguments: Namespace) -> Store:
    """Open the state that the options or the settings name.

    Raises:
        UsageError: the settings cannot be followed.
        StateError: the state cannot be used.
    """
    root = _root(arguments)
    url: str | None = getattr(arguments, "state", None)
    return open_store(load_settings(root).state if url is None else url, root)
