"""What a run remembers of the ones before: values, inputs, files, selections."""

import pytest


@pytest.fixture
def jobs(jobs):
    jobs.remembers = True
    return jobs


CHAIN = """
from pathlib import Path
from seen import note
def job_build(params):
    note("build")
    return {"version": params.version}
def check_deploy(): assert Path("deployed").exists()
def job_deploy(build):
    note("deploy")
    Path("deployed").write_text(str(build))
"""


def test_a_second_run_changes_nothing_and_makes_no_value_again(jobs):
    assert jobs(CHAIN, "--job-set=version=1").seen == ["build", "deploy"]
    run = jobs.run("--job-set=version=1")
    assert (run.seen, run.outcomes) == ([], {"build": "unchanged", "deploy": "unchanged"})


def test_a_job_runs_again_if_a_value_that_it_takes_has_changed_though_its_check_holds(jobs):
    jobs(CHAIN, "--job-set=version=1")
    run = jobs.run("--job-set=version=2", "--job-force=build")
    assert run.seen == ["build", "deploy"]
    assert run.reasons["deploy"] == "input build changed"
    assert jobs.run("--job-set=version=2", "--job-force=build").seen == ["build"]


def test_inputs_ignore_turns_that_off(jobs):
    jobs.write(
        {"job_it.py": CHAIN.replace("def job_deploy", "@pytest.mark.job(inputs='ignore')\ndef job_deploy")}
    )
    jobs.write({"job_it.py": "import pytest\n" + (jobs.path / "job_it.py").read_text()})
    jobs.run("--job-set=version=1")
    assert jobs.run("--job-set=version=2", "--job-force=build").seen == ["build"]


def test_a_value_that_was_stored_is_what_a_consumer_takes(jobs):
    source = """
        import dataclasses, datetime, decimal, enum, pathlib
        from pathlib import Path
        from seen import note
        class Colour(enum.Enum):
            RED = 1
        @dataclasses.dataclass(frozen=True)
        class Thing:
            path: Path
            when: datetime.date
            colour: Colour
            sizes: tuple
        def check_make(): assert Path("made").exists()
        def job_make():
            Path("made").touch()
            return Thing(Path("x"), datetime.date(2026, 1, 31), Colour.RED, (1, decimal.Decimal("2.5")))
        def job_take(make):
            assert type(make) is Thing
            sizes = (1, decimal.Decimal("2.5"))
            note(make == Thing(Path("x"), datetime.date(2026, 1, 31), Colour.RED, sizes))
    """
    assert jobs(source).seen == [True]
    run = jobs.run()
    assert (run.seen, run.outcomes) == ([True], {"make": "unchanged", "take": "changed"})


def test_a_value_that_cannot_be_stored_has_one_note_and_is_made_again(jobs):
    source = """
        from pathlib import Path
        from seen import note
        def check_make(): assert Path("made").exists()
        def job_make():
            note("make")
            Path("made").touch()
            return [1, lambda: 2]
        def job_take(make): note(make[1]())
    """
    run = jobs(source)
    assert run.seen == ["make", 2]
    (line,) = [line for line in run.text.splitlines() if line.startswith("make: ")]
    assert line.startswith("make: its value is kept for this run only: $[1] is a function")
    assert jobs.run().seen == ["make", 2]


def test_a_class_that_has_changed_since_makes_its_value_be_made_again(jobs):
    source = """
        import dataclasses
        from pathlib import Path
        from seen import note
        @dataclasses.dataclass
        class Thing:
            FIELD: int = 1
        def check_make(): assert Path("made").exists()
        def job_make():
            note("make")
            Path("made").touch()
            return Thing()
        def job_take(make): note(make.FIELD)
    """
    jobs(source.replace("FIELD", "size"))
    run = jobs(source.replace("FIELD", "length"))
    assert run.seen == ["make", 1]
    assert "the stored value of make is of no use: " in run.text


def test_a_check_may_ask_for_the_value_of_its_last_success(jobs):
    source = """
        from seen import note
        def check_count(count):
            note(("check", count))
            assert count == 2
        def job_count():
            return 2
    """
    assert jobs(source).seen == [("check", 2)]
    run = jobs.run()
    assert (run.seen, run.outcomes) == ([("check", 2)], {"count": "unchanged"})


FILES = """
import pytest
from pathlib import Path
from seen import note
@pytest.mark.job(inputs=["in/*.txt"], outputs=["out.txt"])
def job_join():
    note("join")
    Path("out.txt").write_text("".join(sorted(p.read_text() for p in Path("in").glob("*.txt"))))
"""


@pytest.fixture
def joined(jobs):
    jobs.write({"in/a.txt": "a", "in/b.txt": "b"})
    run = jobs(FILES)
    assert (run.outcomes, run.reasons) == ({"join": "changed"}, {"join": "outputs missing: out.txt"})
    run = jobs.run()
    assert (run.seen, run.outcomes) == ([], {"join": "unchanged"})
    return jobs


def test_a_job_with_files_runs_when_the_content_of_an_input_has_changed(joined):
    (joined.path / "in" / "a.txt").write_text("A")
    run = joined.run()
    assert (run.outcomes, run.reasons) == ({"join": "changed"}, {"join": "inputs changed: in/a.txt"})
    assert joined.run().outcomes == {"join": "unchanged"}


def test_a_job_with_files_runs_when_an_input_came_or_went(joined):
    (joined.path / "in" / "c.txt").write_text("c")
    assert joined.run().reasons == {"join": "inputs added: in/c.txt"}
    (joined.path / "in" / "c.txt").unlink()
    assert joined.run().reasons["join"].endswith("removed: in/c.txt")


def test_a_job_with_files_runs_when_an_output_is_gone_or_another_one(joined):
    (joined.path / "out.txt").unlink()
    assert joined.run().reasons == {"join": "outputs missing: out.txt"}
    (joined.path / "out.txt").write_text("other")
    assert joined.run().reasons == {"join": "outputs changed: out.txt"}


def test_touching_a_file_changes_nothing(joined):
    (joined.path / "in" / "a.txt").write_text("a")
    assert joined.run().outcomes == {"join": "unchanged"}


def test_a_run_phase_that_raised_has_not_made_its_outputs_though_old_ones_are_there(joined):
    broken = FILES.replace('note("join")', 'raise OSError("no")')
    (joined.path / "in" / "a.txt").write_text("A")
    run = joined(broken)
    assert run.outcomes == {"join": "failed"}
    assert "its run phase raised, so its outputs may be old or incomplete" in run.reasons["join"]
    assert joined(FILES).reasons == {"join": "inputs changed: in/a.txt"}


def test_a_job_that_does_not_make_its_outputs_fails(jobs):
    run = jobs("""
        import pytest
        @pytest.mark.job(outputs=["out.txt"])
        def job_a(): pass
    """)
    assert run.reasons == {"a": "check did not hold after the run: outputs missing: out.txt"}


def test_files_and_a_check_of_ones_own_must_both_hold(jobs):
    source = FILES + "def check_join(): assert Path('ok').exists()\n"
    jobs.write({"in/a.txt": "a", "ok": ""})
    assert jobs(source).outcomes == {"join": "changed"}
    assert jobs.run().outcomes == {"join": "unchanged"}
    (jobs.path / "ok").unlink()
    assert jobs.run().outcomes == {"join": "failed"}
    (jobs.path / "ok").touch()
    (jobs.path / "in" / "a.txt").write_text("b")
    assert jobs.run().reasons == {"join": "inputs changed: in/a.txt"}


FAILING = """
from pathlib import Path
from seen import note
def job_good(): note("good")
def job_bad():
    note("bad")
    assert Path("mended").exists()
def job_below(bad): note("below")
"""


def test_last_failed_selects_what_failed_and_what_was_blocked(jobs):
    run = jobs(FAILING)
    assert run.outcomes == {"good": "changed", "bad": "failed", "below": "blocked"}
    (jobs.path / "mended").touch()
    run = jobs.run("--lf")
    assert run.seen == ["bad", "below"]
    assert f"last failed: 2 of run {run.engine.run_id}" not in run.text
    assert "last failed: 2 of run " in run.text
    run = jobs.run("--lf")
    assert sorted(run.seen) == ["bad", "below", "good"]
    assert "all jobs are selected" in run.text


def test_last_failed_without_an_earlier_run_selects_all(jobs):
    run = jobs(FAILING, "--last-failed")
    assert sorted(run.seen) == ["bad", "good"]
    assert "last failed: there is no earlier run; all jobs are selected" in run.text


def test_no_upstream_takes_stored_values(jobs):
    jobs(CHAIN, "--job-set=version=7")
    (jobs.path / "deployed").unlink()
    run = jobs.run("--job-only=deploy", "--job-no-upstream", "--job-set=version=8")
    assert (run.seen, run.outcomes) == (["deploy"], {"deploy": "changed"})
    assert (jobs.path / "deployed").read_text() == "{'version': 7}"


def test_no_upstream_without_a_stored_value_is_refused(jobs):
    run = jobs(CHAIN, "--job-only=deploy", "--job-no-upstream", "--job-set=version=8")
    assert run.ret == 4
    assert run.seen == []
    assert "--job-no-upstream: job deploy takes the value of build, and none is stored" in run.errors
    assert "fix: run build once, or leave out --job-no-upstream" in run.errors


CLEANED = """
from seen import note
def job_a(): note("a")
def cleanup_a(): note("clean a")
def job_b(a): note("b")
def cleanup_b(): note("clean b")
"""


def test_cleanups_that_are_kept_are_done_by_the_cleanup_command_exactly_once(jobs):
    run = jobs(CLEANED, "--job-keep")
    assert run.seen == ["a", "b"]
    assert "2 cleanups are owed: a, b; pytest --orchestrate --job-command=cleanup does them" in run.text
    run = jobs.run("--job-command=cleanup")
    assert run.seen == ["clean b", "clean a"]
    assert run.outcomes == {"a": "changed", "b": "changed"}
    run = jobs.run("--job-command=cleanup")
    assert (run.ret, run.seen, run.outcomes) == (0, [], {"a": "unchanged", "b": "unchanged"})
    assert run.reasons["a"] == "no cleanup is owed"


def test_a_later_run_that_cleans_up_pays_what_was_owed(jobs):
    jobs(CLEANED, "--job-keep")
    run = jobs.run()
    assert run.seen == ["a", "b", "clean b", "clean a"]
    assert jobs.run("--job-command=cleanup").seen == []


def test_a_cleanup_that_failed_is_owed_until_it_is_done(jobs):
    broken = CLEANED.replace('note("clean b")', "raise OSError('no')")
    run = jobs(broken)
    assert run.ret == 1
    assert jobs(broken, "--job-command=cleanup").ret == 1
    assert jobs(CLEANED, "--job-command=cleanup").seen == ["clean b"]
    assert jobs.run("--job-command=cleanup").seen == []


def test_the_cleanup_command_takes_values_of_the_run_that_owes(jobs):
    source = """
        from seen import note
        def job_a(): return "value of a"
        def job_b(a): pass
        def cleanup_b(a): note(a)
    """
    jobs(source, "--job-keep")
    assert jobs.run("--job-command=cleanup").seen == ["value of a"]


def test_a_checkpoint_is_there_in_the_next_attempt_and_gone_after_success(jobs):
    source = """
        import pytest
        from pathlib import Path
        from seen import note
        @pytest.mark.job(retries=1)
        def job_a(checkpoint):
            done = checkpoint.get("done", [])
            note((done, "done" in checkpoint))
            checkpoint.set("done", [*done, Path("x")])
            if len(done) < TIMES:
                raise OSError("not yet")
    """
    run = jobs(source.replace("TIMES", "1"))
    assert run.seen == [([], False), ([__import__("pathlib").Path("x")], True)]
    assert jobs.run().seen[0] == ([], False)


def test_a_checkpoint_outlives_a_run_that_failed(jobs):
    source = """
        from seen import note
        def job_a(checkpoint):
            step = checkpoint.get("step", 0) + 1
            checkpoint.set("step", step)
            note(step)
            assert step == 2
    """
    assert jobs(source).ret == 1
    assert jobs.run().seen == [2]
    assert jobs.run().seen == [1]


def test_a_checkpoint_that_cannot_be_stored_is_an_error_of_the_job(jobs):
    run = jobs("def job_a(checkpoint): checkpoint.set('f', print)")
    assert run.reasons == {"a": "run raised NotStorable: $ is a builtin_function_or_method"} or (
        "NotStorable" in run.reasons["a"]
    )


def test_old_runs_are_forgotten(jobs):
    jobs.write({"jobtest.toml": "keep_runs = 2"})
    for _ in range(4):
        run = jobs("def job_a(): return 1\ndef job_b(a): pass")
    from jobtest.state.opening import open_store

    store = open_store("", jobs.path)
    records = store.runs()
    assert (len(records), records[0].id) == (2, run.engine.run_id)
    store.close()
    assert jobs.run("--job-only=b", "--job-no-upstream").outcomes == {"b": "changed"}


@pytest.mark.parametrize("option", ["--plan", "--drift", "--collect-only"])
def test_what_only_asks_writes_nothing(jobs, option):
    jobs("def check_a(): pass\ndef job_a(): pass", option)
    assert not (jobs.path / ".jobtest").exists()


def test_a_project_that_is_refused_leaves_no_state(jobs):
    assert jobs("def job_a(nobody): pass").ret == 4
    assert not (jobs.path / ".jobtest").exists()


def test_a_state_that_is_something_else_is_refused_and_left_alone(jobs):
    (jobs.path / "notes.txt").write_text("not a state\n")
    run = jobs("from seen import note\ndef job_a(): note('ran')", "--job-state=sqlite:///notes.txt")
    assert (run.ret, run.seen) == (4, [])
    assert "notes.txt" in run.errors
    assert "fix: " in run.errors
    assert (jobs.path / "notes.txt").read_text() == "not a state\n"


@pytest.mark.parametrize("url", ["sqlite:///deep/down/state.db", "file:remembered"])
def test_the_state_may_be_elsewhere(jobs, url):
    assert jobs(CHAIN, f"--job-state={url}", "--job-set=version=1").seen == ["build", "deploy"]
    assert jobs.run(f"--job-state={url}", "--job-set=version=1").seen == []
    assert not (jobs.path / ".jobtest").exists()
    jobs.write({"jobtest.toml": f'state = "{url}"'})
    assert jobs.run("--job-set=version=1").seen == []


KILLED = """
import os
from pathlib import Path
from seen import note
def check_a(): assert Path("a").exists()
def job_a(): Path("a").touch()
def cleanup_a(): note("clean a")
def job_b(a):
    note("b")
    if not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), 9)
def cleanup_b(): note("clean b")
"""


@pytest.fixture
def killed(jobs):
    """A project whose run was killed in the body of b."""
    jobs.write({"job_it.py": KILLED, "seen.py": "def note(what): pass"})
    jobs.pytester.runpytest_subprocess("--orchestrate", "-p", "no:hypothesispytest")
    return jobs


def test_a_run_after_one_that_was_killed_cleans_up_first_and_says_what_it_found(killed):
    run = killed.run()
    assert run.seen == ["clean b", "clean a", "b", "clean b"]
    assert run.outcomes == {"a": "unchanged", "b": "changed"}
    assert "was killed with 1 of 2 jobs done, running: b; --job-resume would have gone on with it" in run.text
    assert "cleanups owed by earlier runs, done first: a, b" in run.text
    assert killed.run("--job-command=cleanup").seen == []


def test_a_run_that_goes_on_does_only_what_is_left_and_cleans_up_at_the_end(killed):
    run = killed.run("--job-resume")
    assert run.seen == ["b", "clean b", "clean a"]
    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.reasons["a"].startswith("resumed: done in run ")
    assert "b: run " in run.text
    assert "was killed while it ran; it ran again" in run.text


@pytest.mark.parametrize("option", ["--plan", "--drift"])
def test_what_only_asks_leaves_a_killed_run_as_it_is(killed, option):
    assert killed.run(option).seen == []
    assert killed.run("--job-resume").seen == ["b", "clean b", "clean a"]


def test_a_plan_may_ask_what_going_on_would_do(killed):
    run = killed.run("--plan", "--job-resume")
    assert run.outcomes == {"a": "changed", "b": "would-run"}


def test_a_job_that_must_not_run_twice_fails_in_every_run_until_it_is_forced(jobs):
    source = KILLED.replace("def job_b", '@pytest.mark.job(on_crash="fail")\ndef job_b')
    jobs.write({"job_it.py": "import pytest\n" + source, "seen.py": "def note(what): pass"})
    jobs.pytester.runpytest_subprocess("--orchestrate", "-p", "no:hypothesispytest")
    for args in ((), ("--job-resume",), ()):
        run = jobs.run(*args)
        assert "b" not in run.seen
        assert run.kinds == {"b": "crashed"}
        assert run.reasons["b"].endswith('was killed while it ran, and on_crash="fail"; --job-force runs it')
    assert jobs.run("--job-force=b").outcomes["b"] == "changed"
    assert jobs.run().outcomes["b"] == "changed"


def test_a_resume_after_the_jobs_were_edited_says_what_begins_anew_and_what_is_gone(killed):
    killed.write({"job_it.py": KILLED.replace('Path("a").touch()', 'Path("a").write_text("")')})
    run = killed.run("--job-resume")
    assert "done, and defined differently since; begins anew: a" in run.text
    assert run.outcomes["a"] == "unchanged"


def test_a_resume_after_a_job_was_renamed_says_that_it_is_gone_and_keeps_its_cleanup(killed):
    killed.write({"job_it.py": KILLED.replace("_b(", "_other(")})
    run = killed.run("--job-resume")
    assert "no longer there: b" in run.text
    assert "job_it.py::job_b: a cleanup is owed, and there is no cleanup function any more" in run.text


def test_resume_with_nothing_to_resume_is_a_new_run_that_says_so(jobs):
    source = "from seen import note\ndef job_a(): note('a')"
    assert (
        "nothing to resume: there is no earlier run; this is a new one" in jobs(source, "--job-resume").text
    )
    run = jobs.run("--job-resume")
    assert run.seen == ["a"]
    assert "nothing to resume: all jobs of run " in run.text
    assert "are done; this is a new run" in run.text


def test_the_idempotency_key_is_the_same_in_a_run_that_goes_on(jobs):
    source = """
        from pathlib import Path
        from seen import note
        def job_a(attempt):
            note(attempt.key)
            assert Path("x").exists()
    """
    first = jobs(source).seen
    (jobs.path / "x").touch()
    assert jobs.run("--job-resume").seen == first
    assert jobs.run().seen != first
