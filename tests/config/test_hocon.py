"""Job files in HOCON: the package reads, ours puts in; all that is wrong has its place."""

import os
import sys

import pytest

from jobtest.config.job_file import read_job_file
from jobtest.config.template import fill
from jobtest.core.errors import UsageError

pytest.importorskip("hocon")


@pytest.fixture
def read(tmp_path):
    """Write files, read `job_x.conf`: entries and problems."""

    def read(text, *, params=None, env=None, overriding=(), **files):
        for name, content in {"job_x": text, **files}.items():
            (tmp_path / f"{name}.conf").write_text(content, encoding="utf-8", newline="")
        return read_job_file(
            tmp_path / "job_x.conf",
            root=tmp_path,
            keywords=["needs", "retries"],
            params=params or {},
            builtins={"CWD": "/w", "TODAY": "2026-01-31"},
            env=env or {},
            overriding=overriding,
        )

    return read


@pytest.fixture
def arguments(read):
    """The arguments of the only job, which takes `args`."""

    def arguments(args, head="", **given):
        entries, problems = read(f"{head}\njob = [{{ name = a, task = t, args {{ {args} }} }}]", **given)
        assert problems == []
        return fill(entries[0].args, {"up": {"path": "p"}})

    return arguments


EXAMPLE = """\
include "base"
vars { stamp = ${TODAY} }

job = [
  {
    name = backup
    task = archive
    retries = 2
    args {
      source = ${CWD}"/data"
      target = out/${vars.stamp}.tar.gz
      name = "${job_scan}"
    }
  }
  { name: tell, task: shell, needs: [backup] }
]
job += { name = last, task = ${vars.task} }
"""


def test_a_file_becomes_entries(read):
    entries, problems = read(EXAMPLE, base='vars { task = "shell" }')
    backup, tell, last = entries

    assert problems == []
    assert (backup.name, backup.task, backup.options) == ("backup", "archive", {"retries": 2})
    assert fill(backup.args, {"scan": 1}) == {
        "source": "/w/data",
        "target": "out/2026-01-31.tar.gz",
        "name": 1,
    }
    assert (tell.name, tell.options, last.task) == ("tell", {"needs": ["backup"]}, "shell")
    assert (backup.place, backup.at("args", "target")) == ("job_x.conf:6:5", "job_x.conf:11:7")
    assert (tell.place, last.place) == ("job_x.conf:15:5", "job_x.conf:17:10")
    assert backup.raw["entry"]["args"]["target"] == "out/${TODAY}.tar.gz"


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ("x = ${n}", {"x": 3}),
        ('x = "${n}"', {"x": 3}),
        ("x = ${yes}, y = ${ratio}", {"x": True, "y": 0.5}),
        ("x = v${n}-${yes}", {"x": "v3-true"}),
        ("x = ${list} [9]", {"x": [1, "two", 9]}),
        ("x = ${db} { port = 1 }", {"x": {"host": "h", "port": 1, "odd key": "o"}}),
        ("x = ${db.host}", {"x": "h"}),
        ("x = ${?nope}", {}),
        ("x = ${USER}", {"x": "ada"}),
        ('x = "${env:USER}"', {"x": "ada"}),
        ('x = "${up.path}"', {"x": "p"}),
        ('x = "$${n}"', {"x": "${n}"}),
        ("x = null, y = 60s, z = 1.0", {"x": None, "y": "60s", "z": 1.0}),
        ("x = ${vars.l}", {"x": [1, 2, 3]}),
    ],
)
def test_what_a_value_becomes(arguments, args, made):
    params = {"n": 3, "yes": True, "ratio": 0.5, "list": [1, "two"], "db": {"host": "h", "odd key": "o"}}

    head = "vars.l = [1]\nvars.l = ${vars.l} [2]\nvars.l += 3"

    assert arguments(args, head, params=params, env={"USER": "ada"}) == made


@pytest.mark.parametrize("evil", ["${env:SECRET}", "$${x}", "${", 'a"b', "${?x}"])
def test_a_value_is_never_read_again(arguments, evil):
    args = 'a = ${P}, b = "${P}", c = <${E}>, d = ${T}'
    given = {"params": {"P": evil, "T": {"odd key": evil}}, "env": {"E": evil, "SECRET": "s"}}

    assert arguments(args, **given) == {"a": evil, "b": evil, "c": f"<{evil}>", "d": {"odd key": evil}}


def test_a_parameter_that_was_set_wins_over_vars(arguments):
    given = {"head": "vars { region = eu }", "params": {"region": "us"}}

    assert arguments('a = ${vars.region}, b = "${region}"', **given) == {"a": "eu", "b": "eu"}
    assert arguments('a = ${vars.region}, b = "${region}"', overriding=["region"], **given) == {
        "a": "us",
        "b": "us",
    }


def test_the_environment_is_not_touched(arguments, monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "x")
    before = dict(os.environ)

    assert arguments("x = ${?ONLY_HERE}", env={}) == {}
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("text", "at", "what", "fix"),
    [
        ("a {\n  b = [1,\n", "3:1", "expected ]", "correct the file"),
        ('x = 1\na = "\\q"', "2:6", "unknown escape sequence", "correct the file"),
        (
            "vars { a = ${TODAI} }",
            "1:12",
            "could not resolve substitution: ${TODAI}",
            "did you mean 'TODAY'?",
        ),
        ("vars { a = ${up.path} }", "1:12", "could not resolve", "put it in quotes"),
        ("a = ${b}\nb = ${a}", "", "circular substitution", "correct the file"),
        ("[1]", "", "", ""),
    ],
)
def test_what_the_package_refuses_is_told_with_its_place(read, text, at, what, fix):
    entries, (problem,) = read(text)

    assert entries == ()
    assert problem.at[0].startswith(f"job_x.conf:{at}" if at else "job_x.conf")
    assert problem.what.startswith("job_x.conf is not usable: ")
    assert what in problem.what
    assert problem.fix.startswith(fix)


def test_an_error_shows_the_line(read):
    _, (problem,) = read("vars { a = ${TODAI} }")

    assert problem.what.splitlines()[1:] == ["    vars { a = ${TODAI} }", "               ^"]


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ('job = []\ninclude "bsae"', "2:1", "bsae is included, but there is no such file"),
        ('include "bsae.conf"', "1:1", "bsae.conf is included, but there is no such file"),
        ('include required("bsae.conf")', "1:1", "bsae.conf is included, but there is no such file"),
        ('include "loop.conf"', "", "circular include"),
    ],
)
def test_an_include_that_leads_nowhere_is_told(read, tmp_path, text, at, what):
    _, problems = read(text, base="", loop='include "loop.conf"')

    near = "did you mean 'base.conf'?" if "conf" in text else "did you mean 'base'?"

    assert len(problems) == 1
    assert what in problems[0].what
    assert str(tmp_path) not in str(problems[0])
    assert problems[0].at[0].startswith(f"job_x.conf:{at}" if at else "loop.conf:1:1")
    assert problems[0].fix == (near if at else "")


def test_a_job_of_an_included_file_has_the_place_of_what_is_around_it(read):
    entries, _ = read('include "base"\ntasks += { name = a }', base="tasks = [{ name = b }, { name = a }]")

    assert [(one.name, one.place) for one in entries] == [
        ("b", "job_x.conf:2:1"),
        ("a", "job_x.conf:2:12"),
        ("a_2", "job_x.conf:2:1"),
    ]


def test_an_error_in_an_included_file_is_told_there(read):
    assert read('include "base"', base="\na = [")[1][0].at[0].startswith("base.conf:2")


def test_mistakes_in_entries_are_those_of_toml(read):
    _, problems = read(
        'job = [\n  { name = a, task = t, retrys = 1,\n    args { x = "${nope}" } }\n'
        '  { name = "2", task = t }\n]'
    )

    assert [(one.at[0], one.what) for one in problems] == [
        ("job_x.conf:2:25", "job 'a': unknown key 'retrys'"),
        ("job_x.conf:3:12", "job 'a': args.x: ${nope} is not known"),
        ("job_x.conf:4:5", "name = '2' is not usable"),
    ]


def test_a_file_that_is_nested_without_end_or_no_text_is_told(read, tmp_path):
    assert "nested too deep" in read("x = " + "[" * 9999)[1][0].what
    (tmp_path / "job_y.conf").write_bytes(b"\xff")
    given = {"root": tmp_path, "keywords": [], "params": {}, "builtins": {}, "env": {}}
    assert read_job_file(tmp_path / "job_y.conf", **given)[1][0].what.startswith("job_y.conf is not UTF-8")
    assert read_job_file(tmp_path / "job_z.conf", **given)[1][0].what.startswith("job_z.conf cannot be read")


def test_without_the_package_the_extra_is_named(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "hocon", None)

    with pytest.raises(UsageError) as caught:
        read("job = []")
    assert str(caught.value) == (
        "job_x.conf needs the extra hocon\n  at: job_x.conf\n  fix: pip install 'jobtest[hocon]'"
    )
