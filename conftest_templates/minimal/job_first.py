"""Two jobs to begin with: one brings a state about, the other builds on it."""


def check_notes(workspace):
    assert (workspace / "notes.txt").exists()


def job_notes(workspace):
    """Write the first notes, if there are none."""
    (workspace / "notes.txt").write_text("jobs are plain functions\n", encoding="utf-8")


def describe_notes(workspace):
    return (workspace / "notes.txt").read_text(encoding="utf-8")


def check_index(workspace):
    assert (workspace / "index.txt").exists()


def job_index(workspace, notes):
    """Count the words of the notes; the parameter `notes` is the value of the job above."""
    (workspace / "index.txt").write_text(f"{len(notes.split())} words\n", encoding="utf-8")
