"""Arguments of tasks: strict kinds, everything wrong at once, each with its path and what it must be."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.arguments import Arguments
from jobtest.config.substitution import Scope
from jobtest.core.errors import ProjectError


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Colour(str, Enum):  # noqa: UP042 - people have these
    RED = "red"


@dataclass
class Server:
    host: str
    port: int = 22
    tags: list[str] = field(default_factory=list)


@dataclass
class Tree:
    name: str
    below: "list[Tree]" = field(default_factory=list)


class Login(TypedDict):
    user: str
    tries: NotRequired[int]


class Live:
    """Only a job can make one."""


UserId = NewType("UserId", int)


def take(annotation, value):
    """What becomes of a value, or what is said of it."""

    def task_it(a): ...

    task_it.__annotations__ = {"a": annotation}
    arguments = Arguments(task_it)
    assert arguments.faults == ()
    found = arguments.problems({"a": value})
    if found:
        with pytest.raises(ProjectError) as caught:
            arguments.convert({"a": value})
        assert [one.what for one in caught.value.problems] == [one.what for one in found]
        return [one.what for one in found]
    return arguments.convert({"a": value})["a"]


DAY, NOON = datetime.date(2026, 1, 31), datetime.time(12)
MOMENT = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
LIVE = Live()


@pytest.mark.parametrize(
    ("annotation", "value", "made"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (bool, True, True),
        (str, "x", "x"),
        (Path, "a/b", Path("a/b")),
        (Path, Path("a"), Path("a")),
        (datetime.date, DAY, DAY),
        (datetime.datetime, MOMENT, MOMENT),
        (datetime.time, NOON, NOON),
        (Literal["gz", 3], 3, 3),
        (Level, "low", Level.LOW),
        (Level, Level.HIGH, Level.HIGH),
        (Colour, "red", Colour.RED),
        (int | None, None, None),
        (Optional[int], 3, 3),  # noqa: UP045 - the old spelling is to work
        (Path | str, "x", "x"),
        (float | int, 3, 3),
        (int | float, 3.5, 3.5),
        (str | list[str], ["x"], ["x"]),
        (list[Path], ["x"], [Path("x")]),
        (list, ["x", 1], ["x", 1]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "x"], (1, "x")),
        (set[int], [1, 1], {1}),
        (Sequence[int], [1], [1]),
        (Iterable[int], [1], [1]),
        (dict[str, Path], {"x": "y"}, {"x": Path("y")}),
        (Mapping[str, list[int]], {"x": [1]}, {"x": [1]}),
        (dict, {"x": 1}, {"x": 1}),
        (Server, {"host": "h", "tags": ["t"]}, Server("h", 22, ["t"])),
        (Server, Server("h"), Server("h")),
        (list[Server], [{"host": "h"}], [Server("h")]),
        (Server | None, {"host": "h"}, Server("h")),
        (Login, {"user": "u"}, {"user": "u"}),
        (Tree, {"name": "a", "below": [{"name": "b"}]}, Tree("a", [Tree("b")])),
        (Any, {"x": [1]}, {"x": [1]}),
        (object, 3, 3),
        (Annotated[int, "big"], 3, 3),
        (UserId, 3, 3),
        ("int | None", 3, 3),
        (Live, LIVE, LIVE),
    ],
    ids=str,
)
def test_a_value_that_fits_is_made_what_the_annotation_says(annotation, value, made):
    result = take(annotation, value)

    assert (result, type(result)) == (made, type(made))


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (int, "3", ["args.a must be a whole number, not '3'"]),
        (int, True, ["args.a must be a whole number, not True"]),
        (int, 3.0, ["args.a must be a whole number, not 3.0"]),
        (float, True, ["args.a must be a number, not True"]),
        (bool, 1, ["args.a must be true or false, not 1"]),
        (str, 3, ["args.a must be text, not 3"]),
        (Path, 3, ["args.a must be a path, not 3"]),
        (datetime.date, MOMENT, [f"args.a must be a date, not {MOMENT!r}"]),
        (datetime.datetime, DAY, [f"args.a must be a date with a time, not {DAY!r}"]),
        (bytes, 3, ["args.a must be bytes, not 3"]),
        (Literal["gz", "bz2", "xz"], "bz3", ["args.a = 'bz3' must be one of 'gz', 'bz2', 'xz'"]),
        (Literal[1], True, ["args.a = True must be one of 1"]),
        (Level, "lo", ["args.a = 'lo' must be one of 'low', 'high'"]),
        (int | str, [1], ["args.a must be a whole number or text, not [1]"]),
        (str | list[str], ["x", 1], ["args.a[1] must be text, not 1"]),
        (list[int] | list[bool], ["x"], ["args.a must be a list or a list, not ['x']"]),
        (int | None, "x", ["args.a must be a whole number, not 'x'"]),
        (list[str], "abc", ["args.a must be a list, not 'abc'"]),
        (list[int], {"x": 1}, ["args.a must be a list, not {'x': 1}"]),
        (
            list[int],
            [1, "2", "3"],
            ["args.a[1] must be a whole number, not '2'", "args.a[2] must be a whole number, not '3'"],
        ),
        (tuple[int, str], [1], ["args.a must be a list of 2, not [1]"]),
        (
            tuple[int, str],
            ["x", 1],
            ["args.a[0] must be a whole number, not 'x'", "args.a[1] must be text, not 1"],
        ),
        (dict[str, int], {"x": "1"}, ["args.a.x must be a whole number, not '1'"]),
        (dict[str, int], [1], ["args.a must be a table, not [1]"]),
        (Server, "h", ["args.a must be a table, not 'h'"]),
        (
            Server,
            {"port": "22", "tgas": 1},
            [
                "args.a.tgas is not known",
                "args.a.host is missing",
                "args.a.port must be a whole number, not '22'",
            ],
        ),
        (list[Server], [{"host": "h", "tags": [1]}], ["args.a[0].tags[0] must be text, not 1"]),
        (Login, {"user": 1, "x": 1}, ["args.a.x is not known", "args.a.user must be text, not 1"]),
        (Live, "x", ["args.a must be a Live, not 'x'"]),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_told_with_its_path(annotation, value, said):
    assert sorted(take(annotation, value)) == sorted(said)


def task_archive(source: Path, target: Path, *, compression: Literal["gz", "xz"] = "gz", keep: int = 3): ...


def test_all_that_is_wrong_with_arguments_is_told_at_once():
    arguments = Arguments(task_archive)
    found = arguments.problems({"sorce": "x", "compression": "bz3", "keep": "3"})

    assert (arguments.names, arguments.required) == (
        ("source", "target", "compression", "keep"),
        {"source", "target"},
    )
    assert [tuple(one) for one in found] == [
        (("sorce",), "unknown argument 'sorce'", "did you mean 'source'?"),
        (("compression",), "args.compression = 'bz3' must be one of 'gz', 'xz'", ""),
        (("keep",), "args.keep must be a whole number, not '3'", ""),
        ((), "args.source is missing", "it must be a path"),
        ((), "args.target is missing", "it must be a path"),
    ]


def test_what_comes_from_elsewhere_is_not_missing():
    assert Arguments(task_archive).problems({"source": "x"}, elsewhere=["target"]) == []


def test_a_function_may_take_anything_else():
    def task_any(a: int, b=1, **rest: object): ...

    arguments = Arguments(task_any)

    assert (arguments.open, arguments.problems({"a": 1, "b": "x", "other": []})) == (True, [])
    assert arguments.convert({"a": 1, "other": [1]}) == {"a": 1, "other": [1]}


def test_what_waits_for_a_job_is_taken_as_fitting_and_the_rest_is_checked():
    def task_it(a: int, b: list[int], c: Server, d: list[int] | Path, e: Literal["x"]): ...

    written = {
        "a": "${x.a}",
        "b": ["${x.b}", "3"],
        "c": {"host": "${x.h}", "port": "y"},
        "d": ["${x.d}"],
        "e": "${x.e}",
    }
    found = Arguments(task_it).problems(Scope().substitute(written).data)

    assert [one.path for one in found] == [("b", 1), ("c", "port")]


def test_a_function_that_is_no_task_type_is_told():
    def task_odd(a, /, b: "Nowhere", *c, d: int = 1): ...  # noqa: F821 - it is not there

    arguments = Arguments(task_odd, at="ops/conftest.py:3 task_odd")

    assert [(one.at, one.what) for one in arguments.faults] == [
        (("ops/conftest.py:3 task_odd",), "task type 'odd' has the positional-only parameter 'a'"),
        (("ops/conftest.py:3 task_odd",), "task type 'odd' has the parameter '*c'"),
        (
            ("ops/conftest.py:3 task_odd",),
            "task type 'odd' has the annotation b: Nowhere, which cannot be read: "
            "name 'Nowhere' is not defined",
        ),
    ]
    assert arguments.problems({"b": 1, "d": 1}) == []
    line = task_odd.__code__.co_firstlineno
    assert Arguments(task_odd).faults[0].at == (f"{__file__}:{line} task_odd",)


def test_a_class_may_refuse_a_value_in_its_own_words():
    @dataclass
    class Even:
        number: int

        def __post_init__(self):
            if self.number % 2:
                raise ValueError("it is odd")

    assert take(Even, {"number": 3}) == ["args.a = {'number': 3} is refused: it is odd"]


def test_values_nested_without_end_are_told():
    deep: dict = {"name": "x"}
    for _ in range(5000):
        deep = {"name": "x", "below": [deep]}

    (said,) = take(Tree, deep)
    assert said.endswith("is nested too deep")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
@pytest.mark.parametrize(
    "kind", [int, list[Server], dict[str, int] | Tree, Login, tuple[int, str], Level | Path]
)
def test_any_value_is_taken_or_told(kind, value):
    def task_it(a): ...

    task_it.__annotations__ = {"a": kind}
    arguments = Arguments(task_it)

    if not arguments.problems({"a": value}):
        arguments.convert({"a": value})
