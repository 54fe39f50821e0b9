"""`${env:NAME}` in the parameters of the settings: read when a run begins, for the context that it chose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jobtest.core.errors import Problem

__all__ = ["from_environment"]

REFERENCE = re.compile(r"\$\$\{|\$\{(?P<optional>\??)env:(?P<name>[^{}]*)\}|\$\{")


@dataclass(frozen=True, slots=True)
class _Missing:
    """Stands for a text that is one optional reference to a variable that is not set."""


MISSING = _Missing()


def from_environment(
    values: Mapping[str, object], environ: Mapping[str, str], places: Mapping[str, str], at: str
) -> tuple[dict[str, object], list[Problem]]:
    """Return parameters with what the environment says in them, and what is wrong.

    Args:
        values: Parameters, with tables and lists in them.
        environ: The environment.
        places: The key in the settings under which each parameter stands.
        at: The file.
    """
    problems: list[Problem] = []
    result: dict[str, object] = {}
    todo: list[tuple[object, dict[str, object] | list[object], str]] = [(values, result, "")]
    for source, target, path in todo:  # grows meanwhile: nothing recurses over what users write
        for key, value in _items(source):
            place = f"{path}.{key}" if path else places.get(str(key), f"params.{key}")
            made = _read(value, environ, place, at, problems) if isinstance(value, str) else value
            if isinstance(value, dict | list):
                inner: dict[str, object] | list[object] = [] if isinstance(value, list) else {}
                todo.append((value, inner, place))
                made = inner
            if isinstance(made, _Missing):
                continue
            if isinstance(target, list):
                target.append(made)
            else:
                target[str(key)] = made
    return result, problems


def _items(source: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(source, Mapping):
        yield from source.items()
    elif isinstance(source, list):
        yield from enumerate(source)


def _read(
    text: str, environ: Mapping[str, str], place: str, at: str, problems: list[Problem]
) -> str | _Missing:
    missing = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal missing
        name = found["name"]
        if name is None:
            if found[0] == "$${":
                return "${"
            what = f"setting {place} = {text!r}: only ${{env:NAME}} is replaced here"
            problems.append(Problem(what=what, at=(at,), fix="write $${ for the text ${"))
        elif name in environ:
            return environ[name]
        elif found["optional"]:
            missing = True
        else:
            what = f"setting {place}: the environment variable {name!r} is not set"
            fix = f"set it, or write ${{?env:{name}}} if it may be missing"
            problems.append(Problem(what=what, at=(at,), fix=fix))
        return ""

    result = REFERENCE.sub(replaced, text)
    whole = REFERENCE.fullmatch(text)
    return MISSING if missing and whole is not None else result
