"""States in folders: how they are made, and what is seen of them."""

from contextlib import contextmanager

from stores import ME, kept, made

from jobtest.core.errors import StateError
from jobtest.core.events import Entry, JobEnded, RunStarted
from jobtest.core.model import Command, Outcome
from jobtest.core.past import Past
from jobtest.state.file import FileStore
from jobtest.state.store import CheckpointKept, CleanupOwed, PastKept, RunKept, RunRecord

STARTED = RunStarted(Command.APPLY, 1, 1)


@contextmanager
def owning(folder, durability="fast"):
    store = FileStore(folder, durability=durability)
    store.own(ME)
    try:
        yield store
    finally:
        store.close()


def write(store, *changes):
    for change in changes:
        store.write(change)
    store.commit()


def ended(number, run="r"):
    return Entry(number, float(number), run, JobEnded(f"job{number}", Outcome.CHANGED))


def fill(folder):
    """Make a state with some of everything."""
    with owning(folder) as store:
        write(store, RunKept(RunRecord(id="q"), '{"decisions":[]}'), Entry(0, 0.0, "q", STARTED))
        write(store, RunKept(RunRecord(id="r"), "{}"), Entry(0, 0.0, "r", STARTED), kept("v"))
        write(store, Entry(1, 1.0, "r", made("v")), ended(2), CleanupOwed("a", "r"), PastKept("a", Past()))
        write(store, CheckpointKept("a", "k", "1"), PastKept("b", Past(run="r", value=kept("v").digest)))
        write(store, ended(3), CleanupOwed("b", "r"), RunKept(RunRecord(id="r", ended_at=4.0)))


def tree(folder):
    """Return all files with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def told(folder):
    """Return what a reader is told, or which file an error names."""
    store = FileStore(folder)
    try:
        return {
            "runs": store.runs(),
            "entries": {run: list(store.entries(run)) for run in ("q", "r")},
            "outcomes": dict(store.outcomes("r")),
            "pasts": store.pasts(),
            "owed": store.owed(),
            "checkpoints": store.checkpoints(),
            "value": store.value(kept("v").digest),
        }
    except StateError as error:
        return error.problems[0].at[0]
    finally:
        store.close()
