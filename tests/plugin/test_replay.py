"""Both ways of reporting say the same: lean, and full through pytest's own protocol."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

both_paths = pytest.mark.parametrize("path", ["lean", "full"])

EVERYTHING = """
    import logging, os, sys, warnings
    import pytest

    @pytest.fixture(scope="session")
    def wide():
        print("wide up")
        yield
        print("wide down")

    @pytest.fixture
    def narrow(wide):
        print("narrow up")
        logging.warning("narrow logs")
        yield
        print("narrow down", file=sys.stderr)

    @pytest.fixture
    def bad_setup(narrow):
        print("bad setup prints")
        raise OSError("no set-up")

    @pytest.fixture
    def bad_teardown():
        yield
        print("bad teardown prints")
        raise OSError("no teardown")

    def check_holds(narrow): print("holds checked")
    def job_holds(): pass

    def job_changed(narrow, record_property):
        print("changed prints")
        print("changed complains", file=sys.stderr)
        logging.warning("changed logs")
        record_property("mine", 7)
        return 1

    def job_failed(narrow):
        print("failed prints")
        assert [1, 2] == [1, 3]
    def job_blocked(failed): pass
    def job_blocked_far(blocked): pass

    def check_never(): return False
    def job_never(): print("never prints")

    def check_broken(): undefined
    def job_broken(): pass

    def check_both(): assert 1 == 2
    def job_both(): raise ValueError("in the run")

    def job_setup_error(bad_setup): pass
    def job_teardown_error(narrow, bad_teardown): print("body prints")
    def job_failed_twice(bad_teardown): raise ValueError("failed too")

    @pytest.mark.job(retries=2)
    def job_flaky(attempt, narrow):
        print(f"attempt {attempt.number} prints")
        if attempt.number < 3: raise ConnectionError(f"attempt {attempt.number}")
    @pytest.mark.job(retries=1)
    def job_never_better(attempt):
        print(f"attempt {attempt.number} prints")
        raise ConnectionError(f"attempt {attempt.number}")

    def job_cleaned(): print("cleaned prints")
    def cleanup_cleaned(narrow): print("cleanup prints")
    def job_badly_cleaned(): print("badly cleaned prints")
    def cleanup_badly_cleaned():
        print("bad cleanup prints")
        raise OSError("no cleanup")
    def job_failed_and_cleaned(): assert False
    def cleanup_failed_and_cleaned(): print("cleanup after failure prints")
    def job_failed_and_badly_cleaned(): assert False
    def cleanup_failed_and_badly_cleaned(): raise OSError("no cleanup")

    def job_held(narrow):
        print("open")
        yield "held value"
        print("closed")
    def job_badly_held():
        yield 1
        raise OSError("no close")
    def job_consumer(held, badly_held): print(held)

    @pytest.mark.skip(reason="not today")
    def job_skipped(): pass
    def job_skips(): pytest.skip("in the body")
    def job_skipped_too(skips): pass
    def job_fails(): pytest.fail("said so")
    def job_xfails(): pytest.xfail("expected")
    def job_exits(): sys.exit("bye")
    def job_interrupts(): raise KeyboardInterrupt

    @pytest.mark.parametrize("n", ["x y", "\\u00e9"])
    def job_many(n, capsys):
        print("captured by itself")
        assert capsys.readouterr().out
        print("left over")

    def job_warns(): warnings.warn("careful", UserWarning)
    def check_gate(): assert os.sep == "?"
"""


LIST_OF_JOBS = re.compile(r"def (job_\w+|check_gate)\(")


class Outside:
    """A plugin from outside that hooks into the protocol, which asks for the full path."""

    def __init__(self):
        self.called = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        self.called.append(item.nodeid)
        return (yield)


def run_on(path, jobs, source, *args):
    plugins = [Outside()] if path == "full" else []
    run = jobs(source, "-v", *args, plugins=plugins)
    assert f"reports: {path} path" in run.text
    return run


def plain(report):
    """Every attribute of a report but times, the id of the run, and what the first or last one prints."""
    found = dict(vars(report))
    for time in ("duration", "start", "stop"):
        found.pop(time)
    found["user_properties"] = [one for one in found["user_properties"] if one[0] != "jobtest.run_id"]
    found["keywords"] = dict(found["keywords"])
    found["longrepr"] = report.longreprtext
    narrow = [
        (name, text.replace("wide up\n", "").replace("wide down\n", "")) for name, text in report.sections
    ]
    found["sections"] = [section for section in narrow if section[1]]
    found["repr"] = re.sub(r"0x[0-9a-f]+", "0x", repr(report))
    return found


def by_job(run):
    found = {}
    for report in run.reports:
        found.setdefault(report.nodeid, []).append(plain(report))
    return found


@pytest.mark.parametrize("workers", ["-J1", "-J4"])
def test_both_paths_make_the_same_reports(jobs, workers):
    lean, full = (by_job(run_on(path, jobs, EVERYTHING, workers)) for path in ("lean", "full"))
    assert lean.keys() == full.keys()
    differ = {}
    for id, reports in lean.items():
        assert [one["when"] for one in reports] == [one["when"] for one in full[id]], id
        for mine, other in zip(reports, full[id], strict=True):
            for key in mine.keys() | other.keys():
                if mine.get(key) != other.get(key):
                    differ[id, mine["when"], key] = mine.get(key), other.get(key)
    assert not differ, "\n".join(map(str, differ.items()))
    assert len(lean) == len(LIST_OF_JOBS.findall(EVERYTHING)) + 1, "one of them has two parameters"


def test_the_full_path_shows_the_protocol_every_job(jobs):
    outside = Outside()
    run = jobs(EVERYTHING, plugins=[outside])
    called = {id.rpartition("::job_")[2] for id in outside.called}
    assert {"changed", "failed", "flaky", "holds"} <= called
    assert len(outside.called) == len(set(outside.called))
    assert run.outcomes["changed"] == "changed"


def test_both_paths_print_the_same_outcomes_and_end_the_same(jobs):
    lean, full = (run_on(path, jobs, EVERYTHING, "-J1", "-rA") for path in ("lean", "full"))

    def words(run):
        summary = run.text.partition("short test summary info")[2]
        return sorted(re.sub(r" in [\d.]+s", "", line) for line in summary.splitlines())

    assert words(lean) == words(full)
    assert lean.outcomes == full.outcomes
    assert lean.ret == full.ret == 1
    assert lean.counts() == full.counts()


def cases(path):
    """From names to plain data of the test cases of a JUnit file."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        children = []
        for child in case.iter():
            if child.tag == "property" and child.get("name") == "jobtest.run_id":
                continue
            attributes = {key: value for key, value in child.attrib.items() if key != "time"}
            children.append((child.tag, attributes, (child.text or "").strip()))
        name = case.get("name")
        found.setdefault(name, []).append(children)
    return found


def test_both_paths_write_the_same_junit_with_one_case_a_job(jobs):
    both = []
    for path in ("lean", "full"):
        run = run_on(path, jobs, EVERYTHING, "-J1", f"--junitxml={path}.xml")
        both.append(cases(jobs.path / f"{path}.xml"))
    lean, full = both
    assert lean == full
    assert len(lean) == len(run.jobs)
    twice = {name for name, cases in lean.items() if len(cases) > 1}
    assert twice == {"job_failed_twice", "job_failed_and_badly_cleaned"}, (
        "pytest has no room for both in one case"
    )


@both_paths
def test_the_properties_of_a_job_are_in_its_case(jobs, path):
    run = run_on(path, jobs, EVERYTHING, "-J1", "--junitxml=o.xml")
    tree = ElementTree.parse(jobs.path / "o.xml")
    said = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in tree.iter("testcase")
    }
    flaky = said["job_flaky"]
    assert flaky["jobtest.outcome"] == "changed"
    assert flaky["jobtest.attempts"] == "3"
    assert flaky["jobtest.run_id"] == run.summary.run_id
    assert said["job_blocked_far"]["jobtest.reason"] == "upstream failed failed"
    assert said["job_changed"]["mine"] == "7"
    assert said["job_holds"]["jobtest.outcome"] == "unchanged"


@both_paths
def test_what_pytest_counts_as_failure_error_and_skip(jobs, path):
    run = run_on(path, jobs, EVERYTHING, "-J1", "--junitxml=o.xml")
    tags = {
        case.get("name"): [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        for case in ElementTree.parse(jobs.path / "o.xml").iter("testcase")
    }
    assert tags["job_changed"] == tags["job_holds"] == tags["job_flaky"] == tags["job_cleaned"] == []
    assert tags["job_failed"] == tags["job_never"] == tags["job_both"] == tags["check_gate"] == ["failure"]
    assert tags["job_xfails"] == tags["job_exits"] == tags["job_interrupts"] == ["failure"]
    assert tags["job_broken"] == tags["job_setup_error"] == tags["job_teardown_error"] == ["error"]
    assert tags["job_badly_cleaned"] == tags["job_badly_held"] == ["error"]
    assert tags["job_blocked"] == tags["job_skipped"] == tags["job_skips"] == ["skipped"]
    assert run.kinds["both"] == "run_error"


@both_paths
def test_output_stands_in_the_part_of_the_report_that_it_belongs_to(jobs, path):
    run = run_on(path, jobs, EVERYTHING, "-J1")
    failed = dict(run.of("failed")[1].sections)
    assert failed["Captured stdout setup"] == "wide up\nnarrow up\n"
    assert failed["Captured stdout call"] == "failed prints\n"
    assert "narrow logs" in failed["Captured log setup"]
    torn = dict(run.of("teardown_error")[2].sections)
    assert torn["Captured stdout teardown"] == "bad teardown prints\n"
    assert torn["Captured stderr teardown"] == "narrow down\n"
    better = dict(run.of("never_better")[1].sections)
    assert better["Captured stdout attempt 1"] == "attempt 1 prints\n"
    assert better["Captured stdout call"] == "attempt 2 prints\n"
    assert "ConnectionError: attempt 1" in better["attempt 1"]
    assert "bad cleanup prints" in str(run.of("badly_cleaned")[-1].sections)


@both_paths
def test_no_output_is_shown_twice_in_a_failure(jobs, path):
    run = run_on(path, jobs, "def job_a():\n print('once only')\n assert False", "-J1")
    assert run.text.count("once only") == 2, "in the traceback's source, and captured"


@both_paths
def test_a_report_lasts_as_long_as_the_phases_and_says_when_they_began(jobs, path):
    run = run_on(
        path,
        jobs,
        """
    import time
    def check_a(): time.sleep(0.01); return False
    def job_a(): time.sleep(0.01)
    def cleanup_a(): time.sleep(0.01)
    def job_b(): pass
    """,
    )
    record = run.jobs["a"]
    setup, call, teardown = run.of("a")
    phases = [phase for attempt in record.attempts for phase in attempt.phases]
    assert call.duration == pytest.approx(sum(phase.seconds for phase in phases))
    assert call.duration >= 0.03
    assert setup.duration == 0
    assert setup.start == call.start == phases[0].started_at
    assert call.stop == phases[-1].ended_at or call.stop == record.ended_at
    assert call.start < call.stop <= teardown.start
    assert run.of("b")[0].start >= 0


@both_paths
def test_durations_are_those_of_the_bodies(jobs, path):
    run = run_on(
        path,
        jobs,
        "import time\ndef job_slow(): time.sleep(0.02)\ndef job_fast(): pass",
        "--durations=1",
        "-vv",
    )
    run.stdout.re_match_lines([r"0\.0\ds call +job_it.py::job_slow"])


@both_paths
def test_r_a_lists_every_job(jobs, path):
    run = run_on(path, jobs, EVERYTHING, "-J1", "-rA")
    for name, outcome in run.outcomes.items():
        if outcome == "failed":
            assert re.search(
                rf"^(FAILED|ERROR) job_it.py::(job|check)_{re.escape(name)}", run.text, re.MULTILINE
            ), name
    lines = run.text.splitlines()
    assert "CHANGED job_it.py::job_changed" in lines
    assert "UNCHANGED job_it.py::job_holds" in lines
    assert any(line.startswith("ERROR job_it.py::job_broken - ") for line in lines)


def test_setup_show_shows_the_fixtures_of_jobs(jobs):
    run = jobs(
        """
    import pytest
    @pytest.fixture(scope="session")
    def wide(): yield
    @pytest.fixture
    def narrow(wide): yield
    def job_a(narrow): pass
    """,
        "--setup-show",
        "-v",
    )
    assert run.outcomes == {"a": "changed"}
    for line in (
        "SETUP    S wide",
        "SETUP    F narrow (fixtures used: wide)",
        "TEARDOWN F narrow",
        "TEARDOWN S wide",
    ):
        assert line in run.text, run.text


def test_fixtures_lists_those_of_jobtest_and_of_the_project(jobs):
    jobs.write(
        {
            "conftest.py": """
    import pytest
    @pytest.fixture
    def mine():
        '''A fixture of the project.'''
    """,
            "job_it.py": "def job_a(mine): raise AssertionError('never called')",
        }
    )
    run = jobs.run("--fixtures")
    for line in (
        "A fixture of the project.",
        "A dict of this attempt alone.",
        "Random numbers, seeded by run and job.",
    ):
        assert line in run.text
    assert run.ret == 0


def test_markers_lists_the_mark(jobs):
    run = jobs.run("--markers")
    run.stdout.fnmatch_lines(["@pytest.mark.job(needs=*"])


def test_fixtures_per_test_lists_jobs(jobs):
    run = jobs("def job_a(tmp_path): raise AssertionError('never called')", "--fixtures-per-test")
    assert "fixtures used by job_a" in run.text
    assert run.ret == 0


@both_paths
def test_x_stops_also_if_the_failure_is_reported_after_its_cleanup(jobs, path):
    run = run_on(
        path,
        jobs,
        """
    from seen import note
    def job_a(): note("a"); assert False
    def cleanup_a(): note("cleanup")
    def job_b(): note("b")
    """,
        "-x",
    )
    assert run.seen == ["a", "cleanup"]
    assert run.outcomes == {"a": "failed", "b": "cancelled"}
    assert run.ret == 1


@both_paths
def test_pytest_exit_lets_cleanups_run_and_all_be_reported(jobs, path):
    run = run_on(
        path,
        jobs,
        """
    import pytest
    from seen import note
    def job_a(): note("a"); pytest.exit("enough")
    def cleanup_a(): note("cleanup")
    def job_b(): note("b")
    """,
    )
    assert run.seen == ["a", "cleanup"]
    assert run.outcomes == {"a": "failed", "b": "cancelled"}
    assert run.reported("a") == [("setup", "passed"), ("call", "failed"), ("teardown", "passed")]
    assert "Exit: enough" in run.longrepr("a")
    assert run.ret == 2


@both_paths
def test_items_say_nothing_of_one_run_in_the_next(jobs, path):
    first = by_job(run_on(path, jobs, EVERYTHING, "-J1"))
    again = by_job(run_on(path, jobs, EVERYTHING, "-J1"))
    assert first == again
