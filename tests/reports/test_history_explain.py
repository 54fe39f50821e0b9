"""What a store tells of one job."""

import json

import pytest

from jobtest.core.errors import UsageError
from jobtest.core.events import PhaseEnded, PhaseStarted
from jobtest.core.graph import Graph
from jobtest.core.model import Command, Job, Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.core.planner import make_plan
from jobtest.reports.history import (
    explain,
    explain_data,
    explain_text,
)
from jobtest.reports.json_report import report_data
from jobtest.state.in_context import InContext
from jobtest.state.memory import MemoryStore
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


def test_what_became_of_rollbacks_is_said():
    journal = simple(outcome=Outcome.FAILED, status=1)
    earlier = PhaseStarted("a", 0, Phase.ROLLBACK), PhaseEnded("a", 0, Phase.ROLLBACK, Verdict.OK)
    journal.add(*earlier).phase("a", Phase.ROLLBACK, Verdict.RAISED, "OSError: no")
    text = lines(explain_text(explain(store_of(journal), "a")))
    assert text[-2:] == ["    rollback of an earlier run: done", "    rollback: OSError: no"]


def test_a_cleanup_that_is_owed_is_said():
    explained = explain(store_of(shop()), "untidy")
    assert "owes          its cleanup, of run 00000001\n" in explain_text(explained)
    assert explain_data(explained)["cleanup_owed_by"] == run_id(1)


def test_a_job_is_explained_in_one_context_by_default_that_of_the_newest_run():
    store = store_of(
        simple(run_id(1), STARTED, context="prod"),
        simple(run_id(2), STARTED + 1, context="dev"),
        simple(run_id(3), STARTED + 2, context="prod"),
    )
    InContext(store, "dev").write(PastKept("a", Past(run=run_id(2), at=STARTED)))
    text = explain_text(explain(store, "a"))
    assert lines(text)[:3] == ["a", "context       prod", "last success  never"]
    assert text.count(" changed ") == 2
    other = explain(store, "a", "dev")
    assert f"last success  2026-01-31 10:00:01Z in run {run_id(2)[:8]}" in explain_text(other)
    assert (explain_data(other)["context"], len(other.runs)) == ("dev", 1)
    with pytest.raises(UsageError, match="no run has a job 'a'"):
        explain(store, "a", "")


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
        "context": None,
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
        "gone_at": None,
        "rollback_owed_by": None,
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
    } | {name: whole[name] for name in ("kind", "cleanup", "close", "rollback")}


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
