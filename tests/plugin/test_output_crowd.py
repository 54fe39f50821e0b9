"""Fifty jobs at once, on threads, on the loop and in processes: all is told apart (PRODUCT 6.5)."""

import json
import re

import pytest

JOBS = 50
LINES = 20

CROWD = """
    import asyncio, logging, sys, threading, warnings
    from concurrent.futures import ThreadPoolExecutor
    import pytest

    LOG = logging.getLogger("crowd")

    def talk(who, part, attempt):
        for line in range(LINES):
            print(f"<out {who} {attempt} {part} {line}>")
            print(f"<err {who} {attempt} {part} {line}>", file=sys.stderr)
            LOG.warning("<log %s %s %s %s>", who, attempt, part, line)
        warnings.warn(f"<warn {who} {attempt} {part}>")

    def talk_in_thread(*what):
        thread = threading.Thread(target=talk, args=what)
        thread.start()
        thread.join()

    @pytest.fixture
    def talking(request, attempt):
        who = request.node.name
        talk(who, "setup", attempt.number)
        yield who
        talk(who, "teardown", attempt.number)

    def again(number):
        if number == 1:  # to show a traceback, pytest silences warnings in all threads for a moment
            pytest.fail("not yet", pytrace=False)

    def say(who, number):
        talk(who, "body", number)
        talk_in_thread(who, "thread", number)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(talk, who, "pool", number).result()
        again(number)

    @pytest.mark.job(retries=1)
    @pytest.mark.parametrize("n", range(20))
    def job_thread(n, talking, attempt):
        say(talking, attempt.number)

    @pytest.mark.job(retries=1)
    @pytest.mark.parametrize("n", range(20))
    async def job_async(n, talking, attempt):
        await asyncio.sleep(0)
        talk(talking, "body", attempt.number)
        await asyncio.to_thread(talk, talking, "thread", attempt.number)
        await asyncio.get_running_loop().run_in_executor(None, talk, talking, "pool", attempt.number)
        again(attempt.number)

    @pytest.mark.job(retries=1, isolate=True)
    @pytest.mark.parametrize("n", range(10))
    def job_process(n, talking, attempt):
        say(talking, attempt.number)
""".replace("LINES", str(LINES))

PARTS = ("body", "thread", "pool")
KINDS = {"out": "stdout", "err": "stderr", "log": "log"}


def said(text, kind):
    """Who, attempt, part and line of everything of a kind, in order."""
    return [
        (who, int(attempt), part, int(line))
        for who, attempt, part, line in re.findall(rf"<{kind} (\S+) (\d) (\w+) (\d+)>", text)
    ]


def expected(who, attempt, parts):
    return [(who, attempt, part, line) for part in parts for line in range(LINES)]


@pytest.mark.rarely
def test_all_that_fifty_jobs_at_once_say_belongs_to_their_jobs_and_attempts(jobs):
    heard = Heard()
    run = jobs(CROWD, f"-J{JOBS}", "--job-report=r.json", "--show-capture=no", plugins=[heard])
    assert run.counts()["passed"] == JOBS, run.text
    told = json.loads((jobs.path / "r.json").read_text())["jobs"]
    assert len(told) == JOBS
    for job in told:
        who = job["id"].rpartition("::")[2]
        assert_bodies_are_told_apart(who, job["attempts"])
        last = next(one for one in run.reports if one.nodeid == job["id"] and one.when == "teardown")
        assert_fixtures_are_told_apart(who, last.sections)
    assert_warnings_are_told_apart(heard.warned)
    assert not re.search(r"<(out|err|log) ", run.text + run.errors)


class Heard:
    """Keeps the warnings that pytest hears of, each with its job."""

    def __init__(self):
        self.warned = []

    def pytest_warning_recorded(self, warning_message, nodeid):
        self.warned.append((nodeid.rpartition("::")[2], str(warning_message.message)))


def assert_bodies_are_told_apart(who, attempts):
    assert [attempt["number"] for attempt in attempts] == [1, 2]
    for attempt in attempts:
        for kind, stream in KINDS.items():
            assert said(attempt[stream], kind) == expected(who, attempt["number"], PARTS), (who, stream)
            assert attempt[stream].count("\n") == len(PARTS) * LINES - (kind == "log")


def assert_fixtures_are_told_apart(who, sections):
    for kind, stream in KINDS.items():
        for part in ("setup", "teardown"):
            text = "\n".join(text for name, text in sections if name == f"Captured {stream} {part}")
            found = [one for number in (1, 2) for one in expected(who, number, [part])]
            assert sorted(said(text, kind)) == sorted(found), (who, kind, part)


def assert_warnings_are_told_apart(warned):
    found = [(nodeid, *re.findall(r"<warn (\S+) (\d) (\w+)>", said)) for nodeid, said in warned]
    assert all(nodeid == who for nodeid, (who, _, _) in found)
    assert len(found) == len(set(found)) == JOBS * 2 * (len(PARTS) + 2)


def test_a_job_alone_has_its_output_after_setup_show_has_told_of_others(jobs):
    """The capture of pytest was left on, behind the streams that tell jobs apart."""
    jobs.write({"job_it.py": """
        import pytest

        @pytest.fixture(autouse=True)
        def said():
            print("said")

        def job_alone(monkeypatch, capsys):
            pass

        @pytest.mark.job(retries=1, retry_delay=0.01, on_failure="continue")
        def job_again():
            raise ValueError

        @pytest.mark.job(isolate=True, needs=["again"])
        def job_away():
            pass
    """})  # fmt: skip
    run = jobs.run("-J4", "--setup-show")

    assert run.outcomes == {"alone": "changed", "again": "failed", "away": "changed"}
