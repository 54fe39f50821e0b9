import signal
import tarfile
from io import BytesIO

import pytest

pytestmark = pytest.mark.rarely


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("nightly_backup").play()


def folder(story, *names):
    return story.example.folder.joinpath("work", *names)


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_a_run_that_was_killed_is_gone_on_with(story):
    assert [done.exit_code for _, done in story.runs[:3]] == [-signal.SIGKILL, 0, 0]
    assert story[2].recap == "7 jobs: 7 changed"
    resumed = {name for name, job in story[2].jobs.items() if job["reason"].startswith("resumed: ")}
    assert resumed == {"freeze", "dump[customers]", "dump[orders]", "dump[stock]", "archive"}


def test_pieces_that_have_arrived_are_not_sent_again(story):
    (attempt,) = story[2].jobs["upload"]["attempts"]
    assert attempt["number"] == 2
    assert attempt["stdout"] == "piece 3 of 4 has arrived\npiece 4 of 4 has arrived\n"


def test_the_next_night_only_closes_the_till_and_writes_a_letter(story):
    assert story[3].exit_code == 0
    assert story[3].having("changed") == {"freeze", "letter"}


def test_what_is_owed_by_a_killed_run_is_done_before_anything_else(story):
    assert story[4].exit_code == -signal.SIGKILL
    assert "cleanups owed by earlier runs, done first: freeze" in story[5].output


def test_a_letter_that_may_have_gone_out_is_not_written_again_until_it_is_forced(story):
    assert story[5].having("failed") == {"letter"}
    assert story[5].jobs["letter"]["kind"] == "crashed"
    assert story[6].having("changed") == {"freeze", "letter"}
    letters = folder(story, "outbox.txt").read_text().splitlines()
    assert len(letters) == 4  # after the first night, the second, the one with the flash, and by force


def test_the_till_is_open_at_the_end(story):
    assert not folder(story, "closed").exists()


def test_the_archive_arrives_as_it_was_packed(story):
    pieces = b"".join(file.read_bytes() for file in sorted(folder(story, "away").iterdir()))
    assert pieces == folder(story, "night.tar.gz").read_bytes()
    with tarfile.open(fileobj=BytesIO(pieces)) as archive:
        names = {"night", "night/customers.csv", "night/orders.csv", "night/stock.csv"}
        assert set(archive.getnames()) == names


def test_a_table_that_has_changed_is_copied_packed_and_sent_and_no_other(copy_of, story):
    example = copy_of(story.example)
    with (example.folder / "shop" / "orders.csv").open("a") as orders:
        orders.write("106,3,12,1\n")
    done = example.run("--orchestrate")
    assert done.having("changed") == {"freeze", "dump[orders]", "archive", "upload", "letter"}
    assert done.jobs["archive"]["reason"] == "inputs changed: work/night/orders.csv"
