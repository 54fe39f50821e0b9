import pytest

from jobtest.config.faults import read_faults
from jobtest.core.faults import Fault, FaultKind

GOOD = {
    "fail:popcorn": ("popcorn", Fault(FaultKind.FAIL)),
    "fail:popcorn@2": ("popcorn", Fault(FaultKind.FAIL, 2, 2)),
    " timeout : popcorn @1-3 ": ("popcorn", Fault(FaultKind.TIMEOUT, 1, 3)),
    "delay:popcorn=0.5": ("popcorn", Fault(FaultKind.DELAY, seconds=0.5)),
    "delay:popcorn=2@10": ("popcorn", Fault(FaultKind.DELAY, 10, 10, 2.0)),
    "kill:ops/job_a.py::job_a[x, y@2=3]": ("ops/job_a.py::job_a[x, y@2=3]", Fault(FaultKind.KILL)),
    "delay:a[b=1]=2": ("a[b=1]", Fault(FaultKind.DELAY, seconds=2.0)),
    "fail:me@home/job_a.py::job_a": ("me@home/job_a.py::job_a", Fault(FaultKind.FAIL)),
    "fail:me@home/job_a.py::job_a@1": ("me@home/job_a.py::job_a", Fault(FaultKind.FAIL, 1, 1)),
}

ATTEMPTS = "write @2 for one of them, @1-2 for the first two, nothing for all"
FORMS = "write fail:NAME, delay:NAME=SECONDS, timeout:NAME or kill:NAME"
BAD = {
    "": ("'' names no fault", FORMS),
    "popcorn": ("'popcorn': 'popcorn' is no fault", FORMS),
    "fial:popcorn": ("'fial:popcorn': 'fial' is no fault", "did you mean 'fail'?"),
    "burn:popcorn": ("'burn:popcorn': 'burn' is no fault", "there are: delay, fail, kill, timeout"),
    ":popcorn": ("':popcorn' names no fault", FORMS),
    "fail": ("'fail' does not say of which job", "write fail:NAME"),
    "kill:": ("'kill:' does not say of which job", "write kill:NAME"),
    "delay:": ("'delay:' does not say of which job", "write delay:NAME=SECONDS"),
    "delay:popcorn": ("'delay:popcorn' does not say for how many seconds", "write delay:popcorn=SECONDS"),
    "delay:a[b=1]": ("'delay:a[b=1]' does not say for how many seconds", "write delay:a[b=1]=SECONDS"),
    "delay:popcorn=": ("'delay:popcorn=': a delay is a number of seconds > 0", "write delay:popcorn=2"),
    "delay:=2": ("'delay:=2' does not say of which job", "write delay:NAME=SECONDS"),
    "delay:popcorn=soon": (
        "'delay:popcorn=soon': a delay is a number of seconds > 0",
        "write delay:popcorn=2",
    ),
    "delay:popcorn=0": ("'delay:popcorn=0': a delay is a number of seconds > 0", "write delay:popcorn=2"),
    "delay:popcorn=inf": ("'delay:popcorn=inf': a delay is a number of seconds > 0", "write delay:popcorn=2"),
    "delay:popcorn=nan": ("'delay:popcorn=nan': a delay is a number of seconds > 0", "write delay:popcorn=2"),
    "fail:popcorn@0": ("'fail:popcorn@0': attempts are counted from 1", ATTEMPTS),
    "fail:popcorn@": ("'fail:popcorn@': attempts are counted from 1", ATTEMPTS),
    "fail:popcorn@last": ("'fail:popcorn@last': attempts are counted from 1", ATTEMPTS),
    "fail:popcorn@3-2": ("'fail:popcorn@3-2': attempts are counted from 1", ATTEMPTS),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_fault_is_read(text):
    (asked,), problems = read_faults(text, "--job-inject")
    assert ((asked.job, asked.fault), problems) == (GOOD[text], [])
    assert asked.text == text.strip()


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_fault_is_told_with_what_to_write(text):
    asked, (problem,) = read_faults(text, "--job-inject")
    assert asked == []
    assert (problem.what, problem.fix) == (f"--job-inject {BAD[text][0]}", BAD[text][1])


def test_faults_are_separated_by_commas_that_are_not_in_an_id():
    asked, problems = read_faults("fail:a[1,2], kill:b,burn:c,,delay:d[x,y]=1", "--job-inject")
    assert [one.text for one in asked] == ["fail:a[1,2]", "kill:b", "delay:d[x,y]=1"]
    assert [problem.what for problem in problems] == [
        "--job-inject 'burn:c': 'burn' is no fault",
        "--job-inject '' names no fault",
    ]
