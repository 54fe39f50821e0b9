"""A secret is seen nowhere: not in output, files, state; whatever a job does short of hiding it itself."""

import json

import pytest
from leaks import CONFTEST, FULL, outcomes, write
from leaks import run as run_far

from jobtest.plugin.taps import Taps

FILES = (
    *("--junitxml=junit.xml", "--job-report=report.json", "--job-events=events.jsonl", "--job-graph=tree"),
    *(f"--job-graph=graph.{kind}" for kind in ("mmd", "dot", "svg", "json")),
)
WAYS = {
    "one worker": ("-J1", "-vv", "-l", "-rA", "--color=yes", "--log-cli-level=INFO", "--log-file=log.txt"),
    "four workers, live": ("-J4", "-vv", "-l", "-s"),
    "one worker, live, full path": ("-J1", "-s", "-l", "--log-cli-level=INFO"),
    "processes, live": ("-J2", "--job-executor=process", "-s", "-l"),
    "processes": ("-J2", "--job-executor=process", "-vv", "-l", "-rA"),
    "four workers, full path": ("-J4", "-vv", "-l", "-rA"),
}
FEW = ("four workers, live",)
"""What is tried always: each is a process or many; the rest on demand."""

ways = [pytest.param(way, marks=[pytest.mark.rarely] * (way not in FEW)) for way in WAYS]


@pytest.mark.parametrize("way", ways)
def test_no_secret_comes_out_however_a_job_lets_it_go(tmp_path, way):
    write(tmp_path, conftest=CONFTEST + (FULL if "full" in way else ""))
    ran = run_far(tmp_path, *WAYS[way], *FILES)
    assert ran.leaked() == {}
    assert ran.ret == 1, ran.text + ran.errors
    assert ran.text.count(b"***") > 100
    for file in ("junit.xml", "report.json", "events.jsonl", ".jobtest/state.db"):
        assert b"***" in (tmp_path / file).read_bytes(), file
    assert b"INTERNALERROR" not in ran.text
    assert b"value: its value is kept for this run only: it holds the secret 'password'" in ran.text
    assert outcomes(ran).startswith("33 jobs: 11 changed, 21 failed, 1 skipped in")


def test_a_plan_has_no_secret_and_can_be_applied(tmp_path):
    write(tmp_path)
    given = ("--job-only=account", "--job-only=gate", "--job-only=print")
    ran = run_far(tmp_path, *given, "--plan", "--job-plan-out=plan.toml", "-v")
    assert ran.leaked() == {}
    assert b"it does not hold now: the state is ['***'" in ran.text
    assert b"--job-set 'password=***'" in (tmp_path / "plan.toml").read_bytes()
    applied = run_far(tmp_path, "--job-apply=plan.toml")
    assert applied.leaked() == {}
    assert applied.ret == 1, applied.text


# --- in this process ---

SECRET = {"jobtest.toml": 'secrets = ["password"]'}
GIVEN = "--job-set=password=hunter2"


def test_a_parametrised_job_must_not_have_a_secret_in_its_id_or_parameters(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.parametrize("p", ["hunter2", pytest.param("to hunter2", id="x"), "other"])
        def job_a(p): pass
        def job_b():
            "Logs in with hunter2."
        """,
        GIVEN,
        files=SECRET,
    )
    assert run.ret == 4
    assert "parameters of job 'a[***]' hold the secret 'password'" in run.text
    assert "parameters of job 'a[x]' hold the secret 'password'" in run.text
    assert "the text of job 'b' hold the secret 'password'" in run.text
    assert "fix: let it take the secret from the fixture params" in run.text
    assert "a[other]" not in run.text
    assert "hunter2" not in run.text + run.errors


@pytest.mark.parametrize(
    ("settings", "args", "said"),
    [
        ('secrets = ["pasword"]', [GIVEN], "did you mean 'password'?"),
        ('secrets = ["password"]', [], 'If it may be missing, write "password?"'),
        ('secrets = ["password"]', ["--job-set=password=abc"], "has 3 characters"),
        ('secrets = "password"', [GIVEN], "must be a list of names: of parameters, or env:NAME"),
        ("secrets = [1]", [GIVEN], "must be a list of names"),
    ],
)
def test_settings_that_would_mask_nothing_or_everything_are_refused(jobs, settings, args, said):
    run = jobs("def job_a(): pass", *args, files={"jobtest.toml": settings})
    assert run.ret == 4
    assert said in run.errors + run.text


def test_other_mistakes_are_told_without_the_secret(jobs):
    run = jobs("def job_a(): pass", GIVEN, "--job-report=hunter2.xml", files=SECRET)
    assert run.ret == 4
    assert "--job-report '***.xml': cannot tell what to write" in run.errors
    run = jobs("def job_a(): pass", GIVEN, "--job-only=hunter2", files=SECRET)
    assert run.ret == 4
    assert "'***'" in run.errors
    assert "hunter2" not in run.text + run.errors


def test_an_import_that_fails_with_a_secret_is_told_without_it(jobs, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    source = """
    import os
    print("connecting with", os.environ["DB_PASSWORD"])
    raise RuntimeError(f"no access with {os.environ['DB_PASSWORD']}")
    """
    heard = []

    class Listener:
        def pytest_collectreport(self, report):
            heard.append(f"{report.longreprtext} {report.sections}")

    run = jobs(source, files={"jobtest.toml": 'secrets = ["env:DB_PASSWORD"]'}, plugins=[Listener()])
    assert run.ret == 4
    assert "hunter2" not in str(heard)
    assert "RuntimeError: no access with ***" in run.text
    assert "connecting with ***" in run.text
    assert "hunter2" not in run.text + run.errors


def test_values_reach_other_jobs_unmasked_and_are_masked_in_reports_only(jobs):
    jobs.remembers = True
    source = """
    from seen import note
    def job_a(params): return {"password": params.password, "pin": 1}
    def job_b(a): note(a)
    """
    run = jobs(source, GIVEN, "--job-report=r.json", files=SECRET)
    assert run.seen == [{"password": "hunter2", "pin": 1}]
    report = json.loads((jobs.path / "r.json").read_text())
    assert report["jobs"][0]["value"] == {"password": "***", "pin": 1}
    assert report["jobs"][0]["notes"] == [
        "its value is kept for this run only: it holds the secret 'password'"
    ]
    state = b"".join(file.read_bytes() for file in (jobs.path / ".jobtest").iterdir())
    assert b"--job-set=password=***" in state
    assert b"hunter2" not in state
    again = jobs.run(GIVEN, "--job-resume", "--job-only=b")
    assert again.ret == 0, again.text


def test_the_command_to_try_again_shows_no_secret(jobs):
    run = jobs("def job_a(params): assert not params.password", GIVEN, files=SECRET)
    assert "again: pytest" in run.text
    assert "'--job-set=password=***'" in run.text
    assert "AssertionError: assert not '***'" in run.text


def test_without_secrets_nothing_is_put_in_the_way(jobs, monkeypatch):
    monkeypatch.setattr(Taps, "__init__", None)  # it would raise
    met = []

    class Look:
        def pytest_sessionfinish(self, session):
            config = session.config
            met.append(config.pluginmanager.has_plugin("jobtest-masking"))

    run = jobs("import sys\ndef job_a(): print(type(sys.stdout).__name__)", "-s", plugins=[Look()])
    assert run.ret == 0
    assert met == [False]
    assert "_Router" not in run.text


def test_a_prompt_is_shown_at_once_and_the_beginning_of_a_secret_waits(jobs):
    source = """
    import sys
    from seen import note
    def job_a(params):
        sys.stdout.write("Continue? ")
        sys.stdout.write("hunt")
        sys.stdout.write("ing hunter")
        sys.stdout.write("2 and hun")
    """
    run = jobs(source, GIVEN, "-s", files=SECRET)
    assert "Continue? hunting *** and hun" in run.text


def test_a_line_that_is_too_long_to_wait_for_its_end_is_not_cut_within_a_secret(jobs):
    source = """
    import sys
    def job_a(params):
        sys.stdout.write("y" * 65_540 + "hunt")
        sys.stdout.write("er2 and more")
    """
    run = jobs(source, GIVEN, "-s", "-J2", files=SECRET)
    assert run.text.count("y" * 10 + "\n") == 1
    assert "a | *** and more" in run.text


def test_other_plugins_hear_warnings_reports_and_events_without_secrets(jobs):
    heard = []

    class Listener:
        def pytest_warning_recorded(self, warning_message):
            heard.append(str(warning_message.message))

        def pytest_runtest_logreport(self, report):
            heard.append(f"{report.longreprtext} {report.sections} {report.user_properties}")

        def pytest_jobtest_job_ended(self, record):
            heard.append(str(record))

    source = """
    import warnings
    class Odd(UserWarning):
        def __init__(self, one, two): super().__init__(f"{one} {two}")
    def job_a(params, record_property):
        warnings.warn(f"mind {params.password}")
        warnings.warn(Odd("not", params.password))
        record_property("a", {"b": [params.password, 1]})
        print(params.password)
        raise ValueError(params.password)
    """
    jobs(source, GIVEN, files=SECRET, plugins=[Listener()])
    assert "mind ***" in heard
    assert "not ***" in heard
    assert any("{'b': ['***', 1]}" in one for one in heard)
    assert "hunter2" not in str(heard)


def test_what_other_plugins_write_to_the_terminal_is_masked_also_in_colours(jobs):
    conftest = """
    def pytest_report_header(): return "talking to hunter2"
    def pytest_terminal_summary(terminalreporter):
        terminalreporter.write_line("hun\\x1b[31mter2 is in colours")
        terminalreporter._tw.line("hunter2 in bold", bold=True)
    """
    run = jobs("def job_a(): pass", GIVEN, "--color=yes", files=SECRET, conftest=conftest)
    assert "talking to ***" in run.text
    assert "***\x1b[31m is in colours" in run.text
    assert "*** in bold" in run.text


def test_descriptors_stay_masked_when_the_capture_of_pytest_has_come_and_gone(tmp_path):
    source = """
    import os, pytest
    def job_alone(capsys): pass
    @pytest.mark.job(after=["alone"])
    def job_later(password): os.write(1, f"later: {password}\\n".encode())
    """
    write(tmp_path, source=source)
    ran = run_far(tmp_path, "-J2")
    assert ran.leaked() == {}
    assert b"later: ***" in ran.text
