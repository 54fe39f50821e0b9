"""The built-in task types: what jobs of job files can do without a line of Python.

What lives here: the types, each as plain functions in a module of its own: `task_TYPE`, which does it, and
beside it checks (`check_task_TYPE`, `check_task_TYPE__ASPECT`), `describe_task_TYPE` and `delete_task_TYPE`.
What does not: reading job files, converting arguments, fixtures. A type that a file names is imported then,
not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jobtest.core.errors import JobtestError, Problem

__all__ = ["BUILT_IN", "NotAsWanted", "TaskFailed"]

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "archive": "jobtest.tasks.archive",
        "download": "jobtest.tasks.download",
        "prune": "jobtest.tasks.prune",
        "shell": "jobtest.tasks.shell",
        "shell_script": "jobtest.tasks.shell",
        "write_file": "jobtest.tasks.write_file",
    }
)
"""Task type to the module that holds `task_TYPE` and its companions."""


class NotAsWanted(AssertionError):
    """A check of a built-in type does not hold; its text is all that its user needs to know."""


class TaskFailed(JobtestError):
    """A task that could not do what it was asked for; its text is all that its user needs to know.

    Attributes:
        problem: What, where, and what to do.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem)
