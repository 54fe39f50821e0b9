"""Which worker gets what, and that every phase has one result, whatever workers do. Without a cluster."""

import json
import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_for

from jobtest.core.model import Failure, Job, Phase, Verdict
from jobtest.engine.calls import Isolated, Result, Ticket
from jobtest.engine.executors.dask import lane as module
from jobtest.engine.executors.dask.cluster import Seat
from jobtest.engine.executors.dask.lane import DaskLane
from jobtest.engine.executors.protocol import Inbox


class Workers:
    """A cluster whose workers do what the test says."""

    address = "tcp://scheduler"

    def __init__(self, number, **offers):
        self.there = [Seat(f"tcp://{i}", f"scratch-{i}", 1, offers) for i in range(number)]
        self.tasks, self.told = [], []
        self.up = True

    def submit(self, seat, text, resources, priority, ended):
        task = Task(seat, json.loads(text)["orders"], resources, ended)
        self.tasks.append(task)
        return task

    def seats(self):
        return list(self.there) if self.up else None

    def tell(self, address, text):
        self.told.append((address, json.loads(text)))


class Task:
    def __init__(self, seat, orders, resources, ended):
        self.seat, self.orders, self.resources, self.ended = seat, orders, resources, ended
        self.answers = {}

    def result(self, timeout):
        return json.dumps(self.answers)


def lane_on(workers):
    """Return a lane whose clerk does not look by itself, and its inbox."""
    inbox = Inbox()
    lane = DaskLane(inbox, workers, "run", workers.there, lambda job, question: {}, lambda seat: "")
    return lane, inbox


def start(lane, inbox, job, phase=Phase.RUN):
    ticket = Ticket(job, 1, phase)
    inbox.expect()
    lane.start(ticket, Isolated({"job": job.id}, lambda body: Result(Verdict.OK, Failure(str(body)))))
    return ticket


def answer(lane, task, **more):
    """Answer everything of a task by events, and end it."""
    for order in task.orders:
        said = {"took": 1.0, "open": False, "result": {"verdict": "ok"}, **more}
        lane.hear({"id": order["id"], "answer": json.dumps(said)})
    task.ended(None, "")


MOVES = st.lists(
    st.tuples(st.sampled_from(["start", "answer", "result", "kill", "short"]), st.integers(0, 9))
)


@given(moves=MOVES, number=st.integers(1, 3))
def test_every_phase_has_one_result_whatever_workers_do(moves, number):
    story = Story(number)
    for move, which in moves:
        getattr(story, move)(which)
        story.collect()
    story.finish()
    assert story.results == Counter(story.begun)


class Story:
    """A lane, workers to which things happen, and how often each job had a result."""

    def __init__(self, number):
        self.workers = Workers(number)
        self.lane, self.inbox = lane_on(self.workers)
        self.begun, self.results = [], Counter()

    def start(self, which):
        start(self.lane, self.inbox, Job.of(f"job{len(self.begun)}"))
        self.begun.append(f"job{len(self.begun)}")

    def short(self, which):
        self.lane._mean = 0.0

    def answer(self, which):
        if self.workers.tasks:
            task = self.workers.tasks.pop(which % len(self.workers.tasks))
            answer(self.lane, task, open=bool(which % 2))

    def result(self, which):
        """The events are lost, and the result of the task tells."""
        if self.workers.tasks:
            task = self.workers.tasks.pop(which % len(self.workers.tasks))
            task.answers = {one["id"]: {"took": 0.0, "result": {"verdict": "ok"}} for one in task.orders}
            self.lane._fetch(next(n for n, parcel in self.lane._parcels.items() if parcel.task is task))

    def kill(self, which):
        if len(self.workers.there) > 1:
            seat = self.workers.there.pop(which % len(self.workers.there))
            self.workers.tasks = [task for task in self.workers.tasks if task.seat is not seat]
            self.lane._look()

    def collect(self):
        """Take in what has arrived; ends of attempts, which wait, are answered beside."""
        ending = threading.Thread(target=self._collect)
        ending.start()
        while ending.is_alive():
            ending.join(0.001)
            for task in [one for one in self.workers.tasks if one.orders[0]["order"]["op"] == "end"]:
                self.workers.tasks.remove(task)
                answer(self.lane, task, end={"torn": []})

    def _collect(self):
        for ticket, _ in self.inbox.collect(0.0):
            self.results[ticket.job.id] += 1
            self.lane.end(ticket.job.id)

    def finish(self):
        while sum(self.results.values()) < len(self.begun):
            assert self.workers.tasks, "nothing is under way, and not everything has a result"
            answer(self.lane, self.workers.tasks.pop(0))
            self.collect()
        self.lane.close()


def test_an_attempt_stays_with_its_worker_and_that_takes_up_no_other():
    workers = Workers(1)
    lane, inbox = lane_on(workers)
    first, second = Job.of("a", check=True), Job.of("b")
    start(lane, inbox, first, Phase.CHECK)
    answer(lane, workers.tasks[0], open=True)
    start(lane, inbox, second)
    assert len(workers.tasks) == 1, "b would run beside what a has set up"
    start(lane, inbox, first, Phase.RUN)
    assert [one.orders[0]["order"]["body"]["job"] for one in workers.tasks] == ["a", "a"]
    answer(lane, workers.tasks[1], open=False)
    lane.end("a")
    assert workers.tasks[2].orders[0]["order"]["body"]["job"] == "b"
    lane.close()


def test_several_phases_go_to_a_worker_at_once_only_while_they_are_short():
    workers = Workers(1)
    lane, inbox = lane_on(workers)
    for i in range(6):
        start(lane, inbox, Job.of(f"job{i}"))
    assert [len(task.orders) for task in workers.tasks] == [1]
    lane._mean = module.SHORT / 2
    answer(lane, workers.tasks[0], took=0.0)
    assert sum(len(task.orders) for task in workers.tasks) == 6
    lane.close()


def test_a_worker_gets_no_more_than_its_resources_allow():
    workers = Workers(2, gpu=2.0)
    lane, inbox = lane_on(workers)
    for i in range(3):
        start(lane, inbox, Job.of(f"job{i}", resources={"gpu": 2, "elsewhere": 1}))
    assert [task.resources for task in workers.tasks] == [{"gpu": 2}, {"gpu": 2}]
    assert {task.seat.address for task in workers.tasks} == {"tcp://0", "tcp://1"}
    answer(lane, workers.tasks[0])
    assert len(workers.tasks) == 3
    lane.close()


def test_when_the_scheduler_has_gone_all_is_told_and_nothing_starts():
    workers = Workers(1)
    lane, inbox = lane_on(workers)
    heard = []
    lane.gone = heard.append
    start(lane, inbox, Job.of("a"))
    start(lane, inbox, Job.of("b"))
    workers.up = False
    lane._look()
    start(lane, inbox, Job.of("c"))
    found = inbox.collect(0.0)
    assert heard == ["the Dask scheduler tcp://scheduler was lost"]
    assert {ticket.job.id: result.verdict for ticket, result in found} == dict.fromkeys(
        "abc", Verdict.CRASHED
    )
    assert len(workers.tasks) == 1
    lane.close()


def test_a_late_answer_of_a_lost_worker_does_not_count():
    workers = Workers(2)
    lane, inbox = lane_on(workers)
    start(lane, inbox, Job.of("a"))
    (task,) = workers.tasks
    workers.there.remove(task.seat)
    lane._look()
    answer(lane, task)
    ((_, result),) = inbox.collect(0.0)
    assert result.verdict is Verdict.CRASHED
    lane.close()


def test_after_an_interrupt_the_end_of_an_attempt_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(module, "HURRIED_END", 0.0)
    workers = Workers(1)
    lane, inbox = lane_on(workers)
    start(lane, inbox, Job.of("a", check=True), Phase.CHECK)
    answer(lane, workers.tasks[0], open=True)
    lane.interrupted = lambda: True
    assert lane.end("a") is None
    wait_for(lambda: workers.told)
    assert workers.told == [("tcp://0", {"run": "run", "op": "cancel", "attempt": "1", "now": True})]
    lane.close()
