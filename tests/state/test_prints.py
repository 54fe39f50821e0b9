"""The built-in check: which files there are, and whether they are still the same."""

import errno
import hashlib
import os
import sys
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.state.prints import bad_patterns, files_of, missing, prints, record, verdict

NAMES = st.sampled_from(["a", "b.csv", ".hid", "sub", "a-b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PARTS = st.one_of(NAMES, st.sampled_from(["*", "**", "*.csv", "?", "[!a]*", ".*", "[ab]", "[ab]*"]))
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def grow(root, paths):
    """Make files with these paths; where a file is in the way of a folder, it stays."""
    for path in sorted(paths, key=len):
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if not (root / path).exists():
                (root / path).write_text(path)
        except (FileExistsError, NotADirectoryError):
            pass


@contextmanager
def tree(paths):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root [x]"
        root.mkdir()
        grow(root, paths)
        yield root


@pytest.fixture
def root(tmp_path):
    grow(tmp_path, ["data/a.csv", "data/b.csv", "data/note.txt", "data/deep/er/c.csv", "out.parquet"])
    return tmp_path


def names(root, *patterns):
    found, unmatched = files_of(root, patterns)
    assert unmatched == []
    return found


def matches(parts, path):
    """Whether a pattern matches exactly this path, by the words of the module."""
    if not parts:
        return not path
    if parts[0] == "**":
        deeper = bool(path) and path[0][0] != "." and matches(parts, path[1:])
        return matches(parts[1:], path) or deeper
    if not path or not fnmatchcase(path[0], parts[0]):
        return False
    magic = any(letter in parts[0] for letter in "*?[")
    hidden = magic and path[0][0] == "." and parts[0][0] != "."
    return not hidden and matches(parts[1:], path[1:])


def stands_for(pattern, path):
    parts, wanted = path.split("/"), pattern.split("/")
    folders = any(matches(wanted, parts[:end]) for end in range(len(parts)))
    return folders or (wanted[-1] != "**" and matches(wanted, parts))


# --- which files ---


@given(st.sets(PATHS, max_size=8), st.lists(PATTERNS, min_size=1, max_size=3))
def test_a_pattern_stands_for_what_it_matches_and_for_all_below_that(paths, patterns):
    with tree(paths) as root:
        there = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        expected = sorted(path for path in there if any(stands_for(one, path) for one in patterns))
        found, unmatched = files_of(root, patterns)
        assert found == expected
        empty = [one for one in patterns if not any(stands_for(one, path) for path in there)]
        assert unmatched == list(dict.fromkeys(one for one in empty if set(one.split("/")) != {"**"}))


def test_names_are_relative_below_the_root_and_absolute_elsewhere(root, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "x").touch()
    beside = Path(f"{root}-beside")
    beside.mkdir()
    (beside / "y").touch()
    assert names(root, "./data//a.csv", str(root / "data/b.csv"), str(away)) == sorted(
        [str(away / "x"), "data/a.csv", "data/b.csv"]
    )
    assert names(root, f"../{beside.name}/*") == [str(beside / "y")]
    assert names(root / "data", "../out.parquet") == [str(root / "out.parquet")]


def test_the_root_may_be_relative(root, monkeypatch):
    monkeypatch.chdir(root / "data")
    assert names(Path(), "*.csv") == ["a.csv", "b.csv"]
    assert names(Path(), "../out.parquet") == [str(root / "out.parquet")]
    assert list(prints(Path("deep"), ["er"])) == ["er/c.csv"]


def test_wildcards_pass_over_hidden_names_and_folders_do_not(tmp_path):
    grow(tmp_path, ["x/.h/a.csv", "x/.b.csv", "x/c.csv", "x/D.CSV"])
    everything = ["x/.b.csv", "x/.h/a.csv", "x/D.CSV", "x/c.csv"]
    assert (
        names(tmp_path, "**/*.csv") == names(tmp_path, "x/?.csv") == names(tmp_path, "x/[c]*") == ["x/c.csv"]
    )
    assert names(tmp_path, "x/[c].csv") == ["x/c.csv"]
    assert names(tmp_path, "x/.*", "x/*") == names(tmp_path, "x") == names(tmp_path, "*") == everything


def test_a_folder_without_files_is_a_match_and_what_leads_nowhere_is_none(root):
    (root / "empty").mkdir()
    (root / "data/gone.csv").symlink_to("nowhere")
    os.mkfifo(root / "data/pipe.csv")
    patterns = ["empty", "data/gone.csv", "data/pipe.csv", "data/a.csv/x", "nope/*", "nope/**/x", "nope/*"]
    assert files_of(root, patterns) == (
        [],
        ["data/gone.csv", "data/pipe.csv", "data/a.csv/x", "nope/*", "nope/**/x"],
    )
    assert names(root, "data") == ["data/a.csv", "data/b.csv", "data/deep/er/c.csv", "data/note.txt"]
    assert names(root, "data/*.csv") == ["data/a.csv", "data/b.csv"]


def test_links_are_followed_and_keep_their_names(root):
    (root / "link").symlink_to("data/deep")
    (root / "one.csv").symlink_to("data/a.csv")
    assert names(root, "link/**/*.csv", "*.csv", "link") == ["link/er/c.csv", "one.csv"]


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("data", "data/deep/er/loop"),
        ("data/**/*.csv", "data/deep/er/loop"),
        ("data/deep/*", "data/deep/er/loop/er"),
    ],
)
def test_a_folder_that_holds_itself_is_an_error_with_its_path(root, pattern, where):
    (root / "data/deep/er/loop").symlink_to(root / "data/deep")
    with pytest.raises(OSError, match="the folder holds itself") as caught:
        files_of(root, [pattern])
    assert caught.value.filename == str(root / where)
    assert caught.value.errno == errno.ELOOP


def test_a_link_to_itself_is_an_error_with_its_path(root):
    (root / "data/me").symlink_to("me")
    for pattern in ("data/me", "data", "data/*"):
        with pytest.raises(OSError, match="symbolic links") as caught:
            files_of(root, [pattern])
        assert caught.value.filename == str(root / "data/me")


def test_two_links_to_one_folder_are_no_loop(root):
    for link in ("x", "y"):
        (root / "data" / link).symlink_to("deep")
    assert names(root, "data/**/c.csv") == ["data/deep/er/c.csv", "data/x/er/c.csv", "data/y/er/c.csv"]


def test_a_tree_deeper_than_python_recurses_is_no_trouble(tmp_path):
    folders = [str(tmp_path / "top") + "/d" * depth for depth in range(sys.getrecursionlimit() + 100)]
    for folder in folders:
        os.mkdir(folder)
    file = Path(folders[-1], "x")
    file.touch()
    assert len(names(tmp_path, "top")) == len(names(tmp_path, "top/**/x")) == 1
    file.unlink()  # pytest removes trees by recursion
    for folder in reversed(folders):
        os.rmdir(folder)


def test_a_folder_below_other_matches_is_not_read_for_each_of_them(root, monkeypatch):
    read = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: [read.append(path), scandir(path)][1])
    assert len(names(root, "data/**")) == 4
    assert read.count(str(root / "data/deep/er")) == 2  # to find the folders, and to find the files


# --- prints ---


def test_a_print_is_that_of_the_content(root):
    assert prints(root, ["data/a.csv", "data/*.csv"]) == {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("data/a.csv", "data/b.csv")
    }
    assert prints(root, []) == prints(root, ["nope"]) == {}


def test_a_name_that_is_no_text_has_a_print(root):
    os.close(os.open(os.fsencode(root) + b"/\xff\n", os.O_CREAT))
    assert list(prints(root, ["?\n"])) == ["\udcff\n"]
    assert verdict(root, ["?\n"], [], {}, {"\udcff\n": "0"}) == r"inputs added: \udcff\n"


def test_a_file_that_vanishes_is_an_error_with_its_path(root, monkeypatch):
    whole = hashlib.file_digest

    def digest(file, name):
        (root / "data/b.csv").unlink()
        return whole(file, name)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    with pytest.raises(FileNotFoundError) as caught:
        prints(root, ["data/*.csv"])
    assert caught.value.filename == str(root / "data/b.csv")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file whose reading fails, of Linux")
def test_a_file_whose_reading_fails_is_an_error_with_its_path(root):
    (root / "bad").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=r"'.*/bad'") as caught:
        prints(root, ["bad"])
    assert caught.value.filename == str(root / "bad")
    assert caught.value.errno == errno.EIO


@contextmanager
def as_anybody():
    """Root may read everything."""
    me = os.geteuid()
    try:
        if not me:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("pattern", ["locked", "locked/*", "locked/**/x", "locked/sub/x", "locked.csv"])
def test_what_cannot_be_read_is_an_error_with_its_path(pattern):
    with tree(["locked/sub/x", "locked.csv"]) as root:
        root.parent.chmod(0o755)
        for name in ("locked", "locked.csv"):
            (root / name).chmod(0)
        with as_anybody(), pytest.raises(PermissionError) as caught:
            prints(root, [pattern])
        (root / "locked").chmod(0o700)
    assert caught.value.filename.startswith(str(root / "locked"))


# --- the check ---

INPUTS, OUTPUTS = ["data/*.csv"], ["out.parquet"]


@pytest.fixture
def check(root):
    """The check of a job that has succeeded; call it with patterns, then again for each verdict."""

    def check(inputs=INPUTS, outputs=OUTPUTS):
        known = record(root, outputs, prints(root, inputs))
        return lambda: verdict(root, inputs, outputs, known, prints(root, inputs))

    return check


def test_what_was_just_recorded_holds(check):
    assert check()() == check(["data"], ["data/deep", "out.parquet"])() == check([], OUTPUTS)() == ""


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("data/a.csv", "new", "inputs changed: data/a.csv"),
        ("data/z.csv", "new", "inputs added: data/z.csv"),
        ("data/a.csv", None, "inputs or outputs removed: data/a.csv"),
        ("out.parquet", "new", "outputs changed: out.parquet"),
        ("out.parquet", None, "outputs missing: out.parquet"),
        ("data/a.csv", "data/a.csv", ""),
        ("data/note.txt", "new", ""),
        ("data/note.txt", None, ""),
    ],
)
def test_a_change_is_named(root, check, path, content, reason):
    again = check()
    (root / path).unlink() if content is None else (root / path).write_text(content)
    assert again() == reason


def test_what_was_removed_is_an_input_if_there_are_no_outputs_and_the_other_way_round(root, check):
    checks = [check(INPUTS, []), check([], INPUTS)]
    (root / "data/b.csv").unlink()
    assert [again() for again in checks] == ["inputs removed: data/b.csv", "outputs removed: data/b.csv"]


def test_an_output_that_nothing_is_known_of_is_none_of_the_jobs_business(root, check):
    again = check(["data/a.csv"], ["out*"])
    (root / "out2").touch()
    assert again() == ""


def test_patterns_without_files_are_missing_whatever_is_known(root):
    now = prints(root, INPUTS)
    for known in (None, {}):
        assert (
            verdict(root, INPUTS, ["nope", "out.parquet", "no*"], known, now) == "outputs missing: nope, no*"
        )
        assert verdict(root, ["x/*.csv", "data"], OUTPUTS, known, now) == "inputs missing: x/*.csv"
    assert verdict(root, ["x"], ["y"], None, {}) == "outputs missing: y"


def test_without_a_record_inputs_cannot_be_compared(root):
    assert verdict(root, INPUTS, OUTPUTS, None, prints(root, INPUTS)) == "no record of its inputs"
    assert verdict(root, [], OUTPUTS, None, {}) == ""
    reason = verdict(root, INPUTS, OUTPUTS, {}, prints(root, INPUTS))
    assert reason == "inputs added: data/a.csv, data/b.csv"


@pytest.mark.parametrize(
    ("count", "listed"), [(3, "f0, f1, f2"), (4, "f0, f1, f2, ... 1 more"), (7, "f0, f1, f2, ... 4 more")]
)
def test_long_lists_are_cut(root, count, listed):
    assert missing(root, [], [f"f{n}" for n in range(count)]) == f"outputs missing: {listed}"


def test_the_recheck_asks_for_existence_only(root):
    (root / "data/a.csv").write_text("new")
    assert missing(root, INPUTS, OUTPUTS) == ""
    (root / "out.parquet").unlink()
    assert missing(root, INPUTS, OUTPUTS) == "outputs missing: out.parquet"
    assert missing(root, ["nope"], []) == "inputs missing: nope"


def test_an_input_that_changes_during_the_run_makes_the_next_run_do_it_again(root):
    now = prints(root, INPUTS)
    (root / "data/a.csv").write_text("changed meanwhile")
    (root / "out.parquet").write_text("made of the old content")
    known = record(root, OUTPUTS, now)
    assert verdict(root, INPUTS, OUTPUTS, known, prints(root, INPUTS)) == "inputs changed: data/a.csv"


def test_a_file_that_is_input_and_output_is_done_after_one_run(root):
    now = prints(root, ["data/a.csv"])
    (root / "data/a.csv").write_text("sorted")
    known = record(root, ["data/*"], now)
    assert verdict(root, ["data/a.csv"], ["data/*"], known, prints(root, ["data/a.csv"])) == ""


@given(st.sets(PATHS, min_size=1, max_size=6), st.lists(PATTERNS, min_size=1, max_size=2), st.data())
def test_any_change_of_a_file_is_noticed_and_nothing_else(paths, patterns, data):
    with tree(paths) as root:
        _, unmatched = files_of(root, patterns)
        patterns = [one for one in patterns if one not in unmatched]
        now = prints(root, patterns)
        known = record(root, [], now)
        assert verdict(root, patterns, [], known, now) == ""
        there = [path for path in root.rglob("*") if path.is_file()]
        file = data.draw(st.sampled_from(there))
        file.write_text("changed")
        name = file.relative_to(root).as_posix()
        expected = f"inputs changed: {name}" if name in now else ""
        assert verdict(root, patterns, [], known, prints(root, patterns)) == expected


# --- patterns ---


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("", "'' is empty"),
        (" ", "' ' is empty"),
        ("a\0", r"'a\x00' cannot be the name of a file"),
        ("\ud800", r"'\ud800' cannot be the name of a file"),
        ("a/../b", "'a/../b' has '..' behind its beginning"),
        ("../a/..", "'../a/..' has '..' behind its beginning"),
        ("**/..", "'**/..' has '..' behind its beginning"),
        ("/../a", "'/../a' has '..' behind its beginning"),
        *((one, f"{one!r} stands for the whole project, the state of jobtest included")
          for one in (".", "./", "**", "./**/", "..", "../..", "../**", "/", "/**")),
    ],
)  # fmt: skip
def test_a_bad_pattern_is_told(pattern, wrong):
    assert bad_patterns(["good", pattern, ""]) == wrong


def test_good_patterns_are_good():
    good = [
        "a",
        "./a",
        "../a",
        "./../a",
        "../../a/*",
        "/a",
        "**/*",
        "*",
        ".hidden",
        "a..b",
        "...",
        "a/",
        "[x",
        "\udc80",
    ]
    assert bad_patterns(good) == bad_patterns([]) == ""
