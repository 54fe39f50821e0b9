"""What holds for every built-in task type: how it is found, what it says of itself, and its page."""

import inspect
import pickle
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from docs.make_tasks_page import FIXTURES, PAGE, page
from jobtest.core.errors import Problem
from jobtest.tasks import BUILT_IN, TaskFailed

ROOT = Path(__file__).parents[2]


def functions(name):
    """The task of a type and its companions."""
    module = import_module(BUILT_IN[name])
    return [
        one
        for key, one in vars(module).items()
        if key.partition("task_")[0] in ("", "check_", "describe_", "delete_")
        and key.partition("task_")[2].partition("__")[0] == name
    ]


def arguments(name):
    return {key for one in functions(name) for key in inspect.signature(one).parameters} - FIXTURES


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "make it again: python docs/make_tasks_page.py"


def test_the_page_has_every_type_and_argument():
    text = PAGE.read_text(encoding="utf-8")
    for name in BUILT_IN:
        section = next(one for one in text.split("\n## ")[1:] if f"`{name}`" in one.partition("\n")[0])
        assert [argument for argument in arguments(name) if f"\n| `{argument}` | " not in section] == []


def test_the_examples_of_the_page_fit_the_signatures():
    blocks = PAGE.read_text(encoding="utf-8").split("```toml\n")[1:]
    jobs = [job for block in blocks for job in tomllib.loads(block.partition("```")[0])["job"]]

    assert {job["task"] for job in jobs} == set(BUILT_IN) - {"shell_script"}
    for job in jobs:
        task = getattr(import_module(BUILT_IN[job["task"]]), f"task_{job['task']}")
        required = {
            name
            for name, parameter in inspect.signature(task).parameters.items()
            if parameter.default is parameter.empty
        }
        assert required - FIXTURES <= set(job["args"]) <= arguments(job["task"])


@pytest.mark.parametrize("name", BUILT_IN)
def test_all_parameters_have_types_and_the_companions_agree_with_the_task(name):
    task, *_ = (one for one in functions(name) if one.__name__.startswith("task_"))
    hints = get_type_hints(task)
    for one in functions(name):
        for parameter in inspect.signature(one).parameters.values():
            assert get_type_hints(one)[parameter.name] == hints.get(
                parameter.name, get_type_hints(one)[parameter.name]
            )
            same = inspect.signature(task).parameters.get(parameter.name, parameter)
            assert parameter.default == same.default
        assert f"{one.__name__}" in import_module(BUILT_IN[name]).__all__


def test_types_are_known_without_importing_what_they_need():
    code = (
        "import sys; import jobtest.tasks; "
        "print([name for name in sys.modules if name.startswith('jobtest.tasks.')"
        " or name in ('subprocess', 'urllib.request', 'zipfile')])"
    )

    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)

    assert told.stdout == "[]\n"


def test_a_failure_can_cross_to_another_process():
    failed = TaskFailed(Problem(what="no", at=("here",), fix="do"))

    again = pickle.loads(pickle.dumps(failed))

    assert (again.problem, str(again)) == (failed.problem, "no\n  at: here\n  fix: do")
