"""jobtest runs jobs the way pytest runs tests.

Under pytest nothing of this needs to be imported: write `job_*.py` and run `pytest --orchestrate`. The names
here are for typing marks, and for planning and running from a program:

    from jobtest import Graph, Job, make_plan, run

    graph = Graph([Job.of("build"), Job.of("deploy", takes=["build"])])
    summary = run(make_plan(graph), {"build": lambda: 42, "deploy": lambda build: print(build)})

Names are imported when first used, so that the plugin costs next to nothing while it is not asked to
orchestrate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from jobtest.core.deprecation import JobtestDeprecationWarning
    from jobtest.core.errors import JobtestError, ProjectError
    from jobtest.core.graph import Graph
    from jobtest.core.model import Edge, EdgeKind, Job, OnFailure, Outcome, Retry, Take
    from jobtest.core.planner import Plan, make_plan
    from jobtest.core.scope import Need
    from jobtest.core.summary import Summary
    from jobtest.engine.library import Functions, run
    from jobtest.plugin.mark import job

_WHERE = {
    "Edge": "core.model",
    "EdgeKind": "core.model",
    "Functions": "engine.library",
    "Graph": "core.graph",
    "Job": "core.model",
    "JobtestDeprecationWarning": "core.deprecation",
    "JobtestError": "core.errors",
    "OnFailure": "core.model",
    "Need": "core.scope",
    "Outcome": "core.model",
    "Plan": "core.planner",
    "ProjectError": "core.errors",
    "Retry": "core.model",
    "Summary": "core.summary",
    "Take": "core.model",
    "job": "plugin.mark",
    "make_plan": "core.planner",
    "run": "engine.library",
}

__all__ = [
    "Edge",
    "EdgeKind",
    "Functions",
    "Graph",
    "Job",
    "JobtestDeprecationWarning",
    "JobtestError",
    "Need",
    "OnFailure",
    "Outcome",
    "Plan",
    "ProjectError",
    "Retry",
    "Summary",
    "Take",
    "job",
    "make_plan",
    "run",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("jobtest.core.version").VERSION
    if name not in _WHERE:
        raise AttributeError(f"module 'jobtest' has no attribute {name!r}")
    value = getattr(import_module(f"jobtest.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
