"""Signals in every phase, on threads, on the event loop and in processes: PRODUCT 7.6, R96 to R101.

The bodies send the signal themselves, to the process of the run, so that it comes where it is wanted.
`FAULTS=1` tries all phases.
"""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

PROJECT = """
import os, signal, threading, time
import pytest

RUN, WHERE = int(os.environ["RUN_PID"]), os.environ.get("WHERE", "")
NUMBER, TIMES = getattr(signal, os.environ.get("SIGNAL", "SIGINT")), int(os.environ.get("TIMES", "1"))

def note(what):
    with open("seen.txt", "a") as stream:
        stream.write(what + "\\n")

def at(where):
    note(where)
    if where == WHERE:
        for left in range(TIMES - 1, -1, -1):
            try:
                os.kill(RUN, NUMBER)
                time.sleep(0.05)
            except KeyboardInterrupt:
                if not left:
                    raise

@pytest.fixture
def fixture():
    at("set-up")
    yield
    at("teardown")

def check_a(): at("check"); assert os.path.exists("there")
@pytest.mark.job(retries=1, retry_delay=0.1, **KEYWORDS)
def job_a(fixture, attempt):
    at("run")
    if WHERE == "backoff" and attempt.number == 1:
        threading.Timer(0.05, os.kill, (RUN, NUMBER)).start() if not KEYWORDS else None
        raise OSError
    open("there", "w").close()
def cleanup_a(): at("cleanup")

@pytest.mark.job(**KEYWORDS)
def job_held():
    note("opened")
    try:
        yield 1
    finally:
        note("closed")

@pytest.mark.job(**KEYWORDS)
def job_b(a, held): at("b")
def cleanup_b(): note("cleanup b")
"""
FAULTS = int(os.environ.get("FAULTS", "0"))
"""Whether everything is tried; each run is a process."""

LANES = [("-J4", "process")] + [("-J1", "thread"), ("-J4", "thread")] * (FAULTS > 0)
PHASES = ["run"] + ["cleanup", "set-up", "check", "teardown", "b"] * (FAULTS > 0)
OTHERS = ["SIGTERM"] + ["SIGHUP"] * (FAULTS > 0)
KINDS = {"thread": "{}", "process": "{'isolate': True}"}


class Project:
    def __init__(self, path, kind):
        self.path = path
        text = f"KEYWORDS = {KINDS[kind]}\n{PROJECT}"
        (path / "job_it.py").write_text(text)
        (path / "pyproject.toml").write_text("[tool.jobtest]\ngrace = 0.3\n")

    def run(self, *args, **environment):
        starter = (
            "import os, sys; os.environ['RUN_PID'] = str(os.getpid()); "
            "os.execv(sys.executable, [sys.executable, '-m', 'pytest', *sys.argv[1:]])"
        )
        command = [sys.executable, "-c", starter, "--orchestrate", "-p", "no:hypothesispytest"]
        (self.path / "seen.txt").write_text("")
        done = subprocess.run(
            [*command, "--junitxml=o.xml", *args],
            cwd=self.path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        done.seen = (self.path / "seen.txt").read_text().splitlines()
        return done

    def cases(self):
        root = ElementTree.parse(self.path / "o.xml").getroot()
        return sorted(case.get("name") for case in root.iter("testcase"))


@pytest.fixture(params=LANES, ids=" ".join)
def project(request, tmp_path):
    made = Project(tmp_path, request.param[1])
    made.workers = request.param[0]
    return made


@pytest.mark.parametrize("where", PHASES)
def test_an_interrupt_in_any_phase_ends_the_run_in_order(project, where):
    done = project.run(project.workers, WHERE=where)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Interrupted: interrupted by Ctrl-C" in done.stdout
    assert "Ctrl-C once more ends all at once" in done.stdout or where == "cleanup"
    assert "Traceback" not in done.stdout + done.stderr
    assert project.cases() == ["job_a", "job_b", "job_held"]
    assert done.seen.count("closed") == done.seen.count("opened")
    ran = [one for one in done.seen if one in ("run", "b")]
    cleaned = [one for one in done.seen if one.startswith("cleanup")]
    assert cleaned == [{"run": "cleanup", "b": "cleanup b"}[one] for one in reversed(ran)]
    if where != "run" and not FAULTS:
        return
    again = project.run(project.workers, "--job-resume", WHERE="")
    assert again.returncode == 0, again.stdout + again.stderr


def test_an_interrupt_while_a_job_waits_for_its_next_attempt_ends_the_wait(tmp_path):
    project = Project(tmp_path, "thread")
    done = project.run("-J1", WHERE="backoff")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.seen.count("run") == 1
    assert done.seen[-1] == "cleanup"


@pytest.mark.parametrize("name", OTHERS)
def test_other_signals_that_end_a_process_end_the_run_in_order(project, name):
    done = project.run(project.workers, WHERE="run", SIGNAL=name)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"Interrupted: interrupted by {name}" in done.stdout
    assert "cleanup" in done.seen
    assert project.cases() == ["job_a", "job_b", "job_held"]


def test_the_second_interrupt_leaves_cleanups_owed_and_reports_written(project):
    done = project.run(project.workers, WHERE="run", TIMES="2")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "cleanup" not in done.seen
    assert project.cases() == ["job_a", "job_b", "job_held"]
    assert "1 cleanup is owed: a" in done.stdout
    later = project.run(project.workers, "--job-command=cleanup", WHERE="")
    assert later.returncode == 0, later.stdout + later.stderr
    assert later.seen == ["cleanup"]


def test_what_is_under_way_is_shown_on_demand(tmp_path):
    project = Project(tmp_path, "thread")
    done = project.run("-J4", "--capture=no", WHERE="run", SIGNAL="SIGUSR1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "running: a run" in done.stderr
    assert "most recent call first" in done.stderr


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_a_body_that_ends_the_process_of_the_run_does_not_make_it_a_success(tmp_path, workers):
    (tmp_path / "job_it.py").write_text("import os\ndef job_a(): os._exit(0)\n")
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-p", "no:hypothesispytest", workers]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "os._exit(0) was called in the process of the run, while it ran: a run" in done.stderr
    assert "isolate=True" in done.stderr


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_a_run_whose_output_nobody_reads_any_more_goes_on(tmp_path, workers):
    project = Project(tmp_path, "thread")
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-v", "-p", "no:hypothesispytest", workers]
    environment = {**os.environ, "RUN_PID": "0"}
    with os.fdopen(writes, "w") as stream:
        done = subprocess.run(
            [*command, "--junitxml=o.xml"],
            cwd=tmp_path, env=environment, stdout=stream, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert project.cases() == ["job_a", "job_b", "job_held"]
    assert (tmp_path / "seen.txt").read_text().split("\n")[-3:] == ["cleanup b", "cleanup", ""]
    assert done.returncode in (0, 120), done.stderr
    assert b"INTERNALERROR" not in done.stderr


def test_a_signal_that_the_parent_ignores_stays_ignored(tmp_path):
    project = Project(tmp_path, "thread")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = project.run("-J4", WHERE="run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.returncode == 0, done.stdout + done.stderr
