"""A report made from the state says of a run what pytest and the plugin said when it ended."""

import json
from xml.etree import ElementTree

import pytest

from jobtest.cli.main import main

JOBS = """
import sys
import pytest

tries = []

def check_steady(): pass
def job_steady(): pass

@pytest.mark.parametrize("region", ["eu", "a::b/c.py[x]"])
def job_deploy(region):
    print("deploying", region)
    return {"region": region}

@pytest.mark.job(retries=2)
def job_flaky():
    tries.append(1)
    print("try", len(tries))
    if len(tries) < 2:
        raise ConnectionError("no \\x1b route")

@pytest.mark.job(retries=1)
def job_bad():
    raise ValueError("<bad> & \\x00")

def check_never(): assert False, "not there"
def job_never(): pass
def job_down(bad): pass
def job_far(down): pass
def check_typo(): nope
def job_typo(): pass

@pytest.fixture
def server(): raise RuntimeError("no server")
def job_served(server): pass

def job_untidy(): pass
def cleanup_untidy(): raise OSError("still open")

def job_asked(): pytest.skip("not today")
@pytest.mark.skip(reason="not ever")
def job_marked(): pass
"""

SAID = ("jobtest.outcome", "jobtest.attempts", "jobtest.reason", "jobtest.run_id")


@pytest.fixture
def ran(pytester):
    """A project after a run with reports of all kinds."""
    folder = pytester.mkdir("ops.d")
    (folder / "job_shop.py").write_text(JOBS, encoding="utf-8")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\n[tool.jobtest]\n")
    options = ("--junitxml=pytest.xml", "--job-report=run.json", "-p", "no:hypothesispytest")
    assert pytester.runpytest_inprocess("--orchestrate", *options).ret == 1
    return pytester.path


def told(path):
    """What a file says of each job: names, time, results, and the properties that both have."""
    suite = ElementTree.parse(path).getroot()[0]
    cases = {}
    for case in suite:
        properties = {one.get("name"): one.get("value") for one in case.iterfind("properties/property")}
        results = [one.tag for one in case if one.tag in ("failure", "error", "skipped")]
        # Both show what XML cannot hold, in ways of their own: #x1B and \x1b.
        said = [properties[name].lower().replace("#x", "\\x") for name in SAID]
        # What breaks before the call of a test has no time in the file of pytest, which counts only the call.
        time = None if results == ["error"] and said[0] == "failed" else case.get("time")
        cases[case.get("classname"), case.get("name")] = (time, results, said)
    totals = {
        name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "name", "hostname")
    }
    return cases, totals


def test_the_junit_file_of_a_state_is_that_of_pytest(ran):
    assert main(["--root", str(ran), "report", "last", "--junitxml", str(ran / "state.xml")]) == 0
    ours, our_totals = told(ran / "state.xml")
    pytests, their_totals = told(ran / "pytest.xml")
    assert ours == pytests
    assert our_totals == their_totals


def test_the_json_report_of_a_state_is_that_of_the_run(ran):
    assert main(["--root", str(ran), "report", "last", "--json", str(ran / "state.json")]) == 0
    ours, runs = (json.loads((ran / name).read_text()) for name in ("state.json", "run.json"))
    assert ours.pop("run")["id"] == runs["run_id"]
    assert ours == runs
