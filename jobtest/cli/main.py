"""The command line: what may be said, who answers it, and how the answer gets out.

Exit status 0; 4 for a mistake in the command line and for a state that cannot be used, with one message.
"""

from __future__ import annotations

import codecs
import os
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn, TextIO

from jobtest.cli import commands
from jobtest.core.errors import JobtestError, Problem, UsageError
from jobtest.reports.history.text import one_line

__all__ = ["main"]

MISTAKE = 4
"""Exit status, as pytest's for usage errors."""


class _Parser(ArgumentParser):
    """A parser whose mistakes are those of jobtest."""

    def error(self, message: str) -> NoReturn:
        raise UsageError([Problem(what=message, fix=f"see {self.prog} --help")])


def main(argv: Sequence[str] | None = None) -> int:
    """Run `jobtest` and return its exit status.

    Args:
        argv: What follows the name of the program; by default that of this process.
    """
    try:
        arguments = _parser().parse_args(argv)
        answer: Callable[[Namespace], str] = arguments.answer
        _write(answer(arguments), sys.stdout)
    except JobtestError as error:
        _write(f"{error}\n", sys.stderr)
        return MISTAKE
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _write(f"{Problem(what=what)}\n", sys.stderr)
        return MISTAKE
    return 0


def _write(text: str, stream: TextIO) -> None:
    """Write lines so that no terminal is confused by them; a reader that has gone away is no error."""
    shown = "\n".join(map(one_line, text.split("\n")))
    utf8 = codecs.lookup(stream.encoding or "ascii").name == "utf-8"
    encoding = "utf-8" if utf8 else "ascii"
    try:
        stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        # What is left in the buffer would be written again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} must be a whole number >= 0")
    return int(text)


def _parser() -> _Parser:
    where = _Parser(add_help=False, allow_abbrev=False)
    where.add_argument("--root", metavar="DIR", default=SUPPRESS, help="folder of the project")
    where.add_argument("--state", metavar="URL", default=SUPPRESS, help="where the state is")
    as_json = _Parser(add_help=False, allow_abbrev=False)
    as_json.add_argument("--json", action="store_true", help="as JSON, for programs")

    parser = _Parser(
        prog="jobtest",
        description="Tells what the state of a project remembers of its runs and jobs.",
        allow_abbrev=False,
        parents=[where],
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")

    def command(name: str, answer: Callable[[Namespace], str], *parents: _Parser) -> ArgumentParser:
        said = answer.__doc__ or ""
        made = subparsers.add_parser(
            name, help=said, description=said, parents=[where, *parents], allow_abbrev=False
        )
        made.set_defaults(answer=answer)
        return made

    runs = command("runs", commands.runs, as_json)
    runs.add_argument("--limit", type=_whole, default=20, metavar="N", help="how many; default %(default)s")

    show = command("show", commands.show, as_json)
    explain = command("explain", commands.explain, as_json)
    explain.add_argument("name", metavar="NAME", help="name, label like deploy[eu], id, or the end of an id")
    explain.add_argument("--context", metavar="NAME", help="in which context; default: that of the last run")
    report = command("report", commands.report)
    report.add_argument("--junitxml", metavar="FILE", help="JUnit XML")
    report.add_argument("--json", metavar="FILE", help="the JSON report")
    for about_a_run in (show, report):
        about_a_run.add_argument("run", metavar="RUN", help="a run id, a beginning of one, or last")

    prune = command("prune", commands.prune)
    prune.add_argument("--keep", type=_whole, metavar="N", help="how many; default: the setting keep_runs")
    prune.add_argument("--owed", metavar="ID", help="forget only the cleanup that this job owes")
    prune.add_argument("--dry-run", action="store_true", help="say what would be forgotten")
    backup = command("backup", commands.backup)
    backup.add_argument("file", metavar="FILE", help="a file that is not there yet")
    return parser
