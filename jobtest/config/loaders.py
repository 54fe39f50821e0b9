"""Job files of other kinds, `job_*.yaml` and so on, read by what packages offer for their suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from jobtest.config.entry_points import LOADERS, load, offered
from jobtest.config.hocon import Places
from jobtest.config.places import Source
from jobtest.config.toml_files import named
from jobtest.core.errors import Problem, ProjectError

__all__ = ["Loader", "read_source"]

Loader = Callable[[Path, Mapping[str, object], Mapping[str, str]], Mapping[str, object]]
"""From a job file, the names that it may use and the environment, to the tables that a `job_*.toml` has.

A text in them may still hold `${NAME}`, which is put in as in any job file. Whatever a loader raises is told
as what is wrong with the file.
"""


def read_source(
    path: Path, root: Path, *, names: Mapping[str, object], env: Mapping[str, str]
) -> tuple[list[Source], list[Problem]]:
    """Return what the loader of a file makes of it, or what is wrong.

    Args:
        path: The file.
        root: Names in messages are relative to it.
        names: Parameters of the project, and names that there always are.
        env: The environment.
    """
    name = named(path, root)
    try:
        loader = cast("Loader", load(offered(LOADERS)[path.suffix.removeprefix(".")]))
        data = loader(path, names, env)
    except ProjectError as error:
        return [], list(error.problems)
    except Exception as error:  # noqa: BLE001 - somebody else's code, about a file of the user
        said = f"{type(error).__name__}: {error}"
        return [], [Problem(what=f"{name} cannot be read: {said}", at=(name,))]
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        what = f"{name} cannot be read: its loader returned {type(data).__name__}, not tables by name"
        return [], [Problem(what=what, at=(name,), fix="correct the package that reads it")]
    places = Places(path.read_text(encoding="utf-8", errors="replace"), data)
    return [Source(name, dict(data), places.find)], []
