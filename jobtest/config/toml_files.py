"""A TOML file and the files that it includes.

Promised: every file counts once, included ones before those that include them. Files that include each other
in a circle, that are missing or are not TOML are told with their places; nothing is raised.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobtest.config.places import Origin, Source, TomlPlaces
from jobtest.core.errors import Problem, did_you_mean

__all__ = ["named", "pointed", "read_sources"]

SAID_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
WIDEST = 100
"""Characters of a line that are shown with a caret."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A file whose includes are being read; `at` is the place of the include that led to it."""

    key: str
    source: Source
    includes: Iterator[tuple[str, str]]
    at: str


def read_sources(path: Path, root: Path) -> tuple[list[Source], list[Problem]]:
    """Return a file after all that it includes, and what is wrong with them.

    Args:
        path: The file.
        root: Names in messages are relative to it.
    """
    reader = _Reader(root)
    reader.enter(path, "")
    while reader.way:  # nothing recurses: files may include each other in a long chain
        reader.step()
    return list(reader.done.values()), reader.problems


class _Reader:
    def __init__(self, root: Path) -> None:
        self.done: dict[str, Source] = {}
        self.way: dict[str, _Open] = {}
        self.problems: list[Problem] = []
        self._root = root

    def enter(self, path: Path, at: str) -> None:
        source = self._source(path, at)
        if source is not None:
            key = os.path.realpath(path)
            self.way[key] = _Open(key, source, self._includes(path, source), at)
            if at and not source.data:
                self._wrong(f"{source.name} is included, but there is nothing in it", at)

    def step(self) -> None:
        last = next(reversed(self.way.values()))
        include = next(last.includes, None)
        if include is None:
            self.done[last.key] = self.way.pop(last.key).source
            return
        target, at = include
        key = os.path.realpath(target)
        if key in self.way:
            self._circle(key, at)
        elif key not in self.done:
            self.enter(Path(target), at)

    def _includes(self, path: Path, source: Source) -> Iterator[tuple[str, str]]:
        origin = Origin(((0, source, ()),))
        written = source.data.get("include", [])
        for number, one in enumerate(written if isinstance(written, list) else [written]):
            at = origin.at(*(("include", number) if isinstance(written, list) else ("include",)))
            if isinstance(one, str) and one and "\0" not in one:
                yield os.path.normpath(path.parent / one), at
            else:
                self._wrong(f"include = {one!r} must be the name of a file, or a list of them", at)

    def _circle(self, key: str, at: str) -> None:
        keys = list(self.way)
        files = [self.way[one] for one in keys[keys.index(key) :]]
        names = " -> ".join([*(one.source.name for one in files), files[0].source.name])
        places = (*(one.at for one in files[1:]), at)
        what = f"files include each other in a circle: {names}"
        self.problems.append(Problem(what=what, at=places, fix="take one of the includes out"))

    def _source(self, path: Path, at: str) -> Source | None:
        name = named(path, self._root)
        try:
            raw = path.read_bytes()
        except OSError as error:
            self._unreadable(path, name, error, at)
            return None
        try:
            text = raw.decode("utf-8-sig")
            data = tomllib.loads(text)
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            what = f"{name} is not UTF-8: byte {raw[error.start]:#04x}"
            self._wrong(what, f"{name}:{line}", "save it as UTF-8")
        except (ValueError, RecursionError) as error:
            self.problems.append(_not_toml(name, text, error))
        else:
            jobs = data.get("job")
            places = TomlPlaces(text, len(jobs) if isinstance(jobs, list) else 0)
            return Source(name, data, places.find)
        return None

    def _unreadable(self, path: Path, name: str, error: OSError, at: str) -> None:
        if isinstance(error, FileNotFoundError) and at:
            there = [one.name for one in path.parent.glob("*.toml")] if path.parent.is_dir() else []
            fix = did_you_mean(path.name, there, what="there are")
            self._wrong(f"{name} is included, but there is no such file", at, fix)
        else:
            self._wrong(f"{name} cannot be read: {error.strerror or error}", at or name)

    def _wrong(self, what: str, at: str, fix: str = "") -> None:
        self.problems.append(Problem(what=what, at=(at,), fix=fix))


def named(path: Path, root: Path) -> str:
    """Return how a file is called in messages: from the rootdir, with `/`."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def pointed(text: str, line: int, column: int) -> str:
    """Return a line of a text with a caret below one of its characters; empty if there is no such line."""
    lines = text.split("\n")
    if not 0 < line <= len(lines):
        return ""
    start = max(0, column - 1 - WIDEST // 2)
    shown = lines[line - 1].rstrip("\r")[start : start + WIDEST]
    before = "".join("\t" if one == "\t" else " " for one in shown[: column - 1 - start])
    return f"\n    {shown}\n    {before}^"


def _not_toml(name: str, text: str, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(what=f"{name} is nested too deep", at=(name,))
    said = SAID_WHERE.search(str(error))
    what = f"{name} is not TOML: {SAID_WHERE.sub('', str(error))}"
    if said is None:
        return Problem(what=what, at=(name,), fix="correct the file")
    if said["line"] is None:
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    else:
        line, column = int(said["line"]), int(said["column"])
    what += pointed(text, line, column)
    return Problem(what=what, at=(f"{name}:{line}:{column}",), fix="correct the file")
