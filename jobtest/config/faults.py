"""The faults that a command line asks for: `fail:popcorn@1, delay:x=2`. What the names mean is seen later."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from jobtest.core.errors import Problem, did_you_mean
from jobtest.core.faults import Fault, FaultKind

__all__ = ["AskedFault", "read_faults"]

KINDS = {kind.value: kind for kind in FaultKind}
EXAMPLE = "write fail:NAME, delay:NAME=SECONDS, timeout:NAME or kill:NAME"


@dataclass(frozen=True, slots=True)
class AskedFault:
    """A fault of a job, by name.

    Attributes:
        text: As it was asked for.
        job: A name, a full reference, either with `[id]`.
        fault: What is to happen to it.
    """

    text: str
    job: str
    fault: Fault


def read_faults(text: str, option: str) -> tuple[list[AskedFault], list[Problem]]:
    """Return what a text asks for, and what is wrong with it.

    Args:
        text: Faults, separated by commas; those within `[...]` belong to the id of a job.
        option: Where it was given.
    """
    asked, problems = [], []
    for part in re.split(r",(?![^\[\]]*\])", text):
        read = _read(part.strip(), option)
        if isinstance(read, Problem):
            problems.append(read)
        else:
            asked.append(read)
    return asked, problems


def _read(text: str, option: str) -> AskedFault | Problem:
    word, colon, rest = (part.strip() for part in text.partition(":"))
    kind = KINDS.get(word)
    if kind is None:
        what = f"{option} {text!r}: {word!r} is no fault" if word else f"{option} {text!r} names no fault"
        fix = did_you_mean(word, KINDS, what="there are") if word and colon else EXAMPLE
        return Problem(what=what, fix=fix)
    job, first, last = _attempts(rest)
    said = None
    if kind is FaultKind.DELAY:
        job, said = _delay(job)
    if not job:
        fix = f"write {word}:NAME" + ("=SECONDS" if kind is FaultKind.DELAY else "")
        return Problem(what=f"{option} {text!r} does not say of which job", fix=fix)
    if kind is FaultKind.DELAY and said is None:
        what = f"{option} {text!r} does not say for how many seconds"
        return Problem(what=what, fix=f"write delay:{job}=SECONDS")
    seconds = _seconds(said or "0")
    if seconds is None or (kind is FaultKind.DELAY and not seconds):
        what = f"{option} {text!r}: a delay is a number of seconds > 0"
        return Problem(what=what, fix=f"write delay:{job}=2")
    if first is None or (last is not None and last < first):
        what = f"{option} {text!r}: attempts are counted from 1"
        return Problem(what=what, fix="write @2 for one of them, @1-2 for the first two, nothing for all")
    return AskedFault(text, job, Fault(kind, first, last, seconds))


def _delay(text: str) -> tuple[str, str | None]:
    """Return a text without its seconds, and them, None if there are none; `=` may stand in an id."""
    before, equals, after = text.rpartition("=")
    return (before.strip(), after) if equals and "]" not in after else (text, None)


def _attempts(text: str) -> tuple[str, int | None, int | None]:
    """Return a text without its attempts, the first one (None: that is no number) and the last one."""
    before, at, after = text.rpartition("@")
    if not at or "/" in after or "]" in after:  # it belongs to a folder, or to an id
        return text, 1, None
    found = re.fullmatch(r"\s*([1-9]\d*)(?:-([1-9]\d*))?", after, re.ASCII)
    if found is None:
        return before, None, None
    return before.strip(), int(found[1]), int(found[2] or found[1])


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
