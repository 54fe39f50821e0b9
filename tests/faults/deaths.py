"""Ways to die, alone and in a row, and what came of them."""

import functools
import json
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jobtest.testing import crash
from tests.faults.lives import KILLED, RESUME, Project
from tests.faults.promises import broken, unkept

EARLY = 0.08
"""Share of the random kills that fall before a run has begun to collect."""

HEADER = "rootdir: "
"""What a run prints before it collects."""

CRASH = ("-p", crash.__name__)


@dataclass(frozen=True)
class Came:
    """What came of one or more deaths.

    Attributes:
        kills: How often a run was killed.
        breaches: What was not as promised, each with what is needed to see it again.
    """

    kills: int
    breaches: tuple[str, ...] = ()


def together(came):
    """Return several as one."""
    found = list(came)
    return Came(sum(one.kills for one in found), tuple(text for one in found for text in one.breaches))


def side_by_side(function, cases, at_once=2):
    """Call a function with each case, some at once, and return what came of all of them."""
    pool = ThreadPoolExecutor(at_once)
    try:
        return together(pool.map(function, cases))
    finally:
        pool.shutdown(cancel_futures=True)


# --- at random instants ---


@functools.cache
def window(*args, state=""):
    """Return the seconds from the header of a run to its end."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder, "project"), *args, state=state)
        child = project.start(*RESUME)
        child.wait_until_it_says(HEADER)
        began = time.monotonic()
        assert child.end().status == 0
        return time.monotonic() - began


def at_random(rng, seconds):
    """Return what waits until a random instant of a run: mostly within so many seconds from its header on."""
    early, wait = rng.random() < EARLY, rng.uniform(0, seconds)

    def kill(child):
        if not early:
            child.wait_until_it_says(HEADER)
        child.sleep(wait)

    return kill


def random_life(folder, seed, *args, state="", kills=25):
    """Kill the runs of a fresh project at random instants until one ends by itself; at the latest the last.

    After each death what is promised then is looked at, and at the end what is promised of the end.
    """
    rng, how = random.Random(seed), f"seed {seed}, {' '.join(args)} {state}"
    seconds = 1.1 * window(*args, state=state)
    project = Project(folder / f"life{seed}", *args, state=state)
    breaches = []
    for _ in range(kills):
        life = project.live(*RESUME, kill=at_random(rng, seconds))
        breaches += [f"{how}, life {life.number}: {text}" for text in broken(project)]
        if life.status != KILLED:
            break
    return _dropped(project, ended(project, how, breaches))


# --- at points ---


def commits(folder, *args, state=""):
    """Return how many commits a run makes that nobody kills."""
    project = Project(folder / "counted", *args, state=state)
    log = project.folder / "log"
    assert project.live(*CRASH, *RESUME, **{crash.LOG: str(log)}).status == 0
    counted = sum(json.loads(line)[0] == "commit" for line in log.read_text().splitlines())
    project.drop()
    return counted


def at_point(folder, point, *args, state=""):
    """Kill a run before (odd) or after (even) a commit, and go on with it."""
    project = Project(folder / f"point{point}{''.join(args)}", *args, state=state)
    told = {crash.LOG: str(project.folder / "log"), crash.POINT: str(point)}
    return _dropped(project, killed_once(project, f"point {point} {' '.join(args)} {state}", *CRASH, **told))


def killed_once(project, how, *args, before=(), **environment):
    """Let one run of a project die of what it is told, if it does, and go on with it."""
    project.live(*args, *RESUME, before=before, **environment)
    return ended(project, how, [f"{how}: {text}" for text in broken(project)])


def successive(folder, seed, *args, kills=20):
    """Kill so many runs in a row, each around one of its first commits, then go on to the end."""
    rng, how = random.Random(seed), f"seed {seed}, {' '.join(args)}"
    project = Project(folder / f"row{seed}", *args)
    breaches = []
    for number in range(kills):
        told = {crash.LOG: str(project.folder / f"log{number}"), crash.POINT: str(rng.randint(1, 12))}
        project.live(*CRASH, *RESUME, **told)
        breaches += [f"{how}, life {number}: {text}" for text in broken(project)]
    return _dropped(project, ended(project, how, breaches))


def ended(project, how, breaches):
    """Go on with the last run, if it did not end well, and return what came of all of them."""
    kills = sum(life.status == KILLED for life in project.lives)
    if project.lives[-1].status != 0:
        try:
            project.go_on()
        except AssertionError as error:
            return Came(kills, (*breaches, f"{how}: {error}"))
    ends = [f"{how}, at the end: {text}" for text in [*broken(project), *unkept(project)]]
    return Came(kills, (*breaches, *ends))


def _dropped(project, came):
    """Remove a project, unless there is something to be seen in it."""
    if not came.breaches:
        project.drop()
    return came
