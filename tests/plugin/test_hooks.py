"""The hooks that hear of a run, one test by name for each, its own example at work; and those that raise."""

import http.server
import inspect
import json
import logging
import re
import textwrap
import threading
from pathlib import Path

import pytest

import jobtest.plugin.hooks as calling
from jobtest.plugin import hookspecs

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("pytest_jobtest_")]


def example(hook):
    """The code that stands in the docstring of a hook."""
    text = inspect.getdoc(getattr(hookspecs, hook))
    return textwrap.dedent(text.partition("Example:")[2].partition("::\n")[2]).strip() + "\n"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_docstring_an_example_a_test_and_its_place_in_the_page(hook):
    arguments = inspect.signature(getattr(hookspecs, hook)).parameters
    text, page = inspect.getdoc(getattr(hookspecs, hook)), PAGE.read_text(encoding="utf-8")
    tests = (PAGE.parents[1] / "tests/plugin/test_hooks_collected.py").read_text(encoding="utf-8")

    assert f"def {hook}(" in example(hook)
    assert [name for name in arguments if f"    {name}: " not in text] == []
    assert f"def test_{hook}" in tests + Path(__file__).read_text(encoding="utf-8")
    assert squeezed(f"```python\n# conftest.py\n{example(hook)}```") in squeezed(page)
    assert f"| `{hook}` |" in page


@pytest.fixture(autouse=True)
def _importable(jobs):
    """Plug-ins stand in files of the project."""
    jobs.pytester.syspathinsert()


def squeezed(text):
    """Without blank lines: the page is formatted as files are."""
    return re.sub(r"\n\s*\n+", "\n", text)


def test_the_hooks_are_these():
    assert sorted(["pytest_jobtest_collected", *calling.TOLD]) == sorted(hookspecs.__all__) == sorted(HOOKS)


# --- each by name ---


def test_pytest_jobtest_planned_hears_the_plan(jobs):
    run = jobs(
        "def job_a(b): ...\ndef job_b(): ...",
        "--collect-only",
        conftest=example("pytest_jobtest_planned"),
    )

    assert run.ret == 0
    assert (jobs.path / "order.txt").read_text() == "job_it.py::job_b\njob_it.py::job_a"


def test_pytest_jobtest_phase_started_hears_of_it_before_the_body_is_called(jobs):
    run = jobs(
        """
        from pathlib import Path
        from seen import note
        def job_a(): note(Path("now.txt").read_text())
        def cleanup_a(): note(Path("now.txt").read_text())
        """,
        conftest=example("pytest_jobtest_phase_started"),
    )

    assert run.seen == ["run of a, attempt 1", "cleanup of a, attempt 1"]


def test_pytest_jobtest_phase_ended_hears_what_came_of_it(jobs):
    jobs(
        """
        state = []
        def check_a(): assert state
        def job_a(): state.append(1)
        """,
        conftest=example("pytest_jobtest_phase_ended"),
    )

    lines = (jobs.path / "checks.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[0] for line in lines] == ["a,not_holding", "a,ok"]
    assert all(0 <= float(line.rsplit(",", 1)[1]) < 5 for line in lines)


def test_pytest_jobtest_attempt_ended_hears_of_every_attempt_once(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.job(retries=2)
        def job_a(attempt): assert attempt.number == 2, "not yet"
        def job_b(a): raise RuntimeError("never")
        @pytest.mark.skip
        def job_c(): ...
        """,
        "-J2",
        conftest=example("pytest_jobtest_attempt_ended")
        + """
import seen
def pytest_jobtest_job_ended(job, record):
    seen.note(job.name, "ended", len(record.attempts))
""",
        files={
            "other.py": """
            import seen
            def pytest_jobtest_attempt_ended(job, attempt, record, retry_in):
                seen.note(job.name, attempt, [phase.ok for phase in record.phases], retry_in)
            """
        },
        plugins=["other"],
    )

    assert (jobs.path / "flaky.txt").read_text().startswith("a, attempt 1: not yet")
    of_jobs = {name: [rest for of, *rest in run.seen if of == name] for name in "abc"}
    assert of_jobs == {
        "a": [[1, [False], 0.0], [2, [True], None], ["ended", 2]],
        "b": [[1, [False], None], ["ended", 1]],
        "c": [["ended", 0]],
    }


def test_an_attempt_that_is_not_followed_by_another_after_all_is_told_once(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.job(retries=1, retry_delay=60, priority=1)
        def job_a(): raise RuntimeError
        def job_b(): raise RuntimeError
        """,
        "-x",
        conftest="""
        import seen
        def pytest_jobtest_attempt_ended(job, attempt, retry_in): seen.note(job.name, attempt, retry_in)
        """,
    )

    assert run.outcomes == {"a": "cancelled", "b": "failed"}
    assert sorted(run.seen) == [("a", 1, 60.0), ("b", 1, None)]


def test_pytest_jobtest_job_ended_hears_of_every_job_once(jobs):
    run = jobs(
        """
        def job_a(): ...
        def job_b(): 1 / 0
        def job_c(b): ...
        """,
        conftest=example("pytest_jobtest_job_ended")
        + """
import seen
def pytest_jobtest_phase_started(job): seen.note(job.name)
""",
    )

    assert [path.name for path in jobs.path.glob("*.changed")] == ["a.changed"]
    assert (jobs.path / "a.changed").read_text() == run.reasons["a"]
    assert run.seen == ["b", "a"]
    assert run.ret == 1


@pytest.fixture
def chat():
    """A chat that keeps what is posted to it."""
    heard = []

    class Chat(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Chat) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()
        thread.join()


def test_pytest_jobtest_run_ended_notifies_a_chat(jobs, chat, monkeypatch):
    url, heard = chat
    monkeypatch.setenv("CHAT_URL", url)
    monkeypatch.setenv("no_proxy", "*")
    source = "def job_a(): ...\ndef job_b(): 1 / 0\ndef job_c(b): ..."
    run = jobs(source, conftest=example("pytest_jobtest_run_ended"))

    assert heard == [{"text": "exit status 1: {'changed': 1, 'failed': 1, 'blocked': 1}"}]
    assert run.ret == 1
    assert "switched off" not in run.text
    assert jobs.run("--plan").ret == 0
    assert len(heard) == 1


def test_a_notifier_whose_chat_is_away_is_named_and_the_run_ends_as_it_did(jobs, monkeypatch):
    monkeypatch.setenv("CHAT_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "*")
    run = jobs("def job_b(): 1 / 0", conftest=example("pytest_jobtest_run_ended"))

    assert run.ret == 1
    run.stdout.fnmatch_lines(
        [
            "the hooks of conftest.py are switched off: pytest_jobtest_run_ended raised URLError: "
            "*refused* (conftest.py:9)",
            "1 job: 1 failed in *",
        ]
    )


def test_pytest_jobtest_error_hears_of_all_that_went_wrong_for_good(jobs, caplog):
    with caplog.at_level(logging.ERROR, "jobs"):
        run = jobs(
            """
            import pytest
            @pytest.mark.job(retries=1)
            def job_a(): raise ValueError("of a")
            def job_b(a): ...
            def check_c(): assert False, "of c"
            def job_d(): ...
            def cleanup_d(): raise RuntimeError("of d")
            """,
            conftest=example("pytest_jobtest_error"),
            files={"loud.py": "def pytest_jobtest_planned(plan): raise KeyError('of a hook')"},
            plugins=["loud"],
        )

    assert [record.getMessage() for record in caplog.records if record.name == "jobs"] == [
        "the run: KeyError: 'of a hook'",
        "a (run): ValueError: of a",
        "c (check): of c",
        "d (cleanup): RuntimeError: of d",
    ]
    assert run.outcomes == {"a": "failed", "b": "blocked", "c": "failed", "d": "changed"}


LOSES = """
import pytest
import seen
from jobtest.core.errors import Problem, StateLost

class Full:
    def __init__(self, store): self._store = store
    def __getattr__(self, name): return getattr(self._store, name)
    def commit(self, *, at_once=False): raise StateLost(Problem(what="the disk is full"))

def pytest_sessionstart(session):
    session.config.pluginmanager.get_plugin("jobtest-orchestration").wrap = Full

def pytest_jobtest_error(error, job, phase): seen.note(str(error), job, phase)
"""


def test_an_error_hook_hears_that_the_state_is_lost(jobs):
    run = jobs("def job_a(): ...", conftest=LOSES)

    assert run.ret == 3
    assert run.seen == [("StateLost: the disk is full", None, "")]


def test_an_error_hook_hears_of_an_internal_error(jobs, pytester):
    jobs.write(
        {
            "job_it.py": "def job_a(): ...",
            "conftest.py": """
                from pathlib import Path
                def pytest_runtest_logreport(report): raise KeyError("broken plug-in")
                def pytest_jobtest_error(error, job): Path("heard").write_text(f"{job} {error}")
                """,
        }
    )
    result = pytester.runpytest_inprocess(
        "--orchestrate", "-p", "no:hypothesispytest", "--job-state=memory://"
    )

    assert result.ret == 3
    assert (jobs.path / "heard").read_text() == "None KeyError: 'broken plug-in'"


# --- those that raise ---

RAISES = """
import pytest
import seen

def pytest_jobtest_phase_started(job):
    seen.note("started", job.name)

def pytest_jobtest_job_ended(job):
    {how}
"""
LISTENS = """
import seen
def pytest_jobtest_job_ended(job): seen.note("other", job.name)
def pytest_jobtest_error(error, job, phase): seen.note("error", error.type, job.name)
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise ValueError('told')", "ValueError: told"),
        ("pytest.fail('told')", "Failed: told"),
        ("pytest.skip('told')", "Skipped: told"),
        ("pytest.exit('told')", "Exit: told"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_hook_that_raises_switches_off_its_plugin_alone(jobs, how, said):
    run = jobs(
        "def job_a(): ...\ndef job_b(): ...",
        conftest=RAISES.format(how=how),
        files={"other.py": LISTENS},
        plugins=["other"],
    )

    line = (
        f"the hooks of conftest.py are switched off: pytest_jobtest_job_ended raised {said} (conftest.py:9)"
    )
    assert run.ret == 0
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.times(("other", "a")) == run.times(("other", "b")) == 1
    assert run.times(("error", said.partition(":")[0], "a")) == 1
    assert run.times(("started", "b")) <= 1
    assert len([note for note in run.seen if note[0] == "error"]) == 1
    assert run.text.splitlines().count(line) == 1
    assert f"PytestWarning: {line}" in run.text


def test_a_hook_that_raises_does_so_no_louder_where_warnings_are_errors(jobs):
    run = jobs("def job_a(): ...", "-Werror", conftest=RAISES.format(how="1 / 0"))

    assert run.ret == 0
    assert run.text.count("raised ZeroDivisionError") == 1


def test_an_error_hook_that_raises_is_not_told_of_itself(jobs):
    run = jobs(
        "def job_a(): 1 / 0",
        conftest="import seen\ndef pytest_jobtest_error(error):\n    seen.note(error.type)\n    1 / 0\n",
    )

    assert run.seen == ["ZeroDivisionError"]
    assert run.ret == 1


def test_the_ctrl_c_of_a_user_is_not_taken_for_a_hook_that_raises_before_the_run(jobs):
    jobs.write(
        {
            "job_it.py": "from pathlib import Path\ndef job_a(): Path('ran').touch()",
            "conftest.py": "def pytest_jobtest_planned(): raise KeyboardInterrupt",
        }
    )
    with pytest.raises(KeyboardInterrupt):
        jobs.run()

    assert not (jobs.path / "ran").exists()


# --- who is told, and in which order ---


def test_a_conftest_hears_of_the_jobs_below_its_folder(jobs):
    hears = "import seen\ndef pytest_jobtest_job_ended(job): seen.note('{}', job.name)"
    run = jobs(
        "def job_top(): ...",
        conftest=hears.format("top"),
        files={
            "deep/conftest.py": hears.format("deep") + "\ndef pytest_jobtest_planned(): seen.note('plan')",
            "deep/job_x.py": "def job_low(): ...",
            "other/job_x.py": "def job_other(): ...",
        },
    )

    assert run.seen[0] == "plan"
    assert sorted(run.seen[1:]) == [("deep", "low"), ("top", "low"), ("top", "other"), ("top", "top")]


def test_hooks_are_called_in_the_order_of_pytest(jobs):
    hears = "import pytest\nimport seen\n{}\ndef pytest_jobtest_job_ended(): seen.note('{}')"
    run = jobs(
        "def job_a(): ...",
        files={
            "last.py": hears.format("@pytest.hookimpl(trylast=True)", "last"),
            "one.py": hears.format("", "one"),
            "two.py": hears.format("", "two"),
            "first.py": hears.format("@pytest.hookimpl(tryfirst=True)", "first"),
        },
        plugins=["first", "last", "one", "two"],
    )

    assert run.seen == ["first", "two", "one", "last"]


def test_nobody_is_told_when_nobody_listens(jobs):
    run = jobs("def job_a(): ...", conftest="def pytest_jobtest_collected(jobs): ...")

    told = [type(observer).__name__ for observer in run.engine._journal.observers]
    assert "Spare" in told
    assert "Listener" not in told


def test_a_conftest_with_hooks_does_not_disturb_tests(pytester):
    pytester.makeconftest("def pytest_jobtest_job_ended(job): 1 / 0")
    pytester.makepyfile("def test_a(): ...")

    pytester.runpytest_inprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_a_hook_with_an_argument_that_there_is_not_is_refused(jobs, pytester):
    jobs.write({"conftest.py": "def pytest_jobtest_job_ended(outcome): ..."})
    result = pytester.runpytest_inprocess("--orchestrate", "-p", "no:hypothesispytest")

    assert result.ret != 0
    assert (
        "hookimpl definition: pytest_jobtest_job_ended(outcome)" in result.stdout.str() + result.stderr.str()
    )
