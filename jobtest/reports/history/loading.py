"""A run, rebuilt from its store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from jobtest.core.errors import Problem, ProjectError, StateError
from jobtest.core.kept_plan import plan_from_data
from jobtest.core.model import Outcome
from jobtest.core.past import Past
from jobtest.core.planner import Plan
from jobtest.core.summary import Summary
from jobtest.reports.plain_data import plain_data
from jobtest.state.in_context import InContext
from jobtest.state.store import RunRecord, Store

__all__ = ["Loaded", "damaged", "kept_plan", "load_run", "stored_value", "values_of"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run with all that reports are made of.

    Attributes:
        record: What lists say of it.
        plan: What was to be done.
        summary: What it came to, as far as it came; a job of a killed run may have no outcome.
    """

    record: RunRecord
    plan: Plan
    summary: Summary


def load_run(store: Store, run_id: str) -> Loaded:
    """Rebuild a run, also one that was killed or is under way.

    Raises:
        StateError: there is no such run, or what is kept of it is damaged.
    """
    record = store.run(run_id)
    if record is None:
        raise StateError([Problem(what=f"there is no run {run_id!r}", at=(store.url,))])
    data = kept_plan(store, run_id)
    try:
        plan = plan_from_data(data)
    except (ValueError, AttributeError, ProjectError) as error:
        raise damaged(store, run_id, "its plan is no plan of jobtest") from error
    summary = Summary(plan)
    summary.run_id, summary.started_at, summary.workers = record.id, record.started_at, record.workers
    try:
        for entry in store.entries(run_id):
            summary.apply(entry)
    except (KeyError, IndexError) as error:
        raise damaged(store, run_id, "its journal does not belong to its plan") from error
    return Loaded(record, plan, summary)


def kept_plan(store: Store, run_id: str) -> Mapping[str, object]:
    """Return the plan of a run as data.

    Raises:
        StateError: there is none, or it is no JSON object.
    """
    text = store.plan(run_id)
    try:
        data = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise damaged(store, run_id, "its plan is missing or no JSON object")
    return data


def damaged(store: Store, run_id: str, how: str) -> StateError:
    """Return the error of a run that cannot be rebuilt."""
    fix = "look at another run, or restore the state from a backup"
    return StateError([Problem(what=f"run {run_id} cannot be read: {how}", at=(store.url,), fix=fix)])


def values_of(store: Store, loaded: Loaded) -> dict[str, object]:
    """Return the values of a run by job id, as plain JSON data; tags of other types are shown as data.

    Values that are not kept are left out.
    """
    pasts = InContext(store, loaded.record.context).pasts()
    digests = {id: _digest(loaded, id, pasts.get(id, Past())) for id in loaded.plan.graph.jobs}
    found = {id: stored_value(store, digest) for id, digest in digests.items() if digest}
    return {id: value[0] for id, value in found.items() if value}


def _digest(loaded: Loaded, id: str, past: Past) -> str:
    """Return the digest of the value that a job had in a run, or empty.

    One that it did not make there, it had from before, unless it has changed since; ids of runs sort by time.
    """
    record, resumed = loaded.summary.jobs[id], loaded.plan.decisions[id].resumed
    if record.value or resumed is not None:
        return record.value or (resumed.value if resumed is not None else "")
    same = record.outcome is Outcome.UNCHANGED and past.changed_run <= loaded.record.id
    return past.value if same else ""


def stored_value(store: Store, digest: str) -> tuple[object] | tuple[()]:
    """Return a value as plain JSON data, or nothing if it is not kept or is not JSON."""
    text = store.value(digest)
    if text is None:
        return ()
    try:
        return (plain_data(json.loads(text)),)
    except (ValueError, RecursionError):
        return ()
