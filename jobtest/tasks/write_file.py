"""Task type `write_file`: a file with this content, given as text or as a template."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from jobtest.core.errors import Problem, did_you_mean
from jobtest.tasks import NotAsWanted, TaskFailed
from jobtest.tasks.files import described, explained, remove, replacing

__all__ = ["check_task_write_file", "delete_task_write_file", "describe_task_write_file", "task_write_file"]

PLACEHOLDER = re.compile(r"\$(\$?)\{([^{}\n]*)\}")
LINE_END = "\n"
MODE = re.compile(r"[0-7]{3,4}")


def task_write_file(
    path: Path,
    params: Mapping[str, object],
    content: str | None = None,
    template: Path | None = None,
    values: dict[str, Any] | None = None,
    mode: str | None = None,
) -> None:
    r"""Write a text file, from its content or from a template.

    In a template `${name}` is replaced by that entry of `values`, or else by that parameter of the project; a
    name that neither has is an error. `$${name}` gives `${name}`, and any other `$` is left as it is. Text,
    numbers, dates and `true` or `false` can be filled in. The file is written in UTF-8, there whole or not at
    all; folders that are missing are made.

    Args:
        path: The file to write.
        params: Parameters of the project.
        content: Its content; either this or `template`.
        template: A file with placeholders; either this or `content`.
        values: What to fill into the template, beside the parameters of the project, and before them.
        mode: Its permissions, like "0644"; without it those it has, or those that a new file gets.

    Example:
        [[job]]
        name = "settings"
        task = "write_file"
        args = { path = "out/site.ini", content = "[site]\nlanguage = en\n", mode = "0640" }

        [[job]]
        name = "page"
        task = "write_file"
        args = { path = "out/page.html", template = "page.html.in", values = { title = "Home" } }
    """
    wanted, permissions = _wanted(content, template, values, params), _permissions(mode)
    with explained(f"'{path}' cannot be written", path), replacing(path, permissions) as stream:
        stream.write(wanted)


def check_task_write_file(
    path: Path,
    params: Mapping[str, object],
    content: str | None = None,
    template: Path | None = None,
    values: dict[str, Any] | None = None,
    mode: str | None = None,
) -> None:
    """The file has this content and, if they are given, these permissions.

    Args:
        path: As for the task.
        params: As for the task.
        content: As for the task.
        template: As for the task.
        values: As for the task.
        mode: As for the task.
    """
    wanted, permissions = _wanted(content, template, values, params), _permissions(mode)
    if not path.is_file():
        raise NotAsWanted(f"'{path}' is not there")
    with explained(f"'{path}' cannot be read", path):
        there = path.read_bytes()
        now = stat.S_IMODE(path.stat().st_mode)
    if there != wanted:
        raise NotAsWanted(f"'{path}' differs from line {_first_difference(there, wanted)} on")
    if permissions is not None and now != permissions:
        raise NotAsWanted(f"'{path}' has mode {now:04o}, not {permissions:04o}")


def describe_task_write_file(path: Path) -> dict[str, object]:
    """`path`, `exists`, `bytes` and `sha256` of the file.

    Args:
        path: As for the task.
    """
    return described(path)


def delete_task_write_file(path: Path) -> None:
    """Deletes the file.

    Args:
        path: As for the task.
    """
    remove(path)


def _permissions(mode: str | None) -> int | None:
    if mode is None:
        return None
    if not MODE.fullmatch(mode):
        raise _failed(f"mode = {mode!r} is no mode", (), 'write three or four octal digits, like "0644"')
    return int(mode, 8)


def _wanted(
    content: str | None,
    template: Path | None,
    values: Mapping[str, object] | None,
    params: Mapping[str, object],
) -> bytes:
    if (content is None) == (template is None):
        which = "neither" if content is None else "both"
        raise _failed(f"{which} of content and template are given", (), "give one of them")
    if template is not None:
        text = _filled(template, values or {}, params)
    elif values is not None:
        raise _failed("values fill a template, and there is none", (), "give a template, or leave values out")
    else:
        text = content or ""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _failed(
            f"the content cannot be written in UTF-8: {error.reason}", (), "take that character out"
        ) from error


def _filled(template: Path, values: Mapping[str, object], params: Mapping[str, object]) -> str:
    """Return the text of a template, with all its placeholders filled.

    Raises:
        TaskFailed: it cannot be read, or not be filled; all placeholders that cannot be are named.
    """
    with explained(f"template = '{template}' cannot be read", template, "give the path of a text file"):
        raw = template.read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        place = f"{template}:{1 + raw.count(LINE_END.encode(), 0, error.start)}"
        raise _failed(f"template = '{template}' is not UTF-8", (place,), "save it as UTF-8") from error
    known = {**params, **values}
    unfit = [
        f"{template}:{1 + text.count(LINE_END, 0, found.start())} {_unfit(found[2], known)}"
        for found in PLACEHOLDER.finditer(text)
        if not found[1] and _text(known.get(found[2])) is None
    ]
    if unfit:
        fix = "give it in values, or write $${...} for a ${...} that stays"
        raise _failed(f"template = '{template}' cannot be filled", tuple(unfit), fix)
    return PLACEHOLDER.sub(lambda found: found[0][1:] if found[1] else _text(known[found[2]]) or "", text)


def _unfit(name: str, known: Mapping[str, object]) -> str:
    if name in known:
        return f"${{{name}}}: {known[name]!r} is no text, number, date, true or false"
    fix = did_you_mean(name, known)
    return f"${{{name}}} has no value{f' ({fix})' if fix else ''}"


def _text(value: object) -> str | None:
    """Return what a placeholder becomes; None for what has no plain text."""
    match value:
        case bool():
            return str(value).lower()
        case datetime() | date() | time():
            return value.isoformat()
        case str() | int() | float():
            return str(value)
        case _:
            return None


def _first_difference(there: bytes, wanted: bytes) -> int:
    pairs = enumerate(zip(there.splitlines(True), wanted.splitlines(True), strict=False), start=1)
    whole = min(there.count(b"\n"), wanted.count(b"\n")) + 1
    return next((number for number, (one, other) in pairs if one != other), whole)


def _failed(what: str, at: tuple[str, ...], fix: str) -> TaskFailed:
    return TaskFailed(Problem(what=what, at=at, fix=fix))
