"""Contexts, flags and the environment in the settings."""

import pytest

from jobtest.config.contexts import Context
from jobtest.config.environment import from_environment
from jobtest.config.settings import in_context, load_settings
from jobtest.core.errors import UsageError

TWO = """
[params]
host = "localhost"
nested = {a = 1, b = 2}
[resources]
db = 1
gpu = 2
[flags]
beta = false
[contexts.dev]
[contexts.prod]
allow_faults = true
params = {host = "example.org", nested = {a = 3}}
resources = {db = 5}
flags = {beta = true, gamma = true}
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        (tmp_path / "jobtest.toml").write_text(text, encoding="utf-8")
        return load_settings(tmp_path)

    return load


@pytest.fixture
def refused(load):
    def refused(text):
        with pytest.raises(UsageError) as caught:
            load(text)
        return [problem.what for problem in caught.value.problems]

    return refused


def test_contexts_are_read(load):
    settings = load(TWO)
    assert settings.contexts["dev"] == Context()
    assert settings.contexts["prod"].allow_faults
    assert (settings.context, settings.allow_faults) == ("", False)


def test_faults_are_allowed_by_the_context_or_without_one_by_the_settings(load):
    settings = load(f"allow_faults = true\n{TWO}")
    assert settings.allow_faults
    assert in_context(settings, None).allow_faults
    assert not in_context(settings, "dev").allow_faults


def test_a_context_goes_over_the_rest_key_by_key(load):
    prod = in_context(load(TWO), "prod")
    assert prod.params == {"host": "example.org", "nested": {"a": 3}}
    assert prod.resources == {"db": 5, "gpu": 2}
    assert prod.flags == {"beta": True, "gamma": True}
    assert (prod.context, prod.allow_faults) == ("prod", True)


def test_a_context_that_says_nothing_leaves_all_as_it_is(load):
    settings = load(TWO)
    dev = in_context(settings, "dev")
    assert (dev.context, dev.allow_faults, dev.params) == ("dev", False, settings.params)


@pytest.mark.parametrize("name", ["dev", None])
def test_a_flag_that_only_another_context_has_is_known_and_off(load, name):
    assert in_context(load(TWO), name).flags == {"beta": False, "gamma": False}


@pytest.mark.parametrize(
    ("text", "name", "fix"),
    [
        (TWO, "prdo", "did you mean 'prod'?"),
        (TWO, "staging", "there are: dev, prod"),
        (TWO, "", "there are: dev, prod"),
        ("", "prod", "declare it: [contexts.prod]"),
    ],
)
def test_a_context_that_is_not_declared_is_told(load, text, name, fix):
    with pytest.raises(UsageError) as caught:
        in_context(load(text), name)
    assert str(caught.value) == f"--job-context {name!r} is no context of this project\n  fix: {fix}"


WRONG = {
    "contexts = 3": "setting contexts = 3 must be a table",
    "contexts.dev = 3": "setting contexts.dev = 3 must be a table",
    "contexts.dev.parms = {}": "unknown setting 'contexts.dev.parms'",
    "contexts.dev.parallel = 2": "unknown setting 'contexts.dev.parallel'",
    "contexts.dev.params = 3": "setting contexts.dev.params = 3 must be a table",
    "contexts.dev.allow_faults = 1": "setting contexts.dev.allow_faults = 1 must be true or false",
    "allow_faults = 'yes'": "setting allow_faults = 'yes' must be true or false",
    "contexts.dev.resources.db = -1": ("setting contexts.dev.resources.db = -1 must be a whole number >= 0"),
    "contexts.dev.flags.beta = 'on'": "setting contexts.dev.flags.beta = 'on' must be true or false",
    "contexts.'a b' = {}": "setting contexts: 'a b' must be a name of letters, digits, _, - and .",
    "contexts.'' = {}": "setting contexts: '' must be a name of letters, digits, _, - and .",
    "contexts.'a/b' = {}": "setting contexts: 'a/b' must be a name of letters, digits, _, - and .",
    "flags = ['beta']": "setting flags = ['beta'] must be a table",
    "flags.beta = 1": "setting flags.beta = 1 must be true or false",
    "retries = -1": "setting retries = -1 must be a whole number >= 0",
    "retries = true": "setting retries = True must be a whole number >= 0",
    "timeout = 0": "setting timeout = 0 must be a number of seconds > 0",
    "timeout = true": "setting timeout = True must be a number of seconds > 0",
    "timeout = nan": "setting timeout = nan must be a number of seconds > 0",
    "commands = []": "setting commands = [] must be a table",
    "commands.job = {}": "setting commands.job: 'job' means something else",
}


@pytest.mark.parametrize(("text", "said"), list(WRONG.items()))
def test_what_cannot_be_in_contexts_flags_and_commands_is_told(refused, text, said):
    assert refused(text) == [said]


def test_retries_and_timeout_are_read(load):
    settings = load("retries = 2\ntimeout = 1.5")
    assert (settings.retries, settings.timeout) == (2, 1.5)


# --- the environment ---


def read(values, environ=None, places=None):
    return from_environment(values, environ or {}, places or {}, "jobtest.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:A}", "1"),
        ("x${env:A}y${env:B}", "x1y${env:A}"),
        ("$${env:A}", "${env:A}"),
        ("$$${env:A}", "$${env:A}"),
        ("$5, $HOME", "$5, $HOME"),
        ("${?env:A}", "1"),
        ("<${?env:NONE}>", "<>"),
        ("", ""),
    ],
)
def test_a_variable_of_the_environment_is_put_in_once_and_stays_text(text, value):
    assert read({"p": text}, {"A": "1", "B": "${env:A}"}) == ({"p": value}, [])


def test_an_optional_variable_that_is_missing_leaves_its_parameter_out():
    values = {"a": "${?env:NONE}", "t": {"b": "${?env:NONE}", "c": 1}, "l": ["${?env:NONE}", "x"]}
    assert read(values) == ({"t": {"c": 1}, "l": ["x"]}, [])


def test_variables_are_put_in_within_tables_and_lists():
    values = {"t": {"l": [1, {"x": "${env:A}"}, ["${env:A}"]]}, "n": 2, "d": None}
    assert read(values, {"A": "v"}) == ({"t": {"l": [1, {"x": "v"}, ["v"]]}, "n": 2, "d": None}, [])
    assert values["t"]["l"][1] == {"x": "${env:A}"}


def test_variables_that_are_missing_are_told_all_at_once_with_the_key():
    _, problems = read({"a": "${env:X}", "t": {"l": ["${env:Y}"]}}, places={"t": "contexts.prod.params.t"})
    assert [str(problem) for problem in problems] == [
        "setting params.a: the environment variable 'X' is not set\n"
        "  at: jobtest.toml\n"
        "  fix: set it, or write ${?env:X} if it may be missing",
        "setting contexts.prod.params.t.l.0: the environment variable 'Y' is not set\n"
        "  at: jobtest.toml\n"
        "  fix: set it, or write ${?env:Y} if it may be missing",
    ]


@pytest.mark.parametrize("text", ["${NAME}", "${env}", "${", "a ${env:A", "${en:A}"])
def test_another_reference_is_told(text):
    _, problems = read({"p": text}, {"A": "1"})
    assert [problem.what for problem in problems] == [
        f"setting params.p = {text!r}: only ${{env:NAME}} is replaced here"
    ]


def test_what_is_nested_deep_is_gone_through():
    deep = value = {}
    for _ in range(20_000):
        value["a"] = value = {}
    value["a"] = "${env:A}"
    found, _ = read({"p": deep}, {"A": "1"})
    while isinstance(found, dict):
        (found,) = found.values()
    assert found == "1"
