"""Changes as rows, and rows as what they came from.

A row carries a checksum of what it says, key included: the pages of SQLite have none, and a state must never
give back what was not written. JSON is ASCII. Text in columns of its own is text, or a blob where it holds
what is no Unicode (names of files may).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from jobtest.core.data import from_data, to_text
from jobtest.core.events import Entry, JobEnded, PhaseEnded, event_from_data, event_to_text
from jobtest.core.past import Past
from jobtest.state.sqlite.schema import LONGEST
from jobtest.state.store import (
    Change,
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    Owed,
    PastKept,
    RunKept,
    RunRecord,
)

__all__ = [
    "EVENT",
    "OUTCOME",
    "Row",
    "checkpoint_of",
    "crc",
    "entry_of",
    "entry_rows",
    "event_id",
    "key",
    "new_run_row",
    "outcome_of",
    "owed_of",
    "owed_rows",
    "past_of",
    "plan_of",
    "record_of",
    "rows_of",
    "run_rows",
    "text_of",
    "value_id",
    "value_row",
]

Row = tuple[str, tuple[object, ...]]
"""A statement and what it binds."""

EVENT = "INSERT INTO event (id, run, seq, job, at, value, body, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
OUTCOME = "INSERT INTO outcome (run, job, outcome, crc) VALUES (?, ?, ?, ?)"
_PLAN = "INSERT OR IGNORE INTO plan (digest, size, data, named) VALUES (?, ?, ?, ?)"
_NEW_RUN = "INSERT INTO run (number, id, record, crc) VALUES (?, ?, '', 0)"
_RUN = """UPDATE run SET command = ?, context = ?, started = datetime(?, 'unixepoch'),
ended = datetime(?, 'unixepoch'), exit_status = ?, jobs = ?, plan = coalesce(?, plan), record = ?, crc = ?
WHERE number = ?"""
_PAST = "INSERT OR REPLACE INTO past (job, past, crc) VALUES (?, ?, ?)"
_VALUE = "INSERT OR IGNORE INTO value (id, digest, size, text) VALUES (?, ?, ?, ?)"
_OWED = "INSERT OR REPLACE INTO owed (job, run, turn, crc) VALUES (?, ?, ?, ?)"
_TURN = "UPDATE meta SET value = ? WHERE key = 'turn'"
_DONE = "DELETE FROM owed WHERE job = ?"
_CHECKPOINT = "INSERT OR REPLACE INTO checkpoint (job, key, text, crc) VALUES (?, ?, ?, ?)"
_NO_CHECKPOINTS = "DELETE FROM checkpoint WHERE job = ?"

_json = json.JSONEncoder(separators=(",", ":")).encode


def crc(*parts: object) -> int:
    """Return the checksum of a row."""
    return zlib.crc32("\n".join(map(str, parts)).encode("utf-8", "surrogatepass"))


def key(text: str) -> str | bytes:
    """Return text as it is bound: as a blob if it is no Unicode."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def text_of(column: object) -> str:
    """Return the text that `key` bound.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(column, bytes):
        return column.decode("utf-8", "surrogatepass")
    if isinstance(column, str):
        return column
    raise TypeError("text is expected")


def rows_of(change: Change) -> Iterable[Row]:
    """Return the rows that a change writes, for those that need to know nothing but the change."""
    return _ROWS[type(change)](change)


@lru_cache(maxsize=1024)
def value_id(digest: str) -> int:
    """Return the key of a value: 60 bits, so that what names it is short and found fast."""
    return int(hashlib.sha256(digest.encode("utf-8", "surrogatepass")).hexdigest()[:15], 16)


def event_id(run: int, seq: int) -> int:
    """Return the key of an event: rows of one run lie together, in order."""
    return (run << 32) + seq


def new_run_row(number: int, id: str) -> Row:
    """Return the row of a run of which nothing is known yet."""
    return _NEW_RUN, (number, key(id))


def value_row(digest: str, text: str, *, in_file: bool) -> Row:
    """Return the row of a value."""
    return _VALUE, (value_id(digest), key(digest), len(text), None if in_file else key(text))


def owed_rows(job: str, run: str, turn: int) -> Iterable[Row]:
    """Return the rows of a cleanup that is owed and has the highest turn so far."""
    yield _OWED, (key(job), key(run), turn, crc(job, run, turn))
    yield _TURN, (str(turn),)


def entry_rows(entry: Entry, run: int) -> Iterable[Row]:
    """Return the rows of an entry of the run with that number."""
    event, seq, at = entry.event, entry.seq, float(entry.at)
    job: str = getattr(event, "job", "")
    value = value_id(event.value) if isinstance(event, PhaseEnded) and event.value else None
    body = event_to_text(event)
    check = crc(entry.run, seq, job, at, body)
    yield EVENT, (event_id(run, seq), run, seq, key(job), at, value, body, check)
    if isinstance(event, JobEnded):
        outcome = event.outcome.value
        yield OUTCOME, (run, key(job), outcome, crc(entry.run, job, outcome))


def run_rows(kept: RunKept, number: int) -> Iterable[Row]:
    """Return the rows of a run that has that number."""
    record, digest = kept.record, None
    if kept.plan is not None:
        raw = kept.plan.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(raw).hexdigest()
        yield _PLAN, (digest, len(raw), zlib.compress(raw, 1), _json(_named(kept.plan)))
    body = to_text(record)
    shown = (key(record.command), key(record.context), record.started_at, record.ended_at)
    counts = (record.exit_status, record.jobs)
    yield _RUN, (*shown, *counts, digest, body, crc(record.id, body), number)


def _named(plan: str) -> list[str]:
    """Return the digests of the values that a plan takes over from earlier runs."""
    if '"resumed"' not in plan:
        return []
    try:
        resumed = [one.get("resumed") or {} for one in json.loads(plan)["decisions"]]
        return [one["value"] for one in resumed if one.get("value")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []  # not a plan of this version: nobody can go on with it


def _past(kept: PastKept) -> Iterable[Row]:
    body = to_text(kept.past)
    yield _PAST, (key(kept.job), body, crc(kept.job, body))


def _done(done: CleanupDone) -> Iterable[Row]:
    yield _DONE, (key(done.job),)


def _checkpoint(kept: CheckpointKept) -> Iterable[Row]:
    check = crc(kept.job, kept.key, kept.text)
    yield _CHECKPOINT, (key(kept.job), key(kept.key), key(kept.text), check)


def _no_checkpoints(dropped: CheckpointsDropped) -> Iterable[Row]:
    yield _NO_CHECKPOINTS, (key(dropped.job),)


_ROWS: dict[type, Callable[[Any], Iterable[Row]]] = {
    PastKept: _past,
    CleanupDone: _done,
    CheckpointKept: _checkpoint,
    CheckpointsDropped: _no_checkpoints,
}


# What follows raises ValueError, TypeError, KeyError, AttributeError, RecursionError or zlib.error on damage.


def _sound(check: object, *parts: object) -> None:
    if check != crc(*parts):
        raise ValueError("its checksum is wrong")


def entry_of(run: str, seq: int, job: object, at: float, body: str, check: int) -> Entry:
    """Return an entry from its row."""
    _sound(check, run, seq, text_of(job), at, body)
    return Entry(seq, at, run, event_from_data(json.loads(body)))


def record_of(id: object, body: str, check: int) -> RunRecord:
    """Return the record of a run from its row."""
    _sound(check, text_of(id), body)
    return from_data(RunRecord, json.loads(body))


def plan_of(digest: str, size: int, data: bytes) -> str:
    """Return the text of a plan from its row."""
    raw = zlib.decompressobj().decompress(data, min(size, LONGEST) + 1)
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ValueError("its digest is wrong")
    return raw.decode("utf-8", "surrogatepass")


def past_of(job: object, body: str, check: int) -> tuple[str, Past]:
    """Return the job and what is known of it from its row."""
    name = text_of(job)
    _sound(check, name, body)
    return name, from_data(Past, json.loads(body))


def outcome_of(run: str, job: object, outcome: str, check: int) -> tuple[str, str]:
    """Return a job and its outcome from its row."""
    name = text_of(job)
    _sound(check, run, name, outcome)
    return name, outcome


def owed_of(job: object, run: object, turn: int, check: int) -> Owed:
    """Return a cleanup that is owed from its row."""
    found = Owed(text_of(job), text_of(run), turn)
    _sound(check, found.job, found.run, turn)
    return found


def checkpoint_of(job: object, name: object, text: object, check: int) -> tuple[str, str, str]:
    """Return job, key and text of a checkpoint from its row."""
    found = text_of(job), text_of(name), text_of(text)
    _sound(check, *found)
    return found
