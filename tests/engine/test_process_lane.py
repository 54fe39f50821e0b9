"""The lane to processes, with a test in place of the warden: one outcome for each phase, whatever comes."""

import socket
import threading

import pytest

from jobtest.core.model import Job, Phase, Verdict
from jobtest.engine.calls import Isolated, Output, Result, Ticket
from jobtest.engine.executors.process.frames import Frames
from jobtest.engine.executors.process.lane import ProcessLane
from jobtest.engine.executors.protocol import Inbox

KILLED, EXITED = 9, 3 << 8
LOST = "was cut short: its process is lost, as the helper was killed that keeps it"


class Helper:
    """Stands where the warden stands; the test says what it does."""

    def __init__(self):
        self.started, self.swept = 0, 0
        self.broken = False
        self._sockets = []

    def start(self):
        if self.broken:
            raise OSError("none to be had")
        self.started += 1
        ours, theirs = socket.socketpair()
        self._sockets.append(theirs)
        self.frames, self._orders = Frames(theirs), []
        return ours

    def sweep(self):
        self.swept += 1

    def order(self):
        while not self._orders:
            self._orders += self.frames.receive()
        return self._orders.pop(0)

    def says(self, key, **body):
        self.frames.send({"op": "said", "key": key, "body": body})

    def gone(self, key, status=0, why=""):
        self.frames.send({"op": "gone", "key": key, "status": status, "why": why, "peak": 0})

    def dies(self):
        self.frames.close()

    def close(self):
        for one in self._sockets:
            one.close()


class Bench:
    def __init__(self):
        self.helper, self.inbox = Helper(), Inbox()
        self.asked = []
        self.lane = ProcessLane(
            self.inbox, self.helper, self._answer, lambda key, read: Output(f"last of {key}")
        )
        self.lane.open()

    def _answer(self, job, question):
        self.asked.append((job, question))
        if question.get("bad"):
            raise ValueError("cannot say")
        return {"op": "answer", "lost": ""}

    def start(self, phase=Phase.RUN, job="a", **options):
        ticket = Ticket(Job.of(job, **options), 1, phase)
        self.inbox.expect()
        self.lane.start(ticket, Isolated({"op": "phase"}, lambda body: Result(Verdict(body["result"]))))
        return ticket

    def collect(self):
        (found,) = self.inbox.collect(5)
        return found[1]

    def nothing_more(self):
        assert self.inbox.collect(0.01) == []


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.helper.close()
    made.lane.close()


def answered(bench, says=(), **options):
    ticket = bench.start(**options)
    order = bench.helper.order()
    bench.helper.says(order["key"], result="ok", read={}, **dict(says))
    assert bench.collect().verdict is Verdict.OK
    return ticket, order


def test_the_phases_of_an_attempt_go_to_one_process_and_the_first_starts_it(bench):
    _, first = answered(bench, phase=Phase.CHECK, timeout=2.0)
    _, second = answered(bench, timeout=2.0)
    assert first["key"] == second["key"]
    assert (first["first"], second["first"]) == (True, False)
    assert first["timeout"] == 2.0


def test_a_phase_whose_process_ends_has_crashed_once(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.gone(key, EXITED)
    bench.helper.says(key, result="ok", read={})
    bench.helper.gone(key, EXITED)
    result = bench.collect()
    assert result.verdict is Verdict.CRASHED
    assert result.failure.message == "was cut short: its process ended with exit status 3"
    assert result.output.stdout == f"last of {key}"
    bench.helper.dies()
    bench.nothing_more()


def test_a_second_result_is_not_listened_to(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.says(key, result="ok", read={})
    bench.helper.says(key, result="raised", read={})
    assert bench.collect().verdict is Verdict.OK
    bench.nothing_more()


def test_a_process_that_ends_between_two_phases_fails_the_next_one(bench):
    _, order = answered(bench, phase=Phase.CHECK)
    bench.helper.gone(order["key"], KILLED)
    while bench.lane._attempts[order["key"]].dead is None:
        pass
    bench.start()
    result = bench.collect()
    assert result.verdict is Verdict.CRASHED
    assert "SIGKILL" in result.failure.message
    assert bench.lane.end("a") is None
    answered(bench)


def test_an_end_that_crosses_the_next_phase_counts_once(bench):
    _, order = answered(bench, phase=Phase.CHECK)
    bench.start()
    bench.helper.gone(order["key"], EXITED)
    assert bench.collect().verdict is Verdict.CRASHED
    assert not bench.helper.order()["first"]
    bench.nothing_more()


def test_a_timeout_is_one_that_retry_on_can_name(bench):
    bench.start(timeout=1.5)
    bench.helper.gone(bench.helper.order()["key"], KILLED, "timeout")
    result = bench.collect()
    assert result.verdict is Verdict.TIMED_OUT
    assert result.failure.message == "timed out after 1.5 s"
    assert "TimeoutError" in result.failure.types


def test_what_is_cancelled_was_interrupted_and_the_second_time_it_ends_at_once(bench):
    ticket = bench.start()
    key = bench.helper.order()["key"]
    bench.lane.cancel(ticket)
    bench.lane.cancel(ticket)
    assert [bench.helper.order()["now"] for _ in range(2)] == [False, True]
    bench.helper.gone(key, KILLED, "cancel")
    assert bench.collect().verdict is Verdict.INTERRUPTED


def test_a_lost_warden_fails_what_it_had_and_another_one_is_started(bench):
    for job in ("a", "b"):
        bench.start(job=job)
        bench.helper.order()
    bench.helper.dies()
    found = []
    while len(found) < 2:
        found += [result.failure.message for _, result in bench.inbox.collect(5)]
    assert found == [LOST, LOST]
    assert bench.helper.swept == 1
    answered(bench, job="c")
    assert bench.helper.started == 2


def test_a_warden_that_cannot_be_started_fails_the_phase(bench):
    bench.start()
    bench.helper.order()
    bench.helper.broken = True
    bench.helper.dies()
    assert bench.collect().failure.message == LOST
    bench.start(job="b")
    assert bench.collect().failure.message == "was cut short: there is no process: none to be had"


def test_an_attempt_of_a_lost_warden_does_not_go_on_with_another_one(bench):
    answered(bench, phase=Phase.CHECK)
    bench.helper.dies()
    while not bench.helper.swept:
        pass
    bench.start()
    assert bench.collect().failure.message == LOST
    assert bench.helper.started == 1


def test_a_first_phase_waits_until_nothing_is_left_of_a_lost_warden_and_goes_to_the_next(bench):
    swept, go = bench.helper.sweep, threading.Event()

    def sweep():
        go.wait(5)
        swept()

    bench.helper.sweep = sweep
    answered(bench)
    bench.helper.dies()
    while bench.lane._frames.fileno() >= 0:
        pass
    threading.Timer(0.01, go.set).start()
    answered(bench, job="b")
    assert (bench.helper.swept, bench.helper.started) == (1, 2)


def test_a_phase_and_the_death_of_the_warden_at_once_have_one_outcome():
    for _ in range(50):
        bench = Bench()
        answered(bench, phase=Phase.CHECK)
        death = threading.Thread(target=bench.helper.dies)
        death.start()
        bench.start()
        death.join()
        assert bench.collect().verdict is Verdict.CRASHED
        bench.helper.close()
        bench.lane.close()
        assert bench.inbox.collect(0) == []


def ending(bench, **says):
    def helper():
        order = bench.helper.order()
        assert order["op"] == "end"
        if says:
            bench.helper.says(order["key"], **says)
        bench.helper.gone(order["key"], 0 if says else KILLED, "" if says else "timeout")

    thread = threading.Thread(target=helper)
    thread.start()
    found = bench.lane.end("a")
    thread.join()
    return found


def test_the_end_of_an_attempt_tells_what_its_child_said(bench):
    answered(bench)
    assert ending(bench, torn=["OSError"])["torn"] == ["OSError"]
    assert bench.lane.end("a") is None


def test_an_attempt_that_is_not_torn_down_in_time_is_an_error(bench):
    answered(bench, timeout=2.0)
    assert ending(bench)["torn"] == ["its teardown timed out after 2 s"]


TORN = {"over": True, "torn": ["OSError"]}


def test_after_its_last_phase_a_process_ends_without_being_told_to(bench):
    _, order = answered(bench, TORN, timeout=2.0)
    assert order["ends"] == 2.0
    bench.helper.gone(order["key"])
    assert bench.lane.end("a")["torn"] == ["OSError"]


def test_the_result_of_the_last_phase_waits_until_its_process_has_torn_down(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.says(key, result="ok", read={}, over=True)
    bench.helper.says(key, torn=["OSError"])
    bench.nothing_more()
    bench.helper.gone(key)
    assert bench.collect().verdict is Verdict.OK
    assert bench.lane.end("a")["torn"] == ["OSError"]


def test_a_teardown_that_is_ended_does_not_change_the_result_and_is_an_error(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.says(key, result="ok", read={}, over=True)
    bench.helper.gone(key, KILLED, "timeout")
    assert bench.collect().verdict is Verdict.OK
    assert bench.lane.end("a")["torn"] == ["its teardown timed out after 60 s"]


def test_a_phase_that_follows_the_last_one_all_the_same_has_a_process_of_its_own(bench):
    _, first = answered(bench, TORN, phase=Phase.CHECK)
    _, second = answered(bench)
    assert (first["key"], second["key"], second["first"]) == ("1", "2", True)


def test_the_place_for_output_is_used_again_once_nothing_is_left_of_an_attempt(bench):
    _, order = answered(bench, TORN)
    _, other = answered(bench, job="b")
    bench.helper.gone(order["key"])
    while "1" in bench.lane._places._taken:
        pass
    _, third = answered(bench, job="c")
    assert [one["place"] for one in (order, other, third)] == ["1", "2", "1"]


def test_questions_are_answered_also_if_the_answer_fails(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.says(key, checkpoint="k", text="1")
    bench.helper.says(key, bad=True)
    assert [bench.helper.order()["body"]["lost"] for _ in range(2)] == ["", "ValueError('cannot say')"]
    assert [job for job, _ in bench.asked] == ["a", "a"]


def test_an_answer_that_makes_no_sense_is_a_crash_and_its_process_is_ended(bench):
    bench.start()
    key = bench.helper.order()["key"]
    bench.helper.says(key, result="no verdict", read={})
    result = bench.collect()
    assert result.verdict is Verdict.CRASHED
    assert "is no answer" in result.failure.message
    assert bench.helper.order() == {"op": "cancel", "key": key, "now": True}


def test_large_messages_in_both_directions_at_once_do_not_block(bench):
    bench.start()
    key = bench.helper.order()["key"]
    sender = threading.Thread(
        target=lambda: [bench.helper.says(key, bad="x" * 1_000_000) for _ in range(8)], daemon=True
    )
    sender.start()
    found = []
    while len(found) < 8:
        found.append(bench.helper.order()["op"])
    sender.join(5)
    assert found == ["tell"] * 8


def test_a_closed_lane_starts_nothing(bench):
    bench.lane.close()
    bench.lane.close()
    bench.start()
    assert bench.collect().verdict is Verdict.CRASHED
    assert bench.helper.started == 1
