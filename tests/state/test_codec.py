"""Values to text and back."""

import io
import json
import struct
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from dataclasses import dataclass, make_dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from storable import HOME, KEYS, VALUES, Colour, Empty, Frozen, Key, Level, Point, Right, Thing, frozen, shape

from jobtest.state.codec import Changed, ModuleHome, NotStorable, decode, digest_of, encode, writing
from jobtest.state.codec.reading import _READERS


def there_and_back(value):
    return decode(encode(value, HOME).text, HOME)


# --- there and back ---


@given(VALUES)
@example("\ud83d\ude00")
@example({"\ud83d\ude00": ["\ude00\ud83d"]})
@example({"jobtest:path/1": "/x"})
@example({"jobtest:dict/1": ["a", 1]})
@example([-0.0, 0.0, 1, 1.0, True])
@example({1: "int", "1": "text"})
@example(1 << 13_999)
@example(Path("a/\udcff"))
def test_a_value_comes_back_as_it_was_to_the_letter(value):
    assert shape(there_and_back(value)) == shape(value)


@given(VALUES)
def test_text_is_json_in_ascii_and_encodes_to_itself_again(value):
    encoded = encode(value, HOME)

    json.loads(encoded.text)
    assert encoded.text.isascii()
    assert encode(there_and_back(value), HOME) == encoded


@given(VALUES)
def test_the_digest_can_be_told_from_the_text(value):
    encoded = encode(value, HOME)

    assert digest_of(encoded.text) == encoded.digest
    assert len(encoded.digest) == 64


@given(VALUES, VALUES)
def test_digests_are_equal_if_and_only_if_structures_are(one, other):
    same = shape(one, ordered=False) == shape(other, ordered=False)

    assert (encode(one, HOME).digest == encode(other, HOME).digest) == same


@given(st.data(), st.dictionaries(KEYS, VALUES, min_size=2, max_size=5))
def test_the_order_of_a_dict_is_kept_and_does_not_count(data, value):
    shuffled = dict(data.draw(st.permutations(list(value.items()))))
    nans = [key for key in value if key != key]  # they are not themselves, so they have no one order

    assert list(map(shape, there_and_back(shuffled))) == list(map(shape, shuffled))
    if not nans:
        assert encode([shuffled], HOME).digest == encode([value], HOME).digest


def test_sets_of_equal_sets_have_equal_texts_whatever_order_python_has_them_in():
    one, other = frozenset([0, 8]), frozenset([8, 0])
    assert (one, list(one)) == (other, list(reversed(list(other))))

    assert encode({one, frozenset([5])}, HOME) == encode({other, frozenset([5])}, HOME)


def test_the_order_of_dicts_in_a_set_does_not_count():
    sets = [{Thing(first), Thing({3: 0})} for first in ({1: 0, 5: 0}, {5: 0, 1: 0})]

    assert len({encode(value, HOME).digest for value in sets}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("1", 1),
        ((), []),
        (set(), frozenset()),
        (None, "None"),
        ([], {}),
        ({"x": 1}, Point(1)),
        (Level.LOW, 1),
        (Path("a"), "a"),
        ({1: 2}, {"1": 2}),
        ([1, 2], [2, 1]),
    ],
    ids=repr,
)
def test_what_is_of_another_type_or_order_has_another_digest(one, other):
    assert encode(one, HOME).digest != encode(other, HOME).digest


def test_the_texts_of_some_values_are_these():
    """A store may be read years later: a change here needs a new number in the tag."""
    texts = {
        json.dumps({"b": 1, "a": [1.5, True]}, separators=(",", ":")): {"b": 1, "a": [1.5, True]},
        '{"jobtest:path/1":"/x"}': Path("/x"),
        '{"jobtest:dict/1":["jobtest:path/1","/x"]}': {"jobtest:path/1": "/x"},
        '{"jobtest:dict/1":[1,"a",{"jobtest:tuple/1":[]},null]}': {1: "a", (): None},
        '{"jobtest:set/1":["a","b"]}': {"b", "a"},
        '{"jobtest:bytes/1":"AP8="}': b"\x00\xff",
        '{"jobtest:float/1":"-inf"}': -float("inf"),
        '{"jobtest:str/1":["\\ud83d","\\ude00"]}': "\ud83d\ude00",
        '{"jobtest:datetime/1":{"at":"2024-05-06T07:08:09"}}': datetime(2024, 5, 6, 7, 8, 9),  # noqa: DTZ001
        '{"jobtest:time/1":{"at":"07:08:00","offset":7200.0}}': time(
            7, 8, tzinfo=timezone(timedelta(hours=2))
        ),
        '{"jobtest:timedelta/1":[1,2,3]}': timedelta(1, 2, 3),
        '{"jobtest:dataclass/1":{"class":"Point","x":1,"y":{"jobtest:enum/1":["Colour","RED"]}}}': Point(
            1, Colour.RED
        ),
        '{"jobtest:enum/1":["Point.Unit","CM"]}': Point.Unit.CM,
        '{"jobtest:enum/1":["Right",0]}': Right(0),
    }

    assert {encode(value, HOME).text: None for value in texts.values()}.keys() == texts.keys()
    assert [shape(decode(text, HOME)) for text in texts] == [shape(value) for value in texts.values()]


def test_a_dataclass_is_restored_without_its_own_code():
    value = frozen("a", [1])

    back = there_and_back(value)

    assert (type(back), back.name, back.made) == (Frozen, "a", [1])
    assert there_and_back(Empty()) == Empty()


def test_what_a_cached_property_keeps_is_made_anew():
    value = Point(1, 2)
    assert value.both == (1, 2)

    assert vars(there_and_back(value)) == {"x": 1, "y": 2}


def test_containers_nested_200_deep_come_back():
    value = {}
    for number in range(199):
        value = [[value], {1: value}, {"a": value}, (value,), Point(value)][number % 5]

    assert encode(there_and_back(value), HOME).text == encode(value, HOME).text


# --- what cannot be stored ---


class Text(str):
    __slots__ = ()


class More(Point):
    def __init__(self):
        super().__init__(1, 2)
        self.more = 3


@dataclass
class Listed(list):
    x: int = 1


class Strange(type):
    """Its classes have no hash."""

    def __eq__(cls, other):
        return True

    __hash__ = None


class Odd(metaclass=Strange):
    pass


class Zone(tzinfo):
    pass


TIME_ZONE_FILE = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\0"
NAMELESS = ZoneInfo.from_file(io.BytesIO(TIME_ZONE_FILE))


def no_member():
    value = object.__new__(Colour)
    value._name_, value._value_ = "BLUE", 3
    return value


def without_field():
    value = Point(1)
    del value.x
    return value


Named = namedtuple("Named", "a")


@dataclass
class Elsewhere:
    x: int = 1


HERE = ModuleHome(sys.modules[__name__])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2, 3, len]}, "$.a[3] is a builtin_function_or_method"),
        ({"a": [0, {"b c": lambda: 1}]}, "$.a[1]['b c'] is a function"),
        ({1: {2: object()}}, "$.values()[0].values()[0] is an object"),
        ({(1, len): 2}, "$.keys()[0][1] is a builtin_function_or_method"),
        ([{(1, len)}], "$[0]{...}[1] is a builtin_function_or_method"),
        (Point(1, Point([object()])), "$.y.x[0] is an object"),
        (io.StringIO(), "$ is a StringIO"),
        ((one for one in ()), "$ is a generator"),
        (threading.Lock(), "$ is a lock"),
        (Text("a"), "$ is a Text"),
        (OrderedDict(a=1), "$ is an OrderedDict"),
        (Named(1), "$ is a Named"),
        (bytearray(b"a"), "$ is a bytearray"),
        (Odd(), "$ is an Odd"),
        (Odd, "$ is a Strange"),
        (Point, "$ is a type"),
        ([1 << 14_000], "$[0] is an int of more than 14000 bits"),
        ([datetime(2024, 1, 1, tzinfo=Zone())], "$[0] is a datetime whose zone is a Zone"),
        (datetime(2024, 1, 1, tzinfo=NAMELESS), "$ is a datetime whose zone is a ZoneInfo"),
        (More(), "$ is a More with an attribute 'more' that is no field"),
        (Listed(), "$ is a Listed, which is more than a dataclass"),
        (no_member(), "$ is a Colour that is none of its members"),
        (without_field(), "$ is a Point without its field 'x'"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_cannot_be_stored_is_named_with_its_place(value, text):
    home = ModuleHome(ModuleType("job_a"))
    home.name = lambda cls: cls.__name__

    with pytest.raises(NotStorable) as caught:
        encode(value, home)

    assert str(caught.value) == text


def test_classes_are_stored_only_if_the_module_of_the_job_has_them():
    with pytest.raises(
        NotStorable, match=r"^\$\.a is an Elsewhere, which the module of the job does not have"
    ):
        encode({"a": Elsewhere()}, HOME)
    with pytest.raises(NotStorable, match=r"^\$ is a Local, .* by the name test_.*<locals>.Local$"):
        encode(make_local(), HERE)
    assert decode(encode(Elsewhere(), HERE).text, HERE) == Elsewhere()
    assert decode(encode(Point(1), HERE).text, HERE) == Point(1)


def make_local():
    cls = make_dataclass("Local", ["x"])
    cls.__qualname__ = "test_x.<locals>.Local"
    return cls(1)


def test_a_cycle_ends():
    holds_itself = [1]
    holds_itself.append(holds_itself)

    with pytest.raises(NotStorable, match=r"^\$\[1\]\[1\]\[1\].* is a list nested more than 200 deep$"):
        encode(holds_itself, HOME)


def test_lists_that_hold_each_other_twice_are_too_large(monkeypatch):
    value = []
    for _ in range(30):
        value = [value, value]

    monkeypatch.setattr(writing, "MOST_ITEMS", 5000)
    with pytest.raises(NotStorable, match=r"^\$\[.* is a part of a value of more than 5000 items$"):
        encode(value, HOME)


def test_the_place_in_a_message_is_cut():
    value = object()
    for _ in range(199):
        value = {"a long name": value}

    with pytest.raises(NotStorable) as caught:
        encode(value, HOME)
    assert len(str(caught.value)) < 250


def test_what_is_too_deep_for_the_stack_that_is_left_is_not_storable():
    value = []
    for _ in range(198):
        value = [value]

    def deeper(left):
        return encode(value, HOME) if not left else deeper(left - 1)

    frames = sys.getrecursionlimit() - stack_depth() - 60
    if sys.version_info >= (3, 12):
        pytest.skip("json does not share the limit with Python here")
    with pytest.raises(NotStorable, match=r"^\$ is a list nested too deep"):
        deeper(frames)


def stack_depth():
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


# --- texts that are none ---

JUNK = [
    "",
    "{",
    "nul",
    "NaN",
    "[Infinity]",
    "1 2",
    "[" * 100_000,
    '{"jobtest:pickle/1":"gASVAAAA"}',
    '{"jobtest:path/2":"/x"}',
    '{"jobtest:path/1":1}',
    '{"jobtest:bytes/1":"*"}',
    '{"jobtest:float/1":"x"}',
    '{"jobtest:str/1":[1]}',
    '{"jobtest:set/1":[[]]}',
    '{"jobtest:dict/1":[1]}',
    '{"jobtest:dict/1":[[],1]}',
    '{"jobtest:decimal/1":"x"}',
    '{"jobtest:uuid/1":"x"}',
    '{"jobtest:date/1":"x"}',
    '{"jobtest:timedelta/1":[1e99]}',
    '{"jobtest:datetime/1":{}}',
    '{"jobtest:datetime/1":{"at":1}}',
    '{"jobtest:datetime/1":{"at":"2024-01-01","zone":"No/Where"}}',
    '{"jobtest:datetime/1":{"at":"2024-01-01","zone":"../../etc/passwd"}}',
    '{"jobtest:datetime/1":{"at":"2024-01-01","offset":"x"}}',
    '{"jobtest:datetime/1":{"at":"2024-01-01","offset":86400}}',
    '{"jobtest:datetime/1":{"at":"2024-01-01","offset":0,"name":[]}}',
    '{"jobtest:time/1":{"at":"10:00","fold":7}}',
    '{"jobtest:enum/1":["Colour"]}',
    '{"jobtest:enum/1":["Colour",[]]}',
    '{"jobtest:enum/1":["Right",64]}',
    '{"jobtest:dataclass/1":{"x":1}}',
    '{"jobtest:dataclass/1":{"class":[]}}',
]


@pytest.mark.parametrize("text", JUNK, ids=range(len(JUNK)))
def test_text_that_is_no_value_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        decode(text, HOME)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*_READERS, "class", "x", "y", "at"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_value_or_a_value_error(data):
    text = json.dumps(data)
    try:
        made = decode(text, HOME)
    except ValueError:
        return
    assert shape(there_and_back(made)) == shape(made)


@given(VALUES, st.data())
def test_broken_text_is_a_value_or_a_value_error(value, data):
    text = encode(value, HOME).text
    at = data.draw(st.integers(0, len(text) - 1))
    broken = text[:at] + data.draw(st.sampled_from(["", "0", '"', "]", "}", "x"])) + text[at + 1 :]

    for read in (lambda: decode(broken, HOME), lambda: digest_of(broken)):
        with suppress(ValueError):
            read()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"jobtest:dataclass/1":{"class":"Point","x":1,"z":2}}',
            "Point had the fields x, z when this value was stored, and has x, y now",
        ),
        (
            '{"jobtest:dataclass/1":{"class":"Gone"}}',
            "Gone was a dataclass when this value was stored, and is none now",
        ),
        (
            '{"jobtest:dataclass/1":{"class":"Colour"}}',
            "Colour was a dataclass when this value was stored, and is none now",
        ),
        ('{"jobtest:enum/1":["Key","RED"]}', "Key was an enum when this value was stored, and is none now"),
        (
            '{"jobtest:enum/1":["Colour","BLUE"]}',
            "Colour had a member 'BLUE' when this value was stored, and has none now",
        ),
    ],
)
def test_a_class_that_is_not_what_it_was_is_told(text, said):
    with pytest.raises(Changed) as caught:
        decode(text, HOME)

    assert str(caught.value) == said


@pytest.mark.parametrize(
    "name",
    [
        "Alias",
        "sys",
        "os.path",
        "dataclass",
        "Point.both",
        "Point.__class__",
        "HOME._module",
        "",
        ".",
        "Other",
    ],
)
def test_a_name_leads_only_to_a_class_of_the_module_under_its_own_name(name):
    assert HOME.type(name) is None


def test_nothing_is_asked_of_a_module_that_answers_for_what_it_does_not_have(monkeypatch):
    asked = []
    module = ModuleType("job_a")
    module.__getattr__ = asked.append
    home = ModuleHome(module)

    with pytest.raises(Changed):
        decode('{"jobtest:dataclass/1":{"class":"Point","x":1}}', home)

    assert asked == []
    assert home.name(Key) is None


def test_hooks_of_a_value_for_other_formats_are_not_called():
    class Hooked:
        def __getattribute__(self, name):
            raise AssertionError(f"{name} was asked for")

        def __reduce__(self):
            raise AssertionError("pickled")

    with pytest.raises(NotStorable, match=r"^\$\[0\] is a Hooked$"):
        encode([Hooked()], HOME)
