"""All stores, side by side: the same changes, commits, deaths and rivals must come to the same."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from stores import ME, RIVAL, STORES, InMemory, kept, made

from jobtest.core.errors import AlreadyEnded, StateLocked
from jobtest.core.events import Entry, JobEnded
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.state import lock
from jobtest.state.memory import MemoryStore
from jobtest.state.store import (
    CheckpointKept,
    CheckpointsDropped,
    CleanupDone,
    CleanupOwed,
    PastKept,
    RunKept,
    RunRecord,
    RunsDropped,
)
from jobtest.testing import strategies as my

RUNS = ["r1", "r2", "../r3", "r/é"]
JOBS = ["a", "ops/job_b.py::job_b[é]", "\udfff"]
VALUES = [None, 1, {"b": [1.5, "é"], "a": None}, "x" * 5000]

jobs = st.sampled_from(JOBS)
values = st.sampled_from(VALUES)
digests = values.map(lambda value: kept(value).digest)
events = st.one_of(
    my.events(),
    st.builds(made, values, jobs),
    st.builds(JobEnded, jobs, st.sampled_from(Outcome)),
)
pasts = st.builds(Past, run=st.sampled_from(RUNS), at=st.floats(0, 9), value=st.just("") | digests)
plans = st.one_of(
    st.sampled_from(["", "{}", "[1]"]),
    digests.map(lambda digest: json.dumps({"decisions": [{"resumed": {"run": "r0", "value": digest}}]})),
)
facts = st.one_of(
    st.builds(PastKept, jobs, pasts),
    st.builds(CleanupOwed, jobs, st.sampled_from(RUNS)),
    st.builds(CleanupDone, jobs),
    st.builds(CheckpointKept, jobs, st.sampled_from(["k", "\ud800"]), st.sampled_from(["1", '"é"'])),
    st.builds(CheckpointsDropped, jobs),
    values.map(kept),
)


def dump(store):
    """Return all that a store says; of the turns only the order, which is all that they are for."""
    owed = store.owed()
    assert [one.turn for one in owed] == sorted({one.turn for one in owed})
    return {
        "runs": store.runs(),
        "newest": store.runs(1),
        "each": {
            run: (
                store.run(run),
                store.plan(run),
                list(store.entries(run)),
                [list(store.entries(run, job)) for job in JOBS],
                dict(store.outcomes(run)),
            )
            for run in RUNS
        },
        "pasts": store.pasts(),
        "values": [store.value(kept(value).digest) for value in VALUES],
        "owed": [(one.job, one.run) for one in owed],
        "checkpoints": store.checkpoints(),
    }


class StoresAgree(RuleBasedStateMachine):
    """Drives every store of the list as it drives a `MemoryStore`, which says what is right."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.right = MemoryStore()
        self.committed = []
        self.since = []
        self.stands = {cls.__name__: cls() for cls in STORES if cls is not InMemory}
        self.stores = {}
        for name, stand in self.stands.items():
            (self.folder / name).mkdir()
            self.stores[name] = stand.make(self.folder / name)
            self.stores[name].own(ME)

    def teardown(self):
        for store in getattr(self, "stores", {}).values():
            store.close()
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    def write(self, change):
        self.right.write(change)
        self.since.append(change)
        for store in self.stores.values():
            store.write(change)

    def settle(self):
        """Compare, after a commit."""
        self.committed += self.since
        self.since = []
        right = dump(self.right)
        for name, store in self.stores.items():
            assert dump(store) == right, name

    @rule(run=st.sampled_from(RUNS), plan=plans, started=st.floats(0, 9))
    def keep_a_run(self, run, plan, started):
        before = self.right.run(run)
        if before is None:
            self.write(RunKept(RunRecord(id=run, started_at=started), plan))
        else:
            self.write(RunKept(replace(before, ended_at=started, totals={"failed": 1})))

    @precondition(lambda self: self.right.runs())
    @rule(data=st.data(), event=events)
    def journal(self, data, event):
        run = data.draw(st.sampled_from([one.id for one in self.right.runs()]))
        entry = Entry(len(list(self.right.entries(run))), 1.5, run, event)
        if isinstance(event, JobEnded) and any(
            isinstance(one.event, JobEnded) for one in self.right.entries(run, event.job)
        ):
            for store in (self.right, *self.stores.values()):
                with pytest.raises(AlreadyEnded):
                    store.write(entry)
        else:
            self.write(entry)

    @rule(fact=facts)
    def know(self, fact):
        self.write(fact)

    @rule(runs=st.lists(st.sampled_from([*RUNS, "never"]), unique=True, min_size=1, max_size=2))
    def drop_runs(self, runs):
        self.write(RunsDropped(tuple(runs)))

    @rule(at_once=st.booleans())
    def commit(self, at_once):
        for store in self.stores.values():
            store.commit(at_once=at_once)
        self.settle()

    @rule()
    def close_and_come_back(self):
        for name, store in self.stores.items():
            store.close()
            self.stores[name] = self.stands[name].another()
        self.settle()
        for store in self.stores.values():
            store.own(ME)

    @rule()
    def die_and_come_back(self):
        """What was committed is there, and of what came after it the first part; the rest is written anew."""
        tried = MemoryStore()
        for change in self.committed:
            tried.write(change)
        could_be = [dump(tried)]
        for change in self.since:
            tried.write(change)
            could_be.append(dump(tried))
        for name, store in self.stores.items():
            self.stands[name].kill(store)
            self.stores[name] = later = self.stands[name].another()
            there = dump(later)
            assert there in could_be, name
            later.own(ME)
            assert dump(later) == there, name
            for change in self.since[could_be.index(there) :]:
                later.write(change)
            later.commit()
        self.settle()

    @rule()
    def a_rival_is_refused_and_may_read(self):
        for store in self.stores.values():
            store.commit()
        self.settle()
        right = dump(self.right)
        for name, stand in self.stands.items():
            rival = stand.another()
            with pytest.raises(StateLocked):
                rival.own(RIVAL)
            assert dump(rival) == right, name
            rival.close()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    """A lock that is held is held: nobody lets go of it meanwhile."""
    monkeypatch.setattr(lock, "AT_LEAST", 0.0)


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(stateful_step_count=30, max_examples=settings().max_examples // 3)
