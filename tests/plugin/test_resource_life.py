"""The life of a resource: it is made, brought up to date, described, backed up, deleted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobtest.testing import crash_points

CONFIG = {"jobtest.toml": "[commands]\nbackup = {}\nunload = {order = 'reverse'}\ndestroy = 'delete'\n"}
DELETE = "--job-command=destroy"

SITE = """
from pathlib import Path
from seen import note

def job_net(params):
    note("make net")
    Path("net").touch()
    return {"cidr": str(params.cidr)}

def delete_net(net):
    note(f"delete net {net['cidr']}")
    Path("net").unlink()

def check_server(net):
    assert Path("server").read_text() == net["cidr"]

def job_server(net):
    note("make server")
    Path("server").write_text(net["cidr"])
    return 7

def update_server(server, net):
    note(f"update server {server['id']}")
    Path("server").write_text(net["cidr"])
    return 8

def describe_server():
    assert Path("server").exists()
    return {"id": 7}

def delete_server(server, net):
    note(f"delete server {server['id']} in {net['cidr']}")
    Path("server").unlink()

def job_page(server):
    note("make page")

def backup_page(page, server):
    return f"page of {server['id']}"

def unload_page():
    note("unload page")

def unload_net():
    note("unload net")
"""


@pytest.fixture
def jobs(jobs):
    jobs.remembers = True
    jobs.write(CONFIG)
    return jobs


@pytest.fixture
def site(jobs):
    """A function that runs the site, after a run that made it."""
    jobs.write({"job_it.py": SITE})
    assert jobs.run("--job-set=cidr=1").ret == 0
    return lambda *args, cidr=1: jobs.run(f"--job-set=cidr={cidr}", *args)


def table(run):
    """Return the cells of the table of a description, by job."""
    lines = run.text.partition(" described ")[2].splitlines()
    rows = [line.replace("as declared", "as_declared").replace("not ", "not_") for line in lines[2:]]
    return {row.split()[0]: row.split()[1:] for row in rows[: rows.index("")]}


def test_what_is_there_is_brought_up_to_date(site):
    run = site(cidr=2)
    assert run.seen == ["make net", "update server 7", "make page"]
    assert run.reasons["server"].endswith("(update)")
    assert run.ret == 0


def test_what_is_made_is_described_as_created(site):
    run = site("--job-command=describe", "--job-report=r.json")
    rows = table(run)
    assert (rows["server"][0], rows["server"][3:5]) == ("created", ["same", "as_declared"])
    assert (rows["net"][0], rows["net"][3:5]) == ("created", ["same", "-"])
    report = json.loads(Path("r.json").read_text())
    assert (report["command"], run.ret, run.seen) == ("describe", 0, [])
    assert [job["value"] for job in report["jobs"]] == [{"cidr": "1"}, {"id": 7}, None]


def test_reality_that_has_drifted_is_described_and_fails_nothing(site):
    Path("server").write_text("9")
    run = site("--job-command=describe")
    assert (table(run)["server"][3:5], run.ret) == (["same", "drifted"], 0)
    assert run.reasons["server"].startswith("drifted: ")


def test_a_description_that_raises_fails(site):
    Path("server").unlink()
    run = site("--job-command=describe")
    assert (run.ret, run.outcomes["server"]) == (1, "failed")
    assert "describe raised" in run.reasons["server"]


def test_a_declaration_that_has_changed_is_described_and_told_by_a_drift(site, jobs):
    jobs.write({"job_it.py": SITE.replace('note("make server")', 'note("make it")')})
    assert table(site("--job-command=describe"))["server"][3:5] == ["changed", "as_declared"]
    run = site("--drift")
    assert (run.ret, run.outcomes["server"]) == (0, "unchanged")
    assert "server: its definition has changed since its last success" in run.text


def test_all_is_deleted_downstream_first_with_the_values_that_were_stored(site):
    run = site(DELETE)
    assert run.seen == ["delete server 7 in 1", "delete net 1"]
    assert run.outcomes == {"net": "changed", "server": "changed", "page": "skipped"}
    assert run.reasons["page"] == "it has no delete_page"
    assert run.phases["server"] == [["run", "recheck"]]
    assert run.ret == 0


def test_what_was_deleted_is_described_as_gone_and_is_made_again(site):
    site(DELETE)
    run = site("--job-command=describe")
    assert [table(run)[name][0] for name in ("net", "server", "page")] == ["gone", "gone", "created"]
    assert table(run)["server"][3:5] == ["-", "not_there"]
    assert run.ret == 0
    again = site()
    assert again.seen[:2] == ["make net", "make server"]
    assert (again.ret, site(DELETE).seen) == (0, ["delete server 7 in 1", "delete net 1"])


def test_to_delete_twice_is_to_delete_once(site):
    site(DELETE)
    run = site(DELETE)
    assert (run.seen, run.ret) == ([], 0)
    assert run.outcomes == {"net": "unchanged", "server": "unchanged", "page": "skipped"}
    assert run.reasons["net"] == "not there: the state says it is gone"
    assert run.reasons["server"].startswith("not there: ")


def test_what_nobody_has_made_is_deleted_if_its_check_says_that_it_is_there(jobs):
    run = jobs(
        """
        from pathlib import Path
        from seen import note
        Path("b").touch()
        def check_a(): assert Path("a").exists()
        def job_a(): ...
        def delete_a(): note("a")
        def check_b(): assert Path("b").exists()
        def job_b(): ...
        def delete_b(): note("b"); Path("b").unlink()
        def job_c(): ...
        def delete_c(): note("c")
        """,
        DELETE,
    )
    assert (run.seen, run.outcomes) == (["b", "c"], {"a": "unchanged", "b": "changed", "c": "changed"})


def test_a_delete_that_leaves_it_there_fails_and_keeps_what_it_needs(site, jobs):
    jobs.write({"job_it.py": SITE.replace('Path("server").unlink()', "...")})
    run = site(DELETE)
    assert run.outcomes == {"net": "blocked", "server": "failed", "page": "skipped"}
    assert run.reasons["server"] == "its check still holds after delete"
    assert run.reasons["net"] == "server, which needs it, failed"
    assert (run.kinds["server"], run.ret) == ("check_failed", 1)
    assert table(site("--job-command=describe"))["server"][0] == "created"


def test_a_delete_whose_value_nobody_has_fails_clearly(jobs):
    run = jobs("def job_b(): ...\ndef job_a(b): return object()\ndef delete_a(a, b): ...", DELETE)
    assert run.kinds["a"] == "setup_error"
    assert "its delete takes the value of b, a, which is not known any more" in run.longrepr("a")
    assert "fix: run b, a once more, or do it by hand; what is not storable" in run.longrepr("a")


def test_to_delete_one_is_to_delete_what_depends_on_it(site):
    assert site(DELETE, "--job-only=server").seen == ["delete server 7 in 1"]
    assert Path("net").exists()
    assert site(DELETE, "--job-only=net").seen == ["delete net 1"]


def test_a_plan_says_what_would_be_deleted(site):
    run = site("--plan", DELETE)
    assert (run.outcomes["server"], run.outcomes["net"], run.seen) == ("would-run", "would-run", [])
    assert "destroy only, plan only" in run.text
    assert Path("server").exists()


def test_a_plan_for_another_verb_is_not_kept(site):
    run = site("--plan", DELETE, "--job-plan-out=p.toml")
    assert (run.ret, "--job-plan-out keeps a plan that can be applied" in run.errors) == (4, True)


def test_a_verb_of_the_project_has_values_for_the_report_only(site):
    run = site("--job-command=backup", "--job-report=r.json")
    report = json.loads(Path("r.json").read_text())
    assert (report["command"], report["jobs"][2]["value"]) == ("backup", "page of 7")
    assert run.outcomes == {"net": "skipped", "server": "skipped", "page": "changed"}
    assert run.reasons["net"] == "it has no backup_net"
    assert table(site("--job-command=describe"))["page"][-1] == "None"


def test_a_verb_of_the_project_may_go_downstream_first(site):
    assert site("--job-command=unload").seen == ["unload page", "unload net"]


def test_a_function_for_a_verb_without_its_job_is_refused_with_the_nearest(jobs):
    run = jobs("def job_page(): ...\ndef backup_pge(): ...")
    assert run.ret == 4
    assert "backup_pge has no job" in run.text
    assert "did you mean backup_page?" in run.text


def test_a_function_for_a_verb_that_is_there_twice_is_refused(jobs):
    run = jobs("def job_a(): ...\ndef backup_a(): ...\ndef backup_a(): ...")
    assert (run.ret, "backup_a is defined twice" in run.text) == (4, True)


def test_each_verb_sets_up_its_own_fixtures(jobs):
    conftest = """
        import pytest
        from seen import note
        @pytest.fixture
        def for_run(): note("for run")
        @pytest.fixture
        def for_delete(): note("for delete")
    """
    source = "def job_a(for_run): ...\ndef delete_a(for_delete): ..."
    assert jobs(source, conftest=conftest).seen == ["for run"]
    assert jobs.run(DELETE).seen == ["for delete"]


def test_files_that_a_job_made_are_asked_for_after_a_delete(jobs):
    source = """
        import pytest
        from pathlib import Path
        @pytest.mark.job(outputs=["out"])
        def job_a(): Path("out").touch()
        def delete_a(): Path("out").unlink()
        @pytest.mark.job(inputs=["in"])
        def job_b(): ...
        def delete_b(): ...
    """
    jobs.write({"in": "x"})
    assert jobs(source).ret == 0
    assert jobs.run(DELETE).outcomes == {"a": "changed", "b": "changed"}
    kept = source.replace('Path("out").unlink()', "...")
    assert jobs(kept).outcomes["a"] == "changed"
    assert jobs.run(DELETE).reasons["a"] == "its check still holds after delete"


@pytest.mark.parametrize("verb", [DELETE, "--job-command=backup"])
def test_what_runs_in_a_process_is_found_there_too(jobs, verb):
    source = """
        import os
        from pathlib import Path
        def job_a():
            yield {"pid": 1}
        def delete_a(a): Path("said").write_text(f"delete {a['pid']}")
        def backup_a(a): Path("said").write_text(f"backup {a['pid']}")
        def job_b(a): ...
    """
    jobs(source)
    assert jobs.run(verb, "--job-executor=process").outcomes["a"] == "changed"
    assert Path("said").read_text() in ("delete 1", "backup 1")


def test_a_delete_that_was_cut_short_goes_on_where_it_was(site, jobs):
    jobs.write({"job_it.py": SITE.replace('note(f"delete net', 'assert params.cidr == 2, "no"; note(f"x')})
    jobs.write(
        {
            "job_it.py": (jobs.path / "job_it.py")
            .read_text()
            .replace("delete_net(net)", "delete_net(net, params)")
        }
    )
    assert site(DELETE).outcomes == {"net": "failed", "server": "changed", "page": "skipped"}
    run = site(DELETE, "--job-resume", cidr=2)
    assert run.outcomes["net"] == "changed"
    assert "delete server" not in "".join(run.seen)


def test_an_apply_does_not_go_on_with_a_delete(site):
    site(DELETE)
    run = site("--job-resume")
    assert "nothing to resume: the last run was for delete; this is a new one" in run.text
    assert run.seen == ["make net", "make server", "make page"]


@pytest.mark.rarely
def test_a_delete_that_is_killed_anywhere_goes_on_to_its_end(tmp_path):
    source = """
    from pathlib import Path
    def check_a(): assert Path("a").exists()
    def job_a(): Path("a").touch()
    def delete_a(): Path("a").unlink()
    def job_b(a): Path("b").touch()
    def delete_b(): Path("b").unlink(missing_ok=True)
    """.replace("\n    ", "\n")
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    folders = []

    def made():
        folders.append(tmp_path / str(len(folders)))
        folders[-1].mkdir()
        (folders[-1] / "job_it.py").write_text(source)
        (folders[-1] / "pytest.ini").write_text("[pytest]")
        command = [sys.executable, "-m", "pytest", "--orchestrate", *quiet]
        subprocess.run(command, cwd=folders[-1], check=True, capture_output=True)
        return folders[-1]

    crashed = crash_points(made, "--job-command=delete", *quiet, every=4)
    assert len(crashed) >= 2
    assert not [path for one in crashed for path in one.project.iterdir() if path.name in ("a", "b")]
