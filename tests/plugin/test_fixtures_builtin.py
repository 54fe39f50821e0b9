"""The fixtures of pytest and of jobtest in jobs; the folder and the environment of the process."""

import os

import pytest

both_ways = pytest.mark.parametrize("workers", ["-J1", "-J8"])


@both_ways
def test_tmp_path_is_a_folder_of_the_job_alone_and_fresh_for_each_attempt(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import meet, note

    @pytest.mark.job(retries=1)
    @pytest.mark.parametrize("n", [1, 2])
    def job_a(tmp_path, attempt, n):
        assert not list(tmp_path.iterdir())
        (tmp_path / "file").write_text("x")
        note(tmp_path)
        assert attempt.number == 2
    """,
        workers,
    )
    assert set(run.outcomes.values()) == {"changed"}
    assert len(set(run.seen)) == 4


AT_EXIT = pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 removes it when the process ends")


@pytest.mark.parametrize("policy", ["all", "failed", pytest.param("none", marks=AT_EXIT)])
@both_ways
def test_tmp_path_is_kept_as_the_project_s_policy_says(jobs, workers, policy):
    run = jobs(
        """
    from seen import note
    def job_good(tmp_path): note(("good", tmp_path))
    def job_bad(tmp_path):
        note(("bad", tmp_path))
        assert False
    """,
        workers,
        files={"pytest.ini": f"[pytest]\ntmp_path_retention_policy = {policy}\n"},
    )
    paths = dict(run.seen)
    assert run.outcomes == {"good": "changed", "bad": "failed"}
    assert run.counts() == {"passed": 1, "failed": 1}
    kept = {name for name, path in paths.items() if path.exists()}
    assert kept == {"all": {"good", "bad"}, "failed": {"bad"}, "none": set()}[policy]


@both_ways
def test_wide_fixtures_of_pytest_work(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(tmp_path_factory, cache, pytestconfig, doctest_namespace):
        made = tmp_path_factory.mktemp("made")
        cache.set("jobs/made", made.name)
        note((made.is_dir(), cache.get("jobs/made", None), pytestconfig.option.orchestrate))
    """,
        workers,
    )
    assert run.seen == [(True, "made0", True)]


@both_ways
def test_record_property_reaches_the_reports_of_its_job_alone(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.mark.parametrize("n", [1, 2])
    def job_a(record_property, n): record_property("n", n)
    def job_b(): pass
    """,
        workers,
        "--junitxml=out.xml",
    )
    for n in (1, 2):
        assert ("n", n) in run.of(f"a[{n}]")[-1].user_properties
        assert ("n", 3 - n) not in run.of(f"a[{n}]")[-1].user_properties
    assert "n" not in dict(run.of("b")[-1].user_properties)
    assert (jobs.path / "out.xml").read_text().count('name="n"') == 2


@both_ways
def test_record_testsuite_property_reaches_the_xml(jobs, workers):
    jobs(
        "def job_a(record_testsuite_property): record_testsuite_property('k', 'v')",
        workers,
        "--junitxml=o.xml",
    )
    assert '<property name="k" value="v"' in (jobs.path / "o.xml").read_text()


PROCESS_WIDE = """
    import logging, os, sys, warnings
    import pytest
    from seen import event, note

    def job_beside():
        note("beside begins")
        note("beside ends")

    def job_mine({name}, beside):
        note("alone begins")
        {body}
        note("alone ends")

    @pytest.mark.parametrize("n", range(4))
    def job_other(n):
        note("other begins")
        note("other ends")
"""


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "monkeypatch",
            "monkeypatch.setenv('MINE', '1'); monkeypatch.chdir('/'); assert os.environ['MINE'] == '1'",
        ),
        ("capsys", "print('hi'); assert capsys.readouterr().out == 'hi\\n'"),
        ("capfd", "os.write(1, b'hi'); assert capfd.readouterr().out == 'hi'"),
        ("capsysbinary", "print('hi'); assert capsysbinary.readouterr().out == b'hi\\n'"),
        ("capfdbinary", "os.write(2, b'hi'); assert capfdbinary.readouterr().err == b'hi'"),
        ("caplog", "logging.warning('hi'); assert caplog.messages == ['hi']; assert caplog.record_tuples"),
        ("recwarn", "warnings.warn('hi', stacklevel=1); assert str(recwarn.pop().message) == 'hi'"),
    ],
)
@both_ways
def test_a_job_with_process_wide_state_runs_alone_and_works_and_v_says_so(jobs, workers, name, body):
    run = jobs(PROCESS_WIDE.format(name=name, body=body), workers, "-v")
    assert set(run.outcomes.values()) == {"changed"}, run.text
    begins = run.seen.index("alone begins")
    assert run.seen[begins + 1] == "alone ends"
    running = sum({"begins": 1, "ends": -1}[note.split()[1]] for note in run.seen[:begins])
    assert running == 0
    run.stdout.fnmatch_lines([f"alone: job_it.py::job_mine (it uses {name})"])
    assert "MINE" not in os.environ


@both_ways
def test_process_wide_state_that_a_fixture_uses_counts_too(jobs, workers):
    run = jobs(
        """
    import pytest
    @pytest.fixture
    def env(monkeypatch): monkeypatch.setenv("MINE", "1")
    def job_a(env):
        import os
        assert os.environ["MINE"] == "1"
    def job_b(): pass
    """,
        workers,
        "-v",
    )
    assert set(run.outcomes.values()) == {"changed"}
    run.stdout.fnmatch_lines(["alone: job_it.py::job_a (it uses monkeypatch)"])


@both_ways
def test_caplog_sets_a_level_for_its_job_alone(jobs, workers):
    run = jobs(
        """
    import logging
    from seen import note
    log = logging.getLogger("mine")
    def job_a(caplog):
        with caplog.at_level(logging.DEBUG, logger="mine"):
            log.debug("fine")
        assert caplog.messages == ["fine"]
        caplog.set_level(logging.INFO)
        logging.info("shown")
    def job_b(a): note(logging.getLogger().level)
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}, run.text
    assert run.seen == [30]


@both_ways
def test_caplog_of_a_check_and_of_a_run_sees_what_was_logged_so_far(jobs, workers):
    run = jobs(
        """
    import logging
    from seen import note
    def check_a(caplog):
        logging.warning("check")
        note(tuple(caplog.messages))
        return "run" in caplog.text
    def job_a(caplog):
        logging.warning("run")
        note(tuple(caplog.messages))
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}, run.text
    assert run.seen[0] == ("check",)


@both_ways
def test_pytest_warns_and_raises_work_in_jobs_that_run_alone(jobs, workers):
    run = jobs(
        """
    import warnings
    import pytest
    @pytest.mark.filterwarnings("error:mine")
    def job_a():
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine")
        with pytest.warns(UserWarning, match="other"):
            warnings.warn("other")
    def job_b(a): warnings.warn("mine")
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed", "b": "changed"}, run.text
    assert run.counts() == {"passed": 2, "warnings": 1}


@both_ways
def test_params_are_read_as_attributes_and_items(jobs, workers):
    run = jobs(
        """
    from seen import note
    def job_a(params):
        note((params.movie, params["year"], params.get("none"), sorted(params), "movie" in params))
    """,
        workers,
        "--job-set=movie=MST3K",
        files={
            "pytest.ini": "[pytest]\n",
            "jobtest.toml": "params = {movie = 'x', year = 1988}\n",
        },
    )
    assert run.seen == [("MST3K", 1988, None, ["movie", "year"], True)]


@both_ways
def test_context_is_none_and_attempt_tells_where_a_job_is(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note

    def check_a(attempt, context):
        note((attempt.phase, attempt.number, attempt.error, context))
        return attempt.number == 2 and attempt.phase == "recheck"

    @pytest.mark.job(retries=1)
    def job_a(attempt):
        note((attempt.phase, attempt.number, attempt.error))
        if attempt.number == 1:
            raise OSError("no disk")

    def describe_a(attempt): note(attempt.phase)
    def cleanup_a(attempt): note(attempt.phase)
    """,
        workers,
    )
    assert run.outcomes == {"a": "changed"}
    assert run.seen == [
        ("check", 1, "", None),
        ("run", 1, ""),
        ("recheck", 1, "", None),
        ("check", 2, "it returned False", None),
        ("run", 2, "it returned False"),
        ("recheck", 2, "it returned False", None),
        "describe",
        "cleanup",
    ]


@both_ways
def test_the_key_of_an_attempt_is_that_of_the_job_in_this_run(jobs, workers):
    source = """
    import pytest
    from seen import note
    @pytest.mark.job(retries=1)
    def job_a(attempt):
        note(attempt.key)
        assert attempt.number == 2
    def job_b(attempt): note(attempt.key)
    """
    first = jobs(source, workers).seen
    again = jobs.run(workers).seen
    assert len(set(first)) == 2
    assert len(first) == 3
    assert not set(first) & set(again)


@both_ways
def test_upstream_tells_how_the_jobs_before_ended(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    @pytest.mark.job(on_failure="continue")
    def job_a(): assert False
    def check_b(): pass
    def job_c(): pass
    def job_later(): pass
    @pytest.mark.job(needs=["a", "b", "c"], after=["later"])
    def job_d(upstream): note(dict(upstream))
    """,
        workers,
    )
    assert run.outcomes["d"] == "changed"
    assert run.seen == [{"a": "failed", "b": "unchanged", "c": "changed", "later": "changed"}]


@both_ways
def test_local_is_a_dict_for_each_attempt_and_shared_one_for_the_run(jobs, workers):
    run = jobs(
        """
    import pytest
    from seen import note
    def check_a(local, shared):
        local["check"] = local.get("check", 0) + 1
        shared["check"] = shared.get("check", 0) + 1
        return bool(local.get("run") and shared["run"] == 2)
    @pytest.mark.job(retries=1)
    def job_a(local, shared):
        assert local == {"check": 1}
        local["run"] = True
        shared["run"] = shared.get("run", 0) + 1
    @pytest.mark.job(after="a")
    def job_b(local, shared):
        assert local == {}
        assert shared == {"check": 4, "run": 2}
    """,
        workers,
    )
    assert run.outcomes["b"] == "changed", run.text


@both_ways
def test_rng_is_seeded_by_run_and_job(jobs, workers):
    source = """
    import pytest
    from seen import note
    @pytest.mark.job(retries=1)
    def job_a(rng, attempt):
        note(("a", rng.random()))
        assert attempt.number == 2
    def job_b(rng): note(("b", rng.random()))
    """
    first = dict(jobs(source, workers).seen)
    second = jobs.run(workers).seen
    assert len(set(dict(second).values()) | set(first.values())) == 4
    assert len(set(second)) == 2


@both_ways
def test_every_phase_starts_in_the_rootdir_and_leaves_it_so(jobs, workers):
    run = jobs(
        """
    import os
    import pytest
    from seen import note

    @pytest.fixture
    def room(tmp_path):
        note(("fixture", os.getcwd()))
        os.chdir(tmp_path)
    def check_a(room):
        note(("check", os.getcwd()))
        os.chdir("/")
        return False
    def job_a():
        note(("run", os.getcwd()))
        os.chdir("/")
        raise OSError
    def cleanup_a():
        note(("cleanup", os.getcwd()))
        os.chdir("/")
    @pytest.mark.job(after="a")
    def job_b(): note(("b", os.getcwd()))
    """,
        workers,
    )
    assert {where for what, where in run.seen} == {str(jobs.path)}, run.seen
    assert os.getcwd() == str(jobs.path)


@both_ways
def test_what_a_body_does_to_the_environment_is_undone_and_what_a_fixture_does_holds(jobs, workers):
    run = jobs(
        """
    import os
    import pytest
    from seen import note

    @pytest.fixture(scope="session")
    def on_purpose():
        os.environ["JT_ON_PURPOSE"] = "1"
        yield
        del os.environ["JT_ON_PURPOSE"]

    @pytest.fixture
    def for_a():
        os.environ["JT_FOR_A"] = "1"
        yield
        del os.environ["JT_FOR_A"]

    def job_a(on_purpose, for_a):
        os.environ["JT_LEAK"] = "1"
        os.environ.pop("JT_ON_PURPOSE")
        os.environ["HOME"] = "/nowhere"
    def job_b(a, on_purpose):
        note((os.environ.get("JT_LEAK"), os.environ["JT_ON_PURPOSE"], os.environ["HOME"] == "/nowhere"))
        os.environ["JT_LEAK"] = "1"
    def job_c(b): note(os.environ.get("JT_FOR_A"))
    """,
        workers,
    )
    assert run.seen == [(None, "1", False), None]
    assert "JT_LEAK" not in os.environ


def test_what_a_body_does_is_undone_also_if_fixtures_were_set_up_beside_it(jobs):
    run = jobs(
        """
    import os
    import pytest
    from seen import event, note, wait

    @pytest.fixture(scope="session")
    def beside():
        os.environ["JT_ON_PURPOSE"] = "1"
        yield
        del os.environ["JT_ON_PURPOSE"]
    def job_a():
        os.environ["JT_LEAK"] = "1"
        event("leaked").set()
        wait("set up")
    def job_b(request):
        wait("leaked")
        request.getfixturevalue("beside")
        event("set up").set()
    def job_c(a, b, beside): note((os.environ.get("JT_LEAK"), os.environ.get("JT_ON_PURPOSE")))
    """,
        "-J8",
    )
    assert set(run.outcomes.values()) == {"changed"}, run.text
    assert run.seen == [(None, "1")]


@both_ways
def test_the_folder_of_a_run_that_started_elsewhere_is_put_back(jobs, workers, monkeypatch):
    (jobs.path / "sub").mkdir()
    jobs.write(
        {
            "sub/job_it.py": "import os\nfrom seen import note\ndef job_a(): note(os.getcwd())\n",
            "pytest.ini": "[pytest]\n",
        }
    )
    monkeypatch.chdir(jobs.path / "sub")
    run = jobs.run(workers)
    assert run.seen == [str(jobs.path)]
    assert os.getcwd() == str(jobs.path / "sub")
