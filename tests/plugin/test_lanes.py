"""Where jobs run, as they say and as the command line says; timeouts as a user sees them."""

import pytest

SOURCE = """
    import os, pytest
    from seen import note
    HERE = os.getpid()
    def where(): return "here" if os.getpid() == HERE else "away"
    def job_plain(): return where()
    @pytest.mark.job(executor="thread")
    def job_thread(): return where()
    @pytest.mark.job(executor="process")
    def job_process(): return where()
    @pytest.mark.job(isolate=True)
    def job_isolated(): return where()
    @pytest.mark.job(timeout=30)
    def job_timed(): return where()
    @pytest.mark.job(timeout=30, executor="thread")
    def job_timed_thread(): return where()
    @pytest.mark.job(timeout=30)
    async def job_timed_async(): return where()
    @pytest.mark.job(memory="1G")
    def job_small(): return where()
    def job_alone(capsys): return where()
    @pytest.mark.job(isolate=True)
    def job_away(capsys): return where()
    def job_all(plain, thread, process, isolated, timed, timed_thread, timed_async, small, alone, away):
        note(dict(locals()))
"""
AWAY = {"process", "isolated", "timed", "small", "away"}


def away(run):
    (places,) = run.seen
    return {name for name, place in places.items() if place == "away"}


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_jobs_run_where_they_say(jobs, workers):
    run = jobs(SOURCE, workers)
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert away(run) == AWAY


def test_jobs_that_do_not_say_run_where_the_command_line_says(jobs):
    source = SOURCE.replace("def job_all", '@pytest.mark.job(executor="thread")\n    def job_all')
    run = jobs(source, "--job-executor=process")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert away(run) == AWAY | {"plain", "alone", "timed_async"}


def test_the_setting_says_it_too_and_the_command_line_wins(jobs):
    jobs.write(
        {
            "job_it.py": "import os\nHERE = os.getpid()\ndef job_a(): assert os.getpid() == HERE",
            "jobtest.toml": 'executor = "process"',
        }
    )
    assert jobs.run().outcomes == {"a": "failed"}
    assert jobs.run("--job-executor=thread").outcomes == {"a": "changed"}


def test_with_a_debugger_all_jobs_are_called_where_it_sees_them(jobs):
    source = """
    import os, pytest
    HERE = os.getpid()
    @pytest.mark.job(isolate=True, timeout=30)
    def job_a(): assert os.getpid() == HERE
    """
    assert jobs(source, "--pdb").outcomes == {"a": "changed"}


def test_the_plan_says_which_jobs_have_a_process(jobs):
    run = jobs("import pytest\n@pytest.mark.job(isolate=True)\ndef job_a(capsys): pass", "--plan", "-v")
    assert "no check; a leaf; in a process" in run.text
    assert "in processes of their own: 1 of 1 jobs" in run.text


def test_an_executor_that_there_is_not_is_refused(jobs):
    run = jobs("def job_a(): pass", "--job-executor=proces")
    assert run.ret == 4
    assert "--job-executor 'proces' is not known" in run.errors
    assert "did you mean 'process'?" in run.errors


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
@pytest.mark.parametrize(
    ("mark", "define", "said"),
    [
        ("", "def job_a(): print('printed', flush=True); time.sleep(30)", "run timed out after 0.2 s"),
        ("", "async def job_a(): print('printed'); await asyncio.sleep(30)", "run timed out after 0.2 s"),
        (
            ', executor="thread"',
            "def job_a(): print('printed'); event('never').wait(2)",
            "run timed out after 0.2 s, and its body goes on in this process",
        ),
    ],
    ids=["process", "async", "thread"],
)
def test_a_job_that_takes_too_long_has_failed_with_what_it_printed(jobs, workers, mark, define, said):
    source = f"""
    import asyncio, time, pytest
    from seen import event
    @pytest.mark.job(timeout=0.2{mark})
    {define}
    def job_b(a): pass
    def job_c(): pass
    """
    run = jobs(source, workers)
    assert run.outcomes == {"a": "failed", "b": "blocked", "c": "changed"}
    assert run.reasons["a"] == said
    assert run.ret == 1
    assert run.section("a", "stdout") == "printed\n"


def test_a_cleanup_that_takes_too_long_is_an_error_and_stays_owed(jobs):
    jobs.remembers = True
    source = """
    import time, pytest
    @pytest.mark.job(timeout=0.2)
    def job_a(): pass
    def cleanup_a(): time.sleep(30)
    """
    run = jobs(source, "--job-keep")
    run = jobs.run("--job-command=cleanup")
    assert "timed out after 0.2 s" in run.text
    assert run.ret == 1
    assert "cleanups owed by earlier runs: a" in jobs.run("--plan").text
