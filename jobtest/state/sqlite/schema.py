"""What a state looks like as a database: its tables, its version, and the way from older versions to it.

The texts are those that `.schema` of the sqlite3 shell shows. Tables with a rowid are those that grow at
their end: what a commit costs is the number of pages that it touches. No `STRICT` and no `RETURNING`: the
SQLite of systems that are still in use does not have them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["APPLICATION", "CURRENT", "LONGEST", "PAGE_SIZE", "Schema", "spelled"]

PAGE_SIZE = 1024
"""Bytes. A commit writes a few small rows here and there; a quarter of the usual size saves a sixth of it."""

LONGEST = 1 << 28
"""Bytes of the longest text or blob, plans unpacked: a hostile state must not fill the memory."""

APPLICATION = 0x4A4F4254
"""The `application_id`: JOBT in ASCII."""

_STATEMENTS = (
    """CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE plan (
  digest TEXT PRIMARY KEY, -- sha256 of the text
  size INTEGER NOT NULL, -- bytes of the text
  data BLOB NOT NULL, -- the text, compressed with zlib
  named TEXT NOT NULL -- JSON: digests of the values that it names
)""",
    """CREATE TABLE run (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  command TEXT,
  context TEXT,
  started TEXT, -- UTC; started and ended are for the eye, the record counts
  ended TEXT,
  exit_status INTEGER,
  jobs INTEGER,
  plan TEXT REFERENCES plan (digest),
  record TEXT, -- JSON; NULL while the run is being forgotten
  crc INTEGER NOT NULL
)""",
    "CREATE INDEX run_plan ON run (plan)",
    "CREATE INDEX run_newest ON run (CAST(id AS BLOB))",
    """CREATE TABLE event (
  id INTEGER PRIMARY KEY, -- run * 4294967296 + seq
  run INTEGER NOT NULL, -- its number
  seq INTEGER NOT NULL,
  job TEXT NOT NULL,
  at REAL NOT NULL, -- seconds since the epoch
  value INTEGER, -- id of the value that it names
  body TEXT NOT NULL, -- JSON
  crc INTEGER NOT NULL
)""",
    "CREATE INDEX event_value ON event (value) WHERE value IS NOT NULL",
    """CREATE TABLE outcome (
  run INTEGER NOT NULL REFERENCES run (number),
  job TEXT NOT NULL,
  outcome TEXT NOT NULL,
  crc INTEGER NOT NULL,
  PRIMARY KEY (run, job)
) WITHOUT ROWID""",
    """CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome
BEGIN SELECT RAISE(ABORT, 'a job ends once'); END""",
    """CREATE TABLE value (
  id INTEGER PRIMARY KEY, -- made of the digest
  digest TEXT NOT NULL,
  size INTEGER NOT NULL, -- characters of the text
  text TEXT -- JSON; NULL: in a file of the folder beside this database
)""",
    """CREATE TABLE past (
  job TEXT PRIMARY KEY,
  past TEXT NOT NULL, -- JSON
  crc INTEGER NOT NULL
)""",
    """CREATE TABLE owed (
  job TEXT PRIMARY KEY,
  run TEXT NOT NULL, -- id of the run
  turn INTEGER NOT NULL,
  crc INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE checkpoint (
  job TEXT NOT NULL,
  key TEXT NOT NULL,
  text TEXT NOT NULL, -- JSON
  crc INTEGER NOT NULL,
  PRIMARY KEY (job, key)
) WITHOUT ROWID""",
)


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of the schema.

    Attributes:
        version: Its number, as in `user_version`; versions count up by one.
        statements: What makes it in an empty database.
        steps: From each older version the statements to the one after it. They must lead to the same
            tables as `statements`, to the letter but for white space and quotes.
    """

    version: int
    statements: tuple[str, ...]
    steps: Mapping[int, tuple[str, ...]]


CURRENT = Schema(1, _STATEMENTS, {})


def spelled(statement: str) -> str:
    """Return a statement without what `ALTER TABLE` changes: white space, quotes and comments."""
    return re.sub(r'--.*|[\s"]+', "", statement)
