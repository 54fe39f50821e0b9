"""What each command answers: a text, or an error. The docstrings are the help."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from jobtest.cli.project import open_state, settings_of
from jobtest.core.errors import Problem, UsageError, did_you_mean
from jobtest.reports import history
from jobtest.state.store import CleanupDone, Owner, RunRecord, RunsDropped, Store

__all__ = ["backup", "explain", "prune", "report", "runs", "show"]


def runs(arguments: Namespace) -> str:
    """List runs, newest first."""
    with closing(open_state(arguments)) as store:
        listed = history.list_runs(store, arguments.limit)
    return _json(history.runs_data(listed)) if arguments.json else history.runs_text(listed)


def show(arguments: Namespace) -> str:
    """Tell one run, job by job."""
    with closing(open_state(arguments)) as store:
        loaded = history.load_run(store, history.find_run(store, arguments.run).id)
        if arguments.json:
            return _json(history.show_data(store, loaded))
        return history.show_text(store, loaded)


def explain(arguments: Namespace) -> str:
    """Tell one job: its last runs, and why it ran or did not."""
    with closing(open_state(arguments)) as store:
        explained = history.explain(store, arguments.name, arguments.context)
    return _json(history.explain_data(explained)) if arguments.json else history.explain_text(explained)


def report(arguments: Namespace) -> str:
    """Make the reports of a run again, also of one that was killed."""
    if not arguments.junitxml and not arguments.json:
        what = "there is nothing to write"
        raise UsageError([Problem(what=what, fix="give --junitxml FILE, --json FILE, or both")])
    from jobtest.reports.files import write_whole
    from jobtest.reports.json_report import write_json
    from jobtest.reports.junit import junit_xml

    with closing(open_state(arguments)) as store:
        loaded = history.load_run(store, history.find_run(store, arguments.run).id)
        running = history.state_of(store, loaded.record) is history.RunState.RUNNING
        data = history.show_data(store, loaded) if arguments.json else {}
    written = ""
    if arguments.junitxml:
        text = junit_xml(loaded.summary, record=loaded.record, running=running)
        written += _write(arguments.junitxml, lambda file: write_whole(file, text))
    if arguments.json:
        written += _write(arguments.json, lambda file: write_json(file, data))
    return written


def _write(file: str, write: Callable[[str], None]) -> str:
    try:
        write(file)
    except OSError as error:
        what = f"{file!r} cannot be written: {error.strerror or error}"
        raise UsageError([Problem(what=what, fix="name another file")]) from error
    return f"written: {file}\n"


def prune(arguments: Namespace) -> str:
    """Forget older runs. Kept are the newest ones of each context, one not ended, and what owes a cleanup."""
    if arguments.owed is not None:
        return _forget_owed(arguments)
    keep = arguments.keep if arguments.keep is not None else settings_of(arguments).keep_runs
    with closing(open_state(arguments)) as store:
        if not arguments.dry_run:
            store.own(_owner())
        old = _prunable(store, keep)
        if not arguments.dry_run and old:
            store.write(RunsDropped(tuple(record.id for record in old)))
            store.commit(at_once=True)
    did = "would forget" if arguments.dry_run else "forgot"
    lines = [f"{did} {record.id}, {history.when(record.started_at)}" for record in old]
    number = len(old)
    total = f"{did} {number or 'no'} run{'s' if number != 1 else ''}"
    return "".join(f"{line}\n" for line in [*lines, total])


def _forget_owed(arguments: Namespace) -> str:
    with closing(open_state(arguments)) as store:
        owed = [one.job for one in store.owed()]
        if arguments.owed not in owed:
            what = f"job {arguments.owed!r} owes no cleanup"
            fix = did_you_mean(arguments.owed, owed, what="cleanups are owed by")
            raise UsageError([Problem(what=what, fix=fix or "no cleanup is owed")])
        if not arguments.dry_run:
            store.own(_owner())
            store.write(CleanupDone(arguments.owed))
            store.commit(at_once=True)
    return f"{'would forget' if arguments.dry_run else 'forgot'} the cleanup of {arguments.owed}\n"


def _prunable(store: Store, keep: int) -> Sequence[RunRecord]:
    """Return the runs that nothing needs any more, newest first."""
    records = store.runs()
    unended = {record.context: record.id for record in reversed(records) if record.ended_at is None}
    needed = {*unended.values(), *(owed.run for owed in store.owed())}
    contexts = {record.context for record in records}
    recent = {
        record.id
        for context in contexts
        for record in [one for one in records if one.context == context][:keep]
    }
    return [record for record in records if record.id not in recent | needed]


def _owner() -> Owner:
    command = " ".join(["jobtest", *sys.argv[1:]])
    return Owner(host=socket.gethostname(), pid=os.getpid(), since=time.time(), command=command)


def backup(arguments: Namespace) -> str:
    """Copy the state to a new file, also while a run is under way."""
    if Path(arguments.file).exists():
        problem = Problem(what=f"{arguments.file!r} is there already", fix="name a new file, or remove it")
        raise UsageError([problem])
    with closing(open_state(arguments)) as store:
        copy = getattr(store, "backup", None)
        if copy is None:
            what = f"{store.url} cannot be backed up by jobtest"
            fix = "back it up by the means of what holds it, while no run is under way"
            raise UsageError([Problem(what=what, fix=fix)])
        copy(arguments.file)
    return f"written: {arguments.file}\n"


def _json(data: object) -> str:
    return f"{json.dumps(data, indent=1, allow_nan=False)}\n"
