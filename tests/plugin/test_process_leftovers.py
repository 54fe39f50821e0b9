"""What a body leaves running in the background: it is asked to end, and killed if it does not (R55)."""

import pytest
from processes import DAEMON, WAYS, run

pytestmark = pytest.mark.rarely

SOURCE = (
    DAEMON
    + """
import subprocess

def leave(name):
    loop = f"trap 'echo asked >> {name}; exit' TERM; touch ready_{name}; while :; do sleep 0.02; done"
    subprocess.Popen(["sh", "-c", loop], start_new_session=True)
    while not Path(f"ready_{name}").exists():
        time.sleep(0.001)

@alone
def job_polite(): leave("polite")

@alone
def job_deaf(): daemon("deaf")

@pytest.mark.job(isolate=True, retries=1)
def job_again(attempt):
    if attempt.number == 1:
        leave("again")
        raise OSError("once more")
    assert Path("again").exists(), "nothing of an attempt is left when the next one begins"

@pytest.mark.job(isolate=True, needs=["polite", "deaf", "again"])
def job_last(): leave("last")
"""
)


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def far(request, tmp_path_factory):
    args, conftest = request.param
    return run(tmp_path_factory.mktemp("left"), SOURCE, args, conftest=conftest)


def test_what_is_left_behind_fails_nothing_and_does_not_stay(far):
    assert far.outcomes == dict.fromkeys(["polite", "deaf", "again", "last"], "changed"), far.text
    assert far.left() == []


@pytest.mark.parametrize("name", ["polite", "again", "last"])
def test_what_is_left_behind_is_asked_to_end_once(far, name):
    assert far.notes(name) == ["asked"]
