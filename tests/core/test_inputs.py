"""Values that jobs take, compared with those of their last success."""

from driver import Drive, said

from jobtest.core.events import AttemptSuspended, PhaseStarted
from jobtest.core.graph import Graph
from jobtest.core.model import EdgeKind, Job, Outcome, Phase, Verdict
from jobtest.core.past import Past
from jobtest.core.planner import make_plan
from jobtest.testing import Act

NO = Verdict.NOT_HOLDING
BUILD = Job.of("build")
DEPLOY = Job.of("deploy", takes=["build"], check=True)


def drive(*jobs, acts=None, digests=None, **pasts):
    """A run of jobs of which something is known; `digests` are those of the values that jobs make."""
    plan = make_plan(Graph(jobs), pasts=pasts)
    run = Drive(plan, said(acts or {}))
    run.digests = digests or {}
    return run.to_the_end()


def past(value="", **inputs):
    return Past(run="earlier", at=1.0, value=value, inputs=inputs)


def reasons(run):
    return {event.job: event.reason for event in run.events if type(event).__name__ == "JobEnded"}


def test_a_job_whose_check_holds_runs_if_a_value_that_it_takes_has_changed():
    run = drive(
        Job.of("build", always=True),
        DEPLOY,
        digests={"build": "new"},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes()["deploy"] is Outcome.CHANGED
    assert reasons(run)["deploy"] == "input build changed"


def test_a_job_does_not_run_if_the_value_is_the_same_again():
    run = drive(
        Job.of("build", always=True),
        DEPLOY,
        digests={"build": "old"},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes()["deploy"] is Outcome.UNCHANGED


def test_a_job_that_does_not_track_its_inputs_does_not_run():
    job = Job.of("deploy", takes=["build"], check=True, tracks=False)
    run = drive(
        Job.of("build", always=True),
        job,
        digests={"build": "new"},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes()["deploy"] is Outcome.UNCHANGED


def test_a_value_that_cannot_be_stored_has_never_changed():
    run = drive(
        Job.of("build", always=True),
        DEPLOY,
        digests={"build": ""},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes()["deploy"] is Outcome.UNCHANGED


def test_without_a_record_nothing_has_changed():
    run = drive(Job.of("build", always=True), DEPLOY, digests={"build": "new"})
    assert run.outcomes()["deploy"] is Outcome.UNCHANGED


def test_nobody_makes_a_value_only_to_compare_it():
    run = drive(BUILD, DEPLOY, build=past("old"), deploy=past("x", build="old"))
    assert run.started() == ["deploy"]
    assert run.outcomes() == {"build": Outcome.UNCHANGED, "deploy": Outcome.UNCHANGED}
    assert reasons(run) == {"build": "not needed", "deploy": "check holds"}


def test_a_job_whose_check_holds_rests_until_it_is_known_whether_its_input_is_made_for_another_one():
    other = Job.of("other", takes=["build"], check=True)
    run = drive(
        BUILD,
        DEPLOY,
        other,
        acts={"other check 1": NO},
        digests={"build": "new"},
        build=past("old"),
        deploy=past("x", build="old"),
        other=past("y", build="old"),
    )
    rests = [event for event in run.events if isinstance(event, AttemptSuspended) and event.rests]
    assert [(event.job, event.waits_for) for event in rests] == [("deploy", ("build",))]
    assert run.outcomes()["deploy"] is Outcome.CHANGED
    assert reasons(run)["deploy"] == "input build changed"
    order = [
        event.job for event in run.events if isinstance(event, PhaseStarted) and event.phase is Phase.RUN
    ]
    assert order.index("build") < order.index("deploy")


def test_who_rests_is_asked_once_if_the_value_is_not_made():
    other = Job.of("other", takes=["build"], check=True)
    run = drive(
        BUILD, DEPLOY, other, build=past("old"), deploy=past("x", build="old"), other=past("y", build="old")
    )
    assert sorted(run.started()) == ["deploy", "other"]
    assert set(run.outcomes().values()) == {Outcome.UNCHANGED}


def test_a_chain_of_jobs_that_rest_comes_to_an_end():
    image = Job.of("image", takes=["build"], check=True)
    deploy = Job.of("deploy", takes=["image", "build"], check=True)
    run = drive(
        BUILD,
        image,
        deploy,
        build=past("b"),
        image=past("i", build="b"),
        deploy=past("d", build="b", image="i"),
    )
    assert run.started() == ["image", "deploy"]
    assert set(run.outcomes().values()) == {Outcome.UNCHANGED}


def test_who_rests_is_blocked_if_the_value_fails_to_be_made():
    other = Job.of("other", takes=["build"], check=True)
    run = drive(
        BUILD,
        DEPLOY,
        other,
        acts={"other check 1": NO, "build run": Act(Verdict.RAISED, message="no", type="OSError")},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes() == {
        "build": Outcome.FAILED,
        "deploy": Outcome.BLOCKED,
        "other": Outcome.BLOCKED,
    }


def test_a_stored_value_spares_its_job_from_being_made_again():
    """A check that holds, a value that is taken and known: without memory the job would have to run."""
    source = Job.of("source", check=True)
    run = drive(source, Job.of("sink", takes=["source"]), source=past("v"))
    assert run.started() == ["source", "sink"]
    assert run.outcomes() == {"source": Outcome.UNCHANGED, "sink": Outcome.CHANGED}


def test_who_was_woken_wants_nothing_but_others_still_may():
    """`deploy` waits for `image`, which rests for `build`, which waits for `deploy`: nothing can go on."""
    image = Job.of("image", takes=["build"], check=True)
    deploy = Job.of("deploy", takes=["build"], needs=["image"], check=True)
    run = drive(
        BUILD,
        image,
        deploy,
        acts={"deploy check": NO, "deploy recheck": Verdict.OK},
        digests={"build": "b"},
        build=past("b"),
        image=past("i", build="b"),
        deploy=past("d"),
    )
    assert run.started(Phase.RUN) == ["build", "deploy"]


def test_a_run_alone_takes_stored_values():
    graph = Graph([BUILD, Job.of("deploy", takes=["build"])])
    plan = make_plan(graph, select=["deploy"], alone=True, pasts={"build": past("v")})
    assert list(plan.graph.jobs) == ["deploy"]
    assert plan.left_out == {"build": "not selected"}
    run = Drive(plan).to_the_end()
    assert run.outcomes() == {"deploy": Outcome.CHANGED}


def test_edges_within_a_run_alone_are_followed():
    jobs = [Job.of("a"), Job.of("b", needs=["a"]), Job.of("c", needs=["b"], after=["a"])]
    plan = make_plan(Graph(jobs), select=["b", "c"], alone=True)
    assert [(edge.upstream, edge.kind) for edge in plan.graph.upstream("c")] == [("b", EdgeKind.NEEDS)]
    assert plan.order == ("b", "c")


def test_a_run_for_a_changed_input_that_raised_has_failed_though_its_check_holds():
    run = drive(
        Job.of("build", always=True),
        DEPLOY,
        acts={"deploy run": Act(Verdict.RAISED, message="no", type="OSError")},
        digests={"build": "new"},
        build=past("old"),
        deploy=past("x", build="old"),
    )
    assert run.outcomes()["deploy"] is Outcome.FAILED
    assert reasons(run)["deploy"] == (
        "run raised OSError: no; its check holds, but it did before: input build changed"
    )


def test_what_a_job_holds_open_is_opened_for_one_that_must_run_as_its_value_is_not_known():
    """`b` has no value that could be stored: it may have to run, so what it takes must not end yet."""
    tunnel = Job.of("tunnel", is_generator=True)
    b = Job.of("b", takes=["tunnel"], check=True)
    run = drive(tunnel, b, Job.of("c", takes=["b"]), tunnel=past("t"), b=past("", tunnel="t"))
    assert run.started(Phase.RUN) == ["tunnel", "b", "c"]


def test_what_a_job_holds_open_is_opened_for_one_of_which_another_input_changes():
    """`src` is made for `other`, whose check does not hold; until that is known `tunnel` must not end."""
    jobs = [
        Job.of("tunnel", is_generator=True),
        Job.of("src"),
        Job.of("e", takes=["src", "tunnel"], check=True),
        Job.of("other", takes=["src"], check=True),
    ]
    run = drive(
        *jobs,
        acts={"other check 1": NO},
        digests={"src": "new", "tunnel": "t"},
        tunnel=past("t"),
        src=past("old"),
        e=past("x", src="old", tunnel="t"),
        other=past("y", src="old"),
    )
    assert run.outcomes()["e"] is Outcome.CHANGED
    assert run.started(Phase.RUN) == ["src", "tunnel", "e", "other"]
