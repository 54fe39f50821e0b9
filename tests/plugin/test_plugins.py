"""Parts that other packages add by entry point: executors, loaders of job files, stores."""

import re
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


@pytest.fixture
def installed(pytester):
    """Install a package: `installed("acme", group, {name: value}, text of its module)`."""
    pytester.syspathinsert()

    def install(package, group, points, text=""):
        info = pytester.mkdir(f"{package}-1.0.dist-info")
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        info.joinpath("entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        pytester.path.joinpath(f"{package}_jobs.py").write_text(textwrap.dedent(text))

    return install


# --- executors ---

WRAPPED = """
from contextlib import contextmanager
import seen
from jobtest.plugin.away import process_lane

@contextmanager
def lane(asked):
    seen.note("opened", asked.url, asked.workers, asked.plan.order)
    with process_lane(
        asked.session, asked.project, asked.plan, asked.homes, asked.run, asked.lineage
    ) as (inbox, inner):
        yield inbox, inner
    seen.note("closed")
"""
ELSEWHERE = "import os\nME = os.getpid()\ndef job_a(): return os.getpid() != ME\ndef job_b(a): assert a"


@pytest.mark.parametrize("url", ["queue", "queue://host:1/x"])
def test_an_executor_of_a_package_calls_the_jobs(jobs, installed, url):
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:lane"}, WRAPPED)
    run = jobs(ELSEWHERE, "--job-executor", url, "-J2")

    assert run.outcomes == {"a": "changed", "b": "changed"}
    assert run.seen == [("opened", url, 2, ("job_it.py::job_a", "job_it.py::job_b")), "closed"]


def test_the_settings_may_name_an_executor_of_a_package(jobs, installed):
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:lane"}, WRAPPED)
    run = jobs(ELSEWHERE, files={"jobtest.toml": "executor = 'queue://x'"})

    assert run.ret == 0
    assert run.seen[0][:2] == ("opened", "queue://x")


def test_the_lane_of_the_page_works(jobs, installed):
    text, _ = re.findall(r"```python\n# acme_jobs\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:queue_lane"}, text)

    assert jobs(ELSEWHERE, "--job-executor=queue").outcomes == {"a": "changed", "b": "changed"}


def test_an_unknown_executor_is_told_with_those_that_there_are(jobs, installed):
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:lane"})
    typo = jobs("def job_a(): ...", "--job-executor=queu://x")
    other = jobs.run("--job-executor=slurm")

    assert (typo.ret, other.ret) == (4, 4)
    assert "--job-executor 'queu://x' is not known" in typo.errors
    assert "fix: there are: dask://, process, queue, thread" in other.errors


BROKEN = {
    "import nowhere_to_be_found": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "": "AttributeError: module 'acme_jobs' has no attribute 'lane'",
    "raise RuntimeError('no licence')": "RuntimeError: no licence",
}


@pytest.mark.parametrize("text", list(BROKEN))
def test_an_executor_that_cannot_be_imported_is_named_with_its_package(jobs, installed, text):
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:lane"}, text)
    run = jobs("from pathlib import Path\ndef job_a(): Path('ran').touch()", "--job-executor=queue")

    assert run.ret == 4
    assert (
        f"jobtest.executors: 'queue' cannot be loaded: {BROKEN[text]}\n"
        "  at: acme 1.0: queue = acme_jobs:lane\n"
        "  fix: correct, upgrade or uninstall that package" in run.errors
    )
    assert not (jobs.path / "ran").exists()


def test_two_packages_with_one_name_are_both_named(jobs, installed):
    installed("acme", "jobtest.executors", {"queue": "acme_jobs:lane"})
    installed("bolt", "jobtest.executors", {"queue": "bolt_jobs:lane"})
    run = jobs("def job_a(): ...", "--job-executor=queue")

    assert run.ret == 4
    assert (
        "two packages offer 'queue' in jobtest.executors\n  at: acme 1.0: queue = acme_jobs:lane\n"
        "  at: bolt 1.0: queue = bolt_jobs:lane\n  fix: uninstall one of them" in run.errors
    )


# --- stores ---


def test_a_store_of_a_package_remembers(jobs, installed):
    installed(
        "acme",
        "jobtest.stores",
        {"shelf": "acme_jobs:store"},
        """
        from jobtest.state.opening import open_store
        def store(url, root, *, durability, large):
            return open_store("sqlite:///shelf.db", root, durability=durability, large=large)
        """,
    )
    run = jobs("def job_a(): ...", "--job-state=shelf://x")

    assert run.ret == 0
    assert (jobs.path / "shelf.db").is_file()


def test_a_store_that_cannot_be_imported_is_named_with_its_package(jobs, installed):
    installed("acme", "jobtest.stores", {"shelf": "acme_jobs:store"}, "import nowhere_to_be_found")
    run = jobs("def job_a(): ...", "--job-state=shelf://me:secret@x")

    assert run.ret == 4
    assert "jobtest.stores: 'shelf' cannot be loaded: ModuleNotFoundError" in run.errors
    assert "  at: acme 1.0: shelf = acme_jobs:store\n" in run.errors
    assert "secret" not in run.errors.replace("--job-state=shelf://me:secret@x", "")


# --- loaders ---

LOADED = """
import json

def load(path, names, env):
    data = json.loads(path.read_text())
    data["job"][0]["args"]["content"] += f" {names['who']} {env['PLACE']}"
    return data
"""
JOB = '{"job": [{"name": "hi", "task": "write_file", "args": {"path": "hi.txt", "content": "${who},"}}]}'


def test_a_loader_of_a_package_makes_jobs_of_its_files(jobs, installed, monkeypatch):
    monkeypatch.setenv("PLACE", "here")
    installed("acme", "jobtest.loaders", {"jsn": "acme_jobs:load"}, LOADED)
    run = jobs("", "--job-set=who=Ada", files={"job_x.jsn": JOB, "job_y.other": "no job file"})

    assert run.outcomes == {"job_x.jsn::hi": "changed"}
    assert (jobs.path / "hi.txt").read_text() == "Ada, Ada here"
    assert [job.at for job in run.plan.graph] == ["job_x.jsn:1 hi"]
    assert jobs.run("job_x.jsn::hi", "--job-set=who=Ada").ret == 0


def test_a_job_whose_name_is_not_written_in_its_file_is_a_job(jobs, installed):
    text = f"def load(path, names, env): return {JOB.replace('${who},', 'made up')}"
    installed("acme", "jobtest.loaders", {"jsn": "acme_jobs:load"}, text)
    run = jobs("", "-v", files={"job_x.jsn": "another text"})

    assert run.outcomes == {"job_x.jsn::hi": "changed"}
    assert [job.at for job in run.plan.graph] == ["job_x.jsn hi"]


def test_the_loader_of_the_page_works(jobs, installed):
    text = re.findall(r"```python\n# acme_jobs\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    installed("acme", "jobtest.loaders", {"json": "acme_jobs:load_json"}, text[1])
    jobs("", "--job-set=who=Ada", files={"job_x.json": JOB})

    assert (jobs.path / "hi.txt").read_text() == "Ada,"


REFUSED = {
    "def load(path, names, env): 1 / 0": "job_x.yaml cannot be read: ZeroDivisionError: division by zero",
    "def load(path): ...": "job_x.yaml cannot be read: TypeError: load() takes 1 positional argument",
    "def load(path, names, env): return []": (
        "job_x.yaml cannot be read: its loader returned list, not tables by name\n"
        "  at: job_x.yaml\n  fix: correct the package that reads it"
    ),
    "def load(path, names, env): return {'jobs': []}": "did you mean 'job'?",
    "def load(path, names, env): return {'job': [{'name': 'a', 'task': None}]}": "task",
    "import nowhere": "jobtest.loaders: 'yaml' cannot be loaded: ModuleNotFoundError",
}


@pytest.mark.parametrize("text", list(REFUSED))
def test_what_a_loader_cannot_read_is_told_before_anything_runs(jobs, installed, text):
    installed("acme", "jobtest.loaders", {"yaml": "acme_jobs:load"}, text)
    run = jobs("def job_a(): 1 / 0", files={"job_x.yaml": "x"})

    assert run.ret == 4
    assert REFUSED[text] in run.text
    assert "1 error in the project, nothing was run" in run.errors


def test_two_loaders_for_one_suffix_are_both_named(jobs, installed):
    installed("acme", "jobtest.loaders", {"yaml": "acme_jobs:load"}, "load = None")
    installed("bolt", "jobtest.loaders", {"yaml": "bolt_jobs:load"}, "load = None")
    run = jobs("def job_a(): 1 / 0", files={"job_x.yaml": "x"})

    assert run.ret == 4
    assert "two packages offer 'yaml' in jobtest.loaders" in run.text
