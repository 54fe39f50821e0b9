"""One store for several contexts: what is known in one is not known in another."""

import pytest
from stores import ME, STORES

from jobtest.core.events import Entry, JobEnded, RunStarted
from jobtest.core.model import Command, Outcome
from jobtest.core.past import Past
from jobtest.state.in_context import InContext
from jobtest.state.memory import MemoryStore
from jobtest.state.store import (
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    CleanupOwed,
    Owed,
    PastKept,
    RunKept,
    RunRecord,
    RunsDropped,
    ValueKept,
)

CONTEXTS = ("", "dev", "prod", "pro")


@pytest.fixture
def store():
    return MemoryStore()


def write(store, *changes):
    for change in changes:
        store.write(change)
    store.commit()


def views(store):
    return {name: InContext(store, name) for name in CONTEXTS}


@pytest.mark.parametrize("stand", STORES, ids=lambda cls: cls.__name__)
def test_what_is_known_of_a_job_is_known_in_its_context_alone(stand, tmp_path):
    stand = stand()
    inner = stand.make(tmp_path)
    inner.own(ME)
    seen = views(inner)
    for name, view in seen.items():
        past = PastKept("ops/job_a.py::job_a", Past(run=f"r-{name}"))
        write(view, past, CheckpointKept("a", "k", f'"{name}"'), CleanupOwed("a", f"r-{name}"))
    write(seen["dev"], CleanupDone("a"), CheckpointsDropped("a"))
    inner.close()
    seen = views(stand.another())
    for name, view in seen.items():
        assert view.pasts() == {"ops/job_a.py::job_a": Past(run=f"r-{name}")}
        assert view.checkpoints() == ({} if name == "dev" else {"a": {"k": f'"{name}"'}})
        turn = CONTEXTS.index(name) + 1
        assert view.owed() == ([] if name == "dev" else [Owed("a", f"r-{name}", turn)])


def test_without_a_context_the_key_of_a_job_is_its_id(store):
    write(InContext(store, ""), PastKept("a", Past(run="r")))
    assert store.pasts() == {"a": Past(run="r")}


def test_runs_are_those_of_the_context_newest_first(store):
    for number in range(40):
        write(
            store,
            RunKept(RunRecord(id=f"r{number:02}", context=CONTEXTS[number % 4 if number < 8 else 1]), "{}"),
        )
    seen = views(store)
    assert [one.id for one in seen["prod"].runs()] == ["r06", "r02"]
    assert [one.id for one in seen["prod"].runs(1)] == ["r06"]
    assert [one.id for one in seen[""].runs(5)] == ["r04", "r00"]
    assert [one.id for one in seen["dev"].runs(2)] == ["r39", "r38"]
    assert seen["dev"].runs(0) == []
    assert InContext(store, "none").runs(3) == []
    assert seen["dev"].run("r06").context == "prod"


def test_the_journal_of_a_run_and_values_are_as_they_are_written(store):
    seen = views(store)
    entries = [
        Entry(1, 0.0, "r", RunStarted(Command.APPLY, 1, 1)),
        Entry(2, 1.0, "r", JobEnded("a", Outcome.CHANGED, "x")),
    ]
    write(seen["dev"], RunKept(RunRecord(id="r", context="dev"), "{}"), ValueKept("d", "1"), *entries)
    assert list(seen["dev"].entries("r")) == list(store.entries("r")) == entries
    assert store.value("d") == "1"
    write(seen["dev"], RunsDropped(("r",)))
    assert seen["dev"].runs() == []


def test_who_owns_a_store_owns_it_in_all_contexts(store):
    seen = views(store)
    seen["dev"].own(ME)
    assert seen["prod"].owner() == ME
    seen["dev"].close()
    assert seen["prod"].owner() is None
    assert (seen["dev"].url, seen["dev"].durable) == ("memory://", False)
