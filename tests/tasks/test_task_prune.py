"""Task type `prune`: old files of one folder, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from jobtest.tasks import TaskFailed, prune
from jobtest.tasks.prune import check_task_prune, describe_task_prune, task_prune

DAY = 86400
FOLDER = Path("logs")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    FOLDER.mkdir()


def aged(days, *names):
    """Make files of this age."""
    for name in names:
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
        then = time.time() - days * DAY
        os.utime(path, (then, then))


def left():
    return sorted(
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_symlink() or path.is_file()
    )


def refused(folder=FOLDER, days=1, **arguments):
    with pytest.raises(TaskFailed) as raised:
        task_prune(folder, days, {}, **arguments)
    with pytest.raises(TaskFailed, match=r".") as checked:
        check_task_prune(folder, days, {}, **arguments)
    assert str(checked.value) == str(raised.value)
    return raised.value.problem


def test_what_is_older_goes_and_the_rest_stays(capsys):
    aged(3, "b.log", "sub/c.log")
    aged(4, "a.log", ".hidden")
    aged(1.9, "new.log")

    task_prune(FOLDER, 2, {})

    assert left() == ["new.log", "sub/c.log"]
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "deleted .hidden",
        "deleted a.log",
        "deleted b.log",
    ]


def test_part_of_a_day_counts():
    aged(0.6, "a")
    aged(0.4, "b")

    task_prune(FOLDER, 0.5, {})

    assert left() == ["b"]


def test_the_pattern_says_which():
    aged(9, "a.log", "b.txt", "x/c.log", "x/y/d.log", "x/e.txt")

    task_prune(FOLDER, 1, {}, pattern="*.log")
    assert left() == ["b.txt", "x/c.log", "x/e.txt", "x/y/d.log"]

    task_prune(FOLDER, 1, {}, pattern="**/*.log")
    assert left() == ["b.txt", "x/e.txt"]
    assert (FOLDER / "x" / "y").is_dir()


def test_the_newest_are_kept_whatever_their_age():
    for days in (5, 6, 7, 8):
        aged(days, f"{days}")

    task_prune(FOLDER, 1, {}, keep=2)
    assert left() == ["5", "6"]

    aged(0, "new")
    task_prune(FOLDER, 1, {}, keep=2)
    assert left() == ["5", "new"]
    check_task_prune(FOLDER, 1, {}, keep=2)


def test_the_check_lists_what_would_be_deleted_oldest_first_and_deletes_nothing():
    for number in range(12):
        aged(30 - number, f"f{number:02}")

    with pytest.raises(AssertionError) as raised:
        check_task_prune(FOLDER, 7, {}, keep=0)

    assert str(raised.value) == (
        "12 files are older than 7 days: f00, f01, f02, f03, f04, f05, f06, f07, f08, f09 and 2 more"
    )
    assert len(left()) == 12
    with pytest.raises(AssertionError, match=r"^1 file is older than 29.5 days: f00$"):
        check_task_prune(FOLDER, 29.5, {})
    check_task_prune(FOLDER, 30.5, {})


def test_the_time_is_taken_once_for_an_attempt():
    local = {}
    check_task_prune(FOLDER, 1, local)
    local["now"] -= 60  # it began a minute ago
    aged(1 + 30 / DAY, "has-grown-old-since")

    task_prune(FOLDER, 1, local)
    check_task_prune(FOLDER, 1, local)
    with pytest.raises(AssertionError, match="has-grown-old-since"):
        check_task_prune(FOLDER, 1, {})


def test_links_are_neither_followed_nor_deleted(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    os.utime(outside / "precious", (1, 1))
    (FOLDER / "folder").symlink_to(outside)
    (FOLDER / "file").symlink_to(outside / "precious")
    aged(9, "sub/old")
    (FOLDER / "same").symlink_to("sub")
    os.utime(FOLDER / "file", (1, 1), follow_symlinks=False)

    for pattern in ("*", "*/*", "folder/*", "folder/precious", "**/*"):
        task_prune(FOLDER, 1, {}, pattern=pattern)

    assert (outside / "precious").exists()
    assert left() == ["file", "folder", "same"]
    check_task_prune(FOLDER, 1, {})


def test_a_link_that_is_put_in_the_way_meanwhile_is_not_followed(tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "old").touch()
    os.utime(outside / "old", (1, 1))
    aged(9, "sub/old")
    finds = prune._old

    def swaps(*args):
        found = finds(*args)
        (FOLDER / "sub").rename(FOLDER / "moved")
        (FOLDER / "sub").symlink_to(outside)
        return found

    monkeypatch.setattr(prune, "_old", swaps)
    with pytest.raises(TaskFailed, match="1 old files of 'logs' cannot be deleted"):
        task_prune(FOLDER, 1, {}, pattern="*/*")

    assert (outside / "old").exists()


def test_a_file_that_is_written_to_or_gone_meanwhile_is_no_failure(monkeypatch, capsys):
    aged(9, "touched", "gone", "old", "linked")
    aged(9, "../outside")
    finds = prune._old

    def changes(*args):
        found = finds(*args)
        (FOLDER / "touched").touch()
        (FOLDER / "gone").unlink()
        (FOLDER / "linked").unlink()
        (FOLDER / "linked").symlink_to("../outside")
        return found

    monkeypatch.setattr(prune, "_old", changes)
    task_prune(FOLDER, 1, {})

    assert left() == ["linked", "touched"]
    assert capsys.readouterr().out == "deleted old\n"


def test_one_that_cannot_be_deleted_does_not_keep_the_others(monkeypatch):
    aged(9, "a", "b", "c")
    unlinks = os.unlink

    def denies(name, **kwargs):
        if name == "b":  # permissions do not stop the administrator, who may run this
            raise PermissionError(1, "Operation not permitted", name)
        unlinks(name, **kwargs)

    monkeypatch.setattr(os, "unlink", denies)
    with pytest.raises(TaskFailed) as raised:
        task_prune(FOLDER, 1, {})

    assert raised.value.problem.what == "1 old files of 'logs' cannot be deleted"
    assert raised.value.problem.at == ("logs/b: Operation not permitted",)
    assert left() == ["b"]


def test_a_folder_that_holds_everything_is_refused(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "here").symlink_to(tmp_path)
    for folder in (Path(), Path("."), Path(".."), Path("/"), tmp_path, Path("logs/.."), Path("here")):
        assert refused(folder).what == f"folder = '{folder}' holds the rootdir, '{tmp_path}'"
    monkeypatch.chdir(FOLDER)
    assert refused(home).what == f"folder = '{home}' holds the home folder, '{home}'"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"folder": Path("none")}, "folder = 'none' is not a folder"),
        ({"folder": Path("file")}, "folder = 'file' is not a folder"),
        ({"days": -1}, "older_than_days = -1 is no age"),
        ({"days": float("nan")}, "older_than_days = nan is no age"),
        ({"days": float("inf")}, "older_than_days = inf is no age"),
        ({"keep": -1}, "keep = -1 is no number of files"),
        ({"pattern": "../*"}, "pattern = '../*' does not stay in the folder"),
        ({"pattern": "a/../../*"}, "pattern = 'a/../../*' does not stay in the folder"),
        ({"pattern": "/etc/*"}, "pattern = '/etc/*' does not stay in the folder"),
        ({"pattern": ""}, "pattern = '' does not stay in the folder"),
        ({"pattern": "."}, "pattern = '.' does not stay in the folder"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, what):
    Path("file").touch()
    aged(9, "old")

    problem = refused(**arguments)

    assert problem.what == what
    assert problem.fix
    assert left() == ["old"]


def test_it_is_described():
    aged(9, "a.log", "b.log", "c.txt")

    assert describe_task_prune(FOLDER, "*.log") == {"path": "logs", "files": 2, "bytes": 10}
