import pytest


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("hello").play()


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_the_greeting_is_checked_written_and_checked_again(story):
    (attempt,) = story[0].jobs["hello"]["attempts"]
    assert [(phase["phase"], phase["ok"]) for phase in attempt["phases"]] == [
        ("check", False),
        ("run", True),
        ("recheck", True),
    ]


def test_the_second_run_only_checks(story):
    (attempt,) = story[1].jobs["hello"]["attempts"]
    assert [(phase["phase"], phase["ok"]) for phase in attempt["phases"]] == [("check", True)]


def test_another_name_changes_the_greeting(story):
    assert (story.example.folder / "work" / "greeting.txt").read_text() == "Hello, Ada!\n"


def test_every_run_succeeds(story):
    assert [done.exit_code for _, done in story.runs] == [0, 0, 0]
    assert [done.recap for _, done in story.runs] == [
        "1 job: 1 changed",
        "1 job: 1 unchanged",
        "1 job: 1 changed",
    ]
