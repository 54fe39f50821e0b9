"""After a kill without `--job-resume`; jobs that must not run twice; cleanups that were left for later."""

import pytest

from tests.faults.lives import KILLED, RESUME, Project
from tests.faults.promises import CLEANED, UNCHECKED

PLACES = ["report run middle", "final recheck begin", "merge cleanup begin"]
ONCE = """
    from world import Act

    def job_before(act):
        return act.run(1)

    @pytest.mark.job(on_crash="fail")
    def job_transfer(act, before):
        act.run()
"""


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
@pytest.mark.parametrize("place", PLACES)
def test_a_plain_run_after_a_kill_cleans_up_first_and_runs_nothing_that_is_there(tmp_path, workers, place):
    project = Project(tmp_path / "project", workers)
    killed = project.live("-v", FAULT=place)
    before = project.ledger()
    plain = project.live("-v")
    after = project.ledger()[len(before) :]

    assert (killed.status, plain.status) == (KILLED, 0)
    entered = {line.job for line in before if line.enters} & CLEANED
    cleaned = {line.job for line in before if (line.phase, line.what) == ("cleanup", "end")}
    first = [line.job for line in after if line.what == "begin"][: len(entered - cleaned)]
    assert {*first} == entered - cleaned, "what was owed comes first"
    done = {job for job, outcome in killed.reported.items() if outcome == "CHANGED"} - UNCHECKED
    assert done
    assert not [line for line in after if line.enters and line.job in done]
    assert "--job-resume would have gone on with it" in plain.output


def test_cleanups_that_were_kept_are_done_once_by_the_command(tmp_path):
    project = Project(tmp_path / "project", "-J1")
    project.live(*RESUME, "--job-keep")
    place = "merge cleanup begin"
    killed = project.live("--job-command=cleanup", "-v", FAULT=place)
    done = project.live("--job-command=cleanup", "-v")
    again = project.live("--job-command=cleanup", "-v")

    assert [killed.status, done.status] == [KILLED, 0]
    begun = [line.job for line in project.ledger() if (line.phase, line.what) == ("cleanup", "begin")]
    assert sorted(begun) == sorted([*CLEANED, "merge"]), "merge was under way when its run was killed"
    assert not [line for line in project.ledger() if line.life == again.number and line.phase == "cleanup"]


def test_a_job_that_must_not_run_twice_fails_until_it_is_forced(tmp_path):
    project = Project(tmp_path / "project", "-J1")
    for file in project.folder.glob("job_*.py"):
        file.unlink()
    (project.folder / "job_once.py").write_text(
        "import pytest\n" + "\n".join(line[4:] for line in ONCE.splitlines())
    )
    killed = project.live(*RESUME, FAULT="transfer run middle")
    lives = [
        project.live(*RESUME),
        project.live("-v"),
        project.live("-v", "--job-force", "job_once.py::job_transfer"),
    ]

    assert killed.status == KILLED
    assert [life.status for life in lives] == [1, 1, 0]
    assert "on_crash" in lives[0].output
    assert [line.life for line in project.ledger() if line.job == "transfer" and line.enters] == [0, 3]
