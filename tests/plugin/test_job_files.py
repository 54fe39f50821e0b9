"""Job files that are data: from an entry to a job like any other."""

import textwrap

import pytest

TYPES = """
    import pytest
    from seen import note

    def task_say(word: str, times: int = 1):
        '''Say a word.'''
        note(word * times)
        return {"word": word, "length": len(word)}

    def task_add(left: int, right: int):
        note(left + right)
        return left + right

    @pytest.fixture
    def greeting():
        return "hello"

    def task_greet(greeting, who: str):
        note(f"{greeting} {who}")

    done = set()
    def check_task_once(key: str):
        assert key in done, f"{key} is not done"
    def task_once(key: str):
        done.add(key)
        note(key)
    def cleanup_task_once(key: str):
        note(f"clean {key}")
"""


@pytest.fixture
def toml(jobs):
    """Write `job_it.toml` with a conftest of task types, and run."""

    def run(text, *args, files=None, conftest=TYPES):
        jobs.write({"conftest.py": conftest, "job_it.toml": text, **(files or {})})
        return jobs.run(*args)

    return run


def test_an_entry_is_a_job_of_its_task_type(toml):
    run = toml("""
        [[job]]
        name = "hi"
        task = "say"
        args = { word = "hi", times = 2 }
    """)
    assert run.ret == 0
    assert run.seen == ["hihi"]
    (id,) = run.summary.jobs
    assert id == "job_it.toml::hi"
    assert run.summary.plan.graph[id].description == "Say a word."
    assert run.summary.plan.graph[id].at == "job_it.toml:2 hi"


def test_what_is_not_given_is_a_fixture(toml):
    run = toml("""
        [[job]]
        name = "hi"
        task = "greet"
        args = { who = "you" }
    """)
    assert run.seen == ["hello you"]


def test_a_check_of_the_type_decides_whether_it_runs_and_its_cleanup_comes_at_the_end(toml):
    run = toml("""
        [[job]]
        name = "a"
        task = "once"
        args = { key = "k" }
        [[job]]
        name = "b"
        task = "once"
        args = { key = "k" }
        needs = ["a"]
    """)
    assert run.outcomes == {"job_it.toml::a": "changed", "job_it.toml::b": "unchanged"}
    assert "k is not done" in run.reasons["job_it.toml::a"]
    assert run.seen == ["k", "clean k"]


def test_a_pipeline_goes_step_by_step_and_stops_at_a_failure(toml):
    run = toml("""
        tasks = [
            { name = "say", args = { word = "a" } },
            { name = "add", args = { left = 1, right = "${say_2.length}" } },
            { name = "say", args = { word = "b" } },
        ]
    """)
    assert run.ret == 4, "the third step comes after the second"
    run = toml("""
        tasks = [
            { name = "say", args = { word = "a" } },
            { name = "say", args = { word = "${say.nothing}" } },
            { name = "say", args = { word = "c" } },
        ]
    """)
    assert list(run.outcomes.values()) == ["changed", "failed", "blocked"]
    assert run.seen == ["a"]


def test_the_value_of_another_job_makes_the_edge_and_keeps_its_type(toml):
    run = toml("""
        [[job]]
        name = "sum"
        task = "add"
        args = { left = "${hi.length}", right = "${job_other}" }
        [[job]]
        name = "hi"
        task = "say"
        args = { word = "four" }
        [[job]]
        name = "other"
        task = "add"
        args = { left = 1, right = 1 }
        [[job]]
        name = "text"
        task = "say"
        args = { word = "${job_sum}/${hi.word}" }
    """)
    assert run.ret == 0
    assert run.times(6) == 1
    assert run.times("6/four") == 1
    graph = run.summary.plan.graph
    assert {edge.upstream for edge in graph.upstream("job_it.toml::sum")} == {
        "job_it.toml::hi",
        "job_it.toml::other",
    }


def test_a_value_of_the_wrong_kind_fails_the_job_and_says_which_argument(toml):
    run = toml("""
        [[job]]
        name = "hi"
        task = "say"
        args = { word = "four" }
        [[job]]
        name = "sum"
        task = "add"
        args = { left = 1, right = "${hi.word}" }
    """)
    assert run.outcomes["job_it.toml::sum"] == "failed"
    shown = run.longrepr("job_it.toml::sum")
    assert "right" in shown
    assert "'four'" in shown
    assert "Traceback" not in shown
    assert "job_files.py" not in shown


def test_parameters_make_instances_that_are_joined_with_others(toml):
    run = toml(
        """
        [[job]]
        name = "say"
        task = "say"
        args = { word = "${lang}" }
        parametrize = { lang = ["en", "de"] }
        [[job]]
        name = "again"
        task = "say"
        args = { word = "${say.word}!" }
        parametrize = { lang = ["en", "de"] }
    """,
        files={"job_py.py": "def job_all(say): return sorted(say)"},
    )
    assert run.ret == 0
    assert sorted(run.seen) == ["de", "de!", "en", "en!"]
    assert run.values["all"] == ["de", "en"]
    assert "job_it.toml::say[en]" in run.outcomes


def test_jobs_of_python_and_of_data_take_each_others_values(toml):
    run = toml(
        """
        [[job]]
        name = "middle"
        task = "say"
        args = { word = "${first.key}" }
        """,
        files={
            "job_py.py": """
            def job_first(): return {"key": "from python"}
            def job_last(middle): return middle["word"].upper()
        """
        },
    )
    assert run.values["last"] == "FROM PYTHON"


def test_keywords_of_the_mark_are_keys_of_an_entry(toml):
    run = toml(
        """
        [[job]]
        name = "flaky"
        task = "flaky"
        retries = 2
        retry_on = "ConnectionError"
        priority = 5
        """,
        conftest="""
            tries = []
            def task_flaky():
                tries.append(1)
                if len(tries) < 3:
                    raise ConnectionError("no")
        """,
    )
    assert run.phases == {"job_it.toml::flaky": [["run"], ["run"], ["run"]]}


def test_selection_takes_node_ids_names_and_files(toml):
    text = """
        [[job]]
        name = "red"
        task = "say"
        args = { word = "a" }
        [[job]]
        name = "blue"
        task = "say"
        args = { word = "b" }
    """
    assert toml(text, "job_it.toml::blue").seen == ["b"]
    assert toml(text, "-k", "blue").seen == ["b"]
    assert toml(text, "--job-only", "red").seen == ["a"]
    other = {"job_other.py": "from seen import note\ndef job_o(): note('o')"}
    assert toml(text, "job_it.toml", files=other).seen == ["a", "b"]


def test_collect_only_lists_entries(toml):
    run = toml("[[job]]\nname = 'a'\ntask = 'say'\nargs.word = 'a'", "--collect-only", "-q")
    assert "job_it.toml::a" in run.text
    assert run.seen == []


def test_an_async_type_is_awaited_and_a_generator_holds_something_open(toml):
    run = toml(
        """
        [[job]]
        name = "soon"
        task = "soon"
        [[job]]
        name = "open"
        task = "open"
        [[job]]
        name = "use"
        task = "use"
        args = { of = "${job_open}" }
        """,
        conftest="""
            from seen import note
            async def task_soon():
                note("awaited")
            def task_open():
                yield "handle"
                note("closed")
            def task_use(of: str):
                note(f"used {of}")
        """,
    )
    assert run.ret == 0
    assert run.times("awaited") == 1
    assert run.before("used handle", "closed")


def test_arguments_are_converted_to_what_the_type_says(toml):
    run = toml(
        "[[job]]\nname = 'a'\ntask = 'kinds'\nargs = { path = 'x/y', mode = 'fast', many = [1, 2] }",
        conftest="""
            from pathlib import Path
            from typing import Literal
            from seen import note
            def task_kinds(path: Path, mode: Literal["fast", "slow"], many: tuple[int, ...]):
                note((path, mode, many))
        """,
    )
    ((path, mode, many),) = run.seen
    assert (path.parts, mode, many) == (("x", "y"), "fast", (1, 2))


def test_lists_of_an_entry_are_made_anew_for_each_attempt(toml):
    run = toml(
        "[[job]]\nname = 'a'\ntask = 'grow'\nretries = 1\nargs = { items = [1] }",
        conftest="""
            from seen import note
            def task_grow(items: list[int]):
                items.append(2)
                note(len(items))
                assert len(items) == 3
        """,
    )
    assert run.seen == [2, 2]


# --- where task types come from ---


def test_a_type_is_looked_up_in_the_nearest_conftest_then_in_task_files_then_among_the_built_in_ones(jobs):
    def types(word):
        return f"from seen import note\ndef task_where(): note({word!r})\n"

    entry = "[[job]]\nname = 'NAME'\ntask = 'where'\n"
    jobs.write(
        {
            "conftest.py": types("top"),
            "job_top.toml": entry.replace("NAME", "top"),
            "near/conftest.py": types("near"),
            "near/deep/job_near.toml": entry.replace("NAME", "near"),
            "side/task_side.py": types("side"),
            "side/job_side.toml": entry.replace("NAME", "side"),
        }
    )
    run = jobs.run()
    assert run.ret == 0
    assert sorted(run.seen) == ["near", "side", "top"]


def test_a_task_file_is_seen_everywhere(jobs):
    jobs.write(
        {
            "shared/task_it.py": "from seen import note\ndef task_far(): note('far')",
            "ops/job_it.toml": "[[job]]\nname = 'a'\ntask = 'far'",
        }
    )
    assert jobs.run().seen == ["far"]


def test_asserts_in_checks_of_task_files_explain_themselves(jobs):
    jobs.write(
        {
            "task_it.py": "def check_task_x(n: int):\n    assert n == 2\ndef task_x(n: int): pass",
            "job_it.toml": "[[job]]\nname = 'a'\ntask = 'x'\nargs.n = 1",
        }
    )
    assert "assert 1 == 2" in jobs.run().reasons["job_it.toml::a"]


def test_a_type_of_another_distribution_comes_by_entry_point(jobs, pytester, monkeypatch):
    jobs.write(
        {
            "lib/others.py": "from seen import note\ndef task_theirs(word: str): note(word)",
            "lib/others-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: others\nVersion: 1.0\n",
            "lib/others-1.0.dist-info/entry_points.txt": "[jobtest.tasks]\ntheirs = others:task_theirs\n",
            "job_it.toml": "[[job]]\nname = 'a'\ntask = 'theirs'\nargs.word = 'w'",
        }
    )
    monkeypatch.syspath_prepend(pytester.path / "lib")
    assert jobs.run().seen == ["w"]


# --- what defines a job ---


def test_a_changed_argument_is_a_changed_definition_and_a_new_day_is_not(toml):
    def definition(text, *args):
        run = toml(f"[[job]]\nname = 'a'\ntask = 'say'\nargs = {{ word = '{text}' }}", *args)
        return run.summary.plan.graph["job_it.toml::a"].definition

    first = definition("x")
    assert definition("x") == first
    assert definition("y") != first
    assert definition("${RUN_ID}") == definition("${RUN_ID}"), "which is another one in each run"
    assert definition("${w}", "--job-set", "w=1x") != definition("${w}", "--job-set", "w=2x")


def test_text_in_a_job_file_stays_text(toml, monkeypatch):
    monkeypatch.setenv("HOSTILE", "${HOME} $(touch hacked) {0.__class__}")
    run = toml("""
        [[job]]
        name = "a"
        task = "say"
        args = { word = "${env:HOSTILE}" }
        [[job]]
        name = "b"
        task = "say"
        args = { word = "$${HOME}`touch hacked`" }
    """)
    assert run.seen == ["${HOME} $(touch hacked) {0.__class__}", "${HOME}`touch hacked`"]


BAD = """\
tasks = "none"
colour = "red"

[[job]]
name = "one"
task = "sya"
args = { word = "x" }

[[job]]
name = "two"
task = "say"
args = { wrod = "x" }

[[job]]
name = "three"
task = "say"
args = { word = 3, times = "often" }
needs = ["on"]
retrys = 2

[[job]]
name = "four"
task = "say"
args = { word = "${nowhere}" }

[[job]]
name = "five"
task = "say"
args = { word = "${tow.word}" }
timeout = "soon"
"""


def test_ten_mistakes_in_one_file_are_told_at_once_with_line_and_column(jobs):
    jobs.write({"conftest.py": TYPES})
    (jobs.path / "job_it.toml").write_text(BAD)
    run = jobs.run()
    assert run.ret == 4
    assert run.seen == []
    told = textwrap.dedent("""
        at: job_it.toml:1:
        at: job_it.toml:2:1
        at: job_it.toml:6:
        at: job_it.toml:12:10
        at: job_it.toml:12:1
        at: job_it.toml:17:10
        at: job_it.toml:17:20
        at: job_it.toml:18:
        at: job_it.toml:19:1
        at: job_it.toml:24:
        at: job_it.toml:29:
        at: job_it.toml:30:1
    """).split("\n")
    missing = [place for place in told if place.strip() and place.strip() not in run.text]
    assert missing == []
