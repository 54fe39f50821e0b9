"""The places of keys: all paths that `tomllib` knows, and each where it was written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.places import Origin, Source, TomlPlaces, spelled


def paths_of(data):
    """All paths of keys and of elements in nested data."""
    found, todo = set(), [((), data)]
    for path, value in todo:
        if path:
            found.add(path)
        if isinstance(value, dict):
            todo.extend(((*path, key), one) for key, one in value.items())
        elif isinstance(value, list):
            todo.extend(((*path, number), one) for number, one in enumerate(value))
    return found


KEYS = st.sampled_from(["a", "b-1", "job", "2", '"q.u\\u006f"', "'lit [[job]]'", '""'])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(" . ".join)
SCALARS = st.sampled_from(
    [
        "1",
        "-1.5e3",
        "true",
        "1979-05-27 07:32:00.5",
        "07:32:00",
        '"a # \\" ] } ,"',
        "'[[job]] = {'",
        '"""\n[[job]]\na = "1" \\" ""x"""""',
        "'''\n[job]\n'' = 1\n'''''",
        '""',
        '""""""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda all: "[" + ", # ] [\n ".join([*all, ""]) + " ]"),
        st.lists(inner, max_size=3).map(lambda all: f"[{','.join(all)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=3, unique_by=lambda pair: pair[0]).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {one}" for key, one in pairs) + " }"
        ),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(DOTTED, VALUES).map(lambda pair: f"  {pair[0]}= {pair[1]}  # x = 1"),
    DOTTED.map("[{}]".format),
    DOTTED.map("[[ {} ]] # [b]".format),
    st.just("[[job]]"),
    st.just(""),
)


@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_the_places_are_those_of_the_keys_that_tomllib_finds(lines, end):
    text = end.join(lines)
    try:
        data = tomllib.loads(text)
    except ValueError:
        return

    assert TomlPlaces(text).paths == paths_of(data)


@given(
    st.lists(
        st.tuples(KEYS, VALUES), max_size=5, unique_by=lambda pair: tomllib.loads(f"{pair[0]} = 1").popitem()
    )
)
def test_a_key_stands_where_it_was_written(pairs):
    text, expected = "", {}
    for key, value in pairs:
        expected[next(iter(tomllib.loads(f"{key} = 1"))),] = (text.count("\n") + 1, 3)
        text += f"  {key} = {value}\n"
    places = TomlPlaces(text)

    assert {path: places.find(path) for path in expected} == expected


TEXT = """\
[vars]
stamp = "x"

[[job]]
name = "a"
args = { one = 1, two.deep = [10, 20] }
  script = '''
[[job]]
'''
[[job]]
name = "b"
needs = [
  "a",
  "c", "d",
]
[job.args]
"quoted key" = 1
[[job.args.servers]]
host = "h"
[[job.args.servers]]
host = "i"
"""


@pytest.mark.parametrize(
    ("path", "position"),
    [
        (("vars", "stamp"), (2, 1)),
        (("job", 0), (4, 1)),
        (("job", 0, "args", "one"), (6, 10)),
        (("job", 0, "args", "two", "deep"), (6, 19)),
        (("job", 0, "args", "two", "deep", 1), (6, 35)),
        (("job", 0, "script"), (7, 3)),
        (("job", 1), (10, 1)),
        (("job", 1, "needs", 0), (13, 3)),
        (("job", 1, "needs", 2), (14, 8)),
        (("job", 1, "args"), (16, 1)),
        (("job", 1, "args", "quoted key"), (17, 1)),
        (("job", 1, "args", "servers", 1, "host"), (21, 1)),
        (("job", 2), None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_key_has_its_line_and_column(path, position, end):
    places = TomlPlaces(TEXT.replace("\n", end), jobs=2)

    assert places.find(path) == position


def test_the_headers_of_jobs_are_found_without_a_walk(monkeypatch):
    monkeypatch.setattr("jobtest.config.places._Walk", None)
    places = TomlPlaces('[[job]]\nname = "a"\n [[ "job" ]] # two\n', jobs=2)

    assert [places.find(("job", 0)), places.find(("job", 1))] == [(1, 1), (3, 2)]


def test_what_is_missing_stands_where_the_table_around_it_stands():
    source = Source("ops/job_x.toml", tomllib.loads(TEXT), TomlPlaces(TEXT, jobs=2).find)
    origin = Origin(((0, source, ("job", 1)),))

    assert origin.at() == "ops/job_x.toml:10:1"
    assert origin.at("args", "nope", "deeper") == "ops/job_x.toml:16:1"
    assert origin.at("task") == "ops/job_x.toml:10:1"


def test_a_key_stands_in_the_last_file_that_has_it():
    first = Source(
        "a.toml", {"job": [{"name": "x", "args": {"one": 1}}]}, {("job", 0, "args", "one"): (1, 1)}.get
    )
    second = Source(
        "b.toml", {"job": [{"name": "x", "retries": 1, "args": {"two": 2}}]}, {("job", 0): (7, 1)}.get
    )
    origin = Origin(((0, first, ("job", 0)), (1, second, ("job", 0))))

    assert origin.at("args", "one") == "a.toml:1:1"
    assert origin.at() == "b.toml:7:1"
    assert origin.at("args") == "b.toml:7:1"
    assert origin.at("retries") == "b.toml:7:1"
    assert origin.order("args", "one") < origin.order("retries")


def test_a_path_is_spelled_as_people_write_it():
    assert spelled(("args", "servers", 0, "port")) == "args.servers[0].port"
