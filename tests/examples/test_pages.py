"""What the pages show of terminals is what happens: their projects are written, their commands run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.py)\n")
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def stories(page):
    """Yield the file of each project of a page, its text, and the commands below it with what they print.

    Commands with a comment are for other projects.
    """
    file, text, commands = "", "", []
    for kind, body in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        found = FILE.match(body)
        if kind == "python" and found:
            yield file, text, commands
            file, text, commands = found[1], body, []
        if kind == "console":
            commands += [(command, told) for command, told in COMMAND.findall(body) if " #" not in command]
    yield file, text, commands


def played(page):
    return [
        pytest.param(file, text, commands, id=f"{page}:{file}")
        for file, text, commands in stories(page)
        if file.startswith("job_") and any(told for _, told in commands)
    ]


@pytest.mark.rarely
@pytest.mark.parametrize(
    ("file", "text", "commands"),
    [*played("README.md"), *played("docs/state.md"), *played("docs/running.md")],
)
def test_a_page_shows_what_happens(file, text, commands, new_project, normalised):
    """Lines that the page leaves out may be there; those that it shows are, in this order."""
    project = new_project({file: text})
    for command, told in commands:
        lines = normalised(project.do(command).output).splitlines()
        for line in normalised(told).splitlines():
            if line not in ("", "..."):
                assert line in lines, f"$ {command}"
                del lines[: lines.index(line) + 1]


def test_the_pages_have_something_to_play():
    assert len([*played("README.md"), *played("docs/state.md"), *played("docs/running.md")]) >= 6
