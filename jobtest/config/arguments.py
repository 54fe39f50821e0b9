"""The arguments of a task: checked against the parameters of its function, and made what they ask for.

What lives here: names, and what is missing or not known. What does not live here: what a value must be for an
annotation (`kinds`), and which parameters are fixtures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter
from types import SimpleNamespace
from typing import Any, get_type_hints

from jobtest.config.kinds import Hook, hook_of, mistakes_of, rule_of
from jobtest.config.places import Mistake
from jobtest.core.errors import Problem, ProjectError, did_you_mean

__all__ = ["Arguments"]


class Arguments:
    """What the function of a task type takes.

    Attributes:
        names: Of its parameters, in order.
        required: Those without a default.
        open: It takes further ones, `**kwargs`.
        faults: What is wrong with the function itself.
    """

    def __init__(self, function: Callable[..., object], at: str = "") -> None:
        """Look at a function.

        Args:
            function: `task_NAME`.
            at: Where it stands, for messages; empty: its file and line.
        """
        self.faults: tuple[Problem, ...] = ()
        self._function, self._at = inspect.unwrap(function), at
        parameters = inspect.signature(function).parameters.values()
        self.open = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
        for one in parameters:
            if one.kind is Parameter.POSITIONAL_ONLY:
                self._fault(f"has the positional-only parameter {one.name!r}", "take the / out")
            elif one.kind is Parameter.VAR_POSITIONAL:
                self._fault(f"has the parameter '*{one.name}'", "arguments have names: take a list")
        named = [
            one for one in parameters if one.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        ]
        self.names = tuple(one.name for one in named)
        self.required = frozenset(one.name for one in named if one.default is Parameter.empty)
        annotated = {one.name: one.annotation for one in named if one.annotation is not Parameter.empty}
        self._kinds: dict[str, tuple[object, Hook]] = {}
        for name, annotation in annotated.items():
            self._look_at(name, annotation)

    def problems(self, given: Mapping[str, object], *, elsewhere: Collection[str] = ()) -> list[Mistake]:
        """Return what is wrong with arguments, with paths that begin with their names.

        Args:
            given: The arguments; a `Template` is taken as fitting.
            elsewhere: Parameters that need not be among them.
        """
        mistakes: list[Mistake] = []
        for name, value in given.items():
            if name in self._kinds:
                mistakes.extend(self._made(name, value)[1])
            elif name not in self.names and not self.open:
                fix = did_you_mean(name, self.names, what="arguments are") or "it takes no arguments"
                mistakes.append(Mistake((name,), f"unknown argument {name!r}", fix))
        for name in self.names:
            if name in self.required and name not in given and name not in elsewhere:
                fix = f"it must be {rule_of(self._kinds[name][0])}" if name in self._kinds else ""
                mistakes.append(Mistake((), f"args.{name} is missing", fix))
        return mistakes

    def convert(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return arguments as the annotations say.

        Raises:
            ProjectError: some do not fit; all of them.
        """
        made: dict[str, object] = {}
        mistakes: list[Mistake] = []
        for name, value in given.items():
            made[name], wrong = self._made(name, value) if name in self._kinds else (value, [])
            mistakes.extend(wrong)
        if mistakes:
            raise ProjectError([Problem(what=one.what, fix=one.fix) for one in mistakes])
        return made

    def _made(self, name: str, value: object) -> tuple[object, list[Mistake]]:
        try:
            return self._kinds[name][1](value), []
        except Exception as error:  # noqa: BLE001 - classes of users may refuse a value in their own way
            return value, list(mistakes_of(error, (name,), value))

    def _look_at(self, name: str, annotation: object) -> None:
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            scope = getattr(self._function, "__globals__", {})
            kind: Any = get_type_hints(holder, scope, include_extras=True)[name]
            self._kinds[name] = kind, hook_of(kind)
        except Exception as error:  # noqa: BLE001 - an annotation may be any code
            shown = annotation if isinstance(annotation, str) else repr(annotation)
            what = f"has the annotation {name}: {shown}, which cannot be read: {error}"
            self._fault(what, "import what it names, not only for type checkers")

    def _fault(self, what: str, fix: str) -> None:
        code = getattr(self._function, "__code__", None)
        name = getattr(self._function, "__name__", "")
        at = self._at or (f"{code.co_filename}:{code.co_firstlineno} {name}" if code else name)
        self.faults += (Problem(what=f"task type {name.removeprefix('task_')!r} {what}", at=(at,), fix=fix),)
