r"""A plan as a TOML file that people review: written, read back, and compared with the plan of now.

What lives here: the file. What does not: making a plan, and saying how it is applied.

The file can hold any text but half surrogate pairs, which are no characters; they are written out
(`\udc80`) when a `SavedPlan` is made, so that what is saved and what is loaded are equal.
"""

from __future__ import annotations

import os
import re
import reprlib
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from jobtest.core.errors import Problem, UsageError
from jobtest.core.model import Outcome

__all__ = ["SCHEMA", "SavedJob", "SavedPlan", "differences", "load", "other_context", "save"]

SCHEMA = 1
"""Version of the file's format."""

LINE = 100
"""Columns up to which a list stays on one line; a longer one gets a line for each item, for diffs."""

NAMES_SHOWN = 3
"""Names in a message: it is one line."""

_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}

AGAIN = "make the plan again: pytest --orchestrate --plan --job-plan-out FILE"

HEADER = """\
# A plan of jobtest: what would be done, and why. To do exactly this:
#
#   pytest --orchestrate --job-apply FILE
#
# That refuses if a job, a definition, a parameter or a verdict is another by then. This file is not meant to
# be edited. To make it again:
#
#   pytest --orchestrate --plan --job-plan-out FILE

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedJob:
    """What a plan says of one job; nothing that differs from one run to the next.

    Attributes:
        id: Its id.
        verdict: What would come of it.
        reason: Why.
        definition: Digest of all that defines it, as `Job.definition`.
        params: Its parameters as people see them.
        needs: Ids of the jobs that it waits for.
    """

    id: str
    verdict: Outcome
    reason: str = ""
    definition: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "reason", "definition"):
            object.__setattr__(self, name, _writable(getattr(self, name)))
        params = {_writable(name): _writable(value) for name, value in self.params.items()}
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "needs", tuple(_writable(id) for id in self.needs))


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan, as it is kept for a review.

    Attributes:
        command: What the run is for.
        selection: What was selected, as text for people.
        made_at: When it was made, in UTC: `2026-01-31T10:00:00Z`.
        jobs: In the order of the plan.
        context: Name of the context, or empty.
    """

    command: str
    selection: str
    made_at: str
    jobs: tuple[SavedJob, ...]
    context: str = ""

    def __post_init__(self) -> None:
        for name in ("command", "selection", "made_at", "context"):
            object.__setattr__(self, name, _writable(getattr(self, name)))


def save(path: Path, saved: SavedPlan) -> None:
    """Write a plan. At any instant either the old or the new file is there, never a part.

    Folders that are missing are made. A symbolic link is followed; a file that exists keeps its permissions;
    what is no regular file (`/dev/stdout`, a pipe) is simply written to.

    Raises:
        UsageError: it cannot be written, or would not be the same when it is read; the old file is as it was.
    """
    text = _text_of(saved)
    twice = _twice(job.id for job in saved.jobs)
    if twice:
        raise UsageError(Problem(what=what, at=(str(path),), fix="rename one of them") for what in twice)
    if _read_back(text, path) != saved:
        what = "the plan would not be the same when it is read again; it was not written"
        raise UsageError([Problem(what=what, at=(str(path),), fix="this is a bug in jobtest")])
    try:
        _replace(Path(os.path.realpath(path)), text.encode())
    except OSError as error:
        what = f"the plan cannot be written: {error}"
        raise UsageError(
            [Problem(what=what, at=(str(path),), fix="name a file that can be written")]
        ) from error


def load(path: Path) -> SavedPlan:
    """Read a plan that `save` wrote. Keys that are not known are passed over.

    Raises:
        UsageError: there is no such file, it is not a plan or one of a newer jobtest, something in it is
            missing, of a wrong kind or there twice; all problems at once, each with the file.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError([Problem(what="there is no such plan", at=(str(path),), fix=AGAIN)]) from error
    except (OSError, ValueError, RecursionError) as error:
        said = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        what = f"the plan cannot be read: {said}"
        raise UsageError([Problem(what=what, at=(str(path),), fix=AGAIN)]) from error
    return _Reader(path).plan(document)


def other_context(saved: SavedPlan, context: str) -> list[Problem]:
    """Return why a saved plan cannot be applied in a context: it was made in another one; or nothing."""
    if saved.context == context:
        return []
    made, here = (f"context {name}" if name else "no context" for name in (saved.context, context))
    fix = f"add --job-context={saved.context}" if saved.context else "leave out --job-context"
    what = f"the plan was made in {made}, and this run is in {here}"
    return [Problem(what=what, fix=f"{fix}, or {AGAIN}")]


def differences(saved: SavedPlan, now: SavedPlan) -> list[Problem]:
    """Return why a saved plan cannot be applied: what of its jobs is another thing now, or nothing.

    Order, reasons, command, selection and time do not count. First come the jobs of the saved plan, in its
    order, then those that are new.
    """
    before = {job.id: job for job in saved.jobs}
    after = {job.id: job for job in now.jobs}
    found: list[str] = []
    for id, job in before.items():
        said = _changes(job, after[id]) if id in after else ["it is in the plan and there no longer"]
        found += [f"job {_visible(id)}: {one}" for one in said]
    for id, job in after.items():
        if id not in before:
            found.append(f"job {_visible(id)}: it is not in the plan and is now {_ended(job)}")
    return [Problem(what=what, fix=AGAIN) for what in found]


def _changes(before: SavedJob, now: SavedJob) -> Iterator[str]:
    if before.definition != now.definition:
        yield "its definition has changed since the plan was made"
    for name in dict.fromkeys((*before.params, *now.params)):
        was, is_now = before.params.get(name), now.params.get(name)
        if was != is_now:
            yield f"its parameter {_visible(name)} was {_given(was)} and is now {_given(is_now)}"
    for said, some, others in (
        ("it now needs {}", now.needs, frozenset(before.needs)),
        ("it needs {} no longer", before.needs, frozenset(now.needs)),
    ):
        only = [id for id in some if id not in others]
        if only:
            yield said.format(_listed(only))
    if before.verdict is not now.verdict:
        yield f"its verdict was {before.verdict.value} and is now {_ended(now)}"


def _given(value: str | None) -> str:
    return "not there" if value is None else _visible(value)


def _listed(ids: list[str]) -> str:
    more = [f"... {len(ids) - NAMES_SHOWN} more"] if len(ids) > NAMES_SHOWN else []
    return ", ".join([_visible(id) for id in ids[:NAMES_SHOWN]] + more)


def _ended(job: SavedJob) -> str:
    return f"{job.verdict.value}: {_visible(job.reason)}" if job.reason else job.verdict.value


# --- writing ---


def _text_of(saved: SavedPlan) -> str:
    import toml  # only a run that saves a plan pays for it

    encoder = toml.TomlEncoder()
    encoder.dump_funcs |= {str: _quoted, tuple: _list, MappingProxyType: _inline_table}
    head = {
        "schema": SCHEMA,
        "command": saved.command,
        "selection": saved.selection,
        "made_at": saved.made_at,
        **({"context": saved.context} if saved.context else {}),
    }
    jobs = {"job": [_table(job) for job in saved.jobs]}
    return f"{HEADER}{toml.dumps(head, encoder)}\n{toml.dumps(jobs, encoder).rstrip()}\n"


def _table(job: SavedJob) -> dict[str, object]:
    return {
        "id": job.id,
        "verdict": job.verdict.value,
        "reason": job.reason,
        "params": MappingProxyType(job.params),  # a plain dict would become a table of its own
        "needs": job.needs,
        "definition": job.definition,
    }


def _quoted(text: str) -> str:
    """Return a text as TOML; that of the package `toml` garbles control characters and backslashes."""
    return '"' + _visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _list(items: tuple[str, ...]) -> str:
    quoted = [_quoted(item) for item in items]
    line = f"[{', '.join(quoted)}]"
    return line if len(line) <= LINE else "[\n" + "".join(f"  {item},\n" for item in quoted) + "]"


def _inline_table(items: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{_key(name)} = {_quoted(value)}" for name, value in items.items())
    return f"{{ {pairs} }}" if pairs else "{}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _visible(text: str) -> str:
    r"""Return a text on one line, in which what does not print is spelled as in TOML: `\n`, `\u001B`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    number = ord(character)
    return _SHORT.get(character) or (f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}")


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _read_back(text: str, path: Path) -> SavedPlan | None:
    try:
        return _Reader(path).plan(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, UsageError):
        return None


def _replace(target: Path, content: bytes) -> None:
    before = target.stat().st_mode if target.exists() else None
    if before is not None and not stat.S_ISREG(before):
        target.write_bytes(content)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".jobtest-{uuid4().hex}.tmp"
    try:
        with beside.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if before is not None:
            beside.chmod(stat.S_IMODE(before))
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


# --- reading ---


class _Reader:
    """Makes a plan of a TOML document, noting all that is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[Problem] = []

    def plan(self, document: Mapping[str, object]) -> SavedPlan:
        self._schema(document)
        plan = SavedPlan(
            command=self._text(document, "command"),
            selection=self._text(document, "selection"),
            made_at=self._time(document, "made_at"),
            jobs=tuple(self._jobs(document)),
            context=self._text(document, "context") if "context" in document else "",
        )
        if self._problems:
            raise UsageError(self._problems)
        return plan

    def _problem(self, what: str, fix: str = AGAIN) -> None:
        self._problems.append(Problem(what=what, at=(str(self._path),), fix=fix))

    def _wrong(self, table: Mapping[str, object], key: str, of: str, rule: str) -> None:
        said = f"must be {rule}, not {reprlib.repr(table[key])}" if key in table else "is missing"
        self._problem(f"{key!r}{of} {said}")

    def _schema(self, document: Mapping[str, object]) -> None:
        schema = document.get("schema")
        if type(schema) is not int or schema < 1:
            self._problem("this is not a plan of jobtest: it has no schema")
        elif schema > SCHEMA:
            what = f"this plan has schema {schema}, and this jobtest reads schema {SCHEMA}"
            self._problem(what, f"update jobtest, or {AGAIN}")
        else:
            return
        raise UsageError(self._problems)

    def _jobs(self, document: Mapping[str, object]) -> Iterator[SavedJob]:
        jobs = document.get("job")
        if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
            self._wrong(document, "job", "", "a list of tables, [[job]]")
            return
        for what in _twice(job["id"] for job in jobs if isinstance(job.get("id"), str)):
            self._problem(what)
        for number, job in enumerate(jobs, 1):
            of = (
                f" of job {job['id']!r}" if isinstance(job.get("id"), str) else f" of [[job]] number {number}"
            )
            yield self._job(job, of)

    def _job(self, job: Mapping[str, object], of: str) -> SavedJob:
        return SavedJob(
            id=self._text(job, "id", of),
            verdict=self._verdict(job, of),
            reason=self._text(job, "reason", of),
            definition=self._text(job, "definition", of),
            params=self._params(job, of),
            needs=self._needs(job, of),
        )

    def _text(self, table: Mapping[str, object], key: str, of: str = "") -> str:
        value = table.get(key)
        if isinstance(value, str):
            return value
        self._wrong(table, key, of, "text")
        return ""

    def _time(self, table: Mapping[str, object], key: str) -> str:
        value = table.get(key)
        if isinstance(value, str) and _is_time(value):
            return value
        self._wrong(table, key, "", "a time, as text, like 2026-01-31T10:00:00Z")
        return ""

    def _verdict(self, job: Mapping[str, object], of: str) -> Outcome:
        known = {one.value: one for one in Outcome}
        value = job.get("verdict")
        if isinstance(value, str) and value in known:
            return known[value]
        self._wrong(job, "verdict", of, f"one of {', '.join(known)}")
        return Outcome.UNKNOWN

    def _params(self, job: Mapping[str, object], of: str) -> dict[str, str]:
        value = job.get("params")
        if isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
            return value
        self._wrong(job, "params", of, "a table of texts")
        return {}

    def _needs(self, job: Mapping[str, object], of: str) -> tuple[str, ...]:
        value = job.get("needs")
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        self._wrong(job, "needs", of, "a list of ids")
        return ()


def _twice(ids: Iterable[str]) -> list[str]:
    return [f"there are {count} jobs with the id {id!r}" for id, count in Counter(ids).items() if count > 1]


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False
