"""Task type `write_file`: this content, these permissions, whole or not at all."""

import errno
import os
import resource
import stat
from datetime import date
from pathlib import Path

import pytest

from jobtest.tasks import TaskFailed
from jobtest.tasks.write_file import (
    check_task_write_file,
    delete_task_write_file,
    describe_task_write_file,
    task_write_file,
)

FILE = Path("out/sub/site.ini")
PARAMS = {"language": "en", "port": 80}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(**arguments):
    with pytest.raises(TaskFailed) as raised:
        task_write_file(**{"path": FILE, "params": PARAMS, **arguments})
    return raised.value.problem


def filled(text, **values):
    Path("t.in").write_text(text)
    task_write_file(FILE, PARAMS, template=Path("t.in"), values=values)
    return FILE.read_text()


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_content_is_written_as_it_is():
    content = "é ${not} $1 {a}\r\nlast"

    task_write_file(FILE, PARAMS, content=content)

    assert FILE.read_bytes() == content.encode()
    assert os.listdir(FILE.parent) == ["site.ini"]


def test_a_new_file_has_the_permissions_of_a_new_file_and_an_old_one_keeps_its_own():
    Path("plain").touch()
    task_write_file(FILE, PARAMS, content="a")
    assert mode_of(FILE) == mode_of(Path("plain"))

    FILE.chmod(0o600)
    task_write_file(FILE, PARAMS, content="b")
    assert mode_of(FILE) == 0o600

    task_write_file(FILE, PARAMS, content="b", mode="0755")
    assert mode_of(FILE) == 0o755


def test_a_template_is_filled_with_values_before_parameters():
    assert filled("${language}:${port} ${who}", who="me", port=81) == "en:81 me"


def test_what_is_no_placeholder_stays():
    text = "$host $1 $$ ${ } $ {a} ${\nx} {b}"

    assert filled(text.replace("${ }", "")) == text.replace("${ }", "")
    assert filled("$${language} $$${language} a$${nothing}") == "${language} $${language} a${nothing}"


def test_values_become_the_text_that_toml_has():
    values = {"a": True, "b": 1.5, "c": date(2026, 1, 2), "d": "", "e": "${language} \\1"}

    assert filled("${a} ${b} ${c} [${d}] ${e}", **values) == "true 1.5 2026-01-02 [] ${language} \\1"


def test_all_that_cannot_be_filled_is_named_and_nothing_is_written():
    Path("t.in").write_text("${langauge}\n${port} ${list}\n${}${ port}")

    problem = refused(template=Path("t.in"), values={"list": [1]})

    assert str(problem) == (
        "template = 't.in' cannot be filled\n"
        "  at: t.in:1 ${langauge} has no value (did you mean 'language'?)\n"
        "  at: t.in:2 ${list}: [1] is no text, number, date, true or false\n"
        "  at: t.in:3 ${} has no value (known are: language, list, port)\n"
        "  at: t.in:3 ${ port} has no value (did you mean 'port'?)\n"
        "  fix: give it in values, or write $${...} for a ${...} that stays"
    )
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({}, "neither of content and template are given"),
        ({"content": "", "template": Path("t.in")}, "both of content and template are given"),
        ({"content": "", "values": {}}, "values fill a template, and there is none"),
        ({"template": Path("none.in")}, "template = 'none.in' cannot be read: No such file or directory"),
        ({"template": Path("latin.in")}, "template = 'latin.in' is not UTF-8"),
        ({"content": "", "mode": "rw"}, "mode = 'rw' is no mode"),
        ({"content": "", "mode": "0o644"}, "mode = '0o644' is no mode"),
        ({"content": "", "mode": "6448"}, "mode = '6448' is no mode"),
        ({"content": "", "mode": "644\n"}, "mode = '644\\n' is no mode"),
        ({"content": "\ud800"}, "the content cannot be written in UTF-8: surrogates not allowed"),
        ({"content": "", "path": Path("folder")}, "'folder' is a folder"),
        ({"content": "", "path": Path("pipe")}, "'pipe' is no regular file"),
        ({"content": "", "path": Path("t.in/x")}, "'t.in/x' cannot be written: File exists"),
        ({"content": "", "path": Path("a\0b")}, "'a\\x00b' is no path of a file"),
    ],
)
def test_what_cannot_be_written_is_told(arguments, what):
    Path("t.in").touch()
    Path("latin.in").write_bytes(b"\n\xe9")
    Path("folder").mkdir()
    os.mkfifo("pipe")

    problem = refused(**arguments)

    assert problem.what == what
    assert problem.fix
    assert not FILE.exists()


def test_after_a_failure_the_old_file_is_there_and_nothing_else():
    task_write_file(FILE, PARAMS, content="old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        problem = refused(content="x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert problem.what == f"'{FILE}' cannot be written: {os.strerror(errno.EFBIG)}"
    assert FILE.read_text() == "old"
    assert os.listdir(FILE.parent) == ["site.ini"]


def test_a_link_is_followed():
    Path("real").write_text("old")
    Path("link").symlink_to("real")

    task_write_file(Path("link"), PARAMS, content="new")

    assert Path("link").is_symlink()
    assert Path("real").read_text() == "new"


def test_the_check_says_what_differs():
    def check(**arguments):
        check_task_write_file(FILE, PARAMS, **arguments)

    with pytest.raises(AssertionError, match=r"^'out/sub/site.ini' is not there$"):
        check(content="a")
    task_write_file(FILE, PARAMS, content="one\ntwo\nthree", mode="640")
    check(content="one\ntwo\nthree", mode="0640")
    check(content="one\ntwo\nthree")

    for other, line in [
        ("one\nTWO\nthree", 2),
        ("one\n", 2),
        ("one\ntwo\nthree\n", 3),
        ("one\ntwo\nthree\nfour", 3),
        ("", 1),
        ("one\r\ntwo\nthree", 1),
    ]:
        with pytest.raises(AssertionError, match=f"differs from line {line} on$"):
            check(content=other)
    with pytest.raises(AssertionError, match=r"has mode 0640, not 0600$"):
        check(content="one\ntwo\nthree", mode="600")


def test_the_check_sees_a_template_its_values_and_parameters_change():
    filled("${language}")
    check_task_write_file(FILE, PARAMS, template=Path("t.in"), values={})

    for params, values in [({"language": "de"}, None), (PARAMS, {"language": "de"})]:
        with pytest.raises(AssertionError, match="differs"):
            check_task_write_file(FILE, params, template=Path("t.in"), values=values)


def test_it_is_described_and_deleted():
    task_write_file(FILE, PARAMS, content="abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert describe_task_write_file(FILE) == {
        "path": "out/sub/site.ini",
        "exists": True,
        "bytes": 3,
        "sha256": digest,
    }
    delete_task_write_file(FILE)
    delete_task_write_file(FILE)
    assert describe_task_write_file(FILE) == {"path": "out/sub/site.ini", "exists": False}
