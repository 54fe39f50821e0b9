"""Threads that jobs start themselves: what they print, log and warn belongs to the job that started them."""

import contextlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobtest.plugin.output import OutputRoom

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J4"])

WAYS = {
    "thread": "threading.Thread(target=talk, args=(who,)).start()",
    "timer": "threading.Timer(0, talk, [who]).start()",
    "subclass": "Talker(who).start()",
    "nested": "threading.Thread(target=Talker(who).start).start()",
    "pool": "ThreadPoolExecutor(2).submit(talk, who)",
    "map": "list(ThreadPoolExecutor(2).map(talk, [who]))",
    "old pool": "with ThreadPool(1) as pool: pool.apply(talk, [who])",
    "in a pool": "ThreadPoolExecutor(2).submit(Talker(who).start)",
    "to_thread": "asyncio.run(asyncio.to_thread(talk, who))",
    "executor": "asyncio.run(in_executor(talk, who))",
}

TALK = """
    import asyncio, logging, sys, threading, warnings
    from concurrent.futures import ThreadPoolExecutor
    from multiprocessing.pool import ThreadPool
    import pytest
    from seen import event, meet, note, notes, wait

    def talk(who):
        print(f"out {who}")
        sys.stdout.buffer.write(f"bytes {who}\\n".encode())
        sys.stdout.buffer.flush()
        print(f"err {who}", file=sys.stderr)
        logging.getLogger("talk").warning("log %s", who)
        warnings.warn(f"warn {who}")
        event(who).set()

    class Talker(threading.Thread):
        def __init__(self, who):
            super().__init__()
            self.who = who
        def run(self):
            talk(self.who)

    async def in_executor(*call):
        await asyncio.get_running_loop().run_in_executor(None, *call)
"""


@both_ways
@pytest.mark.parametrize("way", WAYS)
def test_what_a_thread_says_belongs_to_the_job_that_started_it(jobs, workers, way):
    run = jobs(
        TALK
        + f"""
    @pytest.mark.parametrize("who", ["x", "y"])
    def job_a(who):
        if "{workers}" != "-J1":
            meet(2)
        {WAYS[way]}
        wait(who)
        """,
        workers,
    )
    assert run.counts() == {"passed": 2, "warnings": 2}, run.text
    for who in "xy":
        (attempt,) = run.jobs[f"a[{who}]"].attempts
        assert attempt.stdout == f"out {who}\nbytes {who}\n"
        assert attempt.stderr == f"err {who}\n"
        assert re.findall(r"log \w", attempt.log) == [f"log {who}"]
        assert re.search(rf"job_it.py::job_a\[{who}\]\n.*UserWarning: warn {who}", run.text)


@both_ways
def test_work_in_a_pool_that_jobs_share_belongs_to_the_job_that_gave_it(jobs, workers):
    run = jobs(
        TALK
        + """
    @pytest.fixture(scope="session")
    def pool():
        with ThreadPoolExecutor(1) as pool:
            yield pool
    @pytest.mark.parametrize("n", range(4))
    def job_a(pool, n):
        for step in range(20):
            pool.submit(print, n, step).result()
        """,
        workers,
    )
    for n in range(4):
        assert run.jobs[f"a[{n}]"].attempts[0].stdout == "".join(f"{n} {step}\n" for step in range(20))


def test_async_jobs_that_share_a_pool_by_their_loop_keep_their_output_apart(jobs):
    run = jobs(
        TALK
        + """
    @pytest.mark.parametrize("n", range(8))
    async def job_a(n):
        for step in range(20):
            await in_executor(print, n, step)
        """,
        "-J8",
    )
    for n in range(8):
        assert run.jobs[f"a[{n}]"].attempts[0].stdout == "".join(f"{n} {step}\n" for step in range(20))


@both_ways
def test_what_a_thread_of_a_fixture_says_during_the_body_belongs_to_the_job(jobs, workers):
    run = jobs(
        TALK
        + """
    def serve():
        wait("asked")
        print("served")
        event("answered").set()
    @pytest.fixture
    def server():
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()
    def job_a(server):
        print("before")
        event("asked").set()
        wait("answered")
        print("after")
        """,
        workers,
    )
    assert run.jobs["a"].attempts[0].stdout == "before\nserved\nafter\n"


LEFT = (
    TALK
    + """
    def linger():
        wait("others are there")
        talk("late")
    @pytest.fixture(autouse=True, scope="session")
    def nothing_left():
        yield
        notes[0].join()
    def job_a():
        thread = threading.Thread(target=linger)
        thread.start()
        note(thread)
    @pytest.mark.job(after=["a"])
    def job_b():
        print("b begins")
        event("others are there").set()
        wait("late")
        print("b ends")
"""
)


@both_ways
def test_what_a_thread_says_after_the_end_of_its_job_is_shown_as_such_and_is_not_given_to_another(
    jobs, workers
):
    run = jobs(LEFT, workers)
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.jobs["a"].attempts[0].stdout == ""
    assert run.jobs["b"].attempts[0].stdout == "b begins\nb ends\n"
    assert (run.jobs["b"].attempts[0].stderr, run.jobs["b"].attempts[0].log) == ("", "")
    shown = run.text.partition("= output after the end of its job =")[2]
    assert re.sub(r"WARNING .*py:\d+ ", "", "\n".join(re.findall(r"^a \|.*", shown, re.MULTILINE))) == (
        "a | out late\na | bytes late\na | err late\na | log late"
    )
    assert run.text.count("out late") == 1
    assert re.search(r"job_it.py::job_a\n.*UserWarning: warn late", run.text)


@both_ways
def test_what_a_task_says_after_the_end_of_its_job_is_not_given_to_another(jobs, workers):
    run = jobs(
        TALK
        + """
    async def linger():
        while not event("others are there").is_set():
            await asyncio.sleep(0.001)
        print("late")
        event("late").set()
    async def job_a():
        note(asyncio.ensure_future(linger()))
    @pytest.mark.job(after=["a"])
    async def job_b():
        event("others are there").set()
        while not event("late").is_set():
            await asyncio.sleep(0.001)
        print("b ends")
        """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.jobs["b"].attempts[0].stdout == "b ends\n"
    assert "\na | late\n" in run.text


@both_ways
def test_what_a_thread_says_between_the_phases_of_its_attempt_comes_with_the_next(jobs, workers):
    run = jobs(
        TALK
        + """
    def linger():
        wait("b is there")
        print("between")
        event("said").set()
        wait("closing")
        print("while it closes")
    def job_a():
        thread = threading.Thread(target=linger)
        thread.start()
        yield
        event("closing").set()
        thread.join()
    def job_b(a):
        event("b is there").set()
        wait("said")
        """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.jobs["b"].attempts[0].stdout == ""
    text = "".join(text for name, text in run.of("a")[-1].sections if name == "Captured stdout teardown")
    assert text == "between\nwhile it closes\n"
    assert "output after the end" not in run.text


@both_ways
@pytest.mark.parametrize("capture", ["fd", "no"])
def test_a_body_that_is_left_behind_at_its_timeout_takes_no_output_of_others(jobs, workers, capture):
    run = jobs(
        TALK
        + """
    @pytest.mark.job(timeout=0.02, executor="thread")
    def job_a():
        print("before the end")
        note(threading.current_thread(), event("run is over"))
        wait("run is over")
    @pytest.mark.job(after=["a"], on_failure="continue")
    def job_b():
        print("b says")
        """,
        workers,
        f"--capture={capture}",
    )
    ((thread, end),) = run.seen
    end.set()
    thread.join()
    assert run.kinds == {"a": "timeout"}
    assert run.text.count("before the end") == 1
    assert "job_it.py F" in run.text
    if capture == "fd":
        assert run.jobs["b"].attempts[0].stdout == "b says\n"
        assert run.section("a", "stdout") == "before the end\n"


@both_ways
def test_what_a_thread_raises_belongs_to_the_job_that_started_it(jobs, workers):
    run = jobs(
        TALK
        + """
    def fall():
        raise KeyError("fell")
    def job_a():
        for target in (fall, sys.exit):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    def job_b(): pass
        """,
        workers,
    )
    assert run.counts() == {"passed": 2, "warnings": 1}
    assert run.jobs["a"].attempts[0].stderr.endswith("KeyError: 'fell'\n")
    assert run.jobs["b"].attempts[0].stderr == ""
    assert re.search(r"job_it.py::job_a\n.*job_it.py:\d+: .*a thread raised KeyError: 'fell'", run.text)


def test_threads_that_no_job_has_started_print_to_the_terminal(jobs):
    run = jobs(
        "def job_a(): print('by a')",
        "-J2",
        conftest="""
            import threading
            def pytest_runtest_logfinish(nodeid):
                thread = threading.Thread(target=print, args=("by a hook",))
                thread.start()
                thread.join()
        """,
    )
    assert "by a hook" in run.text
    assert run.jobs["a"].attempts[-1].stdout == "by a\n"


@both_ways
def test_threads_and_pools_are_as_they_were_after_the_run(jobs, workers):
    before = threading.Thread.start, ThreadPoolExecutor.submit, threading.excepthook
    jobs("def job_a(): pass", workers)
    assert (threading.Thread.start, ThreadPoolExecutor.submit, threading.excepthook) == before


def test_a_thread_that_outlives_the_run_prints_to_the_terminal(jobs, capsys):
    run = jobs(
        TALK
        + """
    def linger():
        wait("the end")
        print("much later")
    def job_a():
        thread = threading.Thread(target=linger)
        thread.start()
        note(thread, event("the end"))
        """,
        "-J2",
    )
    ((thread, end),) = run.seen
    end.set()
    thread.join()
    assert capsys.readouterr().out.endswith("much later\n")


def test_streams_that_bodies_leave_behind_are_put_back_when_nothing_runs(jobs):
    run = jobs(
        """
        import io, sys, pytest
        def job_a(): sys.stdout = sys.stderr = io.StringIO()
        @pytest.mark.job(after=["b"])
        def job_c(): sys.stdout = None
        @pytest.mark.job(after=["a"])
        def job_b(): print("b")
        @pytest.mark.job(after=["c"])
        def job_d(): print("d")
        """,
        "-J2",
    )
    assert run.outcomes == dict.fromkeys("abcd", "changed")
    assert {name: run.jobs[name].attempts[0].stdout for name in "bd"} == {"b": "b\n", "d": "d\n"}


FORKS = """
    import multiprocessing, warnings
    def job_a():
        warnings.simplefilter("ignore")
        print("by the job")
        child = multiprocessing.get_context("fork").Process(target=print, args=("by a fork",))
        child.start()
        child.join()
"""


def test_what_a_forked_process_prints_is_not_lost(jobs):
    jobs.write({"job_it.py": FORKS})
    options = ["--orchestrate", "--job-state=memory://", "-rA", "-p", "no:hypothesispytest"]
    for workers, shown in (("-J1", 1), ("-J2", 0)):
        text = jobs.pytester.runpytest_subprocess(*options, workers).stdout.str()
        assert text.count("by the job") == text.count("by a fork") == 1
        assert text.partition("PASSES")[2].count("by a fork") == shown


@contextlib.contextmanager
def opened(request):
    """Open a room; yields it, and an item to open its phases with."""
    item = request.node
    item.id_, item.exclusive = item.nodeid, ""
    room = OutputRoom(request.config, threads=True)
    with room.open(item):
        yield room, item


def test_a_thread_that_outlives_its_attempt_does_not_print_into_the_next_one(request):
    go = [threading.Event(), threading.Event()]
    done = [threading.Event(), threading.Event()]

    def linger():
        for n in (0, 1):
            go[n].wait(5)
            print("line", n)
            done[n].set()

    with opened(request) as (room, item):
        with room.worker(item):
            thread = threading.Thread(target=linger)
            thread.start()
        with room.worker(item) as same:
            go[0].set()
            done[0].wait(5)
        room.attempt_over(item)
        with room.worker(item) as next:
            go[1].set()
            done[1].wait(5)
    thread.join()
    assert (same.stdout, next.stdout) == ("line 0\n", "")


def test_what_a_phase_that_is_left_behind_has_printed_is_known_and_the_rest_comes_late(request):
    with opened(request) as (room, item):
        with room.worker(item) as unread:
            print("before")
            left = room.leave(item)
            print("after")
        with room.worker(item) as next:
            print("next")
        nothing = room.leave(item)
    assert (left.stdout, next.stdout, nothing.stdout) == ("before\n", "after\nnext\n", "")
    assert unread.stdout == "before\n"
