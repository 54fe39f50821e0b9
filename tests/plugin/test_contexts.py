"""Contexts: one is chosen, its parameters hold, and its past is its own."""

import json

import pytest
from told import refused, usage

SETTINGS = """
params = {host = "localhost", port = 80, limits = {a = 1, b = 2}}
resources = {db = 1}
flags = {beta = false}
[contexts.dev]
[contexts.prod]
params = {host = "example.org", limits = {a = 3}}
resources = {db = 4}
flags = {beta = true}
"""
PROJECT = """
    from seen import note
    def job_a(params, context): note(context, params.host, params.port, params.limits)
"""


@pytest.fixture
def project(jobs):
    """Run a project with two contexts."""

    def project(source, *args, settings=SETTINGS, **more):
        return jobs(source, *args, files={"jobtest.toml": settings}, **more)

    return project


def test_without_a_context_there_is_none(project):
    assert project(PROJECT).seen == [(None, "localhost", 80, {"a": 1, "b": 2})]


def test_the_parameters_of_a_context_go_over_the_general_ones_key_by_key(project):
    run = project(PROJECT, "--job-context=prod")
    assert run.seen == [("prod", "example.org", 80, {"a": 3})]
    assert "jobs: ., -J 1, context: prod, settings: jobtest.toml" in run.text


def test_job_set_goes_over_the_parameters_of_a_context(project):
    assert project(PROJECT, "--job-context=prod", "--job-set=host=here").seen == [
        ("prod", "here", 80, {"a": 3})
    ]


def test_a_context_says_how_much_there_is(project):
    source = """
        import pytest
        @pytest.mark.job(resources={"db": 3})
        def job_a(): pass
    """
    assert "there is 1" in "\n".join(refused(project(source)))
    assert project(source, "--job-context=prod").outcomes == {"a": "changed"}


def test_a_context_that_is_not_declared_is_told_with_the_list(project):
    told = usage(project(PROJECT, "--job-context=staging"))
    assert told == "--job-context 'staging' is no context of this project\n  fix: there are: dev, prod"


def test_the_context_is_on_record(jobs, project, tmp_path):
    run = project(PROJECT, "--job-context=prod", "--job-report=r.json")
    assert run.engine.memory.record.context == "prod"
    assert json.loads((jobs.path / "r.json").read_text())["context"] == "prod"


def test_variables_of_the_environment_are_read_for_the_context_alone(project, monkeypatch):
    monkeypatch.setenv("TOKEN", "t0p")
    monkeypatch.delenv("NONE", raising=False)
    settings = """
        params = {token = "${env:TOKEN}", other = "${?env:NONE}"}
        [contexts.dev]
        [contexts.prod.params]
        token = "${env:NONE}"
    """
    source = "from seen import note\ndef job_a(params): note(dict(params))\n"
    assert project(source, "--job-context=dev", settings=settings).seen == [{"token": "t0p"}]
    told = usage(project(source, "--job-context=prod", settings=settings))
    assert told == (
        "setting contexts.prod.params.token: the environment variable 'NONE' is not set\n"
        "  at: jobtest.toml\n"
        "  fix: set it, or write ${?env:NONE} if it may be missing"
    )
    run = project(source, "--job-context=prod", "--job-set=token=${env:X}", settings=settings)
    assert run.seen == [{"token": "${env:X}"}]


def test_a_job_in_a_process_of_its_own_has_the_context(project):
    source = """
        import pytest
        @pytest.mark.job(isolate=True)
        def job_a(params, context): return context, params.host
    """
    assert project(source, "--job-context=prod").values == {"a": ("prod", "example.org")}


# --- what is remembered ---


REMEMBERS = """
    from seen import note
    def check_made(made, context): assert made == context
    def job_made(context):
        note("made in", context)
        return context
    def cleanup_made(): note("cleaned")
"""


def test_what_is_known_in_one_context_is_not_known_in_another(jobs, project):
    jobs.remembers = True
    first = project(REMEMBERS, "--job-context=dev")
    assert first.outcomes == {"made": "changed"}
    other = project(REMEMBERS, "--job-context=prod")
    assert other.outcomes == {"made": "changed"}
    assert other.seen == [("made in", "prod"), "cleaned"]
    for name in ("dev", "prod"):
        again = project(REMEMBERS, f"--job-context={name}")
        assert again.outcomes == {"made": "unchanged"}


def test_cleanups_are_owed_in_their_context(jobs, project):
    jobs.remembers = True
    project(REMEMBERS, "--job-context=dev", "--job-keep")
    other = project(REMEMBERS, "--job-context=prod", "--job-command=cleanup")
    assert (other.seen, other.plan.owed) == ([], ())
    same = project(REMEMBERS, "--job-context=dev", "--job-command=cleanup")
    assert same.seen == ["cleaned"]


def test_what_is_deleted_in_one_context_is_still_there_in_another(jobs, project):
    jobs.remembers = True
    settings = f'{SETTINGS}\n[commands]\ndestroy = "delete"\n'
    source = """
        from seen import note
        def job_a(): note("made")
        def delete_a(context): note("deleted in", context)
    """
    for name in ("dev", "prod"):
        project(source, f"--job-context={name}", settings=settings)
    for name, seen in (("dev", [("deleted in", "dev")]), ("dev", []), ("prod", [("deleted in", "prod")])):
        run = project(source, f"--job-context={name}", "--job-command=destroy", settings=settings)
        assert run.seen == seen
    told = usage(project(source, "--job-command=delete", settings=settings))
    assert told == "--job-command 'delete' is not known\n  fix: it is called 'destroy' here"


def test_a_run_goes_on_with_one_in_its_context(jobs, project):
    jobs.remembers = True
    source = """
        from seen import note
        def job_a(): note("a")
        def job_b(a, context): note("b"); assert context == "prod"
    """
    project(source, "--job-context=dev")
    other = project(source, "--job-context=prod", "--job-resume")
    assert "nothing to resume: there is no earlier run" in other.text
    assert other.seen == ["a", "b"]
    same = project(source, "--job-context=dev", "--job-resume")
    assert same.seen == ["b"]
    assert same.engine.memory.record.context == "dev"


def test_the_last_failures_are_those_of_the_context(jobs, project):
    jobs.remembers = True
    source = """
        def job_a(): pass
        def job_b(context): assert context == "prod"
    """
    project(source, "--job-context=dev")
    assert "last failed: there is no earlier run" in project(source, "--job-context=prod", "--lf").text
    again = project(source, "--job-context=dev", "--lf")
    assert set(again.outcomes) == {"b"}


def test_a_saved_plan_is_applied_in_its_context_only(project):
    source = "def check_a(): assert False\ndef job_a(): pass\n"
    project(source, "--job-context=dev", "--plan", "--job-plan-out=p.toml")
    told = usage(project(source, "--job-context=prod", "--job-apply=p.toml"))
    assert told == (
        "the plan was made in context dev, and this run is in context prod\n"
        "  fix: add --job-context=dev, or make the plan again: "
        "pytest --orchestrate --plan --job-plan-out FILE"
    )
    told = usage(project(source, "--job-apply=p.toml"))
    assert told.startswith("the plan was made in context dev, and this run is in no context\n")
    project(source, "--plan", "--job-plan-out=n.toml")
    told = usage(project(source, "--job-context=dev", "--job-apply=n.toml"))
    assert told.startswith(
        "the plan was made in no context, and this run is in context dev\n  fix: leave out"
    )


def test_a_parameter_that_only_contexts_set_names_them(jobs):
    jobs.write({"jobtest.toml": "[contexts.dev.params]\nsize = 1\n[contexts.prod.params]\nsize = 2\n"})
    run = jobs("def job_a(params): return params.size")
    assert run.ret == 4
    assert "fix: choose a context that sets it: --job-context dev or prod" in run.text


def test_options_in_addopts_are_for_tests_and_jobs(pytester):
    pytester.makeini("[pytest]\naddopts = --job-context=dev")
    pytester.makepyfile(test_it="def test_a(): pass")
    assert pytester.runpytest_inprocess("-p", "no:hypothesispytest").ret == 0
