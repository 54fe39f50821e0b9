"""What the commands of `jobtest` answer, over a state on disk."""

import json
from xml.etree import ElementTree

import pytest

from jobtest.reports import history
from jobtest.state.store import ValueKept
from tests.cli.journals import ME, STARTED, run_id, shop, simple


def killed(run=run_id(3)):  # noqa: B008 - text does not change
    """A run that was killed while it ran `fetch`."""
    journal = shop(run, STARTED + 200)
    journal.changes = journal.changes[:8]
    return journal


def texts(project, make):
    """Return what the library tells of the state of a project."""
    store = project.store
    try:
        return make(store)
    finally:
        store.close()


def ok(said):
    assert (said.status, said.err) == (0, "")
    return said.out


def refused(said):
    assert (said.status, said.out) == (4, "")
    return said.err


def test_runs_lists_what_the_state_remembers(project):
    project.keep(shop(), simple(run_id(2), STARTED + 100), killed())
    expected = texts(project, lambda store: history.runs_text(history.list_runs(store)))
    assert ok(project.jobtest("runs")) == expected
    assert "killed   1 unchanged, 1 skipped, 9 not ended" in expected.replace("killed  ", "killed   ")
    data = json.loads(ok(project.jobtest("runs", "--json")))
    assert data == texts(project, lambda store: history.runs_data(history.list_runs(store)))
    assert [one["state"] for one in data["runs"]] == ["killed", "ended", "ended"]


def test_runs_lists_twenty_and_says_how_many_more_there_are(project):
    project.keep(*(simple(run_id(number), STARTED + number) for number in range(1, 23)))
    lines = ok(project.jobtest("runs")).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "... 2 more; --limit 22 lists all"
    assert len(ok(project.jobtest("runs", "--limit", "22")).splitlines()) == 23
    assert json.loads(ok(project.jobtest("runs", "--limit=1", "--json")))["more"] == 21


def test_a_project_in_which_nothing_has_run_has_no_runs_and_gets_no_state(project):
    assert ok(project.jobtest("runs")) == "no runs yet\n"
    assert json.loads(ok(project.jobtest("runs", "--json"))) == {"schema": 1, "runs": [], "more": 0}
    assert refused(project.jobtest("show", "last")).startswith("there is no run yet\n")
    assert refused(project.jobtest("explain", "a")).startswith("no run has a job 'a'\n")
    assert ok(project.jobtest("prune", "--dry-run")) == "would forget no runs\n"
    assert [file.name for file in project.path.iterdir()] == ["pyproject.toml"]


def test_a_run_that_is_under_way_is_said_to_be(project):
    store = project.store
    store.own(ME)
    killed().keep(store)
    assert "  running  " in ok(project.jobtest("runs"))
    assert "state      running\n" in ok(project.jobtest("show", "last"))
    store.close()
    assert "  killed  " in ok(project.jobtest("runs"))


def test_show_tells_a_run(project):
    project.keep(shop(), simple(run_id(2), STARTED + 100))
    expected = texts(project, lambda store: history.show_text(store, history.load_run(store, run_id(1))))
    for run in (run_id(1), "00000001"):
        assert ok(project.jobtest("show", run)) == expected
    assert run_id(2) in ok(project.jobtest("show", "last"))
    data = json.loads(ok(project.jobtest("show", "00000001", "--json")))
    assert data == texts(project, lambda store: history.show_data(store, history.load_run(store, run_id(1))))
    assert (data["schema"], data["run"]["exit_status"], len(data["jobs"])) == (1, 1, 11)


def test_explain_tells_a_job(project):
    project.keep(shop())
    explained = texts(project, lambda store: history.explain(store, "flaky"))
    assert ok(project.jobtest("explain", "flaky")) == history.explain_text(explained)
    assert json.loads(ok(project.jobtest("explain", "flaky", "--json"))) == history.explain_data(explained)
    assert refused(project.jobtest("explain", "flakey")).endswith("  fix: did you mean 'flaky'?\n")


def test_report_writes_what_the_run_came_to(project):
    journal = shop()
    project.keep(journal)
    said = project.jobtest("report", "last", "--junitxml", "new/j.xml", "--json", "r.json")
    assert ok(said) == "written: new/j.xml\nwritten: r.json\n"
    suite = ElementTree.parse(project.path / "new" / "j.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("hostname")) == ("11", "1", "here")
    data = json.loads((project.path / "r.json").read_text())
    assert data == json.loads(ok(project.jobtest("show", "last", "--json")))


@pytest.mark.parametrize("events", range(1, len(shop().changes), 5))
def test_a_run_that_was_killed_at_any_time_is_reported_with_all_its_jobs(project, events):
    journal = shop()
    journal.changes = journal.changes[:events]
    project.keep(journal)
    ok(project.jobtest("report", "last", "--junitxml=j.xml", "--json=r.json"))
    suite = ElementTree.parse(project.path / "j.xml").getroot()[0]
    errors = [one.get("message") for one in suite.iter("error") if one.get("type") == "unended"]
    outcomes = [job["outcome"] for job in json.loads((project.path / "r.json").read_text())["jobs"]]
    assert len(suite) == len(outcomes) == 11
    assert errors == ["the run was killed"] * outcomes.count(None)


def test_a_report_of_a_run_that_is_under_way_does_not_say_that_it_was_killed(project):
    store = project.store
    store.own(ME)
    killed().keep(store)
    ok(project.jobtest("report", "last", "--junitxml=j.xml"))
    store.close()
    assert "the run has not ended yet" in (project.path / "j.xml").read_text()


def test_a_report_that_cannot_be_written_leaves_what_was_there(project):
    project.keep(shop())
    (project.path / "folder").mkdir()
    (project.path / "file").write_text("old")
    assert refused(project.jobtest("report", "last", "--junitxml=folder")) == (
        "'folder' cannot be written: Is a directory\n  fix: name another file\n"
    )
    assert refused(project.jobtest("report", "last", "--json=file/r.json")).startswith(
        "'file/r.json' cannot be written: "
    )
    assert (project.path / "file").read_text() == "old"


def test_report_wants_something_to_write(project):
    project.keep(shop())
    assert refused(project.jobtest("report", "last")) == (
        "there is nothing to write\n  fix: give --junitxml FILE, --json FILE, or both\n"
    )


def test_prune_forgets_all_but_the_newest(project):
    project.keep(*(simple(run_id(number), STARTED + number) for number in range(1, 5)))
    expected = [f"{run_id(2)}, 2026-01-31 10:00:02Z", f"{run_id(1)}, 2026-01-31 10:00:01Z"]
    plan = ok(project.jobtest("prune", "--keep=2", "--dry-run"))
    assert plan.splitlines() == [*(f"would forget {one}" for one in expected), "would forget 2 runs"]
    assert len(project.ids()) == 4
    did = ok(project.jobtest("prune", "--keep=2"))
    assert did.splitlines() == [*(f"forgot {one}" for one in expected), "forgot 2 runs"]
    assert project.ids() == [run_id(4), run_id(3)]
    assert ok(project.jobtest("prune", "--keep=1")).endswith("\nforgot 1 run\n")
    assert ok(project.jobtest("prune", "--keep=1")) == "forgot no runs\n"
    assert ok(project.jobtest("prune", "--keep=0")).endswith("\nforgot 1 run\n")


def test_prune_keeps_the_newest_run_that_has_not_ended_and_runs_that_owe_a_cleanup(project):
    owing = shop(run_id(1))
    killed_runs = [killed(run_id(number)) for number in (2, 3)]
    for journal in killed_runs:
        journal.changes = journal.changes[:2]
    project.keep(owing, *killed_runs, *(simple(run_id(number), STARTED + 900) for number in (4, 5)))
    ok(project.jobtest("prune", "--keep=1"))
    assert project.ids() == [run_id(5), run_id(3), run_id(1)]


def test_prune_keeps_as_many_of_each_context(project):
    contexts = ("prod", "dev", "dev", "prod", "", "dev")
    runs = [simple(run_id(at), STARTED + at, context=name) for at, name in enumerate(contexts, 1)]
    project.keep(*runs)
    ok(project.jobtest("prune", "--keep=1"))
    assert project.ids() == [run_id(6), run_id(5), run_id(4)]


def test_prune_keeps_as_many_as_the_settings_say(project):
    (project.path / "pyproject.toml").write_text("[tool.jobtest]\nkeep_runs = 2\n")
    project.keep(*(simple(run_id(number), STARTED + number) for number in range(1, 5)))
    ok(project.jobtest("prune"))
    assert project.ids() == [run_id(4), run_id(3)]


def test_prune_does_not_touch_a_state_that_somebody_owns(project):
    project.keep(simple(run_id(1)), simple(run_id(2), STARTED + 1))
    store = project.store
    store.own(ME)
    said = refused(project.jobtest("prune", "--keep=1"))
    store.close()
    assert said.startswith("the state is in use by process 7 on 'here' since 2026-01-31 10:00:00 UTC")
    assert len(project.ids()) == 2


def test_values_that_no_run_names_go_with_the_runs(project):
    project.keep(simple(run_id(1)), simple(run_id(2), STARTED + 100))
    store = project.store
    store.own(ME)
    store.write(ValueKept("0" * 64, "1"))
    store.commit()
    store.close()
    ok(project.jobtest("prune", "--keep=1"))
    store = project.store
    assert store.value("0" * 64) is None
    store.close()


def test_backup_copies_the_state_to_a_new_file(project):
    project.keep(shop())
    assert ok(project.jobtest("backup", "copy.db")) == "written: copy.db\n"
    copied = project.jobtest("--state", f"sqlite:///{project.path / 'copy.db'}", "runs")
    assert ok(copied) == ok(project.jobtest("runs"))
    before = (project.path / "copy.db").read_bytes()
    for there in ("copy.db", ".jobtest/state.db"):
        assert refused(project.jobtest("backup", there)) == (
            f"{there!r} is there already\n  fix: name a new file, or remove it\n"
        )
    assert (project.path / "copy.db").read_bytes() == before


def test_a_state_that_cannot_be_copied_says_what_to_do(project):
    assert refused(project.jobtest("--state=memory://", "backup", "copy")) == (
        "memory:// cannot be backed up by jobtest\n"
        "  fix: back it up by the means of what holds it, while no run is under way\n"
    )


def test_prune_owed_forgets_one_cleanup(tmp_path, capsys):
    from jobtest.cli.main import main
    from jobtest.state.opening import open_store
    from jobtest.state.store import CleanupOwed, Owner

    store = open_store("", tmp_path)
    store.own(Owner(host="h", pid=1, since=0.0, command="c"))
    store.write(CleanupOwed("job_a.py::job_a", "r1"))
    store.write(CleanupOwed("job_a.py::job_b", "r1"))
    store.close()
    assert main(["--root", str(tmp_path), "prune", "--owed", "job_a.py::job_x"]) == 4
    assert "owes no cleanup" in capsys.readouterr().err
    assert main(["--root", str(tmp_path), "prune", "--owed", "job_a.py::job_a", "--dry-run"]) == 0
    assert main(["--root", str(tmp_path), "prune", "--owed", "job_a.py::job_a"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["would forget the cleanup of job_a.py::job_a", "forgot the cleanup of job_a.py::job_a"]
    store = open_store("", tmp_path)
    assert [one.job for one in store.owed()] == ["job_a.py::job_b"]
    store.close()
