import re

import pytest


@pytest.mark.parametrize(
    "name", ["hello", "movie_night", "scan_pipeline", "release", "nightly_backup", "photo_album", "infra"]
)
def test_the_readme_shows_what_the_example_prints(name, examples, normalised):
    readme = (examples / name / "README.md").read_text(encoding="utf-8")
    expected = (examples / name / "expected.txt").read_text(encoding="utf-8")
    shown = re.findall(
        r"^```console\n(\$ (?:\w+=\w+ )?(?:pytest|jobtest) .*?)^```$", readme, re.MULTILINE | re.DOTALL
    )
    assert shown
    for block in shown:
        assert normalised(block) in expected
