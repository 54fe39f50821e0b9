"""Jobs that do their worst, each in its own process: they fail, the run goes on, nothing is left (R48-R80).

One project is run once in each way, and looked at by many tests.
"""

import re

import pytest
from processes import GRACE, WAYS, run

FLOOD = 100 << 20
MEMORY = 200

SOURCE = f"""
import ctypes, subprocess

def daemon(name):
    '''Start a process that nobody can know of: no parent, own session, no descriptor, deaf.'''
    if not os.fork():
        os.setsid()
        if not os.fork():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            Path(name).write_text(str(os.getpid()))
            os.closerange(0, 4096)
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not Path(name).exists() or not Path(name).read_text():
        time.sleep(0.001)

@alone
def job_exit0():
    print("printed", flush=True)
    print("to stderr", file=sys.stderr)
    os._exit(0)

@alone
def job_exit3():
    os.write(1, b"by descriptor")
    os._exit(3)

@alone
def job_libc_exit(): ctypes.CDLL(None).exit(0)

@alone
def job_segfault(): ctypes.string_at(0)

@alone
def job_abort(): os.abort()

@alone
def job_kill9(): os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.job(timeout=0.2)
def job_stopped(): os.kill(os.getpid(), signal.SIGSTOP)

@pytest.mark.job(memory="{MEMORY}M")
def job_memory():
    grown = []
    while True:
        grown.append(bytearray(1 << 20))

@pytest.mark.job(memory="{MEMORY}M")
def job_memory_of_many():
    grown = []
    while True:
        grown.append(b"x" * 10_000 + bytes([len(grown) % 256]))

@alone
def job_flood():
    print("the beginning")
    piece = b"x" * 99 + b"\\n"
    for _ in range({FLOOD} // (100 << 10)):
        os.write(1, piece * 1024)
    print("the end")
    assert False

@alone
def job_closed_stdout():
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return 5
def job_after_closed_stdout(closed_stdout): assert closed_stdout == 5

@alone
def job_stdout_is_none(): sys.stdout = sys.stderr = None

@alone
def job_closed_all():
    print("before", flush=True)
    os.closerange(0, 4096)

@alone
def job_closed_all_and_stays():
    os.closerange(3, 4096)
    time.sleep(600)

@pytest.mark.job(timeout=0.2)
def job_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf")
    time.sleep(600)

@pytest.mark.job(timeout=0.2)
def job_busy():
    while True:
        pass

@pytest.mark.job(timeout=0.2)
def job_timeout_with_daemons():
    daemon("daemon1")
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    time.sleep(600)

@alone
def job_daemons():
    daemon("daemon2")
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen("sleep 600 & sleep 600 & wait", shell=True)

def alive(name):
    return os.path.exists(f"/proc/{{Path(name).read_text()}}/exe")

@pytest.mark.job(after=["daemons", "timeout_with_daemons"])
def job_after_daemons():
    assert not alive("daemon1")
    assert not alive("daemon2")

@alone
def job_has_a_daemon():
    daemon("daemon3")
    Path("has_a_daemon").touch()
    until = time.monotonic() + 5
    while not Path("beside_a_daemon").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert alive("daemon3")
@alone
def job_beside_a_daemon():
    until = time.monotonic() + 5
    while not Path("has_a_daemon").exists() and time.monotonic() < until:
        time.sleep(0.01)
    Path("beside_a_daemon").touch()

@pytest.mark.job(timeout=0.5)
def job_fork_bomb():
    def forks():
        while len(list(Path("bombs").iterdir())) < 200:
            try:
                pid = os.fork()
            except OSError:
                pass
            Path("bombs", str(os.getpid())).touch()
        time.sleep(600)
    Path("bombs").mkdir()
    forks()

@alone
def job_fork_twice_back():
    os.fork()
    with open("forked", "a") as stream:
        stream.write("once ")
    return 7
def job_after_fork_twice_back(fork_twice_back): assert fork_twice_back == 7

@alone
def job_value_lambda(): return lambda: 1

@alone
def job_value_wanted(): return {{"a": [1, lambda: 1]}}
def job_wants(value_wanted): pass

def job_here(): return [1, lambda: 1]
@alone
def job_takes_lambda(here): pass

@alone
def job_unpicklable():
    class Mine(Exception):
        def __reduce__(self): raise RuntimeError("never pickled")
    raise Mine("in full")

@alone
def job_bad_str():
    class Mine(Exception):
        def __str__(self): raise RuntimeError("no str")
        __repr__ = __str__
    raise Mine

@alone
def job_long_str(): raise ValueError("long " * (1 << 20))

@alone
def job_recursion():
    def again(): again()
    again()

@alone
def job_group(): raise ExceptionGroup("many", [OSError(str(n)) for n in range(3000)])

@alone
def job_noise_to_the_run():
    for fd in range(3, 40):
        try:
            os.write(fd, b"\\x00\\x00\\x00\\x02{{}}\\xff\\xff\\xff\\xffnoise")
        except OSError:
            pass
    time.sleep(600)

@alone
def job_odd_message_to_the_run():
    for fd in range(3, 40):
        try:
            os.write(fd, b"\\x00\\x00\\x00\\x0d" + b'{{"result":{{}}}}')
        except OSError:
            pass
    time.sleep(600)

@alone
def job_changes_handlers():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)

@alone
def job_reads_stdin():
    assert sys.stdin.read() == ""
    with pytest.raises(EOFError):
        input()
    with pytest.raises(OSError):
        open("/dev/tty")

@alone
def job_changes_process():
    os.chdir("/")
    os.environ["LEAKED"] = "1"
    os.umask(0o777)
    sys.path.clear()
    sys.setrecursionlimit(80)

@pytest.mark.job(after="changes_process", isolate=True)
def job_sees_no_change():
    assert os.getcwd() == os.path.dirname(__file__)
    assert "LEAKED" not in os.environ and sys.path

@alone
def job_exit_in_words(): sys.exit("in words")
@alone
def job_exit_with_0(): sys.exit(0)
@alone
def job_exit_with_2(): raise SystemExit(2)
@alone
def job_interrupts(): raise KeyboardInterrupt
@alone
def job_base_exception():
    class Mine(BaseException): pass
    raise Mine("odd")
@alone
def job_generator_exit(): raise GeneratorExit
@alone
def job_waits_for_signal_in_thread():
    import threading
    threading.Thread(target=lambda: sys.exit(3)).start()
    threading.Thread(target=time.sleep, args=(600,)).start()

@pytest.mark.job(timeout=0.2)
def job_hangs_in_its_teardown(hangs): pass

@alone
def job_dies_in_teardown(dies): pass

@alone
def job_dies_between():
    import threading
    threading.Timer(0.05, os._exit, (4,)).start()
    yield 1
def job_while_it_dies(dies_between): time.sleep(0.2)

@alone
def job_other(): print("fine"); return 1
def job_here_too(other): return other
"""

CONFTEST = """
import os, resource, time
import pytest

@pytest.fixture
def hangs():
    yield
    time.sleep(600)

@pytest.fixture
def dies():
    yield
    os._exit(5)

def pytest_collection_finish():
    pytest.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def pytest_unconfigure():
    if hasattr(pytest, "before"):
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - pytest.before
        open("grown", "w").write(str(grown))
"""


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def far(request, tmp_path_factory):
    workers, conftest = request.param
    return run(tmp_path_factory.mktemp("hostile"), SOURCE, workers, conftest=CONFTEST + conftest)


CRASHED = {
    "exit0": "run was cut short: its process ended with exit status 0",
    "exit3": "run was cut short: its process ended with exit status 3",
    "libc_exit": "run was cut short: its process ended with exit status 0",
    "segfault": "run was cut short: its process ended with SIGSEGV",
    "abort": "run was cut short: its process ended with SIGABRT",
    "kill9": "run was cut short: its process ended with SIGKILL, likely out of memory (it had",
    "closed_all": "run was cut short: its process ended with exit status 1",
    "closed_all_and_stays": "run was cut short: its process closed its connection, and was killed",
    "noise_to_the_run": "run was cut short: its process closed its connection, and was killed",
    "odd_message_to_the_run": "run was cut short: what its process said is no answer: KeyError(",
}
RAISED = {
    "unpicklable": "run raised Mine: in full",
    "bad_str": "run raised Mine: <unprintable Mine>",
    "long_str": "run raised ValueError: long long long",
    "recursion": "run raised RecursionError: maximum recursion depth exceeded",
    "group": "run raised ExceptionGroup: many (3000 sub-exceptions)",
    "flood": "run raised assert False",
    "exit_in_words": "run raised SystemExit: in words",
    "exit_with_0": "run raised SystemExit: 0",
    "exit_with_2": "run raised SystemExit: 2",
    "interrupts": "run raised KeyboardInterrupt",
    "base_exception": "run raised Mine: odd",
    "generator_exit": "run raised GeneratorExit",
    "memory": f"run raised MemoryError: the limit of this job is {MEMORY} MB",
    "memory_of_many": f"run raised MemoryError: the limit of this job is {MEMORY} MB",
}
TIMED_OUT = {
    "stopped": 0.2,
    "deaf": 0.2,
    "busy": 0.2,
    "timeout_with_daemons": 0.2,
    "fork_bomb": 0.5,
}
WELL = [
    "closed_stdout",
    "after_closed_stdout",
    "stdout_is_none",
    "daemons",
    "after_daemons",
    "has_a_daemon",
    "beside_a_daemon",
    "fork_twice_back",
    "after_fork_twice_back",
    "value_lambda",
    "here",
    "changes_handlers",
    "reads_stdin",
    "changes_process",
    "sees_no_change",
    "waits_for_signal_in_thread",
    "hangs_in_its_teardown",
    "dies_in_teardown",
    "dies_between",
    "while_it_dies",
    "other",
    "here_too",
]


def test_the_run_ends_with_1_and_each_job_has_one_outcome(far):
    assert far.ret == 1
    bad = {*CRASHED, *RAISED, *TIMED_OUT, "value_wanted", "takes_lambda"}
    assert {name for name, outcome in far.outcomes.items() if outcome == "failed"} == bad
    assert {name for name, outcome in far.outcomes.items() if outcome == "changed"} == set(WELL)
    assert {name for name, outcome in far.outcomes.items() if outcome == "blocked"} == {"wants"}


def test_nothing_is_left_of_the_processes(far):
    assert far.left() == []


@pytest.mark.parametrize("job", CRASHED)
def test_a_process_that_does_not_answer_is_a_crash(far, job):
    assert far.reasons[job].startswith(CRASHED[job])
    assert far.kinds[job] == "crashed"


@pytest.mark.parametrize("job", RAISED)
def test_what_a_body_raises_arrives_as_text(far, job):
    assert far.reasons[job].startswith(RAISED[job])
    assert far.kinds[job] == "run_error"
    assert len(far.shown(job)) < 100_000 or job == "flood"


@pytest.mark.parametrize("job", TIMED_OUT)
def test_what_takes_too_long_is_killed(far, job):
    assert far.reasons[job] == f"run timed out after {TIMED_OUT[job]:g} s"
    assert far.kinds[job] == "timeout"
    assert TIMED_OUT[job] <= far.jobs[job]["seconds"] < TIMED_OUT[job] + GRACE + 2


@pytest.mark.parametrize("job", ["deaf", "busy"])
def test_what_takes_too_long_prints_where_it_was(far, job):
    printed = far.printed(job, "stderr")
    assert "(most recent call first)" in printed
    assert f" in job_{job}\n" in printed
    assert "jobtest" not in printed.replace("job_it.py", "")
    assert far.printed("deaf") == "deaf\n"


def test_what_a_process_printed_before_its_end_is_told(far):
    assert far.printed("exit0") == "printed\n"
    assert far.printed("exit0", "stderr") == "to stderr\n"
    assert far.printed("exit3") == "by descriptor"
    assert far.printed("closed_all") == "before\n"
    assert "Segmentation fault" in far.printed("segfault", "stderr")
    assert "in job_segfault" in far.printed("segfault", "stderr")
    assert "/engine/" not in far.printed("segfault", "stderr")
    assert "printed" in far.shown("exit0")


def test_of_very_much_output_the_beginning_and_the_end_are_kept(far):
    printed = far.printed("flood")
    assert printed.startswith("the beginning\n")
    assert printed.endswith("the end\n")
    assert "bytes are left out here" in printed
    assert len(printed) < 2 << 20
    assert int((far.folder / "grown").read_text()) < 80 << 10


def test_a_memory_limit_is_named_where_the_error_is_shown(far):
    for job in ("memory", "memory_of_many"):
        assert "MemoryError" in far.shown(job)
        assert f"the limit of this job is {MEMORY} MB" in far.shown(job)


def test_a_value_that_cannot_cross_matters_if_somebody_wants_it(far):
    assert "its value cannot leave its process: " in far.reasons["value_wanted"]
    assert "function" in far.reasons["value_wanted"]
    assert far.printed("value_lambda") == ""


def test_a_value_that_cannot_cross_into_a_process_names_its_job(far):
    assert far.kinds["takes_lambda"] == "setup_error"
    assert "the value of here" in far.reasons["takes_lambda"]
    assert "cannot cross into a process of its own" in far.reasons["takes_lambda"]


def test_a_fork_of_a_body_gives_one_result(far):
    assert far.notes("forked")[0] == "once"
    assert far.jobs["fork_twice_back"]["value"] == 7


def test_an_exception_is_shown_as_in_the_session(far):
    assert '>       raise ValueError("long " * (1 << 20))' not in far.shown("unpicklable")
    assert '    raise Mine("in full")' in far.shown("unpicklable")
    assert re.search(r"^E +.*Mine: in full$", far.shown("unpicklable"), re.M)
    assert far.shown("unpicklable").startswith("    @alone\n")
    assert "jobtest/" not in far.shown("unpicklable")


def test_teardown_that_does_not_end_well_is_an_error(far):
    assert "its teardown timed out after 0.2 s" in far.shown("hangs_in_its_teardown")
    assert "its teardown was cut short: its process ended with exit status 5" in far.shown("dies_in_teardown")
    assert "its process ended with exit status 4" in far.shown("dies_between")


def test_the_junit_report_is_complete(far):
    assert far.cases.keys() == far.outcomes.keys()
    for name in {*CRASHED, *RAISED, *TIMED_OUT}:
        children = {child.tag for child in far.cases[name]}
        assert children & {"failure", "error"}, name
    for name in ("other", "daemons", "fork_twice_back"):
        assert not {child.tag for child in far.cases[name]} & {"failure", "error", "skipped"}
