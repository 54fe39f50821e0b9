"""Whatever jobs print, return and raise: no report is broken by it, and the terminal does not crash."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

HOSTILE = {
    "control characters": "a\x01\x02\x08\x0b\x0c\x0e\x1f\x7f\x80\x9fb",
    "escapes": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J",
    "end of cdata": "]]> <![CDATA[ & < > \" '",
    "lone surrogates": "\ud800 x \udfff \udc80",
    "nul": "a\0b",
    "not characters": "\ufffe\uffff\U0001fffe",
    "unicode": "żółć 猫 🐈 \u202e backwards \u2028",
    "line ends": "a\r\nb\rc\n\n\x85\u2029",
}
hostile = pytest.mark.parametrize("text", list(HOSTILE.values()), ids=list(HOSTILE))


def xml_of(path):
    """The test cases of a JUnit file by name."""
    return {case.get("name"): case for case in ElementTree.parse(path).iter("testcase")}


@pytest.mark.parametrize(
    ("text", "workers"),
    [*((text, "-J1") for text in HOSTILE.values()), ("".join(HOSTILE.values()), "-J2")],
    ids=[*HOSTILE, "all of it at once"],
)
def test_hostile_text_breaks_no_report(jobs, text, workers):
    source = f"""
        import sys, logging, warnings, pytest
        TEXT = {text!a}
        def job_prints():
            print(TEXT); print(TEXT, file=sys.stderr); logging.getLogger().warning("%s", TEXT)
        def job_raises(): raise RuntimeError(TEXT)
        def check_says(): assert not TEXT, TEXT
        def job_says(): print(TEXT)
        def job_fails(): pytest.fail(TEXT)
        def job_skips(): pytest.skip(TEXT or "x")
        def job_blocked(raises): pass
        @pytest.fixture
        def server():
            print(TEXT)
            raise RuntimeError(TEXT)
        def job_serves(server): pass
        def job_value(): return {{TEXT: [TEXT]}}
        def job_cleaned(): pass
        def cleanup_cleaned(): raise RuntimeError(TEXT)
    """
    files = ["--job-report=r.json", "--job-events=e.jsonl", "--job-graph=g.svg", "--job-graph=g.json"]
    run = jobs(
        source, workers, "--junitxml=j.xml", "-v", "-rA", *files, "--job-graph=tree", "--job-graph=g.dot"
    )
    assert run.ret == 1
    failed = {"raises", "says", "fails", "serves"}
    expected = dict.fromkeys(failed, "failed") | {"skips": "skipped", "blocked": "blocked"}
    assert run.outcomes == dict.fromkeys(["prints", "value", "cleaned"], "changed") | expected
    cases = xml_of(jobs.path / "j.xml")
    assert set(cases) == {f"job_{name}" for name in run.outcomes}
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {
        "job_raises",
        "job_says",
        "job_fails",
    }
    report = json.loads((jobs.path / "r.json").read_text("utf-8"))
    assert len(report["jobs"]) == len(run.outcomes)
    for line in (jobs.path / "e.jsonl").read_text("utf-8").splitlines():
        json.loads(line)
    json.loads((jobs.path / "g.json").read_text("utf-8"))
    ElementTree.parse(jobs.path / "g.svg")


@hostile
def test_hostile_ids_break_no_report(jobs, text):
    source = f"""
        import pytest
        TEXT = {text!a}
        @pytest.mark.parametrize("one", [TEXT, "other"])
        def job_a(one): return one
        def job_b(a):
            assert list(a.values()) == [TEXT, "other"]
            assert len(set(a)) == 2
    """
    files = ["--job-report=r.json", "--job-events=e.jsonl", "--job-graph=g.svg", "--job-graph=g.mmd"]
    run = jobs(source, "--junitxml=j.xml", "-v", *files, "--job-graph=g.dot", "--job-graph=tree")
    assert run.ret == 0, run.text
    assert len(xml_of(jobs.path / "j.xml")) == 3
    assert len(json.loads((jobs.path / "r.json").read_text("utf-8"))["jobs"]) == 3
    ElementTree.parse(jobs.path / "g.svg")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_hostile_text_does_not_crash_a_real_terminal(jobs, encoding):
    jobs.write(
        {
            "job_it.py": f"""
            import sys
            TEXT = {"".join(HOSTILE.values())!a}
            def job_prints(): print("fine")
            def job_raises():
                sys.stdout.write(TEXT.encode("utf-8", "replace").decode())
                raise RuntimeError(TEXT)
            def check_says(): assert not TEXT, TEXT
            def job_says(): pass
        """
        }
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--orchestrate",
        "-p",
        "no:hypothesispytest",
        "-v",
        "--junitxml=j.xml",
    ]
    env = {"PYTHONIOENCODING": encoding, "PATH": ""}
    done = subprocess.run(command, cwd=jobs.path, capture_output=True, env=env, check=False)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 1, output
    assert b"3 jobs: 1 changed, 2 failed" in done.stdout, output
    assert "INTERNALERROR" not in output
    assert len(xml_of(jobs.path / "j.xml")) == 3


@pytest.mark.parametrize("workers", ["-J1", "-J2"])
def test_of_ten_megabytes_of_output_the_beginning_and_the_end_belong_to_their_job(jobs, workers):
    run = jobs(
        """
        LINE = "x" * 1023 + "\\n"
        def job_talks():
            for _ in range(10 * 1024):
                print(LINE, end="")
            assert 0
        def job_quiet(): print("quiet"); assert 0
        """,
        workers,
        "--show-capture=no",
        "--job-report=r.json",
        "--junitxml=j.xml",
    )
    assert run.outcomes == {"talks": "failed", "quiet": "failed"}
    printed = run.jobs["talks"].attempts[-1].stdout
    assert printed.count("x" * 1023) in (1022, 1023, 1024)
    assert "left out here" in printed
    assert run.jobs["quiet"].attempts[-1].stdout == "quiet\n"
    assert len(run.text) < 100_000
    assert set(xml_of(jobs.path / "j.xml")) == {"job_talks", "job_quiet"}


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("0", "0"),
        ("1", "1"),
        ("'x'", "'x'"),
        ("''", "''"),
        ("[]", "[]"),
        ("NotImplemented", "NotImplemented"),
        ("object", "<class 'object'>"),
        ("'y' * 200", f"'{'y' * 76}..."),
    ],
)
def test_a_check_that_returns_something_else_is_broken_and_its_job_does_not_run(jobs, answer, shown):
    run = jobs(f"""
        from seen import note
        def check_a(): return {answer}
        def job_a(): note("ran")
    """)
    assert run.ret == 1
    assert run.seen == []
    assert run.kinds == {"a": "broken_check"}
    rule = "a check holds when it returns None or True, and does not when it returns False"
    assert run.reasons["a"] == f"its check is broken: it returned {shown}; {rule}"
    assert f"check of 'a': it returned {shown}; {rule}" in run.longrepr("a")
    assert run.counts() == {"errors": 1}


def test_values_whose_repr_raises_break_nothing(jobs):
    run = jobs(
        """
        class Bad:
            def __repr__(self): raise RuntimeError("no repr")
            __str__ = __repr__
        class Worse(Exception):
            def __str__(self): raise RuntimeError("no str")
            __repr__ = __str__
        def check_a(): return Bad()
        def job_a(): pass
        def job_b(): return Bad()
        def job_c(b): raise Worse()
        def check_d(): raise Worse()
        def job_d(): pass
        """,
        "--job-report=r.json",
        "--junitxml=j.xml",
    )
    assert run.outcomes == {"a": "failed", "b": "changed", "c": "failed", "d": "failed"}
    assert "<unprintable Bad>" in run.reasons["a"]
    assert "<unprintable Worse>" in run.reasons["c"]
    assert len(xml_of(jobs.path / "j.xml")) == 4
    assert len(json.loads((jobs.path / "r.json").read_text())["jobs"]) == 4
