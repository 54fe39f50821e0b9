"""Job files in TOML: what they become, and how all that is wrong is told, in the order of the file."""

import time

import pytest

from jobtest.config.job_file import read_job_file
from jobtest.config.template import Template, fill
from jobtest.core.errors import Problem

KEYWORDS = ["needs", "after", "retries", "timeout", "contexts"]


@pytest.fixture
def read(tmp_path):
    """Write files, the last of which is the job file, and read it: entries and problems."""

    def read(*texts, params=None, env=None, overriding=(), **named):
        files = {**named, **{f"job_x{number or ''}": text for number, text in enumerate(texts)}}
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8", newline="")
        return read_job_file(
            tmp_path / "job_x.toml",
            root=tmp_path,
            keywords=KEYWORDS,
            params=params or {},
            builtins={"CWD": "/w", "TODAY": "2026-01-31", "PLATFORM": "linux"},
            env=env or {},
            overriding=overriding,
        )

    return read


@pytest.fixture
def entries(read):
    def entries(*texts, **given):
        found, problems = read(*texts, **given)
        assert problems == []
        return found

    return entries


@pytest.fixture
def told(read):
    """The problems, as place and sentence."""

    def told(*texts, **given):
        return [(*problem.at, problem.what) for problem in read(*texts, **given)[1]]

    return told


EXAMPLE = """\
[vars]
stamp = "${TODAY}"
unused = 1

[[job]]                                   # a graph
name  = "backup"
task  = "archive"
description = "Keep it."
args  = { source = "${CWD}/data", target = "out/${PLATFORM}_${stamp}.tar.gz", keep = "${keep}" }
needs = ["scan"]
retries = 2
parametrize = { lang = ["en", "${second}"] }

[[job]]
name = "tell"
task = "shell"
[job.args]
argv = ["echo", "${backup.path}", "${job_scan}"]
"""


def test_a_graph_becomes_entries(entries):
    backup, tell = entries(EXAMPLE, params={"keep": 3, "second": "de"})

    assert (backup.name, backup.task, backup.description) == ("backup", "archive", "Keep it.")
    assert backup.args == {"source": "/w/data", "target": "out/linux_2026-01-31.tar.gz", "keep": 3}
    assert backup.options == {"needs": ["scan"], "retries": 2}
    assert backup.parametrize == {"lang": ["en", "de"]}
    assert (backup.place, backup.at("args", "target")) == ("job_x.toml:5:1", "job_x.toml:9:35")
    assert (tell.place, tell.at("args", "argv", 1)) == ("job_x.toml:14:1", "job_x.toml:18:17")
    assert fill(tell.args, {"backup": {"path": "p"}, "scan": 1}) == {"argv": ["echo", "p", 1]}


def test_what_an_entry_is_stays_as_it_is_written(entries):
    backup, tell = entries(EXAMPLE, params={"keep": 3, "second": "de"})

    assert backup.raw["vars"] == {"stamp": "${TODAY}"}
    assert backup.raw["entry"]["args"]["source"] == "${CWD}/data"
    assert backup.params == {"keep", "second"}
    assert (tell.raw["vars"], tell.params) == ({}, frozenset())


def test_a_pipeline_becomes_a_chain(entries):
    first, second, third = entries(
        'tasks = [{name = "shell", args = {argv = ["a"]}}, {name = "archive", retries = 1},\n'
        '  {name = "shell", needs = ["other"]}]'
    )

    assert [one.name for one in (first, second, third)] == ["shell", "archive", "shell_2"]
    assert [one.task for one in (first, second, third)] == ["shell", "archive", "shell"]
    assert first.options == {}
    assert second.options == {"needs": ["shell"], "retries": 1}
    assert third.options == {"needs": ["archive", "other"]}
    assert (third.place, third.at("needs")) == ("job_x.toml:2:3", "job_x.toml:2:20")


def test_a_parametrized_name_waits_in_the_arguments(entries):
    (entry,) = entries(
        '[[job]]\nname = "a"\ntask = "t"\nparametrize = {lang = ["en"]}\n'
        'args = {to = "out/${lang}", lang = "${lang}"}'
    )

    assert isinstance(entry.args["lang"], Template)
    assert fill(entry.args, {"lang": "en"}) == {"to": "out/en", "lang": "en"}


def test_what_is_optional_and_missing_is_left_out(entries):
    (entry,) = entries(
        '[[job]]\nname = "a"\ntask = "t"\ntimeout = "${?limit}"\nargs = {x = "${?env:X}", y = 1}'
    )

    assert (entry.args, entry.options) == ({"y": 1}, {})


def test_a_parameter_that_was_set_wins_over_vars(entries):
    text = '[vars]\nregion = "eu"\n[[job]]\nname = "a"\ntask = "t"\nargs = {r = "${region}"}'

    assert entries(text, params={"region": "us"})[0].args == {"r": "eu"}
    assert entries(text, params={"region": "us"}, overriding=["region"])[0].args == {"r": "us"}
    assert entries(text, params={"region": "us"}, overriding=["region"])[0].raw["vars"] == {}


def test_a_byte_order_mark_and_other_line_ends_are_fine(entries):
    text = '\ufeff[[job]]\r\nname = "a"\r\ntask = "t"\r\n[[job]]\r\nname = "b"\r\ntask = "t"\r\n'

    assert [one.place for one in entries(text)] == ["job_x.toml:1:1", "job_x.toml:4:1"]


TEN = """\
[vars]
stamp = "${TODAI}"
[[job]]
name = "a"
task = "t"
retrys = 1
args = { x = "${nope}", y = "${", z = "${stamp}" }
[[job]]
name = "2b"
task = 3
[[job]]
task = "t"
needs = "${a.key}"
[[job]]
name = "a"
task = "t"
[[job]]
name = "c"
args = 3
parametrize = { x = [] }
[var]
"""


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(told):
    assert told(TEN) == [
        ("job_x.toml:2:1", "vars.stamp: ${TODAI} is not known"),
        ("job_x.toml:6:1", "job 'a': unknown key 'retrys'"),
        ("job_x.toml:7:10", "job 'a': args.x: ${nope} is not known"),
        ("job_x.toml:7:25", "job 'a': args.y: there is a ${ without its }"),
        ("job_x.toml:9:1", "name = '2b' is not usable"),
        ("job_x.toml:10:1", "job '2b': task = 3 must be the name of a task type"),
        ("job_x.toml:11:1", "a job has no name"),
        ("job_x.toml:13:1", "needs: ${a.key} is not known before the run"),
        ("job_x.toml:15:1", "job_x.toml:4:1", "two jobs have the name 'a'"),
        ("job_x.toml:17:1", "job 'c': it has no task"),
        ("job_x.toml:19:1", "job 'c': args = 3 must be a table"),
        ("job_x.toml:20:17", "job 'c': parametrize.x = [] must be a list of values"),
        ("job_x.toml:21:1", "unknown key 'var'"),
    ]


def test_what_is_wrong_in_an_option_or_a_variable_is_told_once_and_left_out(read):
    options = 'timeout = "${v}"\nretries = "${b.n}"\nneeds = "b"'
    (entry,), problems = read(f'[vars]\nv = "${{nope}}"\n[[job]]\nname = "a"\ntask = "t"\n{options}')

    assert [one.at for one in problems] == [("job_x.toml:2:1",), ("job_x.toml:7:1",)]
    assert entry.options == {"needs": "b"}


def test_a_mistake_says_what_to_do(read):
    _, problems = read('[[job]]\nname = "a"\ntask = "t"\nretrys = 1\n')

    assert problems == [
        Problem(what="job 'a': unknown key 'retrys'", at=("job_x.toml:4:1",), fix="did you mean 'retries'?")
    ]


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("job = 3", "1:1", "job = 3 must be a list of tables"),
        ("job = [3]", "1:8", "job: 3 must be a table"),
        ("vars = 3", "1:1", "vars = 3 must be a table"),
        ("tasks = [{}]", "1:10", "a task has no name"),
        ('tasks = [{name = "a b"}]', "1:11", "name = 'a b' is not usable"),
        ('tasks = [{name = "a", task = "b"}]', "1:23", "job 'a': unknown key 'task'"),
        (
            'tasks = [{name = "a"}, {name = "b", needs = 3}]',
            "1:37",
            "job 'b': needs = 3 must be a list of names",
        ),
        ('[[job]]\nname = "a"\ntsk = "b"', "3:1", "job 'a': unknown key 'tsk'"),
        ('[[job]]\nname = "a"\ntask = "t"\ndescription = 3', "4:1", "job 'a': description = 3 must be text"),
        (
            '[[job]]\nname = "a"\ntask = "t"\nparametrize = {b = [1]}\nargs = {x = "${b.y}"}\n'
            '[[job]]\nname = "b"\ntask = "t"',
            "5:9",
            "job 'a': args.x: ${b.y} may mean the job 'b' and a name under parametrize",
        ),
        (
            '[[job]]\nname = "a"\ntask = "t"\nparametrize = {b = [1]}\nargs = {x = "${job_b}"}',
            "5:9",
            "job 'a': args.x: ${job_b} may mean the job 'b' and a name under parametrize",
        ),
        (
            '[[job]]\nname = "a"\ntask = "t"\nparametrize = {"x y" = [1]}',
            "4:16",
            "job 'a': parametrize: 'x y' is not usable",
        ),
    ],
)
def test_a_file_of_the_wrong_shape_is_told(told, text, at, what):
    assert told(text) == [(f"job_x.toml:{at}", what)]


def test_the_name_of_a_pipeline_and_of_a_job_may_not_be_the_same(told):
    text = 'tasks = [\n  {name = "shell"},\n  {name = "shell"},\n]\n[[job]]\nname = "shell_2"\ntask = "t"\n'

    assert told(text) == [("job_x.toml:3:4", "job_x.toml:6:1", "two jobs have the name 'shell_2'")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'a = 1\n\tname = = "x"\n',
            'job_x.toml is not TOML: Invalid value\n    \tname = = "x"\n    \t       ^'
            "\n  at: job_x.toml:2:9\n  fix: correct the file",
        ),
        (
            "a = ",
            "job_x.toml is not TOML: Invalid value\n    a = \n        ^"
            "\n  at: job_x.toml:1:5\n  fix: correct the file",
        ),
        ("a = " + "[" * 9999, "job_x.toml is nested too deep\n  at: job_x.toml"),
        ("a = " + "1" * 9999, "job_x.toml is not TOML: Exceeds the limit"),
    ],
)
def test_what_is_not_toml_is_told_with_the_line(read, text, problem):
    entries, (said,) = read(text)

    assert entries == ()
    assert str(said).startswith(problem)


def test_of_a_long_line_the_part_around_the_mistake_is_shown(read):
    _, (problem,) = read(f'a = "{"x" * 500}" oops')

    line, caret = problem.what.splitlines()[1:]
    assert len(line) < 110
    assert line[caret.index("^") :] == "oops"
    assert problem.at == ("job_x.toml:1:508",)


def test_what_is_not_text_or_not_there_is_told(tmp_path):
    given = {"root": tmp_path, "keywords": [], "params": {}, "builtins": {}, "env": {}}
    (tmp_path / "job_a.toml").write_bytes(b'a = 1\nb = "\xff"\n')

    assert read_job_file(tmp_path / "job_a.toml", **given)[1] == [
        Problem(what="job_a.toml is not UTF-8: byte 0xff", at=("job_a.toml:2",), fix="save it as UTF-8")
    ]
    assert [one.what for one in read_job_file(tmp_path / "job_b.toml", **given)[1]] == [
        "job_b.toml cannot be read: No such file or directory"
    ]


BASE = """\
[vars]
a = "base"
deep = { x = 1, y = 1 }
[[job]]
name = "first"
task = "t"
args = { a = "${a}", only = 1 }
[[job]]
name = "second"
task = "t"
"""


def test_includes_are_merged_and_the_file_itself_wins(entries):
    first, second, third = entries(
        'include = ["base.toml"]\n[vars]\na = "own"\ndeep = { y = 2 }\n'
        '[[job]]\nname = "third"\ntask = "t"\nargs = { d = "${deep}" }\n'
        '[[job]]\nname = "first"\nargs = { b = 2 }\n',
        base=BASE,
    )

    assert [one.name for one in (first, second, third)] == ["first", "second", "third"]
    assert first.args == {"a": "own", "only": 1, "b": 2}
    assert third.args == {"d": {"x": 1, "y": 2}}
    assert first.raw["entry"]["args"] == {"a": "${a}", "only": 1, "b": 2}
    assert (first.at("args", "only"), first.at("args", "b")) == ("base.toml:7:22", "job_x.toml:11:10")


def test_a_pipeline_may_be_included(entries):
    found = entries(
        'include = "base.toml"\n[vars]\na = 1', base='tasks = [{name = "t", args = {a = "${a}"}}]'
    )

    assert [(one.name, one.args, one.place) for one in found] == [("t", {"a": 1}, "base.toml:1:10")]


def test_a_file_that_is_included_twice_counts_once(entries):
    (entry,) = entries(
        'include = ["left.toml", "right.toml"]\n[[job]]\nname = "a"\ntask = "t"\nargs = {v = "${v}"}',
        left='include = "root.toml"\n[vars]\nv = "left"',
        right='include = "root.toml"\n[vars]\nw = "right"',
        root='[vars]\nv = "root"',
    )

    assert entry.args == {"v": "left"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            ['\ninclude = ["basse.toml"]'],
            [
                (
                    "job_x.toml:2:12",
                    "basse.toml is included, but there is no such file",
                    "did you mean 'base.toml'?",
                )
            ],
        ),
        (
            ["include = 3"],
            [("job_x.toml:1:1", "include = 3 must be the name of a file, or a list of them", "")],
        ),
        (
            ['include = "empty.toml"'],
            [("job_x.toml:1:1", "empty.toml is included, but there is nothing in it", "")],
        ),
        (
            ['include = "base.toml"'],
            [
                (
                    "job_x.toml:1:1",
                    "job_x.toml has no jobs, nor has what it includes",
                    "write [[job]], or correct the include",
                )
            ],
        ),
        (['include = "."'], [("job_x.toml:1:1", ". cannot be read: Is a directory", "")]),
        (
            ['include = "job_x.toml"'],
            [
                (
                    "job_x.toml:1:1",
                    "files include each other in a circle: job_x.toml -> job_x.toml",
                    "take one of the includes out",
                )
            ],
        ),
    ],
)
def test_an_include_that_leads_nowhere_is_told(read, files, said):
    _, problems = read(*files, base="[vars]", empty="# nothing")

    assert [(one.at[0], one.what, one.fix) for one in problems] == said


def test_a_circle_of_includes_is_told_with_all_its_places(read):
    _, (problem,) = read(
        'include = "b.toml"\njob = []', b='include = "c.toml"', c='\ninclude = ["job_x.toml"]'
    )

    assert (
        problem.what == "files include each other in a circle: job_x.toml -> b.toml -> c.toml -> job_x.toml"
    )
    assert problem.at == ("job_x.toml:1:1", "b.toml:1:1", "c.toml:2:12")


def test_a_long_chain_of_includes_works(entries):
    files = {f"i{number}": f'include = "i{number + 1}.toml"' for number in range(1200)}
    text = '[[job]]\nname = "a"\ntask = "t"'

    assert [one.name for one in entries('include = "i0.toml"', **files, i1200=text)] == ["a"]


def test_files_that_include_others_twice_are_read_once(entries):
    files = {f"i{number}": f'include = ["i{number + 1}.toml", "i{number + 1}.toml"]' for number in range(40)}
    text = '[[job]]\nname = "a"\ntask = "t"'

    assert [one.name for one in entries('include = "i0.toml"', **files, i40=text)] == ["a"]


def test_a_mistake_in_an_included_file_is_told_there(told):
    text = 'include = "base.toml"\n[[job]]\nname = "b"\ntask = "t"\nargs = {x = "${nope}"}'

    assert told(text, base='[[job]]\nname = "a"\ntask = "t"\nargs = {x = "${nope}"}') == [
        ("base.toml:4:9", "job 'a': args.x: ${nope} is not known"),
        ("job_x.toml:5:9", "job 'b': args.x: ${nope} is not known"),
    ]


def test_5_000_entries_are_read_in_good_time(entries):
    one = '[[job]]\nname = "j{0}"\ntask = "t"\nargs = {{ a = "${{CWD}}/{0}", b = "${{stamp}}", c = {0} }}\n'
    text = '[vars]\nstamp = "${TODAY}"\n' + "".join(map(one.format, range(5000)))
    started = time.process_time()

    assert len(entries(text)) == 5000
    assert time.process_time() - started < 3  # a third of a second here; nothing quadratic
