"""What has to be true after any death of a run, and after the run that goes on with it to its end.

Each promise returns the breaches of it, as texts. `broken` asks those about the past, `unkept` those about
the end. What the state holds is looked at in `kept`.
"""

from collections import Counter, defaultdict
from contextlib import closing

from jobtest.state.opening import open_store
from tests.faults import kept
from tests.faults.lives import FETCHES, KILLED, PARSES, UPSTREAM

UNCHECKED = frozenset({"report", "token", "notice", "stubborn", "server", "beat", "last"})
OWN_CHECK = frozenset({"copied"})
"""Its check is that of jobtest, and not in the ledger."""

VALUED = frozenset({*FETCHES, *PARSES, "merge", "later", "final"})
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
        *kept.unsound(project),
    ]


def unkept(project):
    """Return what is not as promised when the last run has ended with 0."""
    return [
        *_not_done(project),
        *_too_often(project),
        *_not_cleaned(project),
        *_cleaned_in_disorder(project),
        *_cleaned_too_often(project),
        *_still_owed(project),
    ]


def _bodies_without_a_check(project):
    """I1: before each run phase the check of the same attempt was asked, and said that it is needed."""
    last = {}
    for line in project.ledger():
        key = line.life, line.job, line.attempt
        if line.phase == "check" and line.what in ("needed", "holds"):
            last[key] = line.what
        if line.enters:
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

    But for what holds something open, and what was cleaned up since by a run that failed, with those that
    need it: they have to, for those that are still to come.
    """
    lineage, reported, cleaned = _lineages(project), {}, set()
    for life in project.lives:
        for job, outcome in life.reported.items():
            if outcome == "CHANGED" or (outcome == "UNCHANGED" and job not in UNCHECKED):
                reported.setdefault((lineage[life.number], job), life.number)
    for line in project.ledger():
        first = reported.get((lineage[line.life], line.job))
        again = line.enters and first is not None and first < line.life
        if again and line.job != "server" and not cleaned & _with_all_it_needs(line.job):
            yield f"{line}: it was reported done by life {first}"
        if (line.phase, line.what) == ("cleanup", "end"):
            cleaned.add(line.job)


def _with_all_it_needs(job):
    found, todo = {job}, [job]
    while todo:
        new = set(UPSTREAM.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found


def _two_at_once(project):
    """I4: no two bodies of one job at once."""
    return [f"{line}: two at once" for line in project.ledger() if line.what == "overlap"]


def _before_upstream(project):
    """I5: when a run phase begins, the last that was heard of each upstream job is that it is done."""
    done = {*OWN_CHECK}
    for line in project.ledger():
        if line.enters:
            missing = [up for up in UPSTREAM[line.job] if up not in done]
            if missing:
                yield f"{line}: before {missing}"
            done.discard(line.job)
        if line.what == ("end" if line.job in UNCHECKED else "holds") and line.phase != "cleanup":
            done.add(line.job)


def _not_said(project):
    """A job without a check that was under way when its run was killed is named by the run that goes on.

    What is held open is not: it was done, and is opened again for those that still need it. Nor is what was
    cleaned up: it was done, and is done again for those that still need it.
    """
    lives, last = {life.number: life for life in project.lives}, {}
    for line in project.ledger():
        before, life = last.get(line.job), lives[line.life]
        if line.enters and before is not None and before.life == line.life - 1 and life.goes_on:
            running = life.output.partition("running: ")[2].partition("\n")[0]
            cut_short = before.phase == "run" and before.what in ("begin", "end")
            if cut_short and line.job not in running and "more" not in running:
                yield f"{line}: it was under way, and nobody was told: {running!r}"
        if line.phase == "cleanup":
            last.pop(line.job, None)
        elif line.job in UNCHECKED - {"server"}:
            last[line.job] = line


# --- of the end ---


def _not_done(project):
    """Every job has ended well, in the run that went on to the end."""
    reported = project.lives[-1].reported
    if reported.keys() != project.jobs or not {*reported.values()} <= {*GOOD}:
        yield f"not done: {reported}"


def _kills(project):
    """Return how many runs were cut short, by a kill or by a state that was lost."""
    return sum(life.status in (KILLED, 3) for life in project.lives)


def _too_often(project):
    """Each kill costs a job one further run phase at most; a new run may need those without a check again."""
    entered = Counter(line.job for line in project.ledger() if line.enters)
    new_runs = len({*_lineages(project).values()})
    for job in project.jobs:
        most = TRIES.get(job, 1) + _kills(project) + (new_runs if job in UNCHECKED else 0)
        if entered[job] > most:
            yield f"{job}: {entered[job]} times, {_kills(project)} kills"


def _not_cleaned(project):
    """I10: each job is cleaned up after its last run phase."""
    owed = set()
    for line in project.ledger():
        if line.enters and line.job in CLEANED:
            owed.add(line.job)
        if (line.phase, line.what) == ("cleanup", "end"):
            owed.discard(line.job)
    return [f"{job}: not cleaned up after its last run phase" for job in sorted(owed)]


def _cleaned_in_disorder(project):
    """I10: what the last run cleaned up, it did last entered first; bodies on threads may be a bit late."""
    entered, last = kept.entered(project), project.lives[-1].number
    lines = (line for line in project.ledger() if (line.life, line.phase) == (last, "cleanup"))
    order = [line.job for line in lines if line.what == "begin"]
    if order != sorted(order, key=lambda job: entered[job], reverse=True):
        yield f"cleaned up in the order {order}, entered {entered}"


def _cleaned_too_often(project):
    """I10: a cleanup comes once for each run that owes it, and once more for each kill."""
    runs, cleaned = defaultdict(set), Counter()
    for line in project.ledger():
        if line.enters:
            runs[line.job].add(line.life)
        cleaned[line.job] += (line.phase, line.what) == ("cleanup", "begin")
    for job, times in cleaned.items():
        if times > len(runs[job]) + _kills(project):
            yield f"{job}: cleaned up {times} times with {_kills(project)} kills"


def _still_owed(project):
    with closing(open_store(project.state, project.folder)) as store:
        return [f"still owed: {one}" for one in store.owed()]
