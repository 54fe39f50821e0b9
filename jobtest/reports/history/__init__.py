"""What a store remembers of runs and jobs, as data and as text: lists, one run, one job.

All of it is made from the store alone and never writes to it; nothing of the project is imported. Texts are
safe for a terminal: what would control it is shown as a visible escape.
"""

from __future__ import annotations

from jobtest.reports.history.explain import Explained, explain, explain_data, explain_text
from jobtest.reports.history.loading import Loaded, load_run, values_of
from jobtest.reports.history.runs import (
    Listed,
    Runs,
    RunState,
    find_run,
    list_runs,
    runs_data,
    runs_text,
    state_of,
)
from jobtest.reports.history.show import show_data, show_text
from jobtest.reports.history.text import when

__all__ = [
    "Explained",
    "Listed",
    "Loaded",
    "RunState",
    "Runs",
    "explain",
    "explain_data",
    "explain_text",
    "find_run",
    "list_runs",
    "load_run",
    "runs_data",
    "runs_text",
    "show_data",
    "show_text",
    "state_of",
    "values_of",
    "when",
]
