"""The verbs of a project: what `--job-command` may say, and what each of them does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jobtest.core.errors import Problem, did_you_mean

__all__ = ["BUILT_IN", "Verb", "find_verb", "read_verbs"]


@dataclass(frozen=True, slots=True)
class Verb:
    """A word of the command line, and of the keywords `commands=` and `not_commands=`.

    Attributes:
        name: The word.
        does: The built-in verb that it stands for; of a verb that a project adds, its own name. It is the
            prefix of the functions that it calls, `delete_NAME`; those of `apply` are `job_NAME`.
        reverse: Jobs are called downstream first.
    """

    name: str
    does: str
    reverse: bool = False

    @property
    def is_added(self) -> bool:
        """Whether the project has added it."""
        return self.does not in BUILT_IN


BUILT_IN: Mapping[str, Verb] = {
    "apply": Verb("apply", "apply"),
    "describe": Verb("describe", "describe"),
    "delete": Verb("delete", "delete", reverse=True),
    "rollback": Verb("rollback", "rollback", reverse=True),
    "cleanup": Verb("cleanup", "cleanup", reverse=True),
}
TAKEN = ("check", "drift", "job", "plan", "pytest", "task", "test", "update")
"""What begins the names of other functions, or is an option of its own."""

ORDERS = ("forward", "reverse")
RULE = "a lower-case word such as 'backup', whose functions are backup_NAME"


def read_verbs(table: Mapping[str, object], at: str) -> tuple[dict[str, Verb], list[Problem]]:
    """Return the verbs of a project by name, and what is wrong with its setting `commands`.

    Args:
        table: From the name of a verb to the built-in verb that it renames, or to a table with its order.
        at: Where that stands.
    """
    problems: list[Problem] = []

    def wrong(what: str, fix: str = "") -> None:
        problems.append(Problem(what=what, at=(at,), fix=fix))

    verbs = dict(BUILT_IN)
    for name, value in table.items():
        if _is_good_name(name, wrong):
            _add(verbs, name, value, wrong)
    return verbs, problems


def find_verb(name: str, verbs: Mapping[str, Verb]) -> tuple[Verb | None, str]:
    """Return a verb by its name; or None, and what to say instead."""
    found = verbs.get(name)
    if found is not None:
        return found, ""
    renamed = next((verb.name for verb in verbs.values() if verb.does == name), None)
    return None, f"it is called {renamed!r} here" if renamed else did_you_mean(name, verbs, what="there are")


def _is_good_name(name: str, wrong: Callable[[str, str], None]) -> bool:
    if name in BUILT_IN:
        wrong(f"setting commands.{name}: {name!r} is a verb already", "give the new verb another name")
    elif name in TAKEN:
        wrong(f"setting commands.{name}: {name!r} means something else", f"name it {RULE}")
    elif not re.fullmatch(r"[a-z][a-z0-9]*", name):
        wrong(f"setting commands.{name}: a verb must be {RULE}", "")
    else:
        return True
    return False


def _add(verbs: dict[str, Verb], name: str, value: object, wrong: Callable[[str, str], None]) -> None:
    if isinstance(value, str):
        _rename(verbs, name, value, wrong)
        return
    if not isinstance(value, dict):
        wrong(f"setting commands.{name} = {value!r} must be the verb that it renames, or a table", "")
        return
    for key in value:
        if key != "order":
            fix = did_you_mean(key, ("order",), what="keys are")
            wrong(f"unknown setting 'commands.{name}.{key}'", fix)
    order = value.get("order", "forward")
    if order not in ORDERS:
        rule = " or ".join(repr(one) for one in ORDERS)
        wrong(f"setting commands.{name}.order = {order!r} must be {rule}", "")
    verbs[name] = Verb(name, name, reverse=order == "reverse")


def _rename(verbs: dict[str, Verb], name: str, old: str, wrong: Callable[[str, str], None]) -> None:
    what = f"setting commands.{name} = {old!r}"
    if old not in BUILT_IN:
        wrong(f"{what} must be a built-in verb", did_you_mean(old, BUILT_IN, what="there are"))
        return
    if old not in verbs:
        renamed = next(verb.name for verb in verbs.values() if verb.does == old)
        wrong(f"{what}: {old!r} is called {renamed!r} already", "keep one of them")
        return
    del verbs[old]
    verbs[name] = Verb(name, old, BUILT_IN[old].reverse)
