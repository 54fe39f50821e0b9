"""Mistakes in a project: each is told with what, where and what to do, all at once, and nothing is run."""

import textwrap

import pytest
from bad_projects import CYCLES, KINDS, NAMES, UNKNOWN_NAMES, source
from told import problems, refused


def cases(table):
    return pytest.mark.parametrize(("text", "told"), list(table.values()), ids=list(table))


@cases(UNKNOWN_NAMES)
def test_an_unknown_name_is_told_with_the_nearest_ones(jobs, text, told):
    assert refused(jobs(source(text))) == [textwrap.dedent(told).strip("\n")]


@cases(CYCLES)
def test_a_cycle_is_told_edge_by_edge(jobs, text, told):
    assert refused(jobs(source(text))) == [textwrap.dedent(told).strip("\n")]


@cases(NAMES)
def test_names_that_do_not_fit_together_are_told_with_their_places(jobs, text, told):
    assert refused(jobs(source(text))) == [textwrap.dedent(told).strip("\n")]


@cases(KINDS)
def test_functions_that_cannot_be_run_and_marks_in_the_wrong_place_are_told(jobs, text, told):
    assert refused(jobs(source(text))) == [textwrap.dedent(told).strip("\n")]


def test_all_mistakes_of_a_project_are_told_at_once(jobs):
    tables = (UNKNOWN_NAMES, CYCLES, NAMES, KINDS)
    every = [case for table in tables for case in table.values()]
    files = {f"{number}/job_it.py": source(text) for number, (text, _) in enumerate(every)}
    jobs.write(files)
    run = jobs.run("-x")
    assert len(refused(run)) >= len(every)
    for number in range(len(every)):
        assert f"{number}/job_it.py" in run.text


def test_a_cycle_through_folders_names_the_file_of_each_edge(jobs):
    jobs.write(
        {
            "a/job_a.py": "def job_a(b): pass",
            "b/job_b.py": "def job_b(c): pass",
            "job_c.py": "def job_c(a): pass",
        }
    )
    (problem,) = refused(jobs.run())
    assert "at: a takes the value of b: a/job_a.py:1 job_a\n" in problem
    assert "at: b takes the value of c: b/job_b.py:1 job_b\n" in problem
    assert "at: c takes the value of a: job_c.py:1 job_c\n" in problem


def test_an_ambiguous_name_is_told_with_both_places(jobs):
    jobs.write({"job_web.py": "def job_web(db): pass"})
    jobs.write({"a/job_db.py": "def job_db(): pass", "b/job_db.py": "def job_db(): pass"})
    assert refused(jobs.run()) == [
        "job 'web' asks for 'db', which is more than one job\n"
        "  at: job_web.py:1 job_web\n"
        "  at: a/job_db.py:1 job_db\n"
        "  at: b/job_db.py:1 job_db\n"
        '  fix: say which: @pytest.mark.job(needs={"db": "a/job_db.py::job_db"})'
    ]


def test_what_an_ambiguous_name_is_told_to_do_works(jobs):
    jobs.write({"a/job_db.py": "def job_db(): return 'a'", "b/job_db.py": "def job_db(): return 'b'"})
    run = jobs("""
        import pytest
        from seen import note
        @pytest.mark.job(needs={"db": "a/job_db.py::job_db"})
        def job_web(db): note(db)
    """)
    assert run.seen == ["a"]


def test_an_autouse_fixture_may_have_the_name_of_a_job_that_nobody_asks_for(jobs):
    run = jobs("""
        import pytest
        @pytest.fixture(autouse=True)
        def clean(): pass
        def job_clean(): pass
        def job_other(): pass
    """)
    assert run.outcomes == {"clean": "changed", "other": "changed"}


def test_a_syntax_error_is_told_with_its_line_and_the_other_files_are_listed(jobs):
    jobs.write({"job_broken.py": "def job_broken(:\n    pass\n"})
    run = jobs(source("def job_build(): note('ran')"), "--collect-only", "-q")
    assert "job_it.py::job_build" in run.text
    assert "job_it.py::job_fine" in run.text
    (problem,) = problems(run)
    assert problem.startswith("job_broken.py cannot be read: invalid syntax\n  at: job_broken.py:1\n")
    assert "    def job_broken(:\n" in problem


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("def job_broken(:\n", "job_broken.py cannot be read: invalid syntax"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise RuntimeError('boom')\n", "RuntimeError: boom"),
        ("import pytest\npytest.fail('no way')\n", "no way"),
        ("raise SystemExit(3)\n", "job_broken.py ends Python while it is imported: SystemExit(3)"),
        ("def job_broken(): '\\ud800'\nx = '\0'\n", "null bytes"),
    ],
    ids=["syntax", "import", "raise", "fail", "exit", "nul"],
)
def test_a_file_that_cannot_be_imported_is_told_alone(jobs, broken, told):
    """What others ask of the broken file is not told as unknown: it may be defined there."""
    jobs.write({"job_broken.py": broken})
    run = jobs(
        source("def job_deploy(broken): note('ran')\n@pytest.mark.job(needs=['brokn'])\ndef job_b(): pass")
    )
    (problem,) = refused(run)
    assert told in problem


def test_beside_a_broken_file_the_mistakes_of_the_others_are_told(jobs):
    jobs.write({"job_broken.py": "raise RuntimeError('boom')"})
    first, second = refused(jobs(source("@pytest.mark.job(retries=-1)\ndef job_deploy(broken): note('ran')")))
    assert "boom" in first
    assert second.startswith("job 'deploy': retries=-1 must be")


@pytest.mark.parametrize("option", ["-x", "--maxfail=2"])
def test_stopping_at_the_first_failure_is_for_jobs_and_hides_no_mistake(jobs, option):
    jobs.write({"job_a.py": "raise RuntimeError('first')", "job_b.py": "raise RuntimeError('second')"})
    first, second, third = refused(jobs(source("@pytest.mark.job(retries=-1)\ndef job_a(): pass"), option))
    assert "first" in first
    assert "second" in second
    assert third.startswith("job 'a': retries=-1 must be")


def test_a_module_that_asks_to_be_skipped_has_no_jobs(jobs):
    jobs.write(
        {"job_skipped.py": "import pytest\npytest.importorskip('nothing_of_that_name')\ndef job_a(): 1/0\n"}
    )
    run = jobs("def job_b(): pass")
    assert run.ret == 0
    assert run.outcomes == {"b": "changed"}
