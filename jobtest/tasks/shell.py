"""Task types `shell` and `shell_script`: run a command, without a shell unless one is asked for."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jobtest.core.errors import Problem, nearest
from jobtest.tasks import NotAsWanted, TaskFailed
from jobtest.tasks.commands import Ended, follow

__all__ = [
    "check_task_shell__creates",
    "check_task_shell__unless",
    "check_task_shell_script__creates",
    "check_task_shell_script__unless",
    "task_shell",
    "task_shell_script",
]

SHELL_NEEDED = "install it, give its path, or write shell = true if only a shell knows it"


def task_shell(
    command: str | list[str],
    shell: bool = False,
    env: dict[str, str] | None = None,
    cwd: Path = Path(),
    timeout: float | None = None,
    exit_codes: list[int] | None = None,
) -> str:
    """Run a command; its standard output is the value of the job.

    No shell takes part: the text of a command is split as a shell does, quotes included, and then `|`, `>`,
    `&&`, `*` and `$NAME` are arguments like any other. `shell = true` hands the text to `/bin/sh -c`. What
    the command prints is shown line by line as it comes. Its standard input is empty. What it has left
    running in the background is not waited for. Without `creates` or `unless` the job has no check.

    Args:
        command: The program and its arguments: a list, or a text that is split as a shell does.
        shell: Hand the text to `/bin/sh -c` instead; a list is refused then.
        env: Environment variables to set, beside those that are there.
        cwd: The folder to run it in.
        timeout: Seconds after which it is ended, with all that it started in its process group.
        exit_codes: Exit statuses that are no failure; without it only 0 is none.

    Returns:
        What it wrote to its standard output, without the last line break.

    Example:
        [[job]]
        name = "report"
        task = "shell"
        args = { command = "git log --oneline -n 5", cwd = "src", timeout = 60 }

        [[job]]
        name = "database"
        task = "shell"
        args = { command = ["sqlite3", "shop.db", ".read schema.sql"], creates = ["shop.db"] }
    """
    ended = _run(command, shell, env, cwd, timeout)
    accepted = [0] if exit_codes is None else exit_codes
    if ended.status not in accepted:
        fix = "see what it printed"
        if ended.status > 0:
            fix += f"; if that is no failure, write exit_codes = {sorted({*accepted, ended.status})}"
        raise _failed(f"{_shown(command)} {_told(ended.status)}", cwd, fix)
    return ended.stdout


def check_task_shell__creates(creates: list[Path]) -> None:
    """All files and folders of `creates` are there.

    Args:
        creates: Files or folders that the command makes: when all are there, it does not run.
    """
    if not creates:
        raise NotAsWanted("creates = [] names no file")
    missing = [str(path) for path in creates if not path.exists()]
    if missing:
        raise NotAsWanted(f"not there: {', '.join(missing)}")


def check_task_shell__unless(
    unless: str | list[str],
    shell: bool = False,
    env: dict[str, str] | None = None,
    cwd: Path = Path(),
    timeout: float | None = None,
) -> None:
    """The command of `unless` ends with exit status 0.

    Args:
        unless: A command, run like `command`, that only looks: when its exit status is 0, `command` does not
            run.
        shell: As for `command`.
        env: As for `command`.
        cwd: As for `command`.
        timeout: As for `command`.
    """
    ended = _run(unless, shell, env, cwd, timeout)
    if ended.status != 0:
        raise NotAsWanted(f"{_shown(unless)} {_told(ended.status)}")


task_shell_script = task_shell
check_task_shell_script__creates = check_task_shell__creates
check_task_shell_script__unless = check_task_shell__unless


def _run(
    command: str | list[str], shell: bool, env: Mapping[str, str] | None, cwd: Path, timeout: float | None
) -> Ended:
    argv = _argv(command, shell, cwd)
    if timeout is not None and not timeout > 0:
        raise _failed(
            f"timeout = {timeout!r} is no time to run in", cwd, "give seconds above 0, or leave it out"
        )
    ended = follow(_started(argv, {**os.environ, **(env or {})}, cwd), timeout)
    if ended.in_time:
        return ended
    raise _failed(
        f"{_shown(command)} was ended after {timeout:g} s",
        cwd,
        "give it a longer timeout, or see what it waits for",
    )


def _argv(command: str | list[str], shell: bool, cwd: Path) -> list[str]:
    if isinstance(command, list):
        if shell:
            raise _failed(
                f"shell = true takes a text, not the list {command!r}",
                cwd,
                "write it as one text, or leave shell out",
            )
        argv = command
    else:
        argv = ["/bin/sh", "-c", command] if shell else _split(command, cwd)
    if not argv or not argv[0] or (shell and not argv[2].strip()):
        raise _failed(f"command = {command!r} names no program", cwd, "write the program and its arguments")
    return argv


def _split(command: str, cwd: Path) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        fix = "close the quote, or write the command as a list"
        raise _failed(f"command = {command!r} cannot be split: {str(error).lower()}", cwd, fix) from error


def _started(argv: list[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    if not cwd.is_dir():
        raise _failed(
            f"cwd = '{cwd}' is not a folder", cwd, "make it in a job that this one needs, or name another"
        )
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=cwd, env=env, start_new_session=True
        )
    except FileNotFoundError as error:
        raise _missing(argv[0], env, cwd) from error
    except OSError as error:
        fix = "see that it is a program, and executable"
        raise _failed(f"{argv[0]!r} cannot be started: {error.strerror}", cwd, fix) from error
    except ValueError as error:
        fix = "see the command and the names in env"
        raise _failed(f"{argv[0]!r} cannot be started: {error}", cwd, fix) from error


def _missing(program: str, env: Mapping[str, str], cwd: Path) -> TaskFailed:
    if "/" in program:
        if (cwd / program).exists():
            fix = "its first line names an interpreter that is not there"
        else:
            fix = "paths of programs are relative to cwd"
        return _failed(f"{program!r} cannot be started: no such file", cwd, fix)
    close = nearest(program, _programs(env))
    fix = SHELL_NEEDED if close is None else f"did you mean {close!r}? Or {SHELL_NEEDED}"
    return _failed(f"program {program!r} was not found", cwd, fix)


def _programs(env: Mapping[str, str]) -> set[str]:
    folders = [Path(folder) for folder in os.get_exec_path(env)]
    return {name for folder in folders if os.access(folder, os.R_OK | os.X_OK) for name in _names(folder)}


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _told(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _shown(command: str | list[str]) -> str:
    text = command if isinstance(command, str) else shlex.join(command)
    return repr(text if len(text) <= 100 else f"{text[:97]}...")


def _failed(what: str, cwd: Path, fix: str) -> TaskFailed:
    return TaskFailed(Problem(what=what, at=(os.path.abspath(cwd),), fix=fix))
