"""The settings file and the options over it, in whole runs (PRODUCT 10)."""

import pytest
from told import refused, usage

PROJECT = """
    from seen import note
    def job_a(params): note(dict(params))
"""


@pytest.fixture
def settings(jobs):
    """Run a project with these settings in jobtest.toml."""

    def run(text, *args, name="jobtest.toml"):
        jobs.write({name: text})
        return jobs(PROJECT, *args)

    return run


def test_the_header_names_the_file_of_the_settings(settings):
    assert "jobs: ., -J 1, settings: jobtest.toml" in settings("parallel = 3").text


def test_without_settings_the_header_names_none(jobs):
    assert "jobs: ., -J 1\n" in jobs(PROJECT).text


def test_settings_in_pyproject_are_read(settings):
    run = settings("[tool.jobtest]\nparams = {movie = 'x'}\n", name="pyproject.toml")
    assert run.seen == [{"movie": "x"}]
    assert "settings: pyproject.toml [tool.jobtest]" in run.text


def test_parameters_of_the_command_line_win_over_those_of_the_settings(settings):
    run = settings("params = {a = 1, b = 2}", "--job-set", "b=3", "--job-set", "c=4", "--job-set", "c=5")
    assert run.seen == [{"a": 1, "b": 3, "c": 5}]


def test_workers_of_the_command_line_win_over_those_of_the_settings(settings):
    assert "-J 2" in settings("parallel = 5", "-J", "2").text


@pytest.mark.parametrize("text", ["parallel = 2", 'parallel = "auto"'])
def test_workers_of_the_settings_are_used(pytester, text, monkeypatch):
    monkeypatch.setattr("jobtest.plugin.options._cores", lambda: 2)
    pytester.makefile(".toml", jobtest=text)
    pytester.makepyfile(
        job_it="""
        import threading, pytest
        barrier = threading.Barrier(2)
        @pytest.mark.parametrize("n", [1, 2])
        def job_a(n): barrier.wait(5)
        """
    )
    result = pytester.runpytest_inprocess("--orchestrate", "-p", "no:hypothesispytest")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["jobs: *-J 2, settings: jobtest.toml"])


def test_resources_of_the_settings_are_limits_and_the_command_line_wins(jobs):
    source = """
        import pytest
        from seen import note
        @pytest.mark.job(resources={"db": 2})
        def job_a(): note("ran")
    """
    jobs.write({"jobtest.toml": "resources = {db = 1}"})
    (problem,) = refused(jobs(source))
    assert problem.startswith("job 'a' asks for 2 of resource 'db', and there is 1\n")
    assert jobs.run("--job-resource", "db=2").ret == 0


def test_a_resource_is_never_exceeded(jobs):
    run = jobs(
        """
        import pytest
        from seen import note
        @pytest.mark.job(resources={"db": 1})
        @pytest.mark.parametrize("n", range(6))
        def job_a(n):
            note("in")
            note("out")
        """,
        "-J6",
        "--job-resource=db=1",
    )
    assert run.seen == ["in", "out"] * 6


def test_a_limit_of_retries_holds_for_the_whole_run(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.job(retries=5)
        @pytest.mark.parametrize("n", range(3))
        def job_a(n): assert 0
        """,
        files={"jobtest.toml": "retry_limit = 4"},
    )
    assert sum(len(record.attempts) for record in run.jobs.values()) == 3 + 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("paralel = 3", "unknown setting 'paralel'\n  at: jobtest.toml\n  fix: did you mean 'parallel'?"),
        ("parallel = 0", 'setting parallel = 0 must be a whole number >= 1, or "auto"\n  at: jobtest.toml'),
        ("paths = ['none']", "setting paths = 'none' must be a folder below"),
        ("parallel", "jobtest.toml cannot be read: "),
    ],
)
def test_wrong_settings_stop_the_run(settings, text, told):
    assert usage(settings(text)).startswith(told)


def test_settings_in_two_files_stop_the_run(jobs):
    jobs.write({"jobtest.toml": "", "pyproject.toml": "[tool.jobtest]\n"})
    assert usage(jobs(PROJECT)).startswith(
        "there are settings in two files\n  at: pyproject.toml [tool.jobtest]"
    )


def test_wrong_settings_are_told_together_with_wrong_options(settings):
    told = usage(settings("paralel = 3", "-J", "0", "--job-report", "r.x"))
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "unknown setting 'paralel'",
        "-J '0' must be a whole number >= 1, or auto",
        "--job-report 'r.x': cannot tell what to write",
    ]


def test_wrong_settings_trouble_nobody_without_the_flag(pytester):
    pytester.makefile(".toml", jobtest="nonsense")
    pytester.makepyfile("def test_a(): pass")
    pytester.runpytest_inprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_parameters_can_only_be_read(jobs):
    run = jobs(
        """
        import pytest
        def job_a(params):
            assert params.movie == params["movie"] == "x"
            assert "movie" in params and len(params) == 1 and list(params) == ["movie"]
            with pytest.raises(TypeError):
                params["movie"] = "y"
            assert "movie" in repr(params)
            with pytest.raises(KeyError, match="did you mean 'movie'"):
                params["mov" + "ei"]
        """,
        "--job-set",
        "movie=x",
    )
    assert run.ret == 0, run.text
