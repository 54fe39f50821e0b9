"""The command line itself: which project is meant, mistakes, and how answers get out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobtest.cli.main import main
from jobtest.cli.project import find_root
from jobtest.core.graph import Graph
from jobtest.core.model import Job, Outcome, Phase
from jobtest.core.planner import make_plan
from tests.cli.journals import STARTED, Journal, run_id, simple


def process(project, *arguments, **how):
    """Run `jobtest` in a process of its own."""
    command = [sys.executable, "-c", "import sys; from jobtest.cli.main import main; sys.exit(main())"]
    environment = {**os.environ, **how.pop("env", {})}
    environment.pop("PYTHONUNBUFFERED", None)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run([*command, *arguments], cwd=project.path, env=environment, check=False, **how)


# --- which project ---


def test_the_project_is_the_nearest_folder_with_settings(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / ".jobtest").mkdir()
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert find_root(inner) == tmp_path / "a"
    (tmp_path / "pyproject.toml").write_text("[tool.jobtest]\n")
    assert find_root(inner) == tmp_path
    (inner / "jobtest.toml").write_text("")
    assert find_root(inner) == inner
    assert find_root(inner.parent) == tmp_path


def test_without_settings_the_nearest_folder_with_a_state_counts_and_without_one_the_folder_itself(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_root(inner) == inner
    (tmp_path / "a" / ".jobtest").mkdir()
    assert find_root(inner) == tmp_path / "a"


def test_the_state_is_found_from_a_folder_inside_the_project_and_with_root_from_anywhere(
    project, monkeypatch, tmp_path_factory
):
    project.keep(simple())
    inside = project.path / "deep" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert "exit 0" in project.jobtest("runs").out
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert project.jobtest("runs").out == "no runs yet\n"
    for arguments in (("--root", str(project.path), "runs"), ("runs", "--root", str(project.path))):
        assert "exit 0" in project.jobtest(*arguments).out


def test_the_state_is_that_of_the_option_or_of_the_settings(project):
    project.keep(simple())
    assert project.jobtest("--state", "memory://", "runs").out == "no runs yet\n"
    assert project.jobtest("runs", "--state", "memory://").out == "no runs yet\n"
    (project.path / "pyproject.toml").write_text("[tool.jobtest]\nstate = 'memory://'\n")
    assert project.jobtest("runs").out == "no runs yet\n"
    assert "exit 0" in project.jobtest("--state", "", "runs").out


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: COMMAND\n  fix: see jobtest --help"),
        (["run"], "invalid choice: 'run'"),
        (["runs", "--limit", "-1"], "'-1' must be a whole number >= 0\n  fix: see jobtest runs --help"),
        (["runs", "--lim", "1"], "unrecognized arguments: --lim 1"),
        (["show"], "the following arguments are required: RUN\n  fix: see jobtest show --help"),
        (["show", "zzz"], "no run begins with 'zzz'"),
        (["prune", "--keep", "many"], "'many' must be a whole number >= 0"),
        (["--root", "nowhere", "runs"], "--root 'nowhere' is no folder"),
    ],
)
def test_a_mistake_is_status_4_and_one_message(project, arguments, said):
    project.keep(simple())
    found = project.jobtest(*arguments)
    assert (found.status, found.out) == (4, "")
    assert said in found.err
    assert "Traceback" not in found.err


def test_settings_that_cannot_be_followed_are_a_mistake(project):
    (project.path / "pyproject.toml").write_text("[tool.jobtest]\nparalel = 1\n")
    found = project.jobtest("runs")
    assert (found.status, found.out) == (4, "")
    assert found.err.startswith("unknown setting 'paralel'\n  at: pyproject.toml [tool.jobtest]\n")


def test_a_state_of_something_else_is_refused_and_left_as_it_is(project):
    (project.path / "x.db").write_bytes(b"not a state" * 100)
    found = project.jobtest("--state=sqlite:///x.db", "runs")
    assert (found.status, found.out) == (4, "")
    assert str(project.path / "x.db") in found.err
    assert "  fix: " in found.err
    assert (project.path / "x.db").read_bytes() == b"not a state" * 100


@pytest.mark.parametrize("command", ["", "runs", "show", "explain", "report", "prune", "backup"])
def test_there_is_help(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"usage: jobtest {command}".rstrip() in capsys.readouterr().out


def test_every_command_and_option_is_documented(capsys):
    documented = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
    commands = ["runs", "show", "explain", "report", "prune", "backup"]
    for command in commands:
        with pytest.raises(SystemExit):
            main([command, "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert len(options) == 9
    assert [name for name in options if f"{name}" not in documented] == []
    assert [name for name in commands if f"`jobtest {name}" not in documented] == []


# --- how answers get out ---


def hostile(label="a"):
    plan = make_plan(Graph([Job.of(label)]))
    journal = Journal(plan, command="\u017c\u00f3\u0142\x1b[2J").phase(label, Phase.RUN)
    return journal.ends(label, Outcome.CHANGED, "\ud800 \x9b31m \u202e \u732b").over()


@pytest.mark.parametrize(
    ("encoding", "command", "reason"),
    [
        ("utf-8", "\u017c\u00f3\u0142\\x1b[2J", "\\ud800 \\x9b31m \\u202e \u732b"),
        ("ascii", "\\u017c\\xf3\\u0142\\x1b[2J", "\\ud800 \\x9b31m \\u202e \\u732b"),
        ("latin-1", "\\u017c\\xf3\\u0142\\x1b[2J", "\\ud800 \\x9b31m \\u202e \\u732b"),
    ],
)
def test_what_a_terminal_cannot_show_is_shown_as_escapes(project, encoding, command, reason):
    project.keep(hostile())
    done = process(project, "show", "last", env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert f"command    {command}\n" in text
    assert f"  {reason}\n" in text
    wrong = process(project, "show", "\x1b\u732b", env={"PYTHONIOENCODING": encoding})
    assert wrong.returncode == 4
    assert b"\x1b" not in wrong.stderr
    assert wrong.stderr.decode(encoding).startswith("no run begins with '\\x1b")
    url = "sqlite:///\x1b\u732b.db"
    wrong = process(project, "--state", url, "show", "x", env={"PYTHONIOENCODING": encoding})
    assert b"\x1b" not in wrong.stderr
    assert "\\x1b" in wrong.stderr.decode(encoding)


def test_a_reader_that_goes_away_is_no_error(project):
    project.keep(*(simple(run_id(number), STARTED + number) for number in range(1, 4)))
    reader, writer = os.pipe()
    os.close(reader)
    done = process(project, "runs", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_neither_pytest_nor_what_only_runs_need_is_imported(project):
    project.keep(simple())
    code = """
import sys
from jobtest.cli.main import main
for line in ("runs", "show last", "explain a", "report last --junitxml=j --json=r", "prune"):
    assert main(line.split()) == 0
unwanted = {"pytest", "_pytest", "pluggy", "asyncio", "jobtest.plugin", "jobtest.engine"}
assert not unwanted.intersection(sys.modules), unwanted.intersection(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=project.path, check=True, stdout=subprocess.DEVNULL)
