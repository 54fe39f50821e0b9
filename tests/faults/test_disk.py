"""R18, R22, R23: a full disk, a folder that cannot be written, a state that is taken away."""

import os
import shutil
import subprocess
import textwrap

import pytest

from tests.faults.deaths import Came, ended
from tests.faults.lives import RESUME, Project
from tests.faults.promises import broken

INTERNAL, USAGE = 3, 4
STATES = ["", "file:.jobtest"]
BULKY = """
    import pytest
    from pathlib import Path

    @pytest.mark.parametrize("number", range(300))
    def job_bulk(number):
        with open("ran", "a") as stream:
            stream.write(f"{number}\\n")
        return f"{number}" * 2000

    def job_all(bulk):
        assert len(bulk) == 300
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


def mount(folder, *options):
    """Mount a small disk on a folder; False where even root may not."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=False, capture_output=True
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB for the state of a project."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "-o", "size=1m"):
        pytest.skip("this machine does not let root mount")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@as_root
@pytest.mark.parametrize("scheme", ["sqlite:///{}/state.db", "file://{}/state"])
def test_on_a_full_disk_a_run_stops_says_so_and_can_go_on(tmp_path, small_disk, figures, scheme):
    source = tmp_path / "source"
    source.mkdir()
    (source / "job_bulk.py").write_text(textwrap.dedent(BULKY))
    jobs = frozenset({"all", *(f"bulk[{number}]" for number in range(300))})
    url = scheme.format(f"/{small_disk}" if "sqlite" in scheme else small_disk)
    project = Project(tmp_path / "project", "-J1", state=url, jobs=jobs, source=source)

    life = project.live(*RESUME)
    breaches = broken(project)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    came = ended(project, "full disk", breaches)

    figures(f"a full disk, {scheme.partition(':')[0]}", Came(1, came.breaches), "runs")
    assert life.status == INTERNAL
    assert f"state disk is full: {small_disk}" in life.output
    assert life.seconds < 35
    ran = (project.folder / "ran").read_text().split()
    assert len(ran) <= 301, "one job was under way, or its end could not be kept"


def read_only(folder):
    """Make a folder one that cannot be written, and return how to undo that."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        return lambda: folder.chmod(0o755)
    if (
        not mount(folder, "-o", "size=1m")
        or subprocess.run(["mount", "-o", "remount,ro", folder], check=False).returncode
    ):
        pytest.skip("root can write everywhere, and cannot mount here")
    return lambda: subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("state", STATES)
def test_in_a_read_only_folder_nothing_begins(tmp_path, state):
    project = Project(tmp_path / "project", "-J1", state=state)
    folder = project.folder / ".jobtest"
    folder.mkdir()
    undo = read_only(folder)
    try:
        life = project.live(*RESUME)
    finally:
        undo()

    assert life.status == USAGE
    assert str(folder) in life.output
    assert "Traceback" not in life.output
    assert not project.ledger()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_when_the_state_is_moved_away_nothing_new_starts(tmp_path, figures, state, workers):
    project = Project(tmp_path / "project", workers, state=state)
    there, away = project.folder / ".jobtest", project.folder / "away"

    def move(child):
        project.wait_for("waiting", child)
        there.rename(away)
        (project.folder / "go").touch()
        child.end()

    life = project.live(*RESUME, kill=move, WAIT="merge run middle")
    lines = project.ledger()
    left = there.exists()
    if left:
        shutil.rmtree(there)
    away.rename(there)
    came = ended(project, f"moved {workers} {state}", broken(project))

    figures("states moved away", Came(1, came.breaches), "runs")
    assert life.status == INTERNAL, life.output
    assert "the state was removed or replaced" in life.output
    assert not left, "a new one was made at the old path"
    waited = next(at for at, line in enumerate(lines) if line.job == "merge" and line.enters)
    assert not [
        line for line in lines[waited + 1 :] if line.enters and line.job in ("report", "final", "last")
    ]
