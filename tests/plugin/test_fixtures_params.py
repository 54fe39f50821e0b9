"""Parametrised fixtures: one instance for each parameter, side by side, joined with the jobs they ask for."""

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])

ENGINES = """
    import pytest
    from seen import note

    @pytest.fixture(scope="session", params=["sqlite", "postgres"])
    def engine(request):
        note(f"up {request.param}")
        yield {"name": request.param}
        note(f"down {request.param}")

    @pytest.fixture(scope="session")
    def table(engine):
        note(f"table up {engine['name']}")
        yield {"engine": engine}
        note(f"table down {engine['name']}")

    @pytest.fixture(scope="module")
    def row(table):
        return {"table": table}
"""


def test_instances_of_a_session_fixture_are_alive_side_by_side(jobs):
    run = jobs(
        """
    from seen import meet, note
    def job_a(engine):
        meet(2)
        note("both")
        meet(2)
    """,
        "-J8",
        conftest=ENGINES,
    )
    assert run.outcomes == {"a[sqlite]": "changed", "a[postgres]": "changed"}
    assert set(run.seen[:2]) == {"up sqlite", "up postgres"}
    assert run.seen[2:4] == ["both", "both"]
    assert sorted(run.seen[4:]) == ["down postgres", "down sqlite"]


@both_ways
def test_each_instance_is_set_up_once_however_the_jobs_that_share_it_alternate(jobs, workers):
    run = jobs(
        """
    def job_a(engine): pass
    def job_b(engine, a): pass
    def job_c(engine, b, table): assert table["engine"] is engine
    """,
        workers,
        conftest=ENGINES,
        files={"job_other.py": "def job_d(engine, c, row): assert row['table']['engine'] is engine"},
    )
    assert len(run.outcomes) == 8
    assert set(run.outcomes.values()) == {"changed"}
    for name in ("sqlite", "postgres"):
        for what in (f"up {name}", f"down {name}", f"table up {name}", f"table down {name}"):
            assert run.times(what) == 1, run.seen


@both_ways
def test_what_asks_for_a_parametrised_fixture_over_others_has_an_instance_for_each_too(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(row): note(row["table"]["engine"]["name"])
    def job_b(row, a): note(row["table"]["engine"]["name"])
    """,
        workers,
        conftest=ENGINES,
    )
    assert run.times("sqlite") == run.times("postgres") == 2
    assert run.times("up sqlite") == run.times("table up sqlite") == 1
    assert run.before("table down sqlite", "down sqlite")


@both_ways
def test_indirect_parameters_reach_the_fixture(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture(scope="module")
    def server(request):
        note(f"up {request.param}")
        yield request.param
        note(f"down {request.param}")

    @pytest.mark.parametrize("server", ["one", "two"], indirect=True)
    def job_a(server): note(server)

    @pytest.mark.parametrize("server", ["two", "three"], indirect=True)
    def job_b(server): note(server)
    """,
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}
    assert run.times("up one") == run.times("up two") == run.times("up three") == 1
    assert run.times("two") == 2


@both_ways
def test_a_parametrised_fixture_of_function_scope_is_fresh_for_each_job(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture(params=[1, 2])
    def box(request):
        return [request.param]

    def job_a(box): box.append("a"); note(tuple(box))
    def job_b(box): box.append("b"); note(tuple(box))
    """,
        workers,
    )
    assert sorted(run.seen) == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


@both_ways
def test_request_param_index_and_ids_are_pytest_s_own(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture(params=[10, 20], ids=["ten", "a b ä"])
    def box(request):
        return request.param, request.param_index, request.fixturename, request.scope

    def job_a(box): note(box)
    """,
        workers,
    )
    assert set(run.outcomes) == {"a[ten]", "a[a b \\xe4]"}
    assert sorted(run.seen) == [(10, 0, "box", "function"), (20, 1, "box", "function")]


@both_ways
def test_a_parameter_that_cannot_be_hashed_is_shared_all_the_same(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture(scope="module", params=[["x"], ["y"]], ids=["x", "y"])
    def box(request):
        note(f"up {request.param[0]}")
        return request.param

    def job_a(box): pass
    def job_b(box): pass
    """,
        workers,
    )
    assert run.times("up x") == run.times("up y") == 1
    assert set(run.outcomes.values()) == {"changed"}


@both_ways
def test_true_and_one_are_two_parameters(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture(scope="module", params=[1, True], ids=["one", "true"])
    def box(request):
        return request.param

    def job_a(box): note(repr(box))
    """,
        workers,
    )
    assert sorted(run.seen) == ["1", "True"]


@both_ways
def test_a_fixture_that_asks_for_a_job_is_joined_on_the_parameters(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region): return f"wheel {region}"

    @pytest.fixture
    def installed(build): return f"installed {build}"

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_deploy(region, installed): note((region, installed))
    """,
        workers,
    )
    assert sorted(run.seen) == [("eu", "installed wheel eu"), ("us", "installed wheel us")]


@pytest.mark.parametrize("scope", ["module", "session"])
@both_ways
def test_a_wide_fixture_that_asks_for_a_parametrised_job_has_an_instance_for_each_value(jobs, workers, scope):
    run = jobs(
        f"""
    import pytest
    from seen import note

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region): return f"wheel {{region}}"

    @pytest.fixture(scope="{scope}")
    def installed(build):
        note(f"up {{build}}")
        yield build
        note(f"down {{build}}")

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_deploy(region, installed): note((region, installed))

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_smoke(region, installed, deploy): note((region, installed))
    """,
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert run.times(("eu", "wheel eu")) == run.times(("us", "wheel us")) == 2
    assert run.times("up wheel eu") == run.times("down wheel eu") == 1
    assert run.times("up wheel us") == run.times("down wheel us") == 1


@both_ways
def test_over_parameters_that_only_the_upstream_has_a_fixture_gets_a_dict(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region): return f"wheel {region}"

    @pytest.fixture(scope="session")
    def wheels(build): return build

    def job_publish(wheels): note(wheels)
    """,
        workers,
    )
    assert run.seen == [{"eu": "wheel eu", "us": "wheel us"}]


@both_ways
def test_jobs_are_joined_on_a_parametrised_fixture_that_both_use_over_others(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(engine): return f"a {engine['name']}"
    def job_b(a, row): note((a, row["table"]["engine"]["name"]))
    """,
        workers,
        conftest=ENGINES,
    )
    assert sorted(one for one in run.seen if isinstance(one, tuple)) == [
        ("a postgres", "postgres"),
        ("a sqlite", "sqlite"),
    ]


@both_ways
def test_parameters_from_pytest_generate_tests(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(size): note(size)
    def check_b(size): note(f"check {size}")
    """,
        workers,
        conftest="""
    def pytest_generate_tests(metafunc):
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", [1, 2])
    """,
    )
    assert sorted(map(str, run.seen)) == ["1", "2", "check 1", "check 2"]


@both_ways
def test_a_parameter_overrides_a_fixture_of_its_name(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def name(): return "fixture"

    @pytest.fixture
    def greeting(name): return f"hello {name}"

    @pytest.mark.parametrize("name", ["parameter"])
    def job_a(greeting): note(greeting)

    def job_b(greeting): note(greeting)
    """,
        workers,
    )
    assert sorted(run.seen) == ["hello fixture", "hello parameter"]
