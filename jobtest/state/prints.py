"""Files as inputs and outputs of jobs: which there are, and whether their content is still the same.

What lives here: the built-in check of `@pytest.mark.job(inputs=[...], outputs=[...])`. What does not: keeping
what it found (`Past.files`). A job with such a check goes this way:

1. Before the run phase `now = prints(root, inputs)`, and `verdict(...)` says why it must run, or nothing.
2. After the run phase `missing(...)` decides: what was recorded before counts no more.
3. On success `record(root, outputs, now)` is kept: inputs as they were before the run, so that one that
   changed meanwhile makes the next run do it again.

A pattern is a path with `*`, `?`, `[...]` in its names, or `**` for any number of folders. It is relative to
the root, or absolute. `*`, `?`, `[...]` and `**` pass over names that begin with a dot, as in a shell. A
folder that a pattern names or matches stands for all files below it, those with such names too. Symbolic
links are followed; one that leads nowhere is not there, and neither is what is no regular file (a pipe, a
device).

Every function that looks at the disk raises `OSError` with the path: a file or folder that cannot be read, a
folder that holds itself, a file that vanishes while it is read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import dropwhile
from pathlib import Path

__all__ = ["bad_patterns", "files_of", "missing", "prints", "record", "verdict"]

NAMES_SHOWN = 3
"""Names in a reason: it is one line of a report."""


def bad_patterns(patterns: Iterable[str]) -> str:
    """Return what is wrong with the first pattern that cannot be used; empty if all can.

    A pattern must name something below the root or elsewhere. `..` may only stand at its beginning, where it
    means the same with and without symbolic links. What stands for the whole project is refused: the state is
    in there and changes with every run, so that such a check would never hold.
    """
    for pattern in patterns:
        parts = list(dropwhile(lambda part: part in (".", ".."), pattern.split("/")))
        if not pattern.strip():
            return f"{pattern!r} is empty"
        if not _is_path(pattern):
            return f"{pattern!r} cannot be the name of a file"
        if ".." in parts:
            return f"{pattern!r} has '..' behind its beginning"
        if all(part in ("", ".", "**") for part in parts):
            return f"{pattern!r} stands for the whole project, the state of jobtest included"
    return ""


def files_of(root: Path, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files that patterns stand for, and the patterns that match nothing.

    Files are sorted, each once; relative to `root` and with `/` if they are below it, else absolute. Patterns
    that match nothing keep their order. An empty folder is a match without files.

    Raises:
        OSError: see this module.
    """
    top = os.path.abspath(root)
    inside = top.rstrip("/") + "/"
    found: set[str] = set()
    unmatched = []
    for pattern in dict.fromkeys(patterns):
        matches = _matches(top, pattern)
        found.update(_files(matches))
        if not matches:
            unmatched.append(pattern)
    return sorted(path.removeprefix(inside) for path in found), unmatched


def prints(root: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of the content of each file that patterns stand for, in hex, by path.

    Raises:
        OSError: see this module.
    """
    found, _ = files_of(root, patterns)
    return {path: _print(os.path.join(root, path)) for path in found}


def missing(root: Path, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Return which outputs or inputs are not there; empty if all are. This is the whole recheck.

    Raises:
        OSError: see this module.
    """
    for kind, patterns in (("outputs", outputs), ("inputs", inputs)):
        _, unmatched = files_of(root, patterns)
        if unmatched:
            return _reason(f"{kind} missing", unmatched)
    return ""


def verdict(
    root: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    known: Mapping[str, str] | None,
    now: Mapping[str, str],
) -> str:
    """Return why a job must run; empty if its built-in check holds.

    Args:
        root: Of the project.
        inputs: Patterns.
        outputs: Patterns. Files that only they match and nothing is known of are none of the job's business.
        known: What `record` gave at the last success; None if there is none. Without inputs none is needed.
        now: What `prints` gives for the inputs.

    Raises:
        OSError: see this module.
    """
    reason = missing(root, inputs, outputs)
    if reason:
        return reason
    if known is None:
        return "no record of its inputs" if inputs else ""
    made = prints(root, outputs)
    either = " or ".join(kind for kind, given in (("inputs", inputs), ("outputs", outputs)) if given)
    differences = (
        ("inputs changed", [path for path in now if known.get(path, now[path]) != now[path]]),
        ("inputs added", [path for path in now if path not in known]),
        (f"{either} removed", [path for path in known if path not in now and path not in made]),
        ("outputs changed", [path for path in made if known.get(path, made[path]) != made[path]]),
    )
    return next((_reason(what, paths) for what, paths in differences if paths), "")


def record(root: Path, outputs: Sequence[str], now: Mapping[str, str]) -> dict[str, str]:
    """Return what to keep when a job has succeeded.

    What is both input and output is kept as it is after the run, or the job would never be done.

    Args:
        root: Of the project.
        outputs: Patterns.
        now: What `prints` gave for the inputs before the run phase.

    Raises:
        OSError: see this module.
    """
    return {**now, **prints(root, outputs)}


def _is_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _reason(what: str, names: Sequence[str]) -> str:
    shown = [name if name.isprintable() else ascii(name)[1:-1] for name in names[:NAMES_SHOWN]]
    more = len(names) - len(shown)
    return f"{what}: {', '.join(shown)}" + (f", ... {more} more" if more else "")


def _print(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, path) from error


def _matches(top: str, pattern: str) -> list[str]:
    """Return the files and folders that a pattern matches, name by name from `top` or from `/`."""
    paths = ["/" if pattern.startswith("/") else top]
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    for part in parts:
        paths = list(dict.fromkeys(step for path in paths for step in _steps(path, part)))
    return [path for path in paths if _mode(path)]


def _steps(path: str, part: str) -> Iterable[str]:
    if part == "..":
        return [os.path.dirname(path)]
    if not any(letter in part for letter in "*?["):
        return [os.path.join(path, part)]
    if not stat.S_ISDIR(_mode(path)):
        return []
    if part == "**":
        return [folder for folder, _ in _walk(path, hidden=False)]
    names = [name for name in os.listdir(path) if name[0] != "." or part[0] == "."]
    return [os.path.join(path, name) for name in names if fnmatchcase(name, part)]


def _files(matches: Iterable[str]) -> Iterator[str]:
    """Yield the files among matches and those below the folders among them, walking no folder twice."""
    walked: set[str] = set()
    for path in sorted(matches):
        if stat.S_ISREG(_mode(path)):
            yield path
        elif path not in walked:
            for folder, files in _walk(path, hidden=True):
                walked.add(folder)
                yield from files


def _walk(top: str, *, hidden: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from `top` downwards, with the files in it."""
    todo: list[tuple[str, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while todo:
        folder, above = todo.pop()
        status = os.stat(folder)
        here = status.st_dev, status.st_ino
        if here in above:
            raise OSError(errno.ELOOP, "the folder holds itself", folder)
        within = above | {here}
        files = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name[0] == "." and not hidden:
                    continue
                if entry.is_dir():
                    todo.append((entry.path, within))
                elif entry.is_file():
                    files.append(entry.path)
        yield folder, files


def _mode(path: str) -> int:
    """Return the mode of a file or folder, 0 if there is none."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return mode if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else 0
