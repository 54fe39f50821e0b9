"""How names find fixtures and jobs: overriding, getfixturevalue, usefixtures, fixtures that ask for jobs."""

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])


class Plugin:
    """Stands for an installed plugin."""

    @pytest.fixture
    def name(self):
        return ["plugin"]

    @pytest.fixture(scope="session")
    def wide(self):
        return ["plugin"]


OVERRIDDEN = """
    import pytest

    @pytest.fixture
    def name(name): return [*name, "{0}"]

    @pytest.fixture(scope="{1}")
    def wide(wide): return [*wide, "{0}"]
"""


@both_ways
def test_a_module_overrides_a_conftest_that_overrides_a_plugin(jobs, workers):
    body = """
    from seen import meet, note
    def job_{0}(name, wide):
        note(("{0}", *name))
        note(("wide {0}", *wide))
        name.append("mine alone")
    def job_{0}2(name): assert "mine alone" not in name
    """
    run = jobs(
        OVERRIDDEN.format("module", "module") + body.format("a"),
        workers,
        conftest=OVERRIDDEN.format("conftest", "session"),
        files={
            "job_plain.py": body.format("b"),
            "sub/conftest.py": OVERRIDDEN.format("sub", "package"),
            "sub/job_more.py": body.format("c"),
        },
        plugins=[Plugin()],
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    chains = {
        "a": ("plugin", "conftest", "module"),
        "b": ("plugin", "conftest"),
        "c": ("plugin", "conftest", "sub"),
    }
    for name, chain in chains.items():
        assert (name, *chain) in run.seen
        assert (f"wide {name}", *chain) in run.seen


def test_an_overriding_fixture_of_two_jobs_at_once_does_not_mix_their_chains(jobs):
    run = jobs(
        """
    from seen import meet
    def job_a(base, name):
        meet(2)
        assert name.base is base
        meet(2)
    def job_b(name, base):
        meet(2)
        assert name.base is base
        meet(2)
    """,
        "-J8",
        conftest="""
    import pytest
    class Thing: pass
    @pytest.fixture
    def base(): return Thing()
    @pytest.fixture
    def name(base):
        made = Thing()
        made.base = base
        return made
    """,
        files={"unused.py": ""},
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}


@both_ways
def test_getfixturevalue_from_a_body_sets_up_on_the_main_thread_and_is_torn_down_with_the_job(jobs, workers):
    run = jobs(
        """
    import threading
    import pytest
    from seen import note

    @pytest.fixture
    def late(later):
        assert threading.current_thread() is threading.main_thread()
        note("up")
        yield "late"
        assert threading.current_thread() is threading.main_thread()
        note("down")

    @pytest.fixture(scope="module")
    def later():
        note("later up")
        yield
        note("later down")

    def job_a(request):
        assert request.getfixturevalue("late") == "late"
        note("a")

    def job_b(a, later): note("b")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}, run.text
    assert run.seen == ["later up", "up", "a", "down", "b", "later down"]


@both_ways
def test_a_fixture_that_fails_when_a_body_asks_for_it_is_the_body_s_failure(jobs, workers):
    run = jobs(
        """
    import pytest

    @pytest.fixture
    def late(): raise OSError("no disk")

    def job_a(request): request.getfixturevalue("late")

    def job_b(request):
        with pytest.raises(OSError, match="no disk"):
            request.getfixturevalue("late")

    def job_c(request):
        with pytest.raises(pytest.FixtureLookupError):
            request.getfixturevalue("nothing")
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed", "c": "changed"}
    assert run.reasons["a"] == "run raised OSError: no disk"


@both_ways
def test_getfixturevalue_of_a_job_says_what_to_write_instead(jobs, workers):
    run = jobs(
        """
    def job_a(): return 1
    def job_b(request): request.getfixturevalue("a")
    def job_c(request): request.getfixturevalue("job_a")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "failed", "c": "failed"}
    assert "job 'a' is asked for with getfixturevalue" in run.reasons["b"]
    assert "fix: make it a parameter" in run.longrepr("c")


@both_ways
def test_getfixturevalue_of_a_job_that_is_a_parameter_gives_its_value(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def value(request, a): return request.getfixturevalue("a")
    def job_a(): return [1]
    def job_b(request, a, value):
        assert request.getfixturevalue("a") is a is value
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}


@both_ways
def test_usefixtures_sets_up_a_fixture_and_waits_for_a_job(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def room():
        note("up")
        yield
        note("down")

    def job_first():
        note("first")
        return "a value that nobody wants"

    def check_lazy(): note("lazy asked")
    def job_lazy(): note("lazy made")

    @pytest.mark.usefixtures("room", "first", "lazy")
    def job_a(): note("a")
    """,
        workers,
    )
    assert run.outcomes == {"first": "changed", "lazy": "unchanged", "a": "changed"}, run.text
    assert run.before("first", "a")
    assert run.before("up", "a")
    assert run.before("a", "down")
    assert "lazy made" not in run.seen


@both_ways
def test_usefixtures_of_a_whole_file_holds_for_all_its_jobs(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    pytestmark = pytest.mark.usefixtures("room")

    @pytest.fixture
    def room(request): note(request.node.name)

    def job_a(): pass
    def check_b(): pass
    """,
        workers,
    )
    assert sorted(run.seen) == ["check_b", "job_a"]


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@both_ways
def test_a_fixture_asks_for_a_job_and_all_that_use_it_wait_for_it(jobs, workers, scope):
    run = jobs(
        f"""
    import pytest
    from seen import note

    def job_build():
        note("build")
        return "wheel"

    @pytest.fixture(scope="{scope}")
    def installed(build):
        note("up")
        yield f"installed {{build}}"
        note("down")

    @pytest.fixture
    def server(installed): return f"server with {{installed}}"

    def job_a(server): note(server)
    def job_b(installed, a): note("b")
    """,
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert run.before("build", "up")
    assert "server with installed wheel" in run.seen
    assert run.times("up") == run.times("down") == (2 if scope == "function" else 1)


@both_ways
def test_a_job_that_a_fixture_asks_for_blocks_what_uses_the_fixture(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    def job_build(): raise OSError
    @pytest.fixture(scope="session")
    def installed(build): note("up")
    def job_a(installed): note("a")
    """,
        workers,
    )
    assert run.outcomes == {"build": "failed", "a": "blocked"}
    assert run.seen == []


@both_ways
def test_an_autouse_fixture_may_ask_for_a_job_of_another_file(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture(autouse=True)
    def installed(build): note(f"with {build}")
    def job_a(): note("a")
    """,
        workers,
        files={"job_build.py": "def job_build(): return 'wheel'"},
    )
    assert run.outcomes == {"build": "changed", "a": "changed"}
    assert run.seen == ["with wheel", "a"]


@both_ways
def test_job_x_is_always_the_job_also_where_a_fixture_is_called_x(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def build(): return "fixture"
    def job_build(): return "job"
    @pytest.fixture
    def both(job_build): return job_build
    def job_a(job_build, both): note((job_build, both))
    """,
        workers,
    )
    assert run.seen == [("job", "job")], run.text


@both_ways
def test_finalizers_run_in_reverse_order_and_may_ask_the_request(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def room(request):
        request.addfinalizer(lambda: note("first"))
        request.addfinalizer(lambda: note("second"))
        return "room"

    def job_a(room, request):
        request.addfinalizer(lambda: note("of the body"))
        note("a")
    """,
        workers,
    )
    assert run.seen == ["a", "of the body", "second", "first"]


@both_ways
def test_the_request_knows_its_job(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    @pytest.fixture
    def room(request):
        note((request.node.name, request.function.__name__, request.scope))
        note(request.module.__name__.rpartition(".")[2])
        note(request.node.get_closest_marker("colour").args[0])
        note(request.config.rootpath.samefile(request.path.parent))
        note(request.cls)
        note("room" in request.fixturenames)

    @pytest.mark.colour("red")
    def job_a(room): pass
    """,
        workers,
        files={"pytest.ini": "[pytest]\nmarkers = colour: of a job\n"},
    )
    assert run.seen == [("job_a", "job_a", "function"), "job_it", "red", True, None, True]


@both_ways
def test_several_checks_of_a_job_share_its_fixtures(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.fixture
    def room(): return []
    @pytest.fixture
    def other(room): return room
    def check_a(room): room.append("a")
    def check_a__b(other): other.append("b")
    def check_a__c(room, other):
        note(tuple(room))
        return len(room) == 3
    def job_a(room): room.append("run")
    """,
        workers,
    )
    assert run.seen == [("a", "b"), ("a", "b", "run", "a", "b")]
    assert run.outcomes == {"a": "failed"}


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 warns, and hands out the coroutine")
@both_ways
def test_an_async_fixture_is_refused_with_pytest_s_own_words(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    async def room(): return 1
    def job_a(room): pass
    def job_b(): pass
    """,
        workers,
    )
    assert run.outcomes == {"a": "failed", "b": "changed"}
    assert (
        "'a' requested an async fixture 'room'" in run.text.replace("job_", "") or "async" in run.reasons["a"]
    )
    assert run.kinds == {"a": "setup_error"}


@both_ways
def test_what_a_late_fixture_prints_belongs_to_the_job_that_asked(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def late():
        print("late words")
        yield
        print("last words")
    def job_a(request): request.getfixturevalue("late")
    """,
        workers,
    )
    assert run.text.count("late words") == 0
    shown = str(run.of("a")[-1].sections)
    assert "late words" in shown
    assert "last words" in shown
