"""What a job waits for and what it is given: names, references, needs, after (PRODUCT 3.1 to 3.9)."""

import json
import os
import subprocess
import sys

import pytest


def edges(run):
    """Upstream by job, as the plan has them, with ids."""
    return {id: [edge.upstream for edge in run.plan.graph.upstream(id)] for id in run.plan.graph.jobs}


# --- names ---

DB = "def job_db(): return {where!r}\n"


def test_a_name_means_the_nearest_job(jobs):
    """Same file, same folder, the folders above, then anywhere if there is only one."""
    web = "def job_web_{name}(db): return db\n"
    jobs.write(
        {
            "job_root.py": DB.format(where="root") + web.format(name="root"),
            "job_root2.py": web.format(name="root2"),
            "a/job_a.py": DB.format(where="a") + web.format(name="a"),
            "a/job_a2.py": web.format(name="a2"),
            "a/deep/er/job_d.py": web.format(name="d"),
            "b/job_b.py": web.format(name="b"),
            "b/deep/job_deep.py": DB.format(where="b/deep") + web.format(name="deep"),
            "b/deep/job_deep2.py": web.format(name="deep2"),
        }
    )
    run = jobs.run()
    assert {name: value for name, value in run.values.items() if name != "db"} == {
        "web_root": "root",
        "web_root2": "root",
        "web_a": "a",
        "web_a2": "a",
        "web_d": "a",
        "web_b": "root",
        "web_deep": "b/deep",
        "web_deep2": "b/deep",
    }


def test_a_name_means_the_job_of_the_same_file_before_that_of_the_same_folder(jobs):
    web = "def job_web_{name}(db): return db\n"
    jobs.write({f"job_{name}.py": DB.format(where=name) + web.format(name=name) for name in "abc"})
    run = jobs.run()
    assert {name: value for name, value in run.values.items() if name != "db"} == {
        "web_a": "a",
        "web_b": "b",
        "web_c": "c",
    }


def test_a_name_that_is_nowhere_near_means_the_only_job_of_that_name(jobs):
    jobs.write({"a/job_a.py": DB.format(where="a"), "b/job_b.py": "def job_web(db): return db"})
    assert jobs.run().values == {"db": "a", "web": "a"}


def test_a_full_reference_reaches_past_nearer_jobs(jobs):
    jobs.write({"a/b/job_far.py": DB.format(where="far")})
    run = jobs("""
        import pytest
        def job_db(): return "near"
        @pytest.mark.job(needs={"db": "a/b/job_far.py::job_db"})
        def job_web(db): return db
        @pytest.mark.job(needs={"first": "job_db", "second": "a/b/job_far.py::job_db", "third": "db"})
        def job_all(first, second, third): return first, second, third
    """)
    assert run.values["web"] == "far"
    assert run.values["all"] == ("near", "far", "near")


def test_a_full_reference_may_name_one_instance(jobs):
    run = jobs("""
        import pytest
        @pytest.mark.parametrize("region", ["eu", "us"])
        def job_build(region): return region
        @pytest.mark.job(needs={"one": "build[us]", "other": "job_it.py::job_build[eu]"})
        def job_web(one, other): return one, other
        @pytest.mark.job(needs=["build[us]"])
        def job_after_one(): pass
    """)
    assert run.values["web"] == ("us", "eu")
    assert edges(run)["job_it.py::job_after_one"] == ["job_it.py::job_build[us]"]


def test_a_parameter_spelled_as_the_function_is_the_job_even_beside_a_fixture_of_its_name(jobs):
    run = jobs("""
        import pytest
        @pytest.fixture
        def build(): return "fixture"
        def job_build(): return "job"
        def job_web(job_build): return job_build
    """)
    assert run.values == {"build": "job", "web": "job"}


def test_a_job_may_be_named_as_a_fixture_that_nobody_asks_for(jobs):
    run = jobs("""
        import pytest
        @pytest.fixture
        def build(): return "fixture"
        def job_build(): return "job"
        def job_web(): pass
        def job_tmp_path(): pass
    """)
    assert run.ret == 0


def test_a_job_may_have_an_odd_name(jobs):
    run = jobs("""
        def job_x_y__z(): return 1
        def job_job_a(x_y__z): return x_y__z
        def job_żółć(): return "ż"
        def job_b(żółć, job_job_a): return żółć, job_job_a
    """)
    assert run.values["b"] == ("ż", 1)


def test_a_job_may_take_a_value_in_its_check_its_describe_and_its_cleanup(jobs):
    run = jobs("""
        from seen import note
        def job_base(): return 7
        def check_a(base): note("check", base); assert False
        def job_a(): note("run")
        def job_b(): pass
        def describe_b(base): return base + 1
        def cleanup_b(base): note("cleanup", base)
    """)
    assert run.seen == [("check", 7), "run", ("check", 7), ("cleanup", 7)]
    assert run.values["b"] == 8


# --- values over fixtures ---


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_a_fixture_may_take_the_value_of_a_job(jobs, scope, workers):
    run = jobs(
        """
        from seen import note
        def job_build(): note("build"); return "wheel"
        def job_web(server): note(server)
        def job_other(server): note(server)
        """,
        workers,
        conftest=f"""
        import pytest
        @pytest.fixture(scope={scope!r})
        def inner(build): return build.upper()
        @pytest.fixture(scope={scope!r})
        def server(inner): return "server with " + inner
        """,
    )
    assert run.seen == ["build", "server with WHEEL", "server with WHEEL"]
    assert edges(run)["job_it.py::job_web"] == ["job_it.py::job_build"]


def test_an_autouse_fixture_may_take_the_value_of_a_job(jobs):
    jobs.write(
        {
            "ops/conftest.py": "import pytest\nfrom seen import note\n"
            "@pytest.fixture(autouse=True)\ndef ready(setup): note(('ready', setup))",
            "ops/job_a.py": "from seen import note\ndef job_a(): note('a')",
            "job_setup.py": "def job_setup(): return 'set up'",
        }
    )
    run = jobs.run()
    assert run.seen == [("ready", "set up"), "a"]


@pytest.mark.parametrize(
    "mark",
    [
        '@pytest.mark.usefixtures("build")',
        '@pytest.mark.job(needs=["build"])',
        '@pytest.mark.job(needs="build")',
    ],
)
def test_a_job_that_only_needs_another_waits_for_it_and_is_blocked_by_it(jobs, mark):
    source = f"""
        import pytest
        from seen import note
        {mark}
        def job_web(): note("web")
        def job_build(): note("build"); assert "ok" in notes
    """
    run = jobs(source.replace("import note", "import note, notes").replace('note("build")', 'note("ok")'))
    assert run.seen == ["ok", "web"]
    run = jobs(source.replace("import note", "import note, notes"))
    assert run.outcomes == {"web": "blocked", "build": "failed"}
    assert run.jobs["web"].reason == "upstream build failed"


def test_a_job_may_need_one_that_has_a_check_and_no_value(jobs):
    run = jobs("""
        import pytest
        from seen import note
        def check_db(): note("check")
        def job_db(): note("run")
        def check_gate(): note("gate")
        @pytest.mark.job(needs=["db", "gate"])
        def job_web(): note("web")
    """)
    assert run.seen == ["check", "gate", "web"]


# --- after ---

AFTER = """
    import pytest
    from seen import note
    @pytest.mark.job(after=["backup"])
    def job_prune(): note("prune")
    def job_backup():
        note("backup")
        assert 0
"""


def test_after_only_orders(jobs):
    run = jobs(AFTER)
    assert run.seen == ["backup", "prune"]
    assert run.outcomes == {"prune": "changed", "backup": "failed"}


def test_after_pulls_nothing_in(jobs):
    run = jobs(AFTER, "--job-only", "prune")
    assert run.seen == ["prune"]
    assert run.ret == 0


def test_after_holds_over_what_is_blocked_and_skipped(jobs):
    run = jobs("""
        import pytest
        from seen import note
        def job_broken(): assert 0
        def job_blocked(broken): note("no")
        @pytest.mark.skip
        def job_skipped(): note("no")
        @pytest.mark.job(after=["blocked", "skipped"])
        def job_last(): note("last")
    """)
    assert run.seen == ["last"]
    assert run.outcomes["last"] == "changed"


def test_after_may_stand_beside_a_value(jobs):
    run = jobs("""
        import pytest
        @pytest.mark.job(after=["b"])
        def job_a(c): return c
        def job_b(): pass
        def job_c(): return 3
    """)
    assert run.values["a"] == 3
    assert run.plan.order[-1] == "job_it.py::job_a"


# --- without end ---


@pytest.mark.rarely
def test_a_chain_of_two_thousand_jobs_over_many_files_works(jobs):
    number, per_file = 2000, 100
    for file in range(number // per_file):
        lines = ["def job_n0(): return 0"] if not file else []
        for at in range(max(1, file * per_file), (file + 1) * per_file):
            lines.append(f"def job_n{at}(n{at - 1}): return n{at - 1} + 1")
        (jobs.path / f"job_{file:02}.py").write_text("\n".join(lines))
    run = jobs.run("-q", "--job-report=r.json", "--job-graph=g.mmd")
    assert run.ret == 0
    assert run.values[f"n{number - 1}"] == number - 1
    assert len(json.loads((jobs.path / "r.json").read_text())["critical_path"]) == number


def test_a_cycle_of_two_thousand_jobs_is_told_on_one_screen(jobs):
    number = 2000
    lines = [f"def job_n{at}(n{(at + 1) % number}): pass" for at in range(number)]
    run = jobs("\n".join(lines))
    assert run.ret == 4
    assert "more ..." in run.text
    assert len(run.text.splitlines()) < 60


@pytest.mark.rarely
def test_order_and_report_do_not_depend_on_the_hash_seed(jobs):
    """E3."""
    jobs.write(
        {
            "job_it.py": """
            import pytest
            NAMES = {"x", "y", "z", "w"}
            @pytest.mark.parametrize("region", sorted(NAMES))
            def job_build(region): return region
            @pytest.mark.parametrize("region", sorted(NAMES))
            @pytest.mark.job(needs=["setup", "other"], after=["last"])
            def job_deploy(region, build): return build
            def job_setup(): pass
            def job_other(): pass
            def job_last(): pass
            @pytest.fixture
            def server(setup, other): return 1
            def check_all(deploy, server): return list(deploy) == sorted(NAMES)
            def job_broken(server): assert 0
            def job_blocked(broken, other, setup): pass
        """,
            "a/job_a.py": "def job_a(setup, deploy, last): return deploy",
        }
    )
    seen = set()
    for seed in range(5):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "--orchestrate",
            "-v",
            "-p",
            "no:hypothesispytest",
            "--job-report=r.json",
        ]
        env = {**os.environ, "PYTHONHASHSEED": str(seed)}
        done = subprocess.run(command, cwd=jobs.path, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 1, done.stdout
        lines = [line.split("[")[0] for line in done.stdout.splitlines() if "::" in line]
        seen.add("\n".join(lines) + json.dumps(timeless(json.loads((jobs.path / "r.json").read_text()))))
    assert len(seen) == 1


def timeless(report):
    """A report without what differs between two runs of the same."""
    if isinstance(report, dict):
        times = ("run_id", "started_at", "seconds", "waited", "critical_path")
        return {key: timeless(value) for key, value in report.items() if key not in times}
    return [timeless(one) for one in report] if isinstance(report, list) else report
