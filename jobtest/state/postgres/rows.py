"""Changes as rows. What the rows of a state say, and their checksums, is as in SQLite.

JSON is ASCII. Text in columns of its own may be anything that Python calls text; PostgreSQL has no NUL and no
half characters (names of files may), so these are written as pairs of characters, which sort as they do.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from jobtest.core.data import to_data
from jobtest.core.events import Entry, JobEnded, PhaseEnded, event_to_data
from jobtest.state.sqlite.rows import _named, crc, event_id, value_id
from jobtest.state.store import Change, CheckpointKept, CheckpointsDropped, CleanupDone, PastKept, RunKept

__all__ = [
    "EVENT",
    "OUTCOME",
    "TOUCH",
    "Row",
    "column_of",
    "entry_rows",
    "new_run_row",
    "owed_rows",
    "rows_of",
    "run_rows",
    "text_of",
    "value_row",
]

Row = tuple[str, tuple[object, ...]]
"""A statement and what it binds. Each can be executed again, but for events and outcomes."""

OUTCOME = "INSERT INTO jobtest.outcome (run, id, job, outcome, crc) VALUES (%s, %s, %s, %s, %s)"
EVENT = """INSERT INTO jobtest.event (id, run, seq, job, at, value, body, crc)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""
_PLAN = """INSERT INTO jobtest.plan (digest, size, data, named) VALUES (%s, %s, %s, %s)
ON CONFLICT (digest) DO NOTHING"""
_NEW_RUN = """INSERT INTO jobtest.run (number, id, record, crc) VALUES (%s, %s, '', 0)
ON CONFLICT (number) DO NOTHING"""
_RUN = """UPDATE jobtest.run SET command = %s, context = %s, started = %s, ended = %s, exit_status = %s,
jobs = %s, plan = coalesce(%s, plan), record = %s, crc = %s WHERE number = %s"""
_PAST = """INSERT INTO jobtest.past (id, job, past, crc) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET past = excluded.past, crc = excluded.crc"""
_VALUE = """INSERT INTO jobtest.value (id, digest, size, text) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING"""
_OWED = """INSERT INTO jobtest.owed (id, job, run, turn, crc) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, turn = excluded.turn, crc = excluded.crc"""
_TURN = "UPDATE jobtest.meta SET value = %s WHERE key = 'turn'"
_DONE = "DELETE FROM jobtest.owed WHERE id = %s"
_CHECKPOINT = """INSERT INTO jobtest.checkpoint (id, part, job, key, text, crc)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id, part) DO UPDATE SET text = excluded.text, crc = excluded.crc"""
_NO_CHECKPOINTS = "DELETE FROM jobtest.checkpoint WHERE id = %s"

TOUCH: Row = ("UPDATE jobtest.meta SET value = value WHERE key = 'turn'", ())
"""Changes nothing, and has to be written: what is to bring earlier transactions to the disk must write."""

_PAIRS = {
    "\x00": "\x01\x01",
    "\x01": "\x01\x02",
    **{chr(half): f"\ue000{chr(half - 0xD000)}" for half in range(0xD800, 0xE000)},
    "\ue000": "\ue000\ue000",
}
_TO_PAIRS = str.maketrans(_PAIRS)
_FROM_PAIRS = {pair: character for character, pair in _PAIRS.items()}
_PAIR = re.compile("[\x01\ue000].", re.DOTALL)

_json = json.JSONEncoder(separators=(",", ":")).encode


def column_of(text: str) -> str:
    """Return text as PostgreSQL can hold it."""
    return text if text.isascii() and "\x00" not in text and "\x01" not in text else text.translate(_TO_PAIRS)


def text_of(column: str) -> str:
    """Return the text that `column_of` was given; what it never gives back stays as it is."""
    return _PAIR.sub(lambda pair: _FROM_PAIRS.get(pair[0], pair[0]), column)


def rows_of(change: Change) -> Iterable[Row]:
    """Return the rows that a change writes, for those that need to know nothing but the change."""
    return _ROWS[type(change)](change)


def new_run_row(number: int, id: str) -> Row:
    """Return the row of a run of which nothing is known yet."""
    return _NEW_RUN, (number, column_of(id))


def value_row(digest: str, text: str) -> Row:
    """Return the row of a value."""
    return _VALUE, (value_id(digest), column_of(digest), len(text), column_of(text))


def owed_rows(job: str, run: str, turn: int) -> Iterable[Row]:
    """Return the rows of a cleanup that is owed and has the highest turn so far."""
    yield _OWED, (value_id(job), column_of(job), column_of(run), turn, crc(job, run, turn))
    yield _TURN, (str(turn),)


def entry_rows(entry: Entry, run: int) -> Iterable[Row]:
    """Return the rows of an entry of the run with that number."""
    event, seq, at = entry.event, entry.seq, float(entry.at)
    job: str = getattr(event, "job", "")
    value = value_id(event.value) if isinstance(event, PhaseEnded) and event.value else None
    body = _json(event_to_data(event))
    check = crc(entry.run, seq, job, at, body)
    yield EVENT, (event_id(run, seq), run, seq, column_of(job), at, value, body, check)
    if isinstance(event, JobEnded):
        outcome = event.outcome.value
        yield OUTCOME, (run, value_id(job), column_of(job), outcome, crc(entry.run, job, outcome))


def run_rows(kept: RunKept, number: int) -> Iterable[Row]:
    """Return the rows of a run that has that number."""
    record, digest = kept.record, None
    if kept.plan is not None:
        raw = kept.plan.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(raw).hexdigest()
        yield _PLAN, (digest, len(raw), zlib.compress(raw, 1), _json(_named(kept.plan)))
    body = _json(to_data(record))
    shown = (column_of(record.command), column_of(record.context), record.started_at, record.ended_at)
    counts = (record.exit_status, record.jobs)
    yield _RUN, (*shown, *counts, digest, body, crc(record.id, body), number)


def _past(kept: PastKept) -> Iterable[Row]:
    body = _json(to_data(kept.past))
    yield _PAST, (value_id(kept.job), column_of(kept.job), body, crc(kept.job, body))


def _done(done: CleanupDone) -> Iterable[Row]:
    yield _DONE, (value_id(done.job),)


def _checkpoint(kept: CheckpointKept) -> Iterable[Row]:
    ids = (value_id(kept.job), value_id(kept.key))
    texts = (column_of(kept.job), column_of(kept.key), column_of(kept.text))
    yield _CHECKPOINT, (*ids, *texts, crc(kept.job, kept.key, kept.text))


def _no_checkpoints(dropped: CheckpointsDropped) -> Iterable[Row]:
    yield _NO_CHECKPOINTS, (value_id(dropped.job),)


_ROWS: dict[type, Callable[[Any], Iterable[Row]]] = {
    PastKept: _past,
    CleanupDone: _done,
    CheckpointKept: _checkpoint,
    CheckpointsDropped: _no_checkpoints,
}
