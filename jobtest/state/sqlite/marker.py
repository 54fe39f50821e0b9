"""The marker beside a database: which state belongs here, and how far it had come.

A copy of another project's state, or an old backup, is a fine database; only the marker tells that it is not
the one that was here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from jobtest.core.data import from_data, to_data
from jobtest.state.sqlite.disk import beside, write_whole
from jobtest.state.sqlite.problems import refused

__all__ = ["Marker", "compare", "forget", "mark"]


@dataclass(frozen=True, slots=True)
class Marker:
    """Who a state is.

    Attributes:
        lineage: A UUID, made with the state.
        serial: How often it was owned.
    """

    lineage: str
    serial: int


def compare(path: Path, found: Marker) -> None:
    """Compare the state at `path` with its marker; without one anything goes.

    Raises:
        StateError: it is another state, or an older one.
    """
    file = _file(path)
    fix = f"put the right one back, or remove {file} to accept this one"
    try:
        known = from_data(Marker, json.loads(file.read_bytes()))
        earlier = known.lineage == found.lineage and found.serial < known.serial
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise refused(file, "the marker of the state cannot be read", f"remove {file}") from error
    if known.lineage != found.lineage:
        raise refused(path, "this is not the state that was here: it comes from another project", fix)
    if earlier:
        raise refused(path, "this is not the state that was here: it is an older copy of it", fix)


def mark(path: Path, marker: Marker) -> None:
    """Write the marker of the state at `path`."""
    write_whole(_file(path), json.dumps(to_data(marker)).encode(), sync=True)


def forget(path: Path) -> None:
    """Remove the marker: a new state comes to `path`."""
    _file(path).unlink(missing_ok=True)


def _file(path: Path) -> Path:
    return beside(path, ".marker")
