"""The store in a folder: what lies there, what a death leaves, and what is refused."""

import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from file_scenes import ended, fill, owning, told, tree, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import ME, kept, made

from jobtest.core.errors import StateError
from jobtest.core.events import Entry
from jobtest.core.past import Past
from jobtest.state import lock
from jobtest.state.file import FileStore
from jobtest.state.store import CheckpointKept, CleanupOwed, PastKept, RunKept, RunRecord, RunsDropped

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(lock, "AT_LEAST", 0.0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


# --- what lies there ---


def test_a_state_is_text_that_any_tool_can_read(folder):
    fill(folder)

    files = tree(folder)
    digest = kept("v").digest
    assert set(files) == {
        "format.json",
        "known.jsonl",
        "lock",
        "runs/q.jsonl",
        "runs/r.jsonl",
        f"values/{digest[:2]}/{digest}.json",
    }
    assert json.loads(files["format.json"]).keys() == {"jobtest", "schema", "version"}
    lines = [json.loads(line) for line in files["runs/r.jsonl"].splitlines()]
    assert [line["change"] for line in lines] == ["RunKept", *["Entry"] * 4, "RunKept"]
    assert lines[0] | {"crc": ""} == {"crc": "", "change": "RunKept", "record": {"id": "r"}, "plan": "{}"}
    known = [json.loads(line)["change"] for line in files["known.jsonl"].splitlines()]
    assert known == ["Owed", "PastKept", "CheckpointKept", "PastKept", "Owed"]
    assert files[f"values/{digest[:2]}/{digest}.json"] == b'"v"'
    assert FileStore(folder).url == f"file://{folder}"


def test_only_the_user_can_read_it(folder):
    old = os.umask(0)
    try:
        fill(folder)
    finally:
        os.umask(old)

    modes = {path: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert {path for path, mode in modes.items() if mode & 0o077} == set()


def test_no_name_leads_out_of_the_folder(tmp_path, folder):
    with owning(folder) as store:
        for id in ("../../x", "/x", "..", "a\x00b", "é\n"):
            write(store, RunKept(RunRecord(id=id), "{}"))
            assert store.run(id).id == id
        write(store, replace(kept(1), digest="../../../x"))
        assert store.value("../../y") is None

    assert {path.name for path in tmp_path.iterdir()} == {"state"}


def test_opening_reads_no_run(folder):
    fill(folder)
    (folder / "runs" / "q.jsonl").write_bytes(b"damaged\n")

    with owning(folder) as store:
        write(store, ended(9))
        assert len(store.pasts()) == 2
        with pytest.raises(StateError):
            store.run("q")


def test_what_is_known_stays_short_however_often_it_is_said(folder):
    with owning(folder) as store:
        write(store, CleanupOwed("a", "r"), CleanupOwed("a", "r"), PastKept("a", Past(run="r")))
        for number in range(3000):
            store.write(CheckpointKept("a", "k", str(number)))
            if number % 50 == 0:
                store.commit()

    assert len((folder / "known.jsonl").read_bytes().splitlines()) < 1100
    store = FileStore(folder)
    assert store.checkpoints() == {"a": {"k": "2999"}}
    assert store.pasts() == {"a": Past(run="r")}
    assert [one.turn for one in store.owed()] == [2]
    assert not list(folder.glob("*.new"))


# --- what a death leaves ---


@pytest.mark.parametrize("name", ["runs/r.jsonl", "known.jsonl"])
def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_line(folder, name):
    fill(folder)
    path = folder / name
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 10]
    for size in {*range(0, len(whole), 7), *ends, *(end - 1 for end in ends)}:
        path.write_bytes(whole[: max([0, *(end for end in ends if end <= size)])])
        right = told(folder)
        assert isinstance(right, dict)
        path.write_bytes(whole[:size])
        before = tree(folder)
        assert told(folder) == right
        assert tree(folder) == before


@pytest.mark.parametrize("lost", [1, 30, 10_000])
def test_a_torn_line_is_cut_off_before_anything_follows_it(folder, lost):
    fill(folder)
    for name in ("runs/r.jsonl", "known.jsonl"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-lost])

    with owning(folder) as store:
        write(store, RunKept(RunRecord(id="r"), "{}"), ended(9), PastKept("z", Past()))

    store = FileStore(folder)
    assert list(store.entries("r"))[-1] == ended(9)
    assert "z" in store.pasts()
    for name in ("runs/r.jsonl", "known.jsonl"):
        assert all(json.loads(line) for line in (folder / name).read_bytes().splitlines())


@one_folder
@given(
    st.sampled_from(["runs/q.jsonl", "runs/r.jsonl", "known.jsonl", "format.json"]),
    st.data(),
    st.binary(min_size=1),
)
def test_damage_is_found_and_named_or_does_no_harm(tmp_path, name, data, noise):
    """A state says what was written, or that it is damaged; but for the end, which a death may take."""
    folder = tmp_path / "state"
    if not folder.exists():
        fill(folder)
    right = told(folder)
    path = folder / name
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    try:
        path.write_bytes(whole[:at] + noise + whole[at + data.draw(st.integers(0, len(noise))) :])
        now = told(folder)
        if isinstance(now, dict) and now != right:
            end = path.read_bytes().rfind(b"\n") + 1
            assert whole.startswith(path.read_bytes()[:end])
        elif isinstance(now, str):
            assert now.startswith(str(path))
    finally:
        path.write_bytes(whole)


def test_a_damaged_line_is_said_with_file_and_line(folder):
    fill(folder)
    path = folder / "runs" / "r.jsonl"
    path.write_bytes(path.read_bytes().replace(b"job2", b"job7"))

    with pytest.raises(StateError) as caught:
        list(FileStore(folder).entries("r"))

    assert str(caught.value) == (
        "the state is damaged: line 4 of r.jsonl cannot be read: its checksum is wrong\n"
        f"  at: {path}:4\n"
        "  fix: put a copy of it back, or move it away: every job is then checked anew"
    )


def test_a_damaged_record_is_never_given(folder):
    fill(folder)
    path = folder / "runs" / "r.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ended_at":4.0', b'"ended_at":5.0'))

    for use in (lambda: FileStore(folder).run("r"), FileStore(folder).runs):
        with pytest.raises(StateError, match=r"line 6 of r\.jsonl"):
            use()


def test_a_value_that_is_not_what_its_digest_says_is_never_given(folder):
    fill(folder)
    digest = kept("v").digest
    path = folder / "values" / digest[:2] / f"{digest}.json"
    for raw in (b'"w"', b"nul", b"\xff", b"[" * 100_000):
        path.write_bytes(raw)
        with pytest.raises(StateError, match=f"the value {digest} is not what its digest says"):
            FileStore(folder).value(digest)


def test_a_value_that_a_power_cut_emptied_is_not_there_until_it_is_kept_again(folder):
    fill(folder)
    digest = kept("v").digest
    (folder / "values" / digest[:2] / f"{digest}.json").write_bytes(b"")

    with owning(folder) as store:
        assert store.value(digest) is None
        write(store, kept("v"))
        assert store.value(digest) == '"v"'


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", "lock.info", "format.json.new"], [".gitignore"]])
def test_a_folder_that_is_empty_or_was_only_begun_becomes_a_state(folder, left):
    folder.mkdir()
    for name in left:
        (folder / name).write_text("x", encoding="utf-8")
    before = tree(folder)
    assert FileStore(folder).runs() == []
    assert tree(folder) == before

    with owning(folder) as store:
        write(store, ended(0))
    assert json.loads((folder / "format.json").read_text(encoding="utf-8"))["schema"] == 1


def test_what_a_rewrite_that_was_killed_left_behind_does_no_harm(folder):
    fill(folder)
    (folder / "known.jsonl.new").write_bytes(b"half a li")
    with owning(folder) as store:
        for number in range(3000):
            store.write(CheckpointKept("a", "k", str(number)))
        store.commit()

    assert FileStore(folder).checkpoints() == {"a": {"k": "2999"}}


PROGRAM = """
import sys
from pathlib import Path
from jobtest.core.events import Entry, JobEnded
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.state.file import FileStore
from jobtest.state.store import Owner, PastKept, RunKept, RunRecord
store = FileStore(Path(sys.argv[1]))
store.own(Owner(host="h", pid=1, since=0.0, command="c"))
store.write(RunKept(RunRecord(id="r"), "{}"))
for number in range(1_000_000):
    store.write(PastKept(f"job{number}", Past(run="r")))
    store.write(Entry(number, float(number), "r", JobEnded(f"job{number}", Outcome.CHANGED)))
    store.commit()
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_kill_9_takes_nothing_that_was_reported(folder):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True
    ) as child:
        for _ in range(50):
            reported = int(child.stdout.readline())
        child.kill()
        reported = max([reported, *map(int, child.stdout.read().split("\n")[:-1])])

    with owning(folder) as store:
        numbers = [entry.seq for entry in store.entries("r")]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > reported
        assert set(store.pasts()) >= {f"job{number}" for number in numbers}
        write(store, ended(len(numbers)))


# --- what is refused ---


def newer(folder):
    (folder / "format.json").write_text(
        '{"jobtest": "file store", "schema": 99, "version": "9.9"}', encoding="utf-8"
    )


def foreign(folder):
    (folder / "format.json").unlink()


FORMAT = "this is not a state of jobtest: it does not say that it is one"
REFUSED = {
    "newer": ("the state was made by jobtest 9.9 (schema 99); this is jobtest ", newer),
    "foreign": ("this is not a state of jobtest: there is 'known.jsonl' in it, and no format.json", foreign),
    "empty": (FORMAT, lambda folder: (folder / "format.json").write_bytes(b"")),
    "list": (FORMAT, lambda folder: (folder / "format.json").write_bytes(b"[]")),
    "deep": (FORMAT, lambda folder: (folder / "format.json").write_bytes(b"[" * 100_000)),
    "other": (FORMAT, lambda folder: (folder / "format.json").write_bytes(b'{"jobtest":"x","schema":1}')),
    "zero": (
        FORMAT,
        lambda folder: (folder / "format.json").write_bytes(b'{"jobtest":"file store","schema":0}'),
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_no_state_of_this_version_is_refused_and_left_as_it_is(folder, case):
    fill(folder)
    (folder / "lock").unlink()
    said, change = REFUSED[case]
    change(folder)
    before = tree(folder)

    store = FileStore(folder)
    for use in (store.runs, store.pasts, lambda: store.value("x"), lambda: store.own(ME)):
        with pytest.raises(StateError) as caught:
            use()
        assert str(caught.value).startswith(said)
        assert "\n  at: " in str(caught.value)
        assert "\n  fix: " in str(caught.value)
    assert tree(folder) == before


def test_a_file_in_the_place_of_the_folder_is_refused(folder):
    folder.write_bytes(b"mine")

    for use in (FileStore(folder).runs, lambda: FileStore(folder).own(ME)):
        with pytest.raises(StateError, match="this is not a state of jobtest: it is a file"):
            use()
    with pytest.raises(StateError, match="this is not a state of jobtest: it is a file"):
        FileStore(folder / "below").own(ME)
    assert folder.read_bytes() == b"mine"


def line(data):
    """Return a line with the checksum that belongs to it."""
    rest = json.dumps(data, separators=(",", ":")).encode("ascii")[1:] + b"\n"
    return b'{"crc":"%08x",%b' % (zlib.crc32(rest), rest)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("known.jsonl", {"change": "Nope"}, "not a change of jobtest: 'Nope'"),
        ("known.jsonl", {"change": "RunsDropped", "runs": []}, "RunsDropped does not belong here"),
        ("runs/r.jsonl", {"change": "Entry"}, "not an entry of jobtest"),
    ],
    ids=str,
)
def test_a_line_that_says_nothing_sensible_is_said_with_file_and_line(folder, name, data, said):
    fill(folder)
    path = folder / name
    number = len(path.read_bytes().splitlines()) + 1
    with path.open("ab") as stream:
        stream.write(line(data))

    read = FileStore(folder).pasts if name[0] == "k" else lambda: list(FileStore(folder).entries("r"))
    with pytest.raises(StateError) as caught:
        read()
    assert str(caught.value).startswith(
        f"the state is damaged: line {number} of {path.name} cannot be read: {said}\n  at: {path}:{number}\n"
    )


def test_a_long_torn_line_is_cut_off_where_it_begins(folder):
    fill(folder)
    path = folder / "runs" / "r.jsonl"
    whole = path.read_bytes() + b"".join(path.read_bytes().splitlines(keepends=True)[1:2] * 1000)
    path.write_bytes(whole + b"x" * 200_000)

    with owning(folder) as store:
        write(store, RunKept(RunRecord(id="r"), "{}"))
    assert path.read_bytes().startswith(whole + b'{"crc":"')


def test_a_long_file_without_any_whole_line_is_read_as_empty_and_begun_anew(folder):
    fill(folder)
    path = folder / "runs" / "r.jsonl"
    path.write_bytes(b"x" * 200_000)
    assert (FileStore(folder).run("r"), list(FileStore(folder).entries("r"))) == (None, [])

    with owning(folder) as store:
        write(store, RunKept(RunRecord(id="r"), "{}"))
    assert len(path.read_bytes().splitlines()) == 1


def test_what_lies_where_a_file_should_be_is_said(folder):
    fill(folder)
    digest = kept("v").digest
    value = folder / "values" / digest[:2] / f"{digest}.json"
    value.unlink()
    value.mkdir()
    with pytest.raises(StateError, match="cannot be read: Is a directory"):
        FileStore(folder).value(digest)
    (folder / "runs").rename(folder / "away")
    (folder / "runs").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be read: Not a directory"):
        FileStore(folder).runs()
    with pytest.raises(StateError, match="cannot be read: Not a directory"):
        FileStore(folder).entries("r")


def test_a_state_that_cannot_be_begun_is_said(folder):
    (folder / "format.json.new").mkdir(parents=True)
    with pytest.raises(StateError, match=r"(?s)cannot be written: Is a directory.*format\.json\.new"):
        FileStore(folder).own(ME)
    assert FileStore(folder).owner() is None


def test_a_path_that_can_be_no_folder_is_said(tmp_path):
    long = FileStore(tmp_path / ("x" * 300))
    for use in (long.runs, lambda: long.own(ME)):
        with pytest.raises(StateError, match="cannot be read: File name too long"):
            use()


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="no /proc here")
def test_a_folder_that_cannot_be_made_is_said():
    with pytest.raises(StateError, match=r"(?s)the state cannot be written: .*at: /proc/nowhere/state"):
        FileStore(Path("/proc/nowhere/state")).own(ME)


def test_files_that_cannot_be_opened_are_said_with_their_path(folder):
    fill(folder)
    (folder / "runs" / "r.jsonl").unlink()
    (folder / "runs" / "r.jsonl").mkdir()
    with pytest.raises(StateError, match=r"(?s)cannot be read: Is a directory.*runs/r\.jsonl"):
        FileStore(folder).run("r")

    (folder / "known.jsonl").unlink()
    (folder / "known.jsonl").mkdir()
    for use in (FileStore(folder).pasts, lambda: FileStore(folder).own(ME)):
        with pytest.raises(StateError, match=r"(?s)Is a directory.*known\.jsonl"):
            use()
    assert FileStore(folder).owner() is None


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_written(folder, monkeypatch):
    fill(folder)
    before = tree(folder)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("runs"))

    with pytest.raises(StateError, match=r"(?s)cannot be written: Permission denied.*state/runs"):
        FileStore(folder).own(ME)
    assert tree(folder) == before
    assert FileStore(folder).owner() is None


# --- forgetting ---


def test_what_is_dropped_is_gone_from_the_disk(folder):
    fill(folder)
    with owning(folder) as store:
        write(store, PastKept("b", Past()), kept("w"), RunsDropped(("r",)))
        assert {name for name in tree(folder) if name[0] in "rv"} == {"runs/q.jsonl"}
        write(store, kept("w"), Entry(1, 1.0, "q", made("w")), RunsDropped(()))
        assert store.value(kept("w").digest) == '"w"'
