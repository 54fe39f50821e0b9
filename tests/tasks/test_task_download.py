"""Task type `download`: the whole file or none, the right one, from where it was said to be."""

import hashlib
import os
import socket
from pathlib import Path

import pytest
from http_server import Site, serving

from jobtest.tasks import TaskFailed
from jobtest.tasks.download import (
    check_task_download,
    delete_task_download,
    describe_task_download,
    task_download,
)

CONTENT = bytes(range(256)) * 1000
TARGET = Path("out/file.bin")
PART = Path("out/file.bin.part")


def checksum(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def site():
    with serving(Site(CONTENT)) as site:
        yield site


def refused(url, target=TARGET, **arguments):
    with pytest.raises(TaskFailed) as raised:
        task_download(url, target, **arguments)
    return raised.value.problem


def listed():
    return sorted(os.listdir("out")) if Path("out").exists() else []


def interrupted(site, after=1000):
    """Leave the beginning of the file behind."""
    site.breaks_after = after
    refused(f"{site.url}/file")
    site.breaks_after = None
    assert PART.read_bytes() == site.content[:after]


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_file_is_fetched_and_nothing_else_is_left(site, algorithm):
    wanted = checksum(CONTENT, algorithm)

    task_download(f"{site.url}/file", TARGET, algorithm + wanted.removeprefix(algorithm).upper())

    assert TARGET.read_bytes() == CONTENT
    assert listed() == ["file.bin"]
    check_task_download(TARGET, wanted)


def test_chunks_and_an_empty_file_are_fetched(site):
    site.chunked = True
    task_download(f"{site.url}/file", TARGET)
    assert TARGET.read_bytes() == CONTENT

    site.chunked, site.content = False, b""
    task_download(f"{site.url}/file", TARGET)
    assert TARGET.read_bytes() == b""


def test_another_file_is_refused_and_the_old_one_stays(site):
    TARGET.parent.mkdir()
    TARGET.write_text("old")

    problem = refused(f"{site.url}/file", checksum=checksum(b"x"))

    assert problem.what == (
        f"what came from {site.url}/file is another file: "
        f"its sha256 is {checksum(CONTENT)[7:]}, not {checksum(b'x')[7:]}"
    )
    assert TARGET.read_text() == "old"
    assert listed() == ["file.bin"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_that_breaks_off_is_a_failure(site, chunked):
    site.breaks_after, site.chunked = 1000, chunked

    problem = refused(f"{site.url}/file")

    if not chunked:
        assert problem.what == f"{site.url}/file broke off: 1000 of 256000 bytes came"
    assert not TARGET.exists()


@pytest.mark.parametrize("validator", ["etag", "date"])
def test_the_next_attempt_goes_on(site, validator):
    site.validators = {validator}
    interrupted(site, 1000)
    site.breaks_after = 500
    refused(f"{site.url}/file")
    site.breaks_after = None

    task_download(f"{site.url}/file", TARGET, checksum(CONTENT))

    assert site.asked == [None, "bytes=1000-", "bytes=1500-"]
    assert TARGET.read_bytes() == CONTENT
    assert listed() == ["file.bin"]


def test_it_begins_again_when_the_file_has_changed(site):
    interrupted(site)
    site.content = CONTENT[::-1]

    task_download(f"{site.url}/file", TARGET)

    assert site.asked == [None, "bytes=1000-"]
    assert TARGET.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("case", ["of another file", "from another place"])
def test_it_begins_again_when_the_server_sends_another_part(site, case):
    interrupted(site)
    if case == "of another file":
        site.content, site.ignores_if_range = CONTENT[::-1], True
    else:
        site.shift = 1

    task_download(f"{site.url}/file", TARGET)

    assert site.asked == [None, "bytes=1000-", None]
    assert TARGET.read_bytes() == site.content


@pytest.mark.parametrize("case", ["no ranges", "weak", "nothing marks it", "another url", "damaged note"])
def test_it_begins_again_when_it_cannot_be_known(site, case):
    site.ranges = case != "no ranges"
    site.validators = {"weak": {"weak"}, "nothing marks it": set()}.get(case, {"etag"})
    interrupted(site)
    if case == "damaged note":
        Path("out/file.bin.part.json").write_text('{"url": 1}')

    task_download(f"{site.url}/{'other' if case == 'another url' else 'file'}", TARGET)

    assert site.asked[1:] == ["bytes=1000-" if case == "no ranges" else None]
    assert TARGET.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_fetched_again(site):
    interrupted(site)
    PART.write_bytes(CONTENT)

    task_download(f"{site.url}/file", TARGET)

    assert site.asked == [None, "bytes=256000-", None]
    assert TARGET.read_bytes() == CONTENT


def test_a_part_that_was_tampered_with_is_thrown_away(site):
    interrupted(site)
    PART.write_bytes(b"x" * 1000)

    refused(f"{site.url}/file", checksum=checksum(CONTENT))
    assert listed() == []

    task_download(f"{site.url}/file", TARGET, checksum(CONTENT))


def test_redirections_are_followed_to_http_alone(site, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    site.answers = {
        "/moved": (302, {"Location": "/file"}),
        "/to-file": (302, {"Location": secret.as_uri()}),
        "/to-ftp": (301, {"Location": "ftp://127.0.0.1/x"}),
        "/round": (302, {"Location": "/round"}),
    }

    task_download(f"{site.url}/moved", TARGET)
    assert TARGET.read_bytes() == CONTENT
    TARGET.unlink()

    for path, said in [
        ("to-file", "is not allowed"),
        ("to-ftp", "unknown url type"),
        ("round", "infinite loop"),
    ]:
        assert said in refused(f"{site.url}/{path}").what
    assert listed() == []


@pytest.mark.parametrize(
    ("status", "fix"), [(404, "in a browser"), (503, "try again later"), (204, "in a browser")]
)
def test_a_status_is_told(site, status, fix):
    site.answers["/x"] = (status, {})

    problem = refused(f"{site.url}/x")

    assert f"{site.url}/x cannot be had: HTTP status {status}" in problem.what
    assert fix in problem.fix
    assert listed() == []


def test_nobody_there_and_nobody_answering(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        assert refused(url, timeout=0.1).what == f"{url} cannot be had: timed out"
    assert refused(url).what == f"{url} cannot be had: Connection refused"


def test_a_file_is_copied(tmp_path):
    source = tmp_path / "a b%ü"
    source.write_bytes(CONTENT)

    task_download(source.as_uri(), TARGET, checksum(CONTENT))
    assert TARGET.read_bytes() == CONTENT

    TARGET.write_text("old")
    assert "is another file" in refused(source.as_uri(), checksum=checksum(b"x")).what
    assert "Is a directory" in refused(tmp_path.as_uri()).what
    assert "No such file" in refused((tmp_path / "none").as_uri()).what
    assert TARGET.read_text() == "old"
    assert listed() == ["file.bin"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"url": "ftp://x/y"}, "url = 'ftp://x/y' is not one of http, https, file"),
        ({"url": "data:,x"}, "url = 'data:,x' is not one of http, https, file"),
        ({"url": "example.org/x"}, "url = 'example.org/x' is not one of http, https, file"),
        ({"url": ""}, "url = '' is not one of http, https, file"),
        ({"url": "http:///x"}, "url = 'http:///x' names no host"),
        ({"url": "http://[x/"}, "url = 'http://[x/' is none: Invalid IPv6 URL"),
        ({"url": "file://host/x"}, "url = 'file://host/x' is no file of this machine"),
        ({"url": "https://me:pw@x/y"}, "url for 'x' holds a user name or a password"),
        ({"url": "file:x"}, "url = 'file:x' is no file of this machine"),
        ({"url": "http://x y/"}, "http://x y/ cannot be had: URL can't contain control characters. 'x y' "),
        ({"url": "http://x:port/"}, "http://x:port/ cannot be had: nonnumeric port: 'port'"),
        ({"url": "http://127.0.0.1/é"}, "http://127.0.0.1/é cannot be had: "),
        ({"checksum": "sha256:abc"}, "checksum = 'sha256:abc' is none"),
        ({"checksum": "md5:" + "0" * 32}, "checksum = 'md5:00000000000000000000000000000000' is none"),
        ({"checksum": "g" * 64}, "checksum = 'gggg"),
        ({"checksum": "sha256:" + "g" * 64}, "checksum = 'sha256:gggg"),
        ({"timeout": 0}, "timeout = 0 is no time to wait"),
        ({"timeout": float("nan")}, "timeout = nan is no time to wait"),
        ({"target": Path("folder")}, "'folder' is a folder"),
        ({"target": Path("file/x")}, "'file/x' cannot be written: File exists"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, what):
    Path("folder").mkdir()
    Path("file").touch()

    problem = refused(**{"url": "http://127.0.0.1:9/x", **arguments})

    assert problem.what.startswith(what)
    assert problem.fix
    assert "pw@" not in str(problem)
    assert listed() == []


def test_the_check_holds_for_this_file_alone():
    with pytest.raises(AssertionError, match=r"^'out/file.bin' is not there$"):
        check_task_download(TARGET)
    TARGET.parent.mkdir()
    TARGET.write_text("x")
    check_task_download(TARGET)
    check_task_download(TARGET, checksum(b"x"))

    with pytest.raises(AssertionError, match="is another file: its sha256 is 2d7116"):
        check_task_download(TARGET, checksum(b"y"))


def test_it_is_described_and_deleted(site):
    task_download(f"{site.url}/file", TARGET)
    assert describe_task_download(TARGET) == {
        "path": "out/file.bin",
        "exists": True,
        "bytes": len(CONTENT),
        "sha256": checksum(CONTENT)[7:],
    }
    interrupted(site)

    delete_task_download(TARGET)
    delete_task_download(TARGET)

    assert listed() == []
    assert describe_task_download(TARGET) == {"path": "out/file.bin", "exists": False}
