"""Which runs a store remembers: in what order, how far each came, and which one is meant."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.errors import StateError
from jobtest.reports.history import (
    RunState,
    find_run,
    list_runs,
    runs_data,
    runs_text,
    state_of,
)
from jobtest.reports.history.runs import short_ids
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Owner, RunRecord
from tests.cli.journals import (
    ME,
    STARTED,
    cut,
    run_id,
    shop,
    simple,
    store_of,
)


def lines(text):
    return text.splitlines()


def test_runs_are_listed_newest_first_and_the_rest_is_counted():
    store = store_of(*(simple(run_id(number), STARTED + number) for number in (2, 1, 3)))
    listed = list_runs(store, 2)
    assert [one.record.id for one in listed.listed] == [run_id(3), run_id(2)]
    assert listed.more == 1
    assert list_runs(store).more == 0
    assert len(list_runs(store, 0).listed) == 0


def test_contexts_are_listed_if_there_are_any():
    store = store_of(simple(run_id(1)), simple(run_id(2), STARTED + 1, context="prod"))
    head, *rows = lines(runs_text(list_runs(store)))
    assert head.split() == ["run", "started", "command", "context", "took", "state", "jobs"]
    assert [row.split()[3:5] for row in rows] == [["apply", "prod"], ["apply", "1.00s"]]
    assert "context" not in runs_text(list_runs(store_of(simple())))


class Strict(MemoryStore):
    """A store that gives out neither journal nor plan."""

    def entries(self, run, job=""):
        raise AssertionError("a list must not read journals")

    def plan(self, run):
        raise AssertionError("a list must not read plans")

    def outcomes(self, run):
        assert self.run(run).ended_at is None
        return super().outcomes(run)


def test_a_list_reads_no_journal_and_counts_only_what_has_not_ended():
    store = Strict()
    store.own(ME)
    shop(run_id(1)).keep(store)
    cut(shop(run_id(2), STARTED + 60), 12).keep(store)
    totals = [dict(one.totals) for one in list_runs(store).listed]
    assert totals == [
        {"skipped": 1, "unchanged": 1, "changed": 1},
        {"skipped": 1, "unchanged": 1, "changed": 4, "failed": 3, "blocked": 2},
    ]


OTHER = Owner(host="here", pid=8, since=STARTED, command="jobtest prune")
UNKNOWN = Owner(host="", pid=0, since=0.0, command="")


@pytest.mark.parametrize(
    ("owner", "ended", "expected"),
    [
        (ME, (False,), ["running"]),
        (UNKNOWN, (False,), ["running"]),
        (OTHER, (False,), ["killed"]),
        (replace(ME, host="there"), (False,), ["killed"]),
        (None, (False,), ["killed"]),
        (ME, (True, False), ["running", "ended"]),
        (ME, (False, False), ["running", "killed"]),
        (ME, (False, True), ["ended", "running"]),
        (None, (True, True), ["ended", "ended"]),
    ],
)
def test_a_run_is_under_way_if_it_is_the_newest_without_an_end_and_its_process_holds_the_store(
    owner, ended, expected
):
    runs = [simple(run_id(number), STARTED + number) for number in range(len(ended))]
    for journal, has_ended in zip(runs, ended, strict=True):
        if not has_ended:
            journal.changes.pop()
    store = store_of(*runs, owner=owner)
    assert [one.state.value for one in list_runs(store).listed] == expected
    assert [state_of(store, record).value for record in store.runs()] == expected


def test_a_run_of_an_unknown_process_is_under_way_while_anybody_holds_the_store():
    journal = simple(pid=0, host="")
    journal.changes.pop()
    assert state_of(store_of(journal, owner=OTHER), journal.record) is RunState.RUNNING


ids = st.builds("{}{}".format, st.sampled_from(["", "01a1fcf9-e"]), st.text("01ab-", min_size=1, max_size=12))


@given(st.lists(ids, unique=True, max_size=8))
def test_no_two_short_ids_are_the_same_and_each_is_the_beginning_of_its_own(made):
    short = short_ids([RunRecord(id=id) for id in made])
    assert len(set(short.values())) == len(made)
    assert all(id.startswith(short[id]) and len(short[id]) >= min(8, len(id)) for id in made)


def test_short_ids_end_with_no_dash_and_are_no_longer_than_they_must_be():
    near = ["01a1fcf9-e864-1", "01a1fcf9-d864-1"]
    assert list(short_ids([RunRecord(id=id) for id in near]).values()) == ["01a1fcf9-d", "01a1fcf9-e"]
    near = ["01a1fcf9e1", "01a1fcf9e2"]
    assert short_ids([RunRecord(id=id) for id in near]) == dict(zip(near, near, strict=True))
    assert short_ids([RunRecord(id="01a1fcf9e-1"), RunRecord(id="01a1fcf-e-1")]) == {
        "01a1fcf9e-1": "01a1fcf9",
        "01a1fcf-e-1": "01a1fcf-e",
    }


def test_a_run_is_found_by_its_id_by_a_beginning_and_as_the_last():
    store = store_of(simple("aab"), simple("aabb", STARTED + 1), simple("abc", STARTED + 2))
    assert [find_run(store, text).id for text in ("last", "ab", "aabb", "aab")] == [
        "abc",
        "abc",
        "aabb",
        "aab",
    ]


def test_a_run_that_is_not_meant_or_not_alone_is_an_error_that_says_so():
    store = store_of(simple("aab"), simple("abc", STARTED + 1))
    for given_, text in (
        ("b", "no run begins with 'b'\n  at: memory://\n  fix: `jobtest runs` lists those that there are"),
        ("a", "2 runs begin with 'a': abc, aab\n  at: memory://\n  fix: give more of the id"),
    ):
        with pytest.raises(StateError) as raised:
            find_run(store, given_)
        assert str(raised.value) == text
    with pytest.raises(StateError, match=r"^there is no run yet\n.*\n  fix: run something"):
        find_run(MemoryStore(), "last")
    many = store_of(*(simple(f"a{number}", STARTED + number) for number in range(9)))
    with pytest.raises(StateError, match=r"^9 runs begin with 'a': a8, .*, a1, \.\.\.\n"):
        find_run(many, "a")


def test_runs_are_a_table():
    killed = cut(shop(run_id(3), STARTED + 200), 12)
    store = store_of(shop(), simple(run_id(2), STARTED + 100, resumed_from=run_id(1)), killed, owner=None)
    assert lines(runs_text(list_runs(store))) == [
        "run       started               command  took    state   jobs",
        "00000003  2026-01-31 10:03:20Z  apply    -       killed  "
        "1 unchanged, 1 changed, 1 skipped, 8 not ended",
        "00000002  2026-01-31 10:01:40Z  apply    1.00s   exit 0  1 changed, goes on with 00000001",
        "00000001  2026-01-31 10:00:00Z  apply    10.75s  exit 1  "
        "1 unchanged, 4 changed, 3 failed, 2 blocked, 1 skipped",
    ]
    assert lines(runs_text(list_runs(store, 2)))[2:] == [
        f"00000002  2026-01-31 10:01:40Z  apply    1.00s  exit 0  1 changed, goes on with {run_id(1)}",
        "... 1 more; --limit 3 lists all",
    ]
    assert runs_text(list_runs(MemoryStore())) == "no runs yet\n"


def test_runs_are_data():
    data = runs_data(list_runs(store_of(simple()), 1))
    assert data == {
        "schema": 1,
        "more": 0,
        "runs": [
            {
                "id": run_id(1),
                "command": "apply",
                "lineage": run_id(1),
                "resumed_from": None,
                "context": None,
                "argv": ["pytest", "--orchestrate"],
                "cwd": "/home/you/shop",
                "revision": None,
                "host": "here",
                "pid": 7,
                "version": "0.1.0",
                "python": "3.11.7",
                "platform": "Linux x86_64",
                "workers": 1,
                "jobs": 1,
                "started_at": "2026-01-31T10:00:00.000000Z",
                "ended_at": "2026-01-31T10:00:01.000000Z",
                "seconds": 1.0,
                "exit_status": 0,
                "totals": {"changed": 1},
                "state": "ended",
            }
        ],
    }
    assert json.loads(json.dumps(data)) == data
