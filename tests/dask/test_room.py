"""A room of a worker, without a worker: its process, and when that ends."""

import json
import os
from pathlib import Path

import pytest
from waiting import wait_for

from jobtest.engine.executors.dask import room
from jobtest.engine.executors.dask.sources import pack, prints_of

RUN = "run-1"


class Worker:
    """What a room asks of a Dask worker."""

    address, local_directory = "tcp://here", "scratch"

    def __init__(self):
        self.events = []

    def log_event(self, topic, event):
        self.events.append(event)
        if "question" in event:
            room._rooms[RUN].hear({"op": "answer", "attempt": event["attempt"], "answer": {"lost": ""}})


@pytest.fixture
def setup(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "job_a.py").write_text(
        "import os, time\n"
        "def job_a(checkpoint):\n"
        "    checkpoint.set('pid', os.getpid())\n"
        "def job_slow():\n"
        "    print('so far')\n"
        "    time.sleep(60)\n"
    )
    yield {
        "run": RUN, "seed": "seed", "names": {}, "lineage": "seed", "module": "jobtest.plugin.dask_host",
        "root": str(root), "inifile": "", "args": ["-q"], "addopts": "", "paths": [],
        "prints": prints_of(root),
        "definitions": {}, "inputs": [],
    }  # fmt: skip
    room._leave(RUN)


def order(job, timeout=None, **more):
    body = {
        "op": "phase", "job": f"job_a.py::{job}", "attempt": 1, "phase": "run", "values": {},
        "checkpoints": {}, "error": "", "outcomes": {}, "past": None,
        "calls": "job", "failure": None, "ends": "any",
    }  # fmt: skip
    whole = {"op": "phase", "last": True, "body": body}
    return {"id": "1", "attempt": job, "fresh": True, "timeout": timeout, "order": whole, **more}


def test_a_checkpoint_is_asked_for_and_the_result_comes_back(setup):
    said = json.loads(room._prepare(setup, None))
    assert said["ready"]["failed"] == ""
    worker = Worker()
    answer = room._rooms[RUN].carry_out(order("job_a"), worker)
    assert answer["result"]["verdict"] == "ok", answer
    assert answer["open"] is False
    (event,) = worker.events
    assert json.loads(event["question"])["checkpoint"] == "pid"


def test_a_phase_that_has_had_its_time_is_ended_and_the_next_one_has_a_new_process(setup):
    room._prepare(setup, None)
    answer = room._rooms[RUN].carry_out(order("job_slow", timeout=0.2), Worker())
    assert answer["why"] == "timeout"
    assert answer["output"] == {"stdout": "so far\n", "stderr": ""}
    assert room._rooms[RUN].carry_out(order("job_a"), Worker())["result"]["verdict"] == "ok"


def test_what_was_cancelled_before_it_came_is_not_called(setup):
    room._prepare(setup, None)
    room._rooms[RUN].hear({"op": "cancel", "attempt": "job_slow", "now": False})
    answer = room._rooms[RUN].carry_out(order("job_slow"), Worker())
    assert answer["why"] == "cancel"


def test_an_attempt_whose_process_has_ended_goes_on_in_no_other(setup):
    room._prepare(setup, None)
    answer = room._rooms[RUN].carry_out(order("job_a", fresh=False), Worker())
    assert answer["why"] == "before"


def test_nothing_lives_on_when_the_run_is_not_heard_of_any_more(setup, monkeypatch):
    room._prepare(setup, None)
    pid = room._rooms[RUN]._hosts[0]._process.pid
    monkeypatch.setattr(room, "LEASE", 0.0)
    wait_for(lambda: RUN not in room._rooms and not Path("/proc", str(pid)).exists())


def test_a_place_without_the_project_asks_for_it_and_takes_it_away_again(setup):
    root = Path(setup["root"])
    code = pack(root, setup["prints"])
    elsewhere = {**setup, "root": f"{root}-not-here"}
    assert json.loads(room._prepare(elsewhere, None)) == {"need": ["job_a.py"]}
    said = json.loads(room._prepare(elsewhere, code))
    assert said["ready"]["failed"] == ""
    folder = room._rooms[RUN]._folder
    assert (folder / "job_a.py").exists()
    room._leave(RUN)
    assert not folder.exists()
    assert os.getcwd() != str(folder)


def test_a_worker_does_not_call_what_was_meant_for_another_one_at_its_address(setup, monkeypatch):
    room._prepare(setup, None)
    monkeypatch.setattr("distributed.get_worker", Worker)
    parcel = {"run": RUN, "to": "scratch before", "orders": [order("job_a")]}
    (answer,) = json.loads(room.call_phases(json.dumps(parcel))).values()
    assert answer == {"gone": "its Dask worker was started again"}
    (answer,) = json.loads(room.call_phases(json.dumps({**parcel, "to": "scratch"}))).values()
    assert answer["result"]["verdict"] == "ok"
