"""Small graphs, and views of any graph, for the tests of drawings."""

from hypothesis import strategies as st
from report_scenes import Played, raises

from jobtest import Graph, Job, make_plan
from jobtest.reports.graph.view import View


def planned(*jobs):
    return make_plan(Graph(jobs))


def release():
    """Return the plan of a small release; a value, a need and an order in it."""
    return planned(
        Job.of("build"),
        Job.of("lint"),
        Job.of("test", takes=["build"], needs=["lint"]),
        Job.of("deploy", takes=["build"], needs=["test"], after=["lint"]),
    )


def failed_release():
    played = Played(release(), {"test": raises(ValueError("kaputt"))})
    return played.plan, played.summary


def chain(length):
    return planned(Job.of("0"), *(Job.of(str(at), takes=[str(at - 1)]) for at in range(1, length)))


@st.composite
def views(draw, job_names=None):
    """Draw the view of a graph, with any names, that has been run or not."""
    count = draw(st.integers(0, 9))
    jobs = []
    for at in range(count):
        some = st.lists(st.integers(0, at - 1), unique=True, max_size=3) if at else st.just([])
        edges = {kind: [f"id{one}" for one in draw(some)] for kind in ("takes", "needs", "after")}
        name = draw(job_names) if job_names is not None else f"job {at}"
        jobs.append(Job.of(f"id{at}", name=name, **edges))
    plan = planned(*jobs)
    return View.of(plan, Played(plan).summary if draw(st.booleans()) else None)
