"""Makes docs/tasks.md from signatures and docstrings of task types: `python docs/make_tasks_page.py`.

Descriptions, arguments and examples are those of the docstrings; nothing about a type is written here.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from jobtest.tasks import BUILT_IN

PAGE = Path(__file__).with_name("tasks.md")
FIXTURES = frozenset({"params", "local"})
"""Parameters of tasks that nobody writes down: fixtures."""

HEAD = """\
# Task types

<!-- Made by docs/make_tasks_page.py; edit the docstrings in jobtest/tasks instead. -->

What an entry of a [job file](job_files.md) can do without a line of Python. Relative paths are relative to
the rootdir. Every type but `shell` brings a check with it, so that a second run finds nothing to do; a
check for which an entry does not give the arguments takes no part. Files are written beside their place and
moved there when they are whole: after a failure the old one is there, or none. What cannot be done is told
with the reason and what to do about it.
"""

WORDS: Mapping[Any, str] = {
    str: "text",
    Path: "path",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    Any: "any value",
}
SECTION = re.compile(r"^(Args|Returns|Raises|Example):$", re.MULTILINE)
ARGUMENT = re.compile(r"^(\w+): (.*?)(?=^\w+: |\Z)", re.MULTILINE | re.DOTALL)

Function = Callable[..., object]


def page() -> str:
    """Return the text of the page."""
    by_task: dict[Function, list[str]] = {}
    for name, module in sorted(BUILT_IN.items()):
        by_task.setdefault(getattr(import_module(module), f"task_{name}"), []).append(name)
    return "\n".join([HEAD, *(line for names in by_task.values() for line in _of_type(names))])


def _of_type(names: list[str]) -> Iterator[str]:
    functions = _functions(names[0])
    text = _sections(functions[f"task_{names[0]}"])
    yield f"## {', '.join(f'`{name}`' for name in names)}\n"
    yield f"{text['']}\n"
    yield "| argument | | default | |"
    yield "|---|---|---|---|"
    yield from _rows(functions.values())
    yield ""
    for title, told in _told(names[0], functions):
        yield f"- {title}: {told}"
    yield f"\n```toml\n{text['Example']}\n```\n"


def _functions(name: str) -> dict[str, Function]:
    """Return the task and its companions, in the order of the module, the task first."""
    own = re.compile(rf"(check_|describe_|delete_|cleanup_)?task_{name}(__\w+)?")
    found = {key: one for key, one in vars(import_module(BUILT_IN[name])).items() if own.fullmatch(key)}
    return dict(sorted(found.items(), key=lambda pair: pair[0] != f"task_{name}"))


def _rows(functions: Iterator[Function]) -> Iterator[str]:
    seen = set(FIXTURES)
    for function in functions:
        texts = _arguments(function)
        hints = get_type_hints(function)
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in seen:
                seen.add(name)
                default = _default(parameter.default, optional=function.__name__.startswith("check_"))
                cells = (f"`{name}`", _words(hints[name]), default, texts[name])
                yield f"| {' | '.join(cells)} |"


def _told(name: str, functions: Mapping[str, Function]) -> Iterator[tuple[str, str]]:
    for key, function in functions.items():
        first = _sections(function)[""].partition("\n")[0]
        if key == f"task_{name}" and "Returns" in _sections(function):
            yield "value", _sections(function)["Returns"]
        elif key.startswith("check_"):
            aspect = key.partition("__")[2]
            yield f"check, if `{aspect}` is given" if aspect else "check", first
        elif key.startswith("describe_"):
            yield "value, and `--job-command=describe`", first
        elif key.startswith("delete_"):
            yield "`--job-command=delete`", first


def _sections(function: Function) -> dict[str, str]:
    """Return the parts of a docstring by heading, the first under an empty one."""
    before, *rest = SECTION.split(inspect.getdoc(function) or "")
    parts = {heading: inspect.cleandoc(text) for heading, text in zip(rest[::2], rest[1::2], strict=True)}
    return {"": before.strip(), **parts}


def _arguments(function: Function) -> dict[str, str]:
    found = ARGUMENT.findall(_sections(function).get("Args", ""))
    return {name: " ".join(text.split()) for name, text in found}


def _default(value: object, *, optional: bool) -> str:
    if value is inspect.Parameter.empty:
        return "" if optional else "required"
    if value is None:
        return ""
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"


def _words(hint: Any) -> str:  # noqa: ANN401 - what stands in a signature may be anything
    """Return a type in the words of TOML."""
    if hint in WORDS:
        return WORDS[hint]
    inner = [_words(one) for one in get_args(hint) if one is not NoneType]
    if isinstance(hint, UnionType):
        return " or ".join(inner)
    if get_origin(hint) is list:
        return f"list of {inner[0]}s"
    if get_origin(hint) is dict:
        return f"table of {inner[1]}s"
    raise TypeError(f"no words for {hint!r}")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
