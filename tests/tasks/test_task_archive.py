"""Task type `archive`: the same bytes for the same folder, whole or none, and nothing that leads out."""

import errno
import os
import resource
import shutil
import socket
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from jobtest.tasks import TaskFailed
from jobtest.tasks.archive import (
    check_task_archive,
    delete_task_archive,
    describe_task_archive,
    task_archive,
)

ENDINGS = [".tar.gz", ".tgz", ".zip"]
both = pytest.mark.parametrize("target", [Path("out/x.tar.gz"), Path("out/x.zip")], ids=["tar", "zip"])


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data():
    """A folder with some of everything."""
    folder = Path("data")
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("b" * 100_000)
    (folder / "sub" / "deep" / "ü \n.txt").write_text("")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o700)
    (folder / "link").symlink_to("sub/b.txt")
    (folder / "sub" / "up").symlink_to("../empty")
    return folder


def refused(*args):
    with pytest.raises(TaskFailed) as raised:
        task_archive(*args)
    return raised.value.problem


def unpacked(target):
    if target.suffix == ".zip":
        with zipfile.ZipFile(target) as packed:
            assert packed.testzip() is None
            packed.extractall("unpacked")
    else:
        with tarfile.open(target) as packed:
            packed.extractall("unpacked", filter="data")
    return Path("unpacked")


@both
def test_what_is_packed_can_be_unpacked(data, target):
    task_archive(data, target)

    folder = unpacked(target) / "data"
    assert sorted(os.listdir(folder)) == ["a.txt", "empty", "link", "sub", "tool"]
    assert (folder / "sub" / "b.txt").read_text() == "b" * 100_000
    assert (folder / "sub" / "deep" / "ü \n.txt").read_text() == ""
    if target.suffix != ".zip":  # zipfile unpacks neither permissions nor links
        assert os.access(folder / "tool", os.X_OK)
        assert os.readlink(folder / "sub" / "up") == "../empty"
    assert os.listdir("out") == [target.name]


@both
def test_a_zip_and_a_tar_keep_kinds_and_permissions(data, target):
    task_archive(data, target)

    if target.suffix == ".zip":
        with zipfile.ZipFile(target) as packed:
            told = [(info.filename, oct(info.external_attr >> 16)) for info in packed.infolist()]
            assert packed.read("data/link") == b"sub/b.txt"
        assert told == [
            ("data/", "0o40755"),
            ("data/a.txt", "0o100644"),
            ("data/empty/", "0o40755"),
            ("data/link", "0o120777"),
            ("data/sub/", "0o40755"),
            ("data/sub/b.txt", "0o100644"),
            ("data/sub/deep/", "0o40755"),
            ("data/sub/deep/ü \n.txt", "0o100644"),
            ("data/sub/up", "0o120777"),
            ("data/tool", "0o100755"),
        ]
    else:
        with tarfile.open(target) as packed:
            told = {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in packed}
        assert told == {(0, 0, "", "", 315532800)}
        assert target.read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name, no time


@both
def test_the_same_folder_gives_the_same_bytes(data, target):
    task_archive(data, target)
    first = target.read_bytes()
    other = Path("elsewhere/data")
    shutil.copytree(data, other, symlinks=True)
    (other / "zz").touch()
    (other / "zz").unlink()
    os.utime(other / "a.txt", (1, 1))
    (other / "a.txt").chmod(0o600)

    task_archive(other, target)

    assert target.read_bytes() == first


@both
def test_the_check_holds_after_the_run_and_sees_each_change(data, target):
    with pytest.raises(AssertionError, match="is not there"):
        check_task_archive(data, target)
    task_archive(data, target)
    os.utime(data / "a.txt", (1, 1))
    check_task_archive(data, target)

    (data / "a.txt").write_text("b")
    (data / "new").touch()
    (data / "empty").rmdir()
    (data / "sub" / "up").unlink()
    with pytest.raises(AssertionError) as raised:
        check_task_archive(data, target)

    assert str(raised.value) == (
        f"'{target}' is out of date: 'data/a.txt' differs, 'data/empty' is gone, 'data/new' is new and 1 more"
    )


@both
@pytest.mark.parametrize("change", ["mode", "link", "kind", "name"])
def test_a_small_change_is_seen(data, target, change):
    task_archive(data, target)
    if change == "mode":
        (data / "tool").chmod(0o600)
    elif change == "link":
        (data / "link").unlink()
        (data / "link").symlink_to("a.txt")
    elif change == "kind":
        (data / "link").unlink()
        (data / "link").write_text("sub/b.txt")
    else:
        data.rename("data2")
        data = Path("data2")

    with pytest.raises(AssertionError, match="is out of date"):
        check_task_archive(data, target)
    task_archive(data, target)
    check_task_archive(data, target)


@both
@pytest.mark.parametrize("left", [0, 10, 0.5, -1, -8], ids=str)
def test_an_archive_that_is_not_whole_is_made_again(data, target, left):
    task_archive(data, target)
    whole = target.read_bytes()
    target.write_bytes(whole[: int(len(whole) * left) if left == 0.5 else left])

    with pytest.raises(AssertionError, match="cannot be read as an archive"):
        check_task_archive(data, target)
    task_archive(data, target)

    assert target.read_bytes() == whole


@both
def test_a_damaged_byte_is_seen(data, target):
    (data / "a.txt").write_bytes(os.urandom(100_000))
    task_archive(data, target)
    whole = bytearray(target.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    target.write_bytes(whole)

    with pytest.raises(AssertionError):
        check_task_archive(data, target)


@both
def test_after_a_failure_the_old_archive_is_there_and_nothing_else(data, target):
    task_archive(data, target)
    before = target.read_bytes()
    (data / "big").write_bytes(os.urandom(1_000_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        problem = refused(data, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert problem.what == f"'data' cannot be packed into '{target}': {os.strerror(errno.EFBIG)}"
    assert target.read_bytes() == before
    assert os.listdir("out") == [target.name]


@both
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_left(data, target, monkeypatch):
    secret = data / "sub" / "b.txt"
    opens = Path.open

    def denies(path, *args, **kwargs):
        if path.name == "b.txt":  # permissions do not stop the administrator, who may run this
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opens(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", denies)
    problem = refused(data, target)

    assert problem.what == f"'data' cannot be packed into '{target}': Permission denied"
    assert problem.at == (str(secret.absolute()),)
    assert os.listdir("out") == []


@both
def test_a_file_that_becomes_shorter_meanwhile_is_a_failure(data, target, monkeypatch):
    tells = os.fstat

    def longer(descriptor):
        told = list(tells(descriptor))
        told[stat.ST_SIZE] += 1
        return os.stat_result(told)

    monkeypatch.setattr(os, "fstat", longer)
    refused(data, target)

    assert os.listdir("out") == []


def test_what_leads_out_is_refused_all_at_once(data):
    Path("outside").mkdir()
    Path("outside/secret").touch()
    (data / "up").symlink_to("../outside")
    (data / "absolute").symlink_to(Path("data/a.txt").absolute())
    (data / "round").symlink_to("../data/../outside/secret")
    (data / "hop").symlink_to("sub/../../outside")
    (data / "fine").symlink_to("nowhere")
    os.mkfifo(data / "pipe")
    root = data.absolute()

    problem = refused(data, Path("x.zip"))

    assert problem.what == "'data' holds what cannot be packed: links that lead out of it, or special files"
    assert problem.at == (
        f"{root}/absolute: leads to '{root}/a.txt'",
        f"{root}/hop: leads to 'sub/../../outside'",
        f"{root}/pipe: neither file, folder nor link",
        f"{root}/round: leads to '../data/../outside/secret'",
        f"{root}/up: leads to '../outside'",
    )
    assert not Path("x.zip").exists()
    with pytest.raises(TaskFailed):
        check_task_archive(data, Path("x.zip"))


def test_a_link_that_leads_out_by_another_link_is_refused(data):
    (data / "sub" / "deep" / "far").symlink_to("../../..")
    (data / "by").symlink_to("sub/deep/far/outside")

    assert [place.partition(":")[0] for place in refused(data, Path("x.zip")).at] == [
        str(data.absolute() / "by"),
        str(data.absolute() / "sub" / "deep" / "far"),
    ]


def test_a_folder_reached_by_a_link_has_the_name_of_the_link(data):
    Path("current").symlink_to("data")
    (data / "back").symlink_to("../data/a.txt")  # out of a folder "current", when it is unpacked
    assert refused(Path("current"), Path("x.tar.gz")).at[0].endswith("back: leads to '../data/a.txt'")
    (data / "back").unlink()

    task_archive(Path("current"), Path("x.tar.gz"))

    assert sorted(os.listdir(unpacked(Path("x.tar.gz")))) == ["current"]
    task_archive(Path("data/sub/.."), Path("x.tar.gz"))
    check_task_archive(data, Path("x.tar.gz"))


def test_a_name_that_is_no_text_fits_a_tar_and_not_a_zip(data):
    (data / os.fsdecode(b"caf\xe9")).write_text("x")

    task_archive(data, Path("x.tar.gz"))
    check_task_archive(data, Path("x.tar.gz"))

    problem = refused(data, Path("x.zip"))
    assert problem.what == "'data/caf\\udce9' cannot be packed: a zip file takes names in UTF-8 alone"
    assert not Path("x.zip").exists()


@pytest.mark.parametrize("name", ["x.tar", "x.rar", "zip", "x"])
def test_other_endings_are_refused(data, name):
    problem = refused(data, Path(name))

    assert problem.what == f"target_file_path = '{name}' does not say what kind of archive to write"
    assert problem.fix == "end its name with one of .tar.gz, .tgz, .zip"


@pytest.mark.parametrize("ending", [*ENDINGS, ".ZIP"])
def test_an_ending_says_how(data, ending):
    task_archive(data, Path(f"x{ending}"))

    assert Path(f"x{ending}").read_bytes()[:2] == (b"PK" if ending.lower() == ".zip" else b"\x1f\x8b")


def test_a_target_inside_the_folder_is_refused(data):
    Path("other").symlink_to("data/sub")
    for target in ("data/x.zip", "data/sub/x.zip", "other/x.zip", "data/../data/x.zip"):
        assert "is inside the folder to pack" in refused(data, Path(target)).what
    Path("data.zip").touch()

    task_archive(data, Path("data.zip"))


@pytest.mark.parametrize("folder", ["none", "file"])
def test_what_is_no_folder_is_refused(folder):
    Path("file").touch()

    problem = refused(Path(folder), Path("x.zip"))

    assert problem.what == f"input_directory_path = '{folder}' is not a folder"


def test_the_root_has_no_name():
    assert refused(Path("/"), Path("/x.zip")).what  # it is inside, whatever else


def test_a_socket_is_refused(data):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(data / "s"))
        assert refused(data, Path("x.zip")).at == (f"{data.absolute()}/s: neither file, folder nor link",)


def test_a_deep_folder_is_packed():
    deep = Path("deep")
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    task_archive(deep, Path("x.tar.gz"))
    check_task_archive(deep, Path("x.tar.gz"))


def test_it_is_described_and_deleted(data):
    target = Path("x.zip")
    assert describe_task_archive(target) == {"path": "x.zip", "exists": False}
    task_archive(data, target)

    told = describe_task_archive(target)
    delete_task_archive(target)
    delete_task_archive(target)

    assert told["exists"]
    assert told["bytes"] > 100
    assert len(told["sha256"]) == 64
    assert not target.exists()
