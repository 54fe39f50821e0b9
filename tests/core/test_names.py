"""From names to ids: nearest first, joined on shared parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.core.model import Edge, EdgeKind, Take
from jobtest.core.names import Definition, Instance, Reference, link, pick


def takes(name, target=None, at="here"):
    return Reference(target or name, EdgeKind.VALUE, at, name)


def needs(target, kind=EdgeKind.NEEDS):
    return Reference(target, kind, "here")


def define(path, name, *references, line=1, instances=None):
    id = f"{path}::job_{name}"
    made = instances(id) if instances else (Instance(id, {}),)
    return Definition(id, name, path, f"{path}:{line} job_{name}", made, references)


def over(**lists):
    """Return a maker of instances: the product of the lists, each list being one group of its own."""

    def make(id):
        found = [({}, ())]
        for name, values in lists.items():
            found = [
                ({**params, name: value}, (*groups, ((name,), str(value))))
                for params, groups in found
                for value in values
            ]
        return tuple(
            Instance(f"{id}[{'-'.join(text for _, text in groups)}]", params, groups)
            for params, groups in found
        )

    return make


def linked(*definitions, fixtures=()):
    links, problems = link(definitions, fixtures)
    assert not problems, "\n".join(map(str, problems))
    return links


def problems(*definitions, fixtures=()):
    return [str(problem) for problem in link(definitions, fixtures)[1]]


def target_of(*definitions):
    """Return what the last definition asks for first."""
    return linked(*definitions)[definitions[-1].instances[0].id].edges[0].upstream


# --- nearest first ---


def test_a_job_of_the_same_file_is_nearest():
    found = target_of(
        define("a/job_x.py", "build"),
        define("a/job_y.py", "build"),
        define("a/job_x.py", "app", takes("build")),
    )
    assert found == "a/job_x.py::job_build"


def test_then_a_job_of_the_same_folder():
    found = target_of(
        define("a/job_x.py", "build"),
        define("job_y.py", "build"),
        define("a/job_z.py", "app", takes("build")),
    )
    assert found == "a/job_x.py::job_build"


def test_then_one_of_the_parent_folders_upward():
    found = target_of(
        define("a/job_x.py", "build"),
        define("job_y.py", "build"),
        define("other/job_z.py", "build"),
        define("a/b/c/job_z.py", "app", takes("build")),
    )
    assert found == "a/job_x.py::job_build"


def test_then_the_rootdir():
    found = target_of(
        define("other/job_x.py", "build"),
        define("job_y.py", "build"),
        define("a/b/job_z.py", "app", takes("build")),
    )
    assert found == "job_y.py::job_build"


def test_then_the_only_one_anywhere():
    assert (
        target_of(define("far/job_x.py", "build"), define("a/job_z.py", "app", takes("build")))
        == "far/job_x.py::job_build"
    )


def test_a_full_reference_needs_no_nearness():
    reference = takes("build", "far/job_x.py::job_build")
    found = target_of(
        define("far/job_x.py", "build"), define("a/job_z.py", "build"), define("a/job_z.py", "app", reference)
    )
    assert found == "far/job_x.py::job_build"


def test_a_name_may_be_spelled_as_the_function():
    assert target_of(define("a.py", "build"), define("a.py", "app", takes("job_build"))) == "a.py::job_build"


def test_two_at_one_distance_are_an_error_with_both_places():
    asks = define("a/job_z.py", "app", takes("build", at="a/job_z.py:7 job_app"))
    assert problems(define("a/job_x.py", "build"), define("a/job_y.py", "build", line=4), asks) == [
        "job 'app' asks for 'build', which is more than one job\n"
        "  at: a/job_z.py:7 job_app\n"
        "  at: a/job_x.py:1 job_build\n"
        "  at: a/job_y.py:4 job_build\n"
        '  fix: say which: @pytest.mark.job(needs={"build": "a/job_x.py::job_build"})'
    ]


def test_two_anywhere_are_an_error_too():
    asks = define("a/job_z.py", "app", needs("build"))
    (said,) = problems(define("b/job_x.py", "build"), define("c/job_y.py", "build"), asks)
    assert said.endswith('  fix: say which: "b/job_x.py::job_build"')


# --- unknown names ---


def test_an_unknown_parameter_names_the_nearest_job_with_its_place():
    assert problems(define("b/job_x.py", "build", line=4), define("a.py", "app", takes("biuld"))) == [
        "job 'app' asks for 'biuld', which is neither a job nor a fixture\n"
        "  at: here\n"
        "  fix: did you mean 'build' (b/job_x.py:4)?"
    ]


def test_an_unknown_parameter_names_the_nearest_fixture():
    (said,) = problems(define("a.py", "app", takes("tmp_pth")), fixtures=["tmp_path"])
    assert said.endswith("  fix: did you mean 'tmp_path'?")


def test_an_unknown_parameter_that_is_like_nothing_lists_what_there_is_but_not_the_job_itself():
    (said,) = problems(define("a.py", "app", takes("xyz")), define("a.py", "web"), fixtures=["cache"])
    assert said.endswith("  fix: jobs and fixtures are: cache, web")


def test_an_unknown_need_is_not_a_job():
    assert problems(define("a.py", "build"), define("a.py", "app", needs("biuld"))) == [
        "job 'app' needs 'biuld', which is not a job\n  at: here\n  fix: did you mean 'build' (a.py:1)?"
    ]


def test_an_unknown_job_to_come_after_is_not_a_job():
    (said,) = problems(define("a.py", "app", needs("xyz", EdgeKind.AFTER)))
    assert said == "job 'app' comes after 'xyz', which is not a job\n  at: here\n  fix: jobs are: app"


def test_an_unknown_full_reference_names_the_nearest_one():
    (said,) = problems(define("a.py", "build"), define("a.py", "app", takes("build", "a.py::job_biuld")))
    assert said.startswith("job 'app' needs 'a.py::job_biuld', which is not a job\n")
    assert said.endswith("  fix: did you mean 'a.py::job_build'?")


def test_an_unknown_instance_lists_those_that_there_are():
    upstream = define("a.py", "build", instances=over(region=["eu", "us"]))
    assert problems(upstream, define("a.py", "app", needs("build[xx]"))) == [
        "job 'app' needs 'build[xx]', which is not a job\n"
        "  at: here\n"
        "  fix: its instances are: a.py::job_build[eu], a.py::job_build[us]"
    ]


def test_every_problem_is_told_and_the_rest_is_linked():
    links, told = link(
        [define("a.py", "build"), define("a.py", "app", takes("x"), takes("build"), needs("y"))]
    )
    assert len(told) == 2
    assert links["a.py::job_app"].takes == (Take("build", ("a.py::job_build",)),)


# --- parameters ---


def test_shared_parameters_join():
    up = define("a.py", "build", instances=over(region=["eu", "us"]))
    down = define("a.py", "app", takes("build"), instances=over(region=["us", "eu"]))
    links = linked(up, down)
    assert links["a.py::job_app[eu]"].takes == (Take("build", ("a.py::job_build[eu]",)),)
    assert links["a.py::job_app[us]"].edges == (Edge("a.py::job_build[us]", EdgeKind.VALUE, "here"),)


def test_what_only_the_upstream_has_is_gathered_in_definition_order():
    ids = ["z last", "ä ö", "a"]
    up = define("a.py", "build", instances=over(lang=ids))
    (take,) = linked(up, define("a.py", "app", takes("build")))["a.py::job_app"].takes
    assert take == Take("build", tuple(f"a.py::job_build[{id}]" for id in ids), tuple(ids))


def test_what_is_gathered_of_one_instance_is_still_a_dict():
    up = define("a.py", "build", instances=over(lang=["en"]))
    (take,) = linked(up, define("a.py", "app", takes("build")))["a.py::job_app"].takes
    assert take.keys == ("en",)


def test_an_upstream_without_parameters_is_taken_by_each_instance():
    links = linked(define("a.py", "build"), define("a.py", "app", takes("build"), instances=over(n=[1, 2])))
    assert [links[f"a.py::job_app[{n}]"].takes for n in (1, 2)] == [
        (Take("build", ("a.py::job_build",)),)
    ] * 2


def test_joins_and_gathers_work_together_three_levels_deep():
    scan = define("a.py", "scan", instances=over(region=["eu", "us"], disk=["c", "d"], kind=["x", "y"]))
    report = define("a.py", "report", takes("scan"), instances=over(disk=["d", "c"], region=["eu", "us"]))
    total = define("a.py", "total", takes("report"), instances=over(region=["us", "eu"]))
    end = define("a.py", "end", takes("total"))
    links = linked(scan, report, total, end)
    assert links["a.py::job_report[d-us]"].takes == (
        Take("scan", ("a.py::job_scan[us-d-x]", "a.py::job_scan[us-d-y]"), ("x", "y")),
    )
    assert links["a.py::job_total[eu]"].takes == (
        Take("report", ("a.py::job_report[d-eu]", "a.py::job_report[c-eu]"), ("d", "c")),
    )
    assert links["a.py::job_end"].takes == (
        Take("total", ("a.py::job_total[us]", "a.py::job_total[eu]"), ("us", "eu")),
    )


def test_two_lists_that_are_gathered_make_one_id():
    up = define("a.py", "build", instances=over(lang=["en", "de"], size=[1]))
    (take,) = linked(up, define("a.py", "app", takes("build")))["a.py::job_app"].takes
    assert take.keys == ("en-1", "de-1")


def test_names_that_were_parametrised_together_keep_their_id():
    pair = tuple(
        Instance(f"a.py::job_b[{x}{y}]", {"x": x, "y": y}, ((("x", "y"), f"{x}{y}"),))
        for x in "ab"
        for y in "12"
    )
    up = Definition("a.py::job_b", "b", "a.py", "a.py:1 job_b", pair)
    links = linked(up, define("a.py", "app", takes("b"), instances=over(x=["a", "b"])))
    assert links["a.py::job_app[a]"].takes == (
        Take("b", ("a.py::job_b[a1]", "a.py::job_b[a2]"), ("a1", "a2")),
    )


def test_one_and_true_and_one_point_zero_are_different_parameters():
    up = define("a.py", "build", instances=over(n=[1, True, 1.0]))
    links = linked(up, define("a.py", "app", takes("build"), instances=over(n=[True])))
    assert links["a.py::job_app[True]"].takes == (Take("build", ("a.py::job_build[True]",)),)


def test_an_instance_can_be_asked_for_by_its_id():
    up = define("a.py", "build", instances=over(region=["eu", "us"]))
    links = linked(up, define("a.py", "app", takes("build", "build[us]"), needs("build[eu]")))
    assert links["a.py::job_app"].takes == (Take("build", ("a.py::job_build[us]",)),)
    assert [edge.upstream for edge in links["a.py::job_app"].edges] == [
        "a.py::job_build[us]",
        "a.py::job_build[eu]",
    ]


def test_needs_makes_edges_and_takes_nothing():
    up = define("a.py", "build", instances=over(region=["eu", "us"]))
    found = linked(up, define("a.py", "app", needs("build"), needs("build")))["a.py::job_app"]
    assert [edge.upstream for edge in found.edges] == ["a.py::job_build[eu]", "a.py::job_build[us]"]
    assert found.takes == ()


def test_a_combination_that_does_not_exist_is_an_error():
    up = define("a.py", "build", instances=over(region=["eu"], size=[1]))
    asks = define("b.py", "app", takes("build"), instances=over(region=["us"], size=[1]))
    assert problems(up, asks) == [
        "job 'b.py::job_app[us-1]' asks for 'build' with region='us', size=1, which does not exist\n"
        "  at: here\n"
        "  at: a.py:1 job_build\n"
        "  fix: its instances are: a.py::job_build[eu-1]"
    ]


def test_two_instances_of_one_id_cannot_be_gathered():
    same = tuple(Instance(f"a.py::job_b[{n}]", {"n": n}, ((("n",), "same"),)) for n in (1, 2))
    up = Definition("a.py::job_b", "b", "a.py", "a.py:1 job_b", same)
    assert problems(up, define("a.py", "app", takes("b"))) == [
        "job 'app' gathers 'b', and two of its instances have the id 'same'\n"
        "  at: here\n"
        "  at: a.py:1 job_b\n"
        "  fix: give them ids of their own"
    ]
    assert problems(up, define("a.py", "app", needs("b"))) == []


def test_two_instances_of_the_same_parameters_cannot_be_told_apart():
    same = tuple(Instance(f"a.py::job_b[{n}]", {"n": 1}, ((("n",), str(n)),)) for n in "xy")
    up = Definition("a.py::job_b", "b", "a.py", "a.py:1 job_b", same)
    (said,) = problems(up, define("a.py", "app", takes("b"), instances=over(n=[1])))
    assert said.startswith("job 'app' gathers 'b', and two of its instances have the id ''\n")


@given(st.permutations(["a", "b", "c", "d"]), st.permutations([1, 2, 3]))
def test_linking_does_not_depend_on_the_order_of_definitions(names, values):
    made = {
        "a": define("a.py", "a", instances=over(n=values)),
        "b": define("a.py", "b", takes("a"), instances=over(n=[1, 2])),
        "c": define("x/a.py", "c", takes("b"), needs("a")),
        "d": define("x/a.py", "d", takes("c"), takes("a[3]")),
    }
    links = linked(*(made[name] for name in names))
    assert links["a.py::job_b[2]"].takes == (Take("a", ("a.py::job_a[2]",)),)
    assert links["x/a.py::job_c"].takes == (Take("b", ("a.py::job_b[1]", "a.py::job_b[2]"), ("1", "2")),)
    assert [edge.upstream for edge in links["x/a.py::job_c"].edges[2:]] == [
        f"a.py::job_a[{n}]" for n in values
    ]
    assert links["x/a.py::job_d"].takes[1] == Take("a[3]", ("a.py::job_a[3]",))


# --- names from options ---


def test_an_option_names_all_instances_or_one():
    up = define("a.py", "build", instances=over(region=["eu", "us"]))
    assert pick([up], "build", "--job-only") == (["a.py::job_build[eu]", "a.py::job_build[us]"], [])
    assert pick([up], "job_build[us]", "--job-only") == (["a.py::job_build[us]"], [])
    assert pick([up], "a.py::job_build[us]", "--job-only") == (["a.py::job_build[us]"], [])


@pytest.mark.parametrize(
    ("spelled", "fix"),
    [
        ("biuld", "did you mean 'build'?"),
        ("xyz", "jobs are: a.py::job_build, b.py::job_app, build, c.py::job_app, app"),
        ("build[xx]", "did you mean 'build'?"),
    ],
)
def test_an_option_that_names_no_job_says_so(spelled, fix):
    ids, (problem,) = pick(THREE, spelled, "--job-only")
    assert ids == []
    assert problem.what == f"--job-only names {spelled!r}, which is not a job"
    assert sorted(problem.fix.replace(",", "").split()) == sorted(fix.replace(",", "").split())


THREE = [define("a.py", "build"), define("b.py", "app"), define("c.py", "app")]


def test_an_option_that_names_two_jobs_says_so():
    ids, (problem,) = pick(THREE, "app", "--job-only")
    assert ids == []
    assert str(problem) == (
        "--job-only names 'app', which is more than one job\n"
        "  at: b.py:1 job_app\n"
        "  at: c.py:1 job_app\n"
        "  fix: write --job-only 'b.py::job_app'"
    )


def test_where_there_are_no_jobs_an_option_is_told_so():
    assert pick([], "app", "--job-only")[1][0].fix == "there are no jobs"
