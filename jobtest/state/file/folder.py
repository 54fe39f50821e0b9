"""What lies where in the folder of a state, and what says that it is one, and of which schema."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from jobtest.core.errors import Problem, StateError
from jobtest.core.version import VERSION
from jobtest.state.file.disk import write_whole
from jobtest.state.file.lines import unreadable

__all__ = ["Layout", "check", "make", "unwritable"]

SCHEMA = 1
LOCK, FORMAT = "lock", "format.json"
KIND = "file store"

_BEFORE = {LOCK, f"{LOCK}.info", f"{LOCK}.info.tmp", f"{FORMAT}.new", ".gitignore"}
"""What lies in a folder if we were killed before it became a state."""

ANOTHER = "name another folder with --job-state, or remove this one"


@dataclass(frozen=True, slots=True)
class Layout:
    """What lies where.

    Attributes:
        top: The folder.
    """

    top: Path

    @property
    def lock(self) -> Path:
        """The file that whoever owns the state has locked."""
        return self.top / LOCK

    @property
    def known(self) -> Path:
        """What is known beside the runs."""
        return self.top / "known.jsonl"

    @property
    def values(self) -> Path:
        """The folder of values."""
        return self.top / "values"

    @property
    def runs(self) -> Path:
        """The folder of journals."""
        return self.top / "runs"

    def run(self, id: str) -> Path:
        """The journal of a run; no id leads out of the folder."""
        return self.runs / f"{quote(id, safe='', errors='surrogatepass')}.jsonl"

    def run_ids(self) -> list[str]:
        """Return the ids of the runs that have a journal, newest first.

        Raises:
            StateError: the folder cannot be read.
        """
        try:
            names = os.listdir(self.runs)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self.runs, error) from error
        ids = (name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))
        return sorted((unquote(id, errors="surrogatepass") for id in ids), reverse=True)


def check(folder: Path) -> bool:
    """Return whether a folder is a state of this schema; False if it is not there, or empty.

    Raises:
        StateError: it is something else, of a newer schema, or cannot be read.
    """
    try:
        names = set(os.listdir(folder))
        if FORMAT in names:
            _check_format(folder / FORMAT, (folder / FORMAT).read_bytes())
            return True
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise _refused(folder, "this is not a state of jobtest: it is a file", ANOTHER) from error
    except OSError as error:
        raise unreadable(folder, error) from error
    if names - _BEFORE:
        what = f"this is not a state of jobtest: there is {min(names - _BEFORE)!r} in it, and no {FORMAT}"
        raise _refused(folder, what, ANOTHER)
    return False


def make(folder: Path) -> None:
    """Make a state of a folder that is empty.

    Raises:
        OSError: it cannot be written.
    """
    data = {"jobtest": KIND, "schema": SCHEMA, "version": VERSION}
    write_whole(folder / FORMAT, json.dumps(data, indent=1).encode("ascii") + b"\n")


def unwritable(path: Path, error: OSError) -> StateError:
    """Return the error of a state that cannot be written before anything was."""
    what = f"the state cannot be written: {error.strerror or error}"
    return _refused(path, what, "make it and its folder writable, or keep the state elsewhere (--job-state)")


def _check_format(path: Path, raw: bytes) -> None:
    try:
        data = json.loads(raw)
        kind, schema, version = data["jobtest"], data["schema"], data.get("version", "another version")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        kind, schema, version = None, None, None
    if kind != KIND or type(schema) is not int or schema < 1:
        raise _refused(path, "this is not a state of jobtest: it does not say that it is one", ANOTHER)
    if schema > SCHEMA:
        what = f"the state was made by jobtest {version} (schema {schema})"
        this = f"this is jobtest {VERSION} (schema {SCHEMA})"
        raise _refused(path, f"{what}; {this}", "use that version, or name another state with --job-state")


def _refused(path: Path, what: str, fix: str) -> StateError:
    return StateError([Problem(what=what, at=(str(path),), fix=fix)])
