"""What the store in a PostgreSQL database does beyond what all stores do: addresses, tables, forgetting."""

import json
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_scenes import (
    fresh_server,  # noqa: F401 - the fixture `pg`
    opened,
    store_at,
)
from server import missing
from sqlite_scenes import changed, fill, read, said, started
from stores import ME, RIVAL

from jobtest.core.errors import AlreadyEnded, StateError, UsageError
from jobtest.core.events import Entry, JobEnded
from jobtest.core.model import Outcome
from jobtest.state.opening import open_store
from jobtest.state.postgres import PostgresStore, pruning
from jobtest.state.postgres.rows import column_of, text_of
from jobtest.state.store import CheckpointKept, RunKept, RunRecord, RunsDropped, ValueKept

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

TABLES = ("run", "event", "outcome", "plan", "past", "value")


@pytest.fixture
def bare(pg):
    """A database without a state."""
    pg.rows("DROP SCHEMA IF EXISTS jobtest CASCADE")
    yield pg
    pg.rows("DROP SCHEMA IF EXISTS jobtest CASCADE")


# --- addresses ---

WORDS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=12)


@given(WORDS, WORDS, st.sampled_from(["db:5433", "[::1]", "", "a:1,b:2"]))
def test_a_url_is_shown_without_its_password_and_names_the_same(password, user, place):
    from psycopg.conninfo import conninfo_to_dict

    secret = f"s3cret{password}"
    base = f"postgresql://{quote(user, safe='')}:{quote(secret, safe='')}@{place}/my%20db?sslmode=disable"
    store = store_at(f"{base}&sslpassword={quote(secret, safe='')}")

    assert "s3cret" not in store.url + repr(store)
    asked = conninfo_to_dict(base)
    assert asked.pop("password") == secret
    assert conninfo_to_dict(store.url) == asked


@pytest.mark.parametrize(
    "rest",
    ["me:s3cr@et@host/db", "me:s3cr/et@host/db", "me:s3cr%zz@host/db", "me:s3cret@host/db?x=1", "h:port/d"],
)
def test_a_url_that_is_torn_by_its_password_is_refused_and_not_shown(rest):
    with pytest.raises(StateError) as error:
        PostgresStore(f"postgresql://{rest}")

    assert "s3cr" not in str(error.value)
    assert said(error).fix.startswith("postgresql://USER@HOST:PORT/DATABASE")


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path):
    store = store_at(f"postgresql://me:s3cret@/db?host={tmp_path}&port=5439")

    for use in (store.runs, lambda: store.own(ME)):
        with pytest.raises(StateError, match="the server of the state cannot be reached: ") as error:
            use()
        assert "s3cret" not in str(error.value)
        assert said(error).at == (f"postgresql://me@/db?host={tmp_path}&port=5439",)


def test_a_database_that_is_not_there_is_named(pg):
    with pytest.raises(StateError, match='database "nowhere" does not exist'):
        store_at(pg.url("nowhere")).runs()


def test_the_password_is_not_kept_with_the_command_line(pg):
    url = pg.url().replace("tester@", "tester:s3cret@")
    argv = ("pytest", "--orchestrate", f"--job-state={url}")
    owner = type(ME)(host="here", pid=1, since=0.0, command=" ".join(argv))
    with closing(store_at(url)) as store:
        store.own(owner)
        store.write(RunKept(RunRecord(id="r", argv=argv)))
        shown = f"pytest --orchestrate --job-state={store.url}"
        assert (store.owner().command, " ".join(store.run("r").argv)) == (shown, shown)
        kept = [pg.rows(f"SELECT t::text FROM jobtest.{table} t") for table in ("lease", "run")]
        assert kept[0]
        assert "s3cret" not in str(kept)


def test_without_psycopg_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg.conninfo", None)

    with pytest.raises(UsageError) as error:
        open_store("postgresql://host/db", Path())
    assert said(error).fix == "pip install 'jobtest[postgres]'"


# --- text ---

ANY_TEXT = st.text(st.characters() | st.sampled_from("\x00\x01\x02\ud7ff\ud800\udfff\ue000\ue001"))


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_fits_into_a_column_and_sorts_as_it_does(one, other):
    columns = [column_of(text) for text in (one, other)]

    assert [text_of(column) for column in columns] == [one, other]
    assert "\x00" not in "".join(columns)
    assert (columns[0].encode() < columns[1].encode()) == (one < other)


def test_values_and_names_may_be_of_any_length(pg):
    job, text = "job[" + "".join(map(chr, range(33, 5000))) + "]", json.dumps("x" * 3_000_000 + "\x00")
    digest = "5e4bfb7ae8b9f0c1d4d2a6b9d1"
    with closing(opened(pg.url())) as store:
        store.write(started("r1")[0])
        store.write(ValueKept(digest, text))
        store.write(CheckpointKept(job, job, text))
        store.write(Entry(0, 1.0, "r1", JobEnded(job, Outcome.CHANGED)))
        store.commit()
        assert store.checkpoints() == {job: {job: text}}
        assert len(list(store.entries("r1", job))) == store.outcomes("r1")["changed"] == 1
        assert pg.rows("SELECT size, length(text) FROM jobtest.value") == [(len(text), len(text))]


# --- tables ---


def test_reading_makes_nothing_and_owning_makes_one_schema(bare):
    count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'jobtest'::regnamespace AND relkind = 'r'"
    store = store_at(bare.url())
    assert (read(store)["runs"], store.owner()) == ([], None)
    assert bare.rows("SELECT to_regnamespace('jobtest')") == [(None,)]

    with closing(store):
        store.own(ME)
        assert bare.rows(count) == [(10,)]
        fill(store)
        assert [run.id for run in store.runs()] == ["r2", "r1"]


def test_a_schema_that_was_made_for_it_is_used(bare):
    bare.rows("CREATE SCHEMA jobtest")
    assert store_at(bare.url()).runs() == []
    with closing(opened(bare.url())) as store:
        assert store.runs() == []


@pytest.mark.parametrize("columns", ["id int", "key text, value text", "value int"])
def test_something_else_under_that_name_is_left_alone(bare, columns):
    bare.rows(f"CREATE SCHEMA jobtest; CREATE TABLE jobtest.meta ({columns}); CREATE TABLE jobtest.users ()")
    store = store_at(bare.url())

    for use in (store.runs, lambda: store.own(ME)):
        with pytest.raises(StateError) as error:
            use()
        assert said(error).what == (
            "the schema 'jobtest' of this database is not a state of jobtest: it holds 'meta', 'users'"
        )
    store.close()
    assert bare.rows("SELECT count(*) FROM jobtest.users") == [(0,)]


def test_a_state_of_a_later_version_is_left_alone(pg):
    # R30
    opened(pg.url()).close()
    store = store_at(pg.url())
    pg.rows("UPDATE jobtest.meta SET value = '99' WHERE key = 'schema'")
    pg.rows("UPDATE jobtest.meta SET value = '9.9' WHERE key = 'version'")
    before = pg.rows("SELECT meta.*, epoch FROM jobtest.meta, jobtest.lease")
    try:
        for use in (store.runs, store.owner, lambda: store.own(ME)):
            with pytest.raises(StateError) as error:
                use()
            assert said(error).what == "made by jobtest 9.9: schema 99; this one knows 1"
        assert pg.rows("SELECT meta.*, epoch FROM jobtest.meta, jobtest.lease") == before
    finally:
        pg.rows("UPDATE jobtest.meta SET value = '1' WHERE key = 'schema'")
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE jobtest.past ADD COLUMN more text",
        "ALTER TABLE jobtest.event ALTER COLUMN at TYPE real",
        "DROP TRIGGER outcome_is_final ON jobtest.outcome",
        "CREATE TRIGGER mine AFTER INSERT ON jobtest.event EXECUTE FUNCTION jobtest.refuse()",
        "CREATE RULE mine AS ON INSERT TO jobtest.event DO INSTEAD NOTHING",
        """DO $$ BEGIN EXECUTE replace(pg_get_functiondef('jobtest.insist'::regproc), ' FOR KEY SHARE', '');
        END $$""",
    ],
)
def test_a_schema_that_was_changed_is_not_written_to(bare, change):
    # R36
    opened(bare.url()).close()
    bare.rows(change)

    with pytest.raises(StateError) as error:
        opened(bare.url())
    assert said(error).what.startswith("this is not the schema of a state of jobtest any more")


def test_a_database_of_another_encoding_is_refused(pg):
    pg.rows("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    store = store_at(pg.url("latin"))
    with closing(store), pytest.raises(StateError, match="holds text in LATIN1, and a state needs UTF8"):
        store.own(ME)
    store.close()
    pg.rows("DROP DATABASE latin")


def test_who_may_only_read_reads_and_cannot_own(pg):
    with closing(opened(pg.url())) as store:
        fill(store, ["r1"])
        pg.rows("DROP ROLE IF EXISTS reader")
        pg.rows("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA jobtest TO reader")
        pg.rows("GRANT SELECT ON ALL TABLES IN SCHEMA jobtest TO reader")
        with closing(store_at(pg.url().replace("tester@", "reader@"))) as reader:
            assert read(reader) == read(store)
            with pytest.raises(
                StateError, match="the state cannot be used: permission denied for table lease"
            ):
                reader.own(RIVAL)
    pg.rows("DROP OWNED BY reader")
    pg.rows("DROP ROLE reader")


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        ("UPDATE jobtest.event SET at = at + 1 WHERE seq = 3", "event 3 of run 'r1'"),
        ("UPDATE jobtest.past SET past = '{}'", "past of job"),
        ("UPDATE jobtest.value SET text = '[7]'", "value "),
        ("UPDATE jobtest.run SET record = '[]'", "run 'r1'"),
        ("UPDATE jobtest.plan SET data = '\\x00'", "plan of run 'r1'"),
        ("UPDATE jobtest.owed SET turn = turn + 1", "owed by job"),
        ("UPDATE jobtest.meta SET value = 'x' WHERE key = 'turn'", "table meta"),
    ],
)
def test_what_was_not_written_is_never_given_back(pg, harm, what):
    with closing(opened(pg.url())) as store:
        fill(store, ["r1"])
        pg.rows(harm)
        with pytest.raises(StateError, match="the state is damaged: ") as error:
            (read(store), store._reader.turn())
        assert what in said(error).what


# --- the end of a job ---


def test_the_end_of_a_job_is_refused_by_the_tables_whoever_writes_it(pg):
    # G7: not only by the memory of this process
    import psycopg

    with closing(opened(pg.url())) as store:
        fill(store, ["r1"])
        store.write(started("r2")[0])
        store.write(Entry(0, 1.0, "r2", JobEnded("late", Outcome.FAILED)))
        (row,) = pg.rows("SELECT id FROM jobtest.outcome WHERE job LIKE '%%job_0'")
        store.commit()
        store.write(RunKept(RunRecord(id="r3")))
        store.write(Entry(10, 1.0, "r1", JobEnded("late", Outcome.FAILED)))
        pg.rows(
            "INSERT INTO jobtest.outcome SELECT 1, id, job, 'changed', 0 FROM jobtest.outcome WHERE run = 2"
        )

        with pytest.raises(AlreadyEnded, match="job 'late' has ended in run r1 already"):
            store.commit()
        with pytest.raises(psycopg.IntegrityError, match="a job ends once"):
            pg.rows("UPDATE jobtest.outcome SET outcome = 'failed' WHERE id = %s", *row)
        pg.rows("DELETE FROM jobtest.outcome WHERE job = 'late' AND run = 1")
        for change in (*started("r4"), changed("r1", 3)[1]):
            store.write(change)
        store.commit()
        assert [run.id for run in store.runs()] == ["r4", "r2", "r1"]
        assert [entry.seq for entry in store.entries("r1")] == [*range(11)]
        assert len(list(store.entries("r4"))) == 1


# --- forgetting ---


def last_transaction(pg):
    return int(pg.rows("SELECT pg_current_xact_id()::text")[0][0])


def test_forgetting_takes_short_transactions_and_goes_on_where_it_was_cut_short(pg, monkeypatch):
    # R143
    monkeypatch.setattr(pruning, "AT_A_TIME", 2)
    with closing(opened(pg.url())) as store:
        fill(store)
        left = read(store)["entries"]["r2"]
        before = last_transaction(pg)
        store.write(RunsDropped(("r1", "never")))
        assert last_transaction(pg) - before > 1 + 10 / 2 + 3 / 2
        assert [run.id for run in store.runs()] == ["r2"]
        assert list(store.entries("r2")) == left
        assert (list(store.entries("r1")), dict(store.outcomes("r1")), store.plan("r1")) == ([], {}, None)

        pg.rows("UPDATE jobtest.run SET record = NULL WHERE id = 'r2'")
        pg.rows("DELETE FROM jobtest.event WHERE seq < 5")
        assert (store.run("r2"), list(store.entries("r2")), dict(store.outcomes("r2"))) == (None, [], {})
        store.write(RunsDropped(()))
    kept = {table: pg.rows(f"SELECT count(*) FROM jobtest.{table}")[0][0] for table in TABLES}
    assert kept == {"run": 0, "event": 0, "outcome": 0, "plan": 0, "past": 3, "value": 3}
