"""What counts as a secret, and that no form of it comes through, however the text is cut in pieces."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.secrets import Secrets, read_secrets
from jobtest.core.errors import Problem, UsageError

AWKWARD = "pä\"ss'w\\ö rd&<1"
LONG = "".join(chr(33 + (i * i * 7 + i * 3) % 90) for i in range(400))
SECRETS = Secrets({"password": "hunter2", "token": LONG, "odd": AWKWARD})


@pytest.mark.parametrize("secret", ["hunter2", AWKWARD, LONG])
def test_a_secret_is_masked_in_the_forms_that_it_commonly_takes(secret):
    forms = [
        secret,
        repr(secret),
        repr([secret]),
        repr("both \" and ' " + secret),
        repr(secret.encode()),
        repr(repr(secret)),
        json.dumps({"a": secret}),
        json.dumps([secret], ensure_ascii=False),
        json.dumps(json.dumps(secret)),
        ascii(secret),
        secret.encode("ascii", "backslashreplace").decode(),
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.urlencode({"q": secret}),
        base64.b64encode(secret.encode()).decode(),
        secret.encode().hex(),
        repr(secret.encode("latin-1")),
        secret.encode("latin-1").decode(errors="replace"),
        urllib.parse.quote(secret.encode("latin-1")),
        base64.b64encode(secret.encode("latin-1")).decode(),
    ]
    for form in forms:
        assert SECRETS.find(form), form
        left = SECRETS.mask(form)
        assert "***" in left
        assert len(left) <= 22, left  # quotes, brackets, words around it


@pytest.mark.parametrize("user", ["a", "ab", "abc", "someone"])
def test_basic_auth_is_masked_wherever_the_password_stands_in_it(user):
    header = base64.b64encode(f"{user}:hunter2:more".encode()).decode()
    left = SECRETS.mask(header)
    assert "***" in left
    assert b"unter" not in b"".join(
        base64.b64decode(part + "==="[len(part) % 4 - 1 :])
        for part in left.split("***")
        if len(part) % 4 != 1
    )


def test_each_line_of_a_key_file_is_masked():
    key = Secrets({"key": "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nqq\n  indented line\n"})
    assert key.mask("E   MIIEpAIBAAKCAQEA7\nE   indented line\nE   qq") == "E   ***\nE   ***\nE   qq"
    assert key.mask("-----BEGIN KEY-----") == "***"


def test_what_is_left_of_a_secret_that_was_cut_is_masked():
    assert SECRETS.mask(f"token = '{LONG[:118]}...{LONG[-118:]}'") == "token = '***...***'"
    assert SECRETS.mask(f"- {LONG[50:90]}") == "- ***"
    assert SECRETS.mask("{'password': 'hunt...") == "{'password': '***"
    assert SECRETS.mask("...nter2'}") == "***'}"
    cut = "hunt\n[12 characters are left out here]\nter2"
    assert SECRETS.mask(cut) == "***12 characters are ***"
    assert SECRETS.mask("a hunt for ter2") == "a hunt for ter2"


def test_colours_in_the_middle_of_a_secret_hide_nothing():
    assert SECRETS.mask("a \x1b[31mhun\x1b[0mter2\x1b[0m b") == "a \x1b[31m***\x1b[0m\x1b[0m b"


def test_overlapping_secrets_are_masked_as_one_and_longer_ones_whole():
    both = Secrets({"a": "abcd", "b": "cdef", "c": "abcdefgh"})
    assert both.mask("xabcdefx abcdefghi abcdabcd") == "x***x ***i ******"


def test_without_secrets_a_text_is_the_same_object():
    text = "hunter2"
    none = Secrets()
    assert none.mask(text) is text
    assert none.masked([text]) == [text]
    assert not none
    assert none.find(text) == ""


def test_data_are_masked_with_their_keys_and_numbers():
    secrets = Secrets({"pin": 123456, "password": "hunter2"})
    data = {"a": [1, 123456, True, None, ("hunter2", {"hunter2": "x hunter2"})], "b": 1.5}
    assert secrets.masked(data) == {"a": [1, "***", True, None, ["***", {"***": "x ***"}]], "b": 1.5}
    problem = Problem(what="job 'hunter2'", at=("hunter2.py:1",), fix="not hunter2")
    assert str(secrets.problem(problem)) == "job '***'\n  at: ***.py:1\n  fix: not ***"


@pytest.mark.rarely
def test_much_text_takes_time_in_proportion_to_it():
    many = Secrets({f"s{n}": f"secret-{n}-{LONG[n:]}" for n in range(20)})
    line = "an ordinary line of output, 1234\n"
    assert many.mask(line * 30_000) == line * 30_000  # quadratic would not end


@pytest.mark.parametrize("size", [16, 17, 200])
def test_a_secret_of_one_character_over_and_over_is_masked_wherever_it_begins(size):
    dull = Secrets({"a": "a" * size})
    for before in range(9):
        assert dull.mask("[" * before + "a" * size + "]") == "[" * before + "***]"


# --- in pieces ---

ALPHABET = "ab.\n["
TEXTS = st.text(ALPHABET, min_size=4, max_size=7)
LONGER = st.text("abcdefgh", min_size=16, max_size=40)


@st.composite
def chunked(draw):
    """Secrets, and pieces of a text that holds them and parts of them."""
    values = draw(st.lists(TEXTS | LONGER, min_size=1, max_size=3))
    part = st.sampled_from(values).flatmap(
        lambda one: st.tuples(st.integers(0, len(one)), st.integers(0, len(one))).map(
            lambda ends: one[min(ends) : max(ends)]
        )
    )
    text = "".join(
        draw(st.lists(part | st.sampled_from(values) | st.text(ALPHABET, max_size=5), max_size=12))
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return values, text, pieces


@given(chunked())
def test_a_text_in_pieces_is_masked_as_the_whole(drawn):
    values, text, pieces = drawn
    secrets = Secrets({str(number): value for number, value in enumerate(values)})
    stream = secrets.stream()
    shown = "".join(stream.feed(piece) for piece in pieces) + stream.close()
    assert shown == secrets.mask(text)


@given(chunked())
def test_no_secret_is_left_in_what_was_masked(drawn):
    values, text, _ = drawn
    secrets = Secrets({str(number): value for number, value in enumerate(values)})
    for left in secrets.mask(text).split("***"):
        for value in values:
            lines = [line.strip() for line in value.splitlines() if len(line.strip()) >= 4]
            assert all(line not in left for line in lines or [value])


def test_what_cannot_become_a_secret_is_shown_at_once_and_what_may_waits():
    stream = Secrets({"password": "hunter2"}).stream()
    assert stream.feed("Password: ") == "Password: "
    assert stream.feed("the hun") == "the "
    assert stream.feed("dred\n") == "hundred\n"
    assert stream.feed("hunter") == ""
    assert stream.feed("2\n") == "***\n"
    assert stream.feed("hunt") == ""
    assert stream.close() == "hunt"
    assert stream.close() == ""


# --- settings ---

PARAMS = {"password": "hunter2", "db": {"host": "localhost", "port": 80, "password": "s3cret"}, "debug": True}


def said(names, params=PARAMS, environ=None):
    with pytest.raises(UsageError) as raised:
        read_secrets(names, params, environ or {}, "jobtest.toml")
    return str(raised.value)


def test_parameters_parts_of_them_and_variables_can_be_secrets():
    secrets = read_secrets(["db.password", "env:TOKEN"], PARAMS, {"TOKEN": "t0k3n"}, "jobtest.toml")
    assert secrets.mask("hunter2 s3cret t0k3n localhost") == "hunter2 *** *** localhost"
    assert secrets.find("a t0k3n") == "env:TOKEN"


def test_a_table_is_secret_with_all_that_is_in_it_and_long_enough():
    secrets = read_secrets(["db"], PARAMS, {}, "jobtest.toml")
    assert secrets.mask("localhost:80 s3cret") == "***:80 ***"


def test_a_name_that_nothing_has_is_refused_unless_it_may_be_missing():
    assert said(["pasword"]) == (
        "secret 'pasword' is the name of no parameter\n  at: jobtest.toml\n"
        "  fix: did you mean 'password'? If it may be missing, write \"pasword?\""
    )
    assert "did you mean 'db.password'?" in said(["db.pasword"])
    assert "did you mean 'env:TOKEN'?" in said(["env:TOKN"], environ={"TOKEN": "t0k3n"})
    assert "'api'" in said(["api", "env:X"])
    assert "'env:X'" in said(["api", "env:X"])
    assert not read_secrets(["api?", "env:X?"], PARAMS, {}, "jobtest.toml")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("abc", "secret 'p' has 3 characters"),
        (7, "has 1 characters"),
        (True, "is true or false"),
        (["abc"], "'p[0]'"),
    ],
)
def test_what_cannot_be_masked_is_refused(value, what):
    assert what in said(["p"], {"p": value})


def test_an_empty_text_is_no_secret():
    assert not read_secrets(["p"], {"p": ""}, {}, "jobtest.toml")
