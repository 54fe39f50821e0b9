"""Journals written by hand: a run event by event, as an engine would write it, into a store or a summary."""

import json
from dataclasses import replace

import pytest

from jobtest.core.errors import StateError
from jobtest.core.events import Entry, JobEnded, PhaseEnded, PhaseStarted, RetryPlanned, RunEnded, RunStarted
from jobtest.core.graph import Graph
from jobtest.core.kept_plan import plan_to_data
from jobtest.core.model import Failure, Job, Kind, Outcome, Phase, Retry, Verdict
from jobtest.core.planner import make_plan
from jobtest.core.summary import summarize
from jobtest.state.in_context import InContext
from jobtest.state.memory import MemoryStore
from jobtest.state.store import CleanupDone, CleanupOwed, Owner, RunKept, RunRecord

STARTED = 1_769_853_600.0
"""2026-01-31T10:00:00Z"""

ME = Owner(host="here", pid=7, since=STARTED, command="pytest --orchestrate")


def run_id(number):
    """Return an id; ids sort by number, and their first eight characters are their own."""
    return f"{number:08x}-0000-7000-8000-000000000000"


FIRST = run_id(1)


class Journal:
    """One run. Every event comes a quarter of a second after the one before, so that sums are exact."""

    def __init__(self, plan, run=FIRST, start=STARTED, **record):
        self.plan, self.run, self.at = plan, run, start - 0.25
        self.entries = []
        self.changes = []
        self.record = RunRecord(
            **{
                "id": run,
                "command": plan.command.value,
                "lineage": run,
                "argv": ("pytest", "--orchestrate"),
                "cwd": "/home/you/shop",
                "host": ME.host,
                "pid": ME.pid,
                "version": "0.1.0",
                "python": "3.11.7",
                "platform": "Linux x86_64",
                "jobs": len(plan.graph),
                "started_at": start,
                **record,
            }
        )
        text = json.dumps(plan_to_data(plan))
        self.changes.append(RunKept(self.record, text))
        self.add(RunStarted(plan.command, len(plan.graph), 1))

    def add(self, *events):
        """Add events."""
        for event in events:
            self.at += 0.25
            self.entries.append(Entry(len(self.entries), self.at, self.run, event))
            self.changes.append(self.entries[-1])
        return self

    def also(self, *changes):
        """Add what is no event."""
        self.changes += changes
        return self

    def phase(self, job, phase, verdict=Verdict.OK, message=None, attempt=1, **rest):
        """Add a phase; with a message it went wrong."""
        job_ = self.plan.graph[job]
        if phase is Phase.RUN and job_.has_cleanup:
            self.also(CleanupOwed(job, self.run))
        failure = message if message is None or isinstance(message, Failure) else said(message)
        self.add(PhaseStarted(job, attempt, phase))
        self.add(PhaseEnded(job, attempt, phase, verdict, failure, **rest))
        if phase is Phase.CLEANUP and verdict is Verdict.OK:
            self.also(CleanupDone(job))
        return self

    def ends(self, job, outcome, reason="", kind=None, causes=()):
        """Add the end of a job."""
        return self.add(JobEnded(job, outcome, reason, kind, causes))

    def over(self, status=0):
        """Add the end of the run."""
        self.add(RunEnded(status))
        totals = {outcome.value: number for outcome, number in self.summary.totals().items()}
        ended = replace(self.record, ended_at=self.at, exit_status=status, totals=totals)
        return self.also(RunKept(ended))

    @property
    def summary(self):
        """What it comes to."""
        return summarize(self.plan, self.entries)

    def keep(self, store):
        """Write it into a store that is owned."""
        view = InContext(store, self.record.context)
        for change in self.changes:
            view.write(change)
        view.commit()
        return self


def said(message):
    """Return a failure: `Type: text`, with a traceback of one line."""
    kind, _, text = message.rpartition(": ")
    return Failure(text, kind, f"E   {message}")


def simple(run=FIRST, start=STARTED, outcome=Outcome.CHANGED, status=0, **record):
    """A run of one job `a` that has ended."""
    journal = Journal(make_plan(Graph([Job.of("a", always=True)])), run, start, **record)
    kind = Kind.RUN_ERROR if outcome is Outcome.FAILED else None
    return journal.phase("a", Phase.RUN).ends("a", outcome, "no check; always", kind).over(status)


SHOP = "ops/job_shop.py::"


def shop_graph():
    """A graph with jobs of all kinds, named as under pytest."""

    def job(name, *, takes=(), needs=(), after=(), **rest):
        made = Job.of(
            f"{SHOP}job_{name}",
            takes=[f"{SHOP}job_{one}" for one in takes],
            needs=[f"{SHOP}job_{one}" for one in needs],
            after=[f"{SHOP}job_{one}" for one in after],
            name=name.partition("[")[0],
            at=f"ops/job_shop.py:3 job_{name}",
            **rest,
        )
        return made

    return Graph(
        [
            job("steady", check=True),
            job("fetch", has_cleanup=True),
            job("flaky", needs=["fetch"], retry=Retry(retries=1)),
            job("deploy[eu]", takes=["fetch"], check=True, params={"region": "eu"}),
            job("deploy[us]", takes=["fetch"], check=True, params={"region": "us"}),
            job("smoke", needs=["deploy[eu]"], after=["flaky"]),
            job("mail", needs=["smoke"]),
            job("typo", check=True),
            job("bare"),
            job("elsewhere", skip="not in this context"),
            job("untidy", has_cleanup=True),
        ]
    )


def shop(run=FIRST, start=STARTED, **record):
    """A run in which most of what can happen to jobs happens; it ends with two cleanups.

    Totals: 1 unchanged, 4 changed, 3 failed, 2 blocked, 1 skipped.
    """
    journal = Journal(make_plan(shop_graph()), run, start, **record)
    j = {id.removeprefix(f"{SHOP}job_"): id for id in journal.plan.graph.jobs}
    journal.ends(j["elsewhere"], Outcome.SKIPPED, "not in this context")
    journal.phase(j["steady"], Phase.CHECK).ends(j["steady"], Outcome.UNCHANGED, "check holds")
    journal.phase(j["fetch"], Phase.RUN, has_value=True, stdout="fetched\n", value="digest-of-fetch")
    journal.ends(j["fetch"], Outcome.CHANGED, "no check; flaky needs it")
    journal.phase(j["flaky"], Phase.RUN, Verdict.RAISED, "ConnectionError: no route", stderr="try\n")
    journal.add(RetryPlanned(j["flaky"], 1, 0.0))
    journal.phase(j["flaky"], Phase.RUN, attempt=2, stdout="there\n", log="INFO it works\n")
    journal.ends(j["flaky"], Outcome.CHANGED, "no check; a leaf")
    for region in ("eu", "us"):
        id = j[f"deploy[{region}]"]
        works = region == "us"
        again = Verdict.OK if works else Verdict.NOT_HOLDING
        what = None if works else "AssertionError: '1.4' == '1.5'"
        journal.phase(id, Phase.CHECK, Verdict.NOT_HOLDING, "AssertionError: '1.3' == '1.5'")
        journal.phase(id, Phase.RUN).phase(id, Phase.RECHECK, again, what)
        if works:
            journal.ends(id, Outcome.CHANGED, "check did not hold: '1.3' == '1.5'")
        else:
            reason = "check did not hold after the run: '1.4' == '1.5'"
            journal.ends(id, Outcome.FAILED, reason, Kind.CHECK_FAILED)
    for name in ("smoke", "mail"):
        causes = (j["deploy[eu]"],)
        journal.ends(j[name], Outcome.BLOCKED, "upstream deploy[eu] failed", causes=causes)
    journal.phase(j["typo"], Phase.CHECK, Verdict.BROKEN, "NameError: name 'nope' is not defined")
    reason = "its check is broken: NameError: name 'nope' is not defined"
    journal.ends(j["typo"], Outcome.FAILED, reason, Kind.BROKEN_CHECK)
    journal.phase(j["bare"], Phase.RUN, Verdict.SETUP_ERROR, "RuntimeError: no server")
    journal.ends(j["bare"], Outcome.FAILED, "set-up failed: RuntimeError: no server", Kind.SETUP_ERROR)
    journal.phase(j["untidy"], Phase.RUN).ends(j["untidy"], Outcome.CHANGED, "no check; a leaf")
    journal.phase(j["untidy"], Phase.CLEANUP, Verdict.RAISED, "OSError: still open")
    journal.phase(j["fetch"], Phase.CLEANUP)
    return journal.over(1)


def store_of(*journals, owner=ME):
    """A store with these runs, owned by `owner`, or by nobody any more."""
    store = MemoryStore()
    store.own(ME if owner is None else owner)
    for journal in journals:
        journal.keep(store)
    return Left(store) if owner is None else store


class Left:
    """What is to be read of a store whose owner is gone."""

    def __init__(self, store):
        self._store = store

    def owner(self):
        return None

    def __getattr__(self, name):
        return getattr(self._store, name)


def cut(journal, events):
    """The journal of a run that was killed after so many events."""
    left = events
    for at, change in enumerate(journal.changes):
        left -= change in journal.entries
        if left < 0:
            journal.changes = journal.changes[:at]
            break
    return journal


def at_event(job, phase):
    """How many events of a shop there are until a phase has started."""
    started = (
        entry.seq for entry in shop().entries if entry.event == PhaseStarted(f"{SHOP}job_{job}", 1, phase)
    )
    return next(started) + 1


def damaged(what):
    """Expect the error of a run, the first one, that cannot be rebuilt."""
    return pytest.raises(
        StateError, match=f"^run {run_id(1)} cannot be read: {what}\n  at: memory://\n  fix: "
    )
