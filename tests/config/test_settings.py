"""Reading the settings: what is accepted, and how what is not is told."""

import datetime
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.settings import KNOWN, Settings, load_settings, parse_assignment, read_toml
from jobtest.core.errors import UsageError


@pytest.fixture
def load(tmp_path):
    def load(text, name="jobtest.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return load_settings(tmp_path)

    return load


@pytest.fixture
def refused(load):
    """The text of the error for settings in jobtest.toml."""

    def refused(text, name="jobtest.toml"):
        with pytest.raises(UsageError) as caught:
            load(text, name)
        return str(caught.value)

    return refused


def test_without_settings_everything_has_its_default(tmp_path):
    assert load_settings(tmp_path) == Settings()
    assert Settings().paths == (".",)
    assert Settings().parallel == 1


def test_a_pyproject_without_a_table_of_jobtest_is_no_settings(load):
    assert load("[project]\nname = 'x'\n[tool.other]\n", "pyproject.toml") == Settings()


@pytest.mark.parametrize(
    ("name", "head", "source"),
    [
        ("jobtest.toml", "", "jobtest.toml"),
        ("pyproject.toml", "[tool.jobtest]\n", "pyproject.toml [tool.jobtest]"),
    ],
)
def test_every_setting_is_read(tmp_path, load, name, head, source):
    (tmp_path / "ops").mkdir()
    table = 'paths = ["ops"]\nparallel = 4\nretry_limit = 0\nresources = {db = 0, gpu = 2}\n'
    table += "params = {a = 1, b = [true]}\n"
    assert load(head + table, name) == Settings(
        source=source,
        paths=("ops",),
        parallel=4,
        params={"a": 1, "b": [True]},
        resources={"db": 0, "gpu": 2},
        retry_limit=0,
    )


def test_auto_means_as_many_as_there_are_cores(load):
    assert load('parallel = "auto"').parallel is None


def test_an_empty_table_is_all_defaults(load):
    assert load("") == Settings(source="jobtest.toml")


def test_a_byte_order_mark_is_no_part_of_the_settings(load):
    assert load("\ufeffparallel = 2").parallel == 2


def test_settings_in_two_files_are_refused(tmp_path, refused):
    (tmp_path / "pyproject.toml").write_text("[tool.jobtest]\nparallel = 2\n")
    assert refused("parallel = 2") == (
        "there are settings in two files\n"
        "  at: pyproject.toml [tool.jobtest]\n"
        "  at: jobtest.toml\n"
        "  fix: keep one of them"
    )


WRONG = {
    "parallel = 0": 'setting parallel = 0 must be a whole number >= 1, or "auto"',
    "parallel = true": 'setting parallel = True must be a whole number >= 1, or "auto"',
    "parallel = 1.0": 'setting parallel = 1.0 must be a whole number >= 1, or "auto"',
    "parallel = 'many'": "setting parallel = 'many' must be a whole number >= 1, or \"auto\"",
    "retry_limit = -1": "setting retry_limit = -1 must be a whole number >= 0",
    "retry_limit = '3'": "setting retry_limit = '3' must be a whole number >= 0",
    "retry_limit = false": "setting retry_limit = False must be a whole number >= 0",
    "resources = 3": "setting resources = 3 must be a table",
    "resources = {db = -1}": "setting resources.db = -1 must be a whole number >= 0",
    "resources = {db = true}": "setting resources.db = True must be a whole number >= 0",
    "params = []": "setting params = [] must be a table",
    "paths = 'ops'": "setting paths = 'ops' must be a list of folders",
    "paths = []": "setting paths = [] must be a list of folders",
    "paths = [1]": "setting paths = [1] must be a list of folders",
}


@pytest.mark.parametrize(("text", "told"), list(WRONG.items()))
def test_a_value_of_a_wrong_kind_is_told(refused, text, told):
    assert refused(text) == f"{told}\n  at: jobtest.toml"


def test_a_folder_that_is_not_there_is_told(tmp_path, refused):
    told = f"setting paths = 'ops' must be a folder below {tmp_path}\n  at: jobtest.toml"
    assert refused("paths = ['ops']") == told


@pytest.mark.parametrize("outside", ["..", "/", "/tmp"])
def test_a_folder_outside_of_the_rootdir_is_told(tmp_path, refused, outside):
    told = f"setting paths = {outside!r} must be a folder below {tmp_path}\n  at: jobtest.toml"
    assert refused(f"paths = ['{outside}']") == told


def test_an_unknown_key_is_told_with_the_nearest_one(refused):
    assert refused("paralel = 2") == (
        "unknown setting 'paralel'\n  at: jobtest.toml\n  fix: did you mean 'parallel'?"
    )
    assert refused("[xyz]\nparallel = 2") == (
        f"unknown setting 'xyz'\n  at: jobtest.toml\n  fix: keys are: {', '.join(sorted(KNOWN)[:12])}, ..."
    )


def test_all_that_is_wrong_is_told_at_once(refused):
    told = refused("parallel = 0\nparm = {}\nretry_limit = -1\npaths = 3\n")
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "unknown setting 'parm'",
        "setting paths = 3 must be a list of folders",
        'setting parallel = 0 must be a whole number >= 1, or "auto"',
        "setting retry_limit = -1 must be a whole number >= 0",
    ]


def test_a_file_that_is_not_toml_is_told_with_line_and_column(tmp_path, refused):
    told = refused("parallel = 2\nparallel\n")
    assert told.startswith("jobtest.toml cannot be read: ")
    assert "line 2" in told
    assert told.endswith(f"\n  at: {tmp_path / 'jobtest.toml'}\n  fix: correct the file")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a = '\xe9'"], ids=["utf-16", "latin-1"])
def test_a_file_that_is_not_utf8_is_told(tmp_path, content):
    (tmp_path / "jobtest.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"jobtest\.toml cannot be read: 'utf-8' codec"):
        load_settings(tmp_path)


def test_what_is_nested_without_end_is_told(tmp_path):
    (tmp_path / "jobtest.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match=r"jobtest\.toml cannot be read"):
        load_settings(tmp_path)


def test_a_table_that_is_none_is_told(refused):
    told = refused("[tool]\njobtest = 3\n", "pyproject.toml")
    assert told == "pyproject.toml [tool.jobtest] must be a table\n  fix: write key = value lines"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: .*No such file"):
        read_toml(tmp_path / "none.toml")


# --- assignments ---


@pytest.mark.parametrize(
    ("text", "assigned"),
    [
        ("a=1", ("a", 1)),
        ("a=1.5", ("a", 1.5)),
        ("a=true", ("a", True)),
        ("a=True", ("a", "True")),
        ("a=2026-01-31", ("a", datetime.date(2026, 1, 31))),
        ('a="1"', ("a", "1")),
        ("a=[1, 'x']", ("a", [1, "x"])),
        ("a={b = 1}", ("a", {"b": 1})),
        ("a=MST3K", ("a", "MST3K")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        (" a =1", ("a", 1)),
        ("a= x", ("a", " x")),
        ("a=1\nb = 2", ("a", "1\nb = 2")),
        ("a=1 # rest", ("a", 1)),
        ("a=" + "[" * 100_000, ("a", "[" * 100_000)),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_value_is_read_as_toml_and_else_is_text(text, assigned):
    found = parse_assignment(text, "--job-set")
    assert found == assigned
    assert type(found[1]) is type(assigned[1])


@pytest.mark.parametrize(
    ("text", "said"), [("a", "value"), ("=a", "key"), ("  =a", "key"), ("", "key"), ("=", "key")]
)
def test_an_assignment_without_key_or_value_is_told(text, said):
    with pytest.raises(UsageError) as caught:
        parse_assignment(text, "--job-set")
    assert str(caught.value) == f"--job-set {text!r} has no {said}\n  fix: write --job-set KEY=VALUE"


@given(st.text(string.printable), st.text())
def test_any_assignment_is_parsed_or_told(key, value):
    try:
        parsed, _ = parse_assignment(f"{key}={value}", "--job-set")
    except UsageError:
        assert not key.partition("=")[0].strip()
    else:
        assert parsed == key.partition("=")[0].strip()


@given(
    st.dictionaries(
        st.sampled_from([*KNOWN, "other"]), st.integers() | st.booleans() | st.text(string.ascii_letters)
    )
)
def test_any_plain_values_are_accepted_or_told(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("any")
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for key, value in values.items()
    ]
    (folder / "jobtest.toml").write_text("\n".join(lines))
    try:
        settings = load_settings(folder)
    except UsageError as error:
        told = str(error)
    else:
        told = settings.source
    assert "jobtest.toml" in told
    assert ("unknown setting 'other'" in told) == ("other" in values)
