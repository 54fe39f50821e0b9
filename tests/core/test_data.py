from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from json import dumps, loads

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.data import from_data, to_data, to_text


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Leaf:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Tree:
    """A field of each kind that is kept, with and without a default."""

    leaf: Leaf
    colour: Colour
    height: int = 0
    alive: bool = True
    nick: str | None = None
    best: Leaf | None = None
    hue: Colour | None = None
    leaves: tuple[Leaf, ...] = ()
    words: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    counts: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, Leaf] = field(default_factory=dict)


leaves = st.builds(Leaf, st.text(), st.floats(allow_nan=False))
trees = st.builds(
    Tree,
    leaves,
    st.sampled_from(Colour),
    st.integers(),
    st.booleans(),
    st.none() | st.text(),
    st.none() | leaves,
    st.none() | st.sampled_from(Colour),
    st.lists(leaves).map(tuple),
    st.lists(st.text()).map(tuple),
    st.frozensets(st.text()),
    st.dictionaries(st.text(), st.integers()),
    st.dictionaries(st.text(), leaves),
)


@given(trees)
def test_to_data_and_back_is_the_identity(tree: Tree) -> None:
    assert from_data(Tree, loads(dumps(to_data(tree)))) == tree
    assert from_data(Tree, loads(to_text(tree))) == tree


@given(trees)
def test_what_has_its_default_is_left_out_and_the_rest_is_not(tree: Tree) -> None:
    bare = Tree(tree.leaf, tree.colour)
    said = set(to_data(tree))
    assert said == {
        name for name in vars(tree) if name in ("leaf", "colour") or vars(tree)[name] != vars(bare)[name]
    }
    assert set(loads(to_text(tree))) == said


def test_the_form_is_plain() -> None:
    tree = Tree(Leaf("a"), Colour.RED, marks=frozenset({"y", "x"}), leaves=(Leaf("b", 2.5),))
    assert to_data(tree) == {
        "leaf": {"name": "a"},
        "colour": "red",
        "marks": ["x", "y"],
        "leaves": [{"name": "b", "weight": 2.5}],
    }
    head = '"kind":"tree",'
    assert to_text(Leaf("a"), head) == '{"kind":"tree","name":"a"}'


def test_a_field_of_a_later_version_is_passed_over() -> None:
    assert from_data(Leaf, {"name": "a", "smell": "sweet"}) == Leaf("a")


@pytest.mark.parametrize(
    "data",
    [
        {"colour": "red"},
        {"leaf": {"name": "a"}, "colour": "green"},
        {"leaf": "name", "colour": "red"},
        {"leaf": {}, "colour": "red"},
        {"leaf": {"name": "a"}, "colour": "red", "leaves": {"name": "b"}},
        {"leaf": {"name": "a"}, "colour": "red", "leaves": ["b"]},
        {"leaf": {"name": "a"}, "colour": "red", "marks": "xy"},
        {"leaf": {"name": "a"}, "colour": "red", "counts": ["x"]},
        {"leaf": {"name": "a"}, "colour": "red", "by_name": {"x": 1}},
    ],
)
def test_what_is_not_of_the_kind_is_a_value_error(data: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a (Tree|Leaf)|not a valid Colour"):
        from_data(Tree, data)
