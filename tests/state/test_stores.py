"""What every store promises. One suite; a store is one line in `STORES`."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import ME, RIVAL, STORES, kept, made, owned

from jobtest.core.errors import AlreadyEnded, StateError, StateLocked
from jobtest.core.events import Entry, JobEnded, PhaseStarted, RunStarted
from jobtest.core.model import Command, Outcome, Phase
from jobtest.core.past import Past
from jobtest.state import lock
from jobtest.state.store import (
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    CleanupOwed,
    Owed,
    PastKept,
    RunKept,
    RunRecord,
    RunsDropped,
)
from jobtest.testing import strategies as my

each = pytest.mark.parametrize("stand", STORES, ids=lambda cls: cls.__name__, indirect=True)
durable = pytest.mark.parametrize(
    "stand", [cls for cls in STORES if cls.durable], ids=lambda cls: cls.__name__, indirect=True
)
one_folder = settings(suppress_health_check=list(HealthCheck))
"""The folder of a test is one for all its examples: each makes a state of its own in it."""


@pytest.fixture
def stand(request):
    return request.param()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    """A lock that is held is held: nobody lets go of it meanwhile."""
    monkeypatch.setattr(lock, "AT_LEAST", 0.0)


@pytest.fixture
def store(stand, tmp_path):
    store = owned(stand, tmp_path)
    yield store
    store.close()


def new_folder(tmp_path):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    return folder


def write(store, *changes):
    for change in changes:
        store.write(change)
    store.commit()


def run(id, *events, **record):
    """Return the changes that keep a run with its journal."""
    entries = (Entry(number, float(number), id, event) for number, event in enumerate(events))
    return RunKept(RunRecord(id=id, **record), "{}"), *entries


STARTED = RunStarted(Command.APPLY, 1, 1)
TEXT = st.text(st.characters(), max_size=8)
NAMES = st.text(st.characters(), min_size=1, max_size=8)
TIMES = st.floats(0, 1e11)
RECORDS = st.builds(
    RunRecord,
    id=NAMES,
    argv=st.lists(TEXT, max_size=3).map(tuple),
    cwd=TEXT,
    context=TEXT,
    started_at=TIMES,
    ended_at=st.none() | TIMES,
    exit_status=st.none() | st.integers(0, 5),
    totals=st.dictionaries(st.sampled_from([one.value for one in Outcome]), st.integers(0, 9)),
)
PASTS = st.builds(
    Past,
    run=TEXT,
    at=TIMES,
    definition=TEXT,
    inputs=st.dictionaries(TEXT, TEXT, max_size=2),
    files=st.dictionaries(TEXT, TEXT, max_size=2),
    changed_at=TIMES,
    run_seconds=st.none() | TIMES,
    doubt=TEXT,
)


# --- runs and journals ---


@each
@one_folder
@given(st.lists(st.tuples(st.sampled_from(["r1", "r2"]), my.events())))
def test_entries_come_back_as_they_were_by_run_and_in_order(stand, tmp_path, drawn):
    store = owned(type(stand)(), new_folder(tmp_path))
    ended = set()
    entries = []
    for to, event in drawn:
        if isinstance(event, JobEnded) and (to, event.job) in ended:
            continue
        ended |= {(to, event.job)} if isinstance(event, JobEnded) else set()
        entries.append(Entry(len(entries), float(len(entries)), to, event))

    write(store, *run("r1"), *run("r2"), *entries)

    for id in ("r1", "r2", "r3"):
        mine = [entry for entry in entries if entry.run == id]
        assert list(store.entries(id)) == mine
        for job in {getattr(entry.event, "job", "") for entry in mine} - {""}:
            assert list(store.entries(id, job)) == [
                entry for entry in mine if getattr(entry.event, "job", "") == job
            ]
    store.close()


@each
@one_folder
@given(st.lists(RECORDS, max_size=4, unique_by=lambda one: one.id), TEXT)
def test_runs_come_back_as_they_were_newest_first(stand, tmp_path, records, plan):
    store = owned(type(stand)(), new_folder(tmp_path))

    write(store, *(RunKept(record, plan) for record in records))

    newest = sorted(records, key=lambda one: one.id, reverse=True)
    assert store.runs() == newest
    assert [store.runs(limit) for limit in range(3)] == [newest[:limit] for limit in range(3)]
    assert [store.run(record.id) for record in records] == records
    assert [store.plan(record.id) for record in records] == [plan] * len(records)
    store.close()


@each
def test_what_is_read_does_not_change_when_more_is_written(store):
    write(store, *run("r", STARTED))
    read, known = store.entries("r"), (store.pasts(), store.checkpoints(), store.outcomes("r"), store.runs())

    write(
        store,
        Entry(1, 2.0, "r", JobEnded("a", Outcome.CHANGED)),
        PastKept("a", Past()),
        CheckpointKept("a", "k", "1"),
        *run("s"),
    )

    assert list(read) == [Entry(0, 0.0, "r", STARTED)]
    assert known == ({}, {}, {}, [RunRecord(id="r")])


@each
def test_what_was_read_is_the_readers_own(store):
    write(
        store,
        *run("r", JobEnded("a", Outcome.CHANGED)),
        PastKept("a", Past()),
        CheckpointKept("a", "k", "1"),
        CleanupOwed("a", "r"),
    )

    store.pasts().clear()
    store.checkpoints()["a"].clear()
    store.runs().clear()
    store.owed().clear()
    dict(store.outcomes("r")).clear()

    assert store.pasts() == {"a": Past()}
    assert store.checkpoints() == {"a": {"k": "1"}}
    assert len(store.runs()) == len(store.owed()) == 1
    assert store.outcomes("r") == {"changed": 1}


@each
def test_a_newer_record_takes_the_place_of_the_older_and_the_plan_stays(store):
    many = [PhaseStarted(f"job{number}", 1, Phase.RUN) for number in range(700)]
    write(store, *run("r", STARTED, *many))
    ended = RunRecord(id="r", ended_at=5.0, exit_status=1, totals={"failed": 1})

    write(store, RunKept(ended), *(Entry(701 + at, 9.0, "r", event) for at, event in enumerate(many)))

    assert store.run("r") == ended
    assert store.runs() == [ended]
    assert store.plan("r") == "{}"
    assert len(list(store.entries("r"))) == 1401


@each
def test_what_is_not_there_is_nothing(store):
    write(store, *run("r"))

    assert (store.run("x"), store.plan("x"), store.value("0" * 64)) == (None, None, None)
    assert (list(store.entries("x")), dict(store.outcomes("x"))) == ([], {})
    assert (store.pasts(), store.owed(), store.checkpoints()) == ({}, [], {})


@each
def test_a_job_ends_once_in_a_run(stand, store):
    end = JobEnded("a", Outcome.CHANGED)
    write(store, *run("r", end), *run("s", STARTED))

    write(store, Entry(1, 1.0, "s", end))
    for again in (end, JobEnded("a", Outcome.FAILED)):
        with pytest.raises(AlreadyEnded, match=r"job 'a' has ended in run r already"):
            store.write(Entry(1, 1.0, "r", again))
    store.write(Entry(1, 1.0, "r", JobEnded("b", Outcome.CHANGED)))
    with pytest.raises(AlreadyEnded):  # before the first is committed
        store.write(Entry(2, 1.0, "r", JobEnded("b", Outcome.CHANGED)))
    store.close()

    later = stand.another()
    later.own(ME)
    with pytest.raises(AlreadyEnded):
        later.write(Entry(2, 1.0, "r", end))
    write(later, Entry(2, 1.0, "r", JobEnded("c", Outcome.BLOCKED)))
    assert later.outcomes("r") == {"changed": 2, "blocked": 1}
    assert [entry.event.job for entry in later.entries("r")] == ["a", "b", "c"]
    later.close()


# --- what is known beside the runs ---


@each
@one_folder
@given(st.lists(st.tuples(st.sampled_from(["a", "ops/job_a.py::job_é[x]", "\ud800"]), PASTS)))
def test_the_last_past_of_a_job_counts(stand, tmp_path, pasts):
    store = owned(type(stand)(), new_folder(tmp_path))

    write(store, *(PastKept(job, past) for job, past in pasts))

    assert store.pasts() == dict(pasts)
    store.close()


@each
def test_cleanups_are_owed_in_the_order_in_which_they_were_entered(stand, store):
    write(store, *run("r"), *run("s"), *(CleanupOwed(job, "r") for job in "abc"))
    assert store.owed() == [Owed("a", "r", 1), Owed("b", "r", 2), Owed("c", "r", 3)]

    write(store, CleanupDone("b"), CleanupDone("x"), CleanupOwed("a", "s"))
    store.close()
    later = stand.another()
    later.own(ME)
    write(later, CleanupOwed("d", "s"))

    assert later.owed() == [Owed("c", "r", 3), Owed("a", "s", 4), Owed("d", "s", 5)]
    later.close()


@each
def test_checkpoints_are_kept_by_job_and_key_until_they_are_dropped(store):
    write(store, CheckpointKept("a", "k", "1"), CheckpointKept("a", "l", "[]"), CheckpointKept("b", "k", "2"))
    write(store, CheckpointKept("a", "k", "3"), CheckpointsDropped("b"), CheckpointsDropped("x"))

    assert store.checkpoints() == {"a": {"k": "3", "l": "[]"}}


@each
def test_a_value_comes_back_by_its_digest(store):
    values = [None, {"b": 1, "a": [2]}, "x" * 100_000, [{"a": number} for number in range(2000)]]

    write(store, *map(kept, values), kept(None))

    assert [store.value(kept(value).digest) for value in values] == [kept(value).text for value in values]


@each
def test_the_first_text_of_a_digest_counts(store):
    one, other = kept({"a": 1, "b": 2}), kept({"b": 2, "a": 1})
    assert one.digest == other.digest

    write(store, one, other)

    assert store.value(one.digest) == one.text


# --- forgetting ---


@each
def test_a_run_that_is_dropped_is_gone_and_others_stay(store):
    end = JobEnded("a", Outcome.CHANGED)
    write(store, *run("r", end), *run("s", end), CleanupOwed("a", "r"), CheckpointKept("a", "k", "1"))

    write(store, RunsDropped(("r", "x")))

    assert [one.id for one in store.runs()] == ["s"]
    assert (store.run("r"), store.plan("r"), list(store.entries("r"))) == (None, None, [])
    assert dict(store.outcomes("r")) == {}
    assert (len(list(store.entries("s"))), store.outcomes("s")) == (1, {"changed": 1})
    assert len(store.owed()) == len(store.checkpoints()) == 1


@each
def test_a_run_that_was_dropped_can_be_kept_anew(store):
    end = JobEnded("a", Outcome.CHANGED)
    write(store, *run("r", STARTED, end), RunsDropped(("r",)), *run("r", end))

    assert list(store.entries("r")) == [Entry(0, 0.0, "r", end)]


@each
def test_a_value_stays_as_long_as_a_past_or_a_run_names_it(store):
    names = ("of a past", "of an entry", "of a plan", "of a dropped run", "of nobody", "of both")
    values = {name: kept(name) for name in names}
    plan = {"decisions": [{"needed": True}, {"resumed": {"run": "r", "value": values["of a plan"].digest}}]}
    write(
        store,
        *values.values(),
        *run("r", made("of a dropped run"), made("of both"), made("of a past")),
        *run("s", made("of an entry"), made("of both")),
        RunKept(RunRecord(id="t"), json.dumps(plan)),
        PastKept("a", Past(value=values["of a past"].digest)),
    )

    write(store, RunsDropped(("r",)))
    assert [name for name in names if store.value(values[name].digest)] == [
        "of a past",
        "of an entry",
        "of a plan",
        "of both",
    ]

    write(store, PastKept("a", Past()), RunsDropped(("s", "t")))
    assert [name for name in names if store.value(values[name].digest)] == []


# --- owners, ends and deaths ---


@each
def test_a_store_says_what_it_is(stand, store):
    assert store.durable == stand.durable
    assert "://" in store.url
    assert stand.another().url == store.url


@each
def test_what_was_committed_outlives_the_owner(stand, store):
    write(store, *run("r", made(1), JobEnded("a", Outcome.CHANGED)), kept(1), PastKept("a", Past(run="r")))
    write(store, CleanupOwed("a", "r"), CheckpointKept("a", "k", "1"))
    stand.kill(store)

    later = stand.another()
    for _ in range(2):
        assert later.run("r") == RunRecord(id="r")
        assert [entry.seq for entry in later.entries("r")] == [0, 1]
        assert later.value(kept(1).digest) == "1"
        assert later.pasts() == {"a": Past(run="r")}
        assert later.owed() == [Owed("a", "r", 1)]
        assert later.checkpoints() == {"a": {"k": "1"}}
        later.own(ME)
    later.close()


@each
def test_closing_commits_and_can_be_done_twice(stand, store):
    store.write(RunKept(RunRecord(id="r")))
    store.close()
    store.close()

    assert stand.another().runs() == [RunRecord(id="r")]


@each
def test_a_store_can_be_owned_again_after_it_was_closed(store):
    write(store, *run("r"))
    store.close()
    store.own(ME)
    write(store, *run("s"))

    assert [one.id for one in store.runs()] == ["s", "r"]


@each
def test_the_owner_is_known_while_there_is_one(stand, tmp_path):
    store = stand.make(tmp_path)
    assert store.owner() is None
    store.own(ME)
    store.own(ME)
    assert store.owner() == ME
    assert stand.another().owner() == ME
    store.close()
    assert stand.another().owner() is None


@durable
def test_a_second_owner_is_refused_until_the_first_has_ended(stand, store):
    write(store, *run("r"))
    rival = stand.another()
    for _ in range(2):
        with pytest.raises(StateLocked, match=r"process 1 on 'here' since 1970-01-01 00:00:00 UTC"):
            rival.own(RIVAL)
    with pytest.raises(StateError):
        rival.write(RunKept(RunRecord(id="s")))
    write(store, *run("t"))

    store.close()
    rival.own(RIVAL)
    write(rival, *run("u"))
    assert [one.id for one in rival.runs()] == ["u", "t", "r"]
    with pytest.raises(StateLocked, match=r"process 2 on 'there'"):
        store.own(ME)
    rival.close()


@durable
def test_who_reads_sees_what_is_committed_and_hinders_nobody(stand, store):
    write(store, *run("r", STARTED))
    reader = stand.another()
    entries = reader.entries("r")
    assert next(entries).seq == 0

    store.write(Entry(1, 1.0, "r", JobEnded("a", Outcome.CHANGED)))
    assert reader.outcomes("r") == {}
    store.commit()

    assert reader.outcomes("r") == {"changed": 1}
    reader.close()


@durable
def test_reading_what_is_not_there_finds_nothing_and_makes_nothing(stand, tmp_path):
    before = sorted(os.walk(tmp_path))
    store = stand.make(tmp_path)

    assert (store.runs(), store.run("r"), store.plan("r"), list(store.entries("r"))) == ([], None, None, [])
    assert (store.pasts(), store.owed(), store.checkpoints(), store.value("0" * 64)) == ({}, [], {}, None)
    assert (dict(store.outcomes("r")), store.owner()) == ({}, None)
    store.close()
    assert sorted(os.walk(tmp_path)) == before


@durable
def test_only_the_owner_writes(stand, tmp_path):
    store = stand.make(tmp_path)

    for write_something in (lambda: store.write(RunKept(RunRecord(id="r"))), store.commit):
        with pytest.raises(StateError, match="without being owned"):
            write_something()
    assert store.runs() == []


@durable
def test_a_death_may_take_what_was_not_committed_and_others_go_on_from_there(stand, store):
    write(store, *run("r", STARTED))
    store.write(Entry(1, 1.0, "r", JobEnded("a", Outcome.CHANGED)))
    stand.kill(store)

    later = stand.another()
    later.own(ME)
    seen = list(later.entries("r"))
    assert [entry.seq for entry in seen] in ([0], [0, 1])
    record = replace(RunRecord(id="r"), ended_at=1.0)
    write(later, RunKept(record), Entry(len(seen), 2.0, "r", JobEnded("b", Outcome.FAILED)))
    assert later.run("r") == record
    later.close()
