"""Which functions of which files become jobs (PRODUCT 2)."""

import json
import subprocess
import sys

import pytest

NO_HYPOTHESIS = ("-p", "no:hypothesispytest")


def python(code, *, cwd):
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(run):
    """The node ids of `--collect-only -q`."""
    return [line for line in run.text.splitlines() if "::" in line]


def test_without_the_flag_nothing_is_collected_and_nothing_of_the_rest_is_imported(pytester):
    pytester.makepyfile(job_it="def job_a(): 1/0", test_it="def test_a(): pass")
    told = python(
        "import sys, json, pytest\n"
        "assert pytest.main(['-q', '-p', 'no:hypothesispytest']) == 0\n"
        "loaded = sorted(name for name in sys.modules if name.partition('.')[0] == 'jobtest')\n"
        "print(json.dumps([loaded, 'asyncio' in sys.modules]))",
        cwd=pytester.path,
    )
    assert "1 passed" in told
    loaded, has_asyncio = json.loads(told.splitlines()[-1])
    assert loaded == ["jobtest", "jobtest.plugin", "jobtest.plugin.hookspecs"]
    assert not has_asyncio


def test_without_the_flag_the_mark_and_a_job_file_can_be_used_by_tests(pytester):
    pytester.makepyfile(
        job_it="""
        import pytest
        @pytest.mark.job(retries=2)
        def job_a(): return 3
        """,
        test_it="""
        from job_it import job_a
        def test_a(): assert job_a() == 3
        """,
    )
    pytester.syspathinsert()
    result = pytester.runpytest_inprocess(*NO_HYPOTHESIS, "--strict-markers")
    result.assert_outcomes(passed=1)


def test_only_job_files_are_collected(jobs):
    jobs.write(
        {
            "job_a.py": "def job_a(): pass\ndef test_a(): 1/0\ndef jobs_b(): 1/0\n"
            "class TestA:\n    def test_b(self): 1/0",
            "test_b.py": "def job_b(): 1/0\ndef test_b(): 1/0",
            "c_job.py": "def job_c(): 1/0",
            "jobs_d.py": "def job_d(): 1/0",
            "job_e.txt": "def job_e(): 1/0",
            "job_f.pyi": "def job_f(): 1/0",
            "test_g.txt": ">>> 1/0",
            "deep/er/job_h.py": "def job_h(): pass",
        }
    )
    run = jobs.run("--doctest-modules")
    assert run.outcomes == {"a": "changed", "h": "changed"}


def test_what_is_no_function_at_module_level_is_no_job(jobs):
    run = jobs("""
        import functools
        job_number = 3
        job_list = []
        class job_class: pass
        class Job:
            def job_method(self): 1/0
        def job_(): 1/0
        def outer():
            def job_inner(): 1/0
        job_mock = type("Callable", (), {"__call__": lambda self: 1/0})()
        def job_real(): pass
    """)
    assert run.outcomes == {"real": "changed"}


def test_a_decorated_function_is_a_job(jobs):
    run = jobs("""
        import functools
        from seen import note
        def loud(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                note("before")
                return function(*args, **kwargs)
            return inner
        def job_one(): return 1
        @loud
        def job_two(one): note(one); return 2
        @loud
        async def job_three(two): note(two)
        @loud
        def check_four(three): note("check")
    """)
    assert run.outcomes == {"one": "changed", "two": "changed", "three": "changed", "four": "unchanged"}
    assert run.seen == ["before", 1, "before", 2, "before", "check"]


def test_a_parameter_with_a_default_is_none_of_jobtests(jobs):
    run = jobs("""
        from seen import note
        def job_build(): return 1
        def job_a(build=5, *args, other=6, **kwargs): note(build, args, other, kwargs)
    """)
    assert ("a", "changed") in run.outcomes.items()
    assert run.seen == [(5, (), 6, {})]


def test_equal_basenames_in_different_folders_are_fine(jobs):
    jobs.write({f"{name}/job_it.py": f"WHO = {name!r}\ndef job_{name}(): return WHO" for name in "abc"})
    run = jobs.run()
    assert run.values == {"a": "a", "b": "b", "c": "c"}


def test_asserts_in_jobs_and_checks_explain_themselves(jobs):
    run = jobs("""
        def check_a(): assert [1, 2] == [1, 3]
        def job_a(): pass
        def job_b(): assert {"x": 1} == {"x": 2}, "they differ"
    """)
    assert run.reasons["a"] == "check did not hold after the run: assert [1, 2] == [1, 3]"
    assert "At index 1 diff: 2 != 3" in run.longrepr("a")
    assert "they differ" in run.longrepr("b")
    assert "{'x': 1} == {'x': 2}" in run.longrepr("b")


def test_asserts_in_a_conftest_explain_themselves(jobs):
    run = jobs(
        """
        def check_a(server): server.ask(3)
        def job_a(): pass
        """,
        conftest="""
        import pytest
        class Server:
            def ask(self, answer): assert answer == 42
        @pytest.fixture
        def server(): return Server()
        """,
    )
    assert "assert 3 == 42" in run.reasons["a"]


def test_helpers_come_from_packages_and_pythonpath(jobs):
    jobs.write(
        {
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "lib/helper_of_lib.py": "def answer(): return 'lib'",
            "ops/__init__.py": "",
            "ops/helper.py": "def answer(): return 'package'",
            "ops/job_a.py": "from .helper import answer\ndef job_a(): return answer()",
            "ops/job_b.py": "from helper_of_lib import answer\ndef job_b(): return answer()",
        }
    )
    assert jobs.run().values == {"a": "package", "b": "lib"}


def test_an_imported_job_function_is_a_job_of_the_file_that_imports_it(jobs):
    jobs.write(
        {
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "lib/shared_jobs.py": "\n\n\ndef job_build(region): return region\ndef cleanup_build(): pass\n",
            "a/conftest.py": "import pytest\n@pytest.fixture\ndef region(): return 'a'\n",
            "b/conftest.py": "import pytest\n@pytest.fixture\ndef region(): return 'b'\n",
            "a/job_a.py": "from shared_jobs import *\n",
            "b/job_b.py": "from shared_jobs import job_build\n",
        }
    )
    run = jobs.run()
    assert run.engine.values == {
        "a/job_a.py::job_build": "a",
        "b/job_b.py::job_build": "b",
    }
    assert [job.at for job in run.plan.graph] == ["lib/shared_jobs.py:4 job_build"] * 2


def test_only_the_folders_of_the_settings_are_searched(jobs):
    jobs.write(
        {
            "pyproject.toml": '[tool.jobtest]\npaths = ["ops", "more/deep", "ops/inner"]\n',
            "ops/job_a.py": "def job_a(): pass",
            "ops/inner/job_d.py": "def job_d(): pass",
            "more/deep/job_b.py": "def job_b(): pass",
            "more/job_c.py": "1/0",
            "job_c.py": "1/0",
        }
    )
    run = jobs.run()
    assert run.outcomes == {"a": "changed", "d": "changed", "b": "changed"}
    assert "jobs: ops, more/deep, ops/inner, -J 1" in run.text


def test_testpaths_and_python_files_play_no_part(jobs):
    jobs.write(
        {
            "pytest.ini": "[pytest]\ntestpaths = tests\npython_files = check_*.py\npython_functions = x_*\n",
            "tests/check_it.py": "def test_a(): 1/0",
            "tests/job_t.py": "def job_t(): pass",
            "ops/job_a.py": "def job_a(): pass",
        }
    )
    assert jobs.run().outcomes == {"a": "changed", "t": "changed"}


def test_addopts_of_the_project_are_heeded(jobs):
    jobs.write({"pytest.ini": "[pytest]\naddopts = --import-mode=prepend -k second -rA\n"})
    run = jobs("def job_first(): pass\ndef job_second(): pass")
    assert run.outcomes == {"second": "changed"}


@pytest.mark.parametrize("here", ["ops", "ops/deep"])
def test_from_a_subfolder_its_jobs_are_selected_with_what_they_need(jobs, monkeypatch, here):
    jobs.write(
        {
            "pytest.ini": "[pytest]\n",
            "job_base.py": "from seen import note\n"
            "def job_base(): note('base')\ndef job_other(): note('other')",
            "ops/deep/job_a.py": "import os\nfrom seen import note\n"
            "def job_a(base): note(os.path.basename(os.getcwd()))",
        }
    )
    monkeypatch.chdir(jobs.path / here)
    run = jobs.run("--job-report=r.json")
    assert run.outcomes == {"base": "changed", "a": "changed"}
    assert run.seen == ["base", jobs.path.name]
    report = json.loads((jobs.path / here / "r.json").read_text())
    assert [job["id"] for job in report["jobs"]] == ["job_base.py::job_base", "ops/deep/job_a.py::job_a"]


def test_node_ids_are_relative_to_where_pytest_is_called(jobs, monkeypatch):
    jobs.write({"pytest.ini": "[pytest]\n", "ops/job_a.py": "def job_a(): pass\ndef job_b(): pass"})
    monkeypatch.chdir(jobs.path / "ops")
    assert jobs.run("job_a.py::job_b").outcomes == {"b": "changed"}
    assert jobs.run("../ops/job_a.py").outcomes == {"a": "changed", "b": "changed"}


def test_a_rootdir_that_is_given_is_heeded(jobs):
    jobs.write({"ops/job_a.py": "def job_a(): pass", "job_b.py": "def job_b(): pass"})
    run = jobs.run("--rootdir=ops", "ops")
    assert list(run.engine.plan.graph.jobs) == ["job_a.py::job_a"]


# --- what is told of them ---

SHOP = """
    import pytest
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region):
        '''Build the wheel.

        And more.
        '''
    def check_open(): pass
    def check_deploy(): pass
    async def job_deploy(build):
        '''Deploy it.'''
    def job_serve(deploy):
        yield 1
"""
IDS = [
    "job_it.py::job_build[eu]",
    "job_it.py::job_build[us]",
    "job_it.py::check_open",
    "job_it.py::job_deploy",
    "job_it.py::job_serve",
]


def test_collect_only_lists_ids_and_runs_nothing(jobs):
    run = jobs(SHOP, "--collect-only", "-q")
    assert run.ret == 0
    assert listed(run) == IDS
    assert run.engine is None
    assert "5 tests collected" in run.text


def test_collect_only_shows_a_tree(jobs):
    run = jobs(SHOP, "--collect-only", files={"ops/job_more.py": "def job_more(): pass"})
    tree = [line for line in run.text.splitlines() if line.strip().startswith("<")]
    assert tree == [
        f"<Dir {jobs.path.name}>",
        "  <JobModule job_it.py>",
        "    <JobItem job_build[eu]>",
        "    <JobItem job_build[us]>",
        "    <JobItem check_open>",
        "    <JobItem job_deploy>",
        "    <JobItem job_serve>",
        "  <Dir ops>",
        "    <JobModule job_more.py>",
        "      <JobItem job_more>",
    ]


def test_collect_only_shows_what_is_selected_with_what_it_needs(jobs):
    run = jobs(SHOP, "--collect-only", "-q", "-k", "deploy")
    assert listed(run) == ["job_it.py::job_build[eu]", "job_it.py::job_build[us]", "job_it.py::job_deploy"]


def test_collect_only_writes_and_asks_nothing(jobs):
    run = jobs("def check_a(): 1/0", "--collect-only", "--plan")
    assert run.ret == 0
    assert run.engine is None


def test_sync_async_and_generator_functions_are_jobs(jobs):
    run = jobs("""
        import asyncio
        from seen import note
        async def check_a():
            await asyncio.sleep(0)
            note("check a")
            assert False
        async def job_a():
            await asyncio.sleep(0)
            note("a")
        def job_b():
            note("open")
            yield 1
            note("close")
        async def cleanup_b(): note("clean")
        def job_c(b): note(b)
        async def check_d(): return False
        def job_d(): note("d")
    """)
    assert run.outcomes == {"a": "failed", "b": "changed", "c": "changed", "d": "failed"}
    assert run.times("check a") == 2
    assert run.before("open", 1)
    assert run.before(1, "close")
    assert run.before("close", "clean")


def test_the_docstring_is_the_description(jobs):
    run = jobs(SHOP)
    described = {job.name: job.description for job in run.plan.graph}
    assert described == {
        "build": "Build the wheel.",
        "open": "",
        "deploy": "Deploy it.",
        "serve": "",
    }


def test_fixtures_lists_those_of_jobtest_and_of_the_project(jobs):
    conftest = "import pytest\n@pytest.fixture\ndef server():\n    '''The server.'''\n"
    text = jobs(SHOP, "--fixtures", conftest=conftest).text
    for name in ("params", "context", "attempt", "upstream", "local", "shared", "rng", "server"):
        assert f"\n{name}" in text
    assert "The server." in text
    assert 'params.movie or params["movie"]' in text
    assert "no docstring available" not in text


def test_fixtures_per_test_works(jobs):
    run = jobs("def job_a(tmp_path): 1/0", "--fixtures-per-test")
    assert run.ret == 0
    assert "tmp_path" in run.text


def test_markers_lists_the_mark(jobs):
    run = jobs(SHOP, "--markers")
    assert run.ret == 0
    assert "@pytest.mark.job(needs=, after=, retries=, ...): how a job is run" in run.text


def test_markers_lists_the_mark_without_the_flag_too(pytester):
    result = pytester.runpytest_inprocess("--markers", *NO_HYPOTHESIS)
    result.stdout.fnmatch_lines(["@pytest.mark.job(*"])


def test_setup_show_works(jobs):
    run = jobs("def job_a(tmp_path): pass\ndef job_b(a): pass", "--setup-show")
    assert run.ret == 0
    assert "tmp_path" in run.text


@pytest.mark.parametrize(
    "plugin",
    [
        "terminal",
        "cacheprovider",
        "capture",
        "logging",
        "warnings",
        "tmpdir",
        "junitxml",
        "faulthandler",
        "skipping",
        "assertion",
    ],
)
def test_jobs_run_without_a_plugin_of_pytest(jobs, plugin):
    run = jobs(
        """
        import pytest
        def check_a(): assert 1
        def job_a(): pass
        def job_b(a): assert 0
        @pytest.mark.skip(reason="no")
        def job_c(): pass
        """,
        "-p",
        f"no:{plugin}",
        "-J2",
    )
    assert run.ret == 1, run.text + run.errors
    assert run.outcomes["b"] == "failed"
    assert run.outcomes["a"] == "unchanged" or run.outcomes["a"] == "changed"


def test_without_the_terminal_errors_of_the_project_still_stop_the_run(jobs):
    run = jobs("from seen import note\ndef job_a(b): note('ran')", "-p", "no:terminal")
    assert run.ret == 4
    assert run.seen == []
    assert "asks for 'b'" in run.errors


def test_a_conftest_of_a_folder_gives_its_fixtures_to_its_jobs(jobs):
    jobs.write(
        {
            "conftest.py": "import pytest\n@pytest.fixture\ndef who(): return 'root'",
            "a/conftest.py": "import pytest\n@pytest.fixture\ndef who(who): return who + ' a'",
            "a/job_a.py": "def job_a(who): return who",
            "job_b.py": "def job_b(who): return who",
        }
    )
    assert jobs.run().values == {"a": "root a", "b": "root"}


def test_hooks_of_a_conftest_see_jobs_as_items(jobs):
    run = jobs(
        "def job_a(): pass\ndef job_b(): pass",
        conftest="""
        import pytest
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "job_b":
                    item.add_marker(pytest.mark.skip(reason="from a hook"))
        """,
    )
    assert run.outcomes == {"a": "changed", "b": "skipped"}
    assert run.reasons["b"] == "from a hook"


def test_a_conftest_may_hide_job_files(jobs):
    jobs.write({"job_old.py": "1/0", "old/job_x.py": "1/0"})
    run = jobs(
        "def job_a(): pass", conftest="collect_ignore = ['job_old.py']\ncollect_ignore_glob = ['old/*']"
    )
    assert run.outcomes == {"a": "changed"}


def test_ignore_and_deselect_are_heeded(jobs):
    jobs.write({"job_old.py": "1/0"})
    run = jobs("def job_a(): pass\ndef job_b(): pass", "--ignore=job_old.py", "--deselect=job_it.py::job_b")
    assert run.outcomes == {"a": "changed"}
