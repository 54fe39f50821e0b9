"""Jobs and failures as data."""

import pytest

from jobtest.core.model import Edge, EdgeKind, Failure, Job, Take


def test_the_name_of_a_job_is_its_id_if_none_is_given():
    assert Job(id="a.py::job_a").name == "a.py::job_a"
    assert Job(id="a.py::job_a", name="a").name == "a"


def test_people_see_the_name_with_its_parameters():
    job = Job(id="a.py::job_a[eu-1]", name="a", params={"region": "eu", "size": 1})
    assert job.label == "a[eu-1]"
    assert Job(id="a.py::job_a", name="a").label == "a"
    assert Job(id="odd[id]", name="a").label == "a"
    assert Job(id="odd", name="a", params={"region": "eu"}).label == "a"


def test_the_short_form_makes_edges_of_all_kinds():
    job = Job.of("d", takes=["a"], needs=["b"], after=["c"], check=True, priority=3)
    assert job.edges == (
        Edge("a", EdgeKind.VALUE),
        Edge("b", EdgeKind.NEEDS),
        Edge("c", EdgeKind.AFTER),
    )
    assert job.takes == (Take("a", ("a",)),)
    assert (job.has_check, job.priority) == (True, 3)


def test_the_short_form_makes_a_job_without_a_check():
    assert not Job.of("a").has_check


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure("it is red"), "it is red"),
        (Failure("", "KeyboardInterrupt"), "KeyboardInterrupt"),
        (Failure("1 == 2", "AssertionError"), "1 == 2"),
        (Failure("no route", "OSError"), "OSError: no route"),
    ],
)
def test_a_failure_reads_as_one_line(failure, said):
    assert str(failure) == said
