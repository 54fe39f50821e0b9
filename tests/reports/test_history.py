"""What a store remembers, as data and as text: rebuilt from the store alone, safe for a terminal."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_scenes import NASTY

from jobtest.core.errors import StateError
from jobtest.core.events import JobEnded, PhaseStarted, RunStopped
from jobtest.core.graph import Graph
from jobtest.core.model import Job, Kind, Outcome, Phase, Verdict
from jobtest.core.past import OwedRollback, Past, Resumed
from jobtest.core.planner import make_plan
from jobtest.reports.history import (
    explain,
    explain_text,
    list_runs,
    load_run,
    runs_text,
    show_data,
    show_text,
    values_of,
)
from jobtest.reports.history.text import clipped, one_line
from jobtest.reports.json_report import report_data
from jobtest.state.store import PastKept, RunKept, ValueKept
from tests.cli.journals import (
    SHOP,
    STARTED,
    Journal,
    at_event,
    cut,
    damaged,
    run_id,
    shop,
    simple,
    store_of,
)


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


def test_rollbacks_that_a_run_owes_are_told_in_the_order_of_entering():
    journal = simple(outcome=Outcome.FAILED, status=1)
    store = store_of(journal)
    for job, run, turn in (("a", journal.run, 2), ("gone", journal.run, 1), ("other", run_id(9), 3)):
        store.write(PastKept(job, Past(rollback=OwedRollback(run=run, turn=turn))))
    assert "rollbacks that it owes:\n  gone\n  a\n\n" in show_text(store, load_run(store, journal.run))


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
    record = store.run(journal.run)
    report = report_data(journal.summary, {}, context="prod", resumed_from="0", exit_status=1, record=record)
    assert data == report
    assert (run["id"], run["state"], run["argv"]) == (journal.run, "ended", ["pytest", "--orchestrate"])
    assert run["totals"] == {"unchanged": 1, "changed": 4, "failed": 3, "blocked": 2, "skipped": 1}


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
