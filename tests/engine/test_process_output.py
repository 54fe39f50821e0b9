"""Output that is too much for the disk: a file loses its middle while it is written to, and that is said."""

import os

import pytest

from jobtest.engine.executors.process import output
from jobtest.engine.executors.process.output import KEPT, make_room, read_from

MB = 1 << 20


@pytest.fixture
def cap(monkeypatch):
    monkeypatch.setattr(output, "CAP", 16 * MB)
    return 16 * MB


def printed(folder, size, stream="stdout"):
    """Print that many bytes more, each 16 of them another line."""
    path = folder / f"1.{stream}"
    with path.open("ab") as file:
        begin = file.tell() // 16
        for at in range(begin, begin + size // 16, 4096):
            file.write(b"".join(b"%015d\n" % line for line in range(at, at + 4096)))
    return path


def on_disk(path):
    os.sync()
    return os.stat(path).st_blocks * 512


def test_output_loses_its_middle_once_it_is_more_than_the_cap(tmp_path, cap):
    path = printed(tmp_path, 20 * MB)
    make_room(tmp_path, "1")
    assert on_disk(path) <= cap // 2
    assert path.stat().st_size == 20 * MB
    text = read_from(tmp_path, "1", {}).stdout
    head, _, rest = text.partition("\n[")
    said, _, tail = rest.partition("]\n")
    assert said == f"{19 * MB} bytes are left out here, {14 * MB} of them are lost: it printed more than 8 MB"
    assert head.endswith(f"{KEPT // 2 // 16 - 1:015}\n")
    assert tail.startswith(f"{(20 * MB - KEPT // 2) // 16:015}\n")
    assert "\0" not in text


def test_output_that_goes_on_and_on_stays_below_the_cap(tmp_path, cap):
    for _ in range(12):
        path = printed(tmp_path, 5 * MB)
        make_room(tmp_path, "1")
        assert on_disk(path) <= cap // 2
    tail = read_from(tmp_path, "1", {}).stdout.rpartition("]\n")[2]
    assert tail.endswith(f"{60 * MB // 16 - 1:015}\n")


def test_what_a_phase_printed_is_told_also_if_it_begins_in_what_is_lost(tmp_path, cap):
    printed(tmp_path, 20 * MB)
    make_room(tmp_path, "1")
    text = read_from(tmp_path, "1", {"stdout": 10 * MB}).stdout
    assert text.startswith(f"\n[{10 * MB - KEPT // 2} bytes are left out here, {8 * MB} of them are lost")
    assert "\0" not in text


def test_little_output_after_what_is_lost_is_whole(tmp_path, cap):
    printed(tmp_path, 20 * MB)
    make_room(tmp_path, "1")
    printed(tmp_path, MB // 16)
    text = read_from(tmp_path, "1", {"stdout": 20 * MB}).stdout
    assert len(text) == MB // 16
    assert "left out" not in text


def test_output_below_the_cap_is_left_alone_and_looked_at_the_sooner_the_larger_it_is(tmp_path, cap):
    path = printed(tmp_path, MB)
    (tmp_path / "1.stderr").touch()
    small = make_room(tmp_path, "1")
    printed(tmp_path, 6 * MB)
    assert make_room(tmp_path, "1") <= small
    assert on_disk(path) >= 7 * MB


def test_output_that_goes_elsewhere_is_not_looked_at_again(tmp_path):
    assert make_room(tmp_path, "1") == float("inf")
