"""`${...}` in texts: what it means, what waits, what is refused; and that a value is never read again."""

import datetime
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.substitution import Scope
from jobtest.config.template import LEFT_OUT, fill, references
from jobtest.core.errors import ProjectError


def put_in(data, waiting=(), **scope):
    """The data with everything put in; there is nothing wrong with it."""
    made = Scope(**scope)
    result = made.substitute(data, waiting)
    assert (made.mistakes, result.mistakes) == ([], ())
    return result.data


def wrong(data, waiting=(), **scope):
    """What is wrong, as path, sentence and fix."""
    made = Scope(**scope)
    return [tuple(one) for one in (*made.mistakes, *made.substitute(data, waiting).mistakes)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no reference", "no reference"),
        ("${n}", 3),
        ("${n} and ${flag}", "3 and true"),
        ("${day}/${ratio}", "2026-01-31/0.5"),
        ("${env:USER}", "ada"),
        ("<${env:USER}>", "<ada>"),
        ("${db.host}:${db.ports.1}", "h:2"),
        ("${db.ports}", [1, 2]),
        ("${?nope}", LEFT_OUT),
        ("${?env:NOPE}", LEFT_OUT),
        ("${?db.nope}", LEFT_OUT),
        ("${?db.host.deeper}", LEFT_OUT),
        ("a${?nope}b${?env:NOPE}c", "abc"),
        ("$${n}", "${n}"),
        ("$$${n}", "$${n}"),
        ("$n {n} $ {n}", "$n {n} $ {n}"),
        ("${?n}", 3),
    ],
)
def test_what_a_text_becomes(text, value):
    params = {"n": 3, "flag": True, "ratio": 0.5, "day": datetime.date(2026, 1, 31)}
    params["db"] = {"host": "h", "ports": [1, 2]}

    assert put_in(text, params=params, env={"USER": "ada"}) == value


def test_what_is_left_out_leaves_no_key_and_no_element():
    data = {"a": "${?x}", "b": ["${?x}", 1, {"c": "${?x}"}], "d": "<${?x}>"}

    assert put_in(data) == {"b": [1, {}], "d": "<>"}


def test_the_nearest_meaning_of_a_name_wins():
    layers = {"builtins": {"x": "builtin"}, "params": {"x": "parameter"}, "variables": {"x": "variable"}}

    assert put_in("${x}", builtins=layers["builtins"]) == "builtin"
    assert put_in("${x}", builtins=layers["builtins"], params=layers["params"]) == "parameter"
    assert put_in("${x}", **layers) == "variable"
    assert put_in("${x}", **layers, overriding=["x"]) == "parameter"
    assert put_in("${x}", ["x"], **layers, overriding=["x"]).names == {"x"}


def test_a_variable_that_is_left_out_counts_as_not_written():
    variables = {"region": "${?env:REGION}", "place": "in ${region}"}

    assert put_in("${place}", variables=variables, params={"region": "eu"}) == "in eu"
    assert put_in("${place}", variables=variables, params={"region": "eu"}, env={"REGION": "us"}) == "in us"


def test_variables_use_each_other_in_any_order():
    variables = {"c": ["${b}", "${b}!"], "b": "${a}", "a": 1}

    assert put_in("${c}", variables=variables) == [1, "1!"]


def test_a_chain_of_10_000_variables_works():
    variables = {f"v{number}": f"${{v{number + 1}}}" for number in range(10_000)} | {"v10000": "end"}
    nested = {f"v{number}": [f"${{v{number + 1}}}"] for number in range(10_000)} | {"v10000": "${job_x}"}

    assert put_in("${v0}", variables=variables) == "end"
    assert len(references(put_in({"a": "${v0}"}, variables=nested))) == 1


def test_what_an_entry_uses_is_known_through_all_variables():
    scope = Scope(variables={"a": "${b}", "b": "${region}", "c": 1}, params={"region": "eu", "other": 1})

    assert scope.uses(scope.substitute("${a}").used) == ({"a": "${b}", "b": "${region}"}, {"region"})
    assert scope.uses(scope.substitute("plain").used) == ({}, frozenset())
    hidden = Scope(variables={"region": "us"}, params={"region": "eu"})
    assert hidden.uses(hidden.substitute("${region}").used) == ({"region": "us"}, frozenset())


@given(st.text(alphabet="${}?env:ab.\n", max_size=20))
def test_a_value_is_never_read_again(text):
    assert put_in("${p}", params={"p": text}) == text
    assert put_in("<${env:P}>", env={"P": text}) == f"<{text}>"
    assert put_in("${v}", variables={"v": "${p}"}, params={"p": text}) == text
    assert fill(put_in({"a": "<${job_x}>"}), {"x": text}) == {"a": f"<{text}>"}


@given(st.text(alphabet="${}?env:ab.\n", max_size=20))
def test_an_escaped_text_is_itself(text):
    escaped = text.replace("${", "$${")

    assert put_in(escaped) == text


def test_the_value_of_a_job_waits():
    template = put_in("x-${scan.files.0.name}-${job_build}-${lang}", ["lang"])

    assert [(one.name, one.keys, one.spelled) for one in template.jobs] == [
        ("scan", ("files", "0", "name"), "${scan.files.0.name}"),
        ("build", (), "${job_build}"),
    ]
    assert template.names == {"lang"}
    assert str(template) == "x-${scan.files.0.name}-${job_build}-${lang}"
    values = {"scan": {"files": [{"name": "a"}]}, "build": 7, "lang": "de"}
    assert template.fill(values) == "x-a-7-de"


def test_a_lone_reference_to_a_job_keeps_its_type():
    @dataclass
    class Found:
        files: list

    data = put_in({"a": "${scan.files}", "b": ["${job_scan}"]})
    value = Found(["one"])

    assert fill(data, {"scan": value}) == {"a": ["one"], "b": [value]}
    assert [(path, one.name) for path, one in references(data)] == [(("a",), "scan"), (("b", 0), "scan")]


def test_what_is_filled_is_new_each_time():
    data = put_in({"a": [1, {"b": []}], "c": "${x}"}, params={"x": 1})
    first = fill(data, {})
    first["a"][1]["b"].append(1)

    assert fill(data, {}) == {"a": [1, {"b": []}], "c": 1}


def test_an_optional_value_of_a_job_may_be_missing():
    data = put_in({"a": "${?scan.nope}", "b": "<${?job_gone}>", "c": ["${?job_gone}", 1]})

    assert fill(data, {"scan": {}}) == {"b": "<>", "c": [1]}


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"), [(False, "false"), (Colour.RED, "red"), (PurePosixPath("a/b"), "a/b"), (1.5, "1.5")]
)
def test_the_text_of_a_value(value, text):
    assert put_in("<${p}>", params={"p": value}) == f"<{text}>"
    assert fill(put_in("<${job_x}>"), {"x": value}) == f"<{text}>"


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("${stmp}", "${stmp} is not known", "did you mean 'stamp'?"),
        ("${scan}", "${scan} is a job", "write ${job_scan} for its value"),
        ("${env:NOPE}", "the environment variable 'NOPE' is not set", "set it, or write ${?env:NOPE}"),
        ("${stamp", "there is a ${ without its }", "close it, or write $${"),
        ("a ${b${stamp}", "there is a ${ without its }", "close it"),
        ("${ stamp }", "${ stamp } is not a reference", "write ${NAME}"),
        ("${}", "${} is not a reference", "write ${NAME}"),
        ("${env:}", "${env:} is not a reference", "write ${NAME}"),
        ("${stamp..x}", "${stamp..x} is not a reference", "write ${NAME}"),
        ("${db.hots}", "${db.hots}: 'db' has no 'hots'", "did you mean 'host'?"),
        ("${db.host.x}", "${db.host.x}: 'db.host' has no 'x'", "it is 'h'"),
        ("${db.ports.2}", "${db.ports.2}: 'db.ports' has no '2'", "it has 2 elements, counted from 0"),
        (f"${{db.ports.{'9' * 5000}}}", "${db.ports.9", "it has 2 elements"),
        ("x${db.ports}", "${db.ports} is [1, 2], which cannot stand in a longer text", "let it stand alone"),
        (
            "${both.x}",
            "${both.x} may mean the job 'both' and a name in [vars]",
            "give one of them another name",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(text, what, fix):
    variables = {"stamp": "s", "both": {"x": 1}}
    params = {"db": {"host": "h", "ports": [1, 2]}}
    ((path, said, help),) = wrong(
        {"args": {"a": [text]}}, variables=variables, params=params, jobs=["scan", "both"]
    )

    assert path == ("args", "a", 0)
    assert said.startswith(what)
    assert help.startswith(fix)


def test_two_mistakes_in_one_text_are_two():
    assert [what for _, what, _ in wrong("${a} ${b}")] == ["${a} is not known", "${b} is not known"]


def test_a_mistake_in_a_variable_is_told_once_and_there():
    found = wrong({"a": "${v}", "b": "${w}"}, variables={"v": "${nope}", "w": ["${v.x}"], "unused": "${"})

    assert [(path, what) for path, what, _ in found] == [
        (("vars", "v"), "${nope} is not known"),
        (("vars", "unused"), "there is a ${ without its }"),
    ]


def test_a_circle_of_variables_is_told_with_its_way_and_the_rest_is_read():
    variables = {"a": "${b}", "b": ["${c.x}"], "c": "${a}", "d": "${d2}", "d2": 1, "behind": "${a}"}
    scope = Scope(variables=variables)

    ((path, what, _),) = scope.mistakes
    assert what in [
        f"vars use each other in a circle: {way}"
        for way in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c")
    ]
    assert path == ("vars", what.split(": ")[1][0])
    assert scope.substitute(["${d}", "${behind}"]).data[0] == 1


def test_a_variable_that_uses_itself_is_a_circle():
    assert [what for _, what, _ in wrong("", variables={"a": "${a}"})] == [
        "vars use each other in a circle: a -> a"
    ]


def test_tables_nested_without_end_are_told():
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}

    assert [what for _, what, _ in wrong({"args": deep})] == ["args.a.a has more than 100 levels"]


def test_a_missing_key_in_the_value_of_a_job_says_what_there_is():
    data = put_in({"a": "${scan.pth}", "b": ["x${job_scan}"], "c": "${job_gone}"})

    with pytest.raises(ProjectError) as caught:
        fill(data, {"scan": {"path": "p", "size": 1}})
    assert str(caught.value) == (
        "args.a: ${scan.pth}: the value of job 'scan' has no 'pth'\n"
        "  fix: did you mean 'path'?\n"
        "args.c: ${job_gone}: the value of job 'gone' is not there\n"
        "args.b[0]: ${job_scan} is {'path': 'p', 'size': 1}, which cannot stand in a longer text\n"
        "  fix: let it stand alone"
    )


def test_only_what_a_value_shows_can_be_reached():
    class Live:
        secret = 1

    @dataclass
    class Found(Live):
        path: str

    for value in (Live(), Found("p")):
        with pytest.raises(ProjectError, match="has no 'secret'"):
            fill(put_in({"a": "${x.secret}"}), {"x": value})
        with pytest.raises(ProjectError, match="has no '__class__'"):
            fill(put_in({"a": "${x.__class__}"}), {"x": value})
