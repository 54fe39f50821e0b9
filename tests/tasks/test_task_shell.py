"""Task type `shell`: what runs, what is shown, what the value is, and that nothing is left behind."""

import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobtest.tasks import TaskFailed, commands
from jobtest.tasks.shell import (
    check_task_shell__creates,
    check_task_shell__unless,
    task_shell,
    task_shell_script,
)

ROOT = Path(__file__).parents[2]


def python(code):
    return [sys.executable, "-c", code]


def refused(*args, **kwargs):
    with pytest.raises(TaskFailed) as raised:
        task_shell(*args, **kwargs)
    return raised.value.problem


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before
    assert commands._under_way == set()


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- what runs ---


def test_a_text_is_split_as_a_shell_does_and_no_shell_takes_part():
    code = "import sys; print(sys.argv[1:])"
    told = task_shell(f"{sys.executable} -c '{code}' one 'two words' $HOME * \"a|b\" > x && y\\ z")

    assert told == "['one', 'two words', '$HOME', '*', 'a|b', '>', 'x', '&&', 'y z']"
    assert not Path("x").exists()


def test_a_list_is_taken_as_it_is():
    assert task_shell(["printf", "%s|", "a b", "", "*"]) == "a b||*|"


def test_a_shell_takes_part_when_it_is_asked_for():
    assert task_shell("echo $((1 + 2)) | tr 3 4; printf '\\n'", shell=True) == "4\n"


def test_the_environment_is_added_to(monkeypatch):
    monkeypatch.setenv("THERE", "already")

    assert task_shell("echo $THERE $NEW", shell=True, env={"NEW": "too"}) == "already too"
    assert "NEW" not in os.environ


def test_it_runs_in_cwd_and_so_are_paths_of_programs(tmp_path):
    tool = tmp_path / "sub" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o755)

    assert task_shell("./tool", cwd=Path("sub")) == str(tool.parent)


def test_standard_input_is_empty():
    here, there = os.pipe()
    before = os.dup(0)
    os.dup2(here, 0)
    try:
        os.write(there, b"typed by somebody")
        os.close(there)
        assert task_shell("cat") == ""
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(here)


def test_shell_script_is_the_same_type():
    assert task_shell_script is task_shell


# --- output ---


def test_lines_are_shown_and_standard_output_is_the_value(capsys):
    value = task_shell("echo one; echo oops >&2; printf 'two\\n\\nlast'", shell=True)

    assert value == "one\ntwo\n\nlast"
    assert capsys.readouterr() == ("one\ntwo\n\nlast\n", "oops\n")


class Shown:
    """A stream that remembers what is written, and lets the command go on when it is."""

    def __init__(self, go_on):
        self.written, self._go_on = [], go_on

    def write(self, text):
        self.written.append(text)
        self._go_on.touch()

    def flush(self):
        pass


def test_a_line_is_shown_before_the_command_goes_on(tmp_path, monkeypatch):
    shown = Shown(tmp_path / "seen")
    monkeypatch.setattr(sys, "stdout", shown)

    task_shell("echo one; until test -e seen; do sleep 0.01; done; echo two", shell=True, timeout=20)

    assert shown.written == ["one\n", "two\n"]


def test_much_on_both_outputs_does_not_block(capsys):
    line = "x" * 99 + "\n"
    twice = f"sys.stdout.write({line!r} * 1000); sys.stderr.write({line!r} * 1000)"
    code = f"import sys\nfor _ in range(100): {twice}"

    value = task_shell(python(code), timeout=60)

    shown = capsys.readouterr()
    assert len(value) == 10_000_000 - 1
    assert shown.out == value + "\n"
    assert len(shown.err) == 10_000_000


def test_bytes_that_are_no_text_are_replaced_and_characters_are_not_torn():
    assert task_shell(python(r"import os; os.write(1, b'\xff' + 'é'.encode()[:1])")) == "��"
    assert task_shell(python("print('x' + 'é' * 100_000)")) == "x" + "é" * 100_000


def test_what_stays_in_the_background_is_not_waited_for(tmp_path):
    began = time.monotonic()
    try:
        assert task_shell("echo begun; sleep 60 & echo $! > pid", shell=True) == "begun"
        assert time.monotonic() - began < 30
    finally:
        os.kill(int((tmp_path / "pid").read_text()), 9)


def test_the_last_words_are_heard_though_somebody_keeps_the_output_open(tmp_path):
    code = "import os; os.write(1, b'x' * 65536)"
    try:
        told = task_shell(f"sleep 60 & echo $! > pid; {sys.executable} -c {shlex.quote(code)}", shell=True)
        assert len(told) == 65536
    finally:
        os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_command_that_closes_its_outputs_is_waited_for():
    task_shell("exec >&- 2>&-; sleep 0.2; touch done", shell=True)

    assert Path("done").exists()


# --- how it ends ---


def test_an_exit_status_is_a_failure_unless_it_is_accepted():
    problem = refused("exit 3", shell=True)

    assert str(problem) == (
        "'exit 3' ended with exit status 3\n"
        f"  at: {Path.cwd()}\n"
        "  fix: see what it printed; if that is no failure, write exit_codes = [0, 3]"
    )
    assert task_shell("echo x; exit 3", shell=True, exit_codes=[0, 3]) == "x"
    assert refused("true", exit_codes=[1]).what == "'true' ended with exit status 0"


def test_a_signal_is_named():
    problem = refused("kill -9 $$", shell=True)

    assert (problem.what, problem.fix) == ("'kill -9 $$' was ended by SIGKILL", "see what it printed")
    assert refused("kill -40 $$", shell=True).what == "'kill -40 $$' was ended by signal 40"


def alive(pid_file):
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    return not stat.exists() or ") Z " not in stat.read_text()


def gone(pid_file):
    until = time.monotonic() + 10
    while alive(pid_file) and time.monotonic() < until:
        pass
    return not alive(pid_file)


def test_a_timeout_ends_all_that_it_started(tmp_path, capsys):
    problem = refused(
        "echo begun; sleep 60 & echo $! > pid; trap 'echo bye; exit' TERM; wait", shell=True, timeout=0.3
    )

    assert problem.what.endswith("was ended after 0.3 s")
    assert gone(tmp_path / "pid")
    assert capsys.readouterr().out == "begun\nbye\n"


@pytest.mark.parametrize("waiting", ["", "&\nwait"], ids=["alone", "below one that listens"])
def test_what_does_not_listen_is_killed(tmp_path, monkeypatch, waiting):
    monkeypatch.setattr(commands, "GRACE", 0.2)
    deaf = "sh -c 'echo $$ > pid; trap \"\" TERM; while :; do sleep 0.1; done'"

    refused(f"{deaf} {waiting}", shell=True, timeout=0.3)

    assert gone(tmp_path / "pid")


def test_a_command_on_a_thread_that_was_left_behind_ends_with_the_program(tmp_path):
    code = """if True:
        import os, threading, time
        from jobtest.tasks.shell import task_shell
        threading.Thread(target=task_shell, args=("echo $$ > pid; exec sleep 60", True), daemon=True).start()
        while not os.path.exists("pid") or not os.path.getsize("pid"):
            time.sleep(0.01)
    """

    subprocess.run(python(code), check=True, timeout=30, env={**os.environ, "PYTHONPATH": str(ROOT)})

    assert gone(tmp_path / "pid")


class Interrupting:
    def write(self, text):
        raise KeyboardInterrupt

    def flush(self):
        pass


def test_an_interrupt_ends_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Interrupting())

    with pytest.raises(KeyboardInterrupt):
        task_shell("echo $$ > pid; echo x; exec sleep 60", shell=True)

    assert gone(tmp_path / "pid")


# --- what cannot be run ---


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        ({"command": ""}, "command = '' names no program", "write the program"),
        ({"command": []}, "command = [] names no program", "write the program"),
        ({"command": [""]}, "command = [''] names no program", "write the program"),
        ({"command": " ", "shell": True}, "command = ' ' names no program", "write the program"),
        (
            {"command": "echo 'x"},
            'command = "echo \'x" cannot be split: no closing quotation',
            "close the quote",
        ),
        (
            {"command": ["ls"], "shell": True},
            "shell = true takes a text, not the list ['ls']",
            "leave shell out",
        ),
        ({"command": "printff x"}, "program 'printff' was not found", "did you mean 'printf'"),
        ({"command": "qqqzzzxxx"}, "program 'qqqzzzxxx' was not found", "install it, give its path"),
        ({"command": "./none"}, "'./none' cannot be started: no such file", "relative to cwd"),
        (
            {"command": "./lost", "cwd": Path("sub")},
            "'./lost' cannot be started: no such file",
            "interpreter",
        ),
        ({"command": "./plain"}, "'./plain' cannot be started: Permission denied", "executable"),
        ({"command": ["a\0b"]}, "'a\\x00b' cannot be started: embedded null byte", "see the command"),
        ({"command": "true", "env": {"A=B": "c"}}, "'true' cannot be started: illegal environment", "in env"),
        ({"command": "true", "cwd": Path("no")}, "cwd = 'no' is not a folder", "make it in a job"),
        ({"command": "true", "timeout": 0}, "timeout = 0 is no time", "above 0"),
        ({"command": "true", "timeout": float("nan")}, "timeout = nan is no time", "above 0"),
    ],
)
def test_what_cannot_be_run_is_told(arguments, what, fix):
    Path("plain").write_text("no program")
    Path("sub").mkdir()
    Path("sub/lost").write_text("#!/no/such/interpreter\n")
    Path("sub/lost").chmod(0o755)

    problem = refused(**arguments)

    assert problem.what.startswith(what)
    assert fix in problem.fix
    assert problem.at[0].startswith(str(Path.cwd()))


# --- checks ---


def test_creates_holds_when_all_is_there():
    Path("a").touch()
    with pytest.raises(AssertionError, match=r"^not there: b, c/d$"):
        check_task_shell__creates([Path("a"), Path("b"), Path("c/d")])
    with pytest.raises(AssertionError, match="names no file"):
        check_task_shell__creates([])

    check_task_shell__creates([Path("a")])


def test_unless_holds_when_its_command_succeeds():
    with pytest.raises(AssertionError, match=r"^'test -e a' ended with exit status 1$"):
        check_task_shell__unless("test -e a")
    Path("a").touch()

    check_task_shell__unless("test -e a")
    check_task_shell__unless("test $X = 1 && true", shell=True, env={"X": "1"})
    with pytest.raises(TaskFailed, match="was ended after"):
        check_task_shell__unless("sleep 60", timeout=0.1)
