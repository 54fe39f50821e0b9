"""Jobs in processes of their own that do what jobs do: fixtures, values, retries, output, plans.

One project is run once in each way, and looked at by many tests.
"""

import json
import random

import pytest
from processes import BOTH, OTHER_WAYS, rarely, run

pytestmark = pytest.mark.rarely

CONFTEST = """
import os, pytest
from pathlib import Path

def note(name, what):
    with open(name, "a") as stream:
        stream.write(f"{what} ")

@pytest.fixture
def own(request):
    note(f"own_{request.node.source.name}", f"up{os.getpid()}")
    print("own goes up")
    yield []
    print("own goes down")
    note(f"own_{request.node.source.name}", f"down{os.getpid()}")

@pytest.fixture(scope="module")
def of_module(request):
    note("of_module", "up")
    yield os.getpid()
    note("of_module", "down")

@pytest.fixture(scope="session")
def of_session(of_module_free):
    note("of_session", "up")
    yield os.getpid()
    note("of_session", "down")

@pytest.fixture(scope="session")
def of_module_free():
    return 1

@pytest.fixture
def broken_down():
    yield
    raise OSError("left in a mess")

@pytest.fixture
def broken_up():
    raise OSError("cannot begin")
"""

SOURCE = """
import asyncio, logging, subprocess, threading, warnings
from conftest import note
from dataclasses import dataclass
from datetime import date
warm = {"state": 0}

def check_shares(own):
    own.append(os.getpid())
    print("checked")
    return len(own) == 3
@alone
def job_shares(own):
    own.append(os.getpid())
    print("ran")
    assert len(set(own)) == 1

@dataclass
class Found:
    where: Path
    when: date

@alone
def job_makes(of_module):
    assert of_module == os.getpid()
    return Found(Path("x"), date(2020, 1, 2))
def job_takes_here(makes): assert makes == Found(Path("x"), date(2020, 1, 2))
@alone
def job_takes_there(makes, of_module, of_session):
    assert makes == Found(Path("x"), date(2020, 1, 2))
    assert of_module == of_session == os.getpid()

@alone
@pytest.mark.parametrize("n", [1, 2])
def job_each(n): return n * 10
@alone
def job_all(each): assert list(each.values()) == [10, 20] if isinstance(each, dict) else each == [10, 20]

@alone
def job_large(): return "x" * 3_000_000
@alone
def job_takes_large(large): return large + "y"
def job_takes_larger(takes_large): assert len(takes_large) == 3_000_001

def check_own_value(own_value): return own_value == 3
@alone
def job_own_value(): return 3

@alone
def job_described(): return 1
def describe_described(): return "described"
def job_takes_described(described): assert described == "described"

@alone
def job_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    return str(tmp_path)
@alone
def job_folder2(tmp_path): return str(tmp_path)
def job_reads_folder(folder): assert (Path(folder) / "file").read_text() == "x"

@alone
def job_with_capsys(capsys):
    print("taken")
    assert capsys.readouterr().out == "taken\\n"
    with capsys.disabled():
        print("past capsys")
    print("again")

@alone
def job_with_capfd(capfd):
    os.write(1, b"taken")
    assert capfd.readouterr().out == "taken"
    print("not taken", flush=True)

@alone
def job_with_caplog(caplog):
    logging.getLogger("x").warning("logged")
    assert [record.message for record in caplog.records] == ["logged"]

@alone
def job_with_monkeypatch(monkeypatch):
    monkeypatch.setenv("PATCHED", "1")
    assert os.environ["PATCHED"] == "1"

@pytest.mark.job(after="with_monkeypatch", isolate=True)
def job_after_monkeypatch(): assert "PATCHED" not in os.environ

@alone
def job_property(record_property): record_property("key", "value")

@alone
def job_warns(): warnings.warn("look out", UserWarning)

@alone
def job_logs():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "of a child"], check=True)
    logging.warning("to the log")

@alone
def job_skips(): pytest.skip("no need")
@alone
def job_fails(): pytest.fail("broken")
def check_skips_in_check(): pytest.skip("cannot tell")
@alone
def job_skips_in_check(): pass

@pytest.mark.job(isolate=True, retries=2, retry_delay=0)
def job_retried(attempt, local, checkpoint, own):
    assert not local and not own
    local["seen"] = True
    own.append(1)
    assert attempt.number == int(checkpoint.get("done", 0)) + 1
    assert ("attempt 1" in attempt.error) == (attempt.number == 2), attempt.error
    checkpoint.set("done", attempt.number)
    assert attempt.number == 3, f"attempt {attempt.number}"

@pytest.mark.job(isolate=True, retries=1, retry_delay=0)
def job_crashes_once():
    if not Path("crashed").exists():
        Path("crashed").touch()
        os._exit(3)

@pytest.mark.job(isolate=True, retries=1, retry_delay=0, timeout=0.2)
def job_slow_once():
    if not Path("slow").exists():
        Path("slow").touch()
        time.sleep(600)

@alone
def job_checkpoint_in_thread(checkpoint):
    threads = [threading.Thread(target=checkpoint.set, args=(f"k{n}", n)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(5)
    assert [checkpoint.get(f"k{n}") for n in range(8)] == list(range(8))

@pytest.mark.job(isolate=True, after=["fails", "makes"])
def job_with_upstream(upstream): assert upstream == {"fails": "failed", "makes": "changed"}

@alone
def job_with_params(params): assert params.movie == "x"
@alone
def job_with_rng(rng): return rng.random()

async def check_async():
    warm["state"] += 1
    warm["loop"] = asyncio.get_running_loop()
    return warm["state"] == 3
@alone
async def job_async():
    await asyncio.sleep(0)
    warm["state"] += 1
    assert warm["loop"] is asyncio.get_running_loop()
    return 9

@pytest.mark.job(isolate=True, timeout=0.2)
async def job_async_hangs():
    time.sleep(600)

@alone
def job_held(own):
    print("opened")
    yield os.getpid()
    note("held", "closed")
def job_of_held(held):
    os.kill(held, 0)
    note("held", "used")
def job_fails_on_held(held): assert False

@pytest.mark.job(isolate=True, retries=1, retry_delay=0)
def job_held_twice(attempt):
    note("held_twice", "open")
    yield 1
    note("held_twice", "close")
def check_held_twice(attempt):
    return attempt.number == 2 and Path("held_twice").read_text().split()[-1] == "open"
def job_of_held_twice(held_twice): note("held_twice", "used")

@alone
def job_bad_teardown(broken_down): pass
@alone
def job_bad_setup(broken_up): pass

@alone
def job_cleaned(): return 4
def cleanup_cleaned(cleaned, tmp_path):
    note("cleanup", cleaned)

@pytest.mark.job(isolate=True, inputs=["in.txt"], outputs=["out.txt"])
def job_files(): Path("out.txt").write_text("x")

@alone
def job_getfixturevalue(request):
    assert request.getfixturevalue("of_session") == os.getpid()
"""


@pytest.fixture(scope="module", params=OTHER_WAYS.values(), ids=OTHER_WAYS)
def far(request, tmp_path_factory):
    workers, conftest = request.param
    folder = tmp_path_factory.mktemp("ordinary")
    (folder / "in.txt").write_text("in")
    return run(folder, SOURCE, workers, "--job-set=movie=x", conftest=CONFTEST + conftest)


BAD = {"fails", "bad_setup", "async_hangs", "fails_on_held"}
SKIPPED = {"skips", "skips_in_check"}


@rarely
def test_all_ends_as_in_the_session(far):
    ended = {name: outcome for name, outcome in far.outcomes.items() if outcome != "changed"}
    reasons = {name: far.reasons[name] for name in ended}
    assert ended == dict.fromkeys(BAD, "failed") | dict.fromkeys(SKIPPED, "skipped"), reasons
    assert far.left() == []
    assert far.ret == 1


def test_check_run_and_recheck_share_fixtures_and_a_process(far):
    up, down = far.notes("own_shares")
    assert up.removeprefix("up") == down.removeprefix("down")
    assert far.printed("shares") == "checked\nran\nchecked\n"


def test_chance_is_that_of_the_run(far):
    seed = f"{far.report['run_id']} {far.jobs['with_rng']['id']}"
    assert far.jobs["with_rng"]["value"] == random.Random(seed).random()


def test_wide_fixtures_are_set_up_once_for_each_process_and_torn_down(far):
    for name in ("of_module", "of_session"):
        notes = far.notes(name)
        assert notes.count("up") == notes.count("down") == 2


def test_what_fixtures_print_is_told_apart(far):
    sections = far.shown("bad_teardown")
    assert "OSError: left in a mess" in sections
    assert "OSError: cannot begin" in far.shown("bad_setup")


def test_retries_have_fresh_fixtures_and_processes(far):
    notes = far.notes("own_retried")
    assert [note.rstrip("0123456789") for note in notes] == ["up", "down"] * 3
    assert len(set(notes)) == 6
    assert [len(far.jobs[name]["attempts"]) for name in ("crashes_once", "slow_once")] == [2, 2]


def test_folders_for_temporary_files_stand_side_by_side(far):
    paths = [json.dumps(far.jobs[name]["value"]) for name in ("folder", "folder2")]
    assert paths[0] != paths[1]
    assert paths[0].rpartition("/")[0] == paths[1].rpartition("/")[0]


def test_output_belongs_to_its_job(far):
    assert far.printed("logs") == "to stdout\nof a child\n"
    assert far.printed("logs", "stderr") == "to stderr\n"
    assert "to the log" in far.jobs["logs"]["attempts"][0]["log"]
    assert far.printed("with_capsys") == "past capsys\n"
    assert far.printed("with_capfd") == ""


def test_warnings_and_properties_come_along(far):
    assert "UserWarning: look out" in far.text
    found = {one.get("name"): one.get("value") for one in far.cases["property"].iter("property")}
    assert found["key"] == "value"


def test_what_a_job_holds_open_stays_open_for_its_consumers(far):
    assert sorted(far.notes("held")) == ["closed", "used"]
    assert far.notes("held")[-1] == "closed"
    assert [note.rstrip("0123456789") for note in far.notes("own_held")] == ["up", "down"]
    assert far.notes("held_twice") == ["open", "close", "open", "used", "close"]


def test_cleanup_takes_the_value_of_its_job(far):
    assert far.notes("cleanup") == ["4"]
    assert far.jobs["cleaned"]["cleanup"]["ok"]


def test_the_junit_report_has_every_job(far):
    assert len(far.cases) == len(json.loads((far.folder / "report.json").read_text())["jobs"])


# --- other commands ---

CHECKED = """
def check_there():
    Path("asked").touch()
    return Path("there").exists()
@alone
def job_there(): Path("there").touch()

def check_hangs(): time.sleep(600)
@pytest.mark.job(timeout=0.2)
def job_hangs(): pass
"""


@rarely
def test_a_plan_asks_checks_in_processes(tmp_path):
    far = run(tmp_path, CHECKED, "--plan", "-J2")
    assert (tmp_path / "asked").exists()
    assert not (tmp_path / "there").exists()
    assert far.outcomes["there"] == "would-run"
    assert far.reasons["hangs"] == "check timed out after 0.2 s"
    assert far.left() == []


@rarely
def test_drift_asks_checks_in_processes(tmp_path):
    far = run(tmp_path, CHECKED, "--drift")
    assert far.outcomes == {"there": "failed", "hangs": "failed"}
    assert not (tmp_path / "there").exists()
    assert far.ret == 1


@rarely
def test_a_saved_plan_is_applied_in_processes(tmp_path):
    source = CHECKED.partition("def check_hangs")[0]
    run(tmp_path, source, "--plan", "--job-plan-out=plan.toml")
    far = run(tmp_path, source, "--job-apply=plan.toml")
    assert far.outcomes == {"there": "changed"}, far.text
    assert far.left() == []


@BOTH
def test_with_s_jobs_print_to_the_terminal(tmp_path, conftest):
    far = run(
        tmp_path,
        "@alone\ndef job_a():\n print('seen at once')\n assert not sys.stdin.read()",
        "-s",
        conftest=conftest,
    )
    assert far.outcomes == {"a": "changed"}
    assert far.text.count("seen at once") == 1
    assert far.text.count("test session starts") == 1
    assert far.printed("a") == ""


def test_pytest_exit_in_a_process_ends_the_session(tmp_path):
    far = run(
        tmp_path,
        """
        @alone
        def job_a(): pytest.exit("enough", returncode=7)
        @pytest.mark.job(after="a")
        def job_b(): pass
        """,
    )
    assert far.ret == 7
    assert far.outcomes["b"] == "cancelled"
    assert "enough" in far.text


@rarely
def test_the_executor_of_the_run_is_for_jobs_that_do_not_say(tmp_path):
    far = run(
        tmp_path,
        """
        @pytest.mark.job(executor="thread")
        def job_here(): return os.getpid()
        def job_there(here): assert here == os.getppid() or here != os.getpid()
        """,
        "--job-executor=process",
    )
    assert far.outcomes == {"here": "changed", "there": "changed"}


TRAFFIC = """
@pytest.mark.parametrize("n", range(4))
def job_large(n): return "x" * 2_000_000
@alone
@pytest.mark.parametrize("n", range(4))
def job_through(large, n): return large
@pytest.mark.parametrize("n", range(4))
def job_arrives(through, n): assert len(str(through)) >= 2_000_000

def job_one(): return "x" * 3_000_000
def check_deaf(one):
    import threading
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return False
@pytest.mark.job(timeout=0.5)
def job_deaf(one): time.sleep(600)

@pytest.mark.job(timeout=0.2)
def job_beside(): time.sleep(600)
"""


@rarely
def test_large_values_cross_in_all_directions_at_once_and_timeouts_are_kept(tmp_path):
    far = run(tmp_path, TRAFFIC, "-J4")
    assert {name for name, outcome in far.outcomes.items() if outcome != "changed"} == {"deaf", "beside"}
    assert far.kinds["deaf"] == far.kinds["beside"] == "timeout"
    assert far.jobs["beside"]["seconds"] < 2
