"""Whose output it is (PRODUCT 6.5): what a job prints, logs and warns is in its report and nowhere else."""

import re

import pytest

BOTH = ["-J1", "-J8"]
both_ways = pytest.mark.parametrize("workers", BOTH)

CROWD = """
    import logging, sys, threading, warnings
    import pytest
    from seen import meet
    LOG = logging.getLogger("crowd")
    def talk(n, when):
        print(f"<out {when} {n}>")
        print(f"<err {when} {n}>", file=sys.stderr)
        LOG.warning("<log %s %s>", when, n)
        warnings.warn(f"<warn {when} {n}>")
    @pytest.fixture
    def talking(request):
        n = request.node.callspec.params["n"]
        talk(n, "setup")
        yield
        talk(n, "teardown")
    @pytest.mark.parametrize("n", range(30))
    def job_a(n, talking):
        meet(30, "before")
        talk(n, "run")
        meet(30, "after")
        talk(n, "end")
        assert n % 2
"""


def said_by(report):
    """Kind, part and number of everything that a report holds."""
    text = "\n".join(text for _, text in report.sections)
    return re.findall(r"<(out|err|log) (\w+) (\d+)>", text)


def test_what_thirty_jobs_say_at_once_is_in_their_own_reports_and_nowhere_else(jobs):
    run = jobs(CROWD, "-J30", "--job-report=r.json", "--show-capture=no")
    assert run.counts()["failed"] == 15
    for n in range(30):
        call = next(report for report in run.of(f"a[{n}]") if report.when == "call")
        said = {(kind, part) for kind, part, _ in said_by(call)}
        assert said == {(kind, part) for kind in ("out", "err", "log") for part in ("setup", "run", "end")}
        last = run.of(f"a[{n}]")[-1]
        assert ("out", "teardown", str(n)) in said_by(last)
        for report in run.of(f"a[{n}]"):
            assert {number for _, _, number in said_by(report)} <= {str(n)}
        attempt = run.jobs[f"a[{n}]"].attempts[-1]
        assert attempt.stdout == f"<out run {n}>\n<out end {n}>\n"
        assert attempt.stderr == f"<err run {n}>\n<err end {n}>\n"
        assert set(re.findall(r"<log (\w+) (\d+)>", attempt.log)) == {("run", str(n)), ("end", str(n))}
    assert "<out" not in run.text
    assert "<err" not in run.text + run.errors


def test_warnings_of_thirty_jobs_at_once_name_their_jobs(jobs):
    run = jobs(CROWD, "-J30", "--show-capture=no")
    summary = run.text.partition("= warnings summary =")[2]
    assert run.counts()["warnings"] == 120
    for n in (0, 17, 29):
        block = summary[summary.index(f"job_it.py::job_a[{n}]\n") :]
        assert re.search(r"UserWarning: <warn \w+ (\d+)>", block)[1] == str(n)


@both_ways
def test_output_is_shown_with_a_failure_by_part(jobs, workers):
    run = jobs(
        """
        import logging, sys, pytest
        @pytest.fixture
        def talking():
            print("out of setup")
            yield
            print("out of teardown")
        def job_a(talking):
            print("out of run")
            print("err of run", file=sys.stderr)
            logging.getLogger("a").warning("log of run")
            assert 0
        def job_b(): print("out of b")
        """,
        workers,
    )
    lines = [
        line for line in run.text.splitlines() if line.startswith(("---", "out of", "err of", "WARNING"))
    ]
    shown = "\n".join(re.sub(r"^-+ (.*?) -+$", r"# \1", line) for line in lines)
    assert "# Captured stdout setup\nout of setup" in shown
    assert "# Captured stdout call\nout of run" in shown
    assert "# Captured stderr call\nerr of run" in shown
    assert re.search(r"# Captured log call\nWARNING +a:job_it.py:\d+ log of run", shown)
    assert "# Captured stdout teardown\nout of teardown" in shown
    assert "out of b" not in run.text


@both_ways
def test_output_of_each_attempt_is_told_apart(jobs, workers):
    run = jobs(
        """
        import pytest
        @pytest.mark.job(retries=2)
        def job_a(attempt):
            print("attempt", attempt.number)
            assert 0, f"failure {attempt.number}"
        """,
        workers,
    )
    assert [attempt.stdout for attempt in run.jobs["a"].attempts] == [
        "attempt 1\n",
        "attempt 2\n",
        "attempt 3\n",
    ]
    text = run.text
    assert text.index("failure 1") < text.index("Captured stdout attempt 1") < text.index("failure 2")
    assert "Captured stdout call" in text


def test_output_of_all_phases_belongs_to_the_job(jobs):
    run = jobs(
        """
        def check_a(): print("check"); assert 0
        def job_a(): print("run")
        def cleanup_a(): print("cleanup")
        def job_b():
            print("open")
            yield
            print("close")
        """,
        "-rA",
    )
    assert run.jobs["a"].attempts[-1].stdout == "check\nrun\ncheck\n"
    last = run.of("a")[-1]
    assert "cleanup\n" in "".join(text for _, text in last.sections)
    last = run.of("b")[-1]
    assert "close\n" in "".join(text for _, text in last.sections)


@both_ways
@pytest.mark.parametrize("capture", ["fd", "sys", "tee-sys"])
def test_output_is_captured_by_either_method(jobs, workers, capture):
    run = jobs(
        """
        import sys
        def job_a(): print("out"); print("err", file=sys.stderr); assert 0
        """,
        workers,
        f"--capture={capture}",
    )
    attempt = run.jobs["a"].attempts[-1]
    assert (attempt.stdout, attempt.stderr) == ("out\n", "err\n")
    assert "Captured stdout call" in run.text


@both_ways
@pytest.mark.parametrize("option", ["-s", "--capture=no"])
def test_nothing_is_captured_when_the_user_says_so(jobs, workers, option):
    run = jobs("def job_a(): print('said at once'); assert 0", workers, option)
    assert "Captured stdout" not in run.text
    assert "said at once\n" in run.text
    assert run.jobs["a"].attempts[-1].stdout == ""


def test_file_descriptors_are_captured_on_the_main_thread(jobs):
    run = jobs("""
        import os, subprocess, sys
        def job_a():
            os.write(1, b"raw out\\n")
            os.write(2, b"raw err\\n")
            subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    """)
    assert run.ret == 0
    attempt = run.jobs["a"].attempts[-1]
    assert attempt.stdout == "raw out\nchild\n"
    assert attempt.stderr == "raw err\n"


@both_ways
def test_streams_are_as_usual_inside_a_job(jobs, workers):
    run = jobs(
        """
        import sys
        def job_a():
            sys.stdout.write("a"); sys.stdout.writelines(["b", "c"]); sys.stdout.flush()
            print("żółć 🐈", flush=True)
            assert sys.stdout.isatty() is False
            assert sys.stdout.writable()
            assert sys.stdout.encoding.lower().replace("-", "") == "utf8"
            assert sys.stdout.errors is None or isinstance(sys.stdout.errors, str)
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stdout.buffer.flush()
            with __import__("contextlib").redirect_stdout(sys.stderr):
                print("redirected")
        def job_b():
            try:
                sys.stdout.write(3)
            except TypeError as error:
                assert "must be str" in str(error)
            else:
                raise AssertionError
        """,
        workers,
    )
    assert run.ret == 0, run.text
    attempt = run.jobs["a"].attempts[-1]
    assert attempt.stdout.startswith("abcżółć 🐈\n")
    assert attempt.stderr == "redirected\n"


def test_bytes_written_to_a_stream_belong_to_the_job_on_any_thread(jobs):
    run = jobs(
        """
        import sys
        def job_a():
            print("text")
            sys.stdout.buffer.write(b"bytes \\xff ")
            for one in "ż".encode():
                sys.stdout.buffer.write(bytes([one]))
            sys.stdout.buffer.flush()
            print("more")
        """,
        "-J4",
    )
    assert run.jobs["a"].attempts[-1].stdout == "text\nbytes \ufffd żmore\n"


def test_async_jobs_that_take_turns_keep_their_output_apart(jobs):
    run = jobs(
        """
        import asyncio, pytest
        turn = []
        @pytest.mark.parametrize("n", range(10))
        async def job_a(n):
            for step in range(5):
                print(f"{n}:{step}")
                await asyncio.sleep(0)
        """,
        "-J10",
    )
    for n in range(10):
        assert run.jobs[f"a[{n}]"].attempts[-1].stdout == "".join(f"{n}:{step}\n" for step in range(5))


def test_a_logger_in_a_thread_that_a_job_starts_with_its_context_belongs_to_it(jobs):
    run = jobs(
        """
        import contextvars, threading
        def job_a():
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(print, "from a thread"))
            thread.start()
            thread.join()
        """,
        "-J2",
    )
    assert run.jobs["a"].attempts[-1].stdout == "from a thread\n"


LOGGING = """
    import logging
    def job_a():
        for level in ("debug", "info", "warning"):
            getattr(logging.getLogger("app"), level)("said %s", level)
        assert 0
"""


@both_ways
def test_the_log_level_decides_what_is_logged(jobs, workers):
    assert re.findall(r"said (\w+)", jobs(LOGGING, workers).jobs["a"].attempts[0].log) == ["warning"]
    run = jobs(LOGGING, workers, "--log-level=INFO")
    assert re.findall(r"said (\w+)", run.jobs["a"].attempts[0].log) == ["info", "warning"]
    run = jobs(LOGGING, workers, "-o", "log_level=10")
    assert re.findall(r"said (\w+)", run.jobs["a"].attempts[0].log) == ["debug", "info", "warning"]


@both_ways
def test_the_log_format_is_the_users(jobs, workers):
    run = jobs(LOGGING, workers, "--log-format=%(asctime)s|%(name)s|%(message)s", "--log-date-format=day")
    assert run.jobs["a"].attempts[0].log == "day|app|said warning"


def test_the_default_log_format_is_pytests(jobs):
    log = jobs(LOGGING).jobs["a"].attempts[0].log
    assert re.fullmatch(r"WARNING  app:job_it.py:\d said warning", log)


@both_ways
def test_a_log_file_and_a_live_log_work(jobs, workers):
    run = jobs(LOGGING, workers, "--log-file=log.txt", "--log-file-level=INFO", "--log-cli-level=WARNING")
    assert "said info" in (jobs.path / "log.txt").read_text()
    assert "said warning" in run.text


def test_a_level_that_is_none_is_told(jobs):
    run = jobs(LOGGING, "--log-level=LOUD")
    assert run.ret == 4
    assert "LOUD" in run.errors


@both_ways
def test_warnings_are_shown_in_the_summary_with_their_job(jobs, workers):
    run = jobs(
        """
        import warnings, pytest
        @pytest.fixture
        def old(): warnings.warn("from a fixture", DeprecationWarning)
        def job_a(old): warnings.warn("from a run")
        def check_b(): warnings.warn("from a check")
        """,
        workers,
    )
    summary = run.text.partition("= warnings summary =")[2]
    assert re.search(r"job_it.py::job_a\n.*DeprecationWarning: from a fixture", summary)
    assert re.search(r"job_it.py::job_a\n.*UserWarning: from a run", summary)
    assert re.search(r"job_it.py::check_b\n.*UserWarning: from a check", summary)
    assert run.counts() == {"passed": 2, "warnings": 3}


@both_ways
def test_filters_of_warnings_are_heeded(jobs, workers):
    source = """
        import warnings
        def job_a(): warnings.warn("from a run")
    """
    assert jobs(source, workers, "-W", "error").outcomes == {"a": "failed"}
    assert "from a run" not in jobs(source, workers, "-W", "ignore").text
    run = jobs(source, workers, "--disable-warnings")
    assert "from a run" not in run.text
    assert run.counts() == {"passed": 1, "warnings": 1}


@both_ways
def test_a_filter_on_a_job_is_heeded_for_it_alone(jobs, workers):
    run = jobs(
        """
        import warnings, pytest
        @pytest.mark.filterwarnings("error")
        def job_a(): warnings.warn("one")
        def job_b(): warnings.warn("two")
        """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed"}


def test_what_is_printed_between_jobs_goes_to_the_terminal(jobs):
    run = jobs(
        "def job_a(): print('by a')",
        "-J2",
        conftest="def pytest_runtest_logfinish(nodeid): print('by a hook')",
    )
    assert "by a hook" in run.text
    assert run.jobs["a"].attempts[-1].stdout == "by a\n"


def test_the_streams_are_put_back_after_the_run(jobs, capsys):
    import sys

    before = sys.stdout, sys.stderr
    jobs("def job_a(): pass", "-J3")
    assert (sys.stdout, sys.stderr) == before


PAST = """
    import os, subprocess, sys, threading, pytest

    def write(who):
        print(f"<{who} stdout>", file=sys.__stdout__, flush=True)
        os.write(1, f"<{who} fd>\\n".encode())
        subprocess.run(["echo", f"<{who} child>"], check=True)

    def job_here(): write("here")

    @pytest.mark.job(isolate=True)
    def job_away():
        write("away")
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
"""


@pytest.mark.parametrize(("workers", "captured"), [("-J1", ["away", "here"]), ("-J2", ["away"])])
def test_what_goes_past_the_streams_is_captured_on_the_main_thread_and_in_processes(jobs, workers, captured):
    jobs.write({"job_it.py": PAST})
    options = ["--orchestrate", "--job-state=memory://", "-rA", "-p", "no:hypothesispytest"]
    text = jobs.pytester.runpytest_subprocess(*options, workers).stdout.str()
    found = {
        "here": "".join(re.findall(r"<here \w+>", text)),
        "away": "".join(re.findall(r"<away \w+>", text)),
    }
    for who in ("here", "away"):
        assert found[who] == f"<{who} stdout><{who} fd><{who} child>"
    shown = text.partition("= PASSES =")[2]
    assert [who for who in ("away", "here") if f"<{who} child>" in shown] == captured
    assert "ZeroDivisionError: division by zero" in shown
    assert re.search(r"::job_away\n.*a thread raised ZeroDivisionError", text)
