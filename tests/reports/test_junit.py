"""JUnit XML: one testcase a job, well-formed whatever it holds, and the structure that Jenkins asks for."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_scenes import NASTY

from jobtest.core.graph import Graph
from jobtest.core.model import Failure, Job, Kind, Outcome, Phase, Verdict
from jobtest.core.planner import make_plan
from jobtest.core.summary import AttemptRecord, PhaseRecord, Summary, summarize
from jobtest.reports.junit import junit_xml
from jobtest.state.store import RunRecord
from tests.cli.journals import SHOP, STARTED, Journal, shop

ANY = "any text"
TIME = re.compile(r"\d+\.\d{3}")
REST = {"stackTrace": {}, "system-out": {}, "system-err": {}}
AGAIN = {"message": ANY, "type!": ANY}
RESULT = {"type": ANY, "message": ANY}
SCHEMA = {
    "testsuites": ({"name": ANY}, {"testsuite"}),
    "testsuite": (
        {"name!": ANY, "tests!": ANY, "failures!": ANY, "errors!": ANY, "skipped": ANY, "time": TIME}
        | {"timestamp": ANY, "hostname": ANY},
        {"testcase"},
    ),
    "testcase": (
        {"name!": ANY, "time": ANY, "classname": ANY},
        {"failure", "error", "skipped", "rerunFailure", "flakyFailure", "system-out", "system-err"},
    ),
    "properties": ({}, {"property"}),
    "property": ({"name!": ANY, "value!": ANY}, set()),
    "failure": (RESULT, set()),
    "error": (RESULT, set()),
    "skipped": (RESULT, set()),
    "rerunFailure": (AGAIN, set(REST)),
    "flakyFailure": (AGAIN, set(REST)),
    **{tag: ({}, set()) for tag in REST},
}
"""Of the schema of Jenkins what is used here: attributes (with ! if required) and children by element."""


def fits(element):
    """Check an element against the schema, but for the properties of a testcase: pytest writes them, too."""
    attributes, children = SCHEMA[element.tag]
    assert set(element.keys()) <= {name.rstrip("!") for name in attributes}
    for name, rule in attributes.items():
        assert not name.endswith("!") or name.rstrip("!") in element.keys()  # noqa: SIM118 - an element is no mapping
        if rule is TIME:
            assert TIME.fullmatch(element.get(name))
    inside = [child.tag for child in element]
    if element.tag == "testcase":
        assert inside.pop(0) == "properties"
    if "stackTrace" in children:
        assert inside == [tag for tag in REST if tag in inside]
    assert set(inside) <= children
    for child in element:
        fits(child)


def read(summary, **how):
    """Return the suite of a summary, after checking its structure."""
    suites = ElementTree.fromstring(junit_xml(summary, **how).encode("utf-8"))
    fits(suites)
    (suite,) = suites
    return suite


def cases(summary, **how):
    return {case.get("name"): case for case in read(summary, **how)}


def properties(case):
    return {one.get("name"): one.get("value") for one in case.iterfind("properties/property")}


def results(case):
    return [(one.tag, one.get("type")) for one in case if one.tag in ("failure", "error", "skipped")]


def one_job(outcome=None, **rest):
    """A summary with one job."""
    journal = Journal(make_plan(Graph([Job.of("a", has_cleanup=True)])))
    return journal if outcome is None else journal.ends("a", outcome, **rest)


# --- what is in it ---


def test_each_job_is_one_testcase_in_the_order_of_definition():
    journal = shop()
    names = [case.get("name") for case in read(journal.summary)]
    assert names == [id.removeprefix(SHOP) for id in journal.plan.graph.jobs]


def test_how_a_job_ended_is_its_result():
    found = {name.removeprefix("job_"): results(case) for name, case in cases(shop().summary).items()}
    assert found == {
        "steady": [],
        "fetch": [],
        "flaky": [],
        "deploy[eu]": [("failure", "check_failed")],
        "deploy[us]": [],
        "smoke": [("skipped", "blocked")],
        "mail": [("skipped", "blocked")],
        "typo": [("error", "broken_check")],
        "bare": [("error", "setup_error")],
        "elsewhere": [("skipped", "skipped")],
        "untidy": [("error", "teardown")],
    }


def test_totals_count_results_and_tests_count_jobs():
    suite = read(shop().summary)
    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "11", "failures": "1", "errors": "3", "skipped": "3"}


@pytest.mark.parametrize("kind", Kind)
def test_a_failure_before_the_call_is_an_error(kind):
    (case,) = read(one_job(Outcome.FAILED, reason="why", kind=kind).summary)
    error = kind in (Kind.SETUP_ERROR, Kind.BROKEN_CHECK, Kind.CRASHED)
    assert results(case) == [("error" if error else "failure", kind.value)]


@pytest.mark.parametrize("outcome", set(Outcome) - {Outcome.FAILED})
def test_what_is_no_failure_passes_or_is_skipped_with_the_reason(outcome):
    (case,) = read(one_job(outcome, reason="why").summary)
    passes = outcome in (Outcome.CHANGED, Outcome.UNCHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN)
    assert results(case) == ([] if passes else [("skipped", outcome.value)])
    assert [one.get("message") for one in case.iterfind("skipped")] == ([] if passes else ["why"])


def test_a_failure_has_the_reason_and_the_traceback_of_the_last_attempt_alone():
    failure = cases(shop().summary)["job_deploy[eu]"].find("failure")
    assert failure.get("message") == "check did not hold after the run: '1.4' == '1.5'"
    assert failure.text == "E   AssertionError: '1.4' == '1.5'"


def test_a_failed_run_and_its_recheck_are_both_told():
    journal = Journal(make_plan(Graph([Job.of("a", check=True)])))
    journal.phase("a", Phase.CHECK, Verdict.NOT_HOLDING, "AssertionError: first")
    journal.phase("a", Phase.RUN, Verdict.RAISED, "OSError: second")
    journal.phase("a", Phase.RECHECK, Verdict.NOT_HOLDING, "AssertionError: third")
    journal.ends("a", Outcome.FAILED, "run raised", Kind.RUN_ERROR)
    (case,) = read(journal.summary)
    assert case.find("failure").text == (
        "--- run ---\nE   OSError: second\n--- recheck ---\nE   AssertionError: third"
    )


def test_a_blocked_job_names_its_root_cause():
    skipped = cases(shop().summary)["job_mail"].find("skipped")
    assert skipped.text == (
        "upstream deploy[eu] failed\n"
        f"root cause: {SHOP}job_deploy[eu]: check did not hold after the run: '1.4' == '1.5'"
    )


def test_a_success_after_retries_carries_the_earlier_attempts():
    case = cases(shop().summary)["job_flaky"]
    (flaky,) = case.iterfind("flakyFailure")
    assert (flaky.get("type"), flaky.get("message")) == ("run_error", "ConnectionError: no route")
    assert flaky.findtext("stackTrace") == "E   ConnectionError: no route"
    assert flaky.findtext("system-err") == "try\n"
    assert case.findtext("system-out") == "there\n"
    assert case.findtext("system-err") == "--- log ---\nINFO it works\n"


@pytest.mark.parametrize(
    ("phases", "kind"),
    [
        ([(Phase.CHECK, Verdict.NOT_HOLDING)], "check_failed"),
        ([(Phase.RUN, Verdict.SETUP_ERROR)], "setup_error"),
        ([(Phase.RUN, Verdict.RAISED)], "run_error"),
        ([(Phase.RUN, Verdict.RAISED), (Phase.RECHECK, Verdict.NOT_HOLDING)], "run_error"),
        ([(Phase.RUN, Verdict.OK), (Phase.RECHECK, Verdict.NOT_HOLDING)], "check_failed"),
    ],
)
def test_earlier_attempts_of_a_failure_are_reruns_each_with_its_kind(phases, kind):
    journal = Journal(make_plan(Graph([Job.of("a", check=phases[0][0] is Phase.CHECK)])))
    for phase, verdict in phases:
        journal.phase("a", phase, verdict, None if verdict is Verdict.OK else "E: wrong")
    first = phases[0][0]
    journal.phase("a", first, Verdict.SETUP_ERROR, "RuntimeError: last", attempt=2)
    journal.ends("a", Outcome.FAILED, "it failed", Kind.SETUP_ERROR)
    (case,) = read(journal.summary)
    assert [(one.get("type"), one.get("message")) for one in case.iterfind("rerunFailure")] == [
        (kind, "E: wrong")
    ]
    assert [one.text for one in case.iterfind("error")] == ["E   RuntimeError: last"]


def test_a_job_that_failed_and_whose_cleanup_raised_is_one_testcase_with_both():
    journal = one_job().phase("a", Phase.RUN, Verdict.RAISED, "ValueError: x")
    journal.ends("a", Outcome.FAILED, "run raised", Kind.RUN_ERROR)
    journal.phase("a", Phase.CLEANUP, Verdict.RAISED, "KeyError: y")
    suite = read(journal.summary)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "1")
    assert [one.get("message") for one in suite.iter("error")] == [
        'failed on teardown with "cleanup: KeyError: y"'
    ]


def test_times_are_those_of_the_journal():
    suite = read(shop().summary)
    assert suite.get("timestamp") == "2026-01-31T10:00:00.000000Z"
    case = suite.find("testcase[@name='job_fetch']")
    assert case.get("time") == "0.250"
    assert properties(case)["jobtest.started_at"] == "2026-01-31T10:00:01.250000Z"


def test_properties_say_outcome_attempts_reason_and_run():
    case = cases(shop().summary)["job_flaky"]
    assert properties(case) == {
        "jobtest.outcome": "changed",
        "jobtest.attempts": "2",
        "jobtest.reason": "no check; a leaf",
        "jobtest.run_id": shop().run,
        "jobtest.started_at": "2026-01-31T10:00:02.000000Z",
    }


def test_a_job_that_never_started_has_no_start():
    assert "jobtest.started_at" not in properties(cases(shop().summary)["job_mail"])


@pytest.mark.parametrize(
    ("stderr", "log", "both"),
    [
        ("", "", None),
        ("a", "", "a"),
        ("", "b", "--- log ---\nb"),
        ("a", "b", "a\n--- log ---\nb"),
        ("a\n", "b", "a\n--- log ---\nb"),
    ],
)
def test_what_was_logged_comes_after_what_was_printed(stderr, log, both):
    journal = one_job().phase("a", Phase.RUN, stderr=stderr, log=log).ends("a", Outcome.CHANGED)
    (case,) = read(journal.summary)
    assert case.findtext("system-err") == both


def test_the_machine_is_that_of_the_record():
    assert read(shop().summary).get("hostname") == ""
    assert read(shop().summary, record=RunRecord(id="r", host="ci\x07")).get("hostname") == r"ci\x07"


# --- runs that were killed ---


def test_a_job_without_an_outcome_is_an_error_that_says_how_far_it_came():
    plan = make_plan(Graph([Job.of("a"), Job.of("b"), Job.of("c")]))
    journal = Journal(plan).phase("a", Phase.RUN, Verdict.RAISED, "OSError: no")
    journal.phase("b", Phase.RUN)
    summary = summarize(plan, journal.entries[:-1])
    errors = {name: case.find("error") for name, case in cases(summary).items()}
    assert {name: error.get("message") for name, error in errors.items()} == dict.fromkeys(
        "abc", "the run was killed"
    )
    assert {name: error.text for name, error in errors.items()} == {
        "a": "the run of attempt 1 had ended\nE   OSError: no",
        "b": "the run of attempt 1 was under way",
        "c": "it had not started",
    }
    assert {error.get("message") for error in read(summary, running=True).iter("error")} == {
        "the run has not ended yet"
    }


def test_a_cleanup_that_a_kill_cut_short_is_an_error():
    journal = one_job().phase("a", Phase.RUN).ends("a", Outcome.CHANGED).phase("a", Phase.CLEANUP)
    assert read(journal.summary).get("errors") == "0"
    (error,) = read(summarize(journal.plan, journal.entries[:-1])).iter("error")
    assert error.get("message") == 'failed on teardown with "cleanup: the run was killed"'


def test_a_run_cut_anywhere_is_a_whole_report():
    journal = shop()
    for length in range(len(journal.entries)):
        suite = read(summarize(journal.plan, journal.entries[:length]))
        unended = [one for one in suite.iter("error") if one.get("type") == "unended"]
        ended = sum(type(one.event).__name__ == "JobEnded" for one in journal.entries[:length])
        assert (suite.get("tests"), len(suite), len(unended)) == ("11", 11, 11 - ended)


# --- names ---


@pytest.mark.parametrize(
    ("id", "classname", "name"),
    [
        ("job_x.py::job_a", "job_x", "job_a"),
        ("dir/job_x.py::job_a[1]", "dir.job_x", "job_a[1]"),
        ("a.b/job.py.py::job_a[x::y/z.py[]]", "a.b.job.py", "job_a[x::y/z.py[]]"),
        ("dir[1]/job_x.py::job_a", "dir[1].job_x", "job_a"),
        ("job_x.py::One::job_a[::]", "job_x.One", "job_a[::]"),
        ("ops/job_x.toml::backup", "ops.job_x.toml", "backup"),
        ("build", "", "build"),
        ("dir/build.py", "", "dir/build.py"),
    ],
)
def test_names_are_those_that_pytest_gives(id, classname, name):
    (case,) = read(Summary(make_plan(Graph([Job(id=id)]))))
    assert (case.get("classname"), case.get("name")) == (classname, name)


# --- whatever it holds ---


def readable(text):
    """Return what a reader of XML gets to see of a text."""
    shown = "".join(one.encode("unicode_escape").decode() if hidden(ord(one)) else one for one in text)
    return shown.replace("\r\n", "\n").replace("\r", "\n")


def hidden(point):
    allowed = point in (9, 10, 13) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point > 0xFFFF
    return not allowed or 0x7F <= point <= 0x9F


@pytest.mark.rarely
def test_every_code_point_is_shown_or_visibly_escaped():
    everything = "".join(map(chr, range(0x110000)))
    journal = one_job().phase(
        "a", Phase.RUN, Verdict.RAISED, Failure("m", "E", everything), stdout=everything
    )
    (case,) = read(journal.ends("a", Outcome.FAILED, everything, Kind.RUN_ERROR).summary)
    assert case.find("failure").text == readable(everything)
    assert case.findtext("system-out") == readable(everything)
    reason = properties(case)["jobtest.reason"]
    assert reason == "".join(
        one.encode("unicode_escape").decode() if hidden(ord(one)) else one for one in everything
    )
    assert r"\x00\x01" in reason
    assert r"\x1b" in reason
    assert r"\ud800" in reason
    assert r"\uffff" in reason


texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(), max_size=8))
failures = st.builds(Failure, texts, texts, texts)
phases = st.builds(
    PhaseRecord,
    st.sampled_from(Phase),
    st.floats(STARTED, STARTED + 9),
    st.one_of(st.none(), st.floats(STARTED + 9, STARTED + 99)),
    st.one_of(st.none(), st.sampled_from(Verdict)),
    st.one_of(st.none(), failures),
)
attempts = st.builds(
    AttemptRecord, st.integers(1, 9), st.lists(phases, max_size=3), stdout=texts, stderr=texts, log=texts
)


@st.composite
def summaries(draw):
    """Draw what no engine would write: anything that a record can hold, under any ids."""
    ids = draw(st.lists(texts, unique=True, max_size=4))
    summary = Summary(make_plan(Graph([Job(id=id) for id in ids])))
    summary.run_id, summary.started_at = draw(texts), STARTED
    for record in summary.jobs.values():
        record.outcome = draw(st.one_of(st.none(), st.sampled_from(Outcome)))
        record.kind = draw(st.one_of(st.none(), st.sampled_from(Kind)))
        record.reason = draw(texts)
        record.causes = tuple(draw(st.lists(st.sampled_from([*ids, "gone"]), max_size=2)))
        record.started_at = draw(st.one_of(st.none(), st.floats(STARTED, STARTED + 9)))
        record.attempts = draw(st.lists(attempts, max_size=3))
        record.close, record.cleanup = draw(st.tuples(*[st.one_of(st.none(), phases)] * 2))
    return summary


@given(summaries(), st.booleans())
def test_whatever_a_run_holds_it_is_well_formed_and_counts_agree(summary, running):
    suite = read(summary, running=running)
    assert int(suite.get("tests")) == len(suite) == len(summary.jobs)
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(total)) == len(list(suite.iter(tag)))
    for case, record in zip(suite, summary.jobs.values(), strict=True):
        earlier = [one.tag for one in case if one.tag in ("rerunFailure", "flakyFailure")]
        assert len(earlier) == max(0, len(record.attempts) - 1)
        good = record.outcome in (Outcome.CHANGED, Outcome.UNCHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN)
        assert set(earlier) <= ({"flakyFailure"} if good else {"rerunFailure"})
        ended_well = good and all(one is None or one.ok for one in (record.close, record.cleanup))
        assert ended_well == (not results(case))
