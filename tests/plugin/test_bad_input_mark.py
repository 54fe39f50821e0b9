"""The keywords of the mark: an unknown one, and each of them with a value of a wrong kind."""

import pytest
from told import refused

WHOLE = ("must be a whole number", 1.5, "1", None, True, [1])
NAMES = ("must be a name or a list of names", 3, None, [1], {"a": "b"})
WRONG = {
    "needs": ("must be a name or a list of names", 3, None, True, [1], {"a"}),
    "needs={...}": ("must be a list of names, or a dict from parameter to reference", {"a": 1}, {1: "a"}),
    "after": ("must be a name or a list of names", 3, None, {"a": "b"}, [None]),
    "retries": ("must be a whole number >= 0", 1.1, 1.0, -1, "1", True, [1]),
    "retry_delay": ("must be a number >= 0", -0.1, "1", True, None, float("inf"), float("nan")),
    "retry_backoff": ("must be a number >= 0", -1, "2", True, None),
    "retry_max_delay": ("must be a number >= 0", -1, "2", False, float("inf")),
    "retry_jitter": ("must be a number from 0 to 1", 1.01, -0.1, "1", True, None),
    "retry_on": (
        "must be an exception type or its name, or a tuple of them",
        "Value Error",
        "",
        "a..b",
        3,
        int,
    ),
    "on_failure": ("must be 'block' or 'continue' or 'escalate'", "stop", None, 1, ["block"]),
    "priority": WHOLE,
    "resources": ("must be a dict from name to amount", 3, "db", ["db"], {1: 1}),
    "always": ("must be True or False", 1, "yes", None, 0),
    "inputs": ("must be a name or a list of names", 3, None, [1], {"a": "b"}),
    "outputs": ("must be a name or a list of names", 3, None, True, [1]),
    "rollback": ("must be True or False", "no", None, 0, [True, False]),
    "on_crash": ("must be 'run' or 'fail'", "stop", None, True, ["fail"]),
    "executor": ("must be 'thread' or 'process'", "dask", "", 1, True, ["thread"]),
    "isolate": ("must be True or False", 1, "yes", None),
    "timeout": ("must be a number of seconds > 0", 0, -1, "60", True, float("nan"), [1]),
    "memory": (
        "must be a number of bytes of at least 64M, e.g. '512M' or '2G'",
        0,
        "",
        "512 apples",
        "63M",
        -1,
        "-1G",
        1.5,
        True,
        [1],
    ),
    "contexts": NAMES,
    "not_contexts": NAMES,
    "commands": NAMES,
    "not_commands": NAMES,
    "when": (
        "must be 'flag:NAME' or 'not flag:NAME'",
        "beta",
        "flag:",
        "not beta",
        "flag:a b",
        3,
        None,
        ["flag:a"],
    ),
    "labels": (
        "must be a dict from name to text, neither of them empty",
        3,
        "tier=db",
        ["tier"],
        {"tier": 1},
        {1: "db"},
        {"tier": ""},
        {"": "db"},
        {"a=b": "c"},
    ),
}
CASES = [
    pytest.param(key.partition("=")[0], value, rule, id=f"{key}-{value!r}")
    for key, (rule, *values) in WRONG.items()
    for value in values
]


@pytest.mark.parametrize(("key", "value", "rule"), CASES)
def test_a_keyword_with_a_value_of_a_wrong_kind_is_told(key, value, rule):
    problem = told({key: value})
    assert problem.what == f"job 'build': {key}={value!r} {rule}"
    assert problem.at == ("job_it.py:3 job_build",)


def told(keywords):
    """The one problem of a mark."""
    from jobtest.plugin.mark import read_marks

    _, (problem,) = read_marks([pytest.mark.job(**keywords).mark], "build", "job_it.py:3 job_build")
    return problem


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, "1", None])
def test_an_amount_of_a_resource_is_a_whole_number_from_one(amount):
    problem = told({"resources": {"db": amount}})
    assert problem.what == f"job 'build': resources['db']={amount!r} must be a whole number >= 1"


@pytest.mark.parametrize(
    ("given", "amount"),
    [("512M", 512 << 20), ("2G", 2 << 30), ("2GiB", 2 << 30), ("64 mb", 64 << 20), (1 << 30, 1 << 30)],
)
def test_memory_is_read_with_its_unit(given, amount):
    from jobtest.plugin.mark import read_marks

    options, problems = read_marks([pytest.mark.job(memory=given).mark], "build", "")
    assert (options.memory, options.executor, problems) == (amount, "process", [])


@pytest.mark.parametrize("more", [{"isolate": True}, {"memory": "1G"}])
def test_what_needs_a_process_does_not_go_with_a_thread(more):
    problem = told({"executor": "thread", **more})
    (key,) = more
    assert problem.what == f"job 'build': {key} needs a process, and executor='thread' says otherwise"


def test_every_keyword_has_a_row_here():
    import inspect

    import jobtest

    assert {key.partition("=")[0] for key in WRONG} == set(inspect.signature(jobtest.job).parameters)


@pytest.mark.parametrize(
    ("keyword", "fix"),
    [
        ("retires", "did you mean 'retries'?"),
        ("need", "did you mean 'needs'?"),
        (
            "xyz",
            "keywords are: after, always, commands, contexts, executor, inputs, isolate, labels, memory, "
            "needs, not_commands, not_contexts, ...",
        ),
    ],
)
def test_an_unknown_keyword_is_told_with_the_nearest_ones(jobs, keyword, fix):
    run = jobs(f"""
        import pytest
        from seen import note
        @pytest.mark.job({keyword}=1)
        def job_build(): note("ran")
    """)
    assert refused(run) == [
        f"job 'build': the mark has no keyword {keyword!r}\n  at: job_it.py:4 job_build\n  fix: {fix}"
    ]


def test_all_keywords_that_are_wrong_are_told_at_once(jobs):
    run = jobs("""
        import pytest
        from seen import note
        @pytest.mark.job(retries=1.1, priority="high", retires=3)
        def job_build(): note("ran")
    """)
    told = "\n".join(refused(run))
    assert told.count("job_it.py:4 job_build") == 3
    assert "job 'build': retries=1.1 must be a whole number >= 0" in told
    assert "job 'build': priority='high' must be a whole number" in told
    assert "job 'build': the mark has no keyword 'retires'" in told


def test_the_mark_takes_keywords_only(jobs):
    run = jobs("""
        import pytest
        from seen import note
        @pytest.mark.job("fine")
        def job_build(): note("ran")
        def job_fine(): note("ran")
    """)
    assert refused(run) == [
        "job 'build': the mark takes keywords only, not 'fine'\n"
        "  at: job_it.py:4 job_build\n"
        '  fix: write it as keyword, e.g. needs=["x"]'
    ]


def test_the_mark_may_be_written_without_parentheses(jobs):
    run = jobs("""
        import pytest
        @pytest.mark.job
        def job_build(): pass
        @pytest.mark.job()
        def job_other(): pass
    """)
    assert run.outcomes == {"build": "changed", "other": "changed"}


def test_the_typed_alias_refuses_an_unknown_keyword_where_it_is_written(jobs):
    run = jobs("""
        import jobtest
        @jobtest.job(retires=1)
        def job_build(): pass
    """)
    (problem,) = refused(run)
    assert "TypeError: job() got an unexpected keyword argument 'retires'" in problem
    assert "job_it.py:3" in problem


def test_the_typed_alias_checks_kinds_as_the_mark_does(jobs):
    run = jobs("""
        import jobtest
        @jobtest.job(retries=1.1)
        def job_build(): pass
    """)
    assert refused(run) == [
        "job 'build': retries=1.1 must be a whole number >= 0\n  at: job_it.py:3 job_build"
    ]


def test_a_mark_of_the_module_holds_for_all_its_jobs_and_their_own_wins(jobs):
    run = jobs("""
        import pytest
        pytestmark = pytest.mark.job(retries=2, priority=1)
        def job_a(attempt): assert attempt.number == 3
        @pytest.mark.job(retries=0)
        def job_b(attempt): assert attempt.number == 3
    """)
    assert run.outcomes == {"a": "changed", "b": "failed"}
    assert [len(run.jobs[name].attempts) for name in "ab"] == [3, 1]


def test_a_mark_of_another_name_that_is_not_registered_is_told_as_pytest_does(jobs):
    run = jobs(
        """
        import pytest
        @pytest.mark.jobb(retries=2)
        def job_a(): pass
    """,
        "--strict-markers",
    )
    (problem,) = refused(run)
    assert "'jobb' not found in `markers` configuration option" in problem
