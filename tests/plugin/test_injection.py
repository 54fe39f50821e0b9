"""`--job-inject`: faults on purpose, where they are allowed (PRODUCT 7.8)."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from told import usage

from jobtest.cli.main import main

ALLOWED = {"jobtest.toml": "allow_faults = true\n[contexts.dev]\nallow_faults = true\n[contexts.prod]\n"}

NIGHT = """
import pytest
from seen import note

@pytest.mark.job(retries=2)
def job_popcorn(): note("popcorn")
def cleanup_popcorn(): note("swept")
def job_lights(): note("lights")
def rollback_lights(error): note("lights on")
def job_watch(popcorn, lights): note("watch")
"""


@pytest.fixture
def night(jobs):
    """A function: run the night with options."""

    def run(*args, source=NIGHT):
        return jobs(source, *args, files=ALLOWED)

    return run


def test_a_fault_of_one_attempt_is_tried_again_and_told_everywhere(night, jobs):
    files = ["--job-report=r.json", "--junitxml=j.xml", "--job-events=e.jsonl"]
    run = night("--job-inject=fail:popcorn@1", "-v", *files)
    assert run.ret == 0
    assert run.seen == ["popcorn", "lights", "watch", "swept"]
    assert "faults: fail:popcorn@1" in run.text
    assert "popcorn: injected: fail at attempt 1" in run.text
    report = {job["name"]: job for job in json.loads((jobs.path / "r.json").read_text())["jobs"]}
    assert {name: job["injected"] for name, job in report.items()} == {
        "popcorn": ["fail at attempt 1"],
        "lights": [],
        "watch": [],
    }
    phases = [phase for attempt in report["popcorn"]["attempts"] for phase in attempt["phases"]]
    assert [phase["message"] for phase in phases] == ["injected: fail (--job-inject)", None]
    marked = ElementTree.parse(jobs.path / "j.xml").findall(".//property[@name='jobtest.injected']")
    assert [one.get("value") for one in marked] == ["fail at attempt 1"]
    assert '"injected: fail at attempt 1"' in (jobs.path / "e.jsonl").read_text()


def test_a_fault_of_every_attempt_fails_the_job_and_blocks_what_needs_it(night):
    run = night("--job-inject=fail:popcorn")
    assert run.ret == 1
    assert run.outcomes == {"popcorn": "failed", "lights": "changed", "watch": "blocked"}
    assert run.reasons["popcorn"] == "run raised injected: fail (--job-inject)"
    assert run.seen == ["lights", "swept"]
    assert run.jobs["popcorn"].injected == [f"fail at attempt {number}" for number in (1, 2, 3)]
    assert run.longrepr("popcorn") == "injected: fail (--job-inject)"
    assert "again: pytest" in run.text
    assert "--job-inject" not in run.text.partition("again: ")[2].partition("\n")[0]


def test_an_injected_failure_is_rolled_back_as_a_real_one(night):
    run = night("--job-inject=fail:watch", "--job-rollback=run")
    assert run.outcomes == {"popcorn": "changed", "lights": "changed", "watch": "failed"}
    assert run.seen == ["popcorn", "lights", "lights on", "swept"]


def test_several_faults_in_several_options(night):
    run = night("--job-inject", "timeout:popcorn, delay:lights=0.05", "--job-inject=fail:watch")
    assert run.kinds == {"popcorn": "timeout"}
    assert run.reasons["popcorn"] == "run timed out, injected: timeout (--job-inject)"
    assert run.jobs["lights"].injected == ["delay 0.05 s at attempt 1"]
    assert "not injected: fail:watch (its run phase was not begun)" in run.text


def test_the_recheck_decides_also_after_an_injected_failure(night):
    source = """
        from seen import note
        def check_popcorn(): return len(notes) > 0
        notes = []
        def check_lights(): notes.append(1); return len(notes) > 1
        def job_lights(): note("lights")
    """
    run = night("--job-inject=fail:lights", source=source)
    assert run.outcomes["lights"] == "changed"
    assert "run raised injected: fail (--job-inject), and its check holds" in run.text
    assert run.seen == []


def test_a_job_that_is_not_there_is_not_shown_as_its_check(night):
    """What was injected is shown first, the check after it."""
    source = "def check_lights(): assert 'dark' == 'bright'\ndef job_lights(): pass"
    run = night("--job-inject=fail:lights", source=source)
    assert run.kinds == {"lights": "run_error"}
    assert run.longrepr("lights") == "injected: fail (--job-inject)"


@pytest.mark.parametrize("fault", ["fail:lights[a]", "fail:job_it.py::job_lights[a]@1"])
def test_an_instance_or_a_full_reference_is_meant_alone(night, fault):
    source = """
        import pytest
        @pytest.mark.parametrize("room", ["a", "b"])
        def job_lights(room): pass
    """
    assert night(f"--job-inject={fault}", source=source).outcomes == {
        "lights[a]": "failed",
        "lights[b]": "changed",
    }


ISOLATED = """
import pytest
from pathlib import Path

@pytest.fixture
def screen():
    Path("screen").write_text("up")
    yield
    Path("screen").unlink()

@pytest.mark.job(isolate=True, retries=1)
def job_film(screen, attempt): Path("film").write_text("seen")
"""


@pytest.mark.parametrize("kind", ["kill", "fail", "timeout", "delay"])
def test_a_fault_in_a_process_of_its_own(night, jobs, kind):
    delay = "=0.05" if kind == "delay" else ""
    run = night(f"--job-inject={kind}:film{delay}@1", source=ISOLATED)
    assert run.ret == 0, run.text
    ((told,), record) = run.jobs["film"].injected, run.jobs["film"]
    assert told == f"{kind}{' 0.05 s' if delay else ''} at attempt 1"
    assert len(record.attempts) == (1 if delay else 2)
    assert (jobs.path / "film").exists()
    verdicts = {"kill": "crashed", "fail": "raised", "timeout": "timed_out", "delay": "ok"}
    assert record.attempts[0].phases[0].verdict.value == verdicts[kind]


def test_a_failure_in_a_process_of_its_own_is_shown_as_one_on_a_thread(night):
    run = night("--job-inject=fail:film", "-rf", source=ISOLATED)
    assert run.longrepr("film") == "injected: fail (--job-inject)"
    assert "FAILED job_it.py::job_film - injected: fail (--job-inject)" in run.text


def test_a_killed_process_is_a_crash_that_is_told_as_injected(night, jobs):
    run = night("--job-inject=kill:film", source=ISOLATED)
    assert run.kinds == {"film": "crashed"}
    assert run.reasons["film"] == "run was cut short, injected: kill (--job-inject)"
    assert not (jobs.path / "film").exists()


def test_a_set_up_that_fails_is_no_injected_fault(night):
    source = "import pytest\n@pytest.fixture\ndef screen(): raise OSError('torn')\ndef job_film(screen): pass"
    run = night("--job-inject=fail:film", source=source)
    assert run.kinds == {"film": "setup_error"}
    assert run.jobs["film"].injected == []


def test_a_generator_job_that_is_to_fail_opens_nothing(night):
    source = """
        from seen import note
        def job_hall():
            note("open")
            yield 1
            note("closed")
        def job_film(hall): note("film")
    """
    run = night("--job-inject=fail:hall", source=source)
    assert (run.outcomes, run.seen) == ({"hall": "failed", "film": "blocked"}, [])


def test_a_replay_has_the_same_faults(night, jobs):
    first = night("--job-inject=fail:popcorn@1-2,delay:lights=0.05", "--job-report=r.json")
    again = jobs.run("--job-replay=r.json", "--job-report=again.json")
    assert again.seen == first.seen
    assert "faults: fail at attempt 1 of job_it.py::job_popcorn, fail at attempt 2 of" in again.text
    assert {name: record.injected for name, record in again.jobs.items()} == {
        "popcorn": ["fail at attempt 1", "fail at attempt 2"],
        "lights": ["delay 0.05 s at attempt 1"],
        "watch": [],
    }


def test_a_replay_of_faults_is_refused_where_they_are_not_allowed(night, jobs):
    night("--job-inject=fail:popcorn@1", "--job-report=r.json")
    assert usage(jobs.run("--job-replay=r.json", "--job-context=prod")) == (
        "--job-replay repeats the faults of that run, and context 'prod' does not allow faults\n"
        "  fix: set contexts.prod.allow_faults = true in the settings (jobtest.toml), or --job-context=dev, "
        "which allows them"
    )
    assert jobs.run("--job-replay=r.json", "--job-context=prod", "--plan").ret == 0


def test_faults_are_refused_where_no_settings_allow_them(jobs):
    assert usage(jobs(NIGHT, "--job-inject=fail:popcorn")) == (
        "--job-inject: the settings do not allow faults\n  fix: set allow_faults = true in the settings"
    )


def test_a_context_allows_faults_itself_or_not_at_all(night):
    assert night("--job-inject=delay:lights=0.01", "--job-context=dev").ret == 0
    assert usage(night("--job-inject=delay:lights=0.01", "--job-context=prod")).startswith(
        "--job-inject: context 'prod' does not allow faults\n"
    )


def test_all_that_is_wrong_is_told_at_once(night):
    given = "fial:popcorn, fail:popcron, kill:lights, delay:watch, fail:popcorn, timeout:popcorn@2"
    assert usage(night(f"--job-inject={given}", "--job-context=prod")) == (
        "--job-inject 'fial:popcorn': 'fial' is no fault\n"
        "  fix: did you mean 'fail'?\n"
        "--job-inject 'delay:watch' does not say for how many seconds\n"
        "  fix: write delay:watch=SECONDS\n"
        "--job-inject: context 'prod' does not allow faults\n"
        "  fix: set contexts.prod.allow_faults = true in the settings (jobtest.toml), or --job-context=dev, "
        "which allows them\n"
        "--job-inject names 'popcron', which is not a job\n"
        "  fix: did you mean 'popcorn'?\n"
        "--job-inject 'kill:lights': job 'lights' has no process of its own that could be killed\n"
        "  at: job_it.py::job_lights\n"
        "  fix: isolate=True on the job, or --job-executor=process\n"
        "'fail:popcorn' and 'timeout:popcorn@2' are both for attempt 2 of popcorn\n"
        "  fix: say which attempt of them each is for: @1, @2-3"
    )


@pytest.mark.parametrize("asked", ["--plan", "--drift"])
def test_what_runs_nothing_cannot_have_faults(night, asked):
    told = usage(night("--job-inject=fail:popcorn", asked))
    assert told == f"{asked} and --job-inject are two questions\n  fix: ask one at a time"


def test_other_verbs_cannot_have_faults(night):
    told = usage(night("--job-inject=fail:popcorn", "--job-command=delete"))
    assert told.startswith("--job-inject is for jobs that are to run, and this is for delete\n")


def test_a_report_made_from_the_state_tells_of_faults_too(night, jobs):
    jobs.remembers = True
    run = night("--job-inject=fail:popcorn@1")
    assert main(["report", run.engine.run_id, "--junitxml", "again.xml"]) == 0
    assert 'name="jobtest.injected" value="fail at attempt 1"' in (jobs.path / "again.xml").read_text()
