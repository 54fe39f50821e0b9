"""Job files in HOCON, `job_*.conf`, read by the package `hocon-parser` (extra `hocon`).

What lives here: what its own `${NAME}` finds, and where its errors stand. The package includes, merges, and
follows references inside the file. A name of jobtest or of the environment it only turns into a text that
asks for it, `${NAME}` or `${env:NAME}`: so one thing puts values in, `substitution`, with one set of rules.
Types are kept, values are never read again, what is written stays known; the environment is never touched.

An include that finds no file is an error here; plain HOCON passes over it in silence.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType

from jobtest.config.places import KeyPath, Position, Source
from jobtest.config.substitution import INSIDE
from jobtest.config.template import rebuilt
from jobtest.config.toml_files import named, pointed
from jobtest.core.errors import Problem, UsageError, did_you_mean

__all__ = ["Places", "read_source"]

NAME = re.compile(r'(?<![\w.-])"?name"?[ \t]*[:=][ \t]*"?([\w-]+)"?')
INCLUDE = r"(?<![\w.-])include[ \t(][^\n]*{}"
EXTENSIONS = (".properties", ".json", ".conf")


def read_source(
    path: Path,
    root: Path,
    *,
    names: Mapping[str, object],
    env: Mapping[str, str],
    overriding: Collection[str],
) -> tuple[list[Source], list[Problem]]:
    """Return a file with all that it includes as one, and what is wrong with it; one error ends the reading.

    Args:
        path: The file.
        root: Names in messages are relative to it.
        names: What `${NAME}` may ask for besides what the file itself has.
        env: What it may ask for besides those.
        overriding: Names that win over `vars` of the file.

    Raises:
        UsageError: the package is not installed.
    """
    package = _package(named(path, root))
    files = _Files(path, root)
    try:
        data = _read(package, path, files, names, env, overriding)
    except OSError as error:
        return [], [Problem(what=f"{files.last} cannot be read: {error.strerror or error}", at=(files.last,))]
    except UnicodeDecodeError as error:
        return [], [
            Problem(
                what=f"{files.last} is not UTF-8: {error.reason}", at=(files.last,), fix="save it as UTF-8"
            )
        ]
    except (package.ParseError, package.ResolveError, package.ConfigError) as error:
        missing = files.missing()
        said = bool(missing) and not getattr(error, "line", 0)  # that a required file is not there
        return [], missing if said else [*missing, files.problem(error, names)]
    text = files.texts[files.main]
    return [Source(files.main, data, Places(text, data).find)], files.missing()


def _read(
    package: ModuleType,
    path: Path,
    files: _Files,
    names: Mapping[str, object],
    env: Mapping[str, str],
    overriding: Collection[str],
) -> dict[str, object]:
    variables = {name: f"${{env:{name}}}" for name in env}
    config = package.parse_file(str(path), env=variables, read_file=files.read, resolve_substitutions=False)
    if overriding:
        config = package.from_map({"vars": {name: f"${{{name}}}" for name in overriding}}).with_fallback(
            config
        )
    asked = package.from_map({name: _asks(name, value) for name, value in names.items()})
    data: dict[str, object] = config.resolve_with(asked).to_object()
    return data


def _package(name: str) -> ModuleType:
    try:
        import hocon
    except ImportError as error:
        what = f"{name} needs the extra hocon"
        raise UsageError([Problem(what=what, at=(name,), fix="pip install 'jobtest[hocon]'")]) from error
    return hocon


def _asks(name: str, value: object) -> object:
    """Return a value in which each leaf is the text that asks for it."""

    def ask(path: KeyPath, leaf: object) -> object:
        inside = ".".join(map(str, (name, *path)))
        if INSIDE.fullmatch(inside):
            return f"${{{inside}}}"
        return leaf if isinstance(leaf, int | float) else str(leaf).replace("${", "$${")

    return rebuilt(value, ask)


class _Files:
    """The files that the package reads: what they hold, and which are not there."""

    def __init__(self, path: Path, root: Path) -> None:
        self._root = root
        self.main = self.last = named(path, root)
        self.texts: dict[str, str] = {}
        self._tried: dict[str, bool] = {}

    def read(self, path: str) -> str:
        """Return what a file holds; as the package asks for it."""
        self.last = named(Path(path), self._root)
        self._tried[path] = False
        if "\0" in path:
            raise FileNotFoundError(path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            self.texts[self.last] = file.read()
        self._tried[path] = True
        return self.texts[self.last]

    def missing(self) -> list[Problem]:
        """Return the includes that found nothing."""
        found: dict[str, Problem] = {}
        for path, there in self._tried.items():
            stem = os.path.splitext(path)[0]
            forms = [f"{stem}{extension}" for extension in EXTENSIONS]
            any_form = all(form in self._tried for form in forms)
            if there or (any_form and any(self._tried[form] for form in forms)):
                continue
            name = named(Path(stem if any_form else path), self._root)
            at = self._included(os.path.basename(name))
            folder = Path(path).parent
            beside = [one for one in folder.glob("*") if one.suffix in EXTENSIONS] if "\0" not in path else []
            near = [one.stem if any_form else one.name for one in beside]
            fix = did_you_mean(os.path.basename(name), near, what="there are")
            found[name] = Problem(what=f"{name} is included, but there is no such file", at=(at,), fix=fix)
        return list(found.values())

    def problem(self, error: Exception, names: Mapping[str, object]) -> Problem:
        """Return what an error of the package says, with its place as far as it knows it."""
        asked, line = str(getattr(error, "path", "")), getattr(error, "line", 0)
        if not line:
            return Problem(
                what=f"{self.last} is not usable: {error}".replace(f"{self._root}{os.sep}", ""),
                at=(self._included(os.path.basename(asked)),),
            )
        name = self._having(asked, line)
        at, shown = f"{name}:{line}:{error.col}", pointed(self.texts[name], line, error.col)  # type: ignore[attr-defined]
        fix = "correct the file"
        if str(error).startswith("could not resolve"):
            fix = did_you_mean(asked, names) if "." not in asked else ""
            if not fix.startswith("did"):
                fix = f'put it in quotes if it is in vars or the value of a job: "${{{asked}}}"'
        return Problem(what=f"{name} is not usable: {error}{shown}", at=(at,), fix=fix)

    def _having(self, asked: str, line: int) -> str:
        """Return the file that has what was asked for in a line; a text that cannot be read was the last."""
        for name, text in self.texts.items():
            lines = text.split("\n")
            if asked and line <= len(lines) and asked in lines[line - 1]:
                return name
        return self.main if asked else next(reversed(self.texts))

    def _included(self, name: str) -> str:
        """Return the place where a file is included, as far as it was read."""
        pattern = re.compile(INCLUDE.format(re.escape(name)))
        for source, text in reversed(self.texts.items()):
            if name and (found := pattern.search(text)):
                start = text.rfind("\n", 0, found.start()) + 1
                return f"{source}:{text.count(chr(10), 0, start) + 1}:{found.start() - start + 1}"
        return self.main


class Places:
    """Where jobs and their keys stand, by the looks of the text; the package does not tell."""

    def __init__(self, text: str, data: Mapping[str, object]) -> None:
        self._text, self._data = text, data

    def find(self, path: KeyPath) -> Position | None:
        """Return where a key is written; None if it may be in another file, or nobody can say."""
        start, end = 0, len(self._text)
        if len(path) > 1 and path[0] in ("job", "tasks"):
            found = self._jobs.get(path[:2])
            if found is None:
                return None
            start, end = found
            path = path[2:]
        for key in path:
            if isinstance(key, str):
                match = re.compile(rf'(?<![\w.-])"?{re.escape(key)}"?[ \t]*[:={{+]').search(
                    self._text, start, end
                )
                if match is None:
                    return None
                start = match.start()
        line = bisect_right(self._lines, start)
        return line, start - self._lines[line - 1] + 1

    @cached_property
    def _lines(self) -> Sequence[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]

    @cached_property
    def _jobs(self) -> dict[KeyPath, tuple[int, int]]:
        """Where the name of each job stands, and that of the next one."""
        starts: dict[str, list[int]] = {}
        for match in NAME.finditer(self._text):
            starts.setdefault(match[1], []).append(match.start())
        places = sorted(start for found in starts.values() for start in found)
        places.append(len(self._text))
        jobs: dict[KeyPath, tuple[int, int]] = {}
        for key in ("job", "tasks"):
            seen: Counter[object] = Counter()
            value = self._data.get(key)
            for index, table in enumerate(value if isinstance(value, list) else []):
                name = table.get("name") if isinstance(table, dict) else None
                found = starts.get(str(name), [])
                if seen[name] < len(found):
                    start = found[seen[name]]
                    jobs[key, index] = start, places[bisect_right(places, start)]
                seen[name] += 1
        return jobs
