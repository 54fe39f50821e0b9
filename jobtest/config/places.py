"""Where the keys of a job file stand: file, line and column, found only when somebody asks.

What lives here: a walk over the words of a TOML text that `tomllib` has accepted. It checks nothing and makes
no values; it says where the value of each path of keys begins. Promised: it knows exactly the paths that
`tomllib` has made of the text. Time is linear in the text, once per file.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, count, takewhile
from reprlib import Repr
from typing import NamedTuple

__all__ = ["KeyPath", "Mistake", "Origin", "Source", "TomlPlaces", "shown", "spelled"]

KeyPath = tuple[str | int, ...]
Position = tuple[int, int]
"""Line and column, both from 1."""

WORDS = re.compile(
    r"""
      (?P<line>\n)
    | (?P<text>\"{3}(?:\\.|\"{0,2}[^\"\\])*\"{3,5} | '{3}(?:'{0,2}[^'])*'{3,5} | "(?:\\.|[^"\\])*" | '[^']*')
    | (?P<mark>[][{}=,.])
    | (?P<bare>[^][{}=,.\s\#"']+)
    | \#[^\n]* | [ \t\r]+
    """,
    re.VERBOSE | re.DOTALL,
)
JOB_HEADER = re.compile(r"""^[ \t]*(\[\[[ \t]*(?:job|"job"|'job')[ \t]*\]\])""", re.MULTILINE)

SHORT = Repr()
SHORT.maxstring = SHORT.maxother = 100
SHORT.maxlevel = 3


class Mistake(NamedTuple):
    """Something wrong with the value of a key.

    Attributes:
        path: The key, from the table that was looked at.
        what: One sentence.
        fix: What to do, or empty.
    """

    path: KeyPath
    what: str
    fix: str = ""


def shown(value: object) -> str:
    """Return a value as it may stand in a message: whole if it is short."""
    return SHORT.repr(value)


def spelled(path: KeyPath) -> str:
    """Return a path as people write it: `args.servers[0].port`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        name: As it stands in messages, relative to the rootdir.
        data: What it holds.
        find: From a path of keys to where it stands, or None if that is not known.
    """

    name: str
    data: Mapping[str, object]
    find: Callable[[KeyPath], Position | None]

    def has(self, path: KeyPath) -> bool:
        """Return whether the file itself has this path of keys."""
        value: object = self.data
        for key in path:
            if isinstance(key, int):
                if not isinstance(value, list) or key >= len(value):
                    return False
                value = value[key]
            elif isinstance(value, Mapping) and key in value:
                value = value[key]
            else:
                return False
        return True

    def position(self, path: KeyPath) -> Position | None:
        """Return where the path stands, or the nearest table around it that stands somewhere."""
        while path and not self.has(path):
            path = path[:-1]
        while path:
            found = self.find(path)
            if found is not None:
                return found
            path = path[:-1]
        return None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table comes from: the files in which it stands, a later one over an earlier one.

    Attributes:
        stands: Each file with its number in the order of reading, and the path of the table in it.
    """

    stands: tuple[tuple[int, Source, KeyPath], ...]

    def at(self, *path: str | int) -> str:
        """Return the place of a key below the table: `ops/job_x.toml:14:10`, or of what is around it."""
        _, source, base = self._last(path)
        position = source.position((*base, *path))
        return source.name if position is None else f"{source.name}:{position[0]}:{position[1]}"

    def order(self, *path: str | int) -> tuple[int, int, int]:
        """Return what sorts places by file, line and column."""
        number, source, base = self._last(path)
        return (number, *(source.position((*base, *path)) or (0, 0)))

    def _last(self, path: KeyPath) -> tuple[int, Source, KeyPath]:
        for length in range(len(path), -1, -1):
            for stand in reversed(self.stands):
                if stand[1].has((*stand[2], *path[:length])):
                    return stand
        return self.stands[-1]


class TomlPlaces:
    """The places of all keys of a TOML text."""

    def __init__(self, text: str, jobs: int = 0) -> None:
        """Take a text that `tomllib` has accepted.

        Args:
            text: Without byte order mark; lines end as they do in the file.
            jobs: The number of its `[[job]]` tables, whose places are found without looking at the rest.
        """
        self._text, self._jobs = text, jobs

    def find(self, path: KeyPath) -> Position | None:
        """Return where a key stands; for an element of an array, where the element begins."""
        if len(path) == 2 and path[0] == "job" and isinstance(path[1], int) and self._headers:
            return self._position(self._headers[path[1]])
        offset = self._offsets.get(path)
        return None if offset is None else self._position(offset)

    @cached_property
    def paths(self) -> frozenset[KeyPath]:
        """All that can be found."""
        return frozenset(self._offsets)

    @cached_property
    def _headers(self) -> Sequence[int]:
        found = [match.start(1) for match in JOB_HEADER.finditer(self._text)]
        return found if len(found) == self._jobs else ()  # one of them may be text in a text

    @cached_property
    def _offsets(self) -> Mapping[KeyPath, int]:
        return _Walk(self._text).places

    @cached_property
    def _lines(self) -> Sequence[int]:
        return [0, *accumulate(len(line) + 1 for line in self._text.split("\n"))]

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


class _Walk:
    """One pass over the words of a text. What it is in is kept on a list: nothing recurses."""

    def __init__(self, text: str) -> None:
        self.places: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        table: KeyPath = ()
        words = _words(text)
        for word in words:
            if word.text == "[":
                table = self._header(words, word.offset, double=text.startswith("[[", word.offset))
            elif word.kind != "line":
                self._value(words, self._key(words, word, table))

    def _header(self, words: Iterator[_Word], offset: int, *, double: bool) -> KeyPath:
        """Return the path of the table that begins here."""
        line = takewhile(lambda word: word.kind != "line", words)
        keys = [_unquoted(word) for word in line if word.kind != "mark"]
        path: KeyPath = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self.places.setdefault(path, offset)
            if double and number == len(keys):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self.places.setdefault(path, offset)
        return path

    def _key(self, words: Iterator[_Word], first: _Word, table: KeyPath) -> KeyPath:
        """Return the path of the key that begins with `first`, and go on to its value."""
        path = table
        for word in chain([first], takewhile(lambda word: word.text != "=", words)):
            if word.kind != "mark":
                path = (*path, _unquoted(word))
                self.places.setdefault(path, first.offset)
        return path

    def _value(self, words: Iterator[_Word], path: KeyPath) -> None:
        """Go on to the end of a value, through all that is in it."""
        around: list[tuple[KeyPath, count[int] | None]] = []  # arrays with their counter, inline tables
        key_next = False
        for word in words:
            if word.kind == "line" and not around:
                return
            if word.text in ("]", "}"):
                around.pop()
                key_next = False
            elif word.text == ",":
                table, counter = around[-1]
                key_next = counter is None
                path = table if counter is None else (*table, next(counter))
            elif key_next and word.kind != "line":
                path = self._key(words, word, path)
                key_next = False
            elif word.kind != "line":
                self.places.setdefault(path, word.offset)
                if word.text == "[":
                    around.append((path, count(1)))
                    path = (*path, 0)
                elif word.text == "{":
                    around.append((path, None))
                    key_next = True


class _Word(NamedTuple):
    kind: str
    text: str
    offset: int


def _words(text: str) -> Iterator[_Word]:
    for match in WORDS.finditer(text):
        if match.lastgroup is not None:
            yield _Word(match.lastgroup, match[0], match.start())
    yield _Word("line", "\n", len(text))


def _unquoted(word: _Word) -> str:
    return str(tomllib.loads(f"key = {word.text}")["key"]) if word.kind == "text" else word.text
