"""The stream of events, a line each."""

import json

import pytest
from hypothesis import given
from report_scenes import NASTY, RUN, Played, names, of_all_kinds, raises

from jobtest import Graph, Job, make_plan, run
from jobtest.core.events import Entry, JobEnded, event_from_data, event_to_data
from jobtest.core.model import Outcome
from jobtest.reports.events import EventLog, entry_to_line


def test_a_line_is_an_entry():
    entry = Entry(7, 1_769_853_600.5, RUN, JobEnded("a", Outcome.FAILED, "run raised"))
    assert entry_to_line(entry) == (
        f'{{"seq": 7, "at": "2026-01-31T10:00:00.500000Z", "run": "{RUN}", '
        '"event": "JobEnded", "job": "a", "outcome": "failed", "reason": "run raised"}'
    )


@given(names, names)
def test_whatever_it_holds_an_entry_is_one_line_of_ascii_and_comes_back(job, reason):
    event = JobEnded(job, Outcome.FAILED, reason)
    line = entry_to_line(Entry(0, 0.0, "r", event))
    assert line.isascii()
    assert line.isprintable()
    assert event_from_data(json.loads(line)) == event


def test_no_field_of_an_event_hides_one_of_the_entry():
    for entry in of_all_kinds().entries:
        assert not {"seq", "at", "run"} & event_to_data(entry.event).keys()


def test_a_reader_sees_every_entry_at_once(tmp_path):
    path = tmp_path / "new" / "events.jsonl"
    plan = make_plan(Graph([Job.of(name) for name in NASTY if name]))
    seen = []

    def look(entry):
        seen.append(entry)
        lines = path.read_bytes().decode("ascii").split("\n")
        assert lines[-1] == ""
        assert [json.loads(line)["seq"] for line in lines[:-1]] == [one.seq for one in seen]
        assert event_from_data(json.loads(lines[-2])) == entry.event

    with EventLog(path) as log:
        summary = run(plan, {}, observers=[log, look])
    assert len(seen) == len(path.read_text().splitlines())
    assert summary.exit_status == 0


def test_a_new_log_replaces_the_old_one_and_may_be_closed_twice(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    log = EventLog(path)
    assert path.read_text() == ""
    log.close()
    log.close()


def test_a_path_that_cannot_be_written_is_known_before_the_run(tmp_path):
    with pytest.raises(IsADirectoryError):
        EventLog(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        EventLog(tmp_path / "file" / "events.jsonl")


def test_a_failing_run_is_told_to_its_end(tmp_path):
    with EventLog(tmp_path / "e.jsonl") as log:
        played = Played(make_plan(Graph([Job.of("a")])), {"a": raises(ValueError("x"))})
        for entry in played.entries:
            log(entry)
    told = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert told[0]["event"] == "RunStarted"
    assert told[-1] == {**told[-1], "event": "RunEnded", "exit_status": 1}
