"""Options that cannot be followed: a clear error, exit status 4, and nothing is run."""

import os
import subprocess
import sys

import pytest
from told import refused, usage

PROJECT = """\
import pytest
from seen import note
def job_build(): note("ran")
@pytest.mark.parametrize("region", ["eu", "us"])
def job_deploy(region, build): note("ran")
"""

NAMES = {
    ("--job-only", "biuld"): "--job-only names 'biuld', which is not a job\n  fix: did you mean 'build'?",
    (
        "--job-exclude",
        "biuld",
    ): "--job-exclude names 'biuld', which is not a job\n  fix: did you mean 'build'?",
    ("--job-force", "biuld"): "--job-force names 'biuld', which is not a job\n  fix: did you mean 'build'?",
    ("--job-only", "job_it.py::job_biuld"): (
        "--job-only names 'job_it.py::job_biuld', which is not a job\n"
        "  fix: did you mean 'job_it.py::job_build'?"
    ),
}

VALUES = {
    ("-J", "0"): "-J '0' must be a whole number >= 1, or auto\n  fix: e.g. -J 4",
    ("-J-1",): "-J '-1' must be a whole number >= 1, or auto\n  fix: e.g. -J 4",
    ("-J", "x"): "-J 'x' must be a whole number >= 1, or auto\n  fix: e.g. -J 4",
    ("-J", "1.5"): "-J '1.5' must be a whole number >= 1, or auto\n  fix: e.g. -J 4",
    ("-J", "٣"): "-J '٣' must be a whole number >= 1, or auto\n  fix: e.g. -J 4",
    ("--job-set", "movie"): "--job-set 'movie' has no value\n  fix: write --job-set KEY=VALUE",
    ("--job-set", "=3"): "--job-set '=3' has no key\n  fix: write --job-set KEY=VALUE",
    ("--job-set", ""): "--job-set '' has no key\n  fix: write --job-set KEY=VALUE",
    ("--job-resource", "db"): "--job-resource 'db' has no value\n  fix: write --job-resource KEY=VALUE",
    ("--job-resource", "db=x"): (
        "--job-resource 'db=x': the amount must be a whole number >= 0\n  fix: write --job-resource db=2"
    ),
    ("--job-resource", "db=-1"): (
        "--job-resource 'db=-1': the amount must be a whole number >= 0\n  fix: write --job-resource db=2"
    ),
    ("--job-resource", "db=true"): (
        "--job-resource 'db=true': the amount must be a whole number >= 0\n  fix: write --job-resource db=2"
    ),
    ("--job-flag", "beta"): "--job-flag 'beta': a flag is on or off\n  fix: write --job-flag beta=on",
    ("--job-flag", "=on"): "--job-flag '=on': a flag is on or off\n  fix: write --job-flag NAME=on",
    ("--job-flag", "beta=1"): "--job-flag 'beta=1': a flag is on or off\n  fix: write --job-flag beta=on",
    ("--job-context", "prod"): (
        "--job-context 'prod' is no context of this project\n  fix: declare it: [tool.jobtest.contexts.prod]"
    ),
    ("--job-report", "r.xml"): (
        "--job-report 'r.xml': cannot tell what to write\n  fix: end the name with one of: .json"
    ),
    ("--job-report", "json"): (
        "--job-report 'json': cannot tell what to write\n  fix: end the name with one of: .json"
    ),
    ("--job-events", "e.json"): (
        "--job-events 'e.json': cannot tell what to write\n  fix: end the name with one of: .jsonl"
    ),
    ("--job-graph", "g.png"): (
        "--job-graph 'g.png': cannot tell what to write\n"
        "  fix: end the name with one of: .mmd .dot .svg .json"
    ),
    ("--job-graph", "trees"): (
        "--job-graph 'trees': cannot tell what to write\n"
        "  fix: end the name with one of: .mmd .dot .svg .json"
    ),
    ("--plan", "--drift"): "--plan and --drift are two questions\n  fix: ask one at a time",
    ("--setup-plan",): "--setup-plan is for tests\n  fix: --plan shows what jobs would do",
    ("--setup-only",): "--setup-only is for tests\n  fix: --plan shows what jobs would do",
    ("--pdb", "-J2"): "--pdb needs the jobs one at a time\n  fix: use -J 1",
}

PLACES = {
    "job_it.py::job_biuld": "job_it.py::job_biuld: there is no such job\n  fix: did you mean 'job_build'?",
    "job_it.py::job_deploy[asia]": (
        "job_it.py::job_deploy[asia]: there is no such job\n  fix: did you mean 'job_deploy[us]'?"
    ),
    "job_it.py::xxxxxxxx": (
        "job_it.py::xxxxxxxx: there is no such job\n  fix: it has: job_build, job_deploy[eu], job_deploy[us]"
    ),
}


@pytest.mark.parametrize(("args", "told"), list(NAMES.items()), ids=" ".join)
def test_a_name_that_is_not_a_job_is_told_with_the_nearest_one(jobs, args, told):
    assert usage(jobs(PROJECT, *args)) == told


@pytest.mark.parametrize(("args", "told"), list(VALUES.items()), ids=" ".join)
def test_an_option_that_cannot_be_followed_is_told(jobs, args, told):
    assert usage(jobs(PROJECT, *args)) == told


@pytest.mark.parametrize(("place", "told"), list(PLACES.items()))
def test_a_node_id_that_selects_nothing_is_told(jobs, place, told):
    assert usage(jobs(PROJECT, place)) == told


def test_all_options_that_are_wrong_are_told_at_once(jobs):
    args = ("-J", "0", "--job-set", "x", "--job-report", "a.b", "--job-events", "c.d", "no/such/job_x.py")
    told = usage(jobs(PROJECT, *args))
    assert told.count("fix: ") == 5


def test_all_names_that_are_not_jobs_are_told_at_once(jobs):
    told = usage(jobs(PROJECT, "--job-only", "a1", "--job-exclude", "b2", "--job-force", "c3"))
    assert [line.partition(",")[0] for line in told.splitlines() if "names" in line] == [
        "--job-only names 'a1'",
        "--job-exclude names 'b2'",
        "--job-force names 'c3'",
    ]


def test_a_name_that_means_two_jobs_is_told_with_both_places(jobs):
    jobs.write({"a/job_db.py": "def job_db(): pass", "b/job_db.py": "def job_db(): pass"})
    assert usage(jobs.run("--job-only", "db")) == (
        "--job-only names 'db', which is more than one job\n"
        "  at: a/job_db.py:1 job_db\n"
        "  at: b/job_db.py:1 job_db\n"
        "  fix: write --job-only 'a/job_db.py::job_db'"
    )
    assert jobs.run("--job-only", "a/job_db.py::job_db").outcomes == {"db": "changed"}


def test_a_path_that_is_not_there_is_told_with_the_nearest_one(jobs):
    jobs.write({"job_it.py": PROJECT})
    told = usage(jobs.run("job_itt.py"))
    assert told == f"job_itt.py: no such file or folder\n  fix: did you mean {jobs.path / 'job_it.py'}?"


def test_a_file_that_is_no_job_file_is_told(jobs):
    told = usage(jobs(PROJECT, "release.py", files={"release.py": "def job_a(): pass"}))
    assert told == "release.py is not a job file\n  fix: rename it to job_release.py"


@pytest.mark.parametrize("option", ["--job-report=x/r.json", "--job-events=x/e.jsonl", "--job-graph=x/g.svg"])
def test_a_file_below_what_is_no_folder_is_told_before_the_run(jobs, option):
    (jobs.path / "x").write_text("a file")
    name, _, file = option.partition("=")
    told = usage(jobs(PROJECT, option))
    assert told == (
        f"{name} {str(jobs.path / file)!r}: {jobs.path / 'x'} is not a folder\n"
        "  fix: give a file that can be written"
    )


@pytest.mark.parametrize("option", ["--job-report=r.json", "--job-events=e.jsonl", "--job-graph=g.svg"])
def test_a_folder_in_the_place_of_a_file_is_told_before_the_run(jobs, option):
    name, _, file = option.partition("=")
    (jobs.path / file).mkdir()
    told = usage(jobs(PROJECT, option))
    assert told.startswith(f"{name} {str(jobs.path / file)!r}: it is a folder\n")


@pytest.mark.parametrize("option", ["--job-report=a/r.json", "--job-events=a/e.jsonl", "--job-graph=a/g.svg"])
def test_a_folder_that_cannot_be_written_is_told_before_the_run(jobs, monkeypatch, option):
    (jobs.path / "a").mkdir()
    closed = jobs.path / "a"
    monkeypatch.setattr("os.access", lambda path, mode: path != closed or not mode & os.W_OK)
    told = usage(jobs(PROJECT, option))
    assert f": {jobs.path / 'a'} cannot be written\n" in told


@pytest.mark.parametrize("file", ["new/folder/r.json", "r.json"])
def test_a_folder_that_is_not_there_is_made(jobs, file):
    run = jobs(PROJECT, f"--job-report={file}", f"--job-graph={file}.svg", f"--job-events={file}l")
    assert run.ret == 0
    for suffix in ("", ".svg", "l"):
        assert (jobs.path / f"{file}{suffix}").stat().st_size


@pytest.mark.parametrize(
    "option", [["-n", "2"], ["-n2"], ["-nauto"], ["--numprocesses=2"], ["-n=2"]], ids=" ".join
)
def test_workers_of_xdist_are_refused_though_it_is_not_installed(jobs, option):
    run = jobs(PROJECT, *option)
    said = option[0]
    assert run.ret == 4
    assert run.seen == []
    assert run.errors.strip() == (
        f"ERROR: {said} belongs to pytest-xdist and runs tests in parallel\n"
        "  fix: for jobs use -J N, or -J auto"
    )


@pytest.mark.parametrize("option", [["--dist", "load"], ["--dist=load"]], ids=" ".join)
def test_distribution_by_xdist_is_refused(jobs, option):
    run = jobs(PROJECT, *option)
    assert run.ret == 4
    assert f"ERROR: {option[0]} belongs to pytest-xdist" in run.errors


def test_options_of_an_installed_xdist_in_addopts_are_refused_too(jobs):
    class Xdist:
        @staticmethod
        def pytest_addoption(parser):
            parser.addoption("--fake-n", dest="numprocesses", type=int, default=None)
            parser.addoption("--fake-dist", dest="dist", default="no")

    jobs.write({"job_it.py": PROJECT, "pytest.ini": "[pytest]\naddopts = --fake-n=2\n"})
    told = usage(jobs.run(plugins=[Xdist]))
    assert told == "-n 2 belongs to pytest-xdist and runs tests in parallel\n  fix: for jobs use -J N"
    jobs.write({"pytest.ini": "[pytest]\naddopts = --fake-dist=loadfile\n"})
    assert usage(jobs.run(plugins=[Xdist])).startswith("--dist loadfile belongs to pytest-xdist")
    jobs.write({"pytest.ini": "[pytest]\naddopts = --fake-n=0\n"})
    assert jobs.run(plugins=[Xdist]).ret == 0


FOR_JOBS = [
    ["-J", "2"],
    ["--plan"],
    ["--drift"],
    ["--job-only", "a"],
    ["--job-exclude", "a"],
    ["--job-downstream"],
    ["--job-force", "a"],
    ["--job-no-upstream"],
    ["--job-resume"],
    ["--job-state", "memory://"],
    ["--job-lock-timeout", "1"],
    ["--job-executor", "process"],
    ["--job-keep"],
    ["--job-command", "cleanup"],
    ["--job-rollback", "run"],
    ["--job-plan-out", "p.toml"],
    ["--job-apply", "p.toml"],
    ["--job-replay", "r.json"],
    ["--job-inject", "fail:a"],
    ["--job-set", "a=1"],
    ["--job-context", "dev"],
    ["--job-flag", "a=on"],
    ["--job-resource", "a=1"],
    ["--job-report", "r.json"],
    ["--job-events", "e.jsonl"],
    ["--job-graph", "tree"],
]


@pytest.mark.parametrize("option", FOR_JOBS, ids=" ".join)
def test_an_option_for_jobs_without_orchestrate_is_told(pytester, option):
    pytester.makepyfile("def test_a(): raise AssertionError('ran')")
    result = pytester.runpytest_inprocess("-p", "no:hypothesispytest", *option)
    assert result.ret == 4
    assert result.stderr.str().strip() == f"ERROR: {option[0]} is for jobs\n  fix: add --orchestrate"


def test_every_option_is_told_without_orchestrate(pytester):
    text = pytester.runpytest_inprocess("-p", "no:hypothesispytest", "--help").stdout.str()
    group = text.partition("jobs (jobtest):")[2].partition("\n\n")[0]
    options = {word for line in group.splitlines() for word in line[:40].split() if word.startswith("--")}
    known = {"--job-parallel=N" if option[0] == "-J" else option[0] for option in FOR_JOBS}
    assert {option.partition("=")[0] for option in options} == {
        "--orchestrate",
        *(option.partition("=")[0] for option in known),
    }


def test_more_of_a_resource_than_there_is_is_told_for_all_jobs(jobs):
    source = """
        import pytest
        from seen import note
        @pytest.mark.job(resources={"db": 3})
        def job_build(): note("ran")
        @pytest.mark.job(resources={"gpu": 1})
        def job_train(): note("ran")
    """
    assert refused(jobs(source, "--job-resource", "db=2")) == [
        "job 'build' asks for 3 of resource 'db', and there is 2\n"
        "  at: job_it.py:4 job_build\n"
        "  fix: set resources.db = 3 in the settings, or ask for less",
        "job 'train' asks for 1 of resource 'gpu', and there is 0\n"
        "  at: job_it.py:6 job_train\n"
        "  fix: set resources.gpu = 1 in the settings, or ask for less",
    ]
    assert jobs.run("--job-resource", "db=3", "--job-resource", "gpu=1").ret == 0


def test_parameters_that_are_not_set_are_told_before_the_run(jobs):
    source = """
        import pytest
        from seen import note
        @pytest.fixture
        def server(params): return params["server"]
        def check_watch(params): assert params.movei
        def job_watch(params, server): note(params.movie)
    """
    assert refused(jobs(source, "--job-set", "movie=x")) == [
        "check_watch asks for the parameter 'movei', which is not set\n"
        "  at: job_it.py:6 check_watch\n"
        "  fix: did you mean 'movie'?",
        "server asks for the parameter 'server', which is not set\n"
        "  at: job_it.py:5 server\n"
        "  fix: --job-set server=VALUE",
    ]


def test_a_parameter_that_only_the_run_asks_for_is_told_where_it_is_asked(jobs):
    run = jobs("""
        def job_watch(params):
            name = "mov" + "ie"
            return params[name]
        def job_listen(params): return getattr(params, "so" + "ng")
    """)
    assert run.ret == 1
    assert run.outcomes == {"watch": "failed", "listen": "failed"}
    assert "parameter 'movie' is not set" in run.reasons["watch"]
    assert "parameter 'song' is not set" in run.reasons["listen"]
    assert "--job-set movie=VALUE" in run.text


def test_parameters_that_a_job_can_do_without_are_not_told(jobs):
    run = jobs("""
        from seen import note
        def job_watch(params):
            note(params.get("movie", "none"))
            note(params.movie if "movie" in params else "none")
            note(dict(params), )
    """)
    assert run.ret == 0
    assert run.seen == ["none", "none", {}]


def test_values_of_parameters_are_toml_or_text(jobs):
    args = [
        f"--job-set={one}"
        for one in ("a=1", "b=true", "c=[1, 2]", 'd="1"', "e=x y", "f=", "g=1=2", "h={k=1}")
    ]
    run = jobs("from seen import note\ndef job_a(params): note(dict(params))", *args)
    assert run.seen == [
        {"a": 1, "b": True, "c": [1, 2], "d": "1", "e": "x y", "f": "", "g": "1=2", "h": {"k": 1}}
    ]


def test_no_job_is_told_with_where_it_was_looked_for(jobs):
    jobs.write({"test_it.py": "def test_a(): assert 0", "job_it.py": "def test_a(): assert 0"})
    run = jobs.run()
    assert run.ret == 5
    assert "no jobs found: looked for job_NAME and check_NAME in job_*.py, and for entries of" in run.text
    assert f"below {jobs.path}" in run.text


def test_no_job_in_the_folders_of_the_settings_is_told_with_them(jobs):
    jobs.write({"jobtest.toml": 'paths = ["a", "b"]', "a/x.txt": "", "b/x.txt": "", "job_it.py": PROJECT})
    run = jobs.run()
    assert run.ret == 5
    assert f"below {jobs.path / 'a'}, {jobs.path / 'b'}" in run.text


def test_nothing_selected_is_told_as_that(jobs):
    run = jobs(PROJECT, "-k", "nothing")
    assert run.ret == 5
    assert "no jobs selected" in run.text
    assert "no jobs found" not in run.text


@pytest.mark.parametrize("folder", ["build", "dist"])
def test_a_job_file_that_pytest_hides_is_told_with_the_fix(jobs, folder):
    run = jobs(PROJECT, files={f"{folder}/deep/job_hidden.py": "def job_h(): 1/0"})
    assert run.ret == 0
    assert (
        f"PytestWarning: {folder}/deep/job_hidden.py is not collected: norecursedirs hides {folder}/; "
        "move it, or set norecursedirs"
    ) in run.text


@pytest.mark.parametrize("folder", [".git", ".venv", "venv", "node_modules", "__pycache__", ".tox"])
def test_folders_that_nobody_expects_jobs_in_are_passed_over_without_a_word(jobs, folder):
    if folder == "venv":
        jobs.write({"venv/pyvenv.cfg": "home = /usr/bin"})
    run = jobs(PROJECT, files={f"{folder}/job_hidden.py": "def job_h(): 1/0"})
    assert run.ret == 0
    assert "hidden" not in run.text
    assert "warning" not in run.text


def test_a_hidden_job_file_is_found_when_norecursedirs_says_so(jobs):
    jobs.write({"pytest.ini": "[pytest]\nnorecursedirs = other\n", "build/job_a.py": "def job_a(): pass"})
    assert jobs.run().outcomes == {"a": "changed"}


def test_the_options_are_refused_in_a_real_process_too(jobs):
    jobs.write({"job_it.py": PROJECT.replace("from seen import note", "note = print")})
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-n", "2", "-p", "no:hypothesispytest"]
    done = subprocess.run(command, cwd=jobs.path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "for jobs use -J N" in done.stderr
