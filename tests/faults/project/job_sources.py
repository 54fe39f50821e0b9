"""Two rows that are brought together: checked jobs, with values, cleanups and a fan-in."""

import pytest

rows = pytest.mark.parametrize("row", [0, 1, 2, 3])


def check_fetch(act):
    return act.check()


@rows
def job_fetch(act, row):
    return act.run({"row": row})


def cleanup_fetch(act):
    act.clean()


def check_parse(act):
    return act.check()


@rows
def job_parse(act, machine, row, fetch):
    assert fetch == {"row": row}
    return act.run(fetch["row"] * 10)


def check_merge(act):
    return act.check()


def job_merge(act, parse):
    assert list(parse.values()) == [0, 10, 20, 30]
    return act.run(sum(parse.values()))


def cleanup_merge(act):
    act.clean()


@pytest.mark.job(needs=["merge"])
def check_gate(act):
    act.note("begin")
    act.note("holds")


def job_report(act, merge):
    """No check: it runs again if it was under way."""
    assert merge == 60
    act.run()


def cleanup_report(act):
    act.clean()
