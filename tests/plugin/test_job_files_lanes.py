"""Jobs of job files: the built-in task types, and where they are called."""

import os
import time

import pytest

ALL = """
    [[job]]
    name = "list"
    task = "shell"
    args = { command = "ls data", env = { LC_ALL = "C" } }

    [[job]]
    name = "note"
    task = "write_file"
    args = { path = "out/note.txt", content = "${job_list}", mode = "0600" }

    [[job]]
    name = "backup"
    task = "archive"
    needs = ["note"]
    args = { input_directory_path = "${ROOTDIR}/data", target_file_path = "out/${PLATFORM}_${RUN_ID}.zip" }

    [[job]]
    name = "get"
    task = "download"
    args = { url = "file://${ROOTDIR}/data/a.txt", target_file_path = "out/b.txt" }

    [[job]]
    name = "prune"
    task = "prune"
    args = { folder = "old", pattern = "*.log", older_than_days = 30 }
"""


SAY = """
    from seen import note
    def task_say(word: str):
        note(word)
        return word + "!"
"""


@pytest.fixture
def workshop(jobs):
    jobs.write({"data/a.txt": "a", "old/x.log": "x", "old/y.log": "y"})
    long_ago = time.time() - 40 * 86400
    os.utime(jobs.path / "old/x.log", (long_ago, long_ago))
    return jobs


@pytest.mark.parametrize("lane", ["thread", "process"])
def test_the_built_in_types_do_their_work_on_every_lane(workshop, lane):
    workshop.write({"job_it.toml": ALL})
    run = workshop.run(f"--job-executor={lane}")
    assert run.ret == 0
    assert set(run.outcomes.values()) == {"changed"}
    assert (workshop.path / "out/note.txt").read_text() == "a.txt"
    assert (workshop.path / "out/note.txt").stat().st_mode & 0o777 == 0o600
    assert (workshop.path / "out/b.txt").read_text() == "a"
    assert len(list((workshop.path / "out").glob("linux_*.zip"))) == 1
    assert [file.name for file in (workshop.path / "old").iterdir()] == ["y.log"]
    again = workshop.run(f"--job-executor={lane}")
    changed = {name for name, outcome in again.outcomes.items() if outcome == "changed"}
    assert changed == {"job_it.toml::list", "job_it.toml::backup"}, (
        "a shell without check, and a new id of the run"
    )


def test_what_a_task_is_refused_is_told_without_a_traceback(workshop):
    workshop.write(
        {"job_it.toml": "tasks = [{ name = 'shell', args = { command = 'sh -c \"echo out; exit 3\"' } }]"}
    )
    run = workshop.run()
    assert run.outcomes == {"job_it.toml::shell": "failed"}
    shown = run.longrepr("job_it.toml::shell")
    assert "ended with exit status 3" in shown
    assert ".py" not in shown
    assert run.section("job_it.toml::shell", "stdout") == "out\n"


def test_a_plan_says_what_prune_would_delete(workshop):
    workshop.write({"job_it.toml": ALL})
    run = workshop.run("--plan")
    assert "x.log" in run.reasons["job_it.toml::prune"]
    assert (workshop.path / "old/x.log").exists()


def test_hocon_becomes_jobs_too(jobs):
    jobs.write(
        {
            "base.conf": "vars { word = plain }\n",
            "job_it.conf": """
                include "base.conf"
                job = [
                  { name = first, task = say, args { word = ${vars.word} } }
                  { name = second, task = say, args { word = "${job_first}" }, priority = ${count} }
                ]
            """,
            "conftest.py": SAY,
        }
    )
    run = jobs.run("--job-set", "count=3")
    assert run.ret == 0
    assert run.seen == ["plain", "plain!"]
    assert run.summary.plan.graph["job_it.conf::second"].priority == 3


@pytest.mark.parametrize("args", [(), ("--job-executor=process",)], ids=["thread", "process"])
def test_what_the_check_of_a_built_in_type_says_is_shown_without_its_source(jobs, args):
    jobs.write({"job_it.toml": '''
        [[job]]
        name = "note"
        task = "write_file"
        args = { path = "note.txt", content = "x" }
    '''})  # fmt: skip
    run = jobs.run("--drift", *args)

    assert run.ret == 1
    assert run.longrepr("job_it.toml::note") == "'note.txt' is not there"
    assert "note: check did not hold: 'note.txt' is not there\n" in run.text
