"""The setting `commands`: verbs renamed and added, and what is refused."""

import pytest

from jobtest.config.verbs import BUILT_IN, Verb, find_verb, read_verbs


def verbs(**table):
    found, problems = read_verbs(table, "jobtest.toml")
    assert problems == []
    return found


def told(**table):
    """What is said of the only problem, with its fix."""
    _, (problem,) = read_verbs(table, "jobtest.toml")
    assert problem.at == ("jobtest.toml",)
    return f"{problem.what} -> {problem.fix}" if problem.fix else problem.what


def test_the_built_in_verbs_are_there_without_a_word():
    assert verbs() == BUILT_IN
    assert {name: verb.reverse for name, verb in BUILT_IN.items()} == {
        "apply": False,
        "describe": False,
        "delete": True,
        "rollback": True,
        "cleanup": True,
    }


def test_a_renamed_verb_does_the_same_and_its_old_name_is_gone():
    found = verbs(destroy="delete")
    assert found["destroy"] == Verb("destroy", "delete", reverse=True)
    assert "delete" not in found
    assert find_verb("delete", found) == (None, "it is called 'destroy' here")


def test_a_verb_may_be_added_in_either_order():
    found = verbs(backup={}, stop={"order": "reverse"}, start={"order": "forward"})
    assert found["backup"] == Verb("backup", "backup", reverse=False)
    assert found["stop"].reverse
    assert not found["start"].reverse
    assert [verb.name for verb in found.values() if verb.is_added] == ["backup", "stop", "start"]


def test_a_verb_that_is_not_there_is_told_with_the_nearest_one():
    assert find_verb("aply", verbs()) == (None, "did you mean 'apply'?")
    listed = "there are: apply, cleanup, delete, describe, rollback"
    assert find_verb("xyz", verbs()) == (None, listed)


WORD = "a lower-case word such as 'backup', whose functions are backup_NAME"
WRONG = [
    ({"destroy": "remove"}, "setting commands.destroy = 'remove' must be a built-in verb -> "
     "there are: apply, cleanup, delete, describe, rollback"),
    ({"destroy": "delet"}, "setting commands.destroy = 'delet' must be a built-in verb -> "
     "did you mean 'delete'?"),
    ({"a": "delete", "b": "delete"}, "setting commands.b = 'delete': 'delete' is called 'a' already -> "
     "keep one of them"),
    ({"delete": {}}, "setting commands.delete: 'delete' is a verb already -> give the new verb another name"),
    ({"delete": "cleanup"}, "setting commands.delete: 'delete' is a verb already -> "
     "give the new verb another name"),
    ({"job": {}}, f"setting commands.job: 'job' means something else -> name it {WORD}"),
    ({"plan": "apply"}, f"setting commands.plan: 'plan' means something else -> name it {WORD}"),
    ({"back-up": {}}, f"setting commands.back-up: a verb must be {WORD}"),
    ({"job_x": {}}, f"setting commands.job_x: a verb must be {WORD}"),
    ({"": {}}, f"setting commands.: a verb must be {WORD}"),
    ({"backup": 3}, "setting commands.backup = 3 must be the verb that it renames, or a table"),
    ({"backup": {"order": "down"}}, "setting commands.backup.order = 'down' must be 'forward' or 'reverse'"),
    ({"backup": {"odrer": 1}}, "unknown setting 'commands.backup.odrer' -> did you mean 'order'?"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "said"), WRONG, ids=str)
def test_a_verb_that_cannot_be_is_told(table, said):
    assert told(**table) == said
