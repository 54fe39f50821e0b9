"""The mark `@pytest.mark.job(...)`: its keywords, their checking, and the typed alias `jobtest.job`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

import pytest

from jobtest.core.errors import Problem, did_you_mean
from jobtest.core.model import OnFailure, Retry
from jobtest.core.scope import EVERYWHERE, LABEL, Need, Scope, Wanted
from jobtest.state.prints import bad_patterns

__all__ = ["KEYWORDS", "MarkOptions", "job", "read_marks"]

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkOptions:
    """What the marks of a job say, checked.

    Attributes:
        needs: Jobs that must succeed before it.
        values: Parameter to full reference, from `needs={...}`.
        after: Jobs that it follows.
        retry: From the `retry*` keywords.
        on_failure: What its failure does.
        priority: Higher goes first.
        resources: Amounts it holds.
        always: It runs although nobody needs it.
        inputs: Patterns of files; it runs if their content has changed since its last success.
        outputs: Patterns of files that it makes; it runs if one is missing or not as it left it.
        tracks: It runs if a value that it takes has changed.
        once: It must not run twice, for all that is known.
        rollback: It is rolled back when it has failed for good, if it has the function.
        executor: `thread` or `process`; None: whatever the run says.
        timeout: Seconds that each phase may take, or None.
        memory: Bytes that its process may have; 0: no limit.
        scope: Where it takes part.
        labels: By which others may need it.
        said: Keywords that were given, of those for which the settings have a default.
    """

    needs: tuple[Wanted, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    after: tuple[Wanted, ...] = ()
    retry: Retry = field(default_factory=Retry)
    on_failure: OnFailure = OnFailure.BLOCK
    priority: int = 0
    resources: Mapping[str, int] = field(default_factory=dict)
    always: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tracks: bool = True
    once: bool = False
    rollback: bool = True
    executor: str | None = None
    timeout: float | None = None
    memory: int = 0
    scope: Scope = EVERYWHERE
    labels: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()


DEFAULT = MarkOptions()


def job(
    *,
    needs: str | Need | Sequence[str | Need] | Mapping[str, str] = (),
    after: str | Need | Sequence[str | Need] = (),
    retries: int | None = None,
    retry_delay: float = 0.0,
    retry_backoff: float | Literal["linear"] = 1.0,
    retry_max_delay: float | None = None,
    retry_jitter: float = 0.0,
    retry_on: type[BaseException] | str | Sequence[type[BaseException] | str] = (),
    on_failure: Literal["block", "continue", "escalate"] = "block",
    priority: int = 0,
    resources: Mapping[str, int] | None = None,
    always: bool = False,
    inputs: str | Sequence[str] = (),
    outputs: str | Sequence[str] = (),
    on_crash: Literal["run", "fail"] = "run",
    rollback: bool = True,
    executor: Literal["thread", "process"] | None = None,
    isolate: bool = False,
    timeout: float | None = None,
    memory: int | str | None = None,
    contexts: str | Sequence[str] = (),
    not_contexts: str | Sequence[str] = (),
    commands: str | Sequence[str] = (),
    not_commands: str | Sequence[str] = (),
    when: str = "",
    labels: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Return the mark `pytest.mark.job` with these keywords; the same, with types.

    Args:
        needs: Jobs that must succeed before this one, by name, by `label:KEY=VALUE`, or under conditions as
            `Need(...)`; or from a parameter to the full reference of the job whose value it takes.
        after: Jobs that this one follows if they are in the run.
        retries: Further attempts after the first; by default as the settings say.
        retry_delay: Seconds before the second attempt.
        retry_backoff: Factor from one delay to the next; or `linear`: once, twice, three times the first.
        retry_max_delay: Seconds that no delay exceeds.
        retry_jitter: Fraction of the delay by which it may vary, 0 to 1.
        retry_on: Exceptions after which it is tried again, as types or names; empty: any failure.
        on_failure: `block` those that need it, let them `continue`, or `escalate`: nothing new starts.
        priority: Higher goes first among ready jobs.
        resources: Amounts it holds while it runs.
        always: Run it even if nobody needs it.
        inputs: Files that it reads, as patterns relative to the rootdir; or `ignore`: a value that it takes
            may change without it having to run.
        outputs: Files that it makes. With inputs or outputs it has a check: nothing is missing, nothing has
            changed since its last success.
        on_crash: What comes of it if the run is killed while it runs: it may `run` again, or it is to `fail`
            until it is forced.
        rollback: Call its `rollback_NAME` when it has failed for good.
        executor: Where its functions are called: on a `thread`, or in a `process` of their own.
        isolate: The same as `executor="process"`.
        timeout: Seconds that each phase may take; with no other wish it has a process of its own, which can
            be killed. By default as the settings say; infinite: no limit.
        memory: Bytes that its process may have, as a number or as text: `512M`, `2G`.
        contexts: It takes part in these contexts only.
        not_contexts: It does not take part in these.
        commands: It takes part for these verbs only.
        not_commands: It does not take part for these.
        when: `flag:NAME` or `not flag:NAME`: it takes part if that flag is on, or off.
        labels: By which others may need it: `needs=["label:KEY=VALUE"]`.
    """
    given: dict[str, Any] = dict(locals())
    kwargs = {name: value for name, value in given.items() if value != _DEFAULTS[name]}
    mark: Callable[[F], F] = pytest.mark.job(**kwargs)
    return mark


_DEFAULTS: Mapping[str, object] = {
    "needs": (),
    "after": (),
    "retries": None,
    "retry_delay": 0.0,
    "retry_backoff": 1.0,
    "retry_max_delay": None,
    "retry_jitter": 0.0,
    "retry_on": (),
    "on_failure": "block",
    "priority": 0,
    "resources": None,
    "always": False,
    "inputs": (),
    "outputs": (),
    "on_crash": "run",
    "rollback": True,
    "executor": None,
    "isolate": False,
    "timeout": None,
    "memory": None,
    "contexts": (),
    "not_contexts": (),
    "commands": (),
    "not_commands": (),
    "when": "",
    "labels": None,
}
KEYWORDS = tuple(_DEFAULTS)
SCOPE = ("contexts", "not_contexts", "commands", "not_commands")
HAVE_SETTING = ("retries", "timeout")
"""Keywords for which the settings have a default."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
LEAST_MEMORY = 64 << 20
"""Bytes without which a process with pytest in it cannot do anything."""


def read_marks(
    marks: Iterable[pytest.Mark], name: str, at: str, places: Callable[[str], str] | None = None
) -> tuple[MarkOptions, list[Problem]]:
    """Return what the marks of a job say, the closest first, and what is wrong with them.

    Args:
        marks: The marks.
        name: Of the job.
        at: Where it stands.
        places: From a keyword to where that stands, if it is known better.
    """
    merged: dict[str, object] = {}
    problems: list[Problem] = []
    for mark in marks:
        if mark.args:
            what = f"job {name!r}: the mark takes keywords only, not {mark.args[0]!r}"
            problems.append(Problem(what=what, at=(at,), fix='write it as keyword, e.g. needs=["x"]'))
        for key, value in mark.kwargs.items():
            merged.setdefault(key, value)
    if not merged:
        return DEFAULT, problems
    reader = _Reader(name, places or (lambda _: at), problems)
    for key in merged:
        if key not in _DEFAULTS:
            fix = did_you_mean(key, _DEFAULTS, what="keywords are")
            what = f"job {name!r}: the mark has no keyword {key!r}"
            problems.append(Problem(what=what, at=(places(key) if places else at,), fix=fix))
    known = {key: value for key, value in merged.items() if key in _DEFAULTS}
    return reader.options({**_DEFAULTS, **known}), problems


def _exception(one: object) -> str:
    """Return the name of an exception type, or empty if it is none and cannot be the name of one."""
    if isinstance(one, type) and issubclass(one, BaseException):
        return f"{one.__module__}.{one.__qualname__}"
    return one if isinstance(one, str) and all(part.isidentifier() for part in one.split(".")) else ""


class _Reader:
    """Checks the keywords of one job."""

    def __init__(self, name: str, places: Callable[[str], str], problems: list[Problem]) -> None:
        self._name, self._places, self._problems = name, places, problems

    def options(self, given: Mapping[str, object]) -> MarkOptions:
        needs, values = self._needs(given["needs"])
        return MarkOptions(
            needs=needs,
            values=values,
            after=self._wanted("after", given["after"]),
            retry=self._retry(given),
            on_failure=self._on_failure(given["on_failure"]),
            priority=self._whole("priority", given["priority"]),
            resources=self._resources(given["resources"]),
            always=self._flag("always", given["always"]),
            inputs=() if given["inputs"] == "ignore" else self._files("inputs", given["inputs"]),
            outputs=self._files("outputs", given["outputs"]),
            tracks=given["inputs"] != "ignore",
            once=self._on_crash(given["on_crash"]),
            rollback=self._flag("rollback", given["rollback"]),
            executor=self._executor(given["executor"], given["isolate"], given["memory"]),
            timeout=self._timeout(given["timeout"]),
            memory=self._memory(given["memory"]),
            scope=self._scope(given),
            labels=self._labels(given["labels"]),
            said=tuple(key for key in HAVE_SETTING if given[key] is not None),
        )

    def _wrong(self, key: str, value: object, rule: str, fix: str = "") -> None:
        self._problem(key, f"{key}={value!r} must be {rule}", fix)

    def _problem(self, key: str, what: str, fix: str = "") -> None:
        at = self._places(key.partition("[")[0])
        self._problems.append(Problem(what=f"job {self._name!r}: {what}", at=(at,), fix=fix))

    def _needs(self, value: object) -> tuple[tuple[Wanted, ...], Mapping[str, str]]:
        if isinstance(value, Mapping):
            if all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
                return (), dict(value)
            self._wrong("needs", value, "a list of names, or a dict from parameter to reference")
            return (), {}
        return self._wanted("needs", value), {}

    def _wanted(self, key: str, value: object) -> tuple[Wanted, ...]:
        several = isinstance(value, list | tuple)
        read = [self._one_wanted(key, one, several) for one in (value if several else [value])]  # type: ignore[attr-defined]  # a list
        found = tuple(one for one in read if one is not None)
        if len(found) < len(read):
            self._wrong(key, value, "a name or a list of names")
        return found

    def _one_wanted(self, key: str, one: object, in_list: bool) -> Wanted | None:
        """Return what one name, `Need` or table of a job file says; None if it is none of them."""
        if isinstance(one, Need):
            given = {field.name: getattr(one, field.name) for field in fields(Need)}
        elif isinstance(one, Mapping) and in_list and all(isinstance(name, str) for name in one):
            given = dict(one)
        else:
            given = {"job": one}
        job = given.pop("job", None)
        if not isinstance(job, str):
            return None
        if job.startswith(LABEL) and not re.fullmatch(r"label:[^=]+=.+", job):
            self._wrong(key, job, "label:KEY=VALUE", 'e.g. "label:tier=db"')
        for name in given.keys() - set(SCOPE):
            fix = did_you_mean(name, ("job", *SCOPE), what="keys are")
            self._problem(key, f"{key} of {job!r} has no key {name!r}", fix)
        return Wanted(job, Scope(**self._limits(given, f"{key}[{job!r}].")))

    def _limits(self, given: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
        return {key: self._names(f"{prefix}{key}", given[key]) for key in SCOPE if key in given}

    def _scope(self, given: Mapping[str, object]) -> Scope:
        when = given["when"]
        found = re.fullmatch(r"(not )?flag:(\S+)", when) if isinstance(when, str) else None
        if when != "" and found is None:
            self._wrong("when", when, "'flag:NAME' or 'not flag:NAME'")
        flag, off = (found[2], bool(found[1])) if found else ("", False)
        return Scope(**self._limits(given), flag=flag, flag_off=off)

    def _labels(self, value: object) -> Mapping[str, str]:
        if value is None:
            return {}
        if isinstance(value, Mapping) and all(
            isinstance(key, str) and key and "=" not in key and isinstance(one, str) and one
            for key, one in value.items()
        ):
            return dict(value)
        self._wrong("labels", value, "a dict from name to text, neither of them empty")
        return {}

    def _names(self, key: str, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            return tuple(value)
        self._wrong(key, value, "a name or a list of names")
        return ()

    def _files(self, key: str, value: object) -> tuple[str, ...]:
        patterns = self._names(key, value)
        bad = bad_patterns(patterns)
        if bad:
            self._wrong(key, value, f"patterns of files: {bad}")
            return ()
        return patterns

    def _on_crash(self, value: object) -> bool:
        if value not in ("run", "fail"):
            self._wrong("on_crash", value, "'run' or 'fail'")
        return value == "fail"

    def _executor(self, value: object, isolate: object, memory: object) -> str | None:
        if value not in (None, "thread", "process"):
            self._wrong("executor", value, "'thread' or 'process'")
        for key, wish in (("isolate", self._flag("isolate", isolate)), ("memory", memory is not None)):
            if wish and value == "thread":
                what = f"{key} needs a process, and executor='thread' says otherwise"
                self._problem(key, what, "leave one of them out")
            elif wish:
                return "process"
        return str(value) if value is not None else None

    def _timeout(self, value: object) -> float | None:
        if value is None or value == float("inf"):
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
        self._wrong("timeout", value, "a number of seconds > 0")
        return None

    def _memory(self, value: object) -> int:
        if value is None:
            return 0
        found = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", str(value), re.IGNORECASE)
        amount = int(found[1]) * UNITS[found[2].upper()] if found and not isinstance(value, bool) else 0
        if amount < LEAST_MEMORY:
            self._wrong("memory", value, "a number of bytes of at least 64M, e.g. '512M' or '2G'")
        return amount

    def _retry(self, given: Mapping[str, object]) -> Retry:
        most = given["retry_max_delay"]
        linear = given["retry_backoff"] == "linear"
        return Retry(
            retries=0 if given["retries"] is None else self._whole("retries", given["retries"], least=0),
            delay=self._number("retry_delay", given["retry_delay"]),
            backoff=1.0 if linear else self._number("retry_backoff", given["retry_backoff"]),
            linear=linear,
            max_delay=None if most is None else self._number("retry_max_delay", most),
            jitter=self._number("retry_jitter", given["retry_jitter"], most=1.0),
            on=self._exceptions(given["retry_on"]),
        )

    def _whole(self, key: str, value: object, least: int | None = None) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least):
            return value
        self._wrong(key, value, "a whole number" if least is None else f"a whole number >= {least}")
        return 0

    def _number(self, key: str, value: object, most: float | None = None) -> float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and 0 <= value < float("inf") and (most is None or value <= most):  # type: ignore[operator]  # a number
            return float(value)  # type: ignore[arg-type]  # a number, as just tested
        self._wrong(key, value, "a number >= 0" if most is None else f"a number from 0 to {most:g}")
        return 0.0

    def _flag(self, key: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        self._wrong(key, value, "True or False")
        return False

    def _exceptions(self, value: object) -> tuple[str, ...]:
        names = [_exception(one) for one in (value if isinstance(value, list | tuple) else (value,))]
        if all(names):
            return tuple(names)
        self._wrong("retry_on", value, "an exception type or its name, or a tuple of them")
        return ()

    def _on_failure(self, value: object) -> OnFailure:
        names = [one.value for one in OnFailure]
        if value in names:
            return OnFailure(value)
        fix = did_you_mean(value, names, what="there are") if isinstance(value, str) else ""
        self._wrong("on_failure", value, " or ".join(repr(one) for one in names), fix)
        return OnFailure.BLOCK

    def _resources(self, value: object) -> Mapping[str, int]:
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            self._wrong("resources", value, "a dict from name to amount")
            return {}
        return {name: self._whole(f"resources[{name!r}]", amount, least=1) for name, amount in value.items()}
