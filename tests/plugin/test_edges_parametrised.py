"""Edges between parametrised jobs: joined on what both sides share, gathered over the rest (PRODUCT 3.4)."""

import pytest
from told import refused

BUILD = """
    import pytest
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region): return "wheel " + region
"""


def ids(run):
    """Upstream ids by id, without the file."""
    graph = run.plan.graph
    bare = {id: id.partition("::job_")[2] for id in graph.jobs}
    return {bare[id]: [bare[edge.upstream] for edge in graph.upstream(id)] for id in graph.jobs}


def test_instances_with_the_same_parameter_are_joined(jobs):
    run = jobs(
        BUILD
        + """
    @pytest.mark.parametrize("region", ["us", "eu"])
    def job_deploy(region, build): return region, build
    """
    )
    assert run.values["deploy[eu]"] == ("eu", "wheel eu")
    assert run.values["deploy[us]"] == ("us", "wheel us")
    assert ids(run)["deploy[eu]"] == ["build[eu]"]


def test_over_a_parameter_that_only_the_upstream_has_the_value_is_a_dict(jobs):
    run = jobs(
        BUILD
        + """
    def job_publish(build): return build
    """
    )
    assert list(run.values["publish"].items()) == [("eu", "wheel eu"), ("us", "wheel us")]


def test_shared_parameters_are_joined_and_others_gathered(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.parametrize("python", ["3.11", "3.12"])
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_test(region, python): return region + python
    @pytest.mark.parametrize("region", ["us", "eu"])
    def job_deploy(region, test): return test
    def job_all(test): return test
    @pytest.mark.parametrize("python", ["3.12"])
    @pytest.mark.parametrize("region", ["us"])
    @pytest.mark.parametrize("other", [1, 2])
    def job_exact(other, region, python, test): return test
    """)
    assert run.values["deploy[us]"] == {"3.11": "us3.11", "3.12": "us3.12"}
    assert list(run.values["all"]) == ["eu-3.11", "eu-3.12", "us-3.11", "us-3.12"]
    assert run.values["exact[1-us-3.12]"] == "us3.12"
    assert run.values["exact[2-us-3.12]"] == "us3.12"


def test_a_job_without_parameters_serves_all_instances(jobs):
    run = jobs("""
    import pytest
    from seen import note
    def job_base(): note("base"); return 1
    @pytest.mark.parametrize("n", range(5))
    def job_each(n, base): return n + base
    def job_sum(each): return sum(each.values())
    """)
    assert run.seen == ["base"]
    assert run.values["sum"] == 15


def test_joins_go_three_levels_deep(jobs):
    run = jobs("""
    import pytest
    regions = pytest.mark.parametrize("region", ["eu", "us"])
    sizes = pytest.mark.parametrize("size", [1, 2])
    @regions
    @sizes
    def job_a(region, size): return f"a {region} {size}"
    @regions
    @sizes
    def job_b(region, size, a): return a + " b"
    @regions
    def job_c(region, b): return b
    def job_d(c): return c
    """)
    assert run.values["c[eu]"] == {"1": "a eu 1 b", "2": "a eu 2 b"}
    assert run.values["d"] == {
        "eu": {"1": "a eu 1 b", "2": "a eu 2 b"},
        "us": {"1": "a us 1 b", "2": "a us 2 b"},
    }
    assert ids(run)["b[2-eu]"] == ["a[2-eu]"]


@pytest.mark.parametrize(
    "name", ["new york", "zażółć", "a/b", "a::b", "[x]", "x]", "", "-", "a-b", "1.0", "'\"", "🐈"]
)
def test_ids_of_any_spelling_are_joined_and_gathered(jobs, name):
    run = jobs(f"""
    import pytest
    cities = pytest.mark.parametrize("city", [{name!r}, "other"], ids=[{name!r} or "empty", "other"])
    @cities
    def job_build(city): return city
    @cities
    def job_deploy(city, build): return build
    def job_all(deploy): return deploy
    """)
    assert run.ret == 0, run.text + run.errors
    assert list(run.values["all"].values()) == [name, "other"]
    assert list(run.values["all"])[1] == "other"


def test_custom_ids_are_the_keys_of_a_gathered_dict(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.parametrize("n", [1, 2, 3], ids=["one", None, "three"])
    def job_list(n): return n
    @pytest.mark.parametrize("n", [4, 5], ids=lambda n: f"no {n}")
    def job_call(n): return n
    @pytest.mark.parametrize("n", [pytest.param(6, id="six"), 7, pytest.param(8, id="acht")])
    def job_param(n): return n
    def job_all(list, call, param): return {**list, **call, **param}
    """)
    assert run.values["all"] == {
        "one": 1, "2": 2, "three": 3, "no 4": 4, "no 5": 5, "six": 6, "7": 7, "acht": 8
    }  # fmt: skip


def test_ids_may_differ_where_values_are_the_same(jobs):
    """The join is on values, not on how they are spelled."""
    run = jobs("""
    import pytest
    @pytest.mark.parametrize("n", [1, 2], ids=["one", "two"])
    def job_a(n): return n
    @pytest.mark.parametrize("n", [1, 2])
    def job_b(n, a): assert a == n
    """)
    assert run.ret == 0
    assert ids(run)["b[2]"] == ["a[two]"]


def test_values_that_are_equal_and_of_another_type_are_not_the_same(jobs):
    told = refused(
        jobs("""
    import pytest
    @pytest.mark.parametrize("n", [1, 0])
    def job_a(n): return n
    @pytest.mark.parametrize("n", [True, 0])
    def job_b(n, a): pass
    """)
    )
    assert len(told) == 1
    assert "'job_it.py::job_b[True]' asks for 'a' with n=True, which does not exist" in told[0]


def test_parameters_given_together_are_joined_one_by_one(jobs):
    run = jobs("""
    import pytest
    both = pytest.mark.parametrize("host, port", [("a", 1), ("b", 2)])
    @both
    def job_start(host, port): return f"{host}:{port}"
    @both
    def job_ask(start, host, port): return start
    @pytest.mark.parametrize("host", ["b", "a"])
    def job_half(host, start): return start
    def job_all(start): return start
    """)
    assert run.values["ask[a-1]"] == "a:1"
    assert run.values["half[b]"] == {"b-2": "b:2"}
    assert run.values["all"] == {"a-1": "a:1", "b-2": "b:2"}


def test_objects_are_joined_when_they_are_the_same_parameter(jobs):
    run = jobs("""
    import pytest
    class Server:
        pass
    SERVERS = [Server(), Server()]
    each = pytest.mark.parametrize("server", SERVERS, ids=["a", "b"])
    @each
    def job_start(server): return SERVERS.index(server)
    @each
    def job_ask(server, start): assert SERVERS[start] is server
    @pytest.mark.parametrize("spec", [{"n": [1]}, {"n": [2]}])
    def job_x(spec): return spec
    @pytest.mark.parametrize("spec", [{"n": [2]}, {"n": [1]}])
    def job_y(spec, x): assert x == spec
    """)
    assert run.ret == 0, run.text


def test_a_parametrised_fixture_parametrises_its_jobs(jobs):
    run = jobs("""
    import pytest
    from seen import note
    @pytest.fixture(params=["eu", "us"], scope="session")
    def region(request): return request.param
    @pytest.fixture
    def server(region): return "server " + region
    def job_build(region): return region
    def job_deploy(server, build): return server, build
    def job_all(deploy): return deploy
    """)
    assert run.values["deploy[eu]"] == ("server eu", "eu")
    assert run.values["deploy[us]"] == ("server us", "us")
    assert list(run.values["all"]) == ["eu", "us"]


def test_a_fixture_that_asks_for_a_parametrised_job_gives_its_users_the_dict(jobs):
    run = jobs(
        BUILD
        + """
    @pytest.fixture(scope="session")
    def wheels(build): return sorted(build)
    @pytest.fixture
    def wheel(build): return build
    def job_all(wheels): return wheels
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_one(region, wheel): return wheel
    """
    )
    assert run.values["all"] == ["eu", "us"]
    assert run.values["one[us]"] == "wheel us"


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("workers", ["-J1", "-J8"])
def test_a_wide_fixture_over_a_joined_value_is_set_up_for_each_value(jobs, scope, workers):
    run = jobs(
        BUILD
        + f"""
    @pytest.fixture(scope={scope!r})
    def server(build): return "server of " + build
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_a(region, server): return server
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_b(server, a, region): assert server == a; return server
    """,
        workers,
    )
    assert run.values["b[eu]"] == "server of wheel eu"
    assert run.values["b[us]"] == "server of wheel us"


def test_indirect_parameters_are_joined_on_what_was_given(jobs):
    run = jobs("""
    import pytest
    @pytest.fixture
    def region(request): return request.param.upper()
    each = pytest.mark.parametrize("region", ["eu", "us"], indirect=True)
    @each
    def job_build(region): return region
    @each
    def job_deploy(region, build): return region, build
    """)
    assert run.values["deploy[eu]"] == ("EU", "EU")


def test_pytest_generate_tests_parametrises_jobs(jobs):
    run = jobs(
        """
        def job_build(region): return region
        def job_all(build): return build
        """,
        conftest="""
        def pytest_generate_tests(metafunc):
            if "region" in metafunc.fixturenames:
                metafunc.parametrize("region", ["eu", "us"])
        """,
    )
    assert run.values["all"] == {"eu": "eu", "us": "us"}


def test_only_some_instances_may_be_skipped(jobs):
    run = jobs("""
    import pytest
    each = pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.skip(reason="no two"))])
    @each
    def job_a(n): return n
    @pytest.mark.parametrize("n", [1, 2])
    def job_b(n, a): return a
    """)
    assert run.outcomes == {"a[1]": "changed", "a[2]": "skipped", "b[1]": "changed", "b[2]": "skipped"}
    assert run.reasons["b[2]"] == "upstream a[2] is skipped: no two"


def test_a_failed_instance_blocks_its_counterpart_alone(jobs):
    run = jobs(
        BUILD.replace('return "wheel "', 'assert region != "eu"; return "wheel "')
        + """
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_deploy(region, build): pass
    def job_all(build): pass
    """
    )
    assert run.outcomes == {
        "build[eu]": "failed",
        "build[us]": "changed",
        "deploy[eu]": "blocked",
        "deploy[us]": "changed",
        "all": "blocked",
    }


def test_needs_and_after_are_joined_as_values_are(jobs):
    run = jobs(
        BUILD
        + """
    @pytest.mark.parametrize("region", ["eu", "us"])
    @pytest.mark.job(needs=["build"])
    def job_a(region): pass
    @pytest.mark.parametrize("region", ["eu", "us"])
    @pytest.mark.job(after=["a"])
    def job_b(region): pass
    @pytest.mark.usefixtures("build")
    def job_c(): pass
    """
    )
    assert ids(run)["a[us]"] == ["build[us]"]
    assert ids(run)["b[eu]"] == ["a[eu]"]
    assert ids(run)["c"] == ["build[eu]", "build[us]"]


def test_ids_that_are_given_twice_are_told_apart_as_pytest_does(jobs):
    run = jobs("""
    import pytest
    @pytest.mark.parametrize("n", [1, 2], ids=["same", "same"])
    def job_a(n): return n
    def job_b(a): return a
    """)
    assert run.values["b"] == {"same0": 1, "same1": 2}


def test_two_instances_that_come_to_the_same_id_are_refused(jobs):
    told = "\n".join(
        refused(
            jobs("""
    import pytest
    @pytest.mark.parametrize("m", [1, 2], ids=["b-c", "c"])
    @pytest.mark.parametrize("n", [1, 2], ids=["a", "a-b"])
    def job_a(n, m): return n
    def job_b(a): return a
    """)
        )
    )
    assert "two jobs have the id 'job_it.py::job_a[a-b-c]'\n" in told
    assert "job 'b' gathers 'a', and two of its instances have the id 'a-b-c'\n" in told
