"""What a state must be and hold, whatever happened to the runs that wrote it."""

import json
import shutil
import sqlite3
import tempfile
from argparse import Namespace
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from jobtest.cli import commands
from jobtest.core.events import JobEnded, PhaseEnded, PhaseStarted, RunEnded
from jobtest.core.kept_plan import plan_from_data
from jobtest.core.model import Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.state.opening import open_store
from tests.faults.lives import KILLED


def unsound(project):
    """Return what is wrong with the state of a project (I2, I6, I8, I11).

    Of runs the last two: the others were looked at when they were the last.
    """
    if not project.state:
        yield from _database(project.folder / ".jobtest" / "state.db")
    with closing(open_store(project.state, project.folder)) as store:
        records = store.runs()
        for record in records[:2]:
            yield from contradictions(store, record)
            yield from _forgotten(project, store, record)
        cuts = sum(life.status == KILLED for life in project.lives) if project.state else 0
        yield from owed_otherwise(store, cuts)
    if records:
        yield from _reports(project, records[0].id)


def _database(path):
    """Tell what SQLite finds wrong; in a copy, for whoever opens a database tidies it up."""
    if not path.exists():
        return
    with tempfile.TemporaryDirectory() as beside:
        for ending in ("", "-wal"):
            one = path.with_name(path.name + ending)
            if one.exists():
                shutil.copy(one, beside)
        with closing(sqlite3.connect(Path(beside, path.name))) as connection:
            for pragma in ("integrity_check", "foreign_key_check"):
                found = connection.execute(f"PRAGMA {pragma}").fetchall()
                if found not in ([], [("ok",)]):
                    yield f"{pragma}: {found[:3]}"


def contradictions(store, record):
    """Tell where the journal of a run comes to something else than the tables."""
    entries = list(store.entries(record.id))
    if [entry.seq for entry in entries] != list(range(len(entries))):
        yield f"run {record.id}: gaps in {[entry.seq for entry in entries]}"
    if any(one.at > two.at for one, two in pairwise(entries)):
        yield f"run {record.id}: time goes back"
    ends = [entry.event for entry in entries if isinstance(entry.event, JobEnded)]
    if len({end.job for end in ends}) != len(ends):
        yield f"run {record.id}: jobs ended twice"
    counts = dict(Counter(end.outcome.value for end in ends))
    if counts != dict(store.outcomes(record.id)):
        yield f"run {record.id}: journal {counts}, table {dict(store.outcomes(record.id))}"
    statuses = [entry.event.exit_status for entry in entries if isinstance(entry.event, RunEnded)]
    if statuses != [status for status in (record.exit_status,) if status is not None]:
        yield f"run {record.id}: ended with {statuses}, its record says {record.exit_status}"
    started = (entry.event for entry in entries if isinstance(entry.event, PhaseStarted))
    entered, pasts = {event.job for event in started if event.phase is Phase.RUN}, store.pasts()
    for end in ends:
        changed = end.outcome is Outcome.CHANGED and end.job in entered
        if changed and pasts.get(end.job, Past()).changed_run < record.id:
            yield f"run {record.id}: {end.job} has changed, and its past does not know"


def _forgotten(project, store, record):
    """Tell what a run said to the user, and the state does not know."""
    graph = plan_from_data(json.loads(store.plan(record.id))).graph
    ends = (entry.event for entry in store.entries(record.id) if isinstance(entry.event, JobEnded))
    ended = {graph[end.job].label: end.outcome.value.upper() for end in ends}
    for life in project.lives:
        if life.run == record.id:
            done = {job: said for job, said in life.reported.items() if said in ("CHANGED", "UNCHANGED")}
            lost = {job: said for job, said in done.items() if ended.get(job) != said}
            if lost:
                yield f"life {life.number}: reported, and not in the state: {lost}"
            if record.exit_status is not None and life.status not in (KILLED, 3, record.exit_status):
                yield f"life {life.number}: exit status {life.status}, the state says {record.exit_status}"


def owed_otherwise(store, cuts=0):
    """Tell where what is owed is not what the journals say.

    That is: the run phases that were entered, less the cleanups that went well. Where a commit goes to more
    than one file, a kill may cut it in two: what is owed is written before the entry that tells why.
    """
    owed = set()
    for record in sorted(store.runs(), key=lambda one: one.id):
        graph = plan_from_data(json.loads(store.plan(record.id))).graph
        for entry in store.entries(record.id):
            match entry.event:
                case PhaseStarted(job=job, phase=Phase.RUN) if graph[job].has_cleanup:
                    owed.add(job)
                case PhaseEnded(job=job, phase=Phase.CLEANUP, verdict=Verdict.OK):
                    owed.discard(job)
    listed = store.owed()
    if len(owed ^ {one.job for one in listed}) > cuts:
        yield f"owed by the journals: {sorted(owed)}, by the table: {listed}"
    turns = [one.turn for one in listed]
    if turns != sorted(set(turns)):
        yield f"turns: {turns}"


def _reports(project, run):
    """Tell where `jobtest runs`, `show`, `explain`, `report` do not work, or a report has a job not once."""
    asked = {"root": str(project.folder), "state": project.state, "json": False, "limit": 20}
    if run not in commands.runs(Namespace(**{**asked, "json": True})):
        yield f"jobtest runs: {run} is not there"
    shown = commands.show(Namespace(**asked, run=run))
    missing = [job for job in project.jobs if job not in shown]
    if missing:
        yield f"jobtest show: {missing} are not there"
    commands.explain(Namespace(**asked, name=min(project.jobs), context=None))
    with tempfile.TemporaryDirectory() as folder:
        xml, report = Path(folder, "j.xml"), Path(folder, "r.json")
        commands.report(Namespace(**{**asked, "json": str(report)}, run=run, junitxml=str(xml)))
        cases = [case.get("name") for case in ElementTree.parse(xml).getroot().iter("testcase")]
        listed = [job["id"] for job in json.loads(report.read_text())["jobs"]]
    for what, names in (("junit", cases), ("json", listed)):
        if len(names) != len(project.jobs) or len({*names}) != len(names):
            yield f"{what}: not each job once: {sorted(names)}"


def entered(project):
    """Return the run that entered a job last and the place in it, by the journals; later ones are greater."""
    places = {}
    with closing(open_store(project.state, project.folder)) as store:
        for record in reversed(store.runs()):
            graph = plan_from_data(json.loads(store.plan(record.id))).graph
            runs = [entry for entry in store.entries(record.id) if isinstance(entry.event, PhaseStarted)]
            for entry in reversed([one for one in runs if one.event.phase is Phase.RUN]):
                places[graph[entry.event.job].label] = record.id, entry.seq
    return places
