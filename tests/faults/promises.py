"""What has to be true after any death of a run, and after the run that goes on with it to its end.

Each promise returns the breaches of it, as texts. `broken` asks those about the past, `unkept` those about
the end.
"""

import json
import shutil
import sqlite3
import tempfile
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

from jobtest.cli import commands
from jobtest.core.events import JobEnded, PhaseEnded, PhaseStarted, RunEnded
from jobtest.core.kept_plan import plan_from_data
from jobtest.core.model import Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.state.opening import open_store
from tests.faults.lives import KILLED

FETCHES, PARSES = [f"fetch[{row}]" for row in range(4)], [f"parse[{row}]" for row in range(4)]
SENDS, CLIENTS = [f"send[{to}]" for to in ("eu", "us", "jp")], [f"client[{to}]" for to in ("eu", "us", "jp")]
UPSTREAM = {
    **dict.fromkeys([*FETCHES, "token", "flaky", "stubborn", "server", "later", "version"], ()),
    **{parse: (fetch,) for parse, fetch in zip(PARSES, FETCHES, strict=True)},
    "merge": PARSES,
    "gate": ("merge",),
    "report": ("merge",),
    **dict.fromkeys(SENDS, ("token",)),
    "notice": SENDS,
    **dict.fromkeys(CLIENTS, ("server",)),
    "deploy": ("later", "version"),
    **dict.fromkeys(["steps", "copied", "beat"], ()),
    "final": ("merge", "report", "notice", "flaky", *CLIENTS, "deploy", "steps", "gate"),
    "last": ("final",),
}
JOBS = frozenset(UPSTREAM)
UNCHECKED = frozenset({"report", "token", "notice", "stubborn", "server", "beat", "last"})
OWN_CHECK = frozenset({"copied"})
"""Its check is that of jobtest, and not in the ledger."""

VALUED = frozenset({*FETCHES, *PARSES, "merge", "later"})
"""They run although their check holds if their value is wanted and not known: their run was cut short."""

CLEANED = frozenset({*FETCHES, "merge", "report", "notice", "flaky", "later", "final"})
TRIES = {"flaky": 3, "stubborn": 2}
GOOD = ("CHANGED", "UNCHANGED")


def broken(project):
    """Return what is not as promised now, after a death or an end."""
    return [
        *_bodies_without_a_check(project),
        *_done_and_run_again(project),
        *_two_at_once(project),
        *_before_upstream(project),
        *_not_said(project),
        *_state(project),
    ]


def unkept(project):
    """Return what is not as promised when the last run has ended with 0."""
    return [
        *_not_done(project),
        *_too_often(project),
        *_cleanups(project),
        *_still_owed(project),
    ]


# --- of bodies, from the ledger ---


def _bodies_without_a_check(project):
    """I1: before each run phase the check of the same attempt was asked, and said that it is needed."""
    last = {}
    for line in project.ledger():
        key = line.life, line.job, line.attempt
        if line.phase == "check" and line.what in ("needed", "holds"):
            last[key] = line.what
        if (line.phase, line.what) == ("run", "begin"):
            enough = ("needed", "holds") if line.job in VALUED else ("needed",)
            if line.job not in UNCHECKED | OWN_CHECK and last.get(key) not in enough:
                yield f"{line}: no check said that it is needed, but {last.get(key)}"
            last[key] = "run"


def _lineages(project):
    """Return for each life the number of the first one of those that it goes on with."""
    found = []
    for life in project.lives:
        found.append(found[-1] if life.goes_on and found else life.number)
    return dict(zip((life.number for life in project.lives), found, strict=True))


def _done_and_run_again(project):
    """I3: what was reported done does not run again in a run that goes on.

    But for what holds something open: it has to, for those that still need it.
    """
    lineage = _lineages(project)
    reported = {}
    for life in project.lives:
        for job, outcome in life.reported.items():
            if outcome == "CHANGED" or (outcome == "UNCHANGED" and job not in UNCHECKED):
                reported.setdefault((lineage[life.number], job), life.number)
    for line in project.ledger():
        first = reported.get((lineage[line.life], line.job))
        begins = (line.phase, line.what) == ("run", "begin")
        if begins and line.job != "server" and first is not None and first < line.life:
            yield f"{line}: it was reported done by life {first}"


def _two_at_once(project):
    """I4: no two bodies of one job at once."""
    return [f"{line}: two at once" for line in project.ledger() if line.what == "overlap"]


def _before_upstream(project):
    """I5: when a run phase begins, the last that was heard of each upstream job is that it is done."""
    done = {"copied"}
    for line in project.ledger():
        if (line.phase, line.what) == ("run", "begin"):
            missing = [up for up in UPSTREAM[line.job] if up not in done]
            if missing:
                yield f"{line}: before {missing}"
            done.discard(line.job)
        if line.what == ("end" if line.job in UNCHECKED else "holds") and line.phase != "cleanup":
            done.add(line.job)


def _not_said(project):
    """A job without a check that was under way when its run was killed is named when it runs again."""
    lines, lives = project.ledger(), {life.number: life for life in project.lives}
    last, ended = {}, {}
    for line in lines:
        before = last.get(line.job)
        begins = (line.phase, line.what) == ("run", "begin")
        if begins and line.job in UNCHECKED and before and before.life < line.life:
            cut_short = before.what in ("begin", "end") and before.phase == "run"
            life = lives.get(line.life)
            said = life.output if life else ""
            if cut_short and before.life == line.life - 1 and life and life.goes_on:
                running = said.partition("running: ")[2].partition("\n")[0]
                if line.job not in running and "more" not in running:
                    yield f"{line}: it was under way, and nobody was told: {running!r}"
        if line.phase != "cleanup":
            last[line.job] = line
        ended[line.job] = line.life


# --- of the state ---


def _state(project):
    """I2, I6, I8, I11: the state is sound, has what was reported, and reports can be made of it."""
    folder, url = project.folder, project.state
    if not url:
        yield from _database(folder / ".jobtest" / "state.db")
    store = open_store(url, folder)
    with closing(store):
        records = store.runs()
        for record in records:
            yield from _run(project, store, record)
        yield from _owed(store, records)
    if records:
        yield from _reports(project, records[0].id)


def _database(path):
    """The database is sound; a copy is looked at, for whoever opens one tidies it up."""
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


def _run(project, store, record):
    """The journal of a run comes to what the tables say, and holds what the run had reported."""
    entries = list(store.entries(record.id))
    if [entry.seq for entry in entries] != list(range(len(entries))):
        yield f"run {record.id}: gaps in {[entry.seq for entry in entries]}"
    if any(one.at > two.at for one, two in zip(entries, entries[1:], strict=False)):
        yield f"run {record.id}: time goes back"
    graph = plan_from_data(json.loads(store.plan(record.id))).graph
    ends = [entry.event for entry in entries if isinstance(entry.event, JobEnded)]
    folded = {graph[end.job].label: end.outcome.value.upper() for end in ends}
    if len(folded) != len(ends):
        yield f"run {record.id}: jobs ended twice"
    counts = {}
    for end in ends:
        counts[end.outcome.value] = counts.get(end.outcome.value, 0) + 1
    if counts != dict(store.outcomes(record.id)):
        yield f"run {record.id}: journal {counts}, table {dict(store.outcomes(record.id))}"
    statuses = [entry.event.exit_status for entry in entries if isinstance(entry.event, RunEnded)]
    if statuses != [status for status in (record.exit_status,) if status is not None]:
        yield f"run {record.id}: ended with {statuses}, record says {record.exit_status}"
    for life in project.lives:
        if life.run == record.id:
            lost = {job: said for job, said in life.reported.items() if folded.get(job) != said}
            if lost:
                yield f"life {life.number}: reported and not in the state: {lost}"
            if statuses and life.status not in (KILLED, statuses[0]):
                yield f"life {life.number}: exit status {life.status}, the state says {statuses[0]}"
    pasts = store.pasts()
    begun = (entry.event for entry in entries if isinstance(entry.event, PhaseStarted))
    entered = {event.job for event in begun if event.phase is Phase.RUN}
    for end in ends:
        if (
            end.outcome is Outcome.CHANGED
            and end.job in entered
            and pasts.get(end.job, Past()).changed_run < record.id
        ):
            yield f"run {record.id}: {end.job} has changed, and its past does not know"


def _owed(store, records):
    """What is owed is what the journals say: run phases that were entered, less cleanups that went well."""
    owed = {}
    for record in sorted(records, key=lambda one: one.id):
        graph = plan_from_data(json.loads(store.plan(record.id))).graph
        for entry in store.entries(record.id):
            match entry.event:
                case PhaseStarted(job=job, phase=Phase.RUN) if graph[job].has_cleanup:
                    owed[job] = record.id
                case PhaseEnded(job=job, phase=Phase.CLEANUP, verdict=Verdict.OK):
                    owed.pop(job, None)
    listed = {one.job: one.run for one in store.owed()}
    if owed.keys() != listed.keys():
        yield f"owed by the journal: {sorted(owed)}, by the table: {sorted(listed)}"
    turns = [one.turn for one in store.owed()]
    if turns != sorted(set(turns)):
        yield f"turns: {turns}"


def _reports(project, run):
    """`jobtest runs`, `show`, `explain` and `report` work, and each job is in a report once."""
    asked = {"root": str(project.folder), "state": project.state, "json": False, "limit": 20}
    if run not in commands.runs(Namespace(**{**asked, "json": True})):
        yield f"jobtest runs: {run} is not there"
    shown = commands.show(Namespace(**asked, run=run))
    missing = [job for job in JOBS if job not in shown]
    if missing:
        yield f"jobtest show: {missing} are not there"
    commands.explain(Namespace(**asked, name="final"))
    with tempfile.TemporaryDirectory() as folder:
        xml, report = Path(folder, "j.xml"), Path(folder, "r.json")
        commands.report(Namespace(**{**asked, "json": str(report)}, run=run, junitxml=str(xml)))
        cases = [case.get("name") for case in ElementTree.parse(xml).getroot().iter("testcase")]
        listed = [job["name"] for job in json.loads(report.read_text())["jobs"]]
    for what, names in (("junit", cases), ("json", listed)):
        if len(names) != len(JOBS):
            yield f"{what}: {len(names)} jobs: {sorted(names)}"
    if len(set(cases)) != len(JOBS):
        yield f"junit: jobs twice: {sorted(cases)}"


# --- of the end ---


def _not_done(project):
    """Every job has ended well, in the run that went on to the end."""
    reported = project.lives[-1].reported
    if reported.keys() != JOBS or not {*reported.values()} <= {*GOOD}:
        yield f"not done: {reported}"


def _too_often(project):
    """Each kill costs a job one further run phase at most; a new run may need those without a check again."""
    kills = sum(life.status == KILLED for life in project.lives)
    new_runs = len({*_lineages(project).values()})
    for job in JOBS:
        begins = [
            line for line in project.ledger() if (line.job, line.phase, line.what) == (job, "run", "begin")
        ]
        most = TRIES.get(job, 1) + kills + (new_runs if job in UNCHECKED else 0)
        if len(begins) > most:
            yield f"{job}: {len(begins)} times, {kills} kills"


def _cleanups(project):
    """I10: each cleanup that is owed came after the last run phase, last entered first, and no more than that.

    It may come again for each kill while it was under way.
    """
    lines = project.ledger()
    last_run, entered = {}, {}
    for place, line in enumerate(lines):
        if (line.phase, line.what) == ("run", "begin") and line.job in CLEANED:
            if entered.get(line.job, (None,))[0] != line.life:
                entered[line.job] = line.life, place
            last_run[line.job] = place
    cleaned = [(place, line) for place, line in enumerate(lines) if line.phase == "cleanup"]
    for job, place in last_run.items():
        if not any(line.job == job and line.what == "end" and at > place for at, line in cleaned):
            yield f"{job}: not cleaned up after its last run phase"
    for life in {line.life for _, line in cleaned}:
        order = [line.job for _, line in cleaned if (line.life, line.what) == (life, "begin")]
        known = {job for job in order if entered[job][0] <= life}
        wanted = sorted(known, key=lambda job: entered[job], reverse=True)
        if life == project.lives[-1].number and order != wanted:
            yield f"life {life}: cleaned up in the order {order}, not {wanted}"
    kills = sum(life.status == KILLED for life in project.lives)
    runs = {line.job: set() for line in lines}
    for line in lines:
        if (line.phase, line.what) == ("run", "begin"):
            runs[line.job].add(line.life)
    for job in CLEANED:
        begins = sum((line.job, line.what) == (job, "begin") for _, line in cleaned)
        if begins > max(1, len(runs.get(job, ()))) + kills:
            yield f"{job}: cleaned up {begins} times with {kills} kills"


def _still_owed(project):
    with closing(open_store(project.state, project.folder)) as store:
        return [f"still owed: {one}" for one in store.owed()]
