"""If upstream is X then downstream is Y. The table is the promise; each cell is run."""

import pytest

from jobtest.core.graph import Graph
from jobtest.core.model import Job, OnFailure, Outcome, Verdict
from jobtest.core.planner import make_plan
from tests.core.driver import Drive, said

TABLE = """
| upstream              | takes     | needs     | after   |
|-----------------------|-----------|-----------|---------|
| unchanged             | changed   | changed   | changed |
| changed               | changed   | changed   | changed |
| failed                | blocked   | blocked   | changed |
| failed, continue      | blocked   | changed   | changed |
| failed with a value, continue | changed | changed | changed |
| failed, escalate      | blocked   | blocked   | cancelled |
| blocked               | blocked   | blocked   | changed |
| skipped by the plan   | skipped   | skipped   | changed |
| skips itself          | skipped   | skipped   | changed |
| cancelled             | cancelled | cancelled | changed |
| unknown               | changed   | changed   | changed |
| would-run             | changed   | changed   | changed |
"""
NO, RAISED = Verdict.NOT_HOLDING, Verdict.RAISED
CONTINUE = OnFailure.CONTINUE
UPSTREAM = {
    "unchanged": (Job.of("u", check=True, has_describe=True), {}),
    "changed": (Job.of("u"), {}),
    "failed": (Job.of("u"), {"u run": RAISED}),
    "failed, continue": (Job.of("u", on_failure=CONTINUE), {"u run": RAISED}),
    "failed with a value, continue": (
        Job.of("u", check=True, on_failure=CONTINUE),
        {"u check": NO, "u recheck": NO},
    ),
    "failed, escalate": (Job.of("u", on_failure=OnFailure.ESCALATE), {"u run": RAISED}),
    "blocked": (Job.of("u", needs=["root"]), {"root run": RAISED}),
    "skipped by the plan": (Job.of("u", skip="not today"), {}),
    "skips itself": (Job.of("u"), {"u run": Verdict.SKIPPED}),
    "cancelled": (Job.of("u"), {"u run": Verdict.INTERRUPTED}),
    "unknown": (Job.of("u"), {"u run": Verdict.UNKNOWN}),
    "would-run": (Job.of("u"), {"u run": Verdict.WOULD_RUN}),
}
_, HEAD, _, *ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines()]
CELLS = [(row[0], kind, row[number]) for row in ROWS for number, kind in enumerate(HEAD) if number]


@pytest.mark.parametrize(("upstream", "kind", "downstream"), CELLS, ids=lambda cell: cell)
def test_if_upstream_is_so_downstream_is_so(upstream, kind, downstream):
    job, acts = UPSTREAM[upstream]
    jobs = [Job.of("root"), job, Job.of("d", **{kind: ["u"]})]
    drive = Drive(make_plan(Graph(jobs)), said(acts)).to_the_end()
    assert drive.outcomes()["u"] is Outcome(
        upstream.split(",")[0]
        .split(" with")[0]
        .replace("skips itself", "skipped")
        .replace(" by the plan", "")
    )
    assert drive.outcomes()["d"] is Outcome(downstream)


def test_every_outcome_that_a_job_can_have_is_in_the_table():
    named = " ".join(row[0].replace("skips itself", "skipped") for row in ROWS)
    later = {Outcome.POSTPONED}
    assert [outcome for outcome in Outcome if outcome.value not in named] == list(later)
