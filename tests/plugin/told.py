"""What a run that was refused says: the sections of pytest's list of errors, without their headlines."""

import re


def problems(run):
    """The text of each error of collection, in order."""
    text = run.text.partition("= ERRORS =")[2].partition("short test summary info")[0]
    text = text.partition("= warnings summary =")[0]
    sections = re.split(r"^_+ ERROR collecting .* _+$", text, flags=re.MULTILINE)[1:]
    return [re.sub(r"\n=*\s*$", "", section).strip("\n") for section in sections]


def refused(run):
    """The problems of a project that was refused; nothing of it may have been run."""
    assert run.ret == 4, run.text + run.errors
    assert run.seen == []
    assert run.engine is None
    found = problems(run)
    number = f"{len(found)} error{'s' if len(found) != 1 else ''}"
    assert f"ERROR: {number} in the project, nothing was run" in run.errors
    return found


def usage(run):
    """The text of a usage error, before which nothing was run."""
    assert run.ret == 4, run.text + run.errors
    assert run.seen == []
    assert run.summary is None
    return run.errors.removeprefix("ERROR: ").strip("\n")
