"""References by label, and references whose condition does not apply."""

from dataclasses import replace

from jobtest.core.model import EdgeKind
from jobtest.core.names import Definition, Instance, Reference, link


def wants(target, kind=EdgeKind.NEEDS, **more):
    return Reference(target, kind, "here", **more)


def define(name, *references, regions=(), **labels):
    id = f"job_it.py::job_{name}"
    made = tuple(
        Instance(f"{id}[{one}]", {"region": one}, ((("region",), one),)) for one in regions
    ) or (Instance(id, {}),)  # fmt: skip
    return Definition(id, name, "job_it.py", f"job_it.py:1 job_{name}", made, references, labels)


def upstream(*definitions, of):
    """What each instance of the job `of` waits for, in order."""
    links, problems = link(definitions)
    assert not problems, "\n".join(map(str, problems))
    (instances,) = (one.instances for one in definitions if one.name == of)
    return [
        [edge.upstream.partition("::job_")[2] for edge in links[instance.id].edges] for instance in instances
    ]


def test_a_label_means_all_jobs_that_have_it_in_definition_order():
    found = upstream(
        define("one", tier="db"),
        define("app", wants("label:tier=db")),
        define("other", tier="web"),
        define("two", tier="db", team="a"),
        of="app",
    )
    assert found == [["one", "two"]]


def test_a_label_never_means_the_job_itself():
    found = upstream(
        define("one", wants("label:tier=db"), regions=["eu", "us"], tier="db"),
        define("two", tier="db"),
        of="one",
    )
    assert found == [["two"], ["two"]]


def test_a_label_that_nobody_has_is_fine():
    assert upstream(define("app", wants("label:tier=db")), of="app") == [[]]


def test_a_label_may_be_followed_only():
    links, _ = link([define("one", tier="db"), define("app", wants("label:tier=db", EdgeKind.AFTER))])
    (edge,) = links["job_it.py::job_app"].edges
    assert edge.kind is EdgeKind.AFTER


def test_labelled_jobs_are_joined_on_shared_parameters_and_those_that_do_not_fit_are_left_out():
    found = upstream(
        define("one", regions=["eu", "us"], tier="db"),
        define("two", regions=["us"], tier="db"),
        define("app", wants("label:tier=db"), regions=["eu", "asia"]),
        of="app",
    )
    assert found == [["one[eu]"], []]


def test_the_value_of_a_label_may_hold_an_equals_sign():
    labelled = replace(define("one"), labels={"a": "b=c"})
    assert upstream(labelled, define("app", wants("label:a=b=c")), of="app") == [["one"]]


def test_what_does_not_apply_makes_no_edge_and_must_mean_something_all_the_same():
    app = define("app", wants("one", applies=False), wants("label:tier=db", applies=False))
    assert upstream(define("one", tier="db"), app, of="app") == [[]]
    _, (problem,) = link([define("app", wants("oen", applies=False)), define("one")])
    assert problem.what == "job 'app' needs 'oen', which is not a job"
    assert problem.fix == "did you mean 'one' (job_it.py:1)?"
