"""Job files that are data: whose value is meant, whose classes it has, and where mistakes are told."""

import pytest

SAY = """
    import dataclasses
    from seen import note

    def task_say(word: str):
        note(word)
        return word

    @dataclasses.dataclass
    class Host:
        name: str
        ports: list[int]

    def task_host(name: str):
        return Host(name, [1, 2])
"""


@pytest.fixture
def toml(jobs):
    """Write `job_it.toml` with a conftest of task types, and run."""

    def run(text, *args, files=None):
        jobs.write({"conftest.py": SAY, "job_it.toml": text, **(files or {})})
        return jobs.run(*args)

    return run


def say(name, word, more=""):
    return f'[[job]]\nname = "{name}"\ntask = "say"\nargs = {{ word = "{word}" }}\n{more}\n'


def test_names_that_differ_in_a_dash_alone_are_two_jobs(toml):
    run = toml(say("a-b", "dash") + say("a_b", "line") + say("both", "${job_a-b} ${job_a_b}"))

    assert run.seen[-1] == "dash line"


@pytest.mark.parametrize("args", [(), ("--job-executor=process",)], ids=["thread", "process"])
def test_a_value_may_be_of_a_class_that_stands_beside_its_task_type(toml, args):
    run = toml("""
        [[job]]
        name = "host"
        task = "host"
        args = { name = "h" }

        [[job]]
        name = "use"
        task = "shell"
        args = { command = "echo ${host.name} ${host.ports.1}" }
    """, *args)  # fmt: skip

    assert run.ret == 0
    assert run.values["job_it.toml::use"] == "h 2"
    assert "kept for this run only" not in run.text


def test_one_condition_on_a_need_is_written_without_the_list(toml):
    more = 'needs = { job = "a", commands = "apply" }\nafter = "a"'
    run = toml(say("b", "second", more) + say("a", "first"))

    assert run.seen == ["first", "second"]


def test_in_a_pipeline_a_need_under_conditions_is_one_more(toml):
    run = toml(
        'tasks = [{ name = "say", args = { word = "1" } }, '
        '{ name = "say", args = { word = "2" }, needs = { job = "a" } }]\n' + say("a", "first")
    )

    assert sorted(run.seen[:2]) == ["1", "first"]
    assert run.seen[2] == "2"


def test_of_two_jobs_of_one_name_needs_says_whose_value_is_meant(toml):
    files = {"a/job_s.toml": say("scan", "of a"), "b/job_s.toml": say("scan", "of b")}
    use = say("use", "${job_scan}", "needs = [NEEDS]")

    run = toml(use.replace("NEEDS", ""), files=files)
    assert run.ret == 4
    assert '  fix: say which: needs = ["a/job_s.toml::scan"]\n' in run.text

    run = toml(use.replace("NEEDS", '"b/job_s.toml::scan"'))
    assert run.values["job_it.toml::use"] == "of b"


WRONG_CONDITIONS = """\
[[job]]
name = "a"
task = "say"
args = { word = "x" }
contexts = ["prod"]
commands = "aply"
when = "flag:beta"
needs = [
    { job = "a", contexts = "qa" },
    "job_it.toml::nope",
]
"""


def test_a_condition_on_what_is_declared_nowhere_is_told_to_the_column(toml):
    run = toml(WRONG_CONDITIONS)

    assert run.ret == 4
    for place in ("5:1", "6:1", "7:1", "9:5", "10:5"):
        assert f"  at: job_it.toml:{place}\n" in run.text


def test_a_mistake_in_a_file_that_two_include_is_told_once(toml):
    include = 'include = "base.toml"\n'
    run = toml(include, files={"job_at.toml": include, "base.toml": say("a", "${nobody}")})

    assert run.ret == 4
    assert run.text.count("job 'a': args.word: ${nobody} is not known") == 1 + 1  # the short summary, too


def test_a_task_file_that_cannot_be_imported_is_named(toml):
    run = toml(say("a", "x"), files={"ops/task_x.py": "import nothing_of_that_name"})

    assert run.ret == 4
    assert "ERROR collecting ops/task_x.py" in run.text


def test_what_is_wrong_with_a_task_type_is_told_relative_to_the_rootdir(toml):
    files = {"task_x.py": "def task_x(*words): ...", "job_at.toml": '[[job]]\nname = "b"\ntask = "x"'}
    run = toml(say("a", "x"), files=files)

    assert "task type 'x' has the parameter '*words'\n  at: task_x.py:1 task_x\n" in run.text


def test_each_task_type_is_listed_once(toml):
    run = toml('[[job]]\nname = "a"\ntask = "qqqq"', files={"task_x.py": "def task_other(): ..."})

    assert "fix: task types are: archive, download, host, other, prune, say, shell," in run.text
