"""What a store remembers, as data and as text: rebuilt from the store alone, safe for a terminal."""

import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_scenes import NASTY

from jobtest.core.errors import StateError, UsageError
from jobtest.core.events import JobEnded, PhaseStarted, RunStopped
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Job, Kind, Outcome, Phase, Verdict
from jobtest.core.past import Past, Resumed
from jobtest.core.planner import make_plan
from jobtest.reports.history import (
    RunState,
    explain,
    explain_data,
    explain_text,
    find_run,
    list_runs,
    load_run,
    runs_data,
    runs_text,
    show_data,
    show_text,
    state_of,
    values_of,
)
from jobtest.reports.history.runs import short_ids
from jobtest.reports.history.text import clipped, one_line
from jobtest.reports.json_report import report_data
from jobtest.state.memory import MemoryStore
from jobtest.state.store import Owner, PastKept, RunKept, RunRecord, ValueKept
from tests.cli.journals import ME, SHOP, STARTED, Journal, run_id, shop, simple


def store_of(*journals, owner=ME):
    """A store with these runs, owned by `owner`, or by nobody any more."""
    store = MemoryStore()
    store.own(ME if owner is None else owner)
    for journal in journals:
        journal.keep(store)
    return Left(store) if owner is None else store


class Left:
    """What is to be read of a store whose owner is gone."""

    def __init__(self, store):
        self._store = store

    def owner(self):
        return None

    def __getattr__(self, name):
        return getattr(self._store, name)


def cut(journal, events):
    """The journal of a run that was killed after so many events."""
    left = events
    for at, change in enumerate(journal.changes):
        left -= change in journal.entries
        if left < 0:
            journal.changes = journal.changes[:at]
            break
    return journal


def lines(text):
    return text.splitlines()


# --- a run from the store alone ---


def test_a_run_comes_back_as_it_was():
    journal = shop()
    loaded = load_run(store_of(journal), journal.run)
    assert report_data(loaded.summary, {}) == report_data(journal.summary, {})
    assert (loaded.plan.order, loaded.record.totals) == (
        journal.plan.order,
        {"skipped": 1, "unchanged": 1, "changed": 4, "failed": 3, "blocked": 2},
    )


def test_a_run_that_was_killed_at_any_event_comes_back_as_far_as_it_came():
    for length in range(len(shop().entries)):
        journal = cut(shop(), length)
        loaded = load_run(store_of(journal, owner=None), journal.run)
        assert loaded.record.exit_status is None
        assert loaded.summary.run_id == journal.run
        assert loaded.summary.started_at == STARTED
        ended = [id for id, record in loaded.summary.jobs.items() if record.outcome is not None]
        expected = {entry.event.job for entry in shop().entries[:length] if isinstance(entry.event, JobEnded)}
        assert set(ended) == expected


def damaged(what):
    return pytest.raises(
        StateError, match=f"^run {run_id(1)} cannot be read: {what}\n  at: memory://\n  fix: "
    )


PLAN_OF_TEXT = json.dumps(
    {
        **json.loads(simple().changes[0].plan),
        "jobs": [{"id": "a", "edges": ["b"]}],
    }
)


def test_what_is_not_there_or_does_not_fit_is_refused():
    with pytest.raises(StateError, match=r"^there is no run 'x'\n  at: memory://$"):
        load_run(store_of(shop()), "x")
    for text, what in (
        ("{", "its plan is missing or no JSON object"),
        ("[" * 100_000, "its plan is missing or no JSON object"),
        ("[]", "its plan is missing or no JSON object"),
        ("{}", "its plan is no plan of jobtest"),
        (PLAN_OF_TEXT, "its plan is no plan of jobtest"),
        (simple().changes[0].plan, "its journal does not belong to its plan"),
    ):
        journal = shop()
        journal.changes[0] = RunKept(journal.record, text)
        with damaged(what):
            load_run(store_of(journal), journal.run)


def test_an_end_of_a_phase_that_never_started_is_refused():
    journal = simple()
    journal.changes = [
        one for one in journal.changes if not isinstance(getattr(one, "event", 0), PhaseStarted)
    ]
    with damaged("its journal does not belong to its plan"):
        load_run(store_of(journal), journal.run)


# --- values ---


SECOND = run_id(2)


def valued(job, outcome, value="", past=None, resumed=None, run=SECOND):
    """The values of a run of one job: with what it made, what an earlier run left, what is remembered."""
    plan = make_plan(Graph([job]), resumed={"a": resumed} if resumed else {})
    journal = Journal(plan, run).phase("a", Phase.RUN, value=value).ends("a", outcome).over()
    store = store_of(journal)
    for digest in ("new", "left", "past"):
        store.write(ValueKept(digest, json.dumps(digest)))
    if past is not None:
        store.write(PastKept("a", past))
    return values_of(store, load_run(store, run))


def test_the_value_of_a_run_is_what_it_made_or_what_it_went_on_with_or_what_had_been_there():
    a = Job.of("a")
    past = Past(run=run_id(1), value="past", changed_run=run_id(1))
    left = Resumed(run=run_id(1), outcome=Outcome.CHANGED, value="left")
    assert valued(a, Outcome.CHANGED, "new", past, left) == {"a": "new"}
    assert valued(a, Outcome.CHANGED, "", past, left) == {"a": "left"}
    assert valued(a, Outcome.UNCHANGED, "", past) == {"a": "past"}
    assert valued(a, Outcome.FAILED, "", past) == {}
    assert valued(a, Outcome.UNCHANGED) == {}


def test_a_value_that_has_changed_since_is_not_taken_for_that_of_an_older_run():
    changed = Past(run=run_id(3), value="past", changed_run=run_id(3))
    assert valued(Job.of("a"), Outcome.UNCHANGED, "", changed) == {}
    assert valued(Job.of("a"), Outcome.UNCHANGED, "", changed, run=run_id(3)) == {"a": "past"}


def test_stored_values_are_shown_as_data_and_nothing_is_imported():
    text = '{"jobtest:dataclass/1": ["this.Zen", {"at": {"jobtest:path/1": "/x"}}]}'
    journal = shop()
    store = store_of(journal)
    store.write(ValueKept("digest-of-fetch", text))
    loaded = load_run(store, journal.run)
    assert values_of(store, loaded) == {f"{SHOP}job_fetch": json.loads(text)}
    fetch = show_data(store, loaded)["jobs"][1]
    assert (fetch["value"], fetch["notes"]) == (json.loads(text), [])
    assert "this" not in sys.modules


@pytest.mark.parametrize("text", ["{", "NaN", "[" * 300 + "]" * 300, "[" * 100_000, "1" * 5000])
def test_a_value_that_no_report_can_hold_is_left_out(text):
    journal = shop()
    store = store_of(journal)
    store.write(ValueKept("digest-of-fetch", text))
    assert values_of(store, load_run(store, journal.run)) == {}


# --- which runs there are ---


def test_runs_are_listed_newest_first_and_the_rest_is_counted():
    store = store_of(*(simple(run_id(number), STARTED + number) for number in (2, 1, 3)))
    listed = list_runs(store, 2)
    assert [one.record.id for one in listed.listed] == [run_id(3), run_id(2)]
    assert listed.more == 1
    assert list_runs(store).more == 0
    assert len(list_runs(store, 0).listed) == 0


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
    with pytest.raises(StateError, match=r"^there is no run yet\n"):
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


# --- one run ---


def test_a_run_is_shown_job_by_job():
    journal = shop(resumed_from="0", context="prod", revision="abc123")
    assert lines(show_text(store_of(journal), load_run(store_of(journal), journal.run))) == [
        "run           00000001-0000-7000-8000-000000000000",
        "command       apply",
        "started       2026-01-31 10:00:00Z, took 10.75s",
        "state         exit 1",
        "goes on with  0",
        "context       prod",
        "called as     pytest --orchestrate",
        "in            /home/you/shop",
        "revision      abc123",
        "by            jobtest 0.1.0, Python 3.11.7, Linux x86_64, on here, pid 7, 1 worker",
        "",
        "+  fetch       changed    0.25s  no check; flaky needs it",
        "+  flaky       changed    0.50s  no check; a leaf",
        "    attempt 1  run  raised  0.25s  ConnectionError: no route",
        "    attempt 2  run  ok      0.25s",
        "F  deploy[eu]  failed     0.75s  check did not hold after the run: '1.4' == '1.5'",
        "    attempt 1  check    does not hold  0.25s  '1.3' == '1.5'",
        "               run      ok             0.25s",
        "               recheck  does not hold  0.25s  '1.4' == '1.5'",
        "b  smoke       blocked    -      upstream deploy[eu] failed",
        ".  steady      unchanged  0.25s  check holds",
        "+  deploy[us]  changed    0.75s  check did not hold: '1.3' == '1.5'",
        "b  mail        blocked    -      upstream deploy[eu] failed",
        "F  typo        failed     0.25s  its check is broken: NameError: name 'nope' is not defined",
        "    attempt 1  check  is broken  0.25s  NameError: name 'nope' is not defined",
        "F  bare        failed     0.25s  set-up failed: RuntimeError: no server",
        "    attempt 1  run  set-up failed  0.25s  RuntimeError: no server",
        "s  elsewhere   skipped    -      not in this context",
        "+  untidy      changed    0.25s  no check; a leaf",
        "    cleanup: OSError: still open",
        "",
        "root causes:",
        "  deploy[eu]: check did not hold after the run: '1.4' == '1.5'",
        "    blocks smoke, mail",
        "  typo: its check is broken: NameError: name 'nope' is not defined",
        "  bare: set-up failed: RuntimeError: no server",
        "",
        "cleanups that it owes:",
        "  untidy",
        "",
        "11 jobs: 1 unchanged, 4 changed, 3 failed, 2 blocked, 1 skipped in 10.8s",
    ]


def at_event(job, phase):
    """How many events of a shop there are until a phase has started."""
    started = (
        entry.seq for entry in shop().entries if entry.event == PhaseStarted(f"{SHOP}job_{job}", 1, phase)
    )
    return next(started) + 1


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (at_event("deploy[eu]", Phase.RUN), "deploy[eu]: attempt 1, run since 2026-01-31 10:00:04Z"),
        (
            at_event("deploy[eu]", Phase.RUN) + 1,
            "deploy[eu]: attempt 1, after its run, which ended 2026-01-31 10:00:04Z",
        ),
        (at_event("fetch", Phase.CLEANUP), "fetch: cleanup since 2026-01-31 10:00:10Z"),
    ],
)
def test_what_was_under_way_when_a_run_was_killed_is_said(events, said):
    journal = cut(shop(), events)
    killed = store_of(journal, owner=None)
    text = lines(show_text(killed, load_run(killed, journal.run)))
    assert text[3] == "state      killed"
    assert text[text.index("under way when it was killed:") + 1] == f"  {said}"
    running = store_of(journal)
    text = lines(show_text(running, load_run(running, journal.run)))
    assert text[3] == "state      running"
    assert text[text.index("under way:") + 1] == f"  {said}"


def test_a_run_that_has_not_ended_shows_which_jobs_run_and_which_have_not_ended():
    journal = cut(shop(), at_event("deploy[eu]", Phase.RUN))
    text = show_text(store_of(journal), load_run(store_of(journal), journal.run))
    assert "\n-  deploy[eu]  running    0.25s\n    attempt 1  check  does not hold" in text
    assert "               run    under way      -\n" in text
    assert "\n-  smoke       not ended  -\n" in text
    assert text.endswith("\n11 jobs: 1 unchanged, 2 changed, 1 skipped, 7 not ended in 4.0s\n")


def test_a_cleanup_that_another_run_owes_is_not_shown():
    store = store_of(shop(), simple(run_id(2), STARTED + 60))
    assert "untidy" not in show_text(store, load_run(store, run_id(2)))


def test_why_a_run_was_stopped_and_its_notes_are_shown():
    journal = Journal(make_plan(Graph([Job.of("a")]))).add(RunStopped("Ctrl-C"))
    journal.phase("a", Phase.RUN, notes=("look\x1b here",)).ends("a", Outcome.CHANGED).over(2)
    text = show_text(store_of(journal), load_run(store_of(journal), journal.run))
    assert "state      exit 2: Ctrl-C\n" in text
    assert "\nnotes:\n  a: look\\x1b here\n" in text


def test_a_failure_that_blocks_many_names_the_first_twenty():
    plan = make_plan(Graph([Job.of("a"), *(Job.of(f"b{n}", needs=["a"]) for n in range(22))]))
    journal = (
        Journal(plan)
        .phase("a", Phase.RUN, Verdict.RAISED, "E: x")
        .ends("a", Outcome.FAILED, "x", Kind.RUN_ERROR)
    )
    for number in range(22):
        journal.ends(f"b{number}", Outcome.BLOCKED, "upstream a failed", causes=("a",))
    text = show_text(store_of(journal.over(1)), load_run(store_of(journal), journal.run))
    assert f"    blocks {', '.join(f'b{n}' for n in range(20))}, ... 2 more\n" in text


def test_a_run_is_data_as_in_its_report_and_its_record():
    journal = shop(resumed_from="0", context="prod")
    store = store_of(journal)
    data = show_data(store, load_run(store, journal.run))
    run = data.pop("run")
    report = report_data(journal.summary, {}, context="prod", resumed_from="0", exit_status=1)
    assert data == report
    assert (run["id"], run["state"], run["argv"]) == (journal.run, "ended", ["pytest", "--orchestrate"])
    assert run["totals"] == {"unchanged": 1, "changed": 4, "failed": 3, "blocked": 2, "skipped": 1}


# --- one job ---


def remembered():
    """A store with two runs of the shop, a killed one after them, and what is known of `deploy[us]`."""
    killed = cut(shop(run_id(3), STARTED + 200), at_event("deploy[us]", Phase.RUN))
    store = store_of(shop(), shop(run_id(2), STARTED + 100), killed, owner=None)
    past = Past(
        run=run_id(1),
        at=STARTED + 7,
        value="d" * 64,
        inputs={f"{SHOP}job_fetch": "f" * 64},
        files={"data/a.csv": "a" * 64},
        changed_run=run_id(1),
        changed_at=STARTED + 7,
        check_seconds=0.25,
        run_seconds=2.0,
        doubt=run_id(3),
    )
    store.write(ValueKept("d" * 64, '{"url": "x"}'))
    store.write(PastKept(f"{SHOP}job_deploy[us]", past))
    return store


def test_a_job_is_explained_by_what_is_known_of_it_and_by_its_last_runs():
    assert lines(explain_text(explain(remembered(), "deploy[us]"))) == [
        "deploy[us]: ops/job_shop.py::job_deploy[us]",
        "defined at    ops/job_shop.py:3 job_deploy[us]",
        "waits for     fetch (takes its value)",
        "last success  2026-01-31 10:01:46Z in run 00000002; "
        "its run phase takes 2.00s; its check takes 0.25s",
        "last changed  2026-01-31 10:00:07Z in run 00000001",
        'its value     {"url": "x"} (digest dddddddddddd)',
        "it took       fetch ffffffffffff",
        "files         data/a.csv aaaaaaaaaaaa",
        "in doubt      run 00000003 was killed while it ran",
        "",
        "run       started                  outcome  took   reason",
        "00000003  2026-01-31 10:03:20Z  -  killed   0.25s",
        "    planned: has a check",
        "    attempt 1  check  does not hold  0.25s  '1.3' == '1.5'",
        "               run    under way      -",
        "00000002  2026-01-31 10:01:40Z  +  changed  0.75s  check did not hold: '1.3' == '1.5'",
        "    planned: has a check",
        "    attempt 1  check    does not hold  0.25s  '1.3' == '1.5'",
        "               run      ok             0.25s",
        "               recheck  holds          0.25s",
        "00000001  2026-01-31 10:00:00Z  +  changed  0.75s  check did not hold: '1.3' == '1.5'",
        "    planned: has a check",
        "    attempt 1  check    does not hold  0.25s  '1.3' == '1.5'",
        "               run      ok             0.25s",
        "               recheck  holds          0.25s",
    ]


def test_what_was_planned_is_said_unless_it_is_the_reason():
    text = explain_text(explain(store_of(shop()), "flaky"))
    assert "+  changed  0.50s  no check; a leaf\n    attempt 1  run  raised " in text
    assert "planned" not in text


def test_a_plan_in_which_a_check_held_is_no_success():
    journal = Journal(make_plan(Graph([Job.of("a", check=True)]), command=Command.PLAN), run_id(2))
    journal.phase("a", Phase.CHECK).ends("a", Outcome.UNCHANGED, "check holds").over()
    store = store_of(journal)
    store.write(PastKept("a", Past(run=run_id(1), at=STARTED - 60)))
    assert explain_data(explain(store, "a"))["last_success"]["run"] == run_id(1)


def test_a_blocked_job_names_what_blocked_it_and_what_it_comes_after():
    text = lines(explain_text(explain(store_of(shop()), "smoke")))
    assert text == [
        "smoke: ops/job_shop.py::job_smoke",
        "defined at    ops/job_shop.py:3 job_smoke",
        "waits for     deploy[eu] (needs it), flaky (comes after it)",
        "last success  never",
        "",
        "run       started                  outcome  took  reason",
        "00000001  2026-01-31 10:00:00Z  b  blocked  -     upstream deploy[eu] failed (deploy[eu])",
        "    planned: no check; mail needs it",
    ]


def test_a_cleanup_that_is_owed_is_said():
    explained = explain(store_of(shop()), "untidy")
    assert "owes          its cleanup, of run 00000001\n" in explain_text(explained)
    assert explain_data(explained)["cleanup_owed_by"] == run_id(1)


def test_a_value_that_is_nothing_is_not_shown():
    store = store_of(simple())
    store.write(PastKept("a", Past(run=run_id(1), at=STARTED, value="v")))
    store.write(ValueKept("v", "null"))
    assert "its value" not in explain_text(explain(store, "a"))
    store.write(PastKept("a", Past(run=run_id(1), at=STARTED, value="w")))
    assert "its value     not kept (digest w)" in explain_text(explain(store, "a"))


def test_a_job_is_data():
    data = explain_data(explain(remembered(), "deploy[us]"))
    assert json.loads(json.dumps(data)) == data
    runs = data.pop("runs")
    assert data == {
        "schema": 1,
        "id": f"{SHOP}job_deploy[us]",
        "name": "deploy",
        "label": "deploy[us]",
        "at": "ops/job_shop.py:3 job_deploy[us]",
        "description": None,
        "waits_for": [{"id": f"{SHOP}job_fetch", "label": "fetch", "kind": "value"}],
        "last_success": {
            "run": run_id(2),
            "at": "2026-01-31T10:01:46.750000Z",
            "definition": "",
            "digest": "d" * 64,
            "value": {"url": "x"},
            "inputs": {f"{SHOP}job_fetch": "f" * 64},
            "files": {"data/a.csv": "a" * 64},
            "check_seconds": 0.25,
            "run_seconds": 2.0,
        },
        "last_changed": {"run": run_id(1), "at": "2026-01-31T10:00:07.000000Z"},
        "in_doubt_since": run_id(3),
        "cleanup_owed_by": None,
    }
    assert [(one["run"], one["state"], one["outcome"]) for one in runs] == [
        (run_id(3), "killed", None),
        (run_id(2), "ended", "changed"),
        (run_id(1), "ended", "changed"),
    ]
    whole = report_data(shop(run_id(2), STARTED + 100).summary, {})["jobs"][4]
    told = runs[1]
    assert told["decision"] == "has a check"
    assert {name: told[name] for name in whole if name in told and name != "started_at"} == {
        name: whole[name] for name in ("outcome", "reason", "blocked_by", "seconds", "attempts", "notes")
    } | {name: whole[name] for name in ("kind", "cleanup", "close")}


def test_of_many_runs_the_last_ten_in_which_it_took_part_are_told():
    runs = [simple(run_id(number), STARTED + number) for number in range(1, 13)]
    store = store_of(*runs, shop(run_id(99), STARTED + 99))
    assert [one.record.id for one in explain(store, "a").runs] == [
        run_id(number) for number in range(12, 2, -1)
    ]


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("steady", "job_steady"),
        ("deploy[eu]", "job_deploy[eu]"),
        ("job_deploy[us]", "job_deploy[us]"),
        ("shop.py::job_mail", "job_mail"),
        (f"{SHOP}job_mail", "job_mail"),
        ("[us]", "job_deploy[us]"),
    ],
)
def test_a_job_is_meant_by_name_label_id_or_an_end_of_its_id(name, id):
    assert explain(store_of(shop()), name).job.id == SHOP + id


def test_a_name_counts_before_the_end_of_an_id():
    plan = make_plan(Graph([Job.of("x", name="job_b"), Job.of("dir::job_b", name="b")]))
    assert explain(store_of(Journal(plan).over()), "job_b").job.id == "x"


def test_a_label_counts_before_the_end_of_an_id():
    jobs = (Job.of(f"x::job_{name}[1]", name=name, params={"n": 1}) for name in ("a", "aa"))
    assert explain(store_of(Journal(make_plan(Graph(jobs))).over()), "a[1]").job.id == "x::job_a[1]"


def test_a_name_that_means_none_or_many_is_an_error_that_helps():
    store = store_of(shop())
    for name, text in (
        ("deply", "no run has a job 'deply'\n  at: memory://\n  fix: did you mean 'deploy'?"),
        (
            "deploy",
            "2 jobs are meant by 'deploy'\n"
            f"  at: {SHOP}job_deploy[eu]\n  at: {SHOP}job_deploy[us]\n"
            "  fix: give one of these ids, or an end of it that is its own",
        ),
    ):
        with pytest.raises(UsageError) as raised:
            explain(store, name)
        assert str(raised.value) == text
    with pytest.raises(
        UsageError, match=r"^no run has a job ''\n  at: memory://\n  fix: nothing has run yet$"
    ):
        explain(MemoryStore(), "")
    with pytest.raises(UsageError, match=r"^no run has a job ''"):
        explain(store, "")


def test_a_job_whose_runs_are_forgotten_is_explained_by_what_is_known_of_it():
    store = store_of(simple())
    store.write(PastKept("ops/job_x.py::job_old", Past(run="gone", at=STARTED, value="e" * 64)))
    assert lines(explain_text(explain(store, "job_old"))) == [
        "ops/job_x.py::job_old",
        "last success  2026-01-31 10:00:00Z in run gone",
        "its value     not kept (digest eeeeeeeeeeee)",
        "",
        "no run that is kept has it",
    ]


def test_a_damaged_plan_is_refused():
    for text in (
        "{}",
        '{"jobs": {}}',
        '{"jobs": [1]}',
        '{"jobs": [{"name": "a"}]}',
        '{"jobs": [{"id": "a"}]}',
    ):
        journal = simple()
        journal.changes[0] = RunKept(journal.record, text)
        with damaged("its plan .*"):
            explain(store_of(journal), "a")


# --- text ---


@given(st.one_of(st.sampled_from(NASTY), st.text(st.characters())))
def test_one_line_is_one_line_that_controls_nothing_and_loses_nothing(text):
    shown = one_line(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown.splitlines()) <= 1
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in shown)
    assert len(shown) >= len(text)
    if text.isprintable():
        assert shown == text


def test_what_reorders_a_line_is_shown():
    assert one_line("a\u202eb\u2066c\u200fd") == r"a\u202eb\u2066c\u200fd"


def test_a_long_value_is_cut():
    assert clipped("x" * 200) == "x" * 200
    assert clipped("x" * 201) == "x" * 197 + "..."


@given(st.sampled_from(NASTY))
def test_no_text_of_a_run_reaches_a_terminal_as_it_is(text):
    plan = make_plan(Graph([Job.of(f"a{text}", at=text, has_cleanup=True)]))
    (id,) = plan.graph.jobs
    journal = Journal(plan, command=text, cwd=text, host=text, argv=(text,), context=text, revision=text)
    journal.add(RunStopped(text)).phase(id, Phase.RUN, Verdict.RAISED, f"E: {text}", notes=(text,))
    journal.ends(id, Outcome.FAILED, text, Kind.RUN_ERROR)
    journal.phase(id, Phase.CLEANUP, Verdict.RAISED, f"E: {text}").over(1)
    store = store_of(journal)
    store.write(
        PastKept(id, Past(run=text or "r", at=STARTED, value="v", inputs={text: "d"}, files={text: "d"}))
    )
    store.write(ValueKept("v", json.dumps(text)))
    loaded = load_run(store, journal.run)
    for made in (runs_text(list_runs(store)), show_text(store, loaded), explain_text(explain(store, id))):
        assert made.endswith("\n")
        assert all(one_line(line) == line for line in made.split("\n"))
