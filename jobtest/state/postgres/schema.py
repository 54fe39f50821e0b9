"""What a state looks like as tables, how it is told from anything else, and how it is made.

All lies in one schema, `jobtest`. Columns named `id` beside a text are numbers made of the text, as in
`value_id`: an index of PostgreSQL holds no long texts.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from jobtest.core.version import VERSION
from jobtest.state.postgres.address import Address
from jobtest.state.postgres.problems import BACK, refused

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["FENCED", "create", "exists"]

SCHEMA = 1
"""Version of what follows; versions count up by one."""

FENCED = "JT001"
"""SQLSTATE of a transaction that does not own the state, or not any more."""

ENCODINGS = ("UTF8", "SQL_ASCII")

_STATEMENTS = (
    """CREATE TABLE jobtest.meta (
  key text PRIMARY KEY,
  value text NOT NULL
)""",
    # One row. The key is the epoch, so that raising it waits for whoever has found it as it was.
    """CREATE TABLE jobtest.lease (
  epoch bigint PRIMARY KEY,
  one boolean NOT NULL UNIQUE DEFAULT true CHECK (one),
  holder text NOT NULL DEFAULT '',
  host text NOT NULL DEFAULT '',
  pid bigint NOT NULL DEFAULT 0,
  since double precision NOT NULL DEFAULT 0,
  command text NOT NULL DEFAULT '',
  expires timestamptz NOT NULL DEFAULT '-infinity'
)""",
    """CREATE TABLE jobtest.plan (
  digest text PRIMARY KEY, -- sha256 of the text
  size bigint NOT NULL, -- bytes of the text
  data bytea NOT NULL, -- the text, compressed with zlib
  named text NOT NULL -- JSON: digests of the values that it names
)""",
    """CREATE TABLE jobtest.run (
  number bigint PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  command text,
  context text,
  started double precision, -- seconds since the epoch; all but id and record are for the eye
  ended double precision,
  exit_status bigint,
  jobs bigint,
  plan text REFERENCES jobtest.plan (digest),
  record text, -- JSON; NULL while the run is being forgotten
  crc bigint NOT NULL
)""",
    "CREATE INDEX ON jobtest.run (plan)",
    """CREATE TABLE jobtest.event (
  id bigint PRIMARY KEY, -- run * 4294967296 + seq
  run bigint NOT NULL, -- its number
  seq bigint NOT NULL,
  job text NOT NULL,
  at double precision NOT NULL, -- seconds since the epoch
  value bigint, -- id of the value that it names
  body text NOT NULL, -- JSON
  crc bigint NOT NULL
)""",
    "CREATE INDEX ON jobtest.event (value) WHERE value IS NOT NULL",
    """CREATE TABLE jobtest.outcome (
  run bigint NOT NULL,
  id bigint NOT NULL, -- made of the job
  job text NOT NULL,
  outcome text NOT NULL,
  crc bigint NOT NULL,
  CONSTRAINT outcome_once PRIMARY KEY (run, id)
)""",
    """CREATE TABLE jobtest.value (
  id bigint PRIMARY KEY, -- made of the digest
  digest text NOT NULL,
  size bigint NOT NULL, -- characters of the text
  text text NOT NULL -- JSON
)""",
    """CREATE TABLE jobtest.past (
  id bigint PRIMARY KEY, -- made of the job
  job text NOT NULL,
  past text NOT NULL, -- JSON
  crc bigint NOT NULL
)""",
    """CREATE TABLE jobtest.owed (
  id bigint PRIMARY KEY, -- made of the job
  job text NOT NULL,
  run text NOT NULL, -- id of the run
  turn bigint NOT NULL,
  crc bigint NOT NULL
)""",
    """CREATE TABLE jobtest.checkpoint (
  id bigint NOT NULL, -- made of the job
  part bigint NOT NULL, -- made of the key
  job text NOT NULL,
  key text NOT NULL,
  text text NOT NULL, -- JSON
  crc bigint NOT NULL,
  PRIMARY KEY (id, part)
)""",
    f"""CREATE FUNCTION jobtest.insist(epoch_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM jobtest.lease WHERE epoch = epoch_now AND expires > clock_timestamp() FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this state is owned by somebody else' USING ERRCODE = '{FENCED}';
  END IF;
END $$""",
    """CREATE FUNCTION jobtest.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a job ends once' USING ERRCODE = 'integrity_constraint_violation';
END $$""",
    """CREATE TRIGGER outcome_is_final BEFORE UPDATE ON jobtest.outcome
FOR EACH ROW EXECUTE FUNCTION jobtest.refuse()""",
    "INSERT INTO jobtest.lease (epoch) VALUES (0)",
)

_RELATIONS = """SELECT c.relname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'jobtest' AND c.relkind IN ('r', 'p', 'f', 'v', 'm') ORDER BY c.relname"""

_META = "SELECT to_jsonb(meta) FROM jobtest.meta LIMIT 100"

_PARTS = """WITH ours AS (
  SELECT c.oid, c.relname, c.relkind FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'jobtest' AND c.relkind IN ('r', 'p', 'f')
)
SELECT 'column', relname::text, attname::text, format_type(atttypid, atttypmod) FROM ours
JOIN pg_catalog.pg_attribute ON attrelid = oid WHERE attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'trigger', relname, tgname, proname::text FROM ours
JOIN pg_catalog.pg_trigger ON tgrelid = ours.oid JOIN pg_catalog.pg_proc p ON p.oid = tgfoid
WHERE NOT tgisinternal AND tgenabled = 'O'
UNION ALL SELECT 'rule', relname, rulename, '' FROM ours JOIN pg_catalog.pg_rewrite ON ev_class = ours.oid
UNION ALL SELECT 'function', proname, prosrc, '' FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace WHERE nspname = 'jobtest'
ORDER BY 1, 2, 3, 4"""

_CREATING = 0x4A4F4254
"""Key of the advisory lock of whoever makes a state: JOBT in ASCII."""


def exists(connection: Connection, address: Address) -> bool:
    """Tell whether there is a state; an empty schema is none.

    Raises:
        StateError: there is something else, or a state of a later version.
    """
    return _meta(connection, address) is not None


def create(connection: Connection, address: Address) -> None:
    """Make an empty state if there is none; whoever comes second finds that of the first.

    Raises:
        StateError: there is something else, a state that was tampered with, or the database can hold none.
        psycopg.Error: that is not allowed, or there is no connection any more.
    """
    meta = _meta(connection, address)
    if meta is None:
        meta = _create(connection, address)
    if meta["parts"] != _parts(connection):
        what = "this is not the schema of a state of jobtest any more: somebody has changed it"
        raise refused(address, what, BACK)


def _create(connection: Connection, address: Address) -> dict[str, str]:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ENCODINGS:
        what = f"this database holds text in {encoding}, and a state needs UTF8"
        raise refused(address, what, "createdb --encoding=UTF8 --template=template0 NAME")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATING,))
        meta = _meta(connection, address)
        if meta is not None:
            return meta
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'jobtest'").fetchone():
            connection.execute("CREATE SCHEMA jobtest")
        connection.execute(";\n".join(_STATEMENTS))
        made = {"schema": str(SCHEMA), "lineage": str(uuid.uuid4()), "version": VERSION, "turn": "0"}
        made["parts"] = _parts(connection)
        for pair in made.items():
            connection.execute("INSERT INTO jobtest.meta (key, value) VALUES (%s, %s)", pair)
    return made


def _meta(connection: Connection, address: Address) -> dict[str, str] | None:
    """Return the table `meta` of a state, or None if there is nothing at all."""
    others: list[str] = [name for (name,) in connection.execute(_RELATIONS)]
    found = connection.execute(_META).fetchall() if "meta" in others else []
    rows: list[dict[str, Any]] = [row for (row,) in found]
    meta = {str(row.get("key")): str(row.get("value")) for row in rows}
    if {"schema", "lineage", "version", "parts"} <= meta.keys():
        _check_version(address, meta["schema"], meta["version"])
        return meta
    if not others:
        return None
    named = ", ".join(map(repr, others[:3])) + (", ..." if others[3:] else "")
    what = f"the schema 'jobtest' of this database is not a state of jobtest: it holds {named}"
    raise refused(address, what, "name another database with --job-state")


def _check_version(address: Address, version: str, maker: str) -> None:
    if version == str(SCHEMA):
        return
    if version.isdecimal() and int(version) > SCHEMA:
        what = f"made by jobtest {maker[:40]}: schema {version}; this one knows {SCHEMA}"
        raise refused(address, what, "use that version of jobtest, or name another state with --job-state")
    raise refused(address, f"the state is damaged: there is no schema {version[:40]!r}", BACK)


def _parts(connection: Connection) -> str:
    """Return the digest of what the schema consists of: columns, triggers, rules, functions."""
    found = connection.execute(_PARTS).fetchall()
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
