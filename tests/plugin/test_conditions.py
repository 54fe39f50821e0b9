"""Jobs and edges that are limited to contexts, verbs and flags; labels; defaults from the settings."""

import pytest
from told import refused

SETTINGS = """
flags = {beta = false}
[contexts.dev]
[contexts.prod]
[commands]
backup = {}
destroy = "delete"
"""


@pytest.fixture
def project(jobs):
    def project(source, *args, settings=SETTINGS, **more):
        return jobs(
            "from jobtest import Need, job\n" + source, *args, files={"jobtest.toml": settings}, **more
        )

    return project


def reason(run, name="a"):
    assert run.outcomes[name] == "skipped"
    return run.reasons[name]


# --- jobs ---


@pytest.mark.parametrize(
    ("keywords", "args", "told"),
    [
        ('contexts="prod"', ("--job-context=dev",), "not in context dev (contexts: prod)"),
        ('contexts=["prod"]', (), "no context is chosen (contexts: prod)"),
        ('not_contexts=["dev"]', ("--job-context=dev",), "not in context dev (not_contexts: dev)"),
        ('commands=["backup"]', (), "not for command apply (commands: backup)"),
        ('commands=["backup"]', ("--plan",), "not for command apply (commands: backup)"),
        ('not_commands="apply"', ("--drift",), "not for command apply (not_commands: apply)"),
        ('when="flag:beta"', (), "flag beta is off"),
        ('when="not flag:beta"', ("--job-flag=beta=on",), "flag beta is on"),
    ],
)
def test_a_job_that_does_not_apply_is_skipped_with_the_reason(project, keywords, args, told):
    run = project(
        f"@job({keywords})\ndef job_a(): raise OSError('ran')\ndef check_a(): assert False\n", *args
    )
    assert (run.ret, reason(run)) == (0, told)


@pytest.mark.parametrize(
    ("keywords", "args"),
    [
        ('contexts=["prod", "dev"]', ("--job-context=dev",)),
        ('not_contexts="prod"', ("--job-context=dev",)),
        ('not_contexts="prod"', ()),
        ('commands="apply"', ()),
        ('not_commands=["destroy"]', ()),
        ('when="flag:beta"', ("--job-flag", "beta=true")),
        ('when="not flag:beta"', ()),
    ],
)
def test_a_job_that_applies_runs(project, keywords, args):
    assert project(f"@job({keywords})\ndef job_a(): pass\n", *args).outcomes == {"a": "changed"}


def test_what_needs_a_job_that_does_not_apply_is_skipped_too(project):
    run = project("@job(contexts='prod')\ndef job_a(): pass\n@job(needs='a')\ndef job_b(): pass\n")
    assert run.outcomes == {"a": "skipped", "b": "skipped"}
    assert run.reasons["b"] == "upstream a is skipped: no context is chosen (contexts: prod)"


def test_the_closest_mark_wins_keyword_by_keyword(project):
    source = """
import pytest
pytestmark = pytest.mark.job(contexts="prod", commands="apply")
@job(contexts="dev")
def job_a(): pass
def job_b(): pass
"""
    assert project(source, "--job-context=dev").outcomes == {"a": "changed", "b": "skipped"}


UNKNOWN = {
    'contexts=["prdo"]': ("contexts names 'prdo', which is no context", "did you mean 'prod'?"),
    'not_contexts="qqq"': ("not_contexts names 'qqq', which is no context", "there are: dev, prod"),
    'commands="delete"': ("commands names 'delete', which is no command", "it is called 'destroy' here"),
    'not_commands="aply"': ("not_commands names 'aply', which is no command", "did you mean 'apply'?"),
    'when="flag:gamma"': (
        "when names the flag 'gamma', which is declared nowhere",
        "there are: beta",
    ),
    'needs=Need("b", contexts="prdo")': (
        "contexts names 'prdo', which is no context",
        "did you mean 'prod'?",
    ),
    'needs="label:tier"': ("needs='label:tier' must be label:KEY=VALUE", 'e.g. "label:tier=db"'),
    'after=["label:=db"]': ("after='label:=db' must be label:KEY=VALUE", 'e.g. "label:tier=db"'),
    'needs=[Need("b", contexts=3)]': ("needs['b'].contexts=3 must be a name or a list of names", ""),
    'needs=[{"job": "b", "context": "prod"}]': (
        "needs of 'b' has no key 'context'",
        "did you mean 'contexts'?",
    ),
    'needs=[Need(3)]': ("needs=[Need(job=3, contexts=(), not_contexts=(), commands=(), not_commands=())] "
                        "must be a name or a list of names", ""),
}  # fmt: skip


@pytest.mark.parametrize(("keywords", "told"), list(UNKNOWN.items()))
def test_a_condition_on_what_is_declared_nowhere_is_told(project, keywords, told):
    run = project(f"@job({keywords})\ndef job_a(): pass\ndef job_b(): pass\n")
    what, fix = told
    fix = f"\n  fix: {fix}" if fix else ""
    assert refused(run) == [f"job 'a': {what}\n  at: job_it.py:2 job_a{fix}"]


def test_without_contexts_the_fix_says_how_to_declare_one(project):
    (told,) = refused(project("@job(contexts='prod')\ndef job_a(): pass\n", settings=""))
    assert told.endswith("fix: declare it in the settings: contexts.prod = {}")
    (told,) = refused(project("@job(when='flag:beta')\ndef job_a(): pass\n", settings=""))
    assert told.endswith("fix: declare it in the settings: flags.beta = false")


def test_a_flag_that_nothing_names_is_told_with_the_list(project):
    source = "@job(when='flag:gamma')\ndef job_a(): pass\n"
    assert project(source, "--job-flag=gamma=on").outcomes == {"a": "changed"}
    (told,) = refused(project(source, "--job-flag=gamma=on", "--job-flag=zz=off"))
    assert told == "--job-flag 'zz' is no flag of this project\n  fix: there are: beta, gamma"


# --- edges ---


@pytest.mark.parametrize(
    ("need", "args", "edge"),
    [
        ('Need("b", contexts="prod")', ("--job-context=prod",), True),
        ('Need("b", contexts="prod")', ("--job-context=dev",), False),
        ('Need("b", not_contexts=["prod"])', ("--job-context=prod",), False),
        ('Need("b", commands=["backup"])', (), False),
        ('Need("b", not_commands=["backup"])', (), True),
        ('[{"job": "b", "contexts": ["dev", "prod"]}]', ("--job-context=dev",), True),
        ('[{"job": "b"}, "c"]', (), True),
        ('Need("label:tier=db", contexts="prod")', ("--job-context=prod",), True),
    ],
)
@pytest.mark.parametrize("keyword", ["needs", "after"])
def test_an_edge_is_there_if_its_condition_applies(project, keyword, need, args, edge):
    source = f"@job({keyword}={need})\ndef job_a(): pass\n@job(labels={{'tier': 'db'}})\ndef job_b(): pass\n"
    run = project(f"{source}def job_c(): pass\n", *args)
    upstream = [one.upstream for one in run.plan.graph["job_it.py::job_a"].edges]
    assert ("job_it.py::job_b" in upstream) is edge


def test_a_job_that_is_out_of_scope_matters_only_if_the_edge_applies(project):
    source = """
@job(contexts="prod")
def job_a(): pass
@job(needs=[Need("a", contexts="prod")])
def job_b(): pass
@job(needs=["a"])
def job_c(): pass
"""
    run = project(source, "--job-context=dev")
    assert run.outcomes == {"a": "skipped", "b": "changed", "c": "skipped"}


def test_a_label_means_all_jobs_that_have_it(project):
    source = """
@job(needs="label:tier=db")
def job_app(): pass
@job(labels={"tier": "db"})
def job_one(): pass
@job(labels={"tier": "db"}, needs="label:tier=db")
def job_two(): pass
@job(labels={"tier": "web"})
def job_web(): pass
"""
    run = project(source, "--job-only=app")
    assert list(run.outcomes) == ["app", "one", "two"]
    assert [run.plan.graph[id].name for id in run.plan.order] == ["one", "two", "app"]


def test_a_cycle_through_a_label_is_told_edge_by_edge(project):
    source = """
@job(labels={"tier": "db"}, needs="label:tier=db")
def job_one(): pass
@job(labels={"tier": "db"}, needs="label:tier=db")
def job_two(): pass
"""
    (told,) = refused(project(source))
    assert told.count("job_it.py:") == 2


# --- defaults ---


def test_retries_of_the_settings_are_for_jobs_that_do_not_say(project):
    source = """
def job_a(attempt): assert attempt.number == 3
@job(retries=0)
def job_b(attempt): assert attempt.number == 3
@job(retry_delay=0)
def job_c(attempt): assert attempt.number == 3
"""
    run = project(source, settings="retries = 2")
    assert run.outcomes == {"a": "changed", "b": "failed", "c": "changed"}


def test_a_timeout_of_the_settings_is_for_jobs_that_do_not_say(project):
    source = """
def job_a(): pass
@job(timeout=7)
def job_b(): pass
@job(timeout=float("inf"))
def job_c(): pass
async def job_d(): pass
"""
    run = project(source, "--plan", settings="timeout = 9")
    found = {job.name: (job.timeout, job.isolated) for job in run.plan.graph}
    assert found == {"a": (9, True), "b": (7, True), "c": (None, False), "d": (9, False)}


def test_exceptions_after_which_to_try_again_may_be_named(project):
    source = """
import email.errors
@job(retries=1, retry_on=["ConnectionError", "email.MessageError"])
def job_a(attempt):
    if attempt.number == 1: raise email.errors.HeaderParseError("x")
@job(retries=1, retry_on="builtins.ConnectionError")
def job_b(attempt):
    if attempt.number == 1: raise OSError("x")
"""
    assert project(source).outcomes == {"a": "changed", "b": "failed"}


def test_problems_of_a_keyword_stand_where_the_keyword_does():
    from jobtest.plugin.mark import read_marks

    mark = pytest.mark.job(retries=-1, needs=["label:x"], resources={"db": 0}, xyz=1).mark
    _, problems = read_marks([mark], "a", "job_a.toml", lambda key: f"job_a.toml: {key}")
    assert [problem.at for problem in problems] == [
        ("job_a.toml: xyz",),
        ("job_a.toml: needs",),
        ("job_a.toml: retries",),
        ("job_a.toml: resources",),
    ]


def test_the_mark_on_a_parameter_is_refused(jobs):
    run = jobs("""
        import pytest
        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.job(contexts=["prod"]))])
        def job_a(n): pass
    """)
    assert run.ret == 4
    assert "job 'a': the mark job stands on the parameter '2'" in run.text
