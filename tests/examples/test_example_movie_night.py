from xml.etree import ElementTree

import pytest


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("movie_night").play()


@pytest.fixture(scope="module")
def dead(story):
    return story[0]


@pytest.fixture(scope="module")
def charged(story):
    return story[1]


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_there_are_eighteen_jobs(dead):
    assert len(dead.report["jobs"]) == 18


def test_dead_batteries_fail_the_remote_and_block_what_needs_it(dead):
    assert dead.exit_code == 1
    assert dead.recap == "18 jobs: 14 changed, 1 failed, 3 blocked"
    assert dead.having("failed") == {"remote"}
    assert dead.having("blocked") == {"tv", "movie", "movie_night"}
    assert dead.jobs["remote"]["kind"] == "check_failed"


def test_each_blocked_job_names_the_root_cause(dead):
    for name in dead.having("blocked"):
        assert dead.jobs[name]["blocked_by"] == [dead.jobs["remote"]["id"]]


def test_popcorn_takes_three_tries_and_the_stove_is_off_afterwards(dead, story):
    popcorn = dead.jobs["popcorn"]
    last_phases = [attempt["phases"][-1] for attempt in popcorn["attempts"]]
    assert [(phase["phase"], phase["ok"]) for phase in last_phases] == [
        ("recheck", False),
        ("recheck", False),
        ("recheck", True),
    ]
    assert popcorn["cleanup"]["ok"]
    assert (story.example.folder / "work" / "stove.txt").read_text() == "off\n"


def test_each_friend_arrives_after_the_own_invitation(dead):
    for friend in "Mia", "Noor", "Pavel", "Yuki":
        needs = dead.jobs[f"arrive[{friend}]"]["needs"]
        assert dead.jobs[f"invite[{friend}]"]["id"] in needs
        assert len(needs) == 2  # and the couch


def test_the_table_gathers_what_all_friends_brought(story):
    assert (story.example.folder / "work" / "table.txt").read_text() == "lemonade, dates, crisps, green tea\n"


def test_charged_batteries_save_the_evening_and_nothing_is_done_twice(charged):
    assert charged.exit_code == 0
    assert charged.recap == "18 jobs: 13 unchanged, 5 changed"
    assert charged.having("changed") == {"batteries", "remote", "tv", "movie", "movie_night"}


def test_a_further_run_changes_nothing_within_two_seconds(story):
    assert story[2].exit_code == 0
    assert story[2].recap == "18 jobs: 18 unchanged"
    assert story[2].cpu_seconds < 2
    assert story[2].report["seconds"] < 2


def test_the_folder_of_the_example_is_the_root_wherever_the_command_is_given(copy_of, story):
    flat = copy_of(story.example)
    done = flat.run("--orchestrate", "movie_night", "--junitxml=junit.xml", cwd=flat.folder.parent)
    assert done.exit_code == 0
    assert done.recap == "18 jobs: 18 unchanged"
    assert len(list(ElementTree.parse(flat.folder.parent / "junit.xml").iter("testcase"))) == 18


@pytest.mark.rarely
def test_eight_workers_bring_about_the_same_evening(copy_of, story):
    flat = copy_of("movie_night")
    assert flat.run("--orchestrate", "-J", "8").recap == "18 jobs: 18 changed"
    things = {file.name: file.read_text() for file in (flat.folder / "work").iterdir()}
    assert things == {file.name: file.read_text() for file in (story.example.folder / "work").iterdir()}


@pytest.mark.rarely
def test_a_broken_thing_is_mended_and_nothing_else(copy_of, story):
    flat = copy_of(story.example)
    (flat.folder / "work" / "pizza.txt").write_text("eaten by the dog\n")
    assert flat.run("--orchestrate").having("changed") == {"pizza"}
