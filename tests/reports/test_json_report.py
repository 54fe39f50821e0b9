"""The JSON report, and how it gets onto the disk."""

import enum
import json
import os
import stat
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_scenes import NASTY, RUN, Played, TickingClock, not_yet, of_all_kinds, raises

from jobtest import Functions, Graph, Job, make_plan, run
from jobtest.core.events import PhaseEnded, PhaseStarted
from jobtest.core.model import Failure, Outcome, Phase, Verdict
from jobtest.core.summary import summarize
from jobtest.engine.executors.dry import PlanExecutor
from jobtest.engine.executors.lanes import Lanes
from jobtest.reports.files import write_whole
from jobtest.reports.json_report import report_data, write_json
from jobtest.reports.plain_data import NotPlain, plain_data
from jobtest.reports.times import iso_utc
from jobtest.state.store import RunRecord

RUN_KEYS = [
    "schema",
    "run_id",
    "command",
    "context",
    "resumed_from",
    "exit_status",
    "started_at",
    "seconds",
    "workers",
    "totals",
    "critical_path",
    "environment",
    "jobs",
]
JOB_KEYS = [
    "id",
    "name",
    "params",
    "outcome",
    "reason",
    "needs",
    "blocked_by",
    "order",
    "started_at",
    "seconds",
    "waited",
    "attempts",
    "value",
    "notes",
    "cleanup",
    "rollback",
    "kind",
]
TOTALS = ["unchanged", "changed", "failed", "blocked", "skipped", "postponed", "cancelled"]
WAITS = ["upstream", "resource", "backoff", "worker"]
ATTEMPT_KEYS = ["number", "phases", "stdout", "stderr"]
PHASE_KEYS = ["phase", "ok", "seconds", "message"]
ADDED = {"job": {"close", "injected"}, "attempt": {"log"}, "phase": {"text"}}


def by_id(data):
    return {job["id"]: job for job in data["jobs"]}


def assert_schema(data):
    assert list(data) == RUN_KEYS
    assert list(data["totals"]) == TOTALS
    for job in data["jobs"]:
        assert set(job) - ADDED["job"] == set(JOB_KEYS)
        assert list(job["waited"]) == WAITS
        for attempt in job["attempts"]:
            assert set(attempt) - ADDED["attempt"] == set(ATTEMPT_KEYS)
            for phase in attempt["phases"]:
                assert set(phase) - ADDED["phase"] == set(PHASE_KEYS)


# --- what it says ---


def test_every_key_of_schema_1_is_there_and_none_but_the_named_additions():
    played = of_all_kinds()
    data = report_data(played.summary, played.values)
    assert_schema(data)
    assert {job["outcome"] for job in data["jobs"]} >= {
        "changed",
        "unchanged",
        "failed",
        "blocked",
        "skipped",
    }


def test_a_report_of_a_run_cut_short_anywhere_is_complete_and_can_be_written():
    played = of_all_kinds()
    for length in range(len(played.entries) + 1):
        data = report_data(summarize(played.plan, played.entries[:length]), played.values)
        assert_schema(data)
        json.dumps(data, allow_nan=False)
    nothing = report_data(summarize(played.plan, []), {})
    assert nothing["started_at"] is None
    assert nothing["exit_status"] is None
    assert {job["outcome"] for job in nothing["jobs"]} == {None}


def test_a_job_is_told_phase_by_phase():
    plan = make_plan(Graph([Job.of("ops/job_a.py::job_a", name="a", check=True, has_cleanup=True)]))
    functions = Functions(
        run=lambda: {"url": "http://x"},
        check=not_yet("'1.4' == '1.5'"),
        cleanup=raises(OSError("still there")),
    )
    played = Played(plan, {"ops/job_a.py::job_a": functions})
    (job,) = report_data(played.summary, played.values)["jobs"]
    assert job["attempts"][0]["phases"][0].pop("text") is None
    assert job["order"] == 0
    assert job["started_at"].startswith("2026-01-31T10:00:00.")
    assert job["waited"]["worker"] > 0
    assert job["seconds"] == sum(phase["seconds"] for phase in job["attempts"][0]["phases"])
    for varying in ("started_at", "seconds", "waited"):
        del job[varying]
    for phase in job["attempts"][0]["phases"]:
        assert phase.pop("seconds") > 0
    assert job == {
        "id": "ops/job_a.py::job_a",
        "name": "a",
        "params": {},
        "outcome": "changed",
        "reason": "check did not hold: '1.4' == '1.5'",
        "needs": [],
        "blocked_by": [],
        "order": 0,
        "attempts": [
            {
                "number": 1,
                "phases": [
                    {"phase": "check", "ok": False, "message": "'1.4' == '1.5'"},
                    {"phase": "run", "ok": True, "message": None, "text": None},
                    {"phase": "recheck", "ok": True, "message": None, "text": None},
                ],
                "stdout": "",
                "stderr": "",
                "log": "",
            }
        ],
        "value": {"url": "http://x"},
        "notes": [],
        "injected": [],
        "cleanup": {"ok": False, "message": "OSError: still there"},
        "close": None,
        "rollback": None,
        "kind": None,
    }


def test_the_head_tells_the_run():
    played = of_all_kinds()
    data = report_data(played.summary, played.values, context="prod", resumed_from="before")
    assert data["schema"] == 1
    assert data["run_id"] == RUN
    assert data["command"] == "apply"
    assert data["context"] == "prod"
    assert data["resumed_from"] == "before"
    assert data["exit_status"] == 1
    assert data["started_at"] == "2026-01-31T10:00:00.000000Z"
    assert data["seconds"] == played.summary.seconds > 0
    assert data["workers"] == 1
    assert data["totals"] == {
        "unchanged": 1, "changed": 4, "failed": 1, "blocked": 2, "skipped": 1, "postponed": 0, "cancelled": 0
    }  # fmt: skip
    assert data["critical_path"] == played.summary.critical_path()
    assert data["environment"] is None


def test_the_head_tells_where_it_was_made():
    played = of_all_kinds()
    record = RunRecord(id=RUN, cwd="/p", revision="abc", host="h", version="1", python="3", platform="Linux")
    data = report_data(played.summary, {}, record=record)
    told = {"cwd": "/p", "revision": "abc", "host": "h", "version": "1", "python": "3", "platform": "Linux"}
    assert data["environment"] == told


def test_the_exit_status_of_the_process_wins_over_that_of_the_run_even_if_it_is_zero():
    played = of_all_kinds()
    assert report_data(played.summary, {}, exit_status=3)["exit_status"] == 3
    assert report_data(played.summary, {}, exit_status=0)["exit_status"] == 0


def test_a_post_mortem_finds_the_root_cause_the_traceback_and_who_was_blocked():
    jobs = by_id(report_data(*(lambda played: (played.summary, played.values))(of_all_kinds())))
    assert jobs["far"]["blocked_by"] == ["broken"]
    assert jobs["far"]["order"] is None
    assert jobs["far"]["attempts"] == []
    assert jobs["broken"]["kind"] == "run_error"
    phase = jobs["broken"]["attempts"][0]["phases"][-1]
    assert phase["message"] == "ValueError: kaputt"
    assert "Traceback" in phase["text"]
    assert "report_scenes.py" in phase["text"]


def test_every_attempt_is_kept():
    played = of_all_kinds()
    flaky = by_id(report_data(played.summary, {}))["flaky"]
    assert [attempt["number"] for attempt in flaky["attempts"]] == [1, 2]
    assert [attempt["phases"][0]["ok"] for attempt in flaky["attempts"]] == [False, True]


def test_needs_are_those_without_which_it_does_not_start_each_once():
    plan = make_plan(Graph([Job.of("a"), Job.of("b"), Job.of("c", takes=["a"], needs=["a"], after=["b"])]))
    assert by_id(report_data(summarize(plan, []), {}))["c"]["needs"] == ["a"]


def test_the_output_of_all_phases_of_an_attempt_is_there():
    plan = make_plan(Graph([Job.of("a", check=True)]))
    played = Played(plan, {"a": Functions(check=lambda: True)})
    summary = summarize(plan, played.entries[:1])
    for event in (
        PhaseStarted("a", 1, Phase.CHECK),
        PhaseEnded("a", 1, Phase.CHECK, Verdict.NOT_HOLDING, Failure("no"), stdout="1\n", log="L"),
        PhaseStarted("a", 1, Phase.RUN),
        PhaseEnded("a", 1, Phase.RUN, Verdict.OK, stdout="2\n", stderr="\x1b[31m\ud800"),
    ):
        summary.apply(type(played.entries[0])(0, 0.0, RUN, event))
    attempt = by_id(report_data(summary, {}))["a"]["attempts"][0]
    assert (attempt["stdout"], attempt["stderr"], attempt["log"]) == ("1\n2\n", "\x1b[31m\ud800", "L")


def test_outcomes_of_a_plan_are_in_the_totals_only_if_there_are_any():
    plan = make_plan(Graph([Job.of("a"), Job.of("b", takes=["a"], check=True, early=frozenset({"a"}))]))
    functions = {"a": lambda: 1, "b": Functions(run=lambda a: 1, check=lambda a: None)}
    summary = run(plan, functions, executor=PlanExecutor(Lanes()), clock=TickingClock())
    totals = report_data(summary, {})["totals"]
    assert list(totals)[: len(TOTALS)] == TOTALS
    assert {key: count for key, count in totals.items() if count} == {"would-run": 1, "unknown": 1}


def test_two_runs_of_the_same_differ_in_ids_and_times_only():
    graph = Graph([Job.of("a", check=True), Job.of("b", takes=["a"]), Job.of("c", needs=["b"])])

    def play(run_id, start):
        functions = {
            "a": Functions(run=lambda: [1], check=not_yet("no")),
            "b": raises(ValueError("x")),
        }
        played = Played(make_plan(graph), functions, run_id=run_id, start=start)
        return report_data(played.summary, played.values)

    first, second = play("one", 1_000.0), play("two", 1_000_000.0)
    assert first != second
    for data, id in ((first, "one"), (second, "two")):
        assert data.pop("run_id") == id
        for told in (data, *data["jobs"]):
            del told["started_at"]
    assert first == second
    assert json.dumps(first) == json.dumps(second)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_769_853_600.0, "2026-01-31T10:00:00.000000Z"),
        (1_769_853_600.25, "2026-01-31T10:00:00.250000Z"),
    ],
)
def test_times_are_utc_with_all_digits(seconds, text):
    assert iso_utc(seconds) == text


# --- values ---

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
plain_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
)


def listed(value):
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


@given(plain_values)
def test_what_json_holds_comes_back_with_tuples_as_lists(value):
    found = plain_data(value)
    assert found == listed(value)
    assert json.dumps(found) == json.dumps(json.loads(json.dumps(found, allow_nan=False)))


@given(st.dictionaries(st.text(), scalars, min_size=2))
def test_the_order_of_a_dict_stays(value):
    assert list(plain_data(value)) == list(value)


def test_what_is_more_than_plain_loses_only_its_class():
    Point = namedtuple("Point", "x y")
    Colour = enum.Enum("Colour", {"RED": "red"}, type=str)
    Size = enum.IntEnum("Size", {"L": 3})
    found = plain_data({Colour.RED: [Point(1, 2), Colour.RED, Size.L, True]})
    assert json.dumps(found) == '{"red": [[1, 2], "red", 3, true]}'
    assert [type(item) for item in found["red"]] == [list, str, int, bool]
    assert type(next(iter(found))) is str


class Thing:
    pass


CYCLE: list = []
CYCLE += [CYCLE, CYCLE]
LAUGHS: list = []
for _ in range(150):
    LAUGHS = [LAUGHS, LAUGHS]
DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Thing(), "Thing"),
        ([1, {"a": {2}}], "set"),
        (b"x", "bytes"),
        (float("nan"), "float nan"),
        ((float("-inf"),), "float -inf"),
        ({1: 2}, "dict with a key of type int"),
        (CYCLE, "list nested more than 200 deep"),
        (DEEP, "list nested more than 200 deep"),
        (1 << 20_000, "int of more than 14000 bits"),
        (LAUGHS, "list of more than 1000000 items"),
    ],
    ids=["object", "set", "bytes", "nan", "inf", "key", "cycle", "deep", "huge", "laughs"],
)
def test_what_json_cannot_hold_is_null_with_a_note_that_names_it(value, why):
    plan = make_plan(Graph([Job.of("a")]))
    played = Played(plan)
    (job,) = report_data(played.summary, {"a": value})["jobs"]
    assert job["value"] is None
    assert job["notes"] == [f"its value cannot be stored: {why}"]


def test_the_deepest_value_that_is_taken_can_be_written(tmp_path):
    value: object = 1
    for _ in range(200):
        value = [value]
    plain_data(value)
    write_json(tmp_path / "r.json", {"jobs": [{"value": plain_data(value)}]})
    with pytest.raises(NotPlain):
        plain_data([value])


def test_a_parameter_that_json_cannot_hold_is_named_by_its_type():
    played = of_all_kinds()
    assert by_id(report_data(played.summary, {}))["param[eu]"]["params"] == {"region": "eu", "at": "<set>"}


# --- on the disk ---


@pytest.mark.parametrize("text", NASTY)
def test_any_text_survives_in_a_file_that_is_ascii(tmp_path, text):
    data = {"schema": 1, "jobs": [{"id": text, "value": {text: text}}, {}], text: text}
    write_json(tmp_path / "r.json", data)
    assert json.loads((tmp_path / "r.json").read_bytes().decode("ascii")) == data


def test_each_job_is_a_line(tmp_path):
    write_json(tmp_path / "r.json", {"schema": 1, "jobs": [{"id": "a"}, {"id": "b"}], "more": []})
    assert (tmp_path / "r.json").read_text() == (
        '{\n "schema": 1,\n "jobs": [\n  {"id": "a"},\n  {"id": "b"}\n ],\n "more": []\n}\n'
    )


def test_a_report_without_anything_is_json_too(tmp_path):
    for data in ({}, {"jobs": []}):
        write_json(tmp_path / "r.json", data)
        assert json.loads((tmp_path / "r.json").read_text()) == data


def test_a_whole_report_reads_back_as_it_was(tmp_path):
    played = of_all_kinds()
    data = report_data(played.summary, played.values)
    write_json(tmp_path / "new" / "folder" / "r.json", data)
    assert json.loads((tmp_path / "new" / "folder" / "r.json").read_text()) == data


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_is_interrupted_leaves_the_old_file_and_nothing_beside_it(
    tmp_path, monkeypatch, call, error
):
    path = tmp_path / "r.json"
    path.write_text("old")

    def interrupted(*_):
        raise error

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(type(error)):
        write_json(path, {"schema": 1})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.json"]


def test_data_that_json_cannot_hold_leave_the_old_file(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"seconds": float("nan")})
    assert path.read_text() == "old"


def test_a_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_is_no_regular_file_is_written_to_and_a_folder_is_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "x")
    with pytest.raises(OSError, match="pipe"):
        write_whole(pipe / "r.json", "x")


def test_every_outcome_is_a_total():
    assert {outcome.value for outcome in Outcome} == {*TOTALS, "would-run", "unknown"}
