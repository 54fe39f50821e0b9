"""The rules of the house, as far as a program can tell whether they are kept."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jobtest
from jobtest.core import errors
from jobtest.plugin.fixtures import PRIVATE
from jobtest.tasks import TaskFailed

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jobtest"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(PACKAGE)], "jobtest.")
    if "conftest_templates" not in module.name
)
LONGEST_FILE = 500

GOLDEN = {
    errors.Problem(
        what="job 'app' needs 'bd', which is not a job",
        at=("ops/job_app.py:12 job_app",),
        fix="did you mean 'db' (ops/job_db.py:4)?",
    ): """\
job 'app' needs 'bd', which is not a job
  at: ops/job_app.py:12 job_app
  fix: did you mean 'db' (ops/job_db.py:4)?""",
    errors.Problem(what="it has only what"): "it has only what",
}

ERRORS = {
    errors.JobtestError: (("said",), "said"),
    errors.ProjectError: (
        ([errors.Problem(what="one"), errors.Problem(what="two", fix="do it")],),
        "one\ntwo\n  fix: do it",
    ),
    errors.UsageError: (([errors.Problem(what="-J 'x' is wrong")],), "-J 'x' is wrong"),
    errors.StateError: (
        ([errors.Problem(what="it is a text", fix="move it away")],),
        "it is a text\n  fix: move it away",
    ),
    errors.StateLocked: (([errors.Problem(what="pid 7 holds it")],), "pid 7 holds it"),
    TaskFailed: (
        (errors.Problem(what="'make' ended with exit status 2", at=("/src",), fix="see what it printed"),),
        "'make' ended with exit status 2\n  at: /src\n  fix: see what it printed",
    ),
    errors.StateLost: (
        (errors.Problem(what="the disk is full", at=("/state.db",), fix="make room"),),
        "the disk is full\n  at: /state.db\n  fix: make room",
    ),
    errors.AlreadyEnded: (
        ("a", "r1"),
        "job 'a' has ended in run r1 already\n  fix: this is a bug in jobtest",
    ),
    errors.IllegalTransition: (
        ("a", "ended", "JobEnded"),
        "job 'a' is ended and cannot take JobEnded\n"
        "  fix: this is a bug in jobtest, or the journal belongs to another plan",
    ),
}


@pytest.mark.parametrize("problem", list(GOLDEN), ids=lambda problem: problem.what)
def test_a_problem_says_what_where_and_what_to_do(problem):
    assert str(problem) == GOLDEN[problem]


@pytest.mark.parametrize("cls", list(ERRORS), ids=lambda cls: cls.__name__)
def test_an_error_has_its_golden_text(cls):
    arguments, text = ERRORS[cls]

    assert str(cls(*arguments)) == text


def test_every_error_class_has_a_golden_text():
    classes = set()
    for name in MODULES:
        module = importlib.import_module(name)
        classes |= {
            one
            for one in vars(module).values()
            if isinstance(one, type)
            and issubclass(one, errors.JobtestError)
            and one.__module__.startswith("jobtest")
        }

    assert classes == set(ERRORS)


@pytest.mark.rarely
def test_each_module_can_be_imported_alone():
    code = "\n".join(
        [
            "import importlib, sys",
            f"for name in {MODULES!r}:",
            "    for loaded in [one for one in sys.modules if one.partition('.')[0] == 'jobtest']:",
            "        del sys.modules[loaded]",
            "    importlib.import_module(name)",
        ]
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", ["jobtest", *MODULES])
def test_all_names_what_is_there(name):
    module = importlib.import_module(name)

    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), public


@pytest.mark.parametrize("name", [name for name in MODULES if "executors" not in name.rpartition(".")[2]])
def test_each_module_says_what_lives_in_it(name):
    assert importlib.import_module(name).__doc__


def test_the_public_api_is_this():
    assert sorted(jobtest.__all__) == [
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
    assert set(dir(jobtest)) >= set(jobtest.__all__)
    with pytest.raises(AttributeError, match="module 'jobtest' has no attribute 'nope'"):
        _ = jobtest.nope


@pytest.mark.parametrize("what", list(PRIVATE))
def test_the_private_names_of_pytest_are_there(what):
    owner, name = PRIVATE[what]

    assert hasattr(owner, name), f"{what}: {owner.__name__}.{name} is gone"


def test_private_names_of_pytest_stay_in_one_file():
    using = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(from|import) _pytest", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert using == {"jobtest/plugin/fixtures.py"}


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in ("jobtest", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ".envs" not in path.parts
    ],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_a_file_fits_in_the_head(path):
    if ".work" not in path.parts:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def options():
    text = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    group = text.partition("jobs (jobtest):")[2].partition("\n\n")[0]
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", group)))


def test_every_option_is_documented():
    documented = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    found = options()

    assert len(found) > 10
    assert [option for option in found if f"`{option}" not in documented] == []


def test_every_setting_is_documented():
    from jobtest.config.settings import KNOWN

    documented = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert [key for key in KNOWN if f"`{key}`" not in documented] == []


def test_every_keyword_of_the_mark_is_documented():
    import inspect

    from jobtest.plugin.mark import job

    documented = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")

    assert [key for key in inspect.signature(job).parameters if f"`{key}" not in documented] == []


def test_the_typed_mark_is_the_mark():
    @jobtest.job(retries=2, needs=["x"])
    def job_a():
        pass

    (mark,) = job_a.pytestmark
    assert (mark.name, mark.args, mark.kwargs) == ("job", (), {"retries": 2, "needs": ["x"]})


def test_a_template_is_a_working_project(pytester):
    folder = ROOT / "conftest_templates" / "minimal"
    for file in folder.iterdir():
        if file.is_file():
            (pytester.path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")

    first = pytester.runpytest_inprocess("--orchestrate", "-p", "no:hypothesispytest")
    second = pytester.runpytest_inprocess("--orchestrate", "-p", "no:hypothesispytest")

    first.stdout.fnmatch_lines(["2 jobs: 2 changed in *s"])
    second.stdout.fnmatch_lines(["2 jobs: 2 unchanged in *s"])


def test_every_template_has_its_test():
    folders = [
        path.name for path in (ROOT / "conftest_templates").iterdir() if path.is_dir() and path.name[0] != "_"
    ]

    assert folders == ["minimal"]
