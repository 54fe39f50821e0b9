import pytest

pytestmark = pytest.mark.rarely


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("photo_album").play()


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_what_crashes_hangs_or_eats_memory_has_failed_and_says_so(story):
    run = story[0]
    assert run.exit_code == 1
    assert {name: job["kind"] for name, job in run.jobs.items() if job["outcome"] == "failed"} == {
        "thumbnail[broken.jpg]": "crashed",
        "thumbnail[bomb.png]": "run_error",
        "thumbnail[endless.tif]": "timeout",
    }


def test_the_album_is_made_of_the_others(story):
    page = (story.example.folder / "work" / "album.html").read_text()
    assert page == "<img src='beach.jpg'>\n<img src='party.jpg'>"
