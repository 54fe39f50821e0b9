"""Runs that only ask: a plan and a drift."""

from jobtest.core.graph import Graph
from jobtest.core.model import Command, Job, Phase, Verdict
from jobtest.core.planner import make_plan
from jobtest.engine.executors.dry import DriftExecutor, PlanExecutor
from jobtest.engine.loop import Engine
from jobtest.testing import ScriptedBodies, ScriptedExecutor
from tests.core.driver import said

NO = Verdict.NOT_HOLDING


def dry(kind, *jobs, acts=None, command=Command.PLAN):
    executor = ScriptedExecutor(said(acts or {}), prepare=True)
    plan = make_plan(Graph(jobs), command=command)
    summary = Engine(plan, ScriptedBodies(), kind(executor), clock=executor.clock).run()
    phases = {span.phase for span in executor.spans}
    return {id: (record.outcome.value, record.reason) for id, record in summary.jobs.items()}, phases


def test_a_plan_says_what_would_happen_and_runs_nothing():
    jobs = [
        Job.of("build"),
        Job.of("deploy", takes=["build"], check=True),
        Job.of("kept", takes=["build"], check=True),
        Job.of("below", needs=["apart", "kept"], check=True),
        Job.of("apart", check=True),
        Job.of("later", after=["build"], check=True),
        Job.of("early", takes=["build"], check=True, early=frozenset({"build"})),
        Job.of("gate", needs=["deploy"], check=True, has_run=False),
        Job.of("end", needs=["gate"]),
    ]
    outcomes, phases = dry(PlanExecutor, *jobs, acts={"deploy check": NO, "gate check": NO})
    assert outcomes == {
        "build": ("would-run", "no check; later comes after it"),
        "deploy": ("would-run", "check did not hold: not_holding"),
        "kept": ("unknown", "it holds now; known after build has run"),
        "below": ("unknown", "it holds now; known after kept has run"),
        "apart": ("unchanged", "check holds"),
        "later": ("unchanged", "check holds"),
        "early": ("unknown", "known after build has run"),
        "gate": ("unknown", "it does not hold now: not_holding"),
        "end": ("would-run", "no check; a leaf"),
    }
    assert phases == {Phase.CHECK}


def test_a_drift_asks_every_check_whatever_the_others_say():
    jobs = [
        Job.of("a", check=True),
        Job.of("b", needs=["a"], check=True),
        Job.of("c", takes=["d"], check=True, early=frozenset({"d"})),
        Job.of("d"),
    ]
    outcomes, phases = dry(DriftExecutor, *jobs, acts={"a check": NO}, command=Command.DRIFT)
    assert outcomes == {
        "a": ("failed", "check did not hold: not_holding"),
        "b": ("unchanged", "check holds"),
        "c": ("skipped", "known after d has run"),
        "d": ("skipped", "no check"),
    }
    assert phases == {Phase.CHECK}
